//! The JSON of an answer before validation. Fields hold any JSON value, so that an error can name the field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An answer. Repeated fields are errors.
#[derive(Deserialize)]
pub(super) struct RawAnswer {
    #[serde(default, deserialize_with = "present")]
    pub(super) fit_score: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) intent: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) decision: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) reasoning: Option<Value>,
    pub(super) evidence: Option<Vec<Object<RawClaim>>>,
}

/// A claim of an answer. Repeated fields are errors.
#[derive(Deserialize)]
pub(super) struct RawClaim {
    #[serde(default, deserialize_with = "present")]
    pub(super) source: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) field_path: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) value: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(super) claim_type: Option<Value>,
}

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

/// Distinguishes a field that is null from a missing one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
