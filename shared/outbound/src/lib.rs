//! HTTP to outside systems: one client for each, with its failures in the pipeline's terms.
//!
//! [`Http`] sends a request and gives back a [`Reply`] whatever its status: what a status or an error body means is for the
//! system's own module to say. What is the same for all is here: time limits, a bound on what is read, the failures of
//! the transport, and how long a system asks to be left alone.

mod http;
mod reply;

pub use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use reqwest::RequestBuilder;
pub use url::Url;

pub use self::http::{Http, HttpSettings};
pub use self::reply::Reply;
