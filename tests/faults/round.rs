//! One round: servers on a database of their own, subscriptions, load, a fault, and the check.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isao::admin::{Admin, demo};
use isao::clock::Clock;
use isao::database::postgres;
use isao::model::api_key::{ApiKey, ServiceType};
use isao::model::ids::{Ids, SubscriptionId};
use isao::server::Server;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::check::{self, Finding, Logged, Seen, Verdict};
use super::database::{Cluster, Database};
use super::fault::Fault;
use super::load::{self, Api, CITIES, Load, STAGES, Told, Write};
use super::proxy::Proxy;
use super::receiver::{Receiver, UNRELIABLE};
use super::server::{self, Process};
use super::{LEASE, PATIENCE, eventually};

/// Writes that are answered between one blow and the next.
const WORK: usize = 60;
/// Before a fault: what was sent so shortly before may not be on record.
const BEFORE: Duration = Duration::from_secs(1);
/// After a fault, beside the lease: until the last one has noticed, on a busy machine.
const AFTER: Duration = Duration::from_secs(4);
/// What is late, and should not come at all, has so long to come.
const SETTLE: Duration = Duration::from_millis(300);

/// A subscription under test.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub event: &'static str,
    pub filter: Option<(&'static str, &'static str)>,
}

/// The subscriptions to one URL; no event is for two of them.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it is received; it names the endpoint.
    pub path: &'static str,
    pub subscriptions: Vec<Subscription>,
}

impl Endpoint {
    /// Does its receiver fail now and then?
    pub fn is_unreliable(&self) -> bool {
        self.path.starts_with(UNRELIABLE)
    }
}

/// A time during which something was wrong, and may have consequences.
pub type Window = (Instant, Instant);

/// Everything there is during a round.
pub struct Round<'a> {
    pub cluster: &'a mut Cluster,
    pub database: Database,
    pub proxy: Proxy,
    pub processes: Vec<Process>,
    /// Of the servers in this process.
    pub clocks: Vec<Clock>,
    in_process: Vec<Server>,
    directory: PathBuf,
    logs: PathBuf,
    fault: Fault,
    started: usize,
    api: Api,
    receiver: Receiver,
    endpoints: Vec<Endpoint>,
    load: Load,
    windows: Vec<Window>,
}

impl<'a> Round<'a> {
    /// Starts servers and load.
    pub async fn start(cluster: &'a mut Cluster, directory: &Path, name: String, fault: Fault) -> Self {
        let logs = directory.join(&name);
        std::fs::create_dir(&logs).unwrap();
        let database = cluster.create(&name).await;
        let api = Api::new(&prepare(&database).await);
        let proxy = Proxy::start(&database).await;
        let receiver = Receiver::start().await;
        let mut round = Self {
            cluster,
            database,
            proxy,
            processes: Vec::new(),
            clocks: Vec::new(),
            in_process: Vec::new(),
            directory: directory.to_owned(),
            logs,
            fault,
            started: 0,
            load: Load::idle(),
            api,
            receiver,
            endpoints: Vec::new(),
            windows: Vec::new(),
        };
        for _ in 0..fault.processes() {
            round.start_server().await;
        }
        if fault.processes() == 0 {
            round.start_in_process().await;
        }
        round.subscribe().await;
        round.load = Load::start(&round.api);
        round
    }

    async fn start_in_process(&mut self) {
        for _ in 0..2 {
            let clock = Clock::wrong();
            self.in_process.push(server::in_process(&self.proxy.url, clock.clone()).await);
            self.clocks.push(clock);
        }
        self.api.addresses.set(self.in_process.iter().map(Server::address).collect());
    }

    /// Starts one more server.
    pub async fn start_server(&mut self) {
        self.started += 1;
        let process = match self.fault {
            Fault::LogStuck => Process::serve_unread(&self.proxy.url).await,
            _ => {
                let log = self.logs.join(format!("server-{}.log", self.started));
                Process::serve(&self.proxy.url, log).await
            }
        };
        self.processes.push(process);
        self.addresses_change();
    }

    /// `kill -9` of a server.
    pub async fn kill_server(&mut self, number: usize) {
        let process = self.processes.remove(number);
        self.addresses_change();
        process.kill().await;
    }

    fn addresses_change(&self) {
        self.api.addresses.set(self.processes.iter().map(|process| process.address).collect());
    }

    /// Starts PostgreSQL again after it was killed.
    pub fn restart_cluster(&mut self) {
        let cluster = tokio::task::block_in_place(|| Cluster::start(&self.directory));
        *self.cluster = cluster;
    }

    async fn subscribe(&mut self) {
        let all = [
            ("/contact.created", "contact.created", None),
            ("/contact.updated", "contact.updated", None),
            ("/deal.created", "deal.created", None),
            ("/deal.updated", "deal.updated", None),
            ("/deal.stage_changed", "deal.stage_changed", None),
            ("/paris", "contact.updated", Some(("city", CITIES[0]))),
            ("/proposal", "deal.stage_changed", Some(("stage", STAGES[0]))),
            ("/unreliable/contact.created", "contact.created", None),
            ("/unreliable/paris", "contact.updated", Some(("city", CITIES[0]))),
            // A contact's and a deal's life in order.
            ("/all", "contact.created", None),
            ("/all", "contact.updated", Some(("city", CITIES[0]))),
            ("/all", "deal.created", None),
            ("/all", "deal.updated", None),
            ("/all", "deal.stage_changed", None),
            ("/unreliable/created", "contact.created", None),
            ("/unreliable/created", "deal.created", None),
        ];
        for (path, event, filter) in all {
            let mut body = json!({"event": event, "target_url": self.receiver.url(path)});
            if let Some((field, value)) = filter {
                body["filters"] = json!({field: value});
            }
            let (status, answer) =
                self.api.send(Method::POST, "/webhooks/subscribe", &body).await.expect("an answer");
            assert_eq!(status, StatusCode::CREATED, "{answer}");
            let id = answer["subscription_id"].as_str().and_then(SubscriptionId::parse).unwrap();
            let subscription = Subscription { id, event, filter };
            match self.endpoints.iter_mut().find(|endpoint| endpoint.path == path) {
                Some(endpoint) => endpoint.subscriptions.push(subscription),
                None => self.endpoints.push(Endpoint { path, subscriptions: vec![subscription] }),
            }
        }
    }

    /// Waits until some more writes were answered.
    pub async fn work(&self) {
        let before = self.load.answered();
        eventually("writes are answered", async || (self.load.answered() >= before + WORK).then_some(()))
            .await;
    }

    /// From here on things may arrive twice …
    pub fn fault_begins(&mut self) {
        let now = Instant::now();
        self.windows.push((now.checked_sub(BEFORE).unwrap_or(now), now));
    }

    /// … until some time after writes are answered again.
    pub async fn fault_ends(&mut self) {
        self.work().await;
        if let Some((_, end)) = self.windows.last_mut() {
            *end = Instant::now() + LEASE + AFTER;
        }
    }

    /// Ends the load, waits until all is delivered, and checks everything.
    pub async fn end(mut self) -> Verdict {
        let mut writes = std::mem::replace(&mut self.load, Load::idle()).stop().await;
        let closed = tokio::time::timeout(PATIENCE, load::close(&self.api)).await;
        let mut findings = Vec::new();
        match closed {
            Ok(closing) => writes.extend(closing),
            Err(_) => findings.push(Finding::other("the last writes were never answered".into())),
        }
        let seen = self.come_to_rest(&mut findings).await;
        tokio::time::sleep(SETTLE).await;
        self.servers_are_well(&mut findings).await;
        let mut verdict = check::check(&seen, &self.receiver, &self.endpoints, &writes, &self.windows);
        // First what explains the others.
        findings.append(&mut verdict.findings);
        verdict.findings = findings;
        verdict.unanswered = writes.iter().filter(|write: &&Write| write.told != Told::Done).count();
        drop(std::mem::take(&mut self.processes));
        if verdict.findings.is_empty() {
            self.cluster.drop(&self.database).await;
            let _ = std::fs::remove_dir_all(&self.logs);
        } else {
            let (logs, name, directory) =
                (self.logs.display(), &self.database.name, self.directory.display());
            println!("  its logs: {logs}");
            println!("  its database: isao database --data-dir {directory}/database -- psql -d {name}");
        }
        verdict
    }

    /// All subscriptions, each with its path.
    fn subscriptions(&self) -> impl Iterator<Item = (&str, &Subscription)> {
        self.endpoints.iter().flat_map(|endpoint| {
            endpoint.subscriptions.iter().map(|subscription| (endpoint.path, subscription))
        })
    }

    /// Waits until every cursor has passed the last event of its subscription.
    async fn come_to_rest(&self, findings: &mut Vec<Finding>) -> Seen {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.look().await.unwrap_or_default();
            let resting = !seen.events.is_empty()
                && self.subscriptions().all(|(_, subscription)| seen.rests(subscription));
            if resting {
                return seen;
            }
            if Instant::now() > deadline {
                for (path, subscription) in self.subscriptions().filter(|(_, known)| !seen.rests(known)) {
                    let position = seen.positions.get(&subscription.id);
                    findings.push(Finding::other(format!(
                        "{} at {path} does not come to rest: it stands at {position:?}, its last event is {:?}",
                        subscription.event,
                        seen.last_of(subscription),
                    )));
                }
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the database holds.
    async fn look(&self) -> sqlx::Result<Seen> {
        let mut connection = PgConnection::connect(&self.database.url).await?;
        let events = sqlx::query_as("SELECT seq, id, type, data FROM events ORDER BY seq")
            .fetch_all(&mut connection)
            .await?;
        let positions = sqlx::query_as(
            "SELECT subscription_id, lagging, head_attempts,
                    CASE WHEN lagging THEN seq ELSE greatest(seq, checkpoint) END AS seq
             FROM cursors JOIN shards ON shards.id = cursors.shard",
        )
        .fetch_all(&mut connection)
        .await?;
        let undelivered = sqlx::query_as(
            "SELECT subscription_id, event_id, array_agg(DISTINCT attempt ORDER BY attempt)
             FROM attempts GROUP BY 1, 2 HAVING bool_or(outcome = 'undelivered')",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok(Seen::new(events.into_iter().map(Logged::read).collect(), positions, undelivered))
    }

    /// Nobody ended or panicked.
    async fn servers_are_well(&mut self, findings: &mut Vec<Finding>) {
        for process in &mut self.processes {
            if let Some(status) = process.ended() {
                findings.push(Finding::other(format!("a server ended by itself: {status}")));
            }
        }
        for server in std::mem::take(&mut self.in_process) {
            if !server.stop().await {
                findings.push(Finding::other("a server in this process did not end well".into()));
            }
        }
        for entry in std::fs::read_dir(&self.logs).unwrap().flatten() {
            let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
            for line in log.lines().filter(|line| line.contains("panicked")) {
                findings.push(Finding::other(format!("{}: {line}", entry.path().display())));
            }
        }
    }
}

/// Brings the schema up to date; a key of a company.
async fn prepare(database: &Database) -> String {
    let pool = postgres::open(&database.url).await.unwrap();
    let admin = Admin { pool, clock: Clock::system(), ids: Ids::default() };
    let key = ApiKey::generate(ServiceType::Generic, isao::random::bytes().unwrap());
    demo::ensure(&admin, Some(&key), None).await.unwrap();
    admin.pool.close().await;
    key.reveal().to_owned()
}
