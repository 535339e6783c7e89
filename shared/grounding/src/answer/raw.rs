//! The JSON of an answer before validation. Fields hold any JSON value, so that an error can name the field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Declares an answer and its claims. Repeated fields are errors.
macro_rules! raw_answer {
    ($(#[$unknown:meta])? $answer:ident, $claim:ident, $item:ty) => {
        #[derive(Deserialize)]
        $(#[$unknown])?
        pub(super) struct $answer {
            #[serde(default, deserialize_with = "present")]
            pub(super) fit_score: Option<Value>,
            #[serde(default, deserialize_with = "present")]
            pub(super) intent: Option<Value>,
            #[serde(default, deserialize_with = "present")]
            pub(super) decision: Option<Value>,
            #[serde(default, deserialize_with = "present")]
            pub(super) reasoning: Option<Value>,
            pub(super) evidence: Option<Vec<$item>>,
        }

        #[derive(Deserialize)]
        $(#[$unknown])?
        pub(super) struct $claim {
            #[serde(default, deserialize_with = "present")]
            pub(super) source: Option<Value>,
            #[serde(default, deserialize_with = "present")]
            pub(super) field_path: Option<Value>,
            #[serde(default, deserialize_with = "present")]
            pub(super) value: Option<Value>,
            #[serde(default, deserialize_with = "present")]
            pub(super) claim_type: Option<Value>,
        }
    };
}

raw_answer!(RawAnswer, RawClaim, Object<RawClaim>);
raw_answer!(
    #[serde(deny_unknown_fields)]
    RawAnswerBefore4,
    RawClaimBefore4,
    RawClaimBefore4
);

/// Accepts a JSON object only. Derived structs would also accept an array of their fields.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

impl From<RawAnswerBefore4> for RawAnswer {
    fn from(answer: RawAnswerBefore4) -> Self {
        let RawAnswerBefore4 { fit_score, intent, decision, reasoning, evidence } = answer;
        let evidence = evidence.map(|claims| claims.into_iter().map(|claim| Object(claim.into())).collect());
        Self { fit_score, intent, decision, reasoning, evidence }
    }
}

impl From<RawClaimBefore4> for RawClaim {
    fn from(claim: RawClaimBefore4) -> Self {
        let RawClaimBefore4 { source, field_path, value, claim_type } = claim;
        Self { source, field_path, value, claim_type }
    }
}

/// Distinguishes a field that is null from a missing one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
