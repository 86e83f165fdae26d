//! What processes used, as Linux counts it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Clock ticks of /proc in microseconds: USER_HZ is 100 on every Linux.
const TICK: f64 = 10_000.0;

/// CPU time so far, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub server: f64,
    pub postgres: f64,
    pub receiver: f64,
    pub generator: f64,
}

impl Cpu {
    pub fn since(&self, before: &Self) -> Self {
        Self {
            server: self.server - before.server,
            postgres: self.postgres - before.postgres,
            receiver: self.receiver - before.receiver,
            generator: self.generator - before.generator,
        }
    }

    /// What the product costs: the server and its database.
    pub fn product(&self) -> f64 {
        self.server + self.postgres
    }
}

/// CPU time of one process.
pub fn of(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |stat| stat.own)
}

/// CPU time of a process, of its children, and of those it waited for.
pub fn of_family(pid: u32) -> f64 {
    let children: f64 =
        processes().filter_map(stat).filter(|stat| stat.parent == pid).map(|stat| stat.own).sum();
    stat(pid).map_or(0.0, |stat| stat.own + stat.waited_for) + children
}

/// A process's memory now and at most, in MB.
pub fn memory(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let lines: BTreeMap<_, _> = status.lines().filter_map(|line| line.split_once(':')).collect();
    let mb = |name: &str| {
        let kb = lines.get(name).and_then(|value| value.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kb.unwrap_or_default() / 1024.0
    };
    (mb("VmRSS"), mb("VmHWM"))
}

/// The postmaster on a data directory.
pub fn postmaster(data_dir: &Path) -> Option<u32> {
    let file = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?;
    file.lines().next()?.trim().parse().ok()
}

/// What the machine's processor is called.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    name.map_or_else(|| "processor".to_owned(), |(_, name)| name.to_owned())
}

/// How many processes ran or wanted to, on average over the last minute.
pub fn load() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

struct Stat {
    parent: u32,
    own: f64,
    waited_for: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the bracket may hold anything.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) * TICK,
        waited_for: (ticks(13)? + ticks(14)?) * TICK,
    })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
