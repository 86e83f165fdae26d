//! The server under test: the release binary, with a database of its own that is thrown away.

use std::fs::OpenOptions;
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
use crate::database::Database;
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
    pub database: Database,
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

impl Server {
    pub async fn start(database: Database) -> Result<Self, Error> {
        let mut serve = database.isao(&["serve", "--bind", "127.0.0.1:0", "--demo-key", KEY]);
        // A file, so that what it warns of costs us nothing while we measure.
        let warnings = OpenOptions::new().create(true).append(true).open(database.warnings())?;
        let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(warnings).spawn()?;
        let pid = child.id().ok_or("the server is gone")?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the server has no output")?).lines();
        let address = timeout(START, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = address_in(&line) {
                    return Ok::<_, Error>(address);
                }
            }
            database.tell_warnings()?;
            Err("the server ended before it listened".into())
        });
        let address = address.await.map_err(|_| "the server did not start in time")??;
        // Its output is read to the end, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let postmaster = proc::postmaster(database.dir()).ok_or("the server's PostgreSQL was not found")?;
        Ok(Self { child, pid, postmaster, address, database })
    }

    /// Stops it, leaves the data, and starts another one on them: it knows what was changed
    /// behind the first one's back `meanwhile`.
    /// Answers how long it took until that one listened.
    pub async fn restart(
        &mut self,
        meanwhile: impl Future<Output = Result<(), Error>>,
    ) -> Result<Duration, Error> {
        self.end().await?;
        meanwhile.await?;
        let started = Instant::now();
        *self = Self::start(self.database.clone()).await?;
        Ok(started.elapsed())
    }

    /// The key of the company that the server makes by itself.
    pub fn authorization() -> String {
        format!("Bearer {KEY}")
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Error> {
        let authorization = Self::authorization();
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let path = format!("/api/external{path}");
        let mut connection = Connection::open(self.address).await?;
        let answer = connection.send(method, &path, &headers, Bytes::from(body.to_string())).await?;
        if answer.status.is_success() {
            return Ok(serde_json::from_slice(&answer.body)?);
        }
        Err(format!("{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)).into())
    }

    /// Subscribes to created contacts; the subscription's id.
    pub async fn subscribe(&self, target: String, filters: Option<Value>) -> Result<String, Error> {
        self.subscribe_with(target, json!({ "filters": filters })).await
    }

    /// The same with fields of the caller's own.
    pub async fn subscribe_with(&self, target: String, mut body: Value) -> Result<String, Error> {
        body["event"] = "contact.created".into();
        body["target_url"] = target.into();
        body["secret"] = delivery::secret().into();
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
        self.end().await?;
        let dir = self.database.dir();
        while proc::postmaster(dir).is_some() {
            if Instant::now() > deadline {
                return Err(format!("PostgreSQL is still in {}", dir.display()).into());
            }
            sleep(Duration::from_millis(100)).await;
        }
        self.database.tell_warnings()?;
        Ok(std::fs::remove_dir_all(dir)?)
    }

    async fn end(&mut self) -> Result<(), Error> {
        // It has no id any more if it ended already.
        if let Some(pid) = self.child.id() {
            Command::new("kill").arg(pid.to_string()).status().await?;
        }
        timeout(STOP, self.child.wait()).await.map_err(|_| "the server does not stop")??;
        Ok(())
    }
}

/// One of the numbers at `/metrics`.
pub async fn metric(address: SocketAddr, name: &str) -> Result<f64, Error> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.send(Method::GET, "/metrics", &[], Bytes::new()).await?;
    let mut lines = std::str::from_utf8(&answer.body)?.lines();
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
