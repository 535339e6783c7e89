//! Webhook authentication, parsing and validation, without I/O.
//!
//! - [`Authenticator`] checks that the sender of a request knows a secret.
//! - [`parse_webhook`] parses a body to a [`lead::Lead`] with notes on malformed fields, or returns a
//!   [`Rejection`].
//!
//! # Accepted bodies
//!
//! A body holds one lead, as a JSON object or as a form. The first byte decides which one it is, since many
//! senders set a wrong `Content-Type` or none.
//!
//! | field | other spellings | |
//! |---|---|---|
//! | `email` | `emailAddress`, `email_address` | required |
//! | `campaign_id` | `campaignId` | required |
//! | `name`, `company`, `phone` | | text |
//! | `first_name` | `firstName` | text |
//! | `last_name` | `lastName` | text |
//! | `title` | `jobTitle` | text |
//! | `marketo`, `product`, `salesforce` | in a form also `marketo.x`, `marketo[x]` | objects, or JSON text of one |
//!
//! Letter case and separators of these names do not matter (`E-Mail`, `First Name`). Every other field is
//! kept under `attributes`, and so is a second spelling of an optional field with a different value.
//!
//! - **A lead with an address and a campaign is accepted.** Any other malformed field is dropped or cut, with
//!   a [`lead::FieldNote`]. A body with two different addresses or campaigns is rejected.
//! - **Absent values**, at every depth, are JSON null, empty text, white space, the texts `null`, `NULL`,
//!   `undefined` and `[object Object]`, and lists and objects that hold nothing else. `Null` is kept, since
//!   it is a family name, and so is `NULL` as a family name beside a given name in capitals.
//! - **Text** is normalized: HTML entities are decoded once, it is in NFC, white space of every kind becomes
//!   a space, hidden characters are removed, and it is trimmed. An e-mail address or campaign id with control
//!   characters inside is rejected instead, since these two identify the lead.
//! - **Tokens** that a template did not replace (`{{lead.Company}}`) are dropped. As address or campaign they
//!   are rejected.
//! - **Numbers** keep their digits. In text fields they are written out without exponent or `.0`. Inside the
//!   objects, a number that neither a 64-bit integer nor a double holds exactly becomes a text of its digits.
//!   Values there keep their type, with one exception: a text in `marketo.engagement_score` becomes a number
//!   if it is one.
//! - **An object in a text field** is replaced by its `name`, `value` or `label`, and in `name` also by
//!   `first` and `last`.
//! - **A repeated field** counts if its values are equal. The different values of an unknown field become a
//!   list, since forms send several choices that way. Inside objects, a member with different values is
//!   dropped.
//! - **Broken bodies are never repaired.** The rejection says what to change in the Marketo template, and
//!   where the body holds an address outside `email`.
//!
//! A Salesforce campaign has an id of 15 and one of 18 characters. They count as two campaigns here: always
//! send the same one.

mod auth;
mod auth_error;
mod event;
mod fields;
mod form;
mod format;
mod hint;
mod json;
mod limits;
mod message_id;
mod misplaced_email;
mod names;
mod normalize;
mod number;
mod parse;
mod path;
mod raw;
mod reading;
mod rejection;
mod repeated;
mod scope;
mod signature;
mod template;

pub use auth::{Authenticator, MIN_SECRET_CHARS, Proof, SecretError, TOKEN_HEADER};
pub use auth_error::AuthError;
pub use event::read_event;
pub use limits::{
    MAX_BODY_BYTES, MAX_BODY_DEPTH, MAX_DEPTH, MAX_FIELDS, MAX_ITEMS, MAX_KEY_CHARS, MAX_LINE_CHARS,
    MAX_NOTES, MAX_PHONE_CHARS, MAX_TEXT_CHARS,
};
pub use message_id::MessageId;
pub use names::{field_named, is_same_name};
pub use normalize::is_absent;
pub use parse::{Body, Format, ParsedLead, parse_lead, parse_webhook};
pub use rejection::Rejection;
pub use scope::{FactScope, ScopeError};
pub use signature::{BASE64, MAX_SIGNATURES, MIN_SIGNING_KEY_BYTES, TIMESTAMP_TOLERANCE, single_value};
pub use template::{Template, TemplateError};
