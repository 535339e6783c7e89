//! The chain of hashes through the audit trail: a change by hand is found, and acts of the product are not
//! taken for one.

use database::Backend;
use lead::{Actor, LeadId};
use on_both::on_both;
use serde_json::json;
use sqlx::AssertSqlSafe;
use store::{
    ActKind, AuditBreak, AuditKind, AuditProblem, ChainPosition, HeadTable, LEAD_ROWS, Store, Suppressed,
    Verdict, remove_chains,
};

use crate::support::{Fixture, begin, event, finish, judged, save_judgement, settled, synced};

/// Small, so that a chain spans pages.
const PAGE: u32 = 2;

/// The breaks of all chains, as `revenueflow audit verify` reads them.
async fn breaks(store: &Store) -> Vec<AuditBreak> {
    let mut found: Vec<_> = store.check_acts(PAGE, |_| {}).await.unwrap().2.into_iter().collect();
    let mut next = Some(ChainPosition::default());
    while let Some(from) = next {
        let checked = store.check_chains(from, PAGE).await.unwrap();
        found.extend(checked.breaks);
        next = checked.next;
    }
    for table in [HeadTable::Leads, HeadTable::Erased] {
        let mut after = Some(String::new());
        while let Some(lead) = after {
            let (last, wrong) = store.check_heads(table, &lead, PAGE).await.unwrap();
            found.extend(wrong);
            after = last;
        }
    }
    found
}

/// The only break, which a verification of the lead alone finds as well.
async fn only_break(store: &Store) -> (Option<LeadId>, i64, AuditProblem) {
    let found = breaks(store).await;
    assert_eq!(found.len(), 1, "{found:?}");
    if let Some(lead) = &found[0].lead_id {
        assert_eq!(store.check_lead_chain(lead).await.unwrap().1.as_ref(), Some(&found[0]));
    }
    (found[0].lead_id.clone(), found[0].seq, found[0].problem)
}

async fn execute(store: &Store, sql: &str) -> Result<u64, sqlx::Error> {
    let mut transaction = store.database().begin().await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await?;
    transaction.commit().await.unwrap();
    Ok(done.rows_affected())
}

/// Changes rows as the owner of the tables, who can remove the triggers.
async fn by_hand(store: &Store, sql: &str) {
    let unprotect: &[&str] = match store.database().backend() {
        Backend::Sqlite => &[
            "DROP TRIGGER IF EXISTS audit_event_update",
            "DROP TRIGGER IF EXISTS audit_event_delete",
            "DROP TRIGGER IF EXISTS audit_act_update",
            "DROP TRIGGER IF EXISTS audit_act_delete",
        ],
        Backend::Postgres => {
            &["ALTER TABLE audit_event DISABLE TRIGGER USER", "ALTER TABLE audit_act DISABLE TRIGGER USER"]
        }
    };
    for statement in unprotect {
        execute(store, statement).await.unwrap();
    }
    assert_ne!(execute(store, sql).await.unwrap(), 0, "{sql}");
}

/// Three finished leads, and three acts. Returns a store and the lead in the middle.
async fn filled(fixture: &Fixture) -> (Store, LeadId) {
    let store = fixture.store().await;
    let mut ids = Vec::new();
    for name in ["ann", "bob", "cid"] {
        let work = settled(fixture, &store, &event(name, "CTO", 0)).await;
        ids.push(work.lead_id);
        fixture.advance(1);
    }
    store.suppress(&Actor::admin(), &Suppressed::parse("example.com").unwrap(), "a partner").await.unwrap();
    store.hold_crm(&Actor::admin(), "mock", "wrong field").await.unwrap();
    store.unhold_crm(&Actor::local("ann"), "mock").await.unwrap();
    ids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(breaks(&store).await, []);
    (store, ids.swap_remove(1))
}

#[on_both]
async fn a_changed_event_is_found(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    for (column, value) in [
        ("detail", "'{\"by\":\"bob\"}'"),
        ("actor", "'bob'"),
        ("at", "at + 1"),
        ("kind", "'duplicate'"),
        ("delivery_id", "NULL"),
    ] {
        let keep = format!("CREATE TABLE kept AS SELECT * FROM audit_event WHERE lead_id = '{lead}'");
        execute(&store, &keep).await.unwrap();
        by_hand(
            &store,
            &format!("UPDATE audit_event SET {column} = {value} WHERE lead_id = '{lead}' AND seq = 2"),
        )
        .await;
        assert_eq!(only_break(&store).await, (Some(lead.clone()), 2, AuditProblem::Changed), "{column}");
        by_hand(&store, &format!("DELETE FROM audit_event WHERE lead_id = '{lead}'")).await;
        by_hand(&store, "INSERT INTO audit_event SELECT * FROM kept").await;
        execute(&store, "DROP TABLE kept").await.unwrap();
        assert_eq!(breaks(&store).await, [], "{column}");
    }
}

#[on_both]
async fn a_missing_event_is_found(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    by_hand(&store, &format!("DELETE FROM audit_event WHERE lead_id = '{lead}' AND seq = 2")).await;
    assert_eq!(only_break(&store).await, (Some(lead), 2, AuditProblem::Missing));
}

#[on_both]
async fn a_missing_event_in_a_renumbered_chain_is_found(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    by_hand(&store, &format!("DELETE FROM audit_event WHERE lead_id = '{lead}' AND seq = 1")).await;
    for seq in 2..10 {
        let sql = format!("UPDATE audit_event SET seq = {seq} - 1 WHERE lead_id = '{lead}' AND seq = {seq}");
        execute(&store, &sql).await.unwrap();
    }
    let found = breaks(&store).await;
    assert_eq!((found[0].lead_id.as_ref(), found[0].seq), (Some(&lead), 1));
}

#[on_both]
async fn a_missing_end_is_found(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    let of_lead = format!("FROM audit_event WHERE lead_id = '{lead}'");
    let last = format!("seq = (SELECT MAX(seq) {of_lead})");
    let events = store.audit(&lead, 0, 100).await.unwrap().len();
    by_hand(&store, &format!("DELETE {of_lead} AND {last}")).await;
    let at = i64::try_from(events).unwrap();
    assert_eq!(only_break(&store).await, (Some(lead.clone()), at, AuditProblem::End));
    by_hand(&store, &format!("DELETE {of_lead}")).await;
    assert_eq!(only_break(&store).await, (Some(lead), at, AuditProblem::End), "the whole chain");
}

#[on_both]
async fn swapped_events_are_found(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    for (from, to) in [(2, -1), (3, 2), (-1, 3)] {
        let sql = format!("UPDATE audit_event SET seq = {to} WHERE lead_id = '{lead}' AND seq = {from}");
        by_hand(&store, &sql).await;
    }
    assert_eq!(only_break(&store).await, (Some(lead), 2, AuditProblem::Changed));
}

#[on_both]
async fn an_inserted_event_is_found(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    by_hand(
        &store,
        &format!(
            "INSERT INTO audit_event (lead_id, seq, at, kind, actor, delivery_id, detail, hash) \
             SELECT lead_id, 1 + (SELECT MAX(seq) FROM audit_event WHERE lead_id = '{lead}'), at, 'responded', 'ann', \
             delivery_id, detail, hash FROM audit_event WHERE lead_id = '{lead}' AND seq = 1"
        ),
    )
    .await;
    let (found, _, problem) = only_break(&store).await;
    assert_eq!((found, problem), (Some(lead), AuditProblem::Changed));
}

#[on_both]
async fn a_change_of_the_acts_is_found(fixture: Fixture) {
    let changes = [
        ("UPDATE audit_act SET actor = 'bob' WHERE seq = 2", 2, AuditProblem::Changed),
        ("DELETE FROM audit_act WHERE seq = 2", 2, AuditProblem::Missing),
        ("DELETE FROM audit_act WHERE seq = 1", 1, AuditProblem::Missing),
        ("DELETE FROM audit_act WHERE seq = 3", 3, AuditProblem::End),
        ("DELETE FROM audit_act", 3, AuditProblem::End),
    ];
    let (store, _) = filled(&fixture).await;
    execute(&store, "CREATE TABLE kept AS SELECT * FROM audit_act").await.unwrap();
    for (sql, seq, problem) in changes {
        by_hand(&store, sql).await;
        assert_eq!(only_break(&store).await, (None, seq, problem), "{sql}");
        execute(&store, "DELETE FROM audit_act").await.unwrap();
        by_hand(&store, "INSERT INTO audit_act SELECT * FROM kept").await;
    }
    let acts = store.acts(None, 10).await.unwrap();
    let told: Vec<_> = acts.iter().map(|act| (act.kind, act.actor.as_str())).collect();
    let expected = [
        (ActKind::CrmResumed, "local:ann"),
        (ActKind::CrmHeld, "admin"),
        (ActKind::SuppressionAdded, "admin"),
    ];
    assert_eq!(told, expected);
}

#[on_both]
async fn the_database_refuses_to_change_the_trail(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    let hash = "0".repeat(64);
    for sql in [
        "UPDATE audit_event SET actor = 'bob'".to_owned(),
        "UPDATE audit_event SET detail = '{}', redacted = 1".to_owned(),
        format!("UPDATE audit_event SET detail = '{{\"sha256\":\"{hash}\"}}', redacted = 1, at = 0"),
        format!("UPDATE audit_event SET detail = '{{\"sha256\":\"{hash}\"}}', redacted = 1, actor = 'bob'"),
        format!("DELETE FROM audit_event WHERE lead_id = '{lead}'"),
        "UPDATE audit_act SET actor = 'bob'".to_owned(),
        "DELETE FROM audit_act".to_owned(),
    ] {
        let refused = execute(&store, &sql).await.unwrap_err().to_string();
        assert!(refused.contains("only appended to"), "{sql}: {refused}");
    }
    assert_eq!(breaks(&store).await, []);
}

#[on_both]
async fn a_chain_goes_on_after_an_erasure(fixture: Fixture) {
    let (store, _) = filled(&fixture).await;
    let ann = event("ann", "CTO", 0);
    fixture.advance(60);
    let erased = store.erase(&Actor::local("ann"), &ann.lead.email, &LEAD_ROWS, true).await.unwrap();
    assert_eq!(erased.leads.len(), 1);
    assert_eq!(breaks(&store).await, []);
    let trail = store.audit(&ann.lead_id, 0, 100).await.unwrap();
    assert!(trail[0].detail["sha256"].is_string());
    assert_eq!(trail.last().unwrap().kind, AuditKind::Erased);
    assert_eq!(trail.last().unwrap().actor, Some(Actor::local("ann")));

    fixture.advance(60);
    settled(&fixture, &store, &event("ann", "CEO", 3_600)).await;
    store.erase(&Actor::admin(), &ann.lead.email, &LEAD_ROWS, true).await.unwrap();
    assert_eq!(breaks(&store).await, []);
    let acts = store.acts(None, 2).await.unwrap();
    assert!(acts.iter().all(|act| act.kind == ActKind::PersonErased));

    let last = format!("lead_id = '{}' AND kind = 'erased'", ann.lead_id);
    by_hand(&store, &format!("DELETE FROM audit_event WHERE {last} AND seq > {}", trail.len())).await;
    let found = breaks(&store).await;
    assert!(found.iter().any(|found| found.problem == AuditProblem::End), "{found:?}");
}

#[on_both]
async fn an_erasure_of_an_unknown_person_is_recorded(fixture: Fixture) {
    let store = fixture.store().await;
    let nobody = event("nobody", "CTO", 0).lead.email;
    store.erase(&Actor::admin(), &nobody, &LEAD_ROWS, false).await.unwrap();
    assert_eq!(store.acts(None, 10).await.unwrap(), [], "a dry run is no act");
    store.erase(&Actor::admin(), &nobody, &LEAD_ROWS, true).await.unwrap();
    let acts = store.acts(None, 10).await.unwrap();
    assert_eq!((acts.len(), acts[0].kind, &acts[0].detail["leads"]), (1, ActKind::PersonErased, &json!(0)));
    assert!(!json!(acts).to_string().contains("nobody"));
}

#[on_both]
async fn a_redaction_without_an_erasure_is_found(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    let detail: String = sqlx::query_scalar("SELECT detail FROM audit_event WHERE lead_id = $1 AND seq = 1")
        .bind(lead.as_str())
        .fetch_one(store.database().pool())
        .await
        .unwrap();
    let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(detail).into();
    let hash: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = hash.concat();
    // The database permits it: it is what an erasure does.
    let sql = format!(
        "UPDATE audit_event SET detail = '{{\"sha256\":\"{hash}\"}}', redacted = 1 WHERE lead_id = '{lead}' AND seq = 1"
    );
    assert_eq!(execute(&store, &sql).await.unwrap(), 1);
    assert_eq!(only_break(&store).await, (Some(lead), 1, AuditProblem::Redacted));
}

#[on_both]
async fn removal_by_retention_leaves_a_checkpoint(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    let mut transaction = store.database().begin().await.unwrap();
    for table in ["analysis", "delivery", "lead"] {
        let sql = format!("DELETE FROM {table} WHERE lead_id = '{lead}'");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
    }
    let leads = [lead.clone()];
    let events = remove_chains(&mut transaction, &Actor::janitor(), &leads, 5).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(events > 2, "{events}");
    assert_eq!((breaks(&store).await, store.audit(&lead, 0, 10).await.unwrap()), (Vec::new(), Vec::new()));
    let newest = store.acts(None, 1).await.unwrap().pop().unwrap();
    assert_eq!((newest.kind, newest.actor.as_str()), (ActKind::LeadsRetired, "system:janitor"));
    assert_eq!((&newest.detail["leads"], &newest.detail["events"]), (&json!(1), &json!(events)));
    assert_eq!(newest.detail["ends_sha256"].as_str().unwrap().len(), 64);
}

#[on_both]
async fn a_lead_whose_row_was_removed_by_hand_is_accepted(fixture: Fixture) {
    let (store, lead) = filled(&fixture).await;
    for table in ["analysis", "delivery", "lead"] {
        execute(&store, &format!("DELETE FROM {table} WHERE lead_id = '{lead}'")).await.unwrap();
    }
    let before = store.audit(&lead, 0, 100).await.unwrap().len();
    let events: Vec<_> = ["ann", "bob", "cid"].map(|name| event(name, "CTO", 7)).into();
    let mut transaction = store.database().begin().await.unwrap();
    store.accept_arrivals(&mut transaction, &events).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(store.audit(&lead, 0, 100).await.unwrap().len(), before + 1);
    assert_eq!(breaks(&store).await, []);
}

#[on_both]
async fn every_act_on_a_lead_names_its_actor(fixture: Fixture) {
    let store = fixture.store().await;
    let held = event("ann", "CTO", 0);
    store.accept(&held).await.unwrap();
    let mut work = begin(&store, &held).await;
    save_judgement(&store, judged(&fixture, &work, "rules"), &mut work).await.unwrap();
    finish(&store, store::Finish::Held, &mut work).await.unwrap();
    let lead = &held.lead_id;
    store.review(&Actor::operator("eve").unwrap(), lead, Verdict::Approve, None).await.unwrap();
    finish(&store, synced(), &mut begin(&store, &held).await).await.unwrap();
    store.reopen(&Actor::local("bob"), lead, true, "replay").await.unwrap();
    let trail = store.audit(lead, 0, 100).await.unwrap();
    let acts: Vec<_> =
        trail.iter().filter_map(|event| Some((event.kind, event.actor.as_ref()?.as_str()))).collect();
    assert_eq!(acts, [(AuditKind::ReviewApproved, "eve"), (AuditKind::Reopened, "local:bob")]);
    assert_eq!(breaks(&store).await, []);
}

#[test]
fn triggers_except_the_synthetic_lead() {
    for sql in [
        include_str!("../../../database/migrations/0002_protect_audit.sqlite.sql"),
        include_str!("../../../database/migrations/0002_protect_audit.postgres.sql"),
    ] {
        assert_eq!(sql.matches(lead::SYNTHETIC_LEAD_ID).count(), 1);
    }
}
