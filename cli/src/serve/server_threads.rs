//! The threads of the HTTP server.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The number of threads. The operating system shares the processors between them and the pipeline's.
const THREADS: usize = 2;

/// Threads of their own for the HTTP server: leads are accepted while the pipeline uses all of its own.
pub(super) struct ServerThreads(Option<Runtime>);

impl ServerThreads {
    pub(super) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("server").enable_all();
        Ok(Self(Some(builder.build()?)))
    }

    /// Where to spawn the server's tasks.
    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for ServerThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background(); // waiting is not allowed on a thread of another runtime
        }
    }
}
