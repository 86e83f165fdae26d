//! More writers than it can serve: does it say so at once, go on serving the others and delivering,
//! keep its memory, and recover?

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use crate::delivery::now;
use crate::isolation::watched;
use crate::load::{Load, Refused, Until, Work, percentile};
use crate::phases::{PACE, Phases, between, percentiles, requests};
use crate::report::Figures;
use crate::{Error, proc, tenants};

/// Connections that it serves well.
pub const SERVED: u32 = 64;
/// Connections of one company: it may have 512 writes waiting.
pub const WRITERS: u32 = 2_048;
/// Companies with as many connections as each may have writes waiting: together twice as many as
/// all may.
pub const COMPANIES: u32 = 8;
pub const OF_ALL: u32 = COMPANIES * 512;
/// Subscriptions of the first company.
pub const DELIVERED: u32 = 10;
/// Open files beside the connections.
const OTHERS: u64 = 256;
/// One look at whether it has recovered.
const PROBE: Duration = Duration::from_secs(2);
/// It should have by then: not before the deliveries have ended.
const RECOVERY: Duration = DRAIN;
/// It has when the p99 is within so many times that of before.
const RECOVERED: f64 = 2.0;

/// The end of the log, and what the company has beyond it that the server makes by itself.
const HEAD: &str = "SELECT seq FROM log_head";
const OF_FIRST: &str = "SELECT count(*) FROM events WHERE seq > HEAD AND type = 'contact.created'
    AND company_id = (SELECT id FROM companies ORDER BY created_at LIMIT 1)";
/// Time for the last delivery to arrive: a minute of creates, ten times each.
const DRAIN: Duration = Duration::from_secs(30 * 60);

/// Too many writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// Of one company; whoever is refused waits as long as it was told.
    Patient,
    /// Of one company; whoever is refused asks again at once.
    Insistent,
    /// Of many companies, which fill the whole queue together.
    Everybody,
}

pub const CROWDS: [Crowd; 3] = [Crowd::Patient, Crowd::Insistent, Crowd::Everybody];

impl Crowd {
    pub fn connections(self) -> u32 {
        if self == Self::Everybody { OF_ALL } else { WRITERS }
    }

    fn refused(self) -> Refused {
        if self == Self::Insistent { Refused::Insists } else { Refused::Waits }
    }
}

impl Phases {
    pub async fn pressure(&mut self, figures: &mut Figures) -> Result<(), Error> {
        raise_open_files(u64::from(OF_ALL) + OTHERS)?;
        tenants::make(&self.server.database, COMPANIES).await?;
        let (before, _) = self.run(self.probe(self.scale.latency)).await?;
        percentiles(figures, "probe", &before.latencies);
        let normal = percentile(&before.latencies, 0.99);
        let served = self.of(Work::Create, SERVED, Until::Time(self.scale.latency));
        self.under(figures, "served", served, normal).await?;
        for crowd in CROWDS {
            eprintln!("{} connections: {crowd:?}", crowd.connections());
            let until = Until::Time(self.scale.pressure);
            let mut load = self.of(Work::Create, crowd.connections(), until);
            load.refused = crowd.refused();
            if crowd == Crowd::Everybody {
                let mut all = load.authorizations.to_vec();
                all.extend(tenants::authorizations(COMPANIES - 1));
                load.authorizations = all.into();
            }
            self.under(figures, &format!("{crowd:?}"), load, normal).await?;
        }
        Ok(())
    }

    /// What becomes of a load, of the deliveries meanwhile, and of the server after it.
    async fn under(
        &mut self,
        figures: &mut Figures,
        key: &str,
        load: Load,
        normal: u32,
    ) -> Result<(), Error> {
        let ids = self.subscribe(DELIVERED).await?;
        let head: u64 = self.server.database.run(HEAD).await?.trim().parse()?;
        let server = (self.server.pid, self.server.address);
        let ((outcome, cpu), most) = watched(server, self.run(load)).await?;
        let (stopped_at, arrived) = (now(), self.receiver.count().await?);
        requests(figures, key, &outcome);
        for (name, value) in [
            ("refused", outcome.refused as f64 / outcome.seconds),
            ("deliveries", arrived as f64 / outcome.seconds),
            ("cpu", cpu.product() / 1e6 / outcome.seconds),
            ("cpu generator", cpu.generator / 1e6 / outcome.seconds),
            ("memory", most.memory),
        ] {
            figures.set(format!("{key}/{name}"), value);
        }
        let probe = Load { phase: self.phase, ..self.probe(PROBE) };
        let drained = async {
            let created = OF_FIRST.replace("HEAD", &head.to_string());
            let created: u64 = self.server.database.run(&created).await?.trim().parse()?;
            self.receiver.drained(created * u64::from(DELIVERED), DRAIN).await
        };
        let ((normal_after, phase), result) = tokio::try_join!(recovered(probe, normal), drained)?;
        self.phase = phase;
        figures.set(format!("{key}/normal after"), normal_after.as_secs_f64());
        figures.set(format!("{key}/drained after"), between(stopped_at, &result));
        figures.set(format!("{key}/memory after"), proc::memory(self.server.pid).0);
        self.unsubscribe(ids).await
    }

    /// Creates at an easy pace, of a company that nobody subscribed to and that is in no crowd.
    fn probe(&self, time: Duration) -> Load {
        let (pace, connections) = PACE;
        let until = Until::Count((time.as_secs_f64() * pace) as u64);
        let last = tenants::authorizations(COMPANIES).pop();
        let authorizations = Arc::new(last.into_iter().collect());
        Load { pace: Some(pace), authorizations, ..self.of(Work::Create, connections, until) }
    }
}

/// Looks again and again, until requests take no longer than they did: after how long that was,
/// and the last phase used.
async fn recovered(mut probe: Load, normal: u32) -> Result<(Duration, u32), Error> {
    let started = Instant::now();
    loop {
        let after = started.elapsed();
        probe.phase += 1;
        let outcome = probe.clone().run().await?;
        if let Some(error) = outcome.first_error {
            return Err(format!("after the load: {error}").into());
        }
        let p99 = percentile(&outcome.latencies, 0.99);
        if f64::from(p99) <= RECOVERED * f64::from(normal) {
            return Ok((after, probe.phase));
        }
        if after > RECOVERY {
            return Err(format!("requests still take {p99} µs (p99), and took {normal} before").into());
        }
    }
}

/// Each connection takes one.
fn raise_open_files(wanted: u64) -> Result<(), Error> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < wanted) {
        return Err(format!("{wanted} files are to be open: raise the hard limit (ulimit -Hn)").into());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?)
}
