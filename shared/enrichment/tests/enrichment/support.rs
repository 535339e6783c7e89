use std::sync::Arc;
use std::time::Duration;

use enrichment::{
    Access, Apollo, Clearbit, EnrichmentProvider, Hunter, PeopleDataLabs, ZoomInfo, ZoomInfoAccess,
};
use lead::{Clock, ManualClock};
use sandbox::{CATALOGUE, Fake, apollo, clearbit, hunter, pdl, zoominfo};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_mins(2);

/// A provider's client and its fake, with a manual clock.
pub(crate) struct ProviderFixture {
    pub(crate) fake: Fake,
    pub(crate) provider: Arc<dyn EnrichmentProvider>,
    pub(crate) clock: ManualClock,
}

impl ProviderFixture {
    /// With the key that the fake accepts.
    pub(crate) async fn of(name: &str) -> Self {
        let key = match name {
            "zoominfo" => zoominfo::CLIENT_SECRET,
            "apollo" => apollo::KEY,
            "pdl" => pdl::KEY,
            "hunter" => hunter::KEY,
            _ => clearbit::KEY,
        };
        Self::with_key(name, key).await
    }

    pub(crate) async fn with_key(name: &str, key: &str) -> Self {
        let entry = CATALOGUE.iter().find(|entry| entry.name == name).unwrap();
        let fake = Fake::serve(entry.name, (entry.router)()).await.unwrap();
        let clock = ManualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let access = Access { base_url: fake.url().parse().unwrap(), key: key.into() };
        let provider: Arc<dyn EnrichmentProvider> = match name {
            "zoominfo" => {
                let access = ZoomInfoAccess {
                    base_url: format!("{}/gtm", fake.url()).parse().unwrap(),
                    token_url: format!("{}/oauth2/default/v1/token", fake.url()).parse().unwrap(),
                    client_id: zoominfo::CLIENT_ID.into(),
                    client_secret: key.into(),
                };
                Arc::new(ZoomInfo::new(access, TIMEOUT, shared).unwrap())
            }
            "apollo" => Arc::new(Apollo::new(access, TIMEOUT, shared).unwrap()),
            "pdl" => Arc::new(PeopleDataLabs::new(access, 6, TIMEOUT, shared).unwrap()),
            "hunter" => Arc::new(Hunter::new(access, TIMEOUT, shared).unwrap()),
            _ => Arc::new(Clearbit::new(access, TIMEOUT, shared).unwrap()),
        };
        Self { fake, provider, clock }
    }

    /// Changes the account in the fake.
    pub(crate) async fn set_account(&self, change: Value) {
        let url = format!("{}/_account", self.fake.url());
        let answer = reqwest::Client::new().put(url).json(&change).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    pub(crate) async fn credits(&self) -> u64 {
        let answer = reqwest::get(format!("{}/_account", self.fake.url())).await.unwrap();
        answer.json::<Value>().await.unwrap()["credits"].as_u64().unwrap()
    }

    /// Revokes every token that ZoomInfo's fake has issued.
    pub(crate) async fn revoke_tokens(&self) {
        let url = format!("{}/_tokens", self.fake.url());
        reqwest::Client::new().delete(url).send().await.unwrap();
    }

    /// The number of requests whose path contains `path`.
    pub(crate) fn request_count(&self, path: &str) -> usize {
        self.fake.exchanges().iter().filter(|exchange| exchange.path.contains(path)).count()
    }
}

pub(crate) fn no_credits() -> Value {
    json!({ "credits": 0 })
}
