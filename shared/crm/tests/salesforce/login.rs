use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crm::testing::suite_plan;
use crm::{Executor, Salesforce, SalesforceCredentials, SalesforceSettings};
use lead::{Failure, FailureClass};
use sandbox::salesforce::Org;
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{World, mapping, said, settings};

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
async fn a_signed_assertion_is_a_login() {
    let world = World::new().await;
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    world.org(|org| org.certificate = Some(key.public_key().as_der().unwrap().as_ref().to_vec()));
    let user = "integration@acme.example";
    jwt(settings(&world.fake), user, &pem(&key)).unwrap().probe().await.unwrap();

    let other_key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    for (user, key) in [("somebody@acme.example", &key), (user, &other_key)] {
        let failure = jwt(settings(&world.fake), user, &pem(key)).unwrap().probe().await.unwrap_err();
        assert_eq!(
            (failure.class, failure.code.as_ref()),
            (FailureClass::Deferral, "crm_credentials_refused")
        );
    }
    for nonsense in ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
        let Err(failure) = jwt(settings(&world.fake), user, nonsense) else { panic!("{nonsense} is no key") };
        assert_eq!(failure.code, "crm_private_key");
    }
}

#[tokio::test]
async fn refused_credentials_make_all_leads_wait_until_they_are_put_right() {
    type Change = fn(&mut Org);
    let changes: [(Change, &str); 4] = [
        (|org| org.consumer_key = "rotated".to_owned(), "invalid_client_id"),
        (|org| org.consumer_secret = Some("rotated".to_owned()), "invalid_client"),
        (|org| org.consumer_secret = None, "invalid_grant"),
        (|org| org.run_as = None, "invalid_grant"),
    ];
    let plan = suite_plan("ann", "CTO", 87);
    for (change, hint) in changes {
        let world = World::new().await;
        world.org(change);
        let results = world.execute(&plan).await;
        assert_eq!(said(&results), ["deferral crm_credentials_refused"]);
        let failure = results[0].as_ref().unwrap_err();
        assert!(failure.message.contains(hint) && !failure.message.contains("consumer-secret"), "{failure}");
        world.org(|org| *org = Org::default());
        world.done(&plan).await;
    }
}

#[tokio::test]
async fn a_login_server_that_is_down_or_somewhere_else_is_told_apart() {
    let world = World::new().await;
    let plan = suite_plan("ann", "CTO", 87);
    let answers = [(503, 3, "transient crm_login_failed"), (404, 1, "deferral crm_credentials_refused")];
    for (status, times, expected) in answers {
        let page = Misbehaviour::answer(status, json!("<html>"));
        world.fake.add_fault(Fault::on("/oauth2/token", page).times(times));
        assert_eq!(said(&world.execute(&plan).await), [expected]);
    }
    let elsewhere = json!({ "access_token": "x", "instance_url": "ftp://elsewhere.example" });
    world.fake.add_fault(Fault::on("/oauth2/token", Misbehaviour::answer(200, elsewhere)).times(1));
    assert_eq!(said(&world.execute(&plan).await), ["deferral crm_credentials_refused"]);
    world.done(&plan).await;
}
