//! The constraints of the schema: texts of enums, and rows that belong together.

use std::collections::BTreeMap;

use breaker::OpenCause;
use crm::ActionState;
use grounding::GroundingStatus;
use lead::{Decision, Fit, Intent, LeadStatus};
use on_both::on_both;
use sqlx::AssertSqlSafe;
use store::{CrmSync, DeliveryState, OverLimit};

use crate::support::{Fixture, event};

const SCHEMA: &str = include_str!("../../../database/migrations/0001_initial.sql");

/// The texts of each column with a `CHECK (column IN (..))`, by `table.column`.
fn checked() -> BTreeMap<String, Vec<String>> {
    let mut checked = BTreeMap::new();
    for table in SCHEMA.split("CREATE TABLE ").skip(1) {
        let (name, columns) = table.split_once(" (").unwrap();
        for check in columns.split("\n);").next().unwrap().split("CHECK (").skip(1) {
            let Some((column, texts)) = check.split_once(" IN (") else { continue };
            let texts = texts.split_once(')').unwrap().0.split(',');
            let texts = texts.map(|text| text.trim().trim_matches('\'').to_owned()).collect();
            checked.insert(format!("{name}.{column}"), texts);
        }
    }
    checked
}

#[test]
fn checks_have_the_texts_of_the_enums() {
    macro_rules! texts {
        ($type:ty) => {
            <$type>::ALL.iter().map(|value| value.as_str().to_owned()).collect::<Vec<_>>()
        };
    }
    let checked = checked();
    let expected = [
        ("crm_action.state", texts!(ActionState)),
        ("delivery.over_limit", texts!(OverLimit)),
        ("delivery.state", texts!(DeliveryState)),
        ("dependency_health.cause", texts!(OpenCause)),
        ("lead.decision", texts!(Decision)),
        ("lead.fit", texts!(Fit)),
        ("lead.grounding", texts!(GroundingStatus)),
        ("lead.intent", texts!(Intent)),
        ("lead.status", texts!(LeadStatus)),
        ("lead_assignment.crm_sync", texts!(CrmSync)),
    ];
    for (column, texts) in expected {
        assert_eq!(checked[column], texts, "{column}");
    }
    // The texts of enums inside the crate are compared there, or belong to statements.
    let others = ["delivery.enrichment_retry", "delivery.limit_scope", "dependency_health.state"];
    let lists = ["review_decision.decision", "suppression.kind", "suppression_removal.kind"];
    assert_eq!(checked.len(), 10 + others.len() + lists.len(), "{:?}", checked.keys());
}

/// Whether a statement is refused, on a lead with a delivery.
async fn is_refused(fixture: &Fixture, statement: &str) -> bool {
    let store = fixture.store().await;
    let mut transaction = store.database().begin().await.unwrap();
    let changed = sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await;
    changed.is_err() || transaction.commit().await.is_err()
}

#[on_both]
async fn impossible_states_are_refused_by_the_database(fixture: Fixture) {
    fixture.store().await.accept(&event("ann", "a", 0)).await.unwrap();
    for statement in [
        "UPDATE lead SET status = 'lost'",
        "UPDATE lead SET fit_score = 101",
        "UPDATE lead SET decision = 'CALL'",
        "UPDATE delivery SET state = 'opened'",
        "UPDATE delivery SET enrichment_retry = '1'",
        "UPDATE delivery SET lead_id = 'nobody'",
        "INSERT INTO dependency_health (dependency, state, failures, updated_at) VALUES ('a', 'trial', 0, 0)",
        "INSERT INTO webhook_receipt (receipt_id, lead_id, delivery_id) VALUES ('r', 'nobody', 'd')",
        "DELETE FROM lead",
    ] {
        assert!(is_refused(&fixture, statement).await, "{statement}");
    }
    assert!(!is_refused(&fixture, "UPDATE lead SET status = 'held', fit_score = 100").await);
}
