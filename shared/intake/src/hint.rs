//! Hints for broken JSON. Marketo builds bodies from a template, in which a few mistakes are common:
//! <https://experienceleague.adobe.com/en/docs/marketo-developer/marketo/webhooks/webhooks>.

const DOUBLED_QUOTES: &str = "a value is in doubled quotes; with the request token encoding JSON, Marketo writes the \
     quotes itself: remove the quotes around the tokens in the webhook's payload template";

pub(crate) const LITERAL_TOKEN: &str = "a {{token}} was not replaced; check its name in the webhook's payload template, and that \
     it has a value in this campaign";

const MISSING_VALUE: &str = "a value is missing; set the webhook's request token encoding to JSON, so that an empty \
     token is written as a value";

const CUT_OFF: &str = "it ends too early; check the webhook's payload template for a missing quote or brace";

const UNESCAPED: &str = "most often a text holds a quote, backslash or line break that is not escaped, or lacks its \
     quotes; set the webhook's request token encoding to JSON and write the tokens in its payload template without quotes";

/// The most likely reason why a text is not valid JSON, and its remedy. `is_cut_off` says that the text ends
/// too early.
pub(crate) fn json_hint(text: &str, is_cut_off: bool) -> &'static str {
    if value_starts(text).any(is_doubled) {
        DOUBLED_QUOTES
    } else if value_starts(text).any(|value| value.starts_with("{{")) {
        LITERAL_TOKEN
    } else if value_starts(text).any(|value| value.starts_with([',', '}'])) {
        MISSING_VALUE
    } else if is_cut_off {
        CUT_OFF
    } else {
        UNESCAPED
    }
}

/// The text after each `":`, where a value starts, whether broken or not.
fn value_starts(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(':')
        .filter(|(at, _)| text[..*at].trim_end().ends_with('"'))
        .map(|(at, colon)| text[at + colon.len()..].trim_start())
}

/// Whether a value starts with two quotes that are not an empty text.
fn is_doubled(value: &str) -> bool {
    value.strip_prefix("\"\"").is_some_and(|rest| {
        let rest = rest.trim_start();
        !rest.is_empty() && !rest.starts_with([',', '}', ']'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_template_mistake_has_its_own_hint() {
        for (body, hint) in [
            (r#"{"first_name": ""Jane"", "title": "CTO"}"#, DOUBLED_QUOTES),
            (r#"{"first_name": """"}"#, DOUBLED_QUOTES),
            (r#"{"first_name": {{lead.First Name}}}"#, LITERAL_TOKEN),
            (r#"{"marketo": {"engagement_score": , "program": "x"}}"#, MISSING_VALUE),
            (r#"{"score": }"#, MISSING_VALUE),
            (r#"{"company": "The "Best" Company"}"#, UNESCAPED),
            ("{\"note\": \"two\nlines\", \"empty\": \"\"}", UNESCAPED),
            ("{\"email\": ann@example.com}", UNESCAPED),
            ("{\"empty\": \"\"", CUT_OFF),
        ] {
            let error = serde_json::from_str::<serde_json::Value>(body).unwrap_err();
            assert_eq!(json_hint(body, error.is_eof()), hint, "{body}");
        }
    }
}
