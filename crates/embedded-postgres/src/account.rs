//! Who runs the server: this process's user, or, since PostgreSQL refuses
//! root, the user `postgres` or `nobody` in root's place.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::error::Error;

/// Whom root lets run the server, the first that exists.
const STAND_INS: [&str; 2] = ["postgres", "nobody"];

/// The user the server runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    /// Set when we are root, and are to become somebody else.
    stand_in: Option<StandIn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct StandIn {
    name: String,
    gid: u32,
}

/// Whether this process is root's.
///
/// # Errors
/// When `id` cannot be run: the standard library does not know the user.
pub fn is_root() -> Result<bool, Error> {
    Ok(current_uid()? == 0)
}

/// The effective user of this process.
pub(super) fn current_uid() -> Result<u32, Error> {
    let program = Path::new("id");
    let failed = |cause| Error::Run { program: program.into(), cause };
    let output = Command::new(program).arg("-u").stdin(Stdio::null()).output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| failed(std::io::Error::other("it named no user id")))
}

impl Account {
    /// The account for a server that this process starts.
    pub(super) fn for_server() -> Result<Self, Error> {
        let uid = current_uid()?;
        if uid != 0 {
            return Ok(Self { uid, stand_in: None });
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self::stand_in(&passwd).ok_or(Error::NoAccount)
    }

    fn stand_in(passwd: &str) -> Option<Self> {
        STAND_INS.iter().find_map(|name| {
            let mut fields = passwd
                .lines()
                .map(|line| line.split(':'))
                .find(|fields| fields.clone().next() == Some(*name))?;
            let uid = fields.nth(2)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            (uid != 0).then(|| Self { uid, stand_in: Some(StandIn { name: (*name).into(), gid }) })
        })
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether the server's files belong to somebody else than this process.
    pub(super) fn is_stand_in(&self) -> bool {
        self.stand_in.is_some()
    }

    /// Hands a file to the account.
    pub(super) fn give(&self, path: &Path) -> Result<(), Error> {
        match &self.stand_in {
            Some(StandIn { gid, .. })
                if fs::symlink_metadata(path).map_err(Error::at(path))?.uid() != self.uid =>
            {
                chown(path, Some(self.uid), Some(*gid)).map_err(Error::at(path))
            }
            _ => Ok(()),
        }
    }

    /// Runs a program to its end as the account, in `directory`, with an
    /// environment that holds none of the `PG*`, `LANG` or `LC_*` that would
    /// change what PostgreSQL does or says.
    pub(super) fn run<S: AsRef<std::ffi::OsStr>>(
        &self,
        program: &Path,
        args: impl IntoIterator<Item = S>,
        directory: &Path,
    ) -> Result<Output, Error> {
        let mut command = Command::new(program);
        command.args(args).current_dir(directory).stdin(Stdio::null());
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        if let Some(stand_in) = &self.stand_in {
            command.uid(self.uid).gid(stand_in.gid);
        }
        command.output().map_err(|cause| match &self.stand_in {
            Some(StandIn { name, .. }) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
                Error::OutOfReach { user: name.clone(), directory: directory.into(), program: program.into() }
            }
            _ => Error::Run { program: program.into(), cause },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_prefers_postgres_to_nobody() {
        let both =
            "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\npostgres:x:101:104::/:/bin/sh\n";
        let account = Account::stand_in(both).unwrap();
        assert_eq!(
            account,
            Account { uid: 101, stand_in: Some(StandIn { name: "postgres".into(), gid: 104 }) }
        );
        let nobody =
            Account::stand_in("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false").unwrap();
        assert_eq!(
            nobody,
            Account { uid: 65534, stand_in: Some(StandIn { name: "nobody".into(), gid: 65533 }) }
        );
        assert_eq!(Account::stand_in("root:x:0:0::/root:/bin/sh\npostgres:x:0:0::/:/bin/sh"), None);
    }
}
