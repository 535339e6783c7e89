//! Named operators of the HTTP interface: their tokens, scopes and expiry, from `OPERATORS_FILE`.
//!
//! The file holds the SHA-256 of each token. A plain hash is enough: a token is 256 random bits, which no
//! search finds; slow password hashes protect secrets that can be guessed.

mod credentials;
mod edit;
mod error;
mod file;
mod name;
mod scope;
mod source;
mod token;

pub use credentials::{Credentials, Identity, Refusal};
pub use edit::{EditError, NewOperator, add, revoke, rotate};
pub use error::{FileError, Mistake};
pub use file::{Operator, Operators, Token};
pub use name::{NameError, OperatorName};
pub use scope::{Scope, Scopes, UnknownScope};
pub use source::{OperatorsFile, Reloaded};
pub use token::{NewToken, TokenHash};
