use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use store::Cursor;
use utoipa::IntoParams;

use super::answer::ApiError;

/// The default number of items on a page.
const DEFAULT_LIMIT: u32 = 50;
/// The largest number of items on a page.
pub(super) const MAX_LIMIT: u32 = 500;
/// The longest id in a path, in bytes; ids of other queues may be longer than ours.
const MAX_ID_BYTES: usize = 255;

/// The query string, read strictly, because a misspelt filter would otherwise be ignored.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses a query string with the known parameters, each at most once.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let name: String = name.chars().take(64).collect();
                let message = match known {
                    [] => format!("{name:?} is not a parameter: this path has none"),
                    known => format!("{name:?} is not a parameter of this path: it has {}", known.join(", ")),
                };
                return Err(ApiError::invalid_query(message));
            }
            if parameters.iter().any(|(given, _)| *given == name) {
                return Err(ApiError::invalid_query(format!("{name} is given more than once")));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// A parameter, read by `parse`; `must` describes valid values. The error does not repeat the value,
    /// which may be personal data.
    pub(super) fn get<T>(
        &self,
        name: &str,
        must: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some((_, value)) = self.0.iter().find(|(given, _)| given == name) else { return Ok(None) };
        parse(value).map(Some).ok_or_else(|| ApiError::invalid_query(format!("{name} must be {must}")))
    }

    /// A parameter with a fixed vocabulary.
    pub(super) fn word<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, ApiError> {
        let words: Vec<_> = all.iter().map(|value| word(*value)).collect();
        let must = format!("one of {}", words.join(", "));
        self.get(name, &must, |text| all.iter().copied().find(|value| word(*value) == text))
    }

    /// The number of items on the page.
    pub(super) fn limit(&self) -> Result<u32, ApiError> {
        let limit = self.get("limit", &format!("a whole number from 1 to {MAX_LIMIT}"), |text| {
            text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit))
        });
        Ok(limit?.unwrap_or(DEFAULT_LIMIT))
    }

    /// The start of the page.
    pub(super) fn cursor(&self) -> Result<Option<Cursor>, ApiError> {
        self.get("cursor", "the next_cursor of an earlier answer", |text| Cursor::from_str(text).ok())
    }
}

/// The query string of a path without parameters.
pub(super) struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Query::parse(parts.uri.query(), &[]).map(|_| Self)
    }
}

/// The query string of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Items on the page; 50 by default
    #[param(required = false, minimum = 1, maximum = 500)]
    pub(super) limit: u32,
    /// `next_cursor` of the previous page
    #[param(
        value_type = Option<String>,
        pattern = r"^[0-9]{1,14}\.([A-Za-z0-9_-]{4}){0,85}([A-Za-z0-9_-]{2,3})?$",
        max_length = 358
    )]
    pub(super) cursor: Option<Cursor>,
}

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = Query::parse(parts.uri.query(), &["limit", "cursor"])?;
        Ok(Self { limit: query.limit()?, cursor: query.cursor()? })
    }
}

/// The id in a path. A malformed id is answered like an unknown one.
#[derive(IntoParams)]
#[into_params(names("id"), parameter_in = Path)]
pub(super) struct Id(
    /// The lead's id, or an unambiguous prefix of it
    pub(super) String,
);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) if id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control) => Ok(Self(id)),
            _ => Err(ApiError::not_found("no item has this id")),
        }
    }
}
