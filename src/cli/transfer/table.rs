//! The file that is imported, row by row; it is never in memory as a whole.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use sha2::{Digest, Sha256};

use super::error::Error;

/// The path that means standard input.
const STDIN: &str = "-";
/// The header line ends within these bytes.
const HEAD: usize = 64 * 1024;
/// The mark of UTF-8 at the beginning of a file.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
/// What stands between cells, unless `--delimiter` says: the one that the header line has most.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A file with a header line.
pub struct Table {
    reader: csv::Reader<Box<dyn Read + Send>>,
    /// As people know it.
    pub path: String,
    /// Bytes of it, if it is a file.
    pub size: Option<u64>,
    pub delimiter: u8,
    /// The header line as it is.
    pub head: ByteRecord,
    pub headers: Vec<String>,
    /// Rows that were read, those of before included.
    pub rows: u64,
    /// Lines by which the reader is behind: with CRLF, it takes a row to begin in front of the LF.
    behind: u64,
    /// Goes over every cell that was read.
    digest: Sha256,
}

/// A row, and the line on which it begins.
#[derive(Debug)]
pub struct Row {
    pub cells: ByteRecord,
    pub line: u64,
}

impl Table {
    /// Opens a file, or standard input, and reads the header line.
    pub fn open(path: &Path, delimiter: Option<u8>) -> Result<Self, Error> {
        let shown =
            if path.as_os_str() == STDIN { "standard input".to_owned() } else { path.display().to_string() };
        let failed = |cause| Error::Read { path: shown.clone(), cause };
        let (source, size): (Box<dyn Read + Send>, _) = if path.as_os_str() == STDIN {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(failed)?;
            let found = file.metadata().map_err(failed)?;
            (Box::new(file), Some(found.len()).filter(|_| found.is_file()))
        };
        Self::read(source, &shown, delimiter).map(|table| Self { size, ..table })
    }

    fn read(mut source: Box<dyn Read + Send>, path: &str, delimiter: Option<u8>) -> Result<Self, Error> {
        let mut head = vec![0; HEAD];
        let mut filled = 0;
        while filled < HEAD && !head[..filled].contains(&b'\n') {
            match source.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(Error::Read { path: path.to_owned(), cause }),
            }
        }
        head.truncate(filled);
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(Error::Utf16 { path: path.to_owned() });
        }
        if head.starts_with(UTF8_MARK) {
            head.drain(..UTF8_MARK.len());
        }
        let delimiter = delimiter.unwrap_or_else(|| detect(&head));
        let behind = u64::from(has_crlf(&head));
        let source: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(source));
        let mut reader =
            ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(source);
        let mut head = ByteRecord::new();
        let failed = |cause| Error::Csv { path: path.to_owned(), cause };
        if !reader.read_byte_record(&mut head).map_err(failed)? {
            return Err(Error::NoHeader { path: path.to_owned() });
        }
        let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).map(|text| text.trim().to_owned());
        let headers = head.iter().map(text).collect::<Result<Vec<_>, _>>();
        let headers = headers.map_err(|_| Error::HeaderNotUtf8 { path: path.to_owned() })?;
        let mut table = Self {
            reader,
            path: path.to_owned(),
            size: None,
            delimiter,
            head: head.clone(),
            headers,
            rows: 0,
            behind,
            digest: Sha256::new(),
        };
        table.note(&head);
        Ok(table)
    }

    /// The next row.
    pub fn next(&mut self) -> Result<Option<Row>, Error> {
        let mut cells = ByteRecord::new();
        let failed = |cause| Error::Csv { path: self.path.clone(), cause };
        if !self.reader.read_byte_record(&mut cells).map_err(failed)? {
            return Ok(None);
        }
        self.note(&cells);
        self.rows += 1;
        let from = cells.position().map_or(0, csv::Position::line) + self.behind;
        // The position is in front of blank lines; the end of the row is behind them.
        let inside = cells.iter().flatten().filter(|byte| **byte == b'\n').count();
        let end = self.reader.position().line() + self.behind;
        let line = from.max(end.saturating_sub(1 + u64::try_from(inside).unwrap_or_default()));
        Ok(Some(Row { cells, line }))
    }

    /// Bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }

    /// What tells this beginning of the file from any other.
    pub fn digest(&self) -> String {
        let hash = self.digest.clone().finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn note(&mut self, cells: &ByteRecord) {
        // How many cells, how long each is, and what is in it: rows that differ are told apart.
        self.digest.update(cells.len().to_le_bytes());
        for cell in cells {
            self.digest.update(cell.len().to_le_bytes());
            self.digest.update(cell);
        }
    }
}

/// Returns whether the header line ends with CRLF.
fn has_crlf(head: &[u8]) -> bool {
    let mut quoted = false;
    let mut last = 0;
    for byte in head {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => return last == b'\r',
            _ => {}
        }
        last = *byte;
    }
    false
}

/// The delimiter that the header line has most, outside quotes.
fn detect(head: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in head {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if quoted => {}
            byte => {
                if let Some(at) = DELIMITERS.iter().position(|delimiter| delimiter == byte) {
                    counts[at] += 1;
                }
            }
        }
    }
    let mut found = (DELIMITERS[0], 0);
    for (delimiter, count) in DELIMITERS.into_iter().zip(counts) {
        if count > found.1 {
            found = (delimiter, count);
        }
    }
    found.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes: &'static [u8]) -> Result<Table, Error> {
        Table::read(Box::new(bytes), "file", None)
    }

    #[test]
    fn files_of_all_kinds_are_read() {
        for bytes in [
            &b"a,\"b;c\"\r\n1,\"x\ny\"\r\n2,3\r\n"[..],
            b"\xef\xbb\xbfa;b;c\n1;2;3",
            b"a\tb\n1\t2\n",
            b"\"a\n;\",b\n1,2",
        ] {
            let mut table = table(bytes).unwrap();
            assert!(table.headers[0].starts_with('a'), "{:?}", table.headers);
            assert_eq!(table.next().unwrap().unwrap().cells.len(), table.headers.len());
        }
        let mut rows = table(b"a,b\n1,\"x\ny\"\n\n2,3\n4\n").unwrap();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            lines.push((row.line, row.cells.len()));
        }
        assert_eq!(lines, [(2, 2), (5, 2), (6, 1)]);
        let mut table = table(b"a,b\r\n1,\"x\r\ny\"\r\n2,3\r\n").unwrap();
        assert_eq!((table.next().unwrap().unwrap().line, table.next().unwrap().unwrap().line), (2, 4));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        assert!(matches!(table(b""), Err(Error::NoHeader { .. })));
        assert!(matches!(table(b"\xff\xfea\0"), Err(Error::Utf16 { .. })));
        assert!(matches!(table(b"\xe9,b\n"), Err(Error::HeaderNotUtf8 { .. })));
    }

    #[test]
    fn the_digest_tells_beginnings_apart() {
        let after = |bytes: &'static [u8]| {
            let mut table = table(bytes).unwrap();
            table.next().unwrap();
            table.digest()
        };
        assert_eq!(after(b"a,b\n1,2\n3,4\n"), after(b"a,b\n1,2\n"));
        assert_ne!(after(b"a,b\n1,2\n"), after(b"a,b\n12,\n"));
        assert_ne!(after(b"a,b\n1,2\n"), after(b"a,c\n1,2\n"));
    }
}
