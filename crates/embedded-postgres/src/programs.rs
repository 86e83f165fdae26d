//! The server's programs.

use std::fs;
use std::path::{Path, PathBuf};

use super::account::Account;

/// A directory of programs that work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

impl Programs {
    /// Tries the programs in `dir`, as the account that is to run them.
    pub(super) fn in_dir(dir: &Path, account: &Account) -> Option<Self> {
        // On a PATH there are links, of some of the programs.
        let dir = fs::canonicalize(dir.join("postgres")).ok()?.parent()?.to_path_buf();
        if !["initdb", "pg_ctl"].iter().all(|program| dir.join(program).exists()) {
            return None;
        }
        let output = account.run(&dir.join("postgres"), ["--version"], Path::new("/")).ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { dir, major })
    }
}

/// `postgres (PostgreSQL) 15.14 (Debian …)` → 15.
fn major_of(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_says_its_major() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major_of("postgres (PostgreSQL) 9.6.24\n"), Some(9));
        assert_eq!(major_of("mysqld 8"), None);
    }
}
