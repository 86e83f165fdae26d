//! `isao listen` and `isao trigger` as processes.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use isao::outbound::signature::Secret;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{PATIENCE, World, eventually};

/// Who listens: a server, a key, and a directory for the state.
pub struct User {
    pub url: String,
    pub key: String,
    home: PathBuf,
}

impl User {
    pub fn of(world: &World) -> Self {
        Self::at(world.root(), &world.key)
    }

    pub fn at(url: &str, key: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("isao-listen-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let home = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&home).unwrap();
        Self { url: url.to_owned(), key: key.to_owned(), home }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isao"));
        command
            .args(args)
            .env("ISAO_URL", &self.url)
            .env("ISAO_API_KEY", &self.key)
            .env("ISAO_RETRY_DELAYS", "10ms,10ms,10ms")
            .env("XDG_STATE_HOME", self.home.join("state"))
            .env("XDG_DATA_HOME", self.home.join("data"))
            .env("ISAO_DATA_DIR", self.home.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Listens, as a program reads it.
    pub fn listen(&self, args: &[&str]) -> Listener {
        Listener::start(self.command(&[&["listen", "--format", "json"], args].concat()))
    }

    /// Listens, as a person reads it.
    pub fn watch(&self, args: &[&str]) -> Listener {
        Listener::start(self.command(&[&["listen"], args].concat()))
    }

    /// Listens through a proxy.
    pub fn listen_through(&self, proxy: &str, args: &[&str]) -> Listener {
        let mut command = self.command(&[&["listen", "--format", "json"], args].concat());
        command.env("HTTP_PROXY", proxy).env("http_proxy", proxy);
        Listener::start(command)
    }

    /// Starts another command.
    pub fn start(&self, args: &[&str]) -> Listener {
        Listener::start(self.command(args))
    }

    /// Writes a file; its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The path of a file that goes with the user.
    pub fn path(&self, name: &str) -> String {
        self.home.join(name).to_str().unwrap().to_owned()
    }

    /// Runs a command that reads this, to its end: exit code, stdout, stderr.
    pub async fn run_on(&self, input: &str, args: &[&str]) -> (Option<i32>, String, String) {
        let input = std::fs::File::open(input).unwrap();
        ended(self.command(args).stdin(input)).await
    }

    /// Runs a command to its end: exit code, stdout, stderr.
    pub async fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        ended(&mut self.command(args)).await
    }

    /// The secret that signs what is forwarded.
    pub async fn secret(&self) -> Secret {
        let (code, stdout, stderr) = self.run(&["listen", "--print-secret"]).await;
        assert_eq!((code, &*stderr), (Some(0), ""));
        stdout.trim().parse().unwrap()
    }
}

async fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let output = timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// A process that listens.
pub struct Listener {
    child: Child,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
    readers: [JoinHandle<()>; 2],
}

impl Listener {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (out, err) = (Arc::default(), Arc::default());
        let readers = [
            tokio::spawn(collect(child.stdout.take().unwrap(), Arc::clone(&out))),
            tokio::spawn(collect(child.stderr.take().unwrap(), Arc::clone(&err))),
        ];
        Self { child, out, err, readers }
    }

    pub fn stdout(&self) -> Vec<String> {
        self.out.lock().unwrap().clone()
    }

    pub fn stderr(&self) -> String {
        self.err.lock().unwrap().join("\n")
    }

    /// What programs were told, of this type.
    pub fn told(&self, kind: &str) -> Vec<Value> {
        let lines = self.stdout();
        let lines =
            lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("a JSON object a line"));
        lines.filter(|line| line["type"] == kind).collect()
    }

    /// Waits until so many things of this type were told.
    pub async fn expect(&self, kind: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} {kind} ({})", self.stderr()), async || {
            Some(self.told(kind)).filter(|told| told.len() >= count)
        })
        .await
    }

    pub async fn connected(&self) {
        self.expect("connected", 1).await;
    }

    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end: how it ended, and what it said on stderr.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends in time").unwrap();
        for reader in &mut self.readers {
            reader.await.unwrap();
        }
        (status, self.stderr())
    }
}

async fn collect(output: impl AsyncRead + Unpin, lines: Arc<Mutex<Vec<String>>>) {
    let mut output = BufReader::new(output).lines();
    while let Ok(Some(line)) = output.next_line().await {
        lines.lock().unwrap().push(line);
    }
}
