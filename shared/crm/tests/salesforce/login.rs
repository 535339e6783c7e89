use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crm::testing::{named, suite_plan};
use crm::{Executor, Salesforce, SalesforceCredentials, SalesforceSettings};
use lead::Failure;
use sandbox::salesforce::Org;
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{OrgFixture, mapping, outcomes, settings};

fn pem(key: &KeyPair) -> String {
    let der = BASE64_STANDARD.encode(key.as_der().unwrap().as_ref());
    format!("-----BEGIN PRIVATE KEY-----\\n{der}\\n-----END PRIVATE KEY-----")
}

fn jwt(settings: SalesforceSettings, username: &str, key: &str) -> Result<Salesforce, Failure> {
    let credentials = SalesforceCredentials::Jwt {
        client_id: "consumer-key".to_owned(),
        username: username.to_owned(),
        private_key: key.into(),
        audience: "https://login.salesforce.com".to_owned(),
    };
    Salesforce::new(SalesforceSettings { credentials, ..settings }, Arc::new(mapping()))
}

#[tokio::test]
async fn signed_assertion_logs_in() {
    let fixture = OrgFixture::new().await;
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    fixture.org(|org| org.certificate = Some(key.public_key().as_der().unwrap().as_ref().to_vec()));
    let user = "integration@acme.example";
    jwt(settings(&fixture.fake), user, &pem(&key)).unwrap().probe().await.unwrap();

    let other_key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    for (user, key) in [("somebody@acme.example", &key), (user, &other_key)] {
        let failure = jwt(settings(&fixture.fake), user, &pem(key)).unwrap().probe().await.unwrap_err();
        assert_eq!(named(&failure), "deferral crm_credentials_refused");
    }
    for invalid in ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
        let Err(failure) = jwt(settings(&fixture.fake), user, invalid) else {
            panic!("{invalid} is accepted")
        };
        assert_eq!(failure.code, "crm_private_key");
    }
}

#[tokio::test]
async fn refused_credentials_defer_all_leads_until_corrected() {
    type Change = fn(&mut Org);
    let changes: [(Change, &str); 4] = [
        (|org| org.consumer_key = "rotated".to_owned(), "invalid_client_id"),
        (|org| org.consumer_secret = Some("rotated".to_owned()), "invalid_client"),
        (|org| org.consumer_secret = None, "invalid_grant"),
        (|org| org.run_as = None, "invalid_grant"),
    ];
    let plan = suite_plan("ann", "CTO", 87);
    for (change, hint) in changes {
        let fixture = OrgFixture::new().await;
        fixture.org(change);
        let results = fixture.execute(&plan).await;
        assert_eq!(outcomes(&results), ["deferral crm_credentials_refused"]);
        let failure = results[0].as_ref().unwrap_err();
        assert!(failure.message.contains(hint) && !failure.message.contains("consumer-secret"), "{failure}");
        fixture.org(|org| *org = Org::default());
        fixture.execute_ok(&plan).await;
    }
}

#[tokio::test]
async fn unavailable_and_wrong_login_servers_are_distinguished() {
    let fixture = OrgFixture::new().await;
    let plan = suite_plan("ann", "CTO", 87);
    let answers = [(503, 3, "transient crm_login_failed"), (404, 1, "deferral crm_credentials_refused")];
    for (status, times, expected) in answers {
        let page = Misbehaviour::answer(status, json!("<html>"));
        fixture.fake.add_fault(Fault::on("/oauth2/token", page).times(times));
        assert_eq!(outcomes(&fixture.execute(&plan).await), [expected]);
    }
    let elsewhere = json!({ "access_token": "x", "instance_url": "ftp://elsewhere.example" });
    fixture.fake.add_fault(Fault::on("/oauth2/token", Misbehaviour::answer(200, elsewhere)).times(1));
    assert_eq!(outcomes(&fixture.execute(&plan).await), ["deferral crm_credentials_refused"]);
    fixture.execute_ok(&plan).await;
}
