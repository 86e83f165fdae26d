//! The processes that receive, as the one that measures sees them: this program again, in
//! another role. They end with their handle.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::bad_receivers::{KINDS, Kind};
use crate::client::Connection;

/// How often the receiver is asked whether everything has arrived.
const POLL: Duration = Duration::from_millis(20);

/// Starts this program in a role. It tells where it listens in its first line.
async fn start(role: &str) -> Result<(Child, String), Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("the receiver has no output")?).lines();
    let line = lines.next_line().await?.ok_or("the receiver ended")?;
    Ok((child, line))
}

/// The one that checks and counts.
pub struct Receiver {
    _child: Child,
    pub pid: u32,
    pub address: SocketAddr,
}

impl Receiver {
    pub async fn start() -> Result<Self, Error> {
        let (child, address) = start("receiver").await?;
        Ok(Self { pid: child.id().ok_or("the receiver is gone")?, address: address.parse()?, _child: child })
    }

    async fn ask(&self, path: &str) -> Result<Bytes, Error> {
        let mut connection = Connection::open(self.address).await?;
        Ok(connection.send(Method::GET, path, &[], Bytes::new()).await?.body)
    }

    /// From now on it counts what arrives for this phase.
    pub async fn begin(&self, phase: u32) -> Result<(), Error> {
        self.ask(&format!("/begin/{phase}")).await.map(drop)
    }

    /// The same, in whatever order they come.
    pub async fn begin_unordered(&self, phase: u32) -> Result<(), Error> {
        self.ask(&format!("/begin/{phase}/unordered")).await.map(drop)
    }

    /// From now on it thinks so long before each answer.
    pub async fn delay(&self, delay: Duration) -> Result<(), Error> {
        self.ask(&format!("/delay/{}", delay.as_millis())).await.map(drop)
    }

    /// Deliveries in this phase so far.
    pub async fn count(&self) -> Result<u64, Error> {
        Ok(std::str::from_utf8(&self.ask("/count").await?)?.parse()?)
    }

    /// Waits until all have arrived, then checks them.
    pub async fn drained(&self, expected: u64, at_most: Duration) -> Result<Value, Error> {
        let deadline = Instant::now() + at_most;
        while self.count().await? < expected {
            if Instant::now() > deadline {
                let result = self.ask("/result").await?;
                return Err(format!("{expected} were to arrive: {}", String::from_utf8_lossy(&result)).into());
            }
            sleep(POLL).await;
        }
        self.check(expected).await
    }

    /// All of them, once each, signed, in one order. A repeat would be legal, but nothing here causes one.
    pub async fn check(&self, expected: u64) -> Result<Value, Error> {
        let result: Value = serde_json::from_slice(&self.ask("/result").await?)?;
        let none = ["repeated", "missing", "unsigned", "unreadable"];
        if result["count"] == expected
            && result["sameOrder"] == true
            && none.iter().all(|name| result[name] == 0)
        {
            return Ok(result);
        }
        Err(format!("not what was to arrive ({expected} in order): {result}").into())
    }
}

/// Those that do not do well.
pub struct BadReceivers {
    _child: Child,
    addresses: Vec<SocketAddr>,
}

impl BadReceivers {
    pub async fn start() -> Result<Self, Error> {
        let (child, addresses) = start("bad-receivers").await?;
        let addresses = addresses.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { _child: child, addresses })
    }

    /// Where one of a kind is to be found.
    pub fn target(&self, kind: Kind, number: u32) -> Result<String, Error> {
        let known = KINDS.iter().zip(&self.addresses).find(|(known, _)| **known == kind);
        let (_, address) = known.ok_or("no such receiver")?;
        let scheme = if kind == Kind::WithoutTls { "https" } else { "http" };
        Ok(format!("{scheme}://{address}/{number}"))
    }
}
