/// Counts a call to a CRM. `operation` is one of a few names, never a part of a path.
pub(crate) fn count_call(provider: &'static str, operation: &'static str) {
    metrics::counter!("revenueflow_crm_calls_total", "provider" => provider, "operation" => operation)
        .increment(1);
}
