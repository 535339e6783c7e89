use serde_json::{Value, json};

use super::address;

/// A field of an object, as describe shows it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "as describe has them")]
pub struct Field {
    /// The API name.
    pub name: String,
    /// `string`, `email`, `phone`, `url`, `textarea`, `picklist`, `multipicklist`, `boolean`, `int`,
    /// `double`, `currency`, `date`, `datetime`, `reference` or `id`.
    pub kind: &'static str,
    /// The maximum text length; 0 for fields that are not text.
    pub length: usize,
    /// Whether the user may set it on a new record.
    pub createable: bool,
    /// Whether the user may change it.
    pub updateable: bool,
    /// Whether a new record requires it.
    pub required: bool,
    /// Whether its values are unique, compared case-insensitively.
    pub unique: bool,
    /// Whether it identifies records in upserts.
    pub external_id: bool,
    /// Whether a picklist accepts only its own values.
    pub restricted: bool,
    /// The values of a picklist; the first is the default of a required one.
    pub values: Vec<String>,
}

/// An object and its fields.
#[derive(Clone, Debug)]
pub struct Object {
    /// The API name.
    pub name: &'static str,
    /// The prefix of the object's ids.
    pub prefix: &'static str,
    /// The object's fields.
    pub fields: Vec<Field>,
}

impl Field {
    /// An optional, writable field.
    pub fn new(name: &str, kind: &'static str, length: usize) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            length,
            createable: true,
            updateable: true,
            required: false,
            unique: false,
            external_id: false,
            restricted: false,
            values: Vec::new(),
        }
    }

    /// A picklist.
    pub fn picklist(name: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Self { values, ..Self::new(name, "picklist", 255) }
    }

    /// A unique external id: a text of 64 characters.
    pub fn external_id(name: &str) -> Self {
        Self { unique: true, external_id: true, ..Self::new(name, "string", 64) }
    }

    /// Makes the field required on new records.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Restricts a picklist to its own values.
    #[must_use]
    pub fn restricted(self) -> Self {
        Self { restricted: true, ..self }
    }

    /// Makes the field writable by the system only.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { createable: false, updateable: false, ..self }
    }

    fn describe(&self) -> Value {
        let own = || -> Vec<Value> {
            (self.values.iter().enumerate())
            .map(|(index, value)| {
                json!({ "active": true, "defaultValue": self.required && index == 0, "label": value, "validFor": null, "value": value })
            })
            .collect()
        };
        let values = address::described(&self.name).unwrap_or_else(own);
        let controller = address::controller(&self.name);
        let (precision, scale) = match self.kind {
            "double" | "currency" => (18, 2),
            _ => (0, 0),
        };
        json!({
            "name": self.name, "label": self.name.trim_end_matches("__c").replace('_', " "), "type": self.kind,
            "length": self.length, "byteLength": self.length * 3, "digits": if self.kind == "int" { 8 } else { 0 },
            "precision": precision, "scale": scale, "createable": self.createable, "updateable": self.updateable,
            "nillable": !self.required, "defaultedOnCreate": self.kind == "boolean" || !self.values.is_empty() && self.required,
            "unique": self.unique, "externalId": self.external_id, "idLookup": self.external_id || self.kind == "id",
            "caseSensitive": false, "custom": self.name.ends_with("__c"), "restrictedPicklist": self.restricted,
            "picklistValues": values, "controllerName": controller, "dependentPicklist": controller.is_some(), "filterable": self.kind != "textarea", "sortable": self.kind != "textarea",
            "calculated": false, "autoNumber": false, "referenceTo": [], "relationshipName": null,
        })
    }
}

impl Object {
    /// A field by its API name, case-insensitive.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// A mutable field by its API name.
    pub fn field_mut(&mut self, name: &str) -> Option<&mut Field> {
        self.fields.iter_mut().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn describe(&self, version: &str) -> Value {
        let base = format!("/services/data/{version}/sobjects/{}", self.name);
        json!({
            "name": self.name, "label": self.name, "labelPlural": format!("{}s", self.name), "keyPrefix": self.prefix,
            "custom": false, "createable": true, "updateable": true, "deletable": true, "queryable": true,
            "retrieveable": true, "searchable": true, "layoutable": true, "triggerable": true, "undeletable": true,
            "fields": self.fields.iter().map(Field::describe).collect::<Vec<_>>(),
            "childRelationships": [], "recordTypeInfos": [], "supportedScopes": [],
            "urls": { "sobject": base, "describe": format!("{base}/describe"), "rowTemplate": format!("{base}/{{ID}}") },
        })
    }
}

/// The objects of a new org, with the custom fields that `docs/salesforce.md` requires.
pub(super) fn standard_objects() -> Vec<Object> {
    let mut lead = vec![
        Field::new("LastName", "string", 80).required(),
        Field::new("FirstName", "string", 40),
        Field::new("Title", "string", 128),
        Field::new("Company", "string", 255).required(),
        Field::new("Street", "textarea", 255),
        Field::new("City", "string", 40),
        Field::new("State", "string", 80),
        Field::new("PostalCode", "string", 20),
        Field::new("Country", "string", 80),
        Field::new("Phone", "phone", 40),
        Field::new("Email", "email", 80),
        Field::new("Website", "url", 255),
        Field::new("Description", "textarea", 32_000),
        Field::picklist("LeadSource", &["Web", "Phone Inquiry", "Partner Referral", "Other"]),
        Field::picklist(
            "Status",
            &["Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"],
        )
        .required(),
        Field::picklist("Industry", &["Banking", "Finance", "Manufacturing", "Technology", "Other"]),
        Field::picklist("Rating", &["Hot", "Warm", "Cold"]),
        Field::new("AnnualRevenue", "currency", 0),
        Field::new("NumberOfEmployees", "int", 0),
        Field::new("OwnerId", "reference", 18),
        Field::new("IsConverted", "boolean", 0).read_only(),
        Field::new("ConvertedDate", "date", 0).read_only(),
        Field::new("ConvertedAccountId", "reference", 18).read_only(),
        Field::new("ConvertedContactId", "reference", 18).read_only(),
        Field::new("ConvertedOpportunityId", "reference", 18).read_only(),
        Field::new("RevenueFlow_Campaign__c", "string", 255),
        Field::new("RevenueFlow_Fallback__c", "boolean", 0),
        Field::new("RevenueFlow_Technologies__c", "textarea", 1000),
    ];
    lead.extend(judgement());
    let mut contact = vec![
        Field::new("LastName", "string", 80).required(),
        Field::new("FirstName", "string", 40),
        Field::new("Title", "string", 128),
        Field::new("Phone", "phone", 40),
        Field::new("Email", "email", 80),
        Field::new("MailingCity", "string", 40),
        Field::new("MailingState", "string", 80),
        Field::new("MailingCountry", "string", 80),
        Field::new("AccountId", "reference", 18),
        Field::new("OwnerId", "reference", 18),
    ];
    contact.extend(judgement());
    let account = vec![
        Field::new("Name", "string", 255).required(),
        Field::new("Website", "url", 255),
        Field::picklist("Type", &["Prospect", "Customer", "Partner"]),
        Field::new("BillingState", "string", 80),
        Field::new("BillingCountry", "string", 80),
        Field::new("OwnerId", "reference", 18),
    ];
    let opportunity = vec![
        Field::new("Name", "string", 120).required(),
        Field::picklist("StageName", &["Prospecting", "Proposal", "Closed Won", "Closed Lost"]).required(),
        Field::new("CloseDate", "date", 0).required(),
        Field::new("Amount", "currency", 0),
        Field::new("AccountId", "reference", 18),
        Field::new("IsClosed", "boolean", 0).read_only(),
        Field::new("OwnerId", "reference", 18),
        Field::external_id("RevenueFlow_Id__c"),
    ];
    let role = vec![
        Field::new("OpportunityId", "reference", 18).required(),
        Field::new("ContactId", "reference", 18).required(),
    ];
    let task = vec![
        Field::new("Subject", "string", 255),
        Field::new("Description", "textarea", 32_000),
        Field::picklist("Status", &["Not Started", "In Progress", "Completed"]).required(),
        Field::picklist("Priority", &["Normal", "High", "Low"]).required(),
        Field::new("ActivityDate", "date", 0),
        Field::new("WhoId", "reference", 18),
        Field::new("WhatId", "reference", 18),
        Field::new("OwnerId", "reference", 18),
        Field::external_id("RevenueFlow_Id__c"),
    ];
    let user = vec![Field::new("IsActive", "boolean", 0)];
    let group = vec![Field::new("Type", "string", 40)];
    let queue = vec![Field::new("QueueId", "reference", 18), Field::new("SobjectType", "string", 40)];
    let objects = [
        ("User", "005", user),
        ("Group", "00G", group),
        ("QueueSobject", "03g", queue),
        ("Lead", "00Q", lead),
        ("Contact", "003", contact),
        ("Account", "001", account),
        ("Opportunity", "006", opportunity),
        ("OpportunityContactRole", "00K", role),
        ("Task", "00T", task),
    ];
    objects.map(|(name, prefix, fields)| Object { name, prefix, fields: system_fields(fields) }).into()
}

/// The judgement's fields, shared by leads and contacts.
fn judgement() -> [Field; 6] {
    [
        Field::external_id("RevenueFlow_Id__c"),
        Field::new("RevenueFlow_Score__c", "double", 0),
        Field::picklist("RevenueFlow_Fit__c", &["HIGH", "MEDIUM", "LOW"]).restricted(),
        Field::picklist("RevenueFlow_Intent__c", &["HIGH", "MEDIUM", "LOW"]).restricted(),
        Field::picklist("RevenueFlow_Decision__c", &["ROUTE_TO_SDR", "NURTURE", "IGNORE", "MANUAL_REVIEW"])
            .restricted(),
        Field::new("RevenueFlow_Summary__c", "textarea", 8_000),
    ]
}

fn system_fields(mut fields: Vec<Field>) -> Vec<Field> {
    let system = [
        Field::new("Id", "id", 18),
        Field::new("IsDeleted", "boolean", 0),
        Field::new("MasterRecordId", "reference", 18),
        Field::new("CreatedDate", "datetime", 0),
        Field::new("CreatedById", "reference", 18),
        Field::new("LastModifiedDate", "datetime", 0),
        Field::new("SystemModstamp", "datetime", 0),
    ];
    fields.splice(0..0, system.map(Field::read_only));
    fields
}
