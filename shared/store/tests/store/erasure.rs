//! Suppression and erasure of persons. After an erasure no table holds the address, the name or the telephone
//! number.

use crm::testing::every_action;
use crm::{Authority, BegunPlan, Effect, Outcome, Plan};
use database::testing::tables;
use lead::{Actor, EmailAddress, Failure, LeadEvent};
use on_both::on_both;
use serde_json::json;
use sqlx::{AssertSqlSafe, Column as _, Row as _};
use store::{Accept, Begun, LEAD_ROWS, NotSaved, Store, Suppressed, SuppressionKind};

use crate::support::{
    Fixture, at, begin, begin_plan, company, event, finish, finish_actions, judged, new_lead, rejected_body,
    save_enrichment, save_judgement, synced,
};

/// All text values in a database.
async fn all_texts(store: &Store) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for table in tables(store.database()).await {
        let sql = AssertSqlSafe(format!("SELECT * FROM {table}"));
        for row in sqlx::query(sql).fetch_all(store.database().pool()).await.unwrap() {
            for column in row.columns() {
                if let Ok(Some(text)) = row.try_get::<Option<String>, _>(column.ordinal()) {
                    texts.push((format!("{table}.{}", column.name()), text.to_lowercase()));
                }
            }
        }
    }
    texts
}

const NEEDLES: [&str; 4] = ["zebulon", "quux", "555 0142", "5550142"];

fn person(campaign: &str, title: &str, received: i64) -> LeadEvent {
    let mut lead = new_lead("zebulon.quux@stripe.com", campaign);
    lead.name = Some("Zebulon Quux".to_owned().into());
    lead.phone = Some("+1 555 0142".to_owned().into());
    lead.title = Some(title.to_owned());
    LeadEvent::new(lead, at(received))
}

async fn hits(store: &Store) -> Vec<String> {
    let texts = all_texts(store).await;
    assert!(texts.len() > 5, "the tables are read");
    let found = |text: &str| NEEDLES.iter().any(|needle| text.contains(needle));
    texts.into_iter().filter(|(_, text)| found(text)).map(|(place, _)| place).collect()
}

/// Fills the tables with data of the person.
async fn fill_tables(fixture: &Fixture, store: &Store) {
    let first = person("c1", "CTO", 0);
    store.accept(&first).await.unwrap();
    let mut work = begin(store, &first).await;
    save_enrichment(store, company("Zebulon"), json!({"for": "zebulon"}), &mut work).await.unwrap();
    let mut analysis = judged(fixture, &work, "rules");
    analysis.raw_answer = "Zebulon Quux is ready".into();
    save_judgement(store, analysis, &mut work).await.unwrap();
    let mut actions = every_action(&work.lead_id, &work.delivery_id);
    actions.truncate(1);
    if let crm::Action::UpsertLead(details) = &mut actions[0] {
        details.email = first.lead.email.clone();
        details.last_name = crm::Text::fit("Quux");
    }
    let plan = Plan::new(work.lead_id.clone(), work.delivery_id.clone(), 1, None, actions);
    begin_plan(store, "salesforce", &plan, Authority::Normal).await;
    let effect = Effect::new("00Q1", true);
    store.finish_effects(&plan, effect).await;
    finish(store, synced(), &mut work).await.unwrap();
    // A dead-lettered lead of another campaign, an unreadable dead letter, and two quarantined bodies.
    let dead_lettered = person("c2", "CEO", 1);
    store.accept(&dead_lettered).await.unwrap();
    let failure = Failure::permanent("crm_refused", "refused");
    let body = serde_json::to_string(&dead_lettered).unwrap();
    store.record_dead_letter("m1", Some(&dead_lettered), &body, 1, &failure).await.unwrap();
    let broken = "{\"email\": \"Zebulon.Quux@stripe.com\", broken";
    store.record_dead_letter("m2", None, broken, 1, &failure).await.unwrap();
    for (id, body) in [("aaaa", broken), ("bbbb", "email=zebulon.quux%40stripe.com&name=Quux")] {
        store.quarantine(&rejected_body(id, body.as_bytes(), at(1))).await.unwrap();
    }
}

/// Marks all actions of a plan as done.
trait FinishEffects {
    async fn finish_effects(&self, plan: &Plan, effect: Effect);
}

impl FinishEffects for Store {
    async fn finish_effects(&self, plan: &Plan, effect: Effect) {
        let outcomes: Vec<_> = (plan.actions.iter())
            .map(|planned| (planned.action_id.clone(), Outcome::Done(effect.clone())))
            .collect();
        finish_actions(self, &outcomes).await;
    }
}

#[on_both]
async fn no_table_holds_data_of_an_erased_person(fixture: Fixture) {
    let store = fixture.store().await;
    fill_tables(&fixture, &store).await;
    let other = event("bob", "CTO", 0);
    store.accept(&other).await.unwrap();
    let email = person("c1", "CTO", 0).lead.email;
    let before = hits(&store).await;
    assert!(before.len() > 5, "{before:?}");

    let dry = store.erase(&Actor::admin(), &email, &LEAD_ROWS, false).await.unwrap();
    assert_eq!(hits(&store).await, before, "a dry run changes nothing");
    assert!(!dry.applied && dry.leads.len() == 2);

    fixture.advance(60);
    let erased = store.erase(&Actor::admin(), &email, &LEAD_ROWS, true).await.unwrap();
    assert_eq!(hits(&store).await, Vec::<String>::new());
    assert_eq!(erased.found, dry.found, "the dry run reports the same findings");
    let place = |name: &str| erased.found.iter().find(|found| found.place == name).map(|found| found.count);
    assert_eq!((place("lead"), place("dead_letter"), place("quarantine")), (Some(2), Some(2), Some(2)));
    assert_eq!((place("crm_action"), place("analysis")), (Some(1), Some(1)));
    let by_hand: Vec<_> = erased.by_hand.iter().map(|record| record.record_id.as_str()).collect();
    assert_eq!(by_hand, ["00Q1"]);

    let again = store.erase(&Actor::admin(), &email, &LEAD_ROWS, true).await.unwrap();
    assert!(again.found.is_empty() && again.by_hand == erased.by_hand && again.leads.len() == 2, "{again:?}");
    assert!(store.lead(&other.lead_id).await.unwrap().is_some(), "other leads stay");
}

/// Whether the file of a PostgreSQL table holds a text.
async fn file_holds(store: &Store, table: &str, needle: &str) -> bool {
    sqlx::raw_sql("CHECKPOINT").execute(store.database().pool()).await.unwrap();
    let query = sqlx::query_scalar(
        "SELECT CAST(position(convert_to($2, 'UTF8') IN pg_read_binary_file(pg_relation_filepath($1))) AS BIGINT)",
    );
    let position: i64 = query.bind(table).bind(needle).fetch_one(store.database().pool()).await.unwrap();
    position > 0
}

#[tokio::test]
async fn postgres_keeps_bytes_until_tables_are_rewritten() {
    let fixture = Fixture::postgres().await;
    let store = fixture.store().await;
    fill_tables(&fixture, &store).await;
    let erased = store
        .erase(&lead::Actor::admin(), &person("c1", "CTO", 0).lead.email, &LEAD_ROWS, true)
        .await
        .unwrap();
    assert_eq!(erased.traces, database::Traces::DeadRows);
    let tables = ["lead", "delivery", "analysis", "crm_action"];
    for table in tables {
        assert!(file_holds(&store, table, "ebulon").await, "{table}: the certificate says so");
        let rewrite = format!("VACUUM FULL {table}");
        // Rows stay while an older transaction runs on the server, such as another test's.
        let mut tries = 0;
        while file_holds(&store, table, "ebulon").await {
            assert!(tries < 200, "{table}");
            tries += 1;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            sqlx::raw_sql(AssertSqlSafe(rewrite.clone())).execute(store.database().pool()).await.unwrap();
        }
    }
}

#[on_both]
async fn export_holds_what_an_erasure_removes(fixture: Fixture) {
    let store = fixture.store().await;
    fill_tables(&fixture, &store).await;
    let email = person("c1", "CTO", 0).lead.email;
    store.suppress(&lead::Actor::admin(), &Suppressed::Address(email.clone()), "opted out").await.unwrap();
    store.accept(&event("bob", "CTO", 0)).await.unwrap();
    let export = store.export(&email, &LEAD_ROWS).await.unwrap();
    let erasure = store.erase(&lead::Actor::admin(), &email, &LEAD_ROWS, true).await.unwrap();

    assert_eq!(export.leads.iter().map(|lead| lead.lead_id.clone()).collect::<Vec<_>>(), erasure.leads);
    for found in &erasure.found {
        let rows = |lead: &store::LeadExport| {
            lead.tables.get(&found.place).map_or(0, |rows| rows.as_array().unwrap().len())
        };
        let of_leads: usize = export.leads.iter().map(rows).sum();
        let of_bodies = export.bodies[&found.place].as_array().map_or(0, Vec::len);
        assert_eq!((of_leads + of_bodies) as u64, found.count, "{}", found.place);
    }
    let text = json!(export).to_string();
    for stored in ["Zebulon Quux is ready", "+1 555 0142", "name=Quux", "opted out", "00Q1"] {
        assert!(text.contains(stored), "{stored}");
    }
    assert!(!text.contains("bob@"), "only this person");

    let after = store.export(&email, &LEAD_ROWS).await.unwrap();
    assert_eq!(after.leads.len(), 2, "the hashes of erased leads");
    let text = json!(after.leads).to_string().to_lowercase();
    assert!(NEEDLES.iter().all(|needle| !text.contains(needle)), "{text}");
}

#[on_both]
async fn events_before_an_erasure_are_dropped_and_later_ones_new(fixture: Fixture) {
    let store = fixture.store().await;
    let (old, unseen) = (person("c1", "CTO", 0), person("unseen", "CTO", 0));
    store.accept(&old).await.unwrap();
    fixture.advance(60);
    store.erase(&Actor::admin(), &old.lead.email, &LEAD_ROWS, true).await.unwrap();
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

#[on_both]
async fn work_in_progress_during_an_erasure_leaves_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let event = person("c1", "CTO", 0);
    store.accept(&event).await.unwrap();
    let mut work = begin(&store, &event).await;
    fixture.advance(60);
    assert_eq!(store.erase(&Actor::admin(), &event.lead.email, &LEAD_ROWS, true).await.unwrap().in_work, 1);
    let mut analysis = judged(&fixture, &work, "rules");
    analysis.raw_answer = "zebulon".into();
    assert!(matches!(save_judgement(&store, analysis, &mut work).await, Err(NotSaved::Erased)));
    let actions = every_action(&work.lead_id, &work.delivery_id);
    let plan = Plan::new(work.lead_id.clone(), work.delivery_id.clone(), 1, None, actions);
    assert_eq!(begin_plan(&store, "mock", &plan, Authority::Normal).await, BegunPlan::Erased);
    assert!(matches!(finish(&store, synced(), &mut work).await, Err(NotSaved::Erased)));
    assert_eq!(hits(&store).await, Vec::<String>::new());
}

#[on_both]
async fn work_from_before_an_erasure_is_dropped_after_a_new_post(fixture: Fixture) {
    let store = fixture.store().await;
    let old = person("c1", "Chief of Zebulon", 0);
    store.accept(&old).await.unwrap();
    let mut work = begin(&store, &old).await;
    fixture.advance(60);
    store.erase(&Actor::admin(), &old.lead.email, &LEAD_ROWS, true).await.unwrap();
    let mut lead = new_lead("zebulon.quux@stripe.com", "c1");
    lead.title = Some("CTO".to_owned());
    let new = LeadEvent::new(lead, at(61));
    assert_eq!(store.accept(&new).await.unwrap(), Accept::New);
    let before = all_texts(&store).await.len();

    let mut analysis = judged(&fixture, &work, "rules");
    analysis.raw_answer = "Chief of Zebulon".into();
    assert!(matches!(save_judgement(&store, analysis, &mut work).await, Err(NotSaved::Erased)));
    let actions = every_action(&work.lead_id, &work.delivery_id);
    let plan = Plan::new(work.lead_id.clone(), work.delivery_id.clone(), 1, None, actions);
    assert_eq!(begin_plan(&store, "mock", &plan, Authority::Normal).await, BegunPlan::Erased);
    assert!(matches!(finish(&store, synced(), &mut work).await, Err(NotSaved::Erased)));
    assert_eq!(all_texts(&store).await.len(), before, "nothing is added");
    let lead = store.lead(&new.lead_id).await.unwrap().unwrap();
    assert_eq!((lead.status, lead.content.title.as_deref()), (lead::LeadStatus::Queued, Some("CTO")));
    assert!(matches!(store.begin_work(&new, 1).await.unwrap(), Begun::Work(_)));
}

#[on_both]
async fn every_spelling_of_a_person_is_erased_and_no_other(fixture: Fixture) {
    let store = fixture.store().await;
    // As stored by earlier versions: each spelling of the domain is a separate lead.
    let lead = |address: &str| {
        let stored = json!({ "email": address.to_lowercase(), "campaign_id": "c" });
        LeadEvent::new(serde_json::from_value(stored).unwrap(), at(0))
    };
    let own = ["an@bücher.example", "an@xn--bcher-kva.example", "An+news@Bücher.example"];
    let others =
        ["susan@bücher.example", "an_news@bücher.example", "an@bucher.example", "anx+an@bücher.example"];
    for address in own.iter().chain(&others) {
        store.accept(&lead(address)).await.unwrap();
    }
    for (id, body) in [
        ("aaaa", "{\"email\":\"an\\u002bnews@b\\u00fccher.example\", broken"),
        ("bbbb", "email=an%40xn--bcher-kva.example&a"),
        ("cccc", "{\"email\":\"susan@bücher.example\", broken"),
    ] {
        store.quarantine(&rejected_body(id, body.as_bytes(), at(0))).await.unwrap();
    }
    fixture.advance(60);
    let email = lead("an@xn--bcher-kva.example").lead.email;
    let erased = store.erase(&Actor::admin(), &email, &LEAD_ROWS, true).await.unwrap();
    let count = |place: &str| erased.found.iter().find(|found| found.place == place).map(|found| found.count);
    assert_eq!((count("lead"), count("quarantine")), (Some(3), Some(2)));
    for address in own {
        assert_eq!(store.accept(&lead(address)).await.unwrap(), Accept::Erased, "{address}");
    }
    for address in others {
        assert!(store.lead(&lead(address).lead_id).await.unwrap().is_some(), "{address}");
    }
    let left = store.quarantined(None, 10).await.unwrap();
    assert_eq!(left.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["cccc"]);
}

#[on_both]
async fn a_dry_run_does_not_wait_for_a_writer(fixture: Fixture) {
    let store = fixture.store().await;
    fill_tables(&fixture, &store).await;
    let email = person("c1", "CTO", 0).lead.email;
    let mut writer = store.database().begin().await.unwrap();
    let row = "INSERT INTO crm_hold (provider, reason, since) VALUES ('x', 'y', 0)";
    sqlx::query(row).execute(&mut *writer).await.unwrap();
    let dry = store.erase(&Actor::admin(), &email, &LEAD_ROWS, false).await.unwrap();
    assert!(dry.found.len() > 5, "{dry:?}");
    writer.commit().await.unwrap();
}

#[on_both]
async fn an_entry_covers_both_forms_of_a_domain_and_every_tag(fixture: Fixture) {
    let store = fixture.store().await;
    let suppressed =
        async |text: &str| store.suppressed(&EmailAddress::parse(text).unwrap()).await.unwrap().is_some();
    for entry in ["bücher.example", "xn--mnchen-3ya.example", "ann@x.io", "bob+news@x.io"] {
        store.suppress(&Actor::admin(), &Suppressed::parse(entry).unwrap(), "asked").await.unwrap();
    }
    for address in [
        "a@xn--bcher-kva.example",
        "a@BÜCHER.example",
        "a@mail.bücher.example",
        "a@münchen.example",
        "ann+a@x.io",
        "ANN@x.io",
        "bob+news@x.io",
    ] {
        assert!(suppressed(address).await, "{address}");
    }
    for address in ["a@bucher.example", "bob@x.io", "bob+other@x.io", "joann@x.io"] {
        assert!(!suppressed(address).await, "{address}");
    }
}

#[on_both]
async fn a_suppression_of_an_older_version_works_and_is_removable(fixture: Fixture) {
    let store = fixture.store().await;
    let sql = "INSERT INTO suppression (entry, kind, reason, added_by, added_at) VALUES ($1, 'domain', 'r', 'b', 0)";
    sqlx::query(sql).bind("bücher.example").execute(store.database().pool()).await.unwrap();
    let email = EmailAddress::parse("a@xn--bcher-kva.example").unwrap();
    assert!(store.suppressed(&email).await.unwrap().is_some());
    let entry = Suppressed::parse("bücher.example").unwrap().entry();
    assert!(store.unsuppress(&Actor::admin(), &entry, "a mistake").await.unwrap());
    assert!(store.suppressed(&email).await.unwrap().is_none());
}

#[on_both]
async fn a_removed_entry_is_saved_with_remover_and_reason(fixture: Fixture) {
    let store = fixture.store().await;
    let ann = Suppressed::parse("ann@x.io").unwrap();
    store.suppress(&Actor::local("dana"), &ann, "asked by phone").await.unwrap();
    fixture.advance(60);
    assert!(store.unsuppress(&Actor::admin(), &ann.entry(), "asked to come back").await.unwrap());
    assert!(!store.unsuppress(&Actor::admin(), &ann.entry(), "again").await.unwrap());
    let kept = store.removed_suppressions(None, 10).await.unwrap();
    assert_eq!(kept.len(), 1);
    let removal = kept[0].removal.as_ref().unwrap();
    assert_eq!((kept[0].entry.clone(), kept[0].added_by.as_str()), (ann.entry(), "local:dana"));
    assert_eq!(
        (removal.removed_by.as_str(), removal.removed_because.as_str()),
        ("admin", "asked to come back")
    );
    assert!(removal.removed_at > kept[0].added_at);
}

#[on_both]
async fn addresses_domains_and_subdomains_are_suppressed(fixture: Fixture) {
    let store = fixture.store().await;
    let email = |text: &str| EmailAddress::parse(text).unwrap();
    let domain = Suppressed::parse("@Example.com").unwrap();
    assert!(store.suppress(&Actor::admin(), &domain, "partner").await.unwrap());
    assert!(!store.suppress(&Actor::admin(), &domain, "partner").await.unwrap());
    store
        .suppress(&Actor::admin(), &Suppressed::parse(" Zebulon.Quux@stripe.com").unwrap(), "asked")
        .await
        .unwrap();
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
        store.unsuppress(&Actor::admin(), "example.com", "over").await.unwrap()
            && !store.unsuppress(&Actor::admin(), "example.com", "over").await.unwrap()
    );
    assert_eq!(store.suppressed(&email("a@example.com")).await.unwrap(), None);
    assert!(Suppressed::parse("not a domain").is_none());
}

/// After an erasure no byte of the person is in the files, neither while another process has the database
/// open nor after it closed it.
#[tokio::test]
async fn erased_bytes_are_in_no_file_of_an_sqlite_database() {
    let fixture = Fixture::sqlite().await;
    let (server, store) = (fixture.store().await, fixture.store().await);
    for number in 0..200 {
        server.accept(&event(&format!("other{number}"), "CTO", number)).await.unwrap();
    }
    fill_tables(&fixture, &server).await;
    let files = || {
        let file = database::sqlite_file(fixture.url()).unwrap();
        let beside = |ending: &str| std::path::PathBuf::from(format!("{}{ending}", file.display()));
        [beside(""), beside("-wal"), beside("-shm")]
            .map(|file| std::fs::read(file).unwrap_or_default())
            .concat()
    };
    let found = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        NEEDLES.into_iter().filter(|needle| text.contains(needle)).collect::<Vec<_>>()
    };
    assert_eq!(found(&files()).len(), 3, "all but the number without a space is there");
    fixture.advance(60);
    let erased =
        store.erase(&Actor::admin(), &person("c1", "CTO", 0).lead.email, &LEAD_ROWS, true).await.unwrap();
    assert_eq!(erased.traces, database::Traces::None);
    assert_eq!(found(&files()), Vec::<&str>::new(), "while the server has the file open");
    store.database().close().await;
    server.database().close().await;
    assert_eq!(found(&files()), Vec::<&str>::new(), "after it has closed it");
}
