//! A way to the database that can be cut, at exactly the statement that matters.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use super::database::Database;

/// When to cut the connection that carries a certain statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The database never sees the statement.
    Before,
    /// The database has carried it out, but its answer is lost.
    AnswerLost,
    /// The database has it, and may be at it yet.
    Midway,
}

/// Stands between a server and its database.
pub struct Proxy {
    /// The database by way of here.
    pub url: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    upstream: PathBuf,
    /// Cut at the next statement with the first text, then at one with the second, and so on.
    armed: Mutex<VecDeque<(Cut, &'static str)>>,
    /// Is there a way? Without one, connections are cut and new ones are too.
    open: watch::Sender<bool>,
    /// Cuts that were made.
    cuts: watch::Sender<usize>,
}

impl Proxy {
    pub async fn start(database: &Database) -> Self {
        let options: PgConnectOptions = database.url.parse().unwrap();
        let upstream = options.get_socket().unwrap().join(format!(".s.PGSQL.{}", options.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let url = format!("postgres://postgres@{address}/{}?sslmode=disable", database.name);
        let shared = Arc::new(Shared {
            upstream,
            armed: Mutex::default(),
            open: watch::Sender::new(true),
            cuts: watch::Sender::new(0),
        });
        let accepting = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *accepting.open.borrow() {
                    tokio::spawn(carry(accepting.clone(), client));
                }
            }
        });
        Self { url, shared, task }
    }

    /// Cuts the connection on which the next statement that contains `text` goes, after all
    /// cuts that were to be made before.
    pub fn arm(&self, cut: Cut, text: &'static str) {
        self.shared.armed.lock().unwrap().push_back((cut, text));
    }

    /// How often it was cut.
    pub fn cuts(&self) -> usize {
        *self.shared.cuts.borrow()
    }

    /// Cuts every connection and lets none through.
    pub fn close(&self) {
        self.shared.open.send_replace(false);
    }

    /// Lets them through again.
    pub fn open(&self) {
        self.shared.open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.close();
    }
}

async fn carry(shared: Arc<Shared>, mut client: TcpStream) {
    let Ok(mut database) = UnixStream::connect(&shared.upstream).await else { return };
    let mut closed = shared.open.subscribe();
    let mut statements = Statements::default();
    let (mut asked, mut answered) = (Vec::new(), vec![0; 64 * 1024]);
    let mut cutting = None;
    loop {
        tokio::select! {
            () = async { let _ = closed.wait_for(|open| !open).await; } => return,
            read = client.read_buf(&mut asked) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                while let Some(message) = statements.next(&mut asked) {
                    let armed = shared.armed.lock().unwrap().pop_front_if(|(_, text)| {
                        statements.text(&message).is_some_and(|statement| statement.contains(*text))
                    });
                    if let Some((cut, _)) = armed {
                        shared.cuts.send_modify(|cuts| *cuts += 1);
                        if cut == Cut::Before {
                            return;
                        }
                        cutting = Some(cut);
                    }
                    let sent = database.write_all(&message).await;
                    // A statement ends with Sync, or is a message by itself.
                    let whole = matches!(message[0], b'S' | b'Q');
                    if sent.is_err() || (whole && cutting == Some(Cut::Midway)) {
                        return;
                    }
                }
            }
            read = database.read(&mut answered) => match read {
                // Answers come when a statement is complete: what was to be done is done.
                Ok(count @ 1..) if cutting.is_none() && client.write_all(&answered[..count]).await.is_ok() => {}
                _ => return,
            }
        }
    }
}

/// What a client says, message by message (PostgreSQL's protocol, version 3).
#[derive(Default)]
struct Statements {
    started: bool,
    prepared: HashMap<Vec<u8>, String>,
}

impl Statements {
    /// Takes the next whole message from the buffer.
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        // Only the first message has no type.
        let tag = usize::from(self.started);
        let length = u32::from_be_bytes(buffer.get(tag..tag + 4)?.try_into().unwrap()) as usize;
        if buffer.len() < tag + length {
            return None;
        }
        self.started = true;
        let message: Vec<u8> = buffer.drain(..tag + length).collect();
        if message[0] == b'P' && tag == 1 {
            let mut parts = message[5..].split(|byte| *byte == 0);
            let (name, text) = (parts.next().unwrap(), parts.next().unwrap());
            self.prepared.insert(name.to_vec(), String::from_utf8_lossy(text).into_owned());
        }
        Some(message)
    }

    /// The statement that a message carries out.
    fn text(&self, message: &[u8]) -> Option<String> {
        match message {
            [b'Q', rest @ ..] => Some(String::from_utf8_lossy(&rest[4..]).into_owned()),
            [b'B', rest @ ..] => {
                let name = rest[4..].split(|byte| *byte == 0).nth(1).unwrap();
                self.prepared.get(name).cloned()
            }
            _ => None,
        }
    }
}
