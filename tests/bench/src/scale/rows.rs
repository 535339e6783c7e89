use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

/// The tables with rows of each lead.
const TABLES: [&str; 7] =
    ["lead", "delivery", "analysis", "crm_action", "audit_event", "lead_assignment", "mock_crm_record"];

/// The columns that a copy changes, with their values for copy `n` with the id `id`. The other columns keep
/// the values of the sample. Texts that no list reads are short, so that a million leads take a few
/// gigabytes.
const CHANGES: [(&str, &str); 31] = [
    ("lead_id", "ids.id"),
    ("delivery_id", "ids.id"),
    ("analysis_id", "ids.id || ':1'"),
    ("action_id", "sample.action_id || ids.id"),
    ("external_id", "sample.external_id || ids.id"),
    ("record_id", "sample.record_id || '-' || ids.n"),
    ("email", "'person' || ids.n || '@company' || (ids.n % 50000) || '.example'"),
    ("campaign_id", "'campaign' || (ids.n % 40)"),
    (
        "status",
        "CASE ids.n % 1000 WHEN 0 THEN 'held' WHEN 1 THEN 'permanently_failed' WHEN 2 THEN 'dismissed' ELSE 'synced' END",
    ),
    ("fit", "CASE ids.n % 3 WHEN 0 THEN 'HIGH' WHEN 1 THEN 'MEDIUM' ELSE 'LOW' END"),
    ("decision", "CASE ids.n % 5 WHEN 0 THEN 'ROUTE_TO_SDR' WHEN 1 THEN 'IGNORE' ELSE 'NURTURE' END"),
    ("fallback", "CASE WHEN ids.n % 2000 = 5 THEN 1 ELSE 0 END"),
    ("created_at", "sample.created_at - ids.n * 20"),
    // Leads that await an AI are not due: their ids do not follow from their contents, so that they cannot be
    // judged.
    ("updated_at", "sample.updated_at + CASE WHEN ids.n % 2000 = 5 THEN 86400000 ELSE -ids.n * 20 END"),
    ("received_at", "sample.received_at - ids.n * 20"),
    ("assigned_at", "sample.assigned_at - ids.n * 20"),
    ("finished_at", "sample.finished_at - ids.n * 20"),
    ("at", "sample.at - ids.n * 20"),
    ("due_at", "CASE WHEN ids.n % 1000 = 9 THEN sample.due_at - ids.n * 20 END"),
    ("arrival", "NULL"),
    ("facts", "'{}'"),
    ("contract", "'{}'"),
    ("raw_answer", "'{}'"),
    ("enrichment", "NULL"),
    ("crm_facts", "NULL"),
    ("parameters", "'{}'"),
    ("changes", "NULL"),
    ("detail", "'{}'"),
    ("fields", "'{}'"),
    ("routed", "'{}'"),
    ("had_it", "'[]'"),
];

/// Copies the rows of the only lead `copies` times, with a dead letter for each lead that failed.
pub(crate) async fn copy(url: &str, copies: u64) -> anyhow::Result<()> {
    let is_sqlite = url.starts_with("sqlite");
    let mut connection = AnyConnection::connect(url).await?;
    let numbers = if is_sqlite {
        format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {copies}) \
             SELECT n, lower(hex(randomblob(32))) AS id FROM numbers"
        )
    } else {
        format!(
            "SELECT n, encode(sha256(n::TEXT::BYTEA), 'hex') AS id FROM generate_series(1::BIGINT, {copies}) AS n"
        )
    };
    let mut statements = vec![format!("CREATE TABLE bench_ids AS {numbers}")];
    if is_sqlite {
        // The rows are made again if the machine fails meanwhile.
        statements.insert(0, "PRAGMA synchronous = OFF".to_owned());
        statements.insert(0, "PRAGMA cache_size = -200000".to_owned());
    }
    for table in TABLES {
        let columns = columns(&mut connection, table, is_sqlite).await?;
        let values: Vec<_> = columns
            .iter()
            .map(|column| match CHANGES.iter().find(|(changed, _)| changed == column) {
                Some((_, value)) => (*value).to_owned(),
                None => format!("sample.{column}"),
            })
            .collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        statements.push(format!("CREATE TEMPORARY TABLE sample_of_{table} AS SELECT * FROM {table}"));
        statements.push(format!(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM bench_ids AS ids CROSS JOIN sample_of_{table} AS sample"
        ));
    }
    statements.push(
        "INSERT INTO dead_letter (message_id, lead_id, body, failure, attempts, failed_at) SELECT id, id, '{}', \
         '{\"class\":\"permanent\",\"code\":\"refused\",\"message\":\"refused\",\"dependency\":null,\"stage\":\"crm_write\"}', \
         5, n FROM bench_ids WHERE n % 1000 = 1"
            .to_owned(),
    );
    statements.push("DROP TABLE bench_ids".to_owned());
    // As autovacuum does; SQLite has no statistics in production.
    statements.push(if is_sqlite { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "VACUUM ANALYZE" }.to_owned());
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

async fn columns(
    connection: &mut AnyConnection,
    table: &str,
    is_sqlite: bool,
) -> anyhow::Result<Vec<String>> {
    let sql = if is_sqlite {
        format!("SELECT name FROM pragma_table_info('{table}')")
    } else {
        format!("SELECT column_name::TEXT FROM information_schema.columns WHERE table_name = '{table}'")
    };
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
