//! The lock files in a data directory. The system lets go of a lock when the
//! process that holds it ends, in whatever way it ends.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::Error;

/// Held while somebody starts or stops the server.
pub(super) const START: &str = "start.lock";

/// Shared by all holders for as long as they live.
pub(super) const LIFE: &str = "life.lock";

/// Held by the supervisor for as long as it watches.
pub(super) const SUPERVISOR: &str = "supervisor.lock";

/// Opens a lock file, which locks nothing yet.
pub(super) fn open(data_dir: &Path, name: &str) -> Result<File, Error> {
    let path = data_dir.join(name);
    File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(Error::at(path))
}
