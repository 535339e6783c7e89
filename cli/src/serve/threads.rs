//! Threads of the HTTP server and of the worker: leads are accepted while the worker uses all of its own.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The number of threads of the server. The operating system shares the processors between them and others.
const SERVER_THREADS: usize = 2;

/// The priority of the worker's threads, in the unit of `nice`: beside each other, a thread of the server
/// gets three times the processor time.
#[cfg(target_os = "linux")]
const WORKER_NICENESS: i32 = 5;

/// Threads that run tasks, apart from all others of the process.
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// Threads for the HTTP server.
    pub(super) fn of_server() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(SERVER_THREADS).thread_name("server").enable_all();
        Ok(Self(Some(builder.build()?)))
    }

    /// Threads for the worker. If they `yield_to_others`, the operating system prefers other threads; they
    /// must not hold a lock then that arriving leads wait for.
    pub(super) fn of_worker(yield_to_others: bool) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.thread_name("worker").enable_all();
        if yield_to_others {
            builder.on_thread_start(lower_priority);
        }
        Ok(Self(Some(builder.build()?)))
    }

    /// Where to spawn tasks.
    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background(); // waiting is not allowed on a thread of another runtime
        }
    }
}

/// Lowers the priority of the calling thread, where threads have one.
fn lower_priority() {
    // On Linux the call concerns one thread; elsewhere it would concern the process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, WORKER_NICENESS) {
        tracing::debug!(%error, "the worker's threads keep their priority");
    }
}
