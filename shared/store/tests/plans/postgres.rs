use std::time::Duration;

use database::testing::TestDatabase;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::rows::fill;
use crate::statements::{index_of_list, statements};

/// Tables of a size independent of the number of leads: they have few pages, and a scan is the best plan.
const SMALL: &[&str] = &[
    "audit_act_head",
    "crm_hold",
    "dependency_health",
    "owner_load",
    "queue_pause",
    "routing_turn",
    "spending",
];

/// The maximum number of rows that a plan may sort: the leads of one person, or rows that share a lead.
const FEW_ROWS: f64 = 1_000.0;

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table_on_postgresql() {
    let statements = &statements().await.postgres;
    let test = TestDatabase::postgres().await;
    let database = test.connect().await.with_statement_limit(Duration::from_mins(10));
    fill(&database).await;
    // A PostgreSQL connection: the `Any` driver cannot read the JSON of a plan.
    let mut connection = PgConnection::connect(test.url()).await.unwrap();
    // Generic plans, for any value of the parameters, as for a statement that has run often.
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut connection).await.unwrap();
    let mut index_scans = 0;
    for statement in statements {
        let plan = plan(&mut connection, statement).await;
        for node in nodes(&plan) {
            let kind = node["Node Type"].as_str().unwrap();
            if kind == "Seq Scan" && !is_first_rows(node, &plan) {
                let table = node["Relation Name"].as_str().unwrap();
                assert!(SMALL.contains(&table), "{statement}: scans {table}\n{plan:#}");
            }
            if kind.contains("Sort") {
                let rows = node["Plan Rows"].as_f64().unwrap();
                assert!(rows < FEW_ROWS, "{statement}: sorts {rows} rows\n{plan:#}");
            }
            if let (Some(index), Some(found)) = (index_of_list(statement), node["Index Name"].as_str()) {
                assert_eq!(found, index, "{statement}\n{plan:#}");
            }
            index_scans += usize::from(kind.contains("Index"));
        }
    }
    assert!(index_scans > 40, "the plans read as expected: {index_scans}");
}

/// A table without statistics counts as small, and a plan that is made then is kept while the table grows.
#[tokio::test]
async fn statements_over_many_rows_use_indexes_without_statistics() {
    let statements = &statements().await.postgres;
    let test = TestDatabase::postgres().await;
    drop(test.connect().await);
    let mut connection = PgConnection::connect(test.url()).await.unwrap();
    sqlx::raw_sql("SET plan_cache_mode = force_generic_plan").execute(&mut connection).await.unwrap();
    let over_rows: Vec<_> = statements.iter().filter(|text| text.starts_with("WITH given")).collect();
    assert!(over_rows.len() > 15, "the statements read as expected: {}", over_rows.len());
    for statement in over_rows {
        let plan = plan(&mut connection, statement).await;
        for node in nodes(&plan) {
            let kind = node["Node Type"].as_str().unwrap();
            let is_small = node["Relation Name"].as_str().is_some_and(|table| SMALL.contains(&table));
            let is_full = kind == "Seq Scan" || (kind.starts_with("Index") && node["Index Cond"].is_null());
            assert!(is_small || !is_full, "{statement}\n{plan:#}");
        }
    }
}

async fn plan(connection: &mut PgConnection, statement: &str) -> Value {
    let highest = (1..100).take_while(|number| statement.contains(&format!("${number}"))).count();
    let untyped = AssertSqlSafe(format!("PREPARE hot AS {statement}"));
    if sqlx::raw_sql(untyped).execute(&mut *connection).await.is_err() {
        // The statement adds parameters: the store binds numbers there.
        let types = vec!["bigint"; highest].join(", ");
        let typed = AssertSqlSafe(format!("PREPARE hot ({types}) AS {statement}"));
        sqlx::raw_sql(typed).execute(&mut *connection).await.unwrap();
    }
    let values = if highest == 0 { String::new() } else { format!("({})", vec!["NULL"; highest].join(", ")) };
    let explain = AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) EXECUTE hot{values}"));
    let row = sqlx::raw_sql(explain).fetch_one(&mut *connection).await.unwrap();
    sqlx::raw_sql("DEALLOCATE hot").execute(&mut *connection).await.unwrap();
    let plans: Value = serde_json::from_str(row.try_get_unchecked(0).unwrap()).unwrap();
    plans[0]["Plan"].clone()
}

/// All nodes of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let inner = plan["Plans"].as_array().into_iter().flatten();
    std::iter::once(plan).chain(inner.flat_map(nodes)).collect()
}

/// Whether a scan ends after a fixed number of rows: it has no condition and is directly below a limit.
fn is_first_rows(scan: &Value, plan: &Value) -> bool {
    let below_limit = |node: &&Value| node["Node Type"] == "Limit" && node["Plans"][0] == *scan;
    scan["Filter"].is_null() && nodes(plan).iter().any(below_limit)
}
