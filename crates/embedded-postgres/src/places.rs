//! Where things are: data directories, throw-away ones, the socket's.

use std::fs::{self, DirBuilder, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::account::{self, Account};
use super::error::Error;
use super::locks;

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";

/// What a test run may need of it: a database with its templates, with room to spare.
const MEMORY_NEEDED: u64 = 1 << 30;

/// How the directories of tests are called.
const THROWAWAY_PREFIX: &str = "isao-test-";

/// In a throw-away directory: the checkout it belongs to.
const CHECKOUT_FILE: &str = "checkout";

/// Where data goes when nobody names a place: `/var/lib/isao` for root, else
/// `isao` in `$XDG_DATA_HOME` or in `~/.local/share`.
///
/// # Errors
/// [`Error::NoHome`] when an ordinary user has neither as an absolute path.
pub fn default_data_dir(
    is_root: bool,
    xdg_data_home: Option<&Path>,
    home: Option<&Path>,
) -> Result<PathBuf, Error> {
    if is_root {
        // Not below /root, which the server's user may not enter.
        return Ok("/var/lib/isao".into());
    }
    let absolute = |path: &&Path| path.is_absolute();
    let share = xdg_data_home.filter(absolute).map(Path::to_path_buf);
    let share = share.or_else(|| Some(home.filter(absolute)?.join(".local/share")));
    share.map(|share| share.join("isao")).ok_or(Error::NoHome)
}

/// The data directory for the tests of a checkout, the same at every call, so
/// that they share one server and the next run finds it prepared: in memory
/// where 1 GiB of that is free, else in `temp_dir`. Directories of checkouts that are gone
/// are removed on the way.
///
/// # Errors
/// When the directory cannot be made, or is somebody else's.
pub fn throwaway_dir(checkout: &Path, temp_dir: &Path) -> Result<PathBuf, Error> {
    let memory = Path::new(MEMORY);
    let parent = if free_bytes(memory).is_some_and(|free| free >= MEMORY_NEEDED) { memory } else { temp_dir };
    let uid = account::current_uid()?;
    remove_abandoned(parent, uid);

    let name = format!("{THROWAWAY_PREFIX}{uid}-{}", short_hash(checkout));
    let directory = parent.join(name);
    own_directory(&directory, uid)?;
    let note = directory.join(CHECKOUT_FILE);
    fs::write(&note, checkout.as_os_str().as_bytes()).map_err(Error::at(note))?;
    Ok(directory)
}

/// Removes this user's throw-away directories whose checkout is gone, unless
/// they are in use. Best effort: what stays is tried again next time.
fn remove_abandoned(parent: &Path, uid: u32) {
    let prefix = format!("{THROWAWAY_PREFIX}{uid}-");
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let directory = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(&prefix)
            || !fs::symlink_metadata(&directory).is_ok_and(|found| found.is_dir() && found.uid() == uid)
        {
            continue;
        }
        let Ok(checkout) = fs::read(directory.join(CHECKOUT_FILE)) else { continue };
        if Path::new(std::ffi::OsStr::from_bytes(&checkout)).exists() {
            continue;
        }
        // The supervisor outlives the holders, and the server does not outlive it.
        let Ok(watch) = locks::open(&directory, locks::SUPERVISOR) else { continue };
        if !matches!(watch.try_lock(), Err(TryLockError::WouldBlock)) {
            let _ = fs::remove_dir_all(&directory);
        }
    }
}

/// The directory of the server's socket: short, because a socket's path has
/// room for some hundred bytes only, and always the same for a data directory.
pub(super) fn socket_dir(data_dir: &Path) -> PathBuf {
    Path::new("/tmp").join(format!("isao-{}", short_hash(data_dir)))
}

fn short_hash(path: &Path) -> String {
    Sha256::digest(path.as_os_str().as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the data directory. Its files are this process's; where another
/// account runs the server, that one may pass through, but neither list nor write.
pub(super) fn data_directory(path: &Path, account: &Account) -> Result<PathBuf, Error> {
    for_shells(path)?;
    make_parents(path, account.is_stand_in())?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(Error::at(path)),
    }?;
    if account.is_stand_in() {
        let mode = fs::metadata(path).map_err(Error::at(path))?.mode();
        set_mode(path, mode | 0o111)?;
    }
    let path = fs::canonicalize(path).map_err(Error::at(path))?;
    // A link may lead to another name.
    for_shells(&path)?;
    Ok(path)
}

/// Makes the directories in which the data directory is to be. Where another account runs the server,
/// that one may pass through those that are made here, whatever the umask: the others are not ours.
fn make_parents(path: &Path, for_another: bool) -> Result<(), Error> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
    else {
        return Ok(());
    };
    make_parents(parent, for_another)?;
    match DirBuilder::new().mode(0o755).create(parent) {
        Ok(()) if for_another => {
            let mode = fs::metadata(parent).map_err(Error::at(parent))?.mode();
            set_mode(parent, mode | 0o111)
        }
        // Another process may have been faster.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::at(parent)(error)),
        _ => Ok(()),
    }
}

/// Refuses a path that a shell does not take as it is between double quotes: `pg_ctl` runs the server
/// through one. The server's own files have a line for each path, so none may have two.
pub(super) fn for_shells(path: &Path) -> Result<(), Error> {
    let expands = |byte: &u8| b"\"$`\\".contains(byte) || byte.is_ascii_control();
    match path.as_os_str().as_bytes().iter().any(expands) {
        true => Err(Error::BadName { path: path.into() }),
        false => Ok(()),
    }
}

/// Makes a directory, private at first, in a place where everybody may (such
/// as `/tmp`), and makes sure that it is the given user's, or ours to give away.
pub(super) fn own_directory(path: &Path, uid: u32) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(Error::at(path)),
    }?;
    let found = fs::symlink_metadata(path).map_err(Error::at(path))?;
    let not_ours = |found: String| Error::NotOurs { path: path.into(), owner: uid.to_string(), found };
    if !found.is_dir() {
        return Err(not_ours("no directory".into()));
    }
    if found.uid() != uid && found.uid() != account::current_uid()? {
        return Err(not_ours(format!("it is user {}'s", found.uid())));
    }
    Ok(())
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::at(path))
}

/// Room left in a file system; `None` when there is no such directory.
pub(super) fn free_bytes(directory: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(directory).env("LC_ALL", "C").output().ok()?;
    // File system, 1024-blocks, used, available, capacity, mounted on.
    let text = String::from_utf8(output.stdout).ok()?;
    let kibibytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_where_the_user_keeps_data() {
        let (xdg, home) = (Some(Path::new("/data")), Some(Path::new("/home/ann")));
        let place = |is_root, xdg, home| default_data_dir(is_root, xdg, home).unwrap();
        assert_eq!(place(true, xdg, home), Path::new("/var/lib/isao"));
        assert_eq!(place(false, xdg, home), Path::new("/data/isao"));
        assert_eq!(place(false, None, home), Path::new("/home/ann/.local/share/isao"));
        assert_eq!(place(false, Some(Path::new("relative")), home), Path::new("/home/ann/.local/share/isao"));
        assert!(matches!(default_data_dir(false, None, Some(Path::new(""))), Err(Error::NoHome)));
    }

    #[test]
    fn a_path_that_a_shell_expands_is_refused() {
        for bad in ["/a$(id)/b", "/a`id`", "/a\"b", "/$HOME/isao", "/a\\b", "/a\nb", "a\tb"] {
            let error = for_shells(Path::new(bad)).unwrap_err().to_string();
            assert!(error.contains("choose another"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        for good in ["/var/lib/isao", "/home/Zoë's data (1)/isao;&|*?!#~", "a b"] {
            assert!(for_shells(Path::new(good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_sockets_path_is_short_however_long_the_data_directorys_is() {
        let long = PathBuf::from(format!("/{}", "long/".repeat(100)));
        assert!(socket_dir(&long).join(".s.PGSQL.5432.lock").as_os_str().len() < 100);
        assert_eq!(socket_dir(&long), socket_dir(&long));
        assert_ne!(socket_dir(&long), socket_dir(Path::new("/long")));
    }

    #[test]
    fn a_test_directory_goes_with_its_checkout() {
        let scratch = std::env::temp_dir().join(format!("isao-places-{}", std::process::id()));
        let checkout = scratch.join("checkout");
        fs::create_dir_all(&checkout).unwrap();
        let uid = account::current_uid().unwrap();

        let directory = throwaway_dir(&checkout, &scratch).unwrap();
        assert_eq!(throwaway_dir(&checkout, &scratch).unwrap(), directory);
        let parent = directory.parent().unwrap();
        remove_abandoned(parent, uid);
        assert!(directory.exists());

        fs::remove_dir(&checkout).unwrap();
        let watch = locks::open(&directory, locks::SUPERVISOR).unwrap();
        watch.lock().unwrap();
        remove_abandoned(parent, uid);
        assert!(directory.exists(), "somebody uses it");
        drop(watch);
        remove_abandoned(parent, uid);
        assert!(!directory.exists());
        fs::remove_dir_all(&scratch).unwrap();
    }
}
