//! A process of Node's BullMQ.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use queue::RedisQueue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::support::Fixture;

/// The current major version, and the one before.
pub(crate) const V6: &str = "bullmq";
pub(crate) const V5: &str = "bullmq5";

pub(crate) struct Node {
    process: Mutex<Child>,
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
}

/// A queue that our side shares with a process of this version.
pub(crate) async fn beside_node(version: &str) -> (Fixture, Arc<RedisQueue>, Node) {
    let (fixture, queue) = Fixture::with_queue().await;
    let node = Node::start(version, &fixture);
    (fixture, queue, node)
}

impl Node {
    pub(crate) fn start(version: &str, fixture: &Fixture) -> Self {
        let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop");
        assert!(
            folder.join("node_modules").is_dir(),
            "the packages of tests/interop are not installed: run `make test`, or `npm ci` there"
        );
        let mut process = Command::new("node")
            .arg("peer.mjs")
            .args([version, &fixture.url, &fixture.prefix])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node is needed on the PATH");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process: Mutex::new(process), pipes: Mutex::new((input, output)) }
    }

    /// Sends a request to the process and returns its answer.
    pub(crate) async fn ask(&self, op: &str, mut request: Value) -> Value {
        request["op"] = op.into();
        let mut pipes = self.pipes.lock().await;
        let (input, output) = &mut *pipes;
        input.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        let line = output.next_line().await.unwrap().expect("the process lives");
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["error"], Value::Null, "{op}: {}", answer["error"].as_str().unwrap_or_default());
        answer["ok"].take()
    }

    /// Adds a job and returns its id.
    pub(crate) async fn add(&self, data: Value, opts: Value) -> String {
        let ids = self.ask("add", json!({"jobs": [{"data": data, "opts": opts}]})).await;
        ids[0].as_str().unwrap().to_owned()
    }

    /// The job as BullMQ reports it, or null.
    pub(crate) async fn job(&self, id: &str) -> Value {
        self.ask("job", json!({"id": id})).await
    }

    /// Calls a method of its `Queue`.
    pub(crate) async fn call(&self, method: &str, args: Value) -> Value {
        self.ask("call", json!({"method": method, "args": args})).await
    }

    /// Starts its worker, with locks as short as ours.
    pub(crate) async fn work(&self, behaviour: &str, mut options: Value) {
        options["lockDuration"] = 3000.into();
        options["stalledInterval"] = 500.into();
        self.ask("work", json!({"behaviour": behaviour, "options": options})).await;
    }

    /// The jobs that its worker received, as ids with the attempts made before.
    pub(crate) async fn seen(&self) -> Vec<(String, u64)> {
        let seen = self.ask("seen", json!({})).await;
        let pair = |job: &Value| (job[0].as_str().unwrap().to_owned(), job[1].as_u64().unwrap());
        seen.as_array().unwrap().iter().map(pair).collect()
    }

    /// Kills the process with `SIGKILL`.
    pub(crate) async fn kill(&self) {
        self.process.lock().await.kill().await.unwrap();
    }
}
