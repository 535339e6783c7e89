//! The subset of SOQL that integrations use: fields (also of parent records), `COUNT()`, conditions with
//! `AND`, `OR`, `NOT` and parentheses, `=`, `!=`, `<`, `>`, `LIKE`, `IN` with a list or a query, `ORDER BY`,
//! `LIMIT`, `OFFSET`.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::org::{Org, Record};
use super::schema::Object;

#[derive(Debug)]
struct Select {
    fields: Vec<String>,
    is_count: bool,
    object: String,
    condition: Option<Condition>,
    order: Vec<(String, bool)>,
    limit: usize,
    offset: usize,
}

#[derive(Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare(String, Operator, Value),
    In(String, Vec<Value>, bool),
    InQuery(String, Box<Select>, bool),
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    Like,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
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
    if parser.peek().is_some() {
        return Err(malformed("unexpected token after the query"));
    }
    let found = run(org, &select, is_all)?;
    if select.is_count {
        return Ok(json!({ "totalSize": found.len(), "done": true, "records": [] }));
    }
    let object = org.object(&select.object).ok_or_else(|| no_object(&select.object))?;
    let mut records = Vec::new();
    for (id, record) in found.iter().take(PAGE) {
        let url = format!("/services/data/{version}/sobjects/{}/{id}", object.name);
        let mut shown =
            Map::from_iter([("attributes".to_owned(), json!({ "type": object.name, "url": url }))]);
        for path in &select.fields {
            show(&mut shown, path, &value_at(org, object, id, record, path)?);
        }
        records.push(Value::Object(shown));
    }
    Ok(json!({ "totalSize": records.len(), "done": true, "records": records }))
}

fn show(record: &mut Map<String, Value>, path: &str, value: &Value) {
    match path.split_once('.') {
        None => {
            record.insert(path.to_owned(), value.clone());
        }
        Some((parent, rest)) => {
            let parent = record.entry(parent).or_insert_with(|| json!({}));
            if let Value::Object(parent) = parent {
                show(parent, rest, value);
            }
        }
    }
}

fn run<'o>(org: &'o Org, select: &Select, is_all: bool) -> Result<Vec<(&'o str, &'o Record)>, ApiError> {
    let object = org.object(&select.object).ok_or_else(|| no_object(&select.object))?;
    let mut found = Vec::new();
    for (id, record) in &org.records {
        if record.object == object.name && (is_all || !record.is_deleted) {
            let matches = match &select.condition {
                Some(condition) => condition.holds(org, object, id, record)?,
                None => true,
            };
            if matches {
                found.push((id.as_str(), record));
            }
        }
    }
    for (path, descending) in select.order.iter().rev() {
        let mut keyed = Vec::with_capacity(found.len());
        for (id, record) in found {
            keyed.push((value_at(org, object, id, record, path)?, id, record));
        }
        keyed.sort_by(|(a, ..), (b, ..)| {
            let order = compare(a, b).unwrap_or(Ordering::Equal);
            if *descending { order.reverse() } else { order }
        });
        found = keyed.into_iter().map(|(_, id, record)| (id, record)).collect();
    }
    Ok(found.into_iter().skip(select.offset).take(select.limit).collect())
}

/// A field of a record, or of one of its parents: `Account.Website`.
fn value_at(org: &Org, object: &Object, id: &str, record: &Record, path: &str) -> Result<Value, ApiError> {
    if let Some((parent, rest)) = path.split_once('.') {
        let reference = value_at(org, object, id, record, &format!("{parent}Id"))?;
        let found = reference.as_str().and_then(|id| Some((id, org.records.get(id)?)));
        let Some((parent_id, parent)) = found else { return Ok(Value::Null) };
        let parent_object = org.object(parent.object).ok_or_else(|| no_object(parent.object))?;
        return value_at(org, parent_object, parent_id, parent, rest);
    }
    let Some(field) = object.field(path) else {
        let message = format!("No such column '{path}' on entity '{}'.", object.name);
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

impl Condition {
    fn holds(&self, org: &Org, object: &Object, id: &str, record: &Record) -> Result<bool, ApiError> {
        let value = |path: &str| value_at(org, object, id, record, path);
        let is_in = |value: &Value, list: &[Value]| {
            list.iter().any(|other| compare(value, other) == Some(Ordering::Equal))
        };
        Ok(match self {
            Self::All(conditions) => {
                for condition in conditions {
                    if !condition.holds(org, object, id, record)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Any(conditions) => {
                for condition in conditions {
                    if condition.holds(org, object, id, record)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Not(condition) => !condition.holds(org, object, id, record)?,
            Self::Compare(path, operator, wanted) => operator.holds(&value(path)?, wanted),
            Self::In(path, list, is_wanted) => is_in(&value(path)?, list) == *is_wanted,
            Self::InQuery(path, select, is_wanted) => {
                let inner = org.object(&select.object).ok_or_else(|| no_object(&select.object))?;
                let column =
                    select.fields.first().ok_or_else(|| malformed("a query of one field is expected"))?;
                let mut list = Vec::new();
                for (id, record) in run(org, select, false)? {
                    list.push(value_at(org, inner, id, record, column)?);
                }
                is_in(&value(path)?, &list) == *is_wanted
            }
        })
    }
}

impl Operator {
    fn holds(self, value: &Value, wanted: &Value) -> bool {
        let order = compare(value, wanted);
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::Unequal => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::More => order == Some(Ordering::Greater),
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Like => match (value, wanted) {
                (Value::String(value), Value::String(pattern)) => {
                    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
                    like(&lower(value), &lower(pattern))
                }
                _ => false,
            },
        }
    }
}

fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['_', rest @ ..] => !text.is_empty() && like(&text[1..], rest),
        ['%', rest @ ..] => (0..=text.len()).any(|from| like(&text[from..], rest)),
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
            text.first() == Some(literal) && like(&text[1..], rest)
        }
    }
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
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self) -> Result<Token, ApiError> {
        let token = self.peek().cloned().ok_or_else(|| malformed("unexpected end of the query"))?;
        self.at += 1;
        Ok(token)
    }

    fn is_next(&self, wanted: &str) -> bool {
        match self.peek() {
            Some(Token::Word(word)) => word.eq_ignore_ascii_case(wanted),
            Some(Token::Sign(sign)) => sign == wanted,
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

    fn number(&mut self) -> Result<usize, ApiError> {
        self.word()?.parse().map_err(|_| malformed("expecting a number"))
    }

    fn select(&mut self) -> Result<Select, ApiError> {
        self.expect("SELECT")?;
        let is_count = self.is_next("COUNT");
        let mut fields = Vec::new();
        if is_count {
            self.at += 1;
            self.expect("(")?;
            self.expect(")")?;
        } else {
            fields.push(self.word()?);
            while self.accept(",") {
                fields.push(self.word()?);
            }
        }
        self.expect("FROM")?;
        let object = self.word()?;
        let condition = if self.accept("WHERE") { Some(self.any()?) } else { None };
        let mut order = Vec::new();
        if self.accept("ORDER") {
            self.expect("BY")?;
            loop {
                let path = self.word()?;
                let descending = self.accept("DESC");
                let _ascending = !descending && self.accept("ASC");
                if self.accept("NULLS") {
                    let _position = self.word()?;
                }
                order.push((path, descending));
                if !self.accept(",") {
                    break;
                }
            }
        }
        let limit = if self.accept("LIMIT") { self.number()? } else { usize::MAX };
        let offset = if self.accept("OFFSET") { self.number()? } else { 0 };
        Ok(Select { fields, is_count, object, condition, order, limit, offset })
    }

    fn any(&mut self) -> Result<Condition, ApiError> {
        let mut conditions = vec![self.all()?];
        while self.accept("OR") {
            conditions.push(self.all()?);
        }
        Ok(Condition::Any(conditions))
    }

    fn all(&mut self) -> Result<Condition, ApiError> {
        let mut conditions = vec![self.one()?];
        while self.accept("AND") {
            conditions.push(self.one()?);
        }
        Ok(Condition::All(conditions))
    }

    fn one(&mut self) -> Result<Condition, ApiError> {
        if self.accept("NOT") {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.accept("(") {
            let condition = self.any()?;
            self.expect(")")?;
            return Ok(condition);
        }
        let path = self.word()?;
        if self.is_next("IN") || self.is_next("NOT") {
            let is_wanted = !self.accept("NOT");
            self.expect("IN")?;
            self.expect("(")?;
            let condition = if self.is_next("SELECT") {
                Condition::InQuery(path, Box::new(self.select()?), is_wanted)
            } else {
                let mut list = vec![self.value()?];
                while self.accept(",") {
                    list.push(self.value()?);
                }
                Condition::In(path, list, is_wanted)
            };
            self.expect(")")?;
            return Ok(condition);
        }
        let operator = match self.take()? {
            Token::Sign(sign) => match sign.as_str() {
                "=" => Operator::Equal,
                "!=" | "<>" => Operator::Unequal,
                "<" => Operator::Less,
                "<=" => Operator::AtMost,
                ">" => Operator::More,
                ">=" => Operator::AtLeast,
                _ => return Err(malformed("expecting an operator")),
            },
            Token::Word(word) if word.eq_ignore_ascii_case("LIKE") => Operator::Like,
            _ => return Err(malformed("expecting an operator")),
        };
        Ok(Condition::Compare(path, operator, self.value()?))
    }

    fn value(&mut self) -> Result<Value, ApiError> {
        Ok(match self.take()? {
            Token::Text(text) => Value::String(text),
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                literal => match literal.parse::<f64>() {
                    Ok(number) => json!(number),
                    Err(_) => Value::String(word), // a date, which is written without quotes
                },
            },
            Token::Sign(_) => return Err(malformed("expecting a value")),
        })
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
            '(' | ')' | ',' | '=' => tokens.push(Token::Sign(c.to_string())),
            '<' | '>' | '!' => {
                let mut sign = c.to_string();
                sign.extend(chars.next_if(|next| matches!(next, '=' | '>')));
                tokens.push(Token::Sign(sign));
            }
            c if c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.') => {
                let mut word = c.to_string();
                while let Some(next) =
                    chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | ':'))
                {
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

fn no_object(name: &str) -> ApiError {
    ApiError::bad("INVALID_TYPE", format!("sObject type '{name}' is not supported."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org() -> Org {
        let mut org = Org::default();
        let account = org.insert("Account", json!({ "Name": "Acme", "Website": "https://acme.example" }));
        org.insert("Account", json!({ "Name": "Other", "Website": "other.example" }));
        for (stage, amount) in [("Proposal", 10.0), ("Closed Won", 20.0), ("Prospecting", 30.0)] {
            org.insert(
                "Opportunity",
                json!({ "Name": stage, "StageName": stage, "Amount": amount, "AccountId": account }),
            );
        }
        org
    }

    fn names(query_text: &str) -> Vec<String> {
        let body = query(&org(), "v67.0", query_text, false).unwrap();
        let records = body["records"].as_array().unwrap().iter();
        records.map(|record| record["Name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn conditions_are_evaluated_like_soql() {
        let cases: &[(&str, &[&str])] = &[
            (
                "SELECT Id, Name FROM Account WHERE Website IN ('acme.example', 'HTTPS://acme.example')",
                &["Acme"],
            ),
            ("SELECT Name FROM account WHERE NOT Name = 'acme'", &["Other"]),
            (
                "SELECT Name FROM Account WHERE Name LIKE 'Oth_r' OR (Name LIKE 'A%' AND Website = null)",
                &["Other"],
            ),
            (
                "SELECT Name FROM Opportunity WHERE IsClosed = false ORDER BY Amount DESC LIMIT 1",
                &["Prospecting"],
            ),
            (
                "SELECT Name FROM Opportunity WHERE Account.Website LIKE '%acme%' AND Amount >= 20 ORDER BY Amount ASC",
                &["Closed Won", "Prospecting"],
            ),
            ("SELECT Name FROM Account WHERE Id NOT IN (SELECT AccountId FROM Opportunity)", &["Other"]),
        ];
        for (text, expected) in cases {
            assert_eq!(names(text), *expected, "{text}");
        }
        let count = query(&org(), "v67.0", "SELECT COUNT() FROM Opportunity", false).unwrap();
        assert_eq!((count["totalSize"].as_u64(), count["records"].as_array().unwrap().len()), (Some(3), 0));
    }

    #[test]
    fn quotes_are_escaped_and_unescaped_ones_are_malformed() {
        let mut org = org();
        org.insert("Account", json!({ "Name": "O'Brien \\ Sons" }));
        let found =
            query(&org, "v67.0", r"SELECT Name FROM Account WHERE Name = 'O\'Brien \\ Sons'", false).unwrap();
        assert_eq!(found["totalSize"], 1);
        for (text, code) in [
            ("SELECT Name FROM Account WHERE Name = 'O'Brien'", "MALFORMED_QUERY"),
            ("SELECT Name FROM Account WHERE Name = 'open", "MALFORMED_QUERY"),
            ("SELECT Name FROM Account WHERE Name = '' ; DELETE", "MALFORMED_QUERY"),
            ("SELECT Nmae FROM Account", "INVALID_FIELD"),
            ("SELECT Name FROM Acount", "INVALID_TYPE"),
        ] {
            assert_eq!(query(&org, "v67.0", text, false).unwrap_err().code, code, "{text}");
        }
    }
}
