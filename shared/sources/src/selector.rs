//! Paths to values in a payload.

use intake::{is_absent, is_same_name};
use serde_json::Value;

/// The longest path, in steps. It bounds the recursion.
const MAX_STEPS: usize = 16;

/// A path to values in a payload.
///
/// | step | meaning |
/// |---|---|
/// | `name`, `"a name.with dots"` | the member of an object; letter case and separators do not matter |
/// | `[2]` | the item of a list, from 0 |
/// | `[*]` | every item of a list |
/// | `[field.ref=email]` | every item of a list at whose path is this text |
///
/// A text that holds a JSON object or list is entered like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    steps: Vec<Step>,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
    Every,
    Where(Selector, String),
}

/// The reason why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// A step has no name, or a character that has to be quoted.
    #[error("a step is empty or has a character that needs quotes, as in `data.\"Work e-mail\"`")]
    Step,
    /// A bracket or a quote is not closed.
    #[error("a bracket or a quote is not closed")]
    Open,
    /// The path has more than 16 steps.
    #[error("a path may have {MAX_STEPS} steps")]
    TooLong,
}

impl Selector {
    /// Parses a path.
    ///
    /// # Errors
    /// When a step is malformed, or when there are too many.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        loop {
            let (step, after) = if let Some(inside) = rest.strip_prefix('[') {
                let end = closing_bracket(inside).ok_or(SelectorError::Open)?;
                (in_brackets(&inside[..end])?, &inside[end + 1..])
            } else if let Some(inside) = rest.strip_prefix('"') {
                let end = inside.find('"').ok_or(SelectorError::Open)?;
                (Step::Name(inside[..end].to_owned()), &inside[end + 1..])
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let name = rest[..end].trim();
                let is_plain = !name.is_empty() && !name.contains([']', '"', '=', '*']);
                (Step::Name(is_plain.then_some(name).ok_or(SelectorError::Step)?.to_owned()), &rest[end..])
            };
            steps.push(step);
            if steps.len() > MAX_STEPS {
                return Err(SelectorError::TooLong);
            }
            rest = match after.strip_prefix('.') {
                Some(next) => next,
                None if after.is_empty() => break,
                None if after.starts_with('[') => after,
                None => return Err(SelectorError::Step),
            };
        }
        Ok(Self { steps, text: text.trim().to_owned() })
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the first step, if it is a member of the payload.
    pub(crate) fn first_name(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// Whether the path is this one name.
    pub(crate) fn is_name(&self, name: &str) -> bool {
        matches!(self.steps.as_slice(), [Step::Name(only)] if is_same_name(only, name))
    }

    /// The present values at the path, in the order of the payload.
    pub(crate) fn find(&self, payload: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        walk(&self.steps, payload, &mut found);
        found
    }

    /// The first present value at the path.
    pub(crate) fn first(&self, payload: &Value) -> Option<Value> {
        self.find(payload).into_iter().next()
    }
}

fn walk(steps: &[Step], value: &Value, found: &mut Vec<Value>) {
    let Some((step, rest)) = steps.split_first() else {
        if !is_absent(value) {
            found.push(value.clone());
        }
        return;
    };
    if let Value::String(text) = value {
        if text.trim_start().starts_with(['{', '['])
            && let Ok(parsed) = serde_json::from_str::<Value>(text)
        {
            walk(steps, &parsed, found);
        }
        return;
    }
    let mut enter = |value: &Value| walk(rest, value, found);
    match (step, value) {
        (Step::Name(name), Value::Object(members)) => {
            let alike = || members.iter().find(|(member, _)| is_same_name(member, name));
            if let Some(value) = members.get(name).or_else(|| alike().map(|(_, value)| value)) {
                enter(value);
            }
        }
        (Step::Index(index), Value::Array(items)) => {
            if let Some(item) = items.get(*index) {
                enter(item);
            }
        }
        (Step::Every, Value::Array(items)) => items.iter().for_each(enter),
        (Step::Where(path, wanted), Value::Array(items)) => {
            let has = |item: &&Value| path.find(item).iter().any(|value| is_text(value, wanted));
            items.iter().filter(has).for_each(enter);
        }
        _ => {}
    }
}

fn is_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => is_same_name(text, wanted),
        Value::Number(number) => number.to_string() == wanted,
        _ => false,
    }
}

/// The position of the bracket that closes the one before the text.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut depth, mut is_quoted) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '[' => depth += 1,
            ']' if depth == 0 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn in_brackets(text: &str) -> Result<Step, SelectorError> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::Every);
    }
    if let Some((path, wanted)) = text.split_once('=') {
        let wanted = wanted.trim().trim_matches('"');
        let path = Selector::parse(path)?;
        // A condition has no conditions, so that the recursion is bounded.
        let is_plain = path.steps.iter().all(|step| matches!(step, Step::Name(_) | Step::Index(_)));
        let is_sound = is_plain && !wanted.is_empty();
        return if is_sound { Ok(Step::Where(path, wanted.to_owned())) } else { Err(SelectorError::Step) };
    }
    text.parse().map(Step::Index).map_err(|_| SelectorError::Step)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(path: &str) -> Option<Value> {
        let payload = json!({
            "form_response": {
                "hidden": {"utm source": "ads"},
                "answers": [
                    {"type": "email", "email": "ann@acme.example", "field": {"ref": "work_email", "id": 7}},
                    {"type": "text", "text": "Acme", "field": {"ref": "company"}},
                    {"type": "text", "text": "", "field": {"ref": "empty"}}
                ]
            },
            "field_data": [{"name": "job_title", "values": ["CTO"]}],
            "data.json": "{\"email\": [\"bob@acme.example\"]}",
            "Work e-mail": "eve@acme.example"
        });
        Selector::parse(path).unwrap().first(&payload)
    }

    #[test]
    fn values_are_found_at_every_kind_of_step() {
        for (path, value) in [
            ("form_response.hidden.utm_source", "ads"),
            ("form_response.answers[type=email].email", "ann@acme.example"),
            ("form_response.answers[0].email", "ann@acme.example"),
            ("form_response.answers[field.ref=company].text", "Acme"),
            ("form_response.answers[field.id=7].email", "ann@acme.example"),
            ("form_response.answers[*].text", "Acme"),
            ("Form Response.Answers[field.ref=\"Work-Email\"].email", "ann@acme.example"),
            ("field_data[name=job_title].values[0]", "CTO"),
            ("\"data.json\".email[0]", "bob@acme.example"),
            ("\"Work e-mail\"", "eve@acme.example"),
        ] {
            assert_eq!(at(path), Some(value.into()), "{path}");
        }
    }

    #[test]
    fn absent_values_are_not_found() {
        for path in [
            "form_response.answers[field.ref=empty].text",
            "form_response.answers[9].text",
            "form_response.answers.text",
            "nothing.at[0].all",
            "form_response.hidden[0]",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for (path, error) in [
            ("", SelectorError::Step),
            ("a..b", SelectorError::Step),
            ("a.", SelectorError::Step),
            ("a[", SelectorError::Open),
            ("a[x=y", SelectorError::Open),
            ("\"a", SelectorError::Open),
            ("a[x]", SelectorError::Step),
            ("a[x=]", SelectorError::Step),
            ("a[b[c=d]=e]", SelectorError::Open),
            ("a=b", SelectorError::Step),
            ("a[0]b", SelectorError::Step),
            (&"a.".repeat(99), SelectorError::TooLong),
        ] {
            assert_eq!(Selector::parse(path), Err(error), "{path}");
        }
    }
}
