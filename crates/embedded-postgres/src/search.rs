//! Looking for the server's programs on this machine, in a fixed order.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cluster::Cluster;
use super::error::Error;
use super::fetch;
use super::options::{OLDEST_MAJOR, Say};
use super::programs::Programs;

/// Where packages put the programs, off the `PATH`; `*` is a version.
const SYSTEM: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/local/pgsql/bin",
];

/// Where to look for the programs `initdb`, `pg_ctl` and `postgres`.
#[derive(Clone, Debug)]
pub struct Search {
    /// `PG_BIN_DIR`: when set, nothing else is looked at.
    pub bin_dir: Option<PathBuf>,
    /// `PATH`: looked through for the programs, then for `pg_config`.
    pub path: Option<OsString>,
    /// Directories to try after that; one `*` stands for a version, the highest first.
    pub system: Vec<PathBuf>,
}

impl Search {
    /// Looks where a person would: `PG_BIN_DIR`, `PATH`, then where packages put it.
    pub fn new(bin_dir: Option<PathBuf>, path: Option<OsString>) -> Self {
        Self { bin_dir, path, system: SYSTEM.map(PathBuf::from).into() }
    }

    /// All directories, in order, whether or not they exist.
    fn directories(&self) -> Vec<PathBuf> {
        let path: Vec<_> =
            self.path.iter().flat_map(std::env::split_paths).filter(|dir| dir.is_absolute()).collect();
        let configured = path.iter().filter_map(|dir| {
            let output = Command::new(dir.join("pg_config")).arg("--bindir").output().ok()?;
            Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
        });
        let configured: Vec<_> = configured.collect();
        path.into_iter().chain(configured).chain(self.system.iter().flat_map(|dir| expand(dir))).collect()
    }
}

/// Finds programs for the cluster, of the major version its data has if it
/// has any, or fetches them into `cache_dir`.
pub(super) fn find(
    cluster: &Cluster,
    search: &Search,
    cache_dir: &Path,
    say: &Say,
) -> Result<Programs, Error> {
    let needed = cluster.major()?;
    let account = cluster.account();
    if let Some(dir) = &search.bin_dir {
        let named = Programs::in_dir(dir, account).ok_or_else(|| Error::BinDir { path: dir.clone() })?;
        if named.major < OLDEST_MAJOR {
            return Err(Error::TooOld { path: dir.clone(), major: named.major });
        }
        return match needed {
            Some(needed) if needed != named.major => Err(wrong_major(cluster, needed, &[named])),
            _ => Ok(named),
        };
    }

    let mut found = Vec::new();
    for programs in search.directories().iter().filter_map(|dir| Programs::in_dir(dir, account)) {
        if !found.contains(&programs) {
            found.push(programs);
        }
    }
    if let Some(programs) = choose(&found, needed) {
        return Ok(programs.clone());
    }
    match needed {
        Some(needed) if needed != fetch::MAJOR => Err(wrong_major(cluster, needed, &found)),
        Some(needed) => {
            fetch::programs(cache_dir, account, say).map_err(|_| wrong_major(cluster, needed, &found))
        }
        None => fetch::programs(cache_dir, account, say).map_err(|because| Error::NoPrograms { because }),
    }
}

fn wrong_major(cluster: &Cluster, needed: u32, found: &[Programs]) -> Error {
    let found: Vec<_> = found.iter().map(|at| format!("{} ({})", at.major, at.dir.display())).collect();
    let found = if found.is_empty() { "none".into() } else { found.join(", ") };
    Error::WrongMajor { path: cluster.pgdata(), needed, found }
}

/// The first of the needed version, or the first that is new enough.
fn choose(found: &[Programs], needed: Option<u32>) -> Option<&Programs> {
    found.iter().find(|programs| match needed {
        Some(major) => programs.major == major,
        None => programs.major >= OLDEST_MAJOR,
    })
}

/// The directories that a pattern with one `*` stands for, the highest version first.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut before = PathBuf::new();
    let mut components = pattern.components();
    for component in components.by_ref() {
        let name = component.as_os_str().to_string_lossy();
        let Some((prefix, suffix)) = name.split_once('*') else {
            before.push(component);
            continue;
        };
        let mut versions: Vec<_> = fs::read_dir(&before)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let version = name.to_str()?.strip_prefix(prefix)?.strip_suffix(suffix)?;
                // 9.6 counts as 9; "latest" has its number elsewhere.
                let version: u32 = version.split('.').next()?.parse().ok()?;
                Some((version, entry.path().join(components.as_path())))
            })
            .collect();
        versions.sort_by(|a, b| b.cmp(a));
        return versions.into_iter().map(|(_, directory)| directory).collect();
    }
    vec![before]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_datas_version_comes_before_the_order_of_the_search() {
        let of = |major| Programs { dir: format!("/pg/{major}").into(), major };
        let found = [of(14), of(16), of(15), of(17)];
        assert_eq!(choose(&found, None), Some(&of(16)));
        assert_eq!(choose(&found, Some(15)), Some(&of(15)));
        assert_eq!(choose(&found, Some(18)), None);
        assert_eq!(choose(&found[..1], None), None);
    }

    #[test]
    fn a_star_is_a_version_the_highest_first() {
        let scratch = std::env::temp_dir().join(format!("isao-programs-{}", std::process::id()));
        for name in ["pg-9", "pg-15", "pg-latest", "pg-17", "other"] {
            fs::create_dir_all(scratch.join(name)).unwrap();
        }
        let found = expand(&scratch.join("pg-*/bin"));
        assert_eq!(found, ["pg-17/bin", "pg-15/bin", "pg-9/bin"].map(|name| scratch.join(name)));
        assert_eq!(expand(Path::new("/usr/bin")), [Path::new("/usr/bin")]);
        fs::remove_dir_all(&scratch).unwrap();
    }
}
