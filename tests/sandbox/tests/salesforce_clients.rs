//! Verifies the fake of Salesforce with third-party clients: they make everyday calls and check the answers.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sandbox::Fake;
use sandbox::salesforce::Salesforce;
use tokio::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

async fn assert_success(command: &mut Command) {
    let output = command.kill_on_drop(true).output().await.expect("`make test` installs the clients");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{text}");
}

#[tokio::test]
async fn jsforce_accepts_the_fake() {
    let salesforce = Salesforce::new();
    let fake = Fake::serve("salesforce", salesforce.router()).await.unwrap();
    let folder = root().join("tests/clients/salesforce");
    assert_success(Command::new("node").arg("ordinary.mjs").arg(fake.url()).current_dir(folder)).await;
    salesforce.org(|org| {
        let keys: Vec<_> = org.records("Lead").iter().map(|lead| lead["RevenueFlow_Id__c"].clone()).collect();
        assert_eq!(keys, ["Key-0", "Key-1", "key-2"]);
        assert_eq!(org.records("Task").len(), 1);
    });
}

#[tokio::test]
async fn simple_salesforce_accepts_the_fake() {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let salesforce = Salesforce::new();
    let certificate: Vec<u8> = key.public_key().as_der().unwrap().as_ref().to_vec();
    salesforce.org(|org| org.certificate = Some(certificate));
    let fake = Fake::serve("salesforce", salesforce.router()).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let der = BASE64_STANDARD.encode(key.as_der().unwrap().as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    std::fs::write(folder.path().join("key.pem"), pem).unwrap();
    let python = root().join(".tools/python/tests/clients/salesforce/bin/python");
    let script = root().join("tests/clients/salesforce/ordinary.py");
    let mut command = Command::new(python);
    command.arg(script).arg(fake.url()).arg(folder.path().join("key.pem")).env("NO_PROXY", "*");
    assert_success(&mut command).await;
    salesforce.org(|org| {
        let keys: Vec<_> = org.records("Lead").iter().map(|lead| lead["RevenueFlow_Id__c"].clone()).collect();
        assert_eq!(keys, ["py-0", "py-1", "py-2"]);
    });
}
