//! What `isao listen` remembers from one run to the next: how far it is, in a file for each server
//! and key.
//!
//! The file is replaced as a whole after each event, so a `kill -9` leaves the place before the event
//! in flight or the one after it. It is not forced to the disk: after a power failure some events may
//! come again.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Error;

/// In the directory where programs of the user keep their state.
const DIRECTORY: &str = "isao";
/// Bytes of the hash of server and key that are in the name of the file.
const HASH_BYTES: usize = 8;

/// What the file has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The server, for whoever looks into the file.
    pub url: String,
    /// Up to here everything is done.
    pub cursor: Option<String>,
    /// Was the signing secret printed?
    pub secret_shown: bool,
}

/// The file, in use by this process alone.
pub struct State {
    /// None if nothing can be kept.
    path: Option<PathBuf>,
    _lock: Option<File>,
    kept: Kept,
}

impl State {
    /// Opens the state for a server and a key. With `anew` what is in it does not matter.
    ///
    /// Where there is no directory to keep it in, nothing is kept, and the text says why.
    pub fn open((url, key): (&str, &str), anew: bool) -> Result<(Self, Option<String>), Error> {
        let Some(directory) = user_directory() else {
            return Ok(Self::unkept(url, "neither XDG_STATE_HOME nor HOME names a directory"));
        };
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&directory) {
            return Ok(Self::unkept(url, &format!("{} cannot be made ({error})", directory.display())));
        }
        Self::open_in(&directory, (url, key), anew).map(|state| (state, None))
    }

    fn unkept(url: &str, why: &str) -> (Self, Option<String>) {
        let kept = Kept { url: url.to_owned(), ..Kept::default() };
        (Self { path: None, _lock: None, kept }, Some(why.to_owned()))
    }

    fn open_in(directory: &Path, (url, key): (&str, &str), anew: bool) -> Result<Self, Error> {
        let path = directory.join(format!("listen-{}.json", name(url, key)));
        let failed = |cause| Error::State { path: path.clone(), cause };
        // A file of its own: the other one is replaced all the time.
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.with_extension("lock"));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path }),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let kept = match fs::read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(kept) => Some(kept),
                Err(_) if anew => None,
                Err(_) => return Err(Error::DamagedState { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(failed(cause)),
        };
        let kept = kept.unwrap_or_else(|| Kept { url: url.to_owned(), ..Kept::default() });
        Ok(Self { path: Some(path), _lock: Some(lock), kept })
    }

    /// Up to where everything is done, if that is known.
    pub fn cursor(&self) -> Option<&str> {
        self.kept.cursor.as_deref()
    }

    /// Everything up to here is done.
    pub fn reached(&mut self, cursor: String) -> Result<(), Error> {
        if self.kept.cursor.as_ref() == Some(&cursor) {
            return Ok(());
        }
        self.kept.cursor = Some(cursor);
        self.write()
    }

    /// Returns whether the secret has yet to be printed, and remembers that it is from now on.
    pub fn shows_secret(&mut self) -> Result<bool, Error> {
        if self.kept.secret_shown {
            return Ok(false);
        }
        self.kept.secret_shown = true;
        self.write()?;
        Ok(true)
    }

    /// For this user's eyes only, whole or not at all.
    fn write(&self) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        let written = || {
            let draft = path.with_extension("new");
            // Nobody else writes it: this process has the lock.
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec(&self.kept)?)?;
            drop(file);
            fs::rename(&draft, path)
        };
        written().map_err(|cause| Error::State { path: path.clone(), cause })
    }
}

/// Where programs of this user keep the state of isao, if there is such a place.
pub fn user_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name);
    directory(variable("XDG_STATE_HOME").as_deref(), variable("HOME").as_deref())
}

/// `$XDG_STATE_HOME/isao` or `~/.local/state/isao`. Source: the XDG Base Directory Specification, by
/// which a relative path does not count.
fn directory(xdg: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let absolute = |path: Option<&OsStr>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute(xdg).or_else(|| absolute(home).map(|home| home.join(".local/state")))?;
    Some(state.join(DIRECTORY))
}

/// The same for the same server and key; does not tell the key.
fn name(url: &str, key: &str) -> String {
    let hash = Sha256::digest(format!("{url}\n{key}"));
    hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_place_is_kept_for_each_server_and_key() {
        let directory = std::env::temp_dir().join(format!("isao-state-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let open = |key| State::open_in(&directory, ("http://a", key), false);
        let mut state = open("k").unwrap();
        assert_eq!(state.cursor(), None);
        assert!(state.shows_secret().unwrap() && !state.shows_secret().unwrap());
        state.reached("A".to_owned()).unwrap();
        state.reached("B".to_owned()).unwrap();
        assert!(matches!(open("k"), Err(Error::InUse { .. })));
        assert_eq!(open("other").unwrap().cursor(), None);
        drop(state);
        let mut state = open("k").unwrap();
        assert_eq!(state.cursor(), Some("B"));
        assert!(!state.shows_secret().unwrap());
        let path = state.path.clone().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(state);
        fs::write(&path, "").unwrap();
        assert!(matches!(open("k"), Err(Error::DamagedState { .. })));
        assert_eq!(State::open_in(&directory, ("http://a", "k"), true).unwrap().cursor(), None);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_directory_is_that_of_the_user() {
        let found = |xdg: &str, home: &str| directory(Some(xdg.as_ref()), Some(home.as_ref()));
        assert_eq!(found("/s", "/h"), Some("/s/isao".into()));
        assert_eq!(found("s", "/h"), Some("/h/.local/state/isao".into()));
        assert_eq!(found("", ""), None);
    }
}
