//! Fills the tables with enough rows that the planner of PostgreSQL chooses as it does at a million.

use database::Database;
use sqlx::AssertSqlSafe;

/// Rows in the tables with one row for each lead.
const LEADS: u32 = 100_000;

/// Rows in the tables with rows for few leads.
const OTHERS: u32 = 20_000;

/// Fills every table that grows with the number of leads, in realistic proportions, and collects statistics.
pub(crate) async fn fill(database: &Database) {
    let leads = [
        "INSERT INTO lead (lead_id, email, campaign_id, content, status, revision, delivery_id, received_at, analysis_id, \
         fit_score, fit, intent, decision, grounding, fallback, created_at, updated_at) \
         SELECT id, 'person' || n || '@company' || n % 5000 || '.example', 'campaign' || n % 40, repeat('x', 400), \
         CASE n % 1000 WHEN 0 THEN 'held' WHEN 1 THEN 'queued' WHEN 2 THEN 'permanently_failed' ELSE 'synced' END, \
         1, 'd' || id, n, 'd' || id || ':1', n % 101, (ARRAY['HIGH', 'MEDIUM', 'LOW'])[1 + n % 3], 'LOW', \
         (ARRAY['ROUTE_TO_SDR', 'NURTURE', 'MANUAL_REVIEW', 'IGNORE'])[1 + n % 4], 'VALID', \
         CASE WHEN n % 2000 = 0 THEN 1 ELSE 0 END, n * 20, n * 20 FROM",
        "INSERT INTO delivery (delivery_id, lead_id, revision, content_hash, content, received_at, state, created_at, \
         enrich_again_at) \
         SELECT 'd' || id, id, 1, md5('c' || n), repeat('x', 400), n, CASE n % 1000 WHEN 1 THEN 'open' ELSE 'done' END, n, \
         CASE WHEN n % 2000 = 0 THEN n END FROM",
        "INSERT INTO analysis (analysis_id, lead_id, delivery_id, round, facts, contract, icp_version, provider, model, \
         raw_answer, verdict, fallback, input_tokens, output_tokens, cost_microusd, latency_ms, created_at) \
         SELECT 'd' || id || ':1', id, 'd' || id, 1, repeat('x', 200), '{}', '1', 'rules', 'icp', '{}', '{}', 0, 1, 1, 1, \
         1, n FROM",
        "INSERT INTO crm_action (action_id, lead_id, delivery_id, position, provider, kind, parameters, state, attempts, \
         created_at, updated_at) \
         SELECT md5('a' || n), id, 'd' || id, 0, 'mock', 'upsert_lead', repeat('x', 200), 'done', 1, n, n FROM",
        "INSERT INTO audit_event (lead_id, seq, at, kind, delivery_id, detail, hash) \
         SELECT id, 1, n, 'accepted', 'd' || id, repeat('x', 100), md5('h' || n) FROM",
        "INSERT INTO lead_assignment (lead_id, delivery_id, round, owner, routed, had_it, assigned_at, due_at, crm_sync, \
         breached_at) \
         SELECT id, 'd' || id, 1, 'owner' || n % 20, '{}', '[]', n, CASE WHEN n % 1000 < 5 THEN n END, \
         CASE WHEN n % 5000 = 7 THEN 'not_yet' ELSE 'yes' END, n FROM",
        "INSERT INTO expired_lead (lead_id, received_at, expired_at) SELECT 'x' || id, n, n FROM",
    ];
    let others = [
        "INSERT INTO dead_letter (message_id, lead_id, body, failure, attempts, failed_at) \
         SELECT 'd' || id, id, repeat('x', 400), '{}', 5, n FROM",
        "INSERT INTO quarantine (quarantine_id, sender, error, message, body, times, first_at, last_at) \
         SELECT id, 'default', 'e', 'm', repeat('x', 400), 1, n, n FROM",
        "INSERT INTO webhook_receipt (receipt_id, lead_id, delivery_id) SELECT 'r' || id, id, 'd' || id FROM",
        "INSERT INTO review_decision (delivery_id, round, lead_id, decision, decided_by, decided_at) \
         SELECT 'd' || id, 1, id, 'approved', 'ann', n FROM",
        "INSERT INTO suppression (entry, kind, reason, added_by, added_at) SELECT id, 'address', 'r', 'ann', n FROM",
        "INSERT INTO erased_person (email_hash, erased_at) SELECT id, n FROM",
        "INSERT INTO erased_lead (lead_id, email_hash, erased_at, audit_seq, audit_hash) SELECT 'e' || id, id, n, 1, 'h' FROM",
        "INSERT INTO crm_limit (scope, sent, touched_at) SELECT id, '1:1', n FROM",
    ];
    let numbered =
        leads.map(|insert| (insert, LEADS)).into_iter().chain(others.map(|insert| (insert, OTHERS)));
    for (insert, rows) in numbered {
        // An autovacuum run at the wrong moment keeps the rows from being marked as visible to all.
        let table = insert.split_whitespace().nth(2).unwrap();
        let no_autovacuum = format!("ALTER TABLE {table} SET (autovacuum_enabled = false)");
        sqlx::raw_sql(AssertSqlSafe(no_autovacuum)).execute(database.pool()).await.unwrap();
        let rows =
            format!("(SELECT n, md5('l' || n) AS id FROM generate_series(1, {rows}) AS n) AS generated");
        sqlx::raw_sql(AssertSqlSafe(format!("{insert} {rows}"))).execute(database.pool()).await.unwrap();
    }
    // Marks the pages as visible to all, as autovacuum does, so that index-only scans are possible.
    sqlx::raw_sql("VACUUM ANALYZE").execute(database.pool()).await.unwrap();
}
