//! Verifies the fakes of AI services with the vendors' own clients.

#![allow(clippy::unwrap_used, reason = "a test helper that panics fails the test")]

use std::path::{Path, PathBuf};

use sandbox::{Fake, bedrock, gemini};

#[tokio::test]
async fn googles_own_client_accepts_the_fake() {
    let fake = Fake::serve("gemini", gemini::Gemini::default().router()).await.unwrap();
    prove("gemini.py", &[&fake.url(), gemini::KEY]).await;
    assert!(fake.exchanges().len() >= 8, "the client sent its requests");
}

#[tokio::test]
async fn awss_own_client_accepts_the_fake() {
    let fake = Fake::serve("bedrock", bedrock::Bedrock::default().router()).await.unwrap();
    prove("bedrock.py", &[&fake.url(), bedrock::ACCESS_KEY_ID]).await;
    assert!(fake.exchanges().len() >= 10, "the client sent its requests");
}

async fn prove(script: &str, arguments: &[&str]) {
    let python = root().join(".tools/python/tests/clients/ai/bin/python");
    assert!(python.exists(), "the packages of tests/clients/ai are not installed: run `make test`");
    let output = tokio::process::Command::new(python)
        .arg(root().join("tests/clients/ai").join(script))
        .args(arguments)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
