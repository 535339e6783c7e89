use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::objects::Kind;
use super::refusal::{Invalid, Refusal};

/// A property of a kind of record.
#[derive(Clone, Debug)]
pub(super) struct Property {
    pub(super) name: String,
    label: String,
    kind: String,
    field: String,
    group: String,
    /// The options of an enumeration; empty if any value is accepted, as for owners.
    options: Vec<(String, String)>,
    pub(super) unique: bool,
    pub(super) read_only: bool,
    /// The maximum text length, in characters.
    max_length: usize,
    standard: bool,
}

/// A change of a property's definition by an administrator. Absent fields remain unchanged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropertyChange {
    /// Whether the value is read-only.
    pub read_only: Option<bool>,
    /// The values of an enumeration.
    pub options: Option<Vec<String>>,
    /// The maximum text length, in characters.
    pub max_length: Option<usize>,
}

/// The properties of all kinds.
pub(super) struct Properties(BTreeMap<(Kind, String), Property>);

/// The lifecycle stages of a contact, in order. `HubSpot` never moves a contact to an earlier stage.
pub(super) const LIFECYCLE: &[&str] = &[
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
];

const LEAD_STATUS: &[&str] = &[
    "NEW",
    "OPEN",
    "IN_PROGRESS",
    "OPEN_DEAL",
    "UNQUALIFIED",
    "ATTEMPTED_TO_CONTACT",
    "CONNECTED",
    "BAD_TIMING",
];

/// Some of `HubSpot`'s 150 industries of a company.
const INDUSTRIES: &[&str] = &[
    "ACCOUNTING",
    "BANKING",
    "BIOTECHNOLOGY",
    "COMPUTER_HARDWARE",
    "COMPUTER_SOFTWARE",
    "CONSUMER_ELECTRONICS",
    "FINANCIAL_SERVICES",
    "HOSPITAL_HEALTH_CARE",
    "INFORMATION_TECHNOLOGY_AND_SERVICES",
    "INSURANCE",
    "INTERNET",
    "RETAIL",
    "TELECOMMUNICATIONS",
];

/// The stages of the default deal pipeline: id, label, whether it is closed.
pub(super) const STAGES: &[(&str, &str, bool)] = &[
    ("appointmentscheduled", "Appointment Scheduled", false),
    ("qualifiedtobuy", "Qualified To Buy", false),
    ("presentationscheduled", "Presentation Scheduled", false),
    ("decisionmakerboughtin", "Decision Maker Bought-In", false),
    ("contractsent", "Contract Sent", false),
    ("closedwon", "Closed Won", true),
    ("closedlost", "Closed Lost", true),
];

/// The default maximum text length, in characters.
const MAX_TEXT: usize = 65_536;

impl Property {
    fn of(name: &str, kind: &str, field: &str) -> Self {
        Self {
            name: name.to_owned(),
            label: name.replace('_', " "),
            kind: kind.to_owned(),
            field: field.to_owned(),
            group: "information".to_owned(),
            options: Vec::new(),
            unique: false,
            read_only: false,
            max_length: MAX_TEXT,
            standard: true,
        }
    }

    fn text(name: &str) -> Self {
        Self::of(name, "string", "text")
    }

    fn choice(name: &str, options: &[&str]) -> Self {
        let options = options.iter().map(|value| ((*value).to_owned(), label_of(value))).collect();
        Self { options, ..Self::of(name, "enumeration", "select") }
    }

    fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Parses the definition of a property to create.
    fn parse(request: &Value) -> Result<Self, Refusal> {
        let text = |key: &str| request[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let needed = |key: &str| text(key).ok_or_else(|| Refusal::validation(format!("{key} is required")));
        let name = needed("name")?;
        if !name.starts_with(|c: char| c.is_ascii_lowercase())
            || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            return Err(Refusal::validation(
                "name must consist of lower case letters, digits and underscores",
            ));
        }
        let kinds = ["bool", "date", "datetime", "enumeration", "number", "phone_number", "string"];
        let kind = needed("type")?;
        if !kinds.contains(&kind.as_str()) {
            return Err(Refusal::validation(format!("type must be one of {kinds:?}")));
        }
        let unique = request["hasUniqueValue"].as_bool().unwrap_or(false);
        if unique && !matches!(kind.as_str(), "string" | "number") {
            return Err(Refusal::validation("only text and number properties can have unique values"));
        }
        let options = request["options"].as_array().cloned().unwrap_or_default();
        let option = |option: &Value| {
            let value = option["value"].as_str().unwrap_or_default().to_owned();
            (value.clone(), option["label"].as_str().map_or(value, str::to_owned))
        };
        Ok(Self {
            label: needed("label")?,
            field: needed("fieldType")?,
            group: needed("groupName")?,
            options: options.iter().map(option).collect(),
            unique,
            read_only: false,
            max_length: MAX_TEXT,
            standard: false,
            name,
            kind,
        })
    }

    pub(super) fn shown(&self) -> Value {
        let option = |(order, (value, label)): (usize, &(String, String))| json!({"label": label, "value": value, "displayOrder": order, "hidden": false});
        json!({
            "name": self.name, "label": self.label, "type": self.kind, "fieldType": self.field,
            "groupName": self.group, "description": "", "hasUniqueValue": self.unique, "hidden": false,
            "displayOrder": -1, "calculated": false, "externalOptions": self.name == "hubspot_owner_id",
            "hubspotDefined": self.standard, "formField": !self.read_only, "archived": false,
            "options": self.options.iter().enumerate().map(option).collect::<Vec<_>>(),
            "modificationMetadata": {
                "archivable": !self.standard, "readOnlyDefinition": self.standard, "readOnlyValue": self.read_only,
            },
        })
    }

    /// The value as stored, or the reason why it is invalid.
    pub(super) fn accept(&self, value: &str) -> Result<String, Invalid> {
        let invalid = |error, message: String| Err(Invalid { name: self.name.clone(), error, message });
        if self.read_only {
            return invalid("READ_ONLY_VALUE", format!("\"{}\" is a read only property", self.name));
        }
        let value = value.trim();
        if value.is_empty() {
            return Ok(String::new());
        }
        match self.kind.as_str() {
            "enumeration" if !self.options.is_empty() => self.accept_options(value),
            "number" if value.parse::<f64>().is_err() => {
                invalid("INVALID_NUMBER", format!("{value} was not a valid number."))
            }
            "bool" if !matches!(value, "true" | "false") => invalid(
                "INVALID_OPTION",
                format!("{value} was not one of the allowed options: [true, false]"),
            ),
            "datetime" | "date" => match point_in_time(value) {
                Some(time) if self.kind == "date" => Ok(time[..10].to_owned()),
                Some(time) => Ok(time),
                None => invalid("INVALID_DATE", format!("{value} was not a valid date.")),
            },
            _ if value.chars().nth(self.max_length).is_some() => {
                let message = format!("{} takes at most {} characters", self.name, self.max_length);
                invalid("PROPERTY_TOO_LARGE", message)
            }
            _ if self.name == "email" => match value.split_once('@') {
                Some((user, host)) if !user.is_empty() && host.contains('.') => Ok(value.to_lowercase()),
                _ => invalid("INVALID_EMAIL", format!("Email address {value} is invalid")),
            },
            _ => Ok(value.to_owned()),
        }
    }

    fn accept_options(&self, value: &str) -> Result<String, Invalid> {
        let members: Vec<&str> =
            if self.field == "checkbox" { value.split(';').collect() } else { vec![value] };
        let unknown = members.iter().find(|member| !self.options.iter().any(|(known, _)| known == *member));
        let Some(unknown) = unknown else { return Ok(value.to_owned()) };
        let known: Vec<&str> = self.options.iter().map(|(value, _)| value.as_str()).collect();
        let message = format!("{unknown} was not one of the allowed options: [{}]", known.join(", "));
        Err(Invalid { name: self.name.clone(), error: "INVALID_OPTION", message })
    }
}

impl Properties {
    /// The properties of every account, restricted to those relevant here.
    pub(super) fn standard() -> Self {
        let mut all = Self(BTreeMap::new());
        for kind in Kind::ALL {
            let owner = Property::of("hubspot_owner_id", "enumeration", "select");
            let id = Property::of("hs_object_id", "number", "number").read_only();
            let written = if kind == Kind::Contact { "lastmodifieddate" } else { "hs_lastmodifieddate" };
            let created =
                if matches!(kind, Kind::Note | Kind::Task) { "hs_createdate" } else { "createdate" };
            let times = [written, created].map(|name| Property::of(name, "datetime", "date").read_only());
            let merged = Property::text("hs_merged_object_ids").read_only();
            all.add(kind, [owner, id, merged].into_iter().chain(times).chain(standard_of(kind)));
        }
        all
    }

    fn add(&mut self, kind: Kind, properties: impl IntoIterator<Item = Property>) {
        self.0.extend(properties.into_iter().map(|property| ((kind, property.name.clone()), property)));
    }

    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<&Property> {
        self.0.get(&(kind, name.to_owned()))
    }

    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Property> {
        self.0.iter().filter(move |((of, _), _)| *of == kind).map(|(_, property)| property)
    }

    pub(super) fn define(&mut self, kind: Kind, name: &str, of_type: &str, unique: bool) {
        self.add(kind, [Property { unique, standard: false, ..Property::of(name, of_type, "text") }]);
    }

    /// Changes a definition; false if the property does not exist.
    pub(super) fn change(&mut self, kind: Kind, name: &str, change: PropertyChange) -> bool {
        let Some(property) = self.0.get_mut(&(kind, name.to_owned())) else { return false };
        property.read_only = change.read_only.unwrap_or(property.read_only);
        property.max_length = change.max_length.unwrap_or(property.max_length);
        if let Some(options) = change.options {
            property.options = options.into_iter().map(|value| (value.clone(), label_of(&value))).collect();
        }
        true
    }

    pub(super) fn remove(&mut self, kind: Kind, name: &str) {
        self.0.remove(&(kind, name.to_owned()));
    }

    /// Creates a property; 409 if the name exists.
    pub(super) fn create(&mut self, kind: Kind, request: &Value) -> Result<Value, Refusal> {
        let property = Property::parse(request)?;
        if self.get(kind, &property.name).is_some() {
            let message = format!("A property named '{}' already exists.", property.name);
            return Err(Refusal::new(409, "OBJECT_ALREADY_EXISTS", message));
        }
        let uniques = self.of(kind).filter(|known| known.unique && !known.standard).count();
        if property.unique && uniques >= 10 {
            return Err(Refusal::validation("at most 10 properties of an object can have unique values"));
        }
        let shown = property.shown();
        self.add(kind, [property]);
        Ok(shown)
    }

    /// Whether records can be looked up by this property.
    pub(super) fn is_unique(&self, kind: Kind, name: &str) -> bool {
        name == "hs_object_id"
            || (kind == Kind::Contact && name == "email")
            || self.get(kind, name).is_some_and(|property| property.unique)
    }

    /// The values as stored, by name, or every reason why they are invalid.
    pub(super) fn accept(&self, kind: Kind, given: &Value) -> Result<BTreeMap<String, String>, Vec<Invalid>> {
        let (mut accepted, mut wrong) = (BTreeMap::new(), Vec::new());
        for (name, value) in given.as_object().into_iter().flatten() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            let Some(property) = self.get(kind, name) else {
                let message = format!("Property \"{name}\" does not exist");
                wrong.push(Invalid { name: name.clone(), error: "PROPERTY_DOESNT_EXIST", message });
                continue;
            };
            match property.accept(&text) {
                Ok(value) => drop(accepted.insert(name.clone(), value)),
                Err(invalid) => wrong.push(invalid),
            }
        }
        if wrong.is_empty() { Ok(accepted) } else { Err(wrong) }
    }
}

fn standard_of(kind: Kind) -> Vec<Property> {
    let texts = |names: &[&str]| names.iter().map(|name| Property::text(name)).collect::<Vec<_>>();
    let number = |name| Property::of(name, "number", "number");
    let time = |name| Property::of(name, "datetime", "date");
    let stages = STAGES.iter().map(|(id, label, _)| ((*id).to_owned(), (*label).to_owned())).collect();
    let (some_texts, others) = match kind {
        Kind::Contact => (
            texts(&[
                "email",
                "hs_additional_emails",
                "firstname",
                "lastname",
                "company",
                "jobtitle",
                "phone",
                "mobilephone",
                "website",
                "city",
                "state",
                "country",
                "industry",
                "annualrevenue",
                "message",
            ]),
            vec![
                Property::choice("lifecyclestage", LIFECYCLE),
                Property::choice("hs_lead_status", LEAD_STATUS),
                number("num_associated_deals").read_only(),
                number("associatedcompanyid").read_only(),
                Property::choice(
                    "numemployees",
                    &["1-5", "5-25", "25-50", "50-100", "100-500", "500-1000", "1000+"],
                ),
            ],
        ),
        Kind::Company => (
            texts(&[
                "name",
                "domain",
                "hs_additional_domains",
                "description",
                "about_us",
                "phone",
                "website",
                "city",
                "state",
                "country",
                "founded_year",
            ]),
            vec![
                number("numberofemployees"),
                number("annualrevenue"),
                number("num_associated_deals").read_only(),
                Property::choice("industry", INDUSTRIES),
                Property::choice("type", &["PROSPECT", "PARTNER", "RESELLER", "VENDOR", "OTHER"]),
                Property::choice("lifecyclestage", LIFECYCLE),
            ],
        ),
        Kind::Deal => (
            texts(&["dealname", "description", "pipeline"]),
            vec![
                number("amount"),
                time("closedate"),
                Property { options: stages, ..Property::choice("dealstage", &[]) },
                Property::of("hs_is_closed", "bool", "booleancheckbox").read_only(),
            ],
        ),
        Kind::Note => (texts(&["hs_note_body"]), vec![time("hs_timestamp")]),
        Kind::Task => (
            texts(&["hs_task_subject", "hs_task_body"]),
            vec![
                time("hs_timestamp"),
                Property::choice(
                    "hs_task_status",
                    &["NOT_STARTED", "IN_PROGRESS", "WAITING", "COMPLETED", "DEFERRED"],
                ),
                Property::choice("hs_task_priority", &["NONE", "LOW", "MEDIUM", "HIGH"]),
                Property::choice("hs_task_type", &["TODO", "CALL", "EMAIL"]),
            ],
        ),
    };
    some_texts.into_iter().chain(others).collect()
}

/// The label of `FINANCIAL_SERVICES` is `Financial Services`.
fn label_of(value: &str) -> String {
    let words = value.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect()
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Converts an ISO time or milliseconds since 1970 to an ISO time.
fn point_in_time(value: &str) -> Option<String> {
    let time = match value.parse::<i64>() {
        Ok(millis) => jiff::Timestamp::from_millisecond(millis).ok()?,
        Err(_) => value
            .parse::<jiff::Timestamp>()
            .or_else(|_| format!("{value}T00:00:00Z").parse::<jiff::Timestamp>())
            .ok()?,
    };
    Some(time.to_string())
}
