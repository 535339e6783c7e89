//! AWS credentials from the default chain instead of variables: the binary finds them and refreshes them
//! before they expire.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Fixture, Served};

const NO_METADATA: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

/// A container credentials endpoint and an empty queue.
type Aws = Served<()>;

impl Aws {
    /// Each answer has a new key that expires in one second; the SDK refreshes credentials with less than
    /// five seconds left.
    fn serving_credentials() -> Self {
        let given = Arc::new(AtomicU32::new(0));
        let credentials = async move |headers: HeaderMap| {
            assert_eq!(headers["authorization"], "of-the-task");
            let number = given.fetch_add(1, Ordering::SeqCst);
            Json(json!({
                "AccessKeyId": format!("KEY{number}"), "SecretAccessKey": "hush", "Token": format!("token{number}"),
                "Expiration": (Timestamp::now() + 1.second()).to_string(),
            }))
        };
        let router = Router::new().route("/credentials", get(credentials)).route("/", post(queue));
        Self::of("aws", (), router)
    }

    /// The access key and the session token of each call to the queue.
    fn signed_with(&self) -> Vec<(String, String)> {
        let calls = self.fake.exchanges().into_iter().filter(|exchange| exchange.method == "POST");
        let header = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
        calls
            .map(|call| {
                let authorization = header(&call.headers, "authorization");
                let key = authorization.split_once("Credential=").unwrap().1.split_once('/').unwrap().0;
                (key.to_owned(), header(&call.headers, "x-amz-security-token"))
            })
            .collect()
    }
}

/// The SQS calls that a worker makes.
async fn queue(headers: HeaderMap) -> Json<Value> {
    Json(match headers["x-amz-target"].to_str().unwrap() {
        "AmazonSQS.GetQueueAttributes" => json!({ "Attributes": { "ApproximateNumberOfMessages": "0" } }),
        _ => json!({}),
    })
}

#[test]
fn credentials_of_a_container_are_refreshed() {
    let (fixture, aws) = (Fixture::sqlite(), Aws::serving_credentials());
    let (queue, credentials) = (format!("{}/0/leads.fifo", aws.url), format!("{}/credentials", aws.url));
    let variables = [
        ("QUEUE", "sqs"),
        ("QUEUE_URL", queue.as_str()),
        ("DLQ_URL", queue.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL", aws.url.as_str()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-task"),
        NO_METADATA,
    ];
    let server = fixture.serve(&[], &variables);
    assert_eq!(server.get("/readyz").unwrap().status, 200);
    eventually("calls are signed with refreshed keys", || {
        let keys = aws.signed_with();
        keys.iter().any(|(key, _)| *key != keys[0].0)
    });
    for (key, token) in aws.signed_with() {
        assert_eq!(key.strip_prefix("KEY"), token.strip_prefix("token"), "key and token of one answer");
    }
    let logs = server.logs();
    assert!(!logs.iter().any(|line| line.contains("hush") || line.contains("of-the-task")));
}

#[test]
fn a_profile_provides_region_and_credentials() {
    let (fixture, aws) = (Fixture::sqlite(), Aws::serving_credentials());
    let config = fixture.folder.path().join("config");
    let profile =
        "[profile leads]\nregion = eu-west-1\naws_access_key_id = PROFILE\naws_secret_access_key = hush\n";
    std::fs::write(&config, profile).unwrap();
    let queue = format!("{}/0/leads.fifo", aws.url);
    let variables = [
        ("QUEUE", "sqs"),
        ("QUEUE_URL", queue.as_str()),
        ("DLQ_URL", queue.as_str()),
        ("AWS_ENDPOINT_URL", aws.url.as_str()),
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_PROFILE", "leads"),
        NO_METADATA,
    ];
    let (_, said) = fixture.printed(&["doctor"], &variables);
    assert!(said.contains("credentials found, region eu-west-1"), "{said}");
    let calls = aws.fake.exchanges();
    let authorization = calls[0].headers["authorization"].to_str().unwrap();
    assert!(authorization.contains("Credential=PROFILE/") && authorization.contains("/eu-west-1/sqs/"));
}

#[test]
fn a_missing_region_or_credential_is_named_at_startup() {
    let fixture = Fixture::sqlite();
    let queue =
        [("QUEUE", "sqs"), ("QUEUE_URL", "http://127.0.0.1:9/q"), ("DLQ_URL", "http://127.0.0.1:9/d")];
    let start = |more: &[(&str, &str)]| {
        let variables = [&queue[..], &[NO_METADATA], more].concat();
        let (is_success, said) = fixture.printed(&["serve", "--port", "0"], &variables);
        assert!(!is_success, "{said}");
        said
    };
    assert!(start(&[]).contains("AWS_REGION: must be set"));
    let region = ("AWS_REGION", "eu-central-1");
    let said = start(&[region]);
    assert!(said.contains("AWS_ACCESS_KEY_ID: no credentials") && said.contains("AWS_PROFILE"), "{said}");
    let said = start(&[region, ("AWS_ACCESS_KEY_ID", "KEY")]);
    assert!(said.contains("AWS_SECRET_ACCESS_KEY: must be set"), "{said}");
}

/// Outside EC2 the metadata address may be unused, or a host there may never answer.
#[test]
fn unresponsive_credential_sources_do_not_delay_startup() {
    let fixture = Fixture::sqlite();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let start = |source: (&str, &str)| {
        let variables = [
            ("QUEUE", "sqs"),
            ("QUEUE_URL", "http://127.0.0.1:9/q"),
            ("DLQ_URL", "http://127.0.0.1:9/d"),
            ("AWS_REGION", "eu-central-1"),
            source,
        ];
        let (is_success, said) = fixture.printed(&["doctor"], &variables);
        assert!(!is_success && said.contains("AWS_ACCESS_KEY_ID: no credentials"), "{said}");
    };
    start(("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url));
    start(("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url));
}
