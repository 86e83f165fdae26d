//! Receivers that do not do well, each kind in its own way, in a process of their own: what
//! they cost themselves must not be taken from the good ones.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::WriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::Error;

/// What is wrong with a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Late,
    Silent,
    Dripping,
    Endless,
    Resetting,
    WithoutTls,
}

pub const KINDS: [Kind; 6] =
    [Kind::Late, Kind::Silent, Kind::Dripping, Kind::Endless, Kind::Resetting, Kind::WithoutTls];

/// Just within the 30 s of an attempt.
const LATE: Duration = Duration::from_secs(29);
/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_secs(1);
/// An answer that tells no length.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
/// TLS: a fatal alert, handshake_failure (RFC 8446 §6).
const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

impl Kind {
    /// Completes "receivers that …".
    pub fn title(self) -> &'static str {
        match self {
            Self::Late => "answer after 29 s",
            Self::Silent => "never answer",
            Self::Dripping => "drip one byte a second",
            Self::Endless => "answer without end",
            Self::Resetting => "reset the connection",
            Self::WithoutTls => "fail TLS",
        }
    }
}

/// Misbehaves until its standard input ends, that is until its parent does.
pub async fn run() -> Result<(), Error> {
    let mut addresses = Vec::new();
    for kind in KINDS {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?.to_string());
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    // That the other side gives up is what it should do.
                    Ok((stream, _)) => drop(tokio::spawn(misbehave(kind, stream))),
                    Err(error) => {
                        eprintln!("a bad receiver accepts nothing more: {error}");
                        sleep(DRIP).await;
                    }
                }
            }
        });
    }
    println!("{}", addresses.join(" "));
    tokio::io::stdin().read_exact(&mut [0]).await.ok();
    Ok(())
}

async fn misbehave(kind: Kind, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Something was asked.
    stream.read_exact(&mut [0]).await?;
    if kind == Kind::Resetting {
        return stream.set_zero_linger();
    }
    let (mut asks, mut answers) = stream.split();
    let mut nowhere = tokio::io::sink();
    tokio::select! {
        ended = tokio::io::copy(&mut asks, &mut nowhere) => ended.map(drop),
        answered = answer(kind, &mut answers) => answered,
    }
}

async fn answer(kind: Kind, stream: &mut WriteHalf<'_>) -> io::Result<()> {
    match kind {
        Kind::Late => {
            sleep(LATE).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
        }
        Kind::Dripping => {
            stream.write_all(HEAD).await?;
            loop {
                stream.write_all(b"1\r\n.\r\n").await?;
                sleep(DRIP).await;
            }
        }
        Kind::Endless => {
            stream.write_all(HEAD).await?;
            let chunk = [b"4000\r\n".as_slice(), &[b'.'; 0x4000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        Kind::WithoutTls => {
            stream.write_all(HANDSHAKE_FAILURE).await?;
            stream.shutdown().await?;
            // Until the other side is done: to close before would be a reset.
            std::future::pending().await
        }
        Kind::Silent | Kind::Resetting => std::future::pending().await,
    }
}
