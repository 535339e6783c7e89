#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What tells a process to stop: Ctrl-C and SIGTERM.
#[cfg(unix)]
pub(super) struct StopSignals {
    interrupted: Signal,
    terminated: Signal,
}

#[cfg(unix)]
impl StopSignals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
        })
    }

    /// Waits until it is told to, once more.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}

/// What tells a process to stop: Ctrl-C.
#[cfg(not(unix))]
pub(super) struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
