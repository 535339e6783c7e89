//! The requests, validated against the models of the vendors' own clients.

use std::path::Path;
use std::process::Stdio;

use analysis::Analyst as _;
use sandbox::{bedrock, gemini};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{self, CLAUDE, GEMINI, Shared, facts, listed};

#[tokio::test]
async fn vendor_clients_could_send_every_request() {
    let ((google, _), (aws, _)) = (support::gemini().await, support::bedrock().await);
    let shared = Shared::default();
    for mode in ["json_schema", "tool", "prompt"] {
        for (provider, id, more) in
            [("gemini", GEMINI, "thinking = \"LOW\""), ("bedrock", CLAUDE, "cache_point = true")]
        {
            let model = listed(provider, id, mode, more);
            // Only the request matters; the fake's answer is ignored.
            if provider == "gemini" {
                let _ = shared.gemini_of(&google, model, gemini::KEY).analyse(&facts()).await;
            } else {
                let _ = shared.bedrock_of(&aws, model, bedrock::ACCESS_KEY_ID).analyse(&facts()).await;
            }
        }
    }
    let sent = [(&google, "gemini"), (&aws, "bedrock")].map(|(fake, provider)| {
        let line = |e: &sandbox::Exchange| json!({ "provider": provider, "path": e.path, "body": e.json() });
        fake.exchanges().iter().map(line).collect::<Vec<_>>()
    });
    let sent = sent.concat();
    assert_eq!(sent.len(), 6);
    assert_eq!(check(&sent).await, "6");
}

/// Validates the requests. Returns their number; fails the test if one of them is invalid.
async fn check(requests: &[serde_json::Value]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/python/tests/clients/ai/bin/python");
    assert!(python.exists(), "the packages of tests/clients/ai are not installed: run `make test`");
    let mut checker = tokio::process::Command::new(python)
        .arg(root.join("tests/clients/ai/check_requests.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = checker.stdin.take().unwrap();
    let lines: Vec<_> = requests.iter().map(ToString::to_string).collect();
    input.write_all(lines.join("\n").as_bytes()).await.unwrap();
    drop(input);
    let output = checker.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
