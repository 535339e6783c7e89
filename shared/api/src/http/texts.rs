//! Texts in requests, with the formats that the OpenAPI description states. A pattern only matches valid
//! values, so that a request made from the description is never refused for its format. The operations check
//! the texts.

use serde::Deserialize;
use utoipa::ToSchema;

/// A name or a reason, on one line.
#[derive(Deserialize, ToSchema)]
#[schema(
    pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,198}[^\s\x00-\x1f\x7f-\x9f])?$",
    max_length = 200
)]
pub(super) struct Line(pub(super) String);

/// An e-mail address, or a domain with its subdomains. The pattern covers plain ones.
#[derive(Deserialize, ToSchema)]
#[schema(
    pattern = r"^([A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@)?([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20}$",
    max_length = 254
)]
pub(super) struct Suppressible(pub(super) String);

/// An e-mail address, a domain, or the entry as the list shows it. The pattern covers plain ones.
#[derive(Deserialize, ToSchema)]
#[schema(
    pattern = r"^([0-9a-f]{64}|([A-Za-z0-9_'+-]{1,30}(\.[A-Za-z0-9_'+-]{1,30})?@)?([A-Za-z0-9]{1,30}(-[A-Za-z0-9]{1,30})?\.){1,3}[A-Za-z]{2,20})$",
    max_length = 254
)]
pub(super) struct Removable(pub(super) String);
