//! Rows that were refused: told, and written to a file from which they can be imported once corrected.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::path::PathBuf;

use csv::{ByteRecord, WriterBuilder};

use super::super::print;
use super::error::Error;
use super::table::{Row, Table};

/// The column of the file that says why.
const REASON: &str = "import_error";
/// Refused rows of an import that are told one by one; a dry run tells all.
const MAX_TOLD: u64 = 100;

/// Tells of refused rows.
pub struct Refusals {
    file: Option<(PathBuf, csv::Writer<File>)>,
    told: u64,
    dry_run: bool,
}

impl Refusals {
    /// Opens the file for refused rows, if there is to be one. Of what an earlier run wrote, the first `keep`
    /// bytes stay.
    pub fn open(path: Option<PathBuf>, table: &Table, keep: u64, dry_run: bool) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self { file: None, told: 0, dry_run }) };
        let failed = |cause| Error::Write { path: path.clone(), cause };
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        file.set_len(keep).and_then(|()| file.seek(SeekFrom::Start(keep))).map_err(failed)?;
        let mut writer = WriterBuilder::new().delimiter(table.delimiter).flexible(true).from_writer(file);
        if keep == 0 {
            let head = table.head.iter().chain([REASON.as_bytes()]);
            writer.write_byte_record(&head.collect()).map_err(|error| failed(error.into()))?;
        }
        Ok(Self { file: Some((path, writer)), told: 0, dry_run })
    }

    /// Tells of a row, and why it was refused.
    pub fn tell(&mut self, row: &Row, why: &str) -> Result<(), Error> {
        if let Some((path, writer)) = &mut self.file {
            let cells: ByteRecord = row.cells.iter().chain([why.as_bytes()]).collect();
            let failed = |error: csv::Error| Error::Write { path: path.clone(), cause: error.into() };
            writer.write_byte_record(&cells).map_err(failed)?;
        }
        self.told += 1;
        let line = format!("line {}: {}", row.line, print::shown(why));
        match self.dry_run {
            true => print::write(&format!("{line}\n"))?,
            false if self.told <= MAX_TOLD => eprintln!("{line}"),
            false if self.told == MAX_TOLD + 1 => {
                eprintln!("further refused rows are not shown; --rejects FILE writes all of them to a file");
            }
            false => {}
        }
        Ok(())
    }

    /// Brings everything to the file, and gives its length.
    pub fn flush(&mut self) -> Result<u64, Error> {
        let Some((path, writer)) = &mut self.file else { return Ok(0) };
        let length = writer.flush().and_then(|()| writer.get_ref().metadata());
        length.map(|found| found.len()).map_err(|cause: io::Error| Error::Write { path: path.clone(), cause })
    }
}
