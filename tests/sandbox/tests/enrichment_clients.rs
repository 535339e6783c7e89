//! The fakes of enrichment providers, proved by clients that somebody else wrote. Of the others none can be installed or
//! speaks what we speak: `docs/enrichment.md` says which.

#![allow(clippy::unwrap_used, reason = "a test whose helper cannot go on has failed")]

use std::path::{Path, PathBuf};

use sandbox::{Fake, hunter, pdl};

#[tokio::test]
async fn people_data_labs_own_client_finds_what_it_expects() {
    let fake = Fake::serve("pdl", pdl::router()).await.unwrap();
    prove("pdl.py", &fake, pdl::KEY).await;
}

#[tokio::test]
async fn the_public_client_of_hunter_finds_what_it_expects() {
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
    assert!(fake.exchanges().len() >= 8, "it asked");
}
