use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::stable_port;

/// A private Redis server that a test can kill and start again. Every acknowledged write is on its disk.
pub struct Redis {
    child: Option<Child>,
    program: String,
    port: u16,
    url: String,
    folder: TempDir,
}

impl Redis {
    /// Starts the server program that `TEST_REDIS_SERVER` names, without data.
    pub fn start() -> anyhow::Result<Self> {
        let program = std::env::var("TEST_REDIS_SERVER")
            .context("TEST_REDIS_SERVER names the server program: run `make test`")?;
        let (port, folder) = (stable_port(), tempfile::tempdir()?);
        let url = format!("redis://127.0.0.1:{port}");
        let mut redis = Self { child: None, program, port, url, folder };
        redis.run()?;
        Ok(redis)
    }

    /// The URL to connect with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills the server as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // it may have exited already
            let _ = child.wait();
        }
    }

    /// Starts the server again after [`Redis::kill`], on the same port and with the same data.
    pub fn run(&mut self) -> anyhow::Result<()> {
        let child = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program))?;
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            anyhow::ensure!(Instant::now() < deadline, "Redis does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
