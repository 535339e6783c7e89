//! The requests, validated against the models of the vendors' own clients.

use std::path::Path;
use std::process::Stdio;

use analysis::{Analyst as _, Models};
use sandbox::{Fake, bedrock, gemini};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{Shared, facts};

#[tokio::test]
async fn vendor_clients_could_send_every_request() {
    let google = Fake::serve("gemini", gemini::Gemini::default().router()).await.unwrap();
    let aws = Fake::serve("bedrock", bedrock::Bedrock::default().router()).await.unwrap();
    let shared = Shared::default();
    for mode in ["json_schema", "tool", "prompt"] {
        for (provider, id, more) in [
            ("gemini", "gemini-3.8-flash", "thinking = \"LOW\""),
            ("bedrock", "global.anthropic.claude-haiku-5-5", "cache_point = true"),
        ] {
            let list = format!(
                "[[models]]\nprovider = \"{provider}\"\nid = \"{id}\"\noutput = \"{mode}\"\nmax_output_tokens = 4096\n{more}\n\
                 prices = [{{ from = \"2026-01-01\", input = 1, output = 1 }}]"
            );
            let model = Models::parse(&list).unwrap().model(provider, id).unwrap();
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
