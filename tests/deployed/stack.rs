use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use database::testing::TestDatabase;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};
use testkit::{Answer, Emulator, eventually};

// Secrets of the stage `local`: `infra/lib/secrets.ts`.
const WEBHOOK_SECRET: &str = "local-webhook-secret-for-made-up-leads";
const ADMIN_TOKEN: &str = "local-admin-token-for-made-up-leads";

/// The domain of every lead in these tests; a log search for it finds any of them.
pub(crate) const COMPANY: &str = "stripe.com";

/// The stage `local` with the janitor's schedule disabled: a round runs when a test invokes it.
pub(crate) struct Stack {
    pub(crate) emulator: Emulator,
    pub(crate) database: TestDatabase,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) leads_queue: String,
    pub(crate) dead_letters_queue: String,
    pub(crate) overflow: String,
    /// The URL of a queue that receives every message of the alert topic.
    pub(crate) alerts: String,
    /// Receives trace segments in place of the X-Ray daemon.
    pub(crate) daemon: UdpSocket,
    /// Without a trailing slash.
    url: String,
    client: Client,
}

impl Stack {
    pub(crate) fn deploy() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Command::new(repository.join("scripts/build-functions")).arg("as-tests").status();
        assert!(built.unwrap().success(), "the functions cannot be built");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(TestDatabase::postgres());
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        daemon.set_nonblocking(true).unwrap();
        let emulator = Emulator::start(repository, daemon.local_addr().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let outputs = folder.path().join("outputs.json");
        let deployed = Command::new(repository.join("localstack/deploy"))
            .args([&repository.join("target/lambda"), &outputs])
            .env("AWS_ENDPOINT_URL", emulator.endpoint())
            .env("DATABASE_URL", database.url())
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&deployed.stdout).into_owned();
        assert!(deployed.status.success(), "{stdout}{}", String::from_utf8_lossy(&deployed.stderr));
        let posted_to = stdout.lines().last().and_then(|line| line.strip_prefix("POST ")).unwrap();

        let outputs: Value = serde_json::from_slice(&std::fs::read(outputs).unwrap()).unwrap();
        let output =
            |stack: &str, name: &str| outputs[format!("revenueflow-local-{stack}")][name].as_str().unwrap();
        let alerts = emulator.listen(output("service", "AlertTopicArn")).unwrap();
        let janitor = json!({ "Name": "revenueflow-local-janitor" });
        emulator.call("events", "AWSEvents.DisableRule", &janitor).unwrap();
        Self {
            leads_queue: output("data", "LeadsQueueUrl").into(),
            dead_letters_queue: output("data", "DeadLettersQueueUrl").into(),
            overflow: output("data", "OverflowBucket").into(),
            alerts,
            daemon,
            url: posted_to.strip_suffix("/leads").unwrap().into(),
            client: Client::builder().timeout(Duration::from_mins(1)).build().unwrap(),
            emulator,
            database,
            runtime,
        }
    }

    /// Posts a lead as a sender and returns its id.
    pub(crate) fn post(&self, lead: &Value) -> String {
        let request = self.client.post(format!("{}/leads", self.url));
        let answer = send(request.header("X-RevenueFlow-Token", WEBHOOK_SECRET).body(lead.to_string()));
        assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("accepted")), "{answer:?}");
        answer.json()["lead_id"].as_str().unwrap().to_owned()
    }

    /// Posts the synthetic lead with the code of the function that posts it on AWS.
    pub(crate) fn post_synthetic(&self) {
        let poster = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/synthetic/index.mjs");
        let script = "const { post } = await import(process.argv[1]); await post(...process.argv.slice(2));";
        let posted = Command::new("node")
            .args(["--input-type=module", "--eval", script])
            .arg(poster.canonicalize().unwrap())
            .args([&format!("{}/leads", self.url), WEBHOOK_SECRET])
            .output()
            .unwrap();
        assert!(posted.status.success(), "{}", String::from_utf8_lossy(&posted.stderr));
    }

    /// Reads a path as an operator.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = send(self.client.get(format!("{}{path}", self.url)).bearer_auth(ADMIN_TOKEN));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Posts to a path as an operator.
    pub(crate) fn post_as_operator(&self, path: &str) -> Answer {
        send(self.client.post(format!("{}{path}", self.url)).bearer_auth(ADMIN_TOKEN))
    }

    /// Reads a path without credentials.
    pub(crate) fn get_unauthenticated(&self, path: &str) -> Answer {
        send(self.client.get(format!("{}{path}", self.url)))
    }

    /// Waits until a lead has a status, and returns the lead.
    pub(crate) fn lead_when(&self, id: &str, status: &str) -> Value {
        let mut lead = Value::Null;
        eventually(&format!("lead {id} is {status}"), || {
            let answer = send(self.client.get(format!("{}/leads/{id}", self.url)).bearer_auth(ADMIN_TOKEN));
            lead = answer.json();
            lead["status"] == status
        });
        lead
    }

    /// The number of audit events of one kind for a lead.
    pub(crate) fn times(&self, id: &str, kind: &str) -> usize {
        let audit = self.get(&format!("/leads/{id}/audit"));
        audit["items"].as_array().unwrap().iter().filter(|event| event["kind"] == kind).count()
    }

    /// The state of the event source mapping between the lead queue and `enrich`, such as `Enabled`.
    pub(crate) fn mapping_state(&self) -> String {
        self.mapping()["State"].as_str().unwrap().to_owned()
    }

    pub(crate) fn enable_mapping(&self, enabled: bool) {
        let path = format!("/2015-03-31/event-source-mappings/{}", self.mapping()["UUID"].as_str().unwrap());
        self.emulator.rest("lambda", "PUT", &path, json!({ "Enabled": enabled }).to_string()).unwrap();
        let state = if enabled { "Enabled" } else { "Disabled" };
        eventually("the mapping is switched", || self.mapping_state() == state);
    }

    fn mapping(&self) -> Value {
        let all =
            self.emulator.rest("lambda", "GET", "/2015-03-31/event-source-mappings/", String::new()).unwrap();
        let all: Value = serde_json::from_str(&all).unwrap();
        let queue = self.emulator.queue_arn(&self.leads_queue);
        let mappings = all["EventSourceMappings"].as_array().unwrap();
        mappings.iter().find(|mapping| mapping["EventSourceArn"] == *queue).unwrap().clone()
    }

    /// Invokes one janitor round, as its schedule does.
    pub(crate) fn run_janitor(&self) -> Value {
        let path = "/2015-03-31/functions/revenueflow-local-janitor:live/invocations";
        let answer = self.emulator.rest("lambda", "POST", path, "{}".into()).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer.get("errorMessage").is_none(), "{answer}");
        answer
    }

    /// The number of messages in a queue, including those in flight.
    pub(crate) fn depth(&self, queue: &str) -> u64 {
        let input = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
        let answer = self.emulator.call("sqs", "AmazonSQS.GetQueueAttributes", &input).unwrap();
        let count = |name: &str| answer["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap();
        count("ApproximateNumberOfMessages") + count("ApproximateNumberOfMessagesNotVisible")
    }

    /// The result of a counting statement in the functions' database.
    pub(crate) fn count(&self, statement: String) -> i64 {
        self.runtime.block_on(async {
            let database = self.database.connect().await;
            let count = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(database.pool()).await;
            database.close().await;
            count.unwrap()
        })
    }

    /// Runs a statement in the functions' database.
    pub(crate) fn execute(&self, statement: String) {
        self.runtime.block_on(async {
            let database = self.database.connect().await;
            let done = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(database.pool()).await;
            done.unwrap();
            database.close().await;
        });
    }

    /// Asserts that no log line of the functions contains personal data or a secret.
    pub(crate) fn nothing_personal_was_logged(&self) {
        let log = self.emulator.log().unwrap();
        assert!(log.contains("lead settled"), "the log holds the functions' lines");
        for private in [&format!("@{COMPANY}"), WEBHOOK_SECRET, ADMIN_TOKEN, "Lovelace", "DROP TABLE"] {
            let line = log.lines().find(|line| line.contains(private));
            assert_eq!(line, None, "{private} was logged");
        }
    }
}

fn send(request: RequestBuilder) -> Answer {
    let response = request.send().unwrap();
    Answer { status: response.status().as_u16(), text: response.text().unwrap() }
}
