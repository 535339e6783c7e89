use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// A Redis server of a test's own, which it can kill and start again. Everything acknowledged is on its disk.
pub struct Redis {
    child: Child,
    program: String,
    port: u16,
    folder: std::path::PathBuf,
}

impl Redis {
    /// Starts the server that `TEST_REDIS_SERVER` names, with its data in a folder.
    pub fn start(folder: &std::path::Path) -> anyhow::Result<Self> {
        let program = std::env::var("TEST_REDIS_SERVER")
            .context("TEST_REDIS_SERVER names the server program: run `make test`")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = run(&program, port, folder)?;
        Ok(Self { child, program, port, folder: folder.to_owned() })
    }

    /// The URL to connect with.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the server as a power cut would, and starts it again after a while.
    pub fn restart(&mut self, away: Duration) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        std::thread::sleep(away);
        self.child = run(&self.program, self.port, &self.folder)?;
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

fn run(program: &str, port: u16, folder: &std::path::Path) -> anyhow::Result<Child> {
    let child = Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        anyhow::ensure!(Instant::now() < deadline, "Redis does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(child)
}
