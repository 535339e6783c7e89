//! The subset of SOQL that RevenueFlow uses: fields of one object, conditions joined
//! by `AND`, `=`, `IN` with a list or a query, `ORDER BY` a field, `LIMIT`. Everything else is malformed.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::org::{Org, Record};
use super::schema::Object;

#[derive(Debug)]
struct Select {
    fields: Vec<String>,
    object: String,
    conditions: Vec<(String, Wanted)>,
    /// The field to sort by, and whether the order is descending.
    order: Option<(String, bool)>,
    limit: usize,
}

/// The values of a field that a condition accepts.
#[derive(Debug)]
enum Wanted {
    Values(Vec<Value>),
    Query(Box<Select>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// The maximum number of records on a page.
const PAGE: usize = 2_000;

/// Runs a query and returns the answer's body with all records on one page. `is_all` includes deleted
/// records.
pub(super) fn query(org: &Org, version: &str, text: &str, is_all: bool) -> Result<Value, ApiError> {
    if let Some(fault) = org.query_faults.iter().find(|fault| text.contains(&fault.contains)) {
        return Err(ApiError::bad(&fault.code, "Your query request was running for too long."));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let select = parser.select()?;
    if parser.at < parser.tokens.len() {
        return Err(malformed("unexpected token after the query"));
    }
    let object = object(org, &select)?;
    let mut records = Vec::new();
    for (id, record) in run(org, &select, is_all)?.into_iter().take(PAGE) {
        let url = format!("/services/data/{version}/sobjects/{}/{id}", object.name);
        let mut shown =
            Map::from_iter([("attributes".to_owned(), json!({ "type": object.name, "url": url }))]);
        for name in &select.fields {
            shown.insert(name.clone(), value_of(object, id, record, name)?);
        }
        records.push(Value::Object(shown));
    }
    Ok(json!({ "totalSize": records.len(), "done": true, "records": records }))
}

fn run<'o>(org: &'o Org, select: &Select, is_all: bool) -> Result<Vec<(&'o str, &'o Record)>, ApiError> {
    let object = object(org, select)?;
    let of_object =
        |(_, record): &(&String, &Record)| record.object == object.name && (is_all || !record.is_deleted);
    let mut found: Vec<_> =
        org.records.iter().filter(of_object).map(|(id, record)| (id.as_str(), record)).collect();
    for (name, wanted) in &select.conditions {
        let values = match wanted {
            Wanted::Values(values) => values.clone(),
            Wanted::Query(inner) => {
                let (of, column) = (self::object(org, inner)?, &inner.fields[0]);
                let rows = run(org, inner, false)?.into_iter();
                rows.map(|(id, record)| value_of(of, id, record, column)).collect::<Result<_, _>>()?
            }
        };
        let mut matching = Vec::new();
        for (id, record) in found {
            let value = value_of(object, id, record, name)?;
            if values.iter().any(|wanted| compare(&value, wanted) == Some(Ordering::Equal)) {
                matching.push((id, record));
            }
        }
        found = matching;
    }
    if let Some((name, descending)) = &select.order {
        let key = |(id, record): &(&str, &Record)| value_of(object, id, record, name);
        found.iter().try_for_each(|one| key(one).map(drop))?;
        let value = |one: &(&str, &Record)| key(one).unwrap_or_default();
        found.sort_by(|a, b| compare(&value(a), &value(b)).unwrap_or(Ordering::Equal));
        if *descending {
            found.reverse();
        }
    }
    found.truncate(select.limit);
    Ok(found)
}

fn object<'o>(org: &'o Org, select: &Select) -> Result<&'o Object, ApiError> {
    let unsupported = || format!("sObject type '{}' is not supported.", select.object);
    org.object(&select.object).ok_or_else(|| ApiError::bad("INVALID_TYPE", unsupported()))
}

/// A field of a record.
fn value_of(object: &Object, id: &str, record: &Record, name: &str) -> Result<Value, ApiError> {
    let Some(field) = object.field(name) else {
        let message = format!("No such column '{name}' on entity '{}'.", object.name);
        return Err(ApiError::bad("INVALID_FIELD", message));
    };
    Ok(match field.name.as_str() {
        "Id" => json!(id),
        "IsDeleted" => json!(record.is_deleted),
        "IsClosed" if object.name == "Opportunity" => {
            let stage = record.fields.get("StageName").and_then(Value::as_str);
            json!(stage.is_some_and(|stage| stage.starts_with("Closed")))
        }
        name => match record.fields.get(name) {
            None if field.kind == "boolean" => json!(false),
            value => value.cloned().unwrap_or_default(),
        },
    })
}

/// Compares strings case-insensitively; null precedes every other value.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.to_lowercase().cmp(&b.to_lowercase())),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Null, _) => Some(Ordering::Less),
        (_, Value::Null) => Some(Ordering::Greater),
        _ => None,
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn take(&mut self) -> Result<Token, ApiError> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().ok_or_else(|| malformed("unexpected end of the query"))
    }

    fn is_next(&self, wanted: &str) -> bool {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => word.eq_ignore_ascii_case(wanted),
            Some(Token::Sign(sign)) => wanted.chars().eq([*sign]),
            _ => false,
        }
    }

    fn accept(&mut self, wanted: &str) -> bool {
        let is_next = self.is_next(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, wanted: &str) -> Result<(), ApiError> {
        if self.accept(wanted) { Ok(()) } else { Err(malformed(&format!("expecting '{wanted}'"))) }
    }

    fn word(&mut self) -> Result<String, ApiError> {
        match self.take()? {
            Token::Word(word) => Ok(word),
            _ => Err(malformed("expecting a name")),
        }
    }

    /// One or more items, separated by `separator`.
    fn list<T>(
        &mut self,
        separator: &str,
        item: impl Fn(&mut Self) -> Result<T, ApiError>,
    ) -> Result<Vec<T>, ApiError> {
        let mut items = vec![item(self)?];
        while self.accept(separator) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn select(&mut self) -> Result<Select, ApiError> {
        self.expect("SELECT")?;
        let fields = self.list(",", Self::word)?;
        self.expect("FROM")?;
        let object = self.word()?;
        let conditions = if self.accept("WHERE") { self.list("AND", Self::condition)? } else { Vec::new() };
        let mut order = None;
        if self.accept("ORDER") {
            self.expect("BY")?;
            order = Some((self.word()?, self.accept("DESC")));
        }
        let limit = if self.accept("LIMIT") {
            self.word()?.parse().map_err(|_| malformed("expecting a number"))?
        } else {
            usize::MAX
        };
        Ok(Select { fields, object, conditions, order, limit })
    }

    fn condition(&mut self) -> Result<(String, Wanted), ApiError> {
        let name = self.word()?;
        if self.accept("=") {
            return Ok((name, Wanted::Values(vec![self.value()?])));
        }
        self.expect("IN")?;
        self.expect("(")?;
        let wanted = if self.is_next("SELECT") {
            Wanted::Query(Box::new(self.select()?))
        } else {
            Wanted::Values(self.list(",", Self::value)?)
        };
        self.expect(")")?;
        Ok((name, wanted))
    }

    fn value(&mut self) -> Result<Value, ApiError> {
        match self.take()? {
            Token::Text(text) => Ok(Value::String(text)),
            Token::Word(word) => {
                serde_json::from_str(&word.to_ascii_lowercase()).map_err(|_| malformed("expecting a value"))
            }
            Token::Sign(_) => Err(malformed("expecting a value")),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, ApiError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '\'' => {
                let mut literal = String::new();
                loop {
                    match chars.next().ok_or_else(|| malformed("unterminated string literal"))? {
                        '\'' => break,
                        '\\' => literal.push(escaped(chars.next())?),
                        other => literal.push(other),
                    }
                }
                tokens.push(Token::Text(literal));
            }
            '(' | ')' | ',' | '=' => tokens.push(Token::Sign(c)),
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = c.to_string();
                while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            other => return Err(malformed(&format!("unexpected token: '{other}'"))),
        }
    }
    Ok(tokens)
}

fn escaped(c: Option<char>) -> Result<char, ApiError> {
    match c {
        Some('n' | 'N') => Ok('\n'),
        Some('r' | 'R') => Ok('\r'),
        Some('t' | 'T') => Ok('\t'),
        Some('b' | 'B') => Ok('\u{8}'),
        Some('f' | 'F') => Ok('\u{c}'),
        Some(same @ ('"' | '\'' | '\\' | '%' | '_')) => Ok(same),
        _ => Err(malformed("invalid string literal: illegal character sequence")),
    }
}

fn malformed(problem: &str) -> ApiError {
    ApiError::bad("MALFORMED_QUERY", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_evaluated_like_soql() {
        let mut org = Org::default();
        let account = org.insert("Account", json!({ "Name": "Acme", "Website": "https://acme.example" }));
        org.insert("Account", json!({ "Name": "O'Brien \\ Sons", "Website": "other.example" }));
        for (stage, amount) in [("Proposal", 10.0), ("Closed Won", 20.0), ("Prospecting", 30.0)] {
            let fields = json!({ "Name": stage, "StageName": stage, "Amount": amount, "AccountId": account });
            org.insert("Opportunity", fields);
        }
        for (condition, expected) in [
            ("Account WHERE Website IN ('acme.example', 'HTTPS://acme.example')", &["Acme"][..]),
            ("account WHERE Name = 'acme' AND Website = null", &[]),
            (r"Account WHERE Name = 'O\'Brien \\ Sons'", &["O'Brien \\ Sons"]),
            ("Opportunity WHERE IsClosed = false ORDER BY Amount DESC LIMIT 1", &["Prospecting"]),
            ("Opportunity ORDER BY Amount", &["Proposal", "Closed Won", "Prospecting"]),
            ("Account WHERE Id IN (SELECT AccountId FROM Opportunity WHERE Amount = 20)", &["Acme"]),
        ] {
            let body = query(&org, "v67.0", &format!("SELECT Id, Name FROM {condition}"), false).unwrap();
            let names: Vec<_> = body["records"].as_array().unwrap().iter().map(|r| &r["Name"]).collect();
            assert_eq!(names, expected, "{condition}");
            assert_eq!(body["totalSize"], expected.len());
        }
        for (text, code) in [
            ("SELECT Name FROM Account WHERE Name = 'O'Brien'", "MALFORMED_QUERY"),
            ("SELECT Name FROM Account WHERE Name = 'open", "MALFORMED_QUERY"),
            ("SELECT Name FROM Account WHERE Name = '' ; DELETE", "MALFORMED_QUERY"),
            ("SELECT Nmae FROM Account", "INVALID_FIELD"),
            ("SELECT Name FROM Account ORDER BY Nmae", "INVALID_FIELD"),
            ("SELECT Name FROM Acount", "INVALID_TYPE"),
        ] {
            assert_eq!(query(&org, "v67.0", text, false).unwrap_err().code, code, "{text}");
        }
    }
}
