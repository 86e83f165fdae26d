//! The server under test: the release binary, with a database of its own that is thrown away.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::client::Connection;
use crate::{Error, delivery, proc};

/// Known to everybody, and good for a server on loopback that lives for minutes.
const KEY: &str = "ck_00000000000000000000000000000000000000000000000000000000000be9c4";
/// Time to create a database and to start.
const START: Duration = Duration::from_secs(120);
/// Time to stop; PostgreSQL goes some seconds after its last user.
const STOP: Duration = Duration::from_secs(60);

pub struct Server {
    child: Child,
    pub pid: u32,
    pub postmaster: u32,
    pub address: SocketAddr,
    program: PathBuf,
    data_dir: PathBuf,
}

/// Builds the server as it is released.
pub async fn build() -> Result<PathBuf, Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace has no directory")?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--bin", "isao", "--message-format=json-render-diagnostics"])
        .current_dir(root)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    let messages = String::from_utf8_lossy(&built.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    program.filter(|_| built.status.success()).ok_or_else(|| "the server does not build".into())
}

/// The program, kept away from any database but the one in `data_dir`.
fn command(program: &Path, arguments: &[&str], data_dir: &Path) -> Command {
    let mut command = Command::new(program);
    let settings = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ISAO_"));
    for (name, _) in settings {
        command.env_remove(name);
    }
    command.args(arguments).arg("--data-dir").arg(data_dir);
    command.env_remove("DATABASE_URL").env("ISAO_LOG", "warn").kill_on_drop(true);
    command
}

impl Server {
    pub async fn start(program: PathBuf, data_dir: PathBuf) -> Result<Self, Error> {
        let serve = ["serve", "--bind", "127.0.0.1:0", "--demo-key", KEY];
        let mut child =
            command(&program, &serve, &data_dir).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let pid = child.id().ok_or("the server is gone")?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the server has no output")?).lines();
        let address = timeout(START, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = address_in(&line) {
                    return Ok::<_, Error>(address);
                }
            }
            Err("the server ended before it listened".into())
        });
        let address = address.await.map_err(|_| "the server did not start in time")??;
        // Its output is read to the end, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let postmaster = proc::postmaster(&data_dir).ok_or("the server's PostgreSQL was not found")?;
        Ok(Self { child, pid, postmaster, address, program, data_dir })
    }

    pub fn authorization() -> String {
        format!("Bearer {KEY}")
    }

    /// `isao database -- …` on the same PostgreSQL.
    pub fn on_database(&self) -> Command {
        let mut command = command(&self.program, &["database"], &self.data_dir);
        command.arg("--");
        command
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Error> {
        let authorization = Self::authorization();
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let path = format!("/api/external{path}");
        let mut connection = Connection::open(self.address).await?;
        let (status, answer) =
            connection.send(method, &path, &headers, Bytes::from(body.to_string())).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&answer)?);
        }
        Err(format!("{path}: {status} {}", String::from_utf8_lossy(&answer)).into())
    }

    /// Subscribes to created contacts; the subscription's id.
    pub async fn subscribe(&self, target: String, filters: Option<Value>) -> Result<String, Error> {
        let body = json!({
            "event": "contact.created", "target_url": target, "secret": delivery::secret(), "filters": filters,
        });
        let answer = self.call(Method::POST, "/webhooks/subscribe", &body).await?;
        Ok(answer["subscription_id"].as_str().ok_or("a subscription has no id")?.to_owned())
    }

    pub async fn set_active(&self, subscription: &str, is_active: bool) -> Result<(), Error> {
        let path = format!("/webhooks/{subscription}");
        self.call(Method::PATCH, &path, &json!({"is_active": is_active})).await.map(drop)
    }

    pub async fn unsubscribe(&self, subscription: &str) -> Result<(), Error> {
        self.call(Method::DELETE, &format!("/webhooks/{subscription}"), &json!({})).await.map(drop)
    }

    /// Stops the server, waits for its PostgreSQL to go, and removes the data.
    pub async fn stop(mut self) -> Result<(), Error> {
        let deadline = Instant::now() + STOP;
        Command::new("kill").arg(self.pid.to_string()).status().await?;
        timeout(STOP, self.child.wait()).await.map_err(|_| "the server does not stop")??;
        while proc::postmaster(&self.data_dir).is_some() {
            if Instant::now() > deadline {
                return Err(format!("PostgreSQL is still in {}", self.data_dir.display()).into());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(std::fs::remove_dir_all(&self.data_dir)?)
    }
}

/// One of the numbers at `/metrics`.
pub async fn metric(address: SocketAddr, name: &str) -> Result<f64, Error> {
    let mut connection = Connection::open(address).await?;
    let (_, text) = connection.send(Method::GET, "/metrics", &[], Bytes::new()).await?;
    let mut lines = std::str::from_utf8(&text)?.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.ok_or_else(|| format!("there is no metric {name}").into())
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("http://")?.1;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_sentence() {
        let address = "127.0.0.1:8080".parse().ok();
        assert_eq!(address_in("isao listens on http://127.0.0.1:8080/api/external"), address);
        assert_eq!(address_in("  curl http://127.0.0.1:8080"), address);
        assert_eq!(address_in("see https://example.com"), None);
    }
}
