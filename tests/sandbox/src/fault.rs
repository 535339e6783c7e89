use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a fake is told to do wrong, and when.
///
/// As JSON, for `POST /_sandbox/faults`:
/// `{"path": "/composite", "method": "POST", "skip": 1, "times": 2, "do": {"status": 503, "body": {"message": "busy"}}}`,
/// or for bad weather `{"share": 0.3, "seed": 7, "do": {"one_of": ["refuse", "lose_reply", {"delay_ms": 50}]}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests whose path contains this.
    #[serde(default)]
    pub path: String,
    /// Only requests of this method; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only requests whose body contains this; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How many matching requests go through first.
    #[serde(default)]
    pub skip: u32,
    /// How many matching requests it then meets; every one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The share of those that it then meets, from 0 to 1, drawn by the seed; all of them where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// What the draws begin with: the same seed, the same draws.
    #[serde(default)]
    pub seed: u64,
    /// How many draws there were.
    #[serde(skip)]
    drawn: u64,
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
    /// Does what was asked, but for one record of those that it writes: what becomes of that one is for the fake to tell.
    /// What writes nothing is done.
    Row {
        /// The error's code, such as `UNABLE_TO_LOCK_ROW`.
        code: String,
        /// How many records are written before.
        #[serde(default)]
        skip: u32,
    },
    /// One of these, drawn anew for each request.
    OneOf(Vec<Misbehaviour>),
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

    /// Only requests whose body contains this.
    #[must_use]
    pub fn about(mut self, text: &str) -> Self {
        self.body = Some(text.to_owned());
        self
    }

    /// Only this share of them, drawn by the seed.
    #[must_use]
    pub fn share(mut self, share: f64, seed: u64) -> Self {
        (self.share, self.seed) = (Some(share), seed);
        self
    }

    /// Counts a request; what happens to it, where it is met.
    pub(crate) fn meets(&mut self, method: &str, path: &str, body: &[u8]) -> Option<Misbehaviour> {
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
                let place = (u64::from(self.draw()) * u64::try_from(kinds.len()).ok()?) >> 32;
                kinds.into_iter().nth(usize::try_from(place).ok()?)
            }
            kind => Some(kind),
        }
    }

    /// Thirty-two random bits: `SplitMix64` of the seed and the count.
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
    fn a_fault_meets_what_it_names_as_often_as_it_says() {
        let mut fault = Fault::on("/leads", Misbehaviour::Refuse).method("POST").after(1).times(2);
        let met: Vec<_> = ["/other", "/leads/1", "/leads/2", "/leads/3", "/leads/4"]
            .map(|path| fault.meets("POST", path, b"").is_some())
            .to_vec();
        assert_eq!(met, [false, false, true, true, false]);
        assert_eq!(Fault::on("", Misbehaviour::Refuse).method("POST").meets("GET", "/", b""), None);
        let mut about = Fault::on("", Misbehaviour::Refuse).about("ann@");
        assert_eq!(about.meets("POST", "/", b"{}"), None);
        assert!(about.meets("POST", "/", br#"{"email": "ann@stripe.com"}"#).is_some());
    }

    #[test]
    fn a_share_meets_about_that_many_with_each_kind_about_as_often_and_the_same_ones_for_a_seed() {
        let kinds = [Misbehaviour::Refuse, Misbehaviour::LoseReply, Misbehaviour::DelayMs(1)];
        let met = |seed| {
            let mut fault = Fault::on("", Misbehaviour::OneOf(kinds.to_vec())).share(0.3, seed);
            (0..10_000).map(|_| fault.meets("GET", "/", b"")).collect::<Vec<_>>()
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
