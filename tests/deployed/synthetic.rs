use lead::SYNTHETIC_LEAD_ID;
use serde_json::Value;
use testkit::eventually;

use crate::stack::Stack;

const SECONDS: &str = "revenueflow_synthetic_lead_seconds";

/// Posts the synthetic lead twice with the code used on AWS. Each post is processed and measured; nothing is
/// written.
pub(crate) fn the_synthetic_lead_is_measured_and_not_written(stack: &Stack) {
    let listed = stack.get("/leads")["items"].as_array().unwrap().len();
    for post in 1..=2 {
        stack.post_synthetic();
        eventually("the synthetic lead is measured", || measured(stack).len() == post);
        let lead = stack.lead_when(SYNTHETIC_LEAD_ID, "synthetic");
        assert_eq!(lead["crm"], Value::Null, "{lead}");
        assert_eq!(stack.times(SYNTHETIC_LEAD_ID, "synthetic_ended"), 1, "of the newest delivery only");
    }
    for seconds in measured(stack) {
        assert!(seconds >= 0.0, "{seconds}");
    }
    assert_eq!(stack.get("/leads")["items"].as_array().unwrap().len(), listed, "it is not listed");
    for (table, column) in
        [("crm_action", "lead_id"), ("mock_crm_record", "external_id"), ("lead_assignment", "lead_id")]
    {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {column} = '{SYNTHETIC_LEAD_ID}'");
        assert_eq!(stack.count(sql), 0, "{table}");
    }
    eventually("nothing is left in the queue", || stack.depth(&stack.leads_queue) == 0);
}

/// The measured durations in seconds, as CloudWatch reads them from the log lines.
fn measured(stack: &Stack) -> Vec<f64> {
    let log = stack.emulator.log().unwrap();
    let embedded = log
        .lines()
        .filter(|line| line.contains(SECONDS))
        .filter_map(|line| line.find('{').map(|at| &line[at..]));
    let values = embedded.filter_map(|json| serde_json::from_str::<Value>(json).ok());
    values
        .flat_map(|line| line[SECONDS].as_array().cloned().unwrap_or_default())
        .filter_map(|value| value.as_f64())
        .collect()
}
