use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a fake is told to do wrong, and when.
///
/// As JSON, for `POST /_sandbox/faults`:
/// `{"path": "/composite", "method": "POST", "skip": 1, "times": 2, "do": {"status": 503, "body": {"message": "busy"}}}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests whose path contains this.
    #[serde(default)]
    pub path: String,
    /// Only requests of this method; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// How many matching requests go through first.
    #[serde(default)]
    pub skip: u32,
    /// How many matching requests it then meets; every one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What happens to them.
    #[serde(rename = "do")]
    pub misbehaviour: Misbehaviour,
}

/// A way to misbehave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misbehaviour {
    /// Waits this many milliseconds, then behaves.
    DelayMs(u64),
    /// Breaks the connection before anything is done.
    Refuse,
    /// Does what was asked, and breaks the connection instead of saying so.
    LoseReply,
    /// Answers this instead, with nothing done.
    #[serde(untagged)]
    Answer {
        /// The HTTP status.
        status: u16,
        /// More headers, name and value.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
        /// The body: a text as it is, anything else as JSON.
        #[serde(default)]
        body: Value,
    },
}

impl Misbehaviour {
    /// An answer of a status with a JSON body.
    pub fn answer(status: u16, body: Value) -> Self {
        Self::Answer { status, headers: Vec::new(), body }
    }

    /// A delay.
    pub fn delay(by: Duration) -> Self {
        Self::DelayMs(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Fault {
    /// Meets every request whose path contains `path`.
    pub fn on(path: &str, misbehaviour: Misbehaviour) -> Self {
        Self { path: path.to_owned(), method: None, skip: 0, times: None, misbehaviour }
    }

    /// Only this many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Only after this many requests.
    #[must_use]
    pub fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Only this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Counts a request; whether it is met.
    pub(crate) fn meets(&mut self, method: &str, path: &str) -> bool {
        let matches = path.contains(&self.path)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.times != Some(0);
        if !matches {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_is_told_in_json() {
        for (text, fault) in [
            (json!({"do": "refuse"}), Fault::on("", Misbehaviour::Refuse)),
            (
                json!({"path": "/a", "skip": 1, "do": "lose_reply"}),
                Fault::on("/a", Misbehaviour::LoseReply).after(1),
            ),
            (
                json!({"method": "POST", "do": {"delay_ms": 5}}),
                Fault::on("", Misbehaviour::DelayMs(5)).method("POST"),
            ),
            (
                json!({"times": 2, "do": {"status": 503, "body": "busy"}}),
                Fault::on("", Misbehaviour::answer(503, json!("busy"))).times(2),
            ),
        ] {
            assert_eq!(serde_json::from_value::<Fault>(text).unwrap(), fault);
        }
        assert!(serde_json::from_value::<Fault>(json!({"do": "explode"})).is_err());
    }

    #[test]
    fn a_fault_meets_what_it_names_as_often_as_it_says() {
        let mut fault = Fault::on("/leads", Misbehaviour::Refuse).method("POST").after(1).times(2);
        let met: Vec<_> = ["/other", "/leads/1", "/leads/2", "/leads/3", "/leads/4"]
            .map(|path| fault.meets("POST", path))
            .to_vec();
        assert_eq!(met, [false, false, true, true, false]);
        assert!(!Fault::on("", Misbehaviour::Refuse).method("POST").meets("GET", "/"));
    }
}
