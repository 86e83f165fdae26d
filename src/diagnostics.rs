//! What the process says of itself: log lines on stderr, and how many were lost.
//!
//! Nobody waits for a log line. A thread of its own writes them; when stderr is full, gone or
//! not read any more, lines are dropped and counted, and the server goes on.

use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

/// Lines that may wait to be written.
const LINES: usize = 8192;

static PANICS: AtomicU64 = AtomicU64::new(0);
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Has what waits written, within a second, when it is dropped.
#[must_use]
pub struct Log {
    _worker: WorkerGuard,
}

/// Logs to stderr from now on: for a person at a terminal, as JSON for programs elsewhere. Panics are
/// logged, too, and counted.
pub fn start(filter: Targets) -> Log {
    let builder =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).thread_name("isao-log");
    let (writer, guard) = builder.finish(Stderr);
    let _ = DROPPED.set(writer.error_counter());
    let terminal = io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(writer).with_ansi(terminal).log_internal_errors(false);
    let registry = registry().with(filter);
    if terminal {
        registry.with(lines).init()
    } else {
        registry.with(lines.json()).init()
    }
    std::panic::set_hook(Box::new(panicked));
    Log { _worker: guard }
}

fn panicked(panic: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let thread = std::thread::current();
    let backtrace = std::backtrace::Backtrace::capture();
    let backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        thread = thread.name(),
        location = panic.location().map(tracing::field::display),
        backtrace = backtrace.as_ref().map(tracing::field::display),
        "a part of this process panicked: {}",
        panic.payload_as_str().unwrap_or("no reason given")
    );
}

/// How often a part of this process has panicked.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Log lines that could not be written.
pub fn lost_lines() -> u64 {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    UNWRITTEN.load(Ordering::Relaxed) + u64::try_from(dropped).unwrap_or(u64::MAX)
}

/// Stderr, whatever becomes of it.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if io::stderr().write_all(line).is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
