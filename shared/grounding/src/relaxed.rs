//! Spellings that are accepted in addition to those of [`equality`](crate::equality). Each states exactly the
//! fact: no rounding, no units but dollars, nothing omitted or added.

use serde_json::{Map, Value};

use crate::countries::country_code;
use crate::decimal::Decimal;
use crate::equality::{self, is_empty};
use crate::text::{comparable, is_blank, is_dash};
use crate::{FieldPath, Namespace};

/// The fact, or the part of a list, that a claimed value states in another spelling; as the source wrote it.
pub(crate) fn matching(path: &FieldPath, fact: &Value, claimed: &Value) -> Option<Value> {
    match (fact, claimed) {
        (Value::Object(fact), claimed) => says_range(path, fact, claimed).then(|| Value::from(fact.clone())),
        (Value::Array(members), Value::Array(items)) => part_of(path, members, items).map(Value::Array),
        (Value::Array(members), one) => {
            let member = members.iter().find(|member| says(path, member, one));
            member.cloned().or_else(|| says_joined(members, one).then(|| fact.clone()))
        }
        (one, claimed) => says(path, one, claimed).then(|| one.clone()),
    }
}

/// The members that a claimed list names, each once and in the order of the fact; none if the list names any
/// other value.
fn part_of(path: &FieldPath, members: &[Value], items: &[Value]) -> Option<Vec<Value>> {
    let equals =
        |member: &Value, item: &Value| equality::matching(member, item).is_some() || says(path, member, item);
    let known = |item: &Value| members.iter().any(|member| !member.is_array() && equals(member, item));
    if items.is_empty() || !items.iter().all(known) {
        return None;
    }
    let named = members.iter().filter(|member| items.iter().any(|item| equals(member, item)));
    Some(named.cloned().collect())
}

/// Whether a text consists of all members of a list, joined by a comma and a blank.
fn says_joined(members: &[Value], claimed: &Value) -> bool {
    let Value::String(claimed) = claimed else { return false };
    let words = members.iter().map(|member| match member {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let words: Option<Vec<String>> = words.collect();
    words.is_some_and(|words| words.len() > 1 && comparable(&words.join(", ")) == comparable(claimed))
}

/// Whether a single claimed value states a single fact in one of the spellings below.
fn says(path: &FieldPath, fact: &Value, claimed: &Value) -> bool {
    let Value::String(claimed) = claimed else { return false };
    if is_empty(fact) || is_blank(claimed) {
        return false;
    }
    match fact {
        Value::String(text) => {
            let is_country = path.as_str() == "enrichment.country";
            (is_country && country_code(text).is_some_and(|code| country_code(claimed) == Some(code)))
                || instant(text).is_some_and(|moment| instant(claimed) == Some(moment))
                || says_text(path, text, claimed)
                || says_text(path, text, unquoted(claimed))
        }
        Value::Number(number) if is_dollars(path) => {
            money(claimed).is_some_and(|claimed| Decimal::of_json(number) == Some(claimed))
        }
        _ => false,
    }
}

/// Whether two texts differ only in dashes and in `&amp;` for `&`. Computed words may also differ in `_`,
/// blank and `-`.
fn says_text(path: &FieldPath, fact: &str, claimed: &str) -> bool {
    let is_vocabulary = path.namespace() == Namespace::Computed && !fact.contains(|c: char| c.is_numeric());
    let plain = |text: &str| {
        let text = text.replace("&amp;", "&");
        // In an identifier or a number as text every character is significant.
        let dashes = !text.contains(|c: char| c.is_numeric()) || text.trim().contains(' ');
        let same = |c: char| match c {
            '_' | ' ' | '-' if is_vocabulary => ' ',
            c if dashes && is_dash(c) => '-',
            c => c,
        };
        comparable(&text.chars().map(same).collect::<String>())
    };
    !is_blank(claimed) && plain(fact) == plain(claimed)
}

/// A text without one surrounding pair of quotation marks.
fn unquoted(text: &str) -> &str {
    const PAIRS: [(char, char); 6] =
        [('"', '"'), ('\'', '\''), ('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»')];
    let text = text.trim();
    let inner = |(open, close)| text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
    PAIRS.into_iter().find_map(inner).unwrap_or(text)
}

/// The seconds and the fraction of a time in UTC. `Z` and `+00:00` are equivalent, and trailing zeros of the
/// fraction are ignored.
fn instant(text: &str) -> Option<(&str, &str)> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let text = text.trim();
    let moment = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (second, fraction) = moment.split_once('.').unwrap_or((moment, ""));
    let is_second = second.len() == SHAPE.len()
        && second.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            separator => byte == *separator,
        });
    let is_fraction = fraction.bytes().all(|byte| byte.is_ascii_digit()) && !moment.ends_with('.');
    (is_second && is_fraction).then(|| (second, fraction.trim_end_matches('0')))
}

fn is_dollars(path: &FieldPath) -> bool {
    path.as_str().ends_with("_usd")
}

/// An amount in US dollars: `$5,000,000`, `USD 5000000`, `5M USD`. The letters stand for thousands, millions
/// and billions.
fn money(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let number = text
        .strip_prefix('$')
        .or_else(|| text.strip_prefix("USD ").map(str::trim_start))
        .or_else(|| text.strip_suffix(" USD").map(str::trim_end))
        .unwrap_or(text);
    let (number, power) = match number.chars().next_back()? {
        'k' | 'K' => (&number[..number.len() - 1], 3),
        'M' => (&number[..number.len() - 1], 6),
        'B' => (&number[..number.len() - 1], 9),
        _ => (number, 0),
    };
    Decimal::parse(number).map(|number| number.times_ten_to(power))
}

/// Whether a claim states both ends of a band: `5001-10000`, `5,001–10,000`, `10001+` or the object itself.
fn says_range(path: &FieldPath, fact: &Map<String, Value>, claimed: &Value) -> bool {
    if path.namespace() != Namespace::Enrichment {
        return false;
    }
    let Some(ends) = ends(fact) else { return false };
    match claimed {
        Value::Object(claimed) => self::ends(claimed) == Some(ends),
        Value::String(text) => written_ends(text, is_dollars(path)) == Some(ends),
        _ => false,
    }
}

/// The lower end, and the upper one unless the band is open.
type Ends = (Decimal, Option<Decimal>);

fn ends(band: &Map<String, Value>) -> Option<Ends> {
    let number = |value: &Value| value.as_number().and_then(Decimal::of_json);
    if band.keys().any(|key| key != "min" && key != "max") {
        return None;
    }
    let max = match band.get("max") {
        None | Some(Value::Null) => None,
        Some(max) => Some(number(max)?),
    };
    Some((number(band.get("min")?)?, max))
}

fn written_ends(text: &str, dollars: bool) -> Option<Ends> {
    let number = |text: &str| if dollars { money(text) } else { Decimal::parse(text.trim()) };
    let text = text.trim();
    if let Some(min) = text.strip_suffix('+') {
        return Some((number(min)?, None));
    }
    let (min, max) = text.split_once(is_dash)?;
    Some((number(min)?, Some(number(max)?)))
}

#[cfg(test)]
mod tests;
