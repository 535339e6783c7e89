use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::Value;

use crate::eventually_within;

/// A running `revenueflow serve`, on a free port. Killed when dropped.
pub struct Server {
    child: Child,
    address: String,
    client: Client,
    logs: Arc<Mutex<Vec<String>>>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Server {
    /// Starts the binary in a folder with only the given variables in its environment, and waits until it is
    /// ready.
    ///
    /// Logs are JSON at level `debug`, so that a search covers every line that the product can log at that
    /// level.
    pub fn start(
        binary: &str,
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(binary)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", "debug")
            .env("PORT", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        let logs = Arc::new(Mutex::new(Vec::new()));
        let (ready, is_ready) = mpsc::channel();
        let collected = Arc::clone(&logs);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(address) = ready_address(&line) {
                    let _ = ready.send(address); // only the first is awaited
                }
                collected.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut server = Self { child, address: String::new(), client: client()?, logs };
        server.address = is_ready
            .recv_timeout(Duration::from_mins(1))
            .map_err(|_| anyhow::anyhow!("the server did not become ready:\n{}", server.logs().join("\n")))?;
        Ok(server)
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Posts a JSON body to `/leads`.
    pub fn post_lead(&self, body: &Value) -> anyhow::Result<Answer> {
        send(self.client.post(self.url("/leads")).json(body))
    }

    /// Posts with no body.
    pub fn post(&self, path: &str) -> anyhow::Result<Answer> {
        send(self.client.post(self.url(path)))
    }

    /// Gets a path.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        send(self.client.get(self.url(path)))
    }

    /// Sends any request that `build` makes.
    pub fn request(&self, build: impl FnOnce(&Client) -> RequestBuilder) -> anyhow::Result<Answer> {
        send(build(&self.client))
    }

    /// All lines logged so far.
    pub fn logs(&self) -> Vec<String> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Kills the process, as a power failure would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Requests a stop, waits for the exit, and returns whether the process succeeded.
    pub fn stop(mut self) -> anyhow::Result<bool> {
        self.request_stop()?;
        Ok(self.child.wait()?.success())
    }

    /// Requests a stop by SIGTERM.
    pub fn request_stop(&self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        anyhow::ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "kill {pid}");
        Ok(())
    }

    /// Waits until the process has ended by itself, and returns whether it succeeded.
    ///
    /// # Panics
    ///
    /// When the process still runs after a minute.
    pub fn wait_for_end(&mut self) -> bool {
        let mut ended = None;
        eventually_within(Duration::from_mins(1), "the process has ended", || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some()
        });
        ended.is_some_and(|status| status.success())
    }

    /// None while the process runs, then whether it succeeded.
    pub fn ended(&mut self) -> anyhow::Result<Option<bool>> {
        Ok(self.child.try_wait()?.map(|status| status.success()))
    }

    /// Opens a raw connection, for requests that no HTTP client would send.
    pub fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have exited already
        let _ = self.child.wait();
    }
}

/// A client that does not use a connection again while the server may be closing it: the shortest
/// `READ_TIMEOUT_SECONDS` is one second.
fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().pool_idle_timeout(Duration::from_millis(500)).build()?)
}

fn send(request: RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.timeout(Duration::from_mins(1)).send()?;
    Ok(Answer { status: response.status().as_u16(), text: response.text()? })
}

fn ready_address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "ready").then(|| line["address"].as_str().map(str::to_owned))?
}
