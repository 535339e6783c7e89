//! The health of dependencies, through `crm::Health`.

use crm::{Health, HealthRecord, Open, OpenCause};
use lead::Dependency;
use on_both::on_both;
use tokio::task::JoinSet;

use crate::support::{Fixture, at};

const CRM: Dependency = Dependency::new("crm.mock");

#[on_both]
async fn an_unknown_dependency_is_healthy(fixture: Fixture) {
    assert_eq!(fixture.store().await.load(&CRM).await.unwrap(), HealthRecord::default());
}

#[on_both]
async fn a_record_is_loaded_as_it_was_saved(fixture: Fixture) {
    let store = fixture.store().await;
    let open = Open {
        reason: "crm_timeout".into(),
        cause: OpenCause::Failures,
        opened_at: at(0),
        retry_at: at(30),
        probing: true,
    };
    let down = HealthRecord {
        failures: 5,
        open: Some(open),
        recovered_at: Some(at(1)),
        failed_caller: Some("a".into()),
    };
    store.update(&CRM, &mut |record| *record = down.clone()).await.unwrap();
    assert_eq!(fixture.store().await.load(&CRM).await.unwrap(), down);
    assert_eq!(store.open_breakers().await.unwrap(), [CRM]);
    assert_eq!(store.load(&Dependency::new("crm.other")).await.unwrap(), HealthRecord::default());
    store.update(&CRM, &mut |record| *record = HealthRecord::default()).await.unwrap();
    assert_eq!(store.load(&CRM).await.unwrap(), HealthRecord::default());
    assert_eq!(store.open_breakers().await.unwrap(), []);
}

#[on_both]
async fn concurrent_updates_of_two_processes_are_all_applied(fixture: Fixture) {
    let stores = [fixture.store().await, fixture.store().await];
    let mut running = JoinSet::new();
    for n in 0..40 {
        let store = stores[n % 2].clone();
        running.spawn(async move { store.update(&CRM, &mut |record| record.failures += 1).await });
    }
    while let Some(updated) = running.join_next().await {
        updated.unwrap().unwrap();
    }
    assert_eq!(stores[0].load(&CRM).await.unwrap().failures, 40);
}
