//! Threads: as few as can do the work.
//!
//! One that is busy wakes no other, and each waking costs more than most of what it is for.
//! So there are sets of threads with work of their own, which never wait for each other's:
//! those that answer requests, one that writes (the writer and the recorder of deliveries), and
//! those that deliver. Each set has half the processors at most; the database needs some, too.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Half the processors, and at least one.
pub fn half() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1)
}

/// A runtime on a fixed number of threads.
///
/// # Errors
/// When the operating system gives no more threads.
pub fn runtime(name: &str, count: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(count).thread_name(name).enable_all().build()
}

/// Threads of their own. They end when this is dropped, also within a task.
pub struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Threads {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the operating system gives no more threads.
    pub fn start(name: &str, count: usize) -> io::Result<Self> {
        let runtime = runtime(name, count)?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where to run what is theirs.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Dropped as it is, it would wait for its threads, which no task may.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
