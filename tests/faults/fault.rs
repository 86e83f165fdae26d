//! The faults, each with how it strikes.

use std::time::Duration;

use chrono::TimeDelta;

use super::LEASE;
use super::random::below;
use super::round::Round;

/// How often a fault strikes in a round.
const BLOWS: usize = 2;
/// A blow falls at a random instant within this time, in milliseconds.
const INSTANT_MS: usize = 500;
/// How long a server is frozen: until others have long noticed.
const FROZEN: Duration = LEASE.saturating_mul(2).saturating_add(Duration::from_secs(1));
/// Where a clock jumps to, in hours from the right time.
const JUMPS: [i64; 6] = [5, -5, 26, 40 * 24, -2, 0];

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ServerKilled,
    OneOfThreeKilled,
    ServerFrozen,
    PostgresKilled,
    PostgresRestarted,
    DatabaseAway,
    ClockJumps,
    LogStuck,
    ReceiverFails,
}

impl Fault {
    pub const ALL: [Fault; 9] = [
        Self::ServerKilled,
        Self::OneOfThreeKilled,
        Self::ServerFrozen,
        Self::PostgresKilled,
        Self::PostgresRestarted,
        Self::DatabaseAway,
        Self::ClockJumps,
        Self::LogStuck,
        Self::ReceiverFails,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::ServerKilled => "server-killed",
            Self::OneOfThreeKilled => "one-of-three-killed",
            Self::ServerFrozen => "server-frozen",
            Self::PostgresKilled => "postgres-killed",
            Self::PostgresRestarted => "postgres-restarted",
            Self::DatabaseAway => "database-away",
            Self::ClockJumps => "clock-jumps",
            Self::LogStuck => "log-stuck",
            Self::ReceiverFails => "receiver-fails",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Self::ServerKilled => "kill -9 of the only server, and another one after it",
            Self::OneOfThreeKilled => "kill -9 of one of three servers",
            Self::ServerFrozen => "one of two servers is stopped for longer than its lease, and goes on",
            Self::PostgresKilled => "kill -9 of PostgreSQL's first process, then of one with a connection",
            Self::PostgresRestarted => "pg_ctl restart -m immediate",
            Self::DatabaseAway => {
                "every connection to the database is cut, and none comes through for a while"
            }
            Self::ClockJumps => "the clocks of two servers jump forwards and backwards by hours and by weeks",
            Self::LogStuck => "nobody reads what the only server logs; then its stderr is gone",
            Self::ReceiverFails => "nothing but receivers that fail three of ten deliveries",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|fault| fault.name() == name);
        found.ok_or_else(|| {
            format!("there is no fault {name:?}, but: {}", Self::ALL.map(Self::name).join(", "))
        })
    }

    /// How many servers, each a process; none: there are two inside this process, with clocks to set.
    pub fn processes(self) -> usize {
        match self {
            Self::ServerKilled
            | Self::PostgresKilled
            | Self::PostgresRestarted
            | Self::LogStuck
            | Self::ReceiverFails => 1,
            Self::ServerFrozen | Self::DatabaseAway => 2,
            Self::OneOfThreeKilled => 3,
            Self::ClockJumps => 0,
        }
    }

    /// Lets it strike, a few times, under load.
    pub async fn strike(self, round: &mut Round<'_>, away: Duration) {
        let blows = match self {
            Self::ClockJumps => JUMPS.len(),
            Self::DatabaseAway => 1,
            _ => BLOWS,
        };
        for blow in 0..blows {
            round.work().await;
            some_time().await;
            if self == Self::ReceiverFails {
                continue;
            }
            round.fault_begins();
            match self {
                Self::ServerKilled => {
                    round.kill_server(0).await;
                    round.start_server().await;
                }
                Self::OneOfThreeKilled => {
                    round.kill_server(below(3)).await;
                    // The two others have to do without it for a while, which the fault outlasts.
                    round.work().await;
                    round.start_server().await;
                }
                Self::ServerFrozen => {
                    let server = &round.processes[below(2)];
                    server.freeze().await;
                    tokio::time::sleep(FROZEN).await;
                    server.thaw().await;
                }
                Self::PostgresKilled if blow % 2 == 0 => {
                    round.cluster.kill_postmaster();
                    some_time().await;
                    round.restart_cluster();
                }
                Self::PostgresKilled => {
                    tokio::task::block_in_place(|| round.cluster.kill_backend(&round.database));
                }
                Self::PostgresRestarted => {
                    tokio::task::block_in_place(|| round.cluster.restart_immediately());
                }
                Self::DatabaseAway => {
                    round.proxy.close();
                    tokio::time::sleep(away).await;
                    round.proxy.open();
                }
                Self::ClockJumps => {
                    round.clocks[blow % 2].jump(jump(blow));
                    round.work().await;
                    round.clocks[(blow + 1) % 2].jump(-jump(blow));
                }
                Self::LogStuck => round.processes[0].close_log(),
                Self::ReceiverFails => {}
            }
            round.fault_ends().await;
        }
        round.work().await;
    }
}

fn jump(blow: usize) -> TimeDelta {
    TimeDelta::hours(JUMPS[blow % JUMPS.len()])
}

/// A random instant.
async fn some_time() {
    tokio::time::sleep(Duration::from_millis(below(INSTANT_MS) as u64)).await;
}
