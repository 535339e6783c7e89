//! Webhook authentication, parsing and validation. Nothing here does I/O.
//!
//! - [`Authenticator`] decides whether a request comes from someone who knows a secret.
//! - [`parse_lead`] turns a body into a [`lead::Lead`], or says what is wrong with it in a [`Rejection`].
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
//! | `marketo`, `product`, `salesforce` | in a form also `marketo.x`, `marketo[x]`, or JSON text | objects |
//!
//! Every other field is kept under `attributes`. So is a second spelling of a field that has a value already.
//!
//! - **Absent** are JSON null, empty text, white space, the texts `null` and `NULL` (not `Null`, which is a family
//!   name), and lists and objects that hold nothing else; at every depth.
//! - **Text** is trimmed, tabs and line breaks in it become spaces, and other control characters are removed. The
//!   e-mail address and the campaign id are identity, so control characters inside these are refused instead.
//! - **Numbers** where text is expected become text. Inside the objects values keep the type they came with, so a
//!   boolean or a number may be text; only `marketo.engagement_score` is made a number where it reads as one.
//! - **Field names** are trimmed. The same name twice is refused: which value counts is not ours to guess.
//! - **Broken bodies are never repaired.** The rejection says what to change in the Marketo template.

mod absent;
mod auth;
mod form;
mod hint;
mod json;
mod limits;
mod parse;
mod rejection;
mod signature;

pub use auth::{AuthError, Authenticator, MIN_SECRET_CHARS, MessageId, Proof, SecretError, TOKEN_HEADER};
pub use limits::{
    MAX_BODY_BYTES, MAX_DEPTH, MAX_FIELDS, MAX_KEY_CHARS, MAX_LINE_CHARS, MAX_PHONE_CHARS, MAX_TEXT_CHARS,
};
pub use parse::parse_lead;
pub use rejection::Rejection;
pub use signature::{MIN_SIGNING_KEY_BYTES, TIMESTAMP_TOLERANCE};
