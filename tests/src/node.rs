use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

/// A process of Node's `bullmq`, the other application on the queue. `tests/interop/peer.mjs` lists its
/// operations. Killed when dropped.
pub struct Node {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Node {
    /// Starts a process of the current major version of `bullmq`.
    pub fn start(redis_url: &str, prefix: &str) -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
        anyhow::ensure!(
            folder.join("node_modules").is_dir(),
            "the packages of tests/interop are not installed: run `make test`, or `npm ci` there"
        );
        let mut child = Command::new("node")
            .args(["peer.mjs", "bullmq", redis_url, prefix])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("Node is needed on the PATH")?;
        let input = child.stdin.take().context("standard input is piped")?;
        let output = BufReader::new(child.stdout.take().context("standard output is piped")?);
        Ok(Self { child, input, output })
    }

    /// Executes an operation and returns its answer.
    pub fn ask(&mut self, op: &str, mut request: Value) -> anyhow::Result<Value> {
        request["op"] = op.into();
        writeln!(self.input, "{request}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let mut answer: Value = serde_json::from_str(&line)?;
        anyhow::ensure!(answer["error"].is_null(), "{op}: {}", answer["error"]);
        Ok(answer["ok"].take())
    }

    /// Waits until a job of a queue has a state; null means that the job does not exist.
    pub fn wait_for(&mut self, queue: &str, id: &str, state: &Value) -> anyhow::Result<Value> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let job = self.ask("job", json!({"of": queue, "id": id}))?;
            if job["state"] == *state {
                return Ok(job);
            }
            anyhow::ensure!(Instant::now() < deadline, "{id} is not {state} but {job}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have exited already
        let _ = self.child.wait();
    }
}
