use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use lead::Actor;
use metrics::counter;
use operators::{Credentials, Identity, Refusal, Scope};

use super::ApiState;
use super::answer::ApiError;
use super::record::Record;

/// The caller of an admitted request.
#[derive(Clone, Debug)]
pub(super) struct Caller(Identity);

impl Caller {
    /// The authenticated actor, for the audit trail, the log and the metrics.
    pub(super) fn actor(&self) -> &Actor {
        self.0.actor()
    }

    /// Whether the caller may use a route with this scope.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.0.may(scope)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // A route outside of the guard is a defect, and admits nobody.
        parts.extensions.get().cloned().ok_or_else(ApiError::internal)
    }
}

/// Authenticates the caller of each request, and records the request with the caller's name.
pub(super) async fn guard(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let caller = check(&state.credentials, request.uri(), request.headers());
    let record = Record::of(&request, caller.as_ref().ok());
    let response = match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    record.answered(response.status());
    response
}

/// Middleware for a webhook without a secret: admits requests from this machine, but not from pages of other
/// sites.
///
/// A form on any page can post to a loopback address; without this check it could post leads.
pub async fn local_only(request: Request, next: Next) -> Response {
    match check_local(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.of_a_lead().into_response(),
    }
}

/// Lower-case names of headers that proxies add. A name that ends in `-` is a prefix. Sources: the
/// documentation of nginx, Caddy, `HAProxy`, Traefik, Envoy, Cloudflare, Fastly, Akamai, Fly.io, ngrok and
/// the load balancers of AWS, Google and Azure; RFC 7239 (`Forwarded`), RFC 9110 7.6.3 (`Via`), RFC 8586
/// (`CDN-Loop`).
const PROXY_HEADERS: [&str; 22] = [
    "forwarded",
    "x-forwarded",
    "x-forwarded-",
    "x-real-ip",
    "via",
    "x-original-",
    "x-client-ip",
    "client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-",
    "cdn-loop",
    "fastly-",
    "akamai-",
    "fly-",
    "x-envoy-",
    "x-azure-",
    "x-appengine-",
    "x-amzn-trace-id",
    "x-arr-",
    "ngrok-",
    "x-proxyuser-ip",
];

/// The caller of a request: the operator who has its token or, without credentials, a client on this machine.
pub(super) fn check(credentials: &Credentials, uri: &Uri, headers: &HeaderMap) -> Result<Caller, ApiError> {
    if !credentials.are_required() {
        return check_local(uri, headers).map(|()| Caller(Identity::local()));
    }
    let token = only(headers, header::AUTHORIZATION).and_then(bearer);
    credentials.authenticate(token, Timestamp::now()).map(Caller).map_err(|refusal| {
        count_refusal(refusal.as_str());
        match refusal {
            Refusal::MissingToken | Refusal::UnknownToken => ApiError::unauthorized(),
            Refusal::ExpiredToken => ApiError::expired(),
        }
    })
}

/// Counts a refused request by its reason.
pub(super) fn count_refusal(reason: &'static str) {
    counter!("revenueflow_operator_refusals_total", "reason" => reason).increment(1);
}

/// Checks that a request is from this machine.
///
/// Without credentials the server listens on loopback only, which the configuration enforces, so that no
/// other machine reaches it. But a browser on this machine sends requests for any page that it shows. A page
/// of another site is detected by its `Origin`, and DNS rebinding by the `Host`. A proxy on this machine,
/// which often sends a loopback address as the `Host`, is detected by the headers that proxies add. A proxy
/// without such headers cannot be distinguished from a local client; see `docs/security.md`.
fn check_local(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.keys().any(|name| is_proxy_header(name.as_str())) {
        return Err(ApiError::forbidden(
            "without credentials no request through a proxy is answered; hint: set ADMIN_TOKEN or \
             OPERATORS_FILE, and WEBHOOK_SECRETS; docs/security.md says how to run behind a proxy",
        ));
    }
    // HTTP/2, and a request line with a whole URL, have the host in the URI.
    let named = uri.authority().map(axum::http::uri::Authority::as_str);
    let host = match (headers.contains_key(header::HOST), named) {
        (true, _) => only(headers, header::HOST),
        (false, named) => named,
    };
    let Some(host) = host.filter(|host| is_loopback(host) && named.is_none_or(is_loopback)) else {
        return Err(ApiError::forbidden(
            "without ADMIN_TOKEN or OPERATORS_FILE only requests to a loopback address are answered: use \
             127.0.0.1 or localhost",
        ));
    };
    if headers.contains_key(header::ORIGIN) {
        let origin = only(headers, header::ORIGIN).and_then(|origin| origin.split_once("://"));
        let is_own = origin.is_some_and(|(scheme, authority)| {
            matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
        });
        if !is_own {
            return Err(ApiError::forbidden(
                "without ADMIN_TOKEN or OPERATORS_FILE pages of other origins are not answered",
            ));
        }
    }
    Ok(())
}

fn is_proxy_header(header: &str) -> bool {
    PROXY_HEADERS.iter().any(|known| header == *known || (known.ends_with('-') && header.starts_with(known)))
}

/// The value of a header that occurs exactly once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// RFC 6750: the scheme in any case, one or more spaces, the token.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// Whether an authority (`name:port`) names this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if is_port(port) => host,
            _ => return false,
        },
        None => match authority.split_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            Some(_) => return false,
            None => authority,
        },
    };
    let name = host.to_ascii_lowercase();
    // RFC 6761 6.3: names under `localhost` resolve to loopback everywhere.
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use secrecy::SecretString;

    use super::*;

    fn allowed(token: Option<&str>, uri: &str, headers: &[(HeaderName, &str)]) -> bool {
        let credentials = Credentials::new(token.map(SecretString::from).as_ref(), None);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        check(&credentials, &uri.parse().unwrap(), &map).is_ok()
    }

    #[test]
    fn configured_token_is_required() {
        let with = |value: &str| allowed(Some("s3cret"), "/leads", &[(header::AUTHORIZATION, value)]);
        assert!(with("Bearer s3cret") && with("bearer  s3cret"));
        for wrong in
            ["Bearer s3cre", "Bearer s3crets", "Bearer S3CRET", "s3cret", "Basic s3cret", "Bearer", "Bearer "]
        {
            assert!(!with(wrong), "{wrong}");
        }
        let twice = [(header::AUTHORIZATION, "Bearer s3cret"), (header::AUTHORIZATION, "Bearer x")];
        assert!(!allowed(Some("s3cret"), "/leads", &twice));
        // A local request also needs the token.
        assert!(!allowed(Some("s3cret"), "/leads", &[(header::HOST, "localhost")]));
    }

    #[test]
    fn without_a_token_the_host_must_be_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:3000",
            "127.0.0.1:3000",
            "127.9.9.9",
            "[::1]:3000",
            "[::1]",
            "a.localhost:1",
        ] {
            assert!(allowed(None, "/leads", &[(header::HOST, host)]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:3000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0:3000",
            "[::2]",
            "[::1]evil",
            "::1",
            "localhost:80:evil",
            "",
            "notlocalhost",
            "user@localhost",
        ] {
            assert!(!allowed(None, "/leads", &[(header::HOST, host)]), "{host}");
        }
        assert!(!allowed(None, "/leads", &[]), "a request without a host");
        assert!(!allowed(None, "/leads", &[(header::HOST, "localhost"), (header::HOST, "evil.example")]));
        assert!(!allowed(None, "http://evil.example/leads", &[(header::HOST, "localhost")]));
        assert!(allowed(None, "http://localhost/leads", &[]));
    }

    #[test]
    fn without_a_token_requests_through_a_proxy_are_refused() {
        let host = (header::HOST, "127.0.0.1:3000");
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-Real-IP",
            "Via",
            "CF-Connecting-IP",
            "CF-Ray",
            "True-Client-IP",
            "X-Original-Forwarded-For",
            "CDN-Loop",
            "Fly-Client-IP",
        ] {
            let proxied = (HeaderName::from_bytes(name.as_bytes()).unwrap(), "203.0.113.7");
            assert!(!allowed(None, "/leads", &[host.clone(), proxied.clone()]), "{name}");
            let token = (header::AUTHORIZATION, "Bearer s3cret");
            assert!(allowed(Some("s3cret"), "/leads", &[host.clone(), proxied, token]), "{name}");
        }
        let other = (HeaderName::from_static("x-request-id"), "1");
        assert!(allowed(None, "/leads", &[host, other]));
    }

    #[test]
    fn without_a_token_other_origins_are_refused() {
        let host = (header::HOST, "localhost:3000");
        let from = |origin: &str| allowed(None, "/leads", &[host.clone(), (header::ORIGIN, origin)]);
        assert!(from("http://localhost:3000"));
        for origin in [
            "http://evil.example",
            "null",
            "http://localhost:8080",
            "http://localhost",
            "http://127.0.0.1:3000",
            "file://localhost:3000",
            "localhost:3000",
            "http://localhost:3000.evil.example",
        ] {
            assert!(!from(origin), "{origin}");
        }
    }
}
