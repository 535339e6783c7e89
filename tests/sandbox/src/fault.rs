use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A fault for a fake to inject, and the requests that it applies to.
///
/// As JSON, for `POST /_sandbox/faults`: `{"path": "/composite", "method": "POST", "skip": 1, "times": 2,
/// "do": {"status": 503, "body": {"message": "busy"}}}`, or for random faults `{"share": 0.3, "seed": 7,
/// "do": {"one_of": ["refuse", "lose_reply", {"delay_ms": 50}]}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests whose path contains this text.
    #[serde(default)]
    pub path: String,
    /// Only requests with this method; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose body contains this text; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The number of matching requests that are unaffected first.
    #[serde(default)]
    pub skip: u32,
    /// The number of faults after those; unlimited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The share of the matching requests that fail, from 0 to 1, drawn with the seed; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The seed of the draws; equal seeds give equal draws.
    #[serde(default)]
    pub seed: u64,
    /// The number of draws so far.
    #[serde(skip)]
    drawn: u64,
    /// The fault itself.
    #[serde(rename = "do")]
    pub misbehaviour: Misbehaviour,
}

/// A kind of fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misbehaviour {
    /// Waits this many milliseconds, then handles the request.
    DelayMs(u64),
    /// Closes the connection before the request is handled.
    Refuse,
    /// Handles the request, and closes the connection instead of answering.
    LoseReply,
    /// Handles the request except for one of the records that it writes; the fake decides how that record's
    /// failure appears. A request that writes no record is handled normally.
    Row {
        /// The error's code, such as `UNABLE_TO_LOCK_ROW`.
        code: String,
        /// The number of records written before it.
        #[serde(default)]
        skip: u32,
    },
    /// One of these, drawn for each request.
    OneOf(Vec<Misbehaviour>),
    /// Returns this answer without handling the request.
    #[serde(untagged)]
    Answer {
        /// The HTTP status.
        status: u16,
        /// Additional headers, name and value.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
        /// The body: a string is sent verbatim, anything else as JSON.
        #[serde(default)]
        body: Value,
    },
}

impl Misbehaviour {
    /// An answer with a status and a JSON body.
    pub fn answer(status: u16, body: Value) -> Self {
        Self::Answer { status, headers: Vec::new(), body }
    }

    /// A delay.
    pub fn delay(by: Duration) -> Self {
        Self::DelayMs(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Fault {
    /// Applies to every request whose path contains `path`.
    pub fn on(path: &str, misbehaviour: Misbehaviour) -> Self {
        Self {
            path: path.to_owned(),
            method: None,
            body: None,
            skip: 0,
            times: None,
            share: None,
            seed: 0,
            drawn: 0,
            misbehaviour,
        }
    }

    /// Limits the number of faults.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Skips the first `skip` matching requests.
    #[must_use]
    pub fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Applies only to this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Applies only to requests whose body contains this text.
    #[must_use]
    pub fn about(mut self, text: &str) -> Self {
        self.body = Some(text.to_owned());
        self
    }

    /// Applies only to this share of the matching requests, drawn with the seed.
    #[must_use]
    pub fn share(mut self, share: f64, seed: u64) -> Self {
        (self.share, self.seed) = (Some(share), seed);
        self
    }

    /// Counts a request and returns the misbehaviour if the fault applies to it.
    pub(crate) fn apply(&mut self, method: &str, path: &str, body: &[u8]) -> Option<Misbehaviour> {
        let has_text = |text: &String| String::from_utf8_lossy(body).contains(text.as_str());
        let matches = path.contains(&self.path)
            && self.body.as_ref().is_none_or(has_text)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.times != Some(0);
        if !matches {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        if let Some(share) = self.share
            && f64::from(self.draw()) >= share * 2_f64.powi(32)
        {
            return None;
        }
        self.times = self.times.map(|times| times - 1);
        match self.misbehaviour.clone() {
            Misbehaviour::OneOf(kinds) => {
                let index = (u64::from(self.draw()) * u64::try_from(kinds.len()).ok()?) >> 32;
                kinds.into_iter().nth(usize::try_from(index).ok()?)
            }
            kind => Some(kind),
        }
    }

    /// Thirty-two random bits: `SplitMix64` of the seed and the number of draws.
    fn draw(&mut self) -> u32 {
        self.drawn += 1;
        let mut z = self.seed.wrapping_add(self.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_is_read_from_json() {
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
            (
                json!({"share": 0.3, "seed": 7, "do": {"one_of": ["refuse", {"row": {"code": "X"}}]}}),
                Fault::on(
                    "",
                    Misbehaviour::OneOf(vec![
                        Misbehaviour::Refuse,
                        Misbehaviour::Row { code: "X".to_owned(), skip: 0 },
                    ]),
                )
                .share(0.3, 7),
            ),
        ] {
            assert_eq!(serde_json::from_value::<Fault>(text).unwrap(), fault);
        }
        assert!(serde_json::from_value::<Fault>(json!({"do": "explode"})).is_err());
    }

    #[test]
    fn a_fault_applies_to_matching_requests_the_given_times() {
        let mut fault = Fault::on("/leads", Misbehaviour::Refuse).method("POST").after(1).times(2);
        let met: Vec<_> = ["/other", "/leads/1", "/leads/2", "/leads/3", "/leads/4"]
            .map(|path| fault.apply("POST", path, b"").is_some())
            .to_vec();
        assert_eq!(met, [false, false, true, true, false]);
        assert_eq!(Fault::on("", Misbehaviour::Refuse).method("POST").apply("GET", "/", b""), None);
        let mut about = Fault::on("", Misbehaviour::Refuse).about("ann@");
        assert_eq!(about.apply("POST", "/", b"{}"), None);
        assert!(about.apply("POST", "/", br#"{"email": "ann@stripe.com"}"#).is_some());
    }

    #[test]
    fn a_share_is_even_over_kinds_and_reproducible_by_seed() {
        let kinds = [Misbehaviour::Refuse, Misbehaviour::LoseReply, Misbehaviour::DelayMs(1)];
        let met = |seed| {
            let mut fault = Fault::on("", Misbehaviour::OneOf(kinds.to_vec())).share(0.3, seed);
            (0..10_000).map(|_| fault.apply("GET", "/", b"")).collect::<Vec<_>>()
        };
        let first = met(1);
        for kind in &kinds {
            let times = first.iter().filter(|met| met.as_ref() == Some(kind)).count();
            assert!((850..1_150).contains(&times), "{kind:?} {times} times");
        }
        assert_eq!(met(1), first);
        assert_ne!(met(2), first);
    }
}
