//! Webhook authentication, parsing and validation. Nothing here does I/O.
//!
//! - [`Authenticator`] decides whether a request comes from someone who knows a secret.
//! - [`parse_webhook`] turns a body into a [`lead::Lead`] with notes, or says what is wrong with it in a [`Rejection`].
//!
//! # What is accepted
//!
//! One lead in one JSON object or one form body; the first byte tells which, for senders do not always say so.
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
//! Letter case and separators of these names do not matter (`E-Mail`, `First Name`). Every other field is kept under
//! `attributes`. So is a second spelling of an optional field that has a value already.
//!
//! - **A lead with an address and a campaign is accepted.** Any other field that is malformed costs that field: it is
//!   dropped or cut, with a [`lead::FieldNote`]. Two different addresses or campaigns in one body are refused.
//! - **Absent** are JSON null, empty text, white space, the texts `null` and `NULL` (not `Null`, which is a family
//!   name, nor `NULL` as a family name beside a given name in capitals), and lists and objects that hold nothing else;
//!   at every depth.
//! - **Text** is as a person reads it: HTML entities are decoded once, it is in NFC, blanks of every kind and line breaks
//!   become spaces, hidden characters are removed, and it is trimmed. Control characters inside the e-mail address and the
//!   campaign id are refused instead: these are identity.
//! - **Tokens** that a template did not replace (`{{lead.Company}}`) are dropped, and refused as identity.
//! - **Numbers** keep their digits: where text is expected they are written out without exponent or `.0`, and inside the
//!   objects a number that neither 64 bits nor a double hold exactly is a text of its digits. Values there keep the type
//!   they came with; only `marketo.engagement_score` is made a number where it reads as one.
//! - **An object where text is expected** gives its `name`, `value` or `label`; `name` also `first` and `last`.
//! - **A field that comes twice** counts where its values are equal. An unknown one gets a list of its values, as forms send
//!   several choices; inside objects none of different values counts.
//! - **Broken bodies are never repaired.** The rejection says what to change in the Marketo template, and where an
//!   address stands that is not in `email`.
//!
//! A Salesforce campaign has an id of 15 and one of 18 characters. They are two campaigns here: send one of them always.

mod absent;
mod address;
mod auth;
mod body;
mod event;
mod fields;
mod form;
mod hint;
mod json;
mod limits;
mod names;
mod number;
mod parse;
mod path;
mod raw;
mod reading;
mod rejection;
mod repeated;
mod signature;

pub use auth::{AuthError, Authenticator, MIN_SECRET_CHARS, MessageId, Proof, SecretError, TOKEN_HEADER};
pub use event::read_event;
pub use limits::{
    MAX_BODY_BYTES, MAX_BODY_DEPTH, MAX_DEPTH, MAX_FIELDS, MAX_ITEMS, MAX_KEY_CHARS, MAX_LINE_CHARS,
    MAX_NOTES, MAX_PHONE_CHARS, MAX_TEXT_CHARS,
};
pub use parse::{ParsedLead, parse_lead, parse_webhook};
pub use rejection::Rejection;
pub use signature::{MIN_SIGNING_KEY_BYTES, TIMESTAMP_TOLERANCE};
