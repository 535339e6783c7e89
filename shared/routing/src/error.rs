use std::ops::Range;

/// An error in a routing file. Displays as one line that names the line of the file and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("routing configuration, line {line}{}: {problem}", about(.rule.as_deref()))]
pub struct RoutingError {
    /// The line of the file, from 1.
    pub line: usize,
    /// The name of the rule, if the error is in a rule.
    pub rule: Option<String>,
    /// The problem, with the key or value.
    pub problem: String,
}

impl RoutingError {
    /// An error at a span of the text. The line and the rule are derived from the span.
    pub(crate) fn at(text: &str, span: Option<Range<usize>>, problem: impl Into<String>) -> Self {
        let start = span.map_or(0, |span| span.start).min(text.len());
        let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        Self { line, rule: rule_at(text, line), problem: problem.into() }
    }
}

fn about(rule: Option<&str>) -> String {
    rule.map(|rule| format!(", rule {rule:?}")).unwrap_or_default()
}

/// The name of the rule that contains a line of the text, counted from 1.
fn rule_at(text: &str, line: usize) -> Option<String> {
    let is_header = |text: &str| text.trim_start().starts_with('[');
    let opens_rule = |text: &str| text.trim_start().starts_with("[[rules]]");
    let lines: Vec<&str> = text.lines().collect();
    // A table below a rule, such as [rules.when], belongs to that rule.
    let above = lines.get(..line.min(lines.len()))?;
    let header =
        above.iter().rposition(|text| is_header(text) && !text.trim_start().starts_with("[rules."))?;
    if !opens_rule(lines[header]) {
        return None;
    }
    let mut body = lines[header + 1..].iter().take_while(|text| !is_header(text));
    let name = body.find_map(|text| {
        let value = text.trim().strip_prefix("name")?.trim_start().strip_prefix('=')?.trim_start();
        value.strip_prefix('"')?.split('"').next()
    });
    name.map(str::to_owned)
}
