//! HTTP clients for outside systems.
//!
//! [`Http`] sends a request and returns a [`Reply`] of any status. The module of each system interprets
//! statuses and error bodies; this crate has the common part: timeouts, a limit on the size of replies,
//! transport failures in the pipeline's terms, and `Retry-After`.

mod http;
mod reply;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use reqwest::RequestBuilder;
pub use url::Url;

pub use self::http::{Http, HttpSettings};
pub use self::reply::Reply;
