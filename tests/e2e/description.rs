//! The HTTP interface against its OpenAPI description, tested with Schemathesis.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use testkit::eventually;

use crate::support::Fixture;

/// Generated requests per operation and phase. The seed is fixed, so every run sends the same requests.
const EXAMPLES: &str = "25";

#[test]
fn every_answer_matches_the_api_description() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let schemathesis = root.join(".tools/python/tests/clients/api/bin/schemathesis");
    assert!(schemathesis.exists(), "the packages of tests/clients/api are not installed: run `make test`");
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[]);
    for campaign in ["a", "b", "c"] {
        let lead = json!({"email": "lead@stripe.com", "name": "Alex Smith", "campaign_id": campaign});
        assert_eq!(server.post_lead(&lead).unwrap().status, 202);
    }
    assert_eq!(server.post_lead(&json!("not a lead")).unwrap().status, 400);
    eventually("the leads are written", || {
        server.get("/leads?status=synced").unwrap().json()["items"].as_array().unwrap().len() == 3
    });

    let output = Command::new(schemathesis)
        .arg("--config-file")
        .arg(root.join("tests/clients/api/schemathesis.toml"))
        .args(["run", &server.url("/openapi.json"), "--max-examples", EXAMPLES, "--continue-on-failure"])
        .env("NO_PROXY", "127.0.0.1")
        .current_dir(fixture.folder.path())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    let tested = report.lines().find_map(|line| line.trim().strip_prefix("Tested: ")?.parse::<u32>().ok());
    assert!(tested.is_some_and(|operations| operations >= 25), "{report}");
    assert!(server.get("/readyz").unwrap().json().is_object(), "the server is still running");
}
