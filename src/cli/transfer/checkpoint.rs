//! What an import remembers from one run to the next: how far it is, in a file for each server, key and
//! file. The import that comes to the end of its file forgets it.
//!
//! The checkpoint is replaced as a whole after each batch. It is not forced to the disk: after a power failure an
//! earlier one may come back, and the batches after it are sent again with the same Idempotency-Keys.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::listen::state::user_directory;
use super::error::Error;

/// Bytes of a hash that are in the name of the file.
const HASH_BYTES: usize = 8;

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// What is imported, for whoever looks into the file.
    pub file: String,
    /// What rows mean: the columns' fields and the options.
    pub how: String,
    /// Makes the Idempotency-Keys of this import its own.
    pub salt: String,
    /// Rows that are settled, and what tells them from others.
    pub rows: u64,
    pub digest: String,
    /// Records that were created, were there already, and were answered as in an earlier run.
    pub created: u64,
    pub present: u64,
    pub replayed: u64,
    /// Rows that were refused.
    pub refused: u64,
    /// The file with the refused rows, and how long it is.
    pub rejects: Option<PathBuf>,
    pub rejects_bytes: u64,
}

/// The file, in use by this process alone.
pub struct Checkpoint {
    /// None if nothing can be kept.
    path: Option<PathBuf>,
    _lock: Option<File>,
}

impl Checkpoint {
    /// Opens the checkpoint of an import that is known by this text, and what it has. With `anew` what it has
    /// does not matter.
    pub fn open(identity: &str, file: &str, anew: bool) -> Result<(Self, Option<Kept>), Error> {
        match user_directory() {
            Some(directory) => Self::open_in(&directory, (identity, file), anew),
            None => {
                tracing::warn!(
                    "the checkpoint cannot be kept, because neither XDG_STATE_HOME nor HOME names a directory"
                );
                Ok((Self { path: None, _lock: None }, None))
            }
        }
    }

    fn open_in(
        directory: &Path,
        (identity, file): (&str, &str),
        anew: bool,
    ) -> Result<(Self, Option<Kept>), Error> {
        let hash = Sha256::digest(identity);
        let name: String = hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
        let path = directory.join(format!("import-{name}.json"));
        let failed = |cause| Error::State { state: path.clone(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        // A file of its own: the other one is replaced all the time.
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.with_extension("lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { path: file.to_owned(), state: path });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let kept = match fs::read(&path) {
            Ok(_) if anew => None,
            Ok(text) => {
                let kept = serde_json::from_slice(&text);
                Some(kept.map_err(|_| Error::DamagedState { state: path.clone() })?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(failed(cause)),
        };
        Ok((Self { path: Some(path), _lock: Some(lock) }, kept))
    }

    /// Keeps it, for this user's eyes only, whole or not at all.
    pub fn keep(&self, kept: &Kept) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        let written = || {
            let draft = path.with_extension("new");
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec(kept)?)?;
            drop(file);
            fs::rename(&draft, path)
        };
        written().map_err(|cause| Error::State { state: path.clone(), cause })
    }

    /// The import is at its end.
    pub fn forget(self) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        for file in [path, &path.with_extension("lock")] {
            match fs::remove_file(file) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::State { state: path.clone(), cause });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_until_the_end() {
        let directory = std::env::temp_dir().join(format!("isao-checkpoint-{}", std::process::id()));
        let open = |anew| Checkpoint::open_in(&directory, ("a", "f"), anew);
        let (checkpoint, kept) = open(false).unwrap();
        assert_eq!(kept, None);
        let kept = Kept { rows: 7, ..Kept::default() };
        checkpoint.keep(&kept).unwrap();
        assert!(matches!(open(false), Err(Error::InUse { .. })));
        drop(checkpoint);
        assert_eq!(open(false).unwrap().1, Some(kept));
        assert_eq!(open(true).unwrap().1, None);
        let path = open(false).unwrap().0.path.clone().unwrap();
        fs::write(&path, "x").unwrap();
        assert!(matches!(open(false), Err(Error::DamagedState { .. })));
        open(true).unwrap().0.forget().unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir_all(&directory).unwrap();
    }
}
