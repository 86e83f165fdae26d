//! The composition root: puts the parts together and takes them apart in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admin::Admin;
use crate::clock::Clock;
use crate::database::{Reads, postgres};
use crate::delivery::{Delivery, Tuning};
use crate::http::auth::Auth;
use crate::listeners::Listeners;
use crate::log::{Appender, Committed, LogState};
use crate::metrics::Metrics;
use crate::model::ids::{CompanyId, Ids};
use crate::outbound::address::{AddressPolicy, AllowList};
use crate::outbound::client::{Client, TrustedCas};
use crate::outbound::dns::Resolver;
use crate::outbound::targets::Targets;
use crate::resources::deliveries::Tester;
use crate::resources::feed::Streams;
use crate::resources::{Api, Crm, Tools};
use crate::retention::Retention;
use crate::server::Role;
use crate::server::deliver::{DeliveryThreads, deliver};
use crate::server::listen::listen;
use crate::server::router::router;
use crate::server::threads::Threads;
use crate::tallies::Tallies;
use crate::writer::{Batches, Writer};

/// Batches that may wait for the tail; more, and it reads the log instead.
const TAIL_QUEUE: usize = 64;
/// How long the last counts are waited for.
const COUNTS_TIMEOUT: Duration = Duration::from_secs(1);
/// How long requests in flight are waited for when the server stops.
const REQUESTS_TIMEOUT: Duration = Duration::from_secs(10);
/// How to run.
pub struct Settings {
    /// Where to listen; port 0 picks one.
    pub bind: SocketAddr,
    /// The database, up to date.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// What this process does.
    pub role: Role,
    /// How it delivers.
    pub tuning: Tuning,
    /// Authorities that receivers' certificates may be of, beside those of the system.
    pub trusted: TrustedCas,
    /// Exceptions from the address policy.
    pub allow_targets: AllowList,
    /// The company whose webhooks may go to this machine's own services, while it listens on loopback.
    pub loopback_for: Option<CompanyId>,
    /// Connections of callers that may be open at a time.
    pub connections: usize,
    /// How old events and attempts get, at least.
    pub retention: Duration,
    /// Who knows the addresses of targets.
    pub resolver: Resolver,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {0} ({1}); choose another address with --bind or ISAO_BIND")]
    Bind(SocketAddr, std::io::Error),
    /// No TLS.
    #[error("cannot set up TLS for deliveries: {0}")]
    Tls(Box<dyn std::error::Error + Send + Sync>),
    /// No threads.
    #[error("cannot start threads ({0})")]
    Threads(std::io::Error),
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    stop_http: watch::Sender<bool>,
    stop_delivery: watch::Sender<bool>,
    http: JoinHandle<()>,
    writer: JoinHandle<()>,
    delivery: JoinHandle<()>,
    retention: JoinHandle<()>,
    looking: JoinHandle<()>,
    counting: JoinHandle<()>,
    /// What is counted, and where it is written.
    counted: (Tallies, PgPool),
    _writing: Threads,
}

impl Server {
    /// Starts everything; returns when the server listens.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings { bind, pool, clock, .. } = settings;
        let listener = TcpListener::bind(bind).await.map_err(|error| StartError::Bind(bind, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Bind(bind, error))?;
        let loopback = settings.loopback_for.filter(|_| address.ip().is_loopback());
        let policy = AddressPolicy { allow: settings.allow_targets, loopback };
        let targets = Targets::new(policy, settings.resolver);
        let client = Client::new(targets.clone(), settings.tuning.timeout, &settings.trusted)
            .map_err(StartError::Tls)?;
        let ids = Ids::default();
        let log = LogState::default();
        let listeners = Listeners::default();
        let metrics = Arc::new(Metrics::default());

        let retention = Retention {
            pool: pool.clone(),
            clock: clock.clone(),
            keep: settings.retention,
            log: log.clone(),
        };
        let enough_until = retention.prepare().await;
        let retention = tokio::spawn(retention.run(enough_until));

        let writing = Threads::start("isao-write", 1).map_err(StartError::Threads)?;
        let delivering = DeliveryThreads::start().map_err(StartError::Threads)?;
        let (tail, committed) = mpsc::channel(TAIL_QUEUE);
        let batches = Batches::new(
            Crm,
            (pool.clone(), clock.clone()),
            Appender::new(ids.clone(), log.clone()),
            (tail, listeners.clone()),
            metrics.clone(),
        );
        let (writer, writer_task) = Writer::start(batches, writing.handle());

        let (stop_delivery, stopped) = watch::channel(false);
        let delivery = Delivery {
            pool: pool.clone(),
            clock: clock.clone(),
            client: client.clone(),
            replica: ids.next(clock.now()),
            tuning: settings.tuning.clone(),
            log,
            listeners: listeners.clone(),
            metrics: metrics.clone(),
            recording: writing.handle().clone(),
            keeping: writing.handle().clone(),
        };
        let delivery = match settings.role {
            Role::All | Role::Deliver => {
                tokio::spawn(deliver(delivery, ids.clone(), delivering, committed, stopped))
            }
            Role::Api => tokio::spawn(idle(committed, stopped)),
        };

        let brief = postgres::small(&pool);
        let looking = tokio::spawn(listeners.clone().look(brief.clone()));

        let counted = metrics.tallies.clone();
        let counting = tokio::spawn(counted.clone().run(brief.clone()));

        let (stop_http, stopped) = watch::channel(false);
        let counts = brief.clone();
        let admin = Admin { pool: brief.clone(), clock: clock.clone(), ids: ids.clone() };
        let auth = Auth::new(brief, clock.clone());
        let streams = Streams::new(listeners, stopped.clone());
        let tester = Tester::new(client, settings.tuning.timeout);
        let api = Api::new(Tools {
            reads: Reads::new(pool),
            writer,
            clock: clock.clone(),
            ids,
            auth,
            targets,
            streams,
            metrics,
            admin,
            tester,
        });
        let service = router(api, settings.role);
        let http = tokio::spawn(listen(listener, (service, clock), settings.connections, stopped));
        Ok(Self {
            address,
            stop_http,
            stop_delivery,
            http,
            writer: writer_task,
            delivery,
            retention,
            looking,
            counting,
            counted: (counted, counts),
            _writing: writing,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until one of its parts ends, which none does unless it failed.
    pub async fn failed(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.http => "the HTTP server",
            _ = &mut self.writer => "the writer",
            _ = &mut self.delivery => "the delivery",
            _ = &mut self.retention => "the retention",
            _ = &mut self.counting => "the counting for the dashboard",
            _ = &mut self.looking => "the look at the log for event streams",
        }
    }

    /// Stops accepting, finishes what is in flight within a bound, records it.
    /// True if every part ended as it should.
    pub async fn stop(mut self) -> bool {
        let _ = self.stop_http.send(true);
        let mut well = match timeout(REQUESTS_TIMEOUT, &mut self.http).await {
            Ok(ended) => ended.is_ok(),
            Err(_) => {
                tracing::warn!("some requests were still in flight after 10 s and were cut off");
                self.http.abort();
                true
            }
        };
        let _ = self.stop_delivery.send(true);
        well &= self.delivery.await.is_ok();
        for task in [self.retention, self.looking, self.counting] {
            task.abort();
            well &= !matches!(task.await, Err(error) if error.is_panic());
        }
        // With the last handler gone the writer has answered everything.
        if timeout(REQUESTS_TIMEOUT, &mut self.writer).await.map_or(true, |ended| ended.is_err()) {
            tracing::warn!("the writer did not finish within 10 s and was stopped");
            self.writer.abort();
        }
        let (counted, pool) = self.counted;
        let _ = timeout(COUNTS_TIMEOUT, counted.write(&pool)).await;
        well
    }
}

/// What a process does instead of delivering: it lets go of what others read from the log.
async fn idle(mut committed: mpsc::Receiver<Committed>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = async { while committed.recv().await.is_some() {} } => {}
    }
}
