//! Holders in processes of their own, and directories for their servers.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use embedded_postgres::{Durability, Options, Search, is_root};
use sqlx::{Connection, PgConnection};

/// For whatever has to happen in the end: generous, since machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// `nobody` and its group, as ordinary users go.
const ORDINARY: u32 = 65534;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// Who runs the tests.
    Me,
    /// An ordinary user, when root runs the tests.
    Ordinary,
}

/// A directory of one test, below which the server's data is.
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    pub(super) user: User,
}

impl Scratch {
    pub(super) fn new(name: &str, user: User) -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.exists() { memory.into() } else { std::env::temp_dir() };
        let path = parent.join(format!("isao-embedded-{}-{name}", std::process::id()));
        fs::DirBuilder::new().mode(0o755).create(&path).unwrap();
        if user == User::Ordinary {
            chown(&path, Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
        Self { path, user }
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A process that holds the server, and tells its URL.
    pub(super) fn holder(&self) -> Holder {
        Holder::start(&self.data_dir(), self.user).unwrap()
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.data_dir().join("postgres/postmaster.pid")
    }

    /// The server's process, while there is one.
    pub(super) fn server(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file()).ok()?.lines().next()?.parse().ok()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            eventually("the server stops", || self.server().is_none());
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub(super) struct Holder {
    process: Child,
    /// It lets go when this closes.
    stdin: Option<ChildStdin>,
    /// Where the test harness in it still writes.
    _stdout: Lines<BufReader<ChildStdout>>,
    pub(super) url: String,
}

impl Holder {
    pub(super) fn spawn(data_dir: &Path, user: User) -> Child {
        Self::spawn_with_umask("022", data_dir, user)
    }

    pub(super) fn spawn_with_umask(umask: &str, data_dir: &Path, user: User) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")]);
        command.arg(std::env::current_exe().unwrap());
        command.args(["--exact", "embedded::holder", "--ignored", "--nocapture", "--test-threads=1"]);
        if user == User::Ordinary {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(process.stdin.as_mut().unwrap(), "{}", data_dir.display()).unwrap();
        process
    }

    pub(super) fn start(data_dir: &Path, user: User) -> Result<Self, String> {
        Self::when_it_holds(Self::spawn(data_dir, user))
    }

    /// The process, when it holds the server.
    pub(super) fn when_it_holds(mut process: Child) -> Result<Self, String> {
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let said = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let url = line.split_once("holds ").map(|(_, url)| Ok(url.to_owned()));
            url.or_else(|| line.split_once("fails: ").map(|(_, error)| Err(error.to_owned())))
        });
        match said {
            Some(Ok(url)) => Ok(Self { stdin: process.stdin.take(), process, _stdout: lines, url }),
            failed => {
                lines.for_each(drop);
                process.wait().unwrap();
                Err(failed.expect("a holder says that it holds, or that it fails").unwrap_err())
            }
        }
    }

    pub(super) fn socket_dir(&self) -> PathBuf {
        let (_, host) = self.url.split_once("host=").unwrap();
        host.split('&').next().unwrap().replace("%2F", "/").into()
    }

    pub(super) fn ask(&self, sql: &'static str) -> i32 {
        wait_for(async {
            let mut connection = PgConnection::connect(&self.url).await?;
            sqlx::query_scalar(sql).fetch_one(&mut connection).await
        })
        .unwrap()
    }

    pub(super) fn tell(&self, sql: &'static str) -> sqlx::Result<()> {
        wait_for(async {
            let mut connection = PgConnection::connect(&self.url).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await.map(drop)
        })
    }

    pub(super) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(super) fn let_go(mut self) {
        drop(self.stdin.take());
        self.process.wait().unwrap();
    }
}

pub(super) fn options(data_dir: &Path) -> Options {
    Options {
        data_dir: data_dir.into(),
        // As `serve` does it: these tests kill servers.
        durability: Durability::Full,
        supervisor: env!("CARGO_BIN_EXE_isao").into(),
        search: Search::new(None, std::env::var_os("PATH")),
        cache_dir: None,
        say: Box::new(|line| eprintln!("{line}")),
    }
}

pub(super) fn nothing_found() -> Search {
    Search { bin_dir: None, path: None, system: Vec::new() }
}

pub(super) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(super) fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happens() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn kill_9(pid: u32) {
    let killed = Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().unwrap();
    assert!(killed.success());
}

pub(super) fn root() -> bool {
    static IS_ROOT: OnceLock<bool> = OnceLock::new();
    *IS_ROOT.get_or_init(|| is_root().unwrap())
}

/// Me, and for root an ordinary user at the same time.
pub(super) fn for_each_user(name: &str, test: impl Fn(&Scratch) + Sync) {
    std::thread::scope(|scope| {
        if root() {
            scope.spawn(|| test(&Scratch::new(&format!("{name}-ordinary"), User::Ordinary)));
        }
        test(&Scratch::new(name, User::Me));
    });
}
