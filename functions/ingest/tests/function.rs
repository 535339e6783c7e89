//! Runs the binary as Lambda does, with an emulator's queue, bucket and secrets.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lead::{LeadEvent, TraceContext};
use serde_json::Value;
use testkit::{Emulator, Function, eventually, sample};

/// printf 'ann@fintech.example:spring-demo' | sha256sum
const LEAD_ID: &str = "5210a800c0395f018b8e965421eb8b203c3cb661b260458f8bdf9f820d4d8621";
/// The secret in the sample events.
const SECRET: &str = "local-webhook-secret";
const NEW_SECRET: &str = "another-webhook-secret";

struct Fixture {
    emulator: Emulator,
    queue: String,
    bucket: String,
}

impl Fixture {
    fn new() -> Self {
        let emulator = Emulator::shared().unwrap();
        let (queue, bucket) = (emulator.create_queue().unwrap(), emulator.create_bucket().unwrap());
        Self { emulator, queue, bucket }
    }

    /// Starts the function with both. The given variables follow, and so override these.
    fn start(&self, variables: &[(&str, &str)]) -> Function {
        let mut all = vec![("QUEUE_URL", self.queue.as_str()), ("OVERFLOW_BUCKET", self.bucket.as_str())];
        all.extend(variables);
        Function::start(env!("CARGO_BIN_EXE_ingest"), &all).unwrap()
    }

    fn object(&self, key: &str) -> String {
        let path = format!("/{}/{key}", self.bucket);
        self.emulator.rest("s3", "GET", &path, String::new()).unwrap()
    }
}

/// The REST API's event, from a sender with this secret.
fn with_secret(secret: &str) -> Value {
    let mut event = sample("ingest-rest");
    event["headers"]["X-RevenueFlow-Token"] = secret.into();
    event["multiValueHeaders"]["X-RevenueFlow-Token"][0] = secret.into();
    event
}

fn status(function: &Function, event: &Value) -> u64 {
    function.answer(event).unwrap().0
}

#[test]
fn lead_is_queued_from_every_kind_of_event() {
    let fixture = Fixture::new();
    let function = fixture.start(&[("WEBHOOK_SECRETS", SECRET)]);
    let ways = ["ingest-rest", "ingest-http-api", "ingest-function-url"];
    for way in ways {
        let (status, body) = function.answer(&sample(way)).unwrap();
        assert_eq!((status, &body["status"], &body["lead_id"]), (202, &"accepted".into(), &LEAD_ID.into()));
    }
    // The function has no database, so duplicates and revisions are left to the store.
    let messages = fixture.emulator.receive(&fixture.queue).unwrap();
    assert_eq!(messages.len(), ways.len());
    let events: Vec<LeadEvent> = (messages.iter())
        .map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap())
        .collect();
    let event = &events[0];
    assert!(events.iter().all(|other| other.content_hash == event.content_hash));
    assert!(event.is_consistent());
    let trace = TraceContext::from_xray(Function::TRACE);
    assert!(trace.is_some() && events.iter().all(|event| event.traceparent == trace), "Lambda's own trace");
    assert_eq!(messages[0]["Attributes"]["MessageGroupId"], LEAD_ID);
    assert_eq!(messages[0]["Attributes"]["MessageDeduplicationId"], event.delivery_id().as_str());
    assert_eq!(fixture.emulator.objects(&fixture.bucket).unwrap(), Vec::<String>::new());
    let logs = function.logs().join("\n");
    assert!(logs.contains(LEAD_ID), "{logs}");
    for private in ["ann@fintech.example", "Ann Example", SECRET] {
        assert!(!logs.contains(private), "{private} is logged");
    }
}

#[test]
fn lead_refused_by_the_queue_is_kept_and_acknowledged() {
    let fixture = Fixture::new();
    let missing = format!("{}-is-missing.fifo", fixture.queue);
    let function = fixture.start(&[("WEBHOOK_SECRETS", SECRET), ("QUEUE_URL", &missing)]);
    assert_eq!(status(&function, &sample("ingest-rest")), 202);
    let [key] = &fixture.emulator.objects(&fixture.bucket).unwrap()[..] else { panic!("one object") };
    let event: LeadEvent = serde_json::from_str(&fixture.object(key)).unwrap();
    assert_eq!((event.lead_id.as_str(), event.is_consistent()), (LEAD_ID, true));
    assert_eq!(event.traceparent, TraceContext::from_xray(Function::TRACE));
    assert_eq!(*key, format!("leads/{}.json", event.delivery_id()));
}

#[test]
fn sender_is_asked_to_retry_when_the_bucket_fails_too() {
    let fixture = Fixture::new();
    let missing = format!("{}-is-missing.fifo", fixture.queue);
    let nowhere = ("OVERFLOW_BUCKET", "there-is-no-such-bucket");
    let function = fixture.start(&[("WEBHOOK_SECRETS", SECRET), ("QUEUE_URL", &missing), nowhere]);
    let answer = function.invoke(&sample("ingest-rest")).unwrap();
    assert_eq!(answer["statusCode"], 503);
    assert_eq!(answer["multiValueHeaders"]["retry-after"][0], "5");
    // The function's output is read by another thread.
    let says_why = || function.logs().iter().any(|line| line.contains("answered 404 NoSuchBucket"));
    eventually("the log says why", says_why);
    assert!(!function.logs().join("\n").contains("ann@fintech.example"));
}

#[test]
fn rejected_body_is_quarantined_unchanged() {
    let fixture = Fixture::new();
    let function = fixture.start(&[("WEBHOOK_SECRETS", SECRET)]);
    let mut event = sample("ingest-rest");
    event["body"] = "{ \"email\": ".into();
    let (status, body) = function.answer(&event).unwrap();
    assert_eq!((status, &body["status"]), (400, &"rejected".into()));
    let [key] = &fixture.emulator.objects(&fixture.bucket).unwrap()[..] else { panic!("one object") };
    let kept: Value = serde_json::from_str(&fixture.object(key)).unwrap();
    assert_eq!(*key, format!("quarantine/{}.json", kept["id"].as_str().unwrap()));
    assert_eq!((&kept["error"], &kept["body"]), (&body["error"], &"eyAiZW1haWwiOiA=".into()));
    assert_eq!(fixture.emulator.receive(&fixture.queue).unwrap(), Vec::<Value>::new(), "nothing is queued");
}

#[test]
fn rotated_secret_is_accepted_and_invalid_one_ignored() {
    let fixture = Fixture::new();
    let arn = fixture.emulator.create_secret(SECRET).unwrap();
    let function = fixture.start(&[("WEBHOOK_SECRETS_ARN", &arn)]);
    assert_eq!(status(&function, &with_secret(SECRET)), 202);
    assert_eq!(status(&function, &with_secret(NEW_SECRET)), 401);

    fixture.emulator.change_secret(&arn, &format!("{SECRET}, {NEW_SECRET}")).unwrap();
    // After a refusal, secrets are read again at most once in ten seconds.
    eventually("the new secret is accepted", || status(&function, &with_secret(NEW_SECRET)) == 202);
    assert_eq!(status(&function, &with_secret(SECRET)), 202, "both are valid at once");

    fixture.emulator.change_secret(&arn, "short").unwrap();
    eventually("the invalid secret is logged", || {
        assert_eq!(status(&function, &with_secret("an-unknown-secret")), 401);
        function.logs().iter().any(|line| line.contains("the new webhook secrets cannot be used"))
    });
    assert_eq!(status(&function, &with_secret(NEW_SECRET)), 202);
    let logs = function.logs().join("\n");
    assert!([SECRET, NEW_SECRET, "an-unknown-secret"].iter().all(|secret| !logs.contains(secret)));
}

#[test]
fn without_a_secret_webhooks_get_503() {
    let fixture = Fixture::new();
    let gone = "arn:aws:secretsmanager:us-east-1:000000000000:secret:gone";
    let function = fixture.start(&[("WEBHOOK_SECRETS_ARN", gone)]);
    let (status, body) = function.answer(&sample("ingest-rest")).unwrap();
    assert_eq!((status, &body["status"]), (503, &"unavailable".into()));
    assert_eq!(fixture.emulator.receive(&fixture.queue).unwrap(), Vec::<Value>::new());
}

#[test]
fn hanging_secrets_manager_is_tried_three_times() {
    let (endpoint, connections) = start_hanging_server(usize::MAX);
    let function = Function::start(
        env!("CARGO_BIN_EXE_ingest"),
        &[
            ("AWS_ENDPOINT_URL", &endpoint),
            ("QUEUE_URL", &format!("{endpoint}/000000000000/leads.fifo")),
            ("OVERFLOW_BUCKET", "overflow"),
            ("WEBHOOK_SECRETS_ARN", "arn:aws:secretsmanager:us-east-1:000000000000:secret:slow"),
        ],
    )
    .unwrap();
    let (status, body) = function.answer(&sample("ingest-rest")).unwrap();
    assert_eq!((status, &body["status"]), (503, &"unavailable".into()), "{body}");
    assert_eq!(connections.load(Ordering::Relaxed), 3, "the function survives for the next request");
}

/// An SQS on loopback that accepts every connection, never answers the first `silent` ones, and answers the
/// others.
fn start_hanging_server(silent: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            if counted.fetch_add(1, Ordering::Relaxed) < silent {
                kept.push(connection);
                continue;
            }
            let mut read = Vec::new();
            let mut buffer = [0; 4096];
            while !read.ends_with(b"}") {
                let length = connection.read(&mut buffer).unwrap();
                read.extend_from_slice(&buffer[..length]);
            }
            // Without the MD5 of the body, which the client only checks where it is given.
            let body = r#"{"MessageId":"219f8380-5770-4cc2-8c3e-5c715e145f5e"}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            connection.write_all(answer.as_bytes()).unwrap();
            kept.push(connection);
        }
    });
    (address, connections)
}

#[test]
fn hanging_queue_connection_is_retried_on_another() {
    let (endpoint, connections) = start_hanging_server(1);
    let function = Function::start(
        env!("CARGO_BIN_EXE_ingest"),
        &[
            ("AWS_ENDPOINT_URL", &endpoint),
            ("QUEUE_URL", &format!("{endpoint}/000000000000/leads.fifo")),
            ("OVERFLOW_BUCKET", "overflow"),
            ("WEBHOOK_SECRETS", SECRET),
        ],
    )
    .unwrap();
    let (status, body) = function.answer(&sample("ingest-rest")).unwrap();
    assert_eq!((status, &body["status"]), (202, &"accepted".into()), "{body}");
    assert_eq!(connections.load(Ordering::Relaxed), 2, "the second try uses the queue, not the bucket");
    let logs = function.logs().join("\n");
    assert!(!logs.contains("writing it to the overflow bucket"), "{logs}");
}
