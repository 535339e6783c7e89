//! Verifies the fakes of enrichment providers with third-party clients. No suitable client exists for the
//! other providers; `docs/enrichment.md` has the reasons.

#![allow(clippy::unwrap_used, reason = "a test helper that panics fails the test")]

use std::path::{Path, PathBuf};

use sandbox::{Fake, hunter, pdl};

#[tokio::test]
async fn people_data_labs_own_client_accepts_the_fake() {
    let fake = Fake::serve("pdl", pdl::router()).await.unwrap();
    prove("pdl.py", &fake, pdl::KEY).await;
}

#[tokio::test]
async fn the_public_hunter_client_accepts_the_fake() {
    let fake = Fake::serve("hunter", hunter::router()).await.unwrap();
    prove("hunter.py", &fake, hunter::KEY).await;
}

async fn prove(script: &str, fake: &Fake, key: &str) {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/python/tests/clients/enrichment/bin/python");
    assert!(python.exists(), "the packages of tests/clients/enrichment are not installed: run `make test`");
    let output = tokio::process::Command::new(python)
        .arg(root.join("tests/clients/enrichment").join(script))
        .args([fake.url().as_str(), key])
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fake.exchanges().len() >= 8, "the client sent its requests");
}
