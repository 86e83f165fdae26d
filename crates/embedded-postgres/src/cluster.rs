//! The database in a data directory and the server on it: a cluster, in PostgreSQL's words.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::account::Account;
use super::error::{Error, last_lines};
use super::options::Durability;
use super::places;
use super::programs::Programs;

/// The port in the socket's name; nothing listens on the network.
pub(super) const PORT: u16 = 5432;

/// How long a server may take to come up: after a crash it replays its log first.
const START_PATIENCE: Duration = Duration::from_secs(300);

/// How long a server may take to write everything down when it stops.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// How long the children of a killed server may take to notice.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(12);

/// Between two looks at the same thing.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A server's log longer than this is put aside when the server is started next.
const LOG_LIMIT: u64 = 1 << 20;

/// Below this much room, shared memory goes to files in the data directory
/// (Docker gives a container 64 MB).
const SHARED_MEMORY_NEEDED: u64 = 256 << 20;

/// How databases that are not complete yet are called.
const STAGING_PREFIX: &str = "postgres.new-";

/// How much of a program's output goes into an error.
const ERROR_LINES: usize = 6;

/// What always holds. There is nobody to connect but who may enter the
/// socket's directory. The log is for what isao does not hear of otherwise:
/// starts, recoveries and stops, but no errors of statements.
const SETTINGS: [(&str, &str); 8] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "100"),
    ("logging_collector", "off"),
    ("log_min_messages", "log"),
    ("log_checkpoints", "off"),
    ("log_timezone", "UTC"),
    ("timezone", "UTC"),
];

/// What was acknowledged stays.
const FULL: [(&str, &str); 3] = [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")];

/// Fast, and lost with the machine.
const THROWAWAY: [(&str, &str); 6] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "256MB"),
];

/// A server, as the files in the data directory and its socket tell.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Absent,
    Starting,
    Ready,
    Stopping,
    /// It runs and says it is ready, but its socket is gone.
    Unreachable,
}

/// A data directory, and who runs the server on it.
#[derive(Debug)]
pub(super) struct Cluster {
    data_dir: PathBuf,
    account: Account,
}

impl Cluster {
    /// Makes the data directory if there is none.
    pub(super) fn open(data_dir: &Path) -> Result<Self, Error> {
        let account = Account::for_server()?;
        let data_dir = places::data_directory(data_dir, &account)?;
        Ok(Self { data_dir, account })
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(super) fn pgdata(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    pub(super) fn socket_dir(&self) -> PathBuf {
        places::socket_dir(&self.data_dir)
    }

    fn log(&self) -> PathBuf {
        self.pgdata().join("server.log")
    }

    /// The major version of the data; `None` when there is none yet.
    pub(super) fn major(&self) -> Result<Option<u32>, Error> {
        let (pgdata, file) = (self.pgdata(), self.pgdata().join("PG_VERSION"));
        match fs::read_to_string(&file) {
            Ok(version) => match version.trim().parse() {
                Ok(major) => Ok(Some(major)),
                Err(_) => Err(Error::NotADatabase { path: pgdata }),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let is_empty = fs::read_dir(&pgdata).map_or(true, |mut entries| entries.next().is_none());
                if is_empty { Ok(None) } else { Err(Error::NotADatabase { path: pgdata }) }
            }
            Err(error) => Err(Error::at(file)(error)),
        }
    }

    /// The programs of the running server, or `None`: a server that starts or
    /// stops is waited for, one that cannot be reached is stopped.
    ///
    /// For holders of the start lock.
    pub(super) fn running(&self) -> Result<Option<PathBuf>, Error> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match self.state() {
                State::Absent => return Ok(None),
                State::Ready => return self.running_bin_dir().map(Some),
                State::Starting | State::Stopping if Instant::now() < deadline => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                _ => self.stop()?,
            }
        }
    }

    fn state(&self) -> State {
        let Ok(file) = fs::read_to_string(self.pgdata().join("postmaster.pid")) else { return State::Absent };
        let line = |number: usize| file.lines().nth(number - 1).unwrap_or_default().trim();
        if !line(1).parse().is_ok_and(|pid| self.is_server(pid).unwrap_or(false)) {
            return State::Absent;
        }
        match line(8) {
            "ready" if UnixStream::connect(self.socket()).is_ok() => State::Ready,
            "ready" => State::Unreachable,
            "stopping" => State::Stopping,
            _ => State::Starting,
        }
    }

    fn socket(&self) -> PathBuf {
        self.socket_dir().join(format!(".s.PGSQL.{PORT}"))
    }

    /// Whether a process is this cluster's server; `None` when there is no such process.
    fn is_server(&self, pid: u32) -> Option<bool> {
        let pgdata = self.pgdata();
        if Path::new("/proc/self/cmdline").exists() {
            let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            return Some(
                command.split(|byte| *byte == 0).any(|arg| arg == pgdata.as_os_str().as_encoded_bytes()),
            );
        }
        let ps = Path::new("/bin/ps");
        let output = self.account.run(ps, ["-o", "command=", "-p", &pid.to_string()], Path::new("/")).ok()?;
        let command = String::from_utf8_lossy(&output.stdout);
        output.status.success().then(|| command.contains(&*pgdata.to_string_lossy()))
    }

    /// The server notes its own command line: a path, then arguments in quotes.
    fn running_bin_dir(&self) -> Result<PathBuf, Error> {
        let file = self.pgdata().join("postmaster.opts");
        let command = fs::read_to_string(&file).map_err(Error::at(&file))?;
        let program = Path::new(command.split(" \"").next().unwrap_or_default());
        program.parent().map(Path::to_path_buf).ok_or(Error::NotADatabase { path: file })
    }

    /// Creates the database. It appears under its name when it is complete,
    /// so that one which was interrupted is not mistaken for one.
    pub(super) fn create(&self, programs: &Programs, durability: Durability) -> Result<(), Error> {
        // Named by our number: an initdb whose holder was killed may still be at work in another.
        let staging = self.data_dir.join(format!("{STAGING_PREFIX}{}", std::process::id()));
        let initdb = |locale: &str| {
            self.remove_staging();
            places::own_directory(&staging, self.account.uid())?;
            self.account.give(&staging)?;
            let staging = format!("--pgdata={}", staging.display());
            let locale = format!("--locale={locale}");
            let mut args = vec!["--username=postgres", "--encoding=UTF8", "--auth=trust", &locale, &staging];
            if durability == Durability::Throwaway {
                args.push("--no-sync");
            }
            self.account.run(&programs.dir.join("initdb"), args, &self.data_dir)
        };
        let mut output = initdb("C.UTF-8")?;
        if !output.status.success() {
            // Not every system has C.UTF-8; in C, only ASCII has upper and lower case.
            output = initdb("C")?;
        }
        if !output.status.success() {
            let output = last_lines(&String::from_utf8_lossy(&output.stderr), ERROR_LINES);
            return Err(Error::InitDb { path: staging, output });
        }
        fs::rename(&staging, self.pgdata()).map_err(Error::at(self.pgdata()))?;
        let data_dir = fs::File::open(&self.data_dir).map_err(Error::at(&self.data_dir))?;
        data_dir.sync_all().map_err(Error::at(&self.data_dir))
    }

    /// Removes what interrupted attempts to create the database left. Best
    /// effort: what stays is in nobody's way.
    fn remove_staging(&self) {
        for entry in fs::read_dir(&self.data_dir).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(STAGING_PREFIX.as_bytes()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Removes the database.
    pub(super) fn wipe(&self) -> Result<(), Error> {
        fs::remove_dir_all(self.pgdata()).map_err(Error::at(self.pgdata()))
    }

    /// Starts the server and waits until it is ready.
    ///
    /// For holders of the start lock, when no server runs.
    pub(super) fn start(&self, programs: &Programs, durability: Durability) -> Result<(), Error> {
        places::for_shells(&programs.dir)?;
        self.prepare_socket_dir()?;
        self.remove_foreign_pid_file()?;
        let log_length = self.put_log_aside()?;

        let settings = self.settings(durability);
        let timeout = START_PATIENCE.as_secs().to_string();
        let (pgdata, log) = (self.pgdata(), self.log());
        let args = ["start", "-w", "-s", "-t", &timeout].map(AsRef::as_ref);
        let args: Vec<&std::ffi::OsStr> = args
            .into_iter()
            .chain(["-D".as_ref(), pgdata.as_os_str(), "-l".as_ref(), log.as_os_str()])
            .chain(["-o".as_ref(), settings.as_ref()])
            .collect();
        let deadline = Instant::now() + ORPHAN_PATIENCE;
        loop {
            let output = self.account.run(&programs.dir.join("pg_ctl"), &args, &self.data_dir)?;
            if output.status.success() {
                return Ok(());
            }
            let logged = fs::read(&log).unwrap_or_default();
            let logged = String::from_utf8_lossy(logged.get(log_length..).unwrap_or_default()).into_owned();
            // Children of a killed server hold on to its memory until they notice.
            let orphaned = logged.contains("still in use");
            if !orphaned || Instant::now() > deadline {
                let said =
                    if logged.is_empty() { String::from_utf8_lossy(&output.stderr) } else { logged.into() };
                return Err(Error::Start { log, output: last_lines(&said, ERROR_LINES) });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// No value holds a quote: they are constants, and the path of the socket is our own make.
    fn settings(&self, durability: Durability) -> String {
        let (port, socket_dir) = (PORT.to_string(), self.socket_dir());
        let socket_dir = socket_dir.to_string_lossy();
        let mut settings = SETTINGS.to_vec();
        settings.extend([("port", &*port), ("unix_socket_directories", &*socket_dir)]);
        match durability {
            Durability::Full => settings.extend(FULL),
            Durability::Throwaway => settings.extend(THROWAWAY),
        }
        if places::free_bytes(Path::new("/dev/shm")).is_some_and(|free| free < SHARED_MEMORY_NEEDED) {
            settings.push(("dynamic_shared_memory_type", "mmap"));
        }
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("-c {name}='{value}'")).collect();
        settings.join(" ")
    }

    /// What a killed server left in the socket's directory is in the next one's way.
    fn prepare_socket_dir(&self) -> Result<(), Error> {
        let directory = self.socket_dir();
        places::own_directory(&directory, self.account.uid())?;
        self.account.give(&directory)?;
        places::set_mode(&directory, 0o700)?;
        for entry in fs::read_dir(&directory).map_err(Error::at(&directory))?.flatten() {
            fs::remove_file(entry.path()).map_err(Error::at(entry.path()))?;
        }
        Ok(())
    }

    /// After a restart of the machine, the number of a killed server may be
    /// another process's, which the next server would take for its predecessor. A number that is
    /// nobody's is no obstacle.
    fn remove_foreign_pid_file(&self) -> Result<(), Error> {
        let file = self.pgdata().join("postmaster.pid");
        let content = fs::read_to_string(&file).unwrap_or_default();
        let pid = content.lines().next().and_then(|line| line.trim().parse().ok());
        match pid.and_then(|pid| self.is_server(pid)) {
            Some(false) => fs::remove_file(&file).map_err(Error::at(file)),
            _ => Ok(()),
        }
    }

    /// Keeps the log and its predecessor, each of bounded length; gives the log's length.
    fn put_log_aside(&self) -> Result<usize, Error> {
        let log = self.log();
        let length = fs::metadata(&log).map_or(0, |log| log.size());
        if length <= LOG_LIMIT {
            return Ok(length as usize);
        }
        fs::rename(&log, log.with_extension("log.1")).map_err(Error::at(log))?;
        Ok(0)
    }

    /// Stops the server, if there is one: connections are closed, what is committed stays.
    ///
    /// For holders of the start lock.
    pub(super) fn stop(&self) -> Result<(), Error> {
        if self.state() == State::Absent {
            return Ok(());
        }
        let pg_ctl = self.running_bin_dir()?.join("pg_ctl");
        let timeout = STOP_PATIENCE.as_secs().to_string();
        let pgdata = self.pgdata();
        let args = ["stop", "-w", "-s", "-m", "fast", "-t", &timeout, "-D"].map(AsRef::as_ref);
        let args: Vec<&std::ffi::OsStr> = args.into_iter().chain([pgdata.as_os_str()]).collect();
        let output = self.account.run(&pg_ctl, args, &self.data_dir)?;
        if !output.status.success() && self.state() != State::Absent {
            let output = last_lines(&String::from_utf8_lossy(&output.stderr), ERROR_LINES);
            return Err(Error::Stop { path: pgdata, output });
        }
        // It stays when it is not empty, which is the next start's matter.
        let _ = fs::remove_dir(self.socket_dir());
        Ok(())
    }
}
