//! Suppression, and removing a person: after it no table holds the address, the name or the telephone number.

use crm::testing::every_action;
use crm::{Effect, Ledger as _, Outcome, Plan};
use lead::{CampaignId, EmailAddress, Failure, Lead, LeadEvent};
use serde_json::json;
use store::{Accept, Begun, QuarantineItem, Store, Suppressed, SuppressionKind};
use tables::everything;

use crate::support::{Fixture, at, begin, event, judged, synced};

/// Everything that a database holds, as text.
mod tables {
    use database::Backend;
    use sqlx::{AssertSqlSafe, Column as _, Row as _};
    use store::Store;

    pub(super) async fn everything(store: &Store) -> Vec<(String, String)> {
        let database = store.database();
        let tables = match database.backend() {
            Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
            Backend::Postgres => {
                "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables WHERE table_schema = current_schema()"
            }
        };
        let mut texts = Vec::new();
        for table in sqlx::query(tables).fetch_all(database.pool()).await.unwrap() {
            let table: String = table.get("name");
            if table.starts_with("_sqlx") {
                continue;
            }
            let sql = AssertSqlSafe(format!("SELECT * FROM \"{table}\""));
            for row in sqlx::query(sql).fetch_all(database.pool()).await.unwrap() {
                for column in row.columns() {
                    if let Ok(Some(text)) = row.try_get::<Option<String>, _>(column.ordinal()) {
                        texts.push((format!("{table}.{}", column.name()), text.to_lowercase()));
                    }
                }
            }
        }
        texts
    }
}

const NEEDLES: [&str; 4] = ["zebulon", "quux", "555 0142", "5550142"];

fn person(campaign: &str, title: &str, received: i64) -> LeadEvent {
    let email = EmailAddress::parse("zebulon.quux@stripe.com").unwrap();
    let mut lead = Lead::new(email, CampaignId::parse(campaign).unwrap());
    lead.name = Some("Zebulon Quux".to_owned().into());
    lead.phone = Some("+1 555 0142".to_owned().into());
    lead.title = Some(title.to_owned());
    LeadEvent::new(lead, at(received))
}

async fn hits(store: &Store) -> Vec<String> {
    let texts = everything(store).await;
    assert!(texts.len() > 5, "the tables are read");
    let found = |text: &str| NEEDLES.iter().any(|needle| text.contains(needle));
    texts.into_iter().filter(|(_, text)| found(text)).map(|(place, _)| place).collect()
}

/// A lead that left something in every table there is.
async fn lived(fixture: &Fixture, store: &Store) {
    let first = person("c1", "CTO", 0);
    store.accept(&first).await.unwrap();
    let work = begin(store, &first).await;
    store.save_enrichment(&work, json!({"note": "Zebulon"}), &json!({"for": "zebulon"})).await.unwrap();
    let mut analysis = judged(fixture, &work, "rules");
    analysis.raw_answer = "Zebulon Quux is ready".into();
    store.save_analysis(analysis).await.unwrap();
    let mut actions = every_action(&work.lead_id, &work.delivery_id);
    actions.truncate(1);
    if let crm::Action::UpsertLead(details) = &mut actions[0] {
        details.email = first.lead.email.clone();
        details.last_name = crm::Text::fit("Quux");
    }
    let plan = Plan::new(work.lead_id.clone(), work.delivery_id.clone(), 1, None, actions);
    store.begin("salesforce", &plan).await.unwrap();
    let effect = Effect::new("00Q1", true);
    store.finish_effects(&plan, effect).await;
    store.finish(&work, &synced(), &json!([])).await.unwrap();
    // Another campaign, given up; a body that was no lead; a message that was none.
    let given_up = person("c2", "CEO", 1);
    store.accept(&given_up).await.unwrap();
    let failure = Failure::permanent("crm_refused", "refused");
    let body = serde_json::to_string(&given_up).unwrap();
    store.record_dead_letter("m1", Some(&given_up), &body, 1, &failure).await.unwrap();
    let broken = "{\"email\": \"Zebulon.Quux@stripe.com\", broken";
    store.record_dead_letter("m2", None, broken, 1, &failure).await.unwrap();
    for (id, body) in [("aaaa", broken), ("bbbb", "email=zebulon.quux%40stripe.com&name=Quux")] {
        let item = QuarantineItem {
            id,
            error: "invalid_json",
            field: None,
            message: "not JSON",
            content_type: None,
            body: body.as_bytes(),
            received_at: at(1),
        };
        store.quarantine(&item).await.unwrap();
    }
}

/// Ends a plan's effects well.
trait FinishEffects {
    async fn finish_effects(&self, plan: &Plan, effect: Effect);
}

impl FinishEffects for Store {
    async fn finish_effects(&self, plan: &Plan, effect: Effect) {
        let outcomes: Vec<_> = (plan.actions.iter())
            .map(|planned| (planned.action_id.clone(), Outcome::Done(effect.clone())))
            .collect();
        crm::Ledger::finish(self, &outcomes).await.unwrap();
    }
}

async fn nothing_of_an_erased_person_is_left_in_any_table(fixture: Fixture) {
    let store = fixture.store().await;
    lived(&fixture, &store).await;
    let other = event("bob", "CTO", 0);
    store.accept(&other).await.unwrap();
    let email = person("c1", "CTO", 0).lead.email;
    let before = hits(&store).await;
    assert!(before.len() > 5, "{before:?}");

    let dry = store.erase(&email, false).await.unwrap();
    assert_eq!(hits(&store).await, before, "a look changes nothing");
    assert!(!dry.applied && dry.leads.len() == 2);

    fixture.advance(60);
    let erased = store.erase(&email, true).await.unwrap();
    assert_eq!(hits(&store).await, Vec::<String>::new());
    assert_eq!(erased.found, dry.found, "what was announced is what was done");
    let place = |name: &str| erased.found.iter().find(|found| found.place == name).map(|found| found.count);
    assert_eq!((place("lead"), place("dead_letter"), place("quarantine")), (Some(2), Some(2), Some(2)));
    assert_eq!((place("crm_action"), place("analysis")), (Some(1), Some(1)));
    let by_hand: Vec<_> = erased.by_hand.iter().map(|record| record.record_id.as_str()).collect();
    assert_eq!(by_hand, ["00Q1"]);

    let again = store.erase(&email, true).await.unwrap();
    assert!(again.found.is_empty() && again.by_hand == erased.by_hand && again.leads.len() == 2, "{again:?}");
    assert!(store.lead(&other.lead_id).await.unwrap().is_some(), "nobody else is touched");
}

async fn what_was_received_before_is_dropped_and_a_later_post_is_a_new_lead(fixture: Fixture) {
    let store = fixture.store().await;
    let (old, unseen) = (person("c1", "CTO", 0), person("unseen", "CTO", 0));
    store.accept(&old).await.unwrap();
    fixture.advance(60);
    store.erase(&old.lead.email, true).await.unwrap();
    for message in [&old, &unseen] {
        assert!(matches!(store.begin_work(message, 1).await.unwrap(), Begun::Nothing));
        assert_eq!(store.accept(message).await.unwrap(), Accept::Erased);
        let failure = Failure::permanent("x", "x");
        store.record_dead_letter("m", Some(message), "zebulon", 1, &failure).await.unwrap();
    }
    assert_eq!(hits(&store).await, Vec::<String>::new());

    let later = person("c1", "CTO", 61);
    assert_eq!(store.accept(&later).await.unwrap(), Accept::New);
    let work = begin(&store, &later).await;
    assert_eq!((work.revision, work.round), (1, 1));
}

async fn work_under_way_when_its_person_is_erased_leaves_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let event = person("c1", "CTO", 0);
    store.accept(&event).await.unwrap();
    let work = begin(&store, &event).await;
    fixture.advance(60);
    assert_eq!(store.erase(&event.lead.email, true).await.unwrap().in_work, 1);
    let mut analysis = judged(&fixture, &work, "rules");
    analysis.raw_answer = "zebulon".into();
    store.save_analysis(analysis).await.unwrap();
    let actions = every_action(&work.lead_id, &work.delivery_id);
    let plan = Plan::new(work.lead_id.clone(), work.delivery_id.clone(), 1, None, actions);
    assert_eq!(store.begin("mock", &plan).await.unwrap_err().code, "lead_erased");
    store.finish(&work, &synced(), &json!([])).await.unwrap();
    assert_eq!(hits(&store).await, Vec::<String>::new());
}

async fn an_address_or_a_domain_and_those_below_it_are_suppressed(fixture: Fixture) {
    let store = fixture.store().await;
    let email = |text: &str| EmailAddress::parse(text).unwrap();
    let domain = Suppressed::parse("@Example.com").unwrap();
    assert!(store.suppress(&domain, "partner", "eve").await.unwrap());
    assert!(!store.suppress(&domain, "partner", "eve").await.unwrap());
    store.suppress(&Suppressed::parse(" Zebulon.Quux@stripe.com").unwrap(), "asked", "eve").await.unwrap();
    for (address, expected) in [
        ("a@example.com", Some(SuppressionKind::Domain)),
        ("a@mail.example.com", Some(SuppressionKind::Domain)),
        ("a@notexample.com", None),
        ("zebulon.quux@stripe.com", Some(SuppressionKind::Address)),
        ("bob@stripe.com", None),
    ] {
        assert_eq!(store.suppressed(&email(address)).await.unwrap(), expected, "{address}");
    }
    assert_eq!(hits(&store).await, Vec::<String>::new(), "addresses are kept as hashes");
    assert!(
        store.unsuppress("example.com").await.unwrap() && !store.unsuppress("example.com").await.unwrap()
    );
    assert_eq!(store.suppressed(&email("a@example.com")).await.unwrap(), None);
    assert!(Suppressed::parse("not a domain").is_none());
}

on_both!(
    nothing_of_an_erased_person_is_left_in_any_table,
    what_was_received_before_is_dropped_and_a_later_post_is_a_new_lead,
    work_under_way_when_its_person_is_erased_leaves_nothing,
    an_address_or_a_domain_and_those_below_it_are_suppressed,
);
