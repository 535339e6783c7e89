//! State and Country/Territory picklists, as in an org whose administrator has enabled them.
//!
//! `Country` and `State` then accept only full integration values and are still described as plain strings;
//! the fields `CountryCode` and `StateCode` are described as picklists. A state must belong to its country.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::schema::{Field, Object};

/// Code and integration value of each country in the fake.
const COUNTRIES: &[(&str, &str)] = &[
    ("AU", "Australia"),
    ("BR", "Brazil"),
    ("CA", "Canada"),
    ("CI", "Côte d'Ivoire"),
    ("DE", "Germany"),
    ("FR", "France"),
    ("GB", "United Kingdom"),
    ("IE", "Ireland"),
    ("IN", "India"),
    ("IT", "Italy"),
    ("NL", "Netherlands"),
    ("US", "United States"),
];

/// Country, code and integration value of each state. Other countries have no states.
const STATES: &[(&str, &str, &str)] = &[
    ("AU", "NSW", "New South Wales"),
    ("AU", "WA", "Western Australia"),
    ("BR", "AL", "Alagoas"),
    ("BR", "SP", "São Paulo"),
    ("CA", "ON", "Ontario"),
    ("CA", "QC", "Québec"),
    ("IT", "CA", "Cagliari"),
    ("US", "AL", "Alabama"),
    ("US", "CA", "California"),
    ("US", "NY", "New York"),
    ("US", "TX", "Texas"),
    ("US", "WA", "Washington"),
];

/// Adds a code field for every country and state field of an object.
pub(super) fn add_codes(object: &mut Object) {
    let is_part = |field: &&Field| field.kind == "string" && part(&field.name).is_some();
    let code = |field: &Field| Field::new(&format!("{}Code", field.name), "picklist", 10);
    let codes: Vec<Field> = object.fields.iter().filter(is_part).map(code).collect();
    object.fields.extend(codes);
}

/// The prefix of a country or state field, and whether it is a state field; None for code fields.
fn part(field: &str) -> Option<(&str, bool)> {
    let state = field.strip_suffix("State").map(|prefix| (prefix, true));
    state.or_else(|| field.strip_suffix("Country").map(|prefix| (prefix, false)))
}

/// The values of a code field, as describe shows them; None for any other field.
pub(super) fn described(field: &str) -> Option<Vec<Value>> {
    let (_, is_state) = part(field.strip_suffix("Code")?)?;
    let value = |code: &str, label: &str, valid_for: Value| json!({ "active": true, "defaultValue": false, "label": label, "validFor": valid_for, "value": code });
    Some(if is_state {
        STATES.iter().map(|(country, code, label)| value(code, label, json!(valid_for(country)))).collect()
    } else {
        COUNTRIES.iter().map(|(code, label)| value(code, label, Value::Null)).collect()
    })
}

/// The field that controls the options of a code field.
pub(super) fn controller(field: &str) -> Option<String> {
    let (prefix, is_state) = part(field.strip_suffix("Code")?)?;
    is_state.then(|| format!("{prefix}CountryCode"))
}

/// A bitmap of countries in base64; the first country is the highest bit of the first byte.
fn valid_for(country: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let index = COUNTRIES.iter().position(|(code, _)| *code == country);
    let bits = index.map_or(0, |index| 0x0080_0000_u32 >> index);
    let digit = |shift: u32| char::from(DIGITS[usize::try_from(bits >> shift & 63).unwrap_or_default()]);
    [18, 12, 6, 0].map(digit).iter().collect()
}

/// Checks the countries and states that a save writes, and keeps codes and integration values consistent.
pub(super) fn check(
    object: &Object,
    written: &Map<String, Value>,
    fields: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    let mut parts: Vec<(&str, bool)> = Vec::new();
    for name in written.keys().filter_map(|name| object.field(name)).map(|field| field.name.as_str()) {
        if let Some(part) = part(name.strip_suffix("Code").unwrap_or(name))
            && object.field(&format!("{}CountryCode", part.0)).is_some()
            && !parts.contains(&part)
        {
            parts.push(part);
        }
    }
    // Countries are checked before the states that depend on them.
    parts.sort_by_key(|(_, is_state)| *is_state);
    for (prefix, is_state) in parts {
        let name = format!("{prefix}{}", if is_state { "State" } else { "Country" });
        let code_name = format!("{name}Code");
        let is_code = written.keys().any(|key| key.eq_ignore_ascii_case(&code_name));
        let named = if is_code { code_name.clone() } else { name.clone() };
        let Some(text) = fields.get(&named).and_then(Value::as_str).map(str::to_lowercase) else {
            fields.extend([(name, Value::Null), (code_name, Value::Null)]);
            continue;
        };
        let matches = |code: &str, label: &str| if is_code { code } else { label }.to_lowercase() == text;
        let country = fields.get(&format!("{prefix}CountryCode")).and_then(Value::as_str);
        let found = if is_state {
            let Some(country) = country else {
                let message = "A country/territory must be specified before specifying a state value for field: State/Province";
                return Err(ApiError::bad("FIELD_INTEGRITY_EXCEPTION", message).on([named.as_str()]));
            };
            let of_country = STATES.iter().filter(|(of, ..)| *of == country);
            of_country.map(|(_, code, label)| (*code, *label)).find(|(code, label)| matches(code, label))
        } else {
            COUNTRIES.iter().copied().find(|(code, label)| matches(code, label))
        };
        let Some((code, label)) = found else {
            let part = if is_state { "state" } else { "country" };
            let message = format!(
                "There's a problem with this {part}, even though it may appear correct. Please select a {part} from the list of valid ones.: {named}"
            );
            return Err(ApiError::bad("FIELD_INTEGRITY_EXCEPTION", message).on([named.as_str()]));
        };
        fields.extend([(name, json!(label)), (code_name, json!(code))]);
    }
    Ok(())
}
