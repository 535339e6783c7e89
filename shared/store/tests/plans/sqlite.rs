use database::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Row as _};

use crate::statements::{index_of_list, statements};

/// A partial index on few rows, which may be read from end to end.
const OF_FEW_ROWS: &str = "lead_assignment_unsynced";

/// Tables with one row for each owner or CRM instead of each lead.
const SMALL: [&str; 3] = ["FROM owner_load", "FROM crm_hold", "UPDATE audit_act_head"];

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table_on_sqlite() {
    let statements = &statements().await.sqlite;
    let test = TestDatabase::sqlite().await;
    let database = test.connect().await;
    let mut searches = 0;
    for statement in statements {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        for row in sqlx::query(explain).fetch_all(database.pool()).await.unwrap() {
            let step: String = row.get("detail");
            // Few rows may be sorted: those that share a lead and a time, the leads of one person, and the
            // rows of the statement itself.
            let is_small = SMALL.iter().any(|table| statement.contains(table));
            let is_scanned = statement.contains(" AS scanned ");
            let is_over_rows = statement.starts_with("WITH given");
            let sorts_few = step.contains("LAST")
                || statement.contains("email = ")
                || is_small
                || is_scanned
                || is_over_rows;
            let sorts_all = step.contains("TEMP B-TREE") && !sorts_few;
            // A count reads an index from end to end, but no rows.
            let is_count = step.contains("USING COVERING INDEX");
            // `counted` and `scanned` are inner queries with a limit.
            // The constant row is that of a statement without a table of its own.
            let is_limited = ["SCAN counted", "SCAN scanned", "SCAN CONSTANT ROW"].contains(&step.as_str());
            // The rows of the statement itself.
            let of_given = ["SCAN given", "SCAN json_each VIRTUAL TABLE", "SCAN (subquery"];
            let is_given = is_over_rows && of_given.iter().any(|scan| step.starts_with(scan));
            let is_bounded = step.contains(OF_FEW_ROWS) || is_limited || is_given || is_small;
            let scans = step.starts_with("SCAN") && !is_count && !is_bounded;
            assert!(!scans && !sorts_all, "{statement}: {step}");
            if step.starts_with("SEARCH lead ") {
                let index = index_of_list(statement);
                assert!(index.is_none_or(|index| step.contains(index)), "{statement}: {step}");
            }
            searches += usize::from(step.starts_with("SEARCH"));
        }
    }
    assert!(searches > 40, "the plans read as expected: {searches}");
}
