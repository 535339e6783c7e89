use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

/// The region and account of everything in the emulator.
const REGION_AND_ACCOUNT: &str = "us-east-1:000000000000";

/// An AWS emulator and calls to it as AWS's services accept them. The signatures are invalid; the emulator
/// does not check them.
pub struct Emulator {
    endpoint: String,
    client: Client,
    /// The process and log file of a private emulator.
    own: Option<(Child, PathBuf)>,
}

impl Emulator {
    /// The shared emulator that `AWS_ENDPOINT_URL` names. Other tests use it as well.
    pub fn shared() -> anyhow::Result<Self> {
        let endpoint = std::env::var("AWS_ENDPOINT_URL");
        let endpoint = endpoint.context("AWS_ENDPOINT_URL names an emulator: run `make test`")?;
        Ok(Self { endpoint, client: client()?, own: None })
    }

    /// Starts a private emulator, which ends with everything deployed to it when this is dropped. Its
    /// functions send trace segments to `daemon`.
    pub fn start(repository: &Path, daemon: SocketAddr) -> anyhow::Result<Self> {
        let print_endpoint_then_wait = "echo \"$AWS_ENDPOINT_URL\"; echo \"$MINISTACK_LOG\"; exec cat >&2";
        let mut child = Command::new(repository.join("localstack/with-ministack"))
            .args(["sh", "-c", print_endpoint_then_wait])
            .env("AWS_XRAY_DAEMON_ADDRESS", daemon.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output is piped")?).lines();
        let mut line = || lines.next().context("the emulator does not start")?.context("a line");
        let (endpoint, log) = (line()?, line()?.into());
        Ok(Self { endpoint, client: client()?, own: Some((child, log)) })
    }

    /// The emulator's URL, with a numeric address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The log of a private emulator, including the log lines of its functions.
    pub fn log(&self) -> anyhow::Result<String> {
        let (_, log) = self.own.as_ref().context("only a private emulator has a log")?;
        Ok(String::from_utf8_lossy(&std::fs::read(log)?).into_owned())
    }

    /// Calls a service with a JSON protocol; `action` as in `AmazonSQS.SendMessage`.
    pub fn call(&self, service: &str, action: &str, input: &Value) -> anyhow::Result<Value> {
        let request = self.client.post(&self.endpoint);
        let request = request.header("content-type", "application/x-amz-json-1.1");
        let request = request.header("x-amz-target", action);
        let answer =
            request.header("authorization", authorization(service)).body(input.to_string()).send()?;
        let text = good(action, answer)?.text()?;
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// Calls a service with form requests and XML answers.
    pub fn form(&self, service: &str, fields: &[(&str, &str)]) -> anyhow::Result<String> {
        let request = self.client.post(&self.endpoint).header("authorization", authorization(service));
        let body: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Ok(good(service, request.body(body.join("&")).send()?)?.text()?)
    }

    /// Calls a service with a REST protocol.
    pub fn rest(&self, service: &str, method: &str, path: &str, body: String) -> anyhow::Result<String> {
        let request = self.client.request(method.parse()?, format!("{}{path}", self.endpoint));
        let answer = request.header("authorization", authorization(service)).body(body).send()?;
        Ok(good(path, answer)?.text()?)
    }

    /// Creates a FIFO queue and returns its URL.
    pub fn create_queue(&self) -> anyhow::Result<String> {
        self.create_fifo(&json!({ "FifoQueue": "true" }))
    }

    /// Creates a FIFO queue that accepts messages of at most `bytes` bytes, and returns its URL.
    pub fn create_queue_with_max_size(&self, bytes: u32) -> anyhow::Result<String> {
        self.create_fifo(&json!({ "FifoQueue": "true", "MaximumMessageSize": bytes.to_string() }))
    }

    fn create_fifo(&self, attributes: &Value) -> anyhow::Result<String> {
        self.create(&json!({ "QueueName": format!("{}.fifo", new_name()), "Attributes": attributes }))
    }

    fn create(&self, input: &Value) -> anyhow::Result<String> {
        let made = self.call("sqs", "AmazonSQS.CreateQueue", input)?;
        Ok(made["QueueUrl"].as_str().context("a queue has a URL")?.to_owned())
    }

    /// Receives up to ten messages of a queue, which hides them.
    pub fn receive(&self, queue_url: &str) -> anyhow::Result<Vec<Value>> {
        let input = json!({ "QueueUrl": queue_url, "MaxNumberOfMessages": 10,
            "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"] });
        let answer = self.call("sqs", "AmazonSQS.ReceiveMessage", &input)?;
        Ok(answer["Messages"].as_array().cloned().unwrap_or_default())
    }

    /// The ARN of a queue.
    pub fn queue_arn(&self, queue_url: &str) -> String {
        format!("arn:aws:sqs:{REGION_AND_ACCOUNT}:{}", queue_url.rsplit('/').next().unwrap_or_default())
    }

    /// Creates a topic and returns its ARN.
    pub fn create_topic(&self) -> anyhow::Result<String> {
        let name = new_name();
        self.form("sns", &[("Action", "CreateTopic"), ("Version", "2010-03-31"), ("Name", &name)])?;
        Ok(format!("arn:aws:sns:{REGION_AND_ACCOUNT}:{name}"))
    }

    /// Creates a queue that receives every later message of a topic, in raw form, and returns its URL.
    pub fn listen(&self, topic_arn: &str) -> anyhow::Result<String> {
        let queue = self.create(&json!({ "QueueName": new_name() }))?;
        let to = self.queue_arn(&queue);
        let subscribe = [
            ("Action", "Subscribe"),
            ("Version", "2010-03-31"),
            ("TopicArn", topic_arn),
            ("Protocol", "sqs"),
            ("Endpoint", &to),
            ("Attributes.entry.1.key", "RawMessageDelivery"),
            ("Attributes.entry.1.value", "true"),
        ];
        self.form("sns", &subscribe)?;
        Ok(queue)
    }

    /// Creates a bucket and returns its name.
    pub fn create_bucket(&self) -> anyhow::Result<String> {
        let bucket = new_name();
        self.rest("s3", "PUT", &format!("/{bucket}"), String::new())?;
        Ok(bucket)
    }

    /// The names of the objects in a bucket.
    pub fn objects(&self, bucket: &str) -> anyhow::Result<Vec<String>> {
        let list = self.rest("s3", "GET", &format!("/{bucket}?list-type=2"), String::new())?;
        Ok(list.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.into())).collect())
    }

    /// Creates a secret and returns its ARN.
    pub fn create_secret(&self, text: &str) -> anyhow::Result<String> {
        let input = json!({ "Name": new_name(), "SecretString": text, "ClientRequestToken": new_name() });
        let made = self.call("secretsmanager", "secretsmanager.CreateSecret", &input)?;
        Ok(made["ARN"].as_str().context("a secret has an ARN")?.to_owned())
    }

    /// Changes a secret's text.
    pub fn change_secret(&self, arn: &str, text: &str) -> anyhow::Result<()> {
        let input = json!({ "SecretId": arn, "SecretString": text, "ClientRequestToken": new_name() });
        self.call("secretsmanager", "secretsmanager.PutSecretValue", &input).map(drop)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.own.take() {
            drop(child.stdin.take()); // ends the script, which waits for the end of its input
            let _ = child.wait();
        }
    }
}

/// A name that is unique, also over earlier runs on the same emulator. It has at least 32 characters, as
/// Secrets Manager requires of a request token, and is valid for a bucket.
fn new_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("test-{}-{now}-{:010}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn client() -> anyhow::Result<Client> {
    Ok(Client::builder().timeout(Duration::from_mins(2)).build()?)
}

/// The emulator takes the service's name from the header.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

fn good(call: &str, answer: Response) -> anyhow::Result<Response> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    anyhow::bail!("{call}: {} {}", answer.status(), answer.text()?)
}

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => drop(write!(encoded, "%{byte:02X}")), // writing to a String cannot fail
        }
        encoded
    })
}
