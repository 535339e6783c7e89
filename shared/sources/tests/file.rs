//! Mistakes in a sources file, and which source a request is of.

#![allow(clippy::unwrap_used, reason = "all of this file is a test")]

use http::{HeaderMap, HeaderName};
use intake::AuthError;
use jiff::Timestamp;
use secrecy::SecretString;
use sources::{Refusal, Senders, Sources};

#[test]
fn mistake_is_one_line_that_names_its_place() {
    for (block, line) in [
        (
            "name = \"a\"",
            "line 2, source \"a\": `secrets` is missing: the name of the variable that holds the secrets",
        ),
        ("nam = \"a\"", "line 2: unknown field `nam`"),
        ("secrets = \"A\"", "line 1: every [[source]] needs a `name`"),
        ("name = \"A b\"\nsecrets = \"A\"", "line 2, source \"A b\": `name` must have 1 to 32 characters"),
        (
            "name = \"a\"\nsecrets = \"hunter2\"",
            "line 3, source \"a\": `secrets` must be the name of a variable",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\npreset = \"marketa\"",
            "line 4, source \"a\": `preset` must be one of marketo,",
        ),
        ("name = \"a\"\nsecrets = \"A\"\npath = \"/lead\"", "line 4, source \"a\": `path` must be /leads"),
        (
            "name = \"a\"\nsecrets = \"A\"\nfacts = [\"computed.x\"]",
            "line 4, source \"a\": `facts` must begin with",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\nfacts = []\n[source.map]\n\"marketo.activity\" = \"x\"",
            "line 6, source \"a\": `marketo.activity` is not among the `facts`",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\n[source.map]\nemial = \"x y\"\ne-mail = \"x\"",
            "line 6, source \"a\": `e-mail` is not a field",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\n[source.map]\nemail = [\"a\", \"b[\"]",
            "line 5, source \"a\": the path `b[`: a bracket",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\nsignature = \"stripe\"",
            "line 4, source \"a\": `signature` must be standard-webhooks,",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\nsignature = \"hubspot-v3\"",
            "line 4, source \"a\": `signature`: the signature covers the URL",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\nsignature = { header = \"x-s\", signed = \"{timestamp}\" }",
            "line 4, source \"a\": `signature`: `signed` must contain {body}",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\ntemplate = \"{\"",
            "line 4, source \"a\": `template` must be the payload template",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\ncampaign = \"\"",
            "line 4, source \"a\": `campaign` must not be empty",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\nlimits = { ai_share = 1.5 }",
            "line 4, source \"a\": ai_share must be above 0",
        ),
        (
            "name = \"a\"\nsecrets = \"A\"\nlimits = { per_minute = 0 }",
            "line 4, source \"a\": a limit must be at least 1",
        ),
        ("name = \"a\"\nsecrets = \"A\"\nstatus = 404", "line 4, source \"a\": `status` must be 200 or 202"),
        ("name = \"a\"\nsecrets = \"A\"\ncall_needs = [\"luck\"]", "line 4: unknown variant `luck`"),
        (
            "name = \"a\"\nsecrets = \"A\"\n[[source]]\nname = \"a\"\nsecrets = \"B\"",
            "line 5, source \"a\": the name is taken by the source at line 2",
        ),
    ] {
        let error = Sources::parse(&format!("[[source]]\n{block}")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("sources file, {line}")), "{error}\n    instead of\n{line}");
        assert!(!error.contains('\n'), "{error}");
    }
    let empty = Sources::parse("").unwrap_err().to_string();
    assert_eq!(empty, "sources file, line 1: the file has no [[source]]");
}

const FILE: &str = "
[[source]]
name = \"one\"
path = \"/leads\"
secrets = \"ONE\"
[[source]]
name = \"two\"
path = \"/leads\"
secrets = \"TWO\"
[[source]]
name = \"three\"
secrets = \"THREE\"
token = { query = \"token\" }
[[source]]
name = \"four\"
secrets = \"FOUR\"
token = { header = \"Authorization\" }
";

fn senders() -> Senders {
    let secret = |name: &str| Some(SecretString::from(format!("secret-of-{}-1234", name.to_lowercase())));
    Senders::new(&Sources::parse(FILE).unwrap(), secret).unwrap()
}

fn source_of(path: &str, query: Option<&str>, header: Option<(&str, &str)>) -> Result<String, Refusal> {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    let (senders, now) = (senders(), Timestamp::UNIX_EPOCH);
    let checked = senders.precheck(path, query, &headers, now);
    let found = senders.authenticate(path, query, &headers, b"{}", now);
    assert_eq!(checked.is_ok(), found.is_ok(), "a token is checked before the body");
    found.map(|found| found.source.name().to_string())
}

#[test]
fn secret_tells_the_source_of_a_shared_path() {
    let token = |value| Some(("x-revenueflow-token", value));
    assert_eq!(source_of("/leads", None, token("secret-of-one-1234")).as_deref(), Ok("one"));
    assert_eq!(source_of("/prod/leads/", None, token("secret-of-two-1234")).as_deref(), Ok("two"));
    let bad: Result<String, Refusal> = Err(AuthError::BadToken.into());
    assert_eq!(source_of("/leads", None, token("secret-of-three-1234")), bad);
    assert_eq!(
        source_of("/leads/three", None, token("secret-of-one-1234")),
        Err(AuthError::MissingCredentials.into())
    );
    assert_eq!(source_of("/leads/five", None, token("secret-of-one-1234")), Err(Refusal::UnknownPath));
}

#[test]
fn token_may_be_in_the_url_or_in_another_header() {
    let at = |query| source_of("/leads/three", Some(query), None);
    assert_eq!(at("a=1&token=secret-of-three-1234").as_deref(), Ok("three"));
    assert_eq!(at("token=secret%2Dof-three-1234").as_deref(), Ok("three"));
    assert_eq!(at("token=guess"), Err(AuthError::BadToken.into()));
    assert_eq!(at("token=guess&token=secret-of-three-1234"), Err(AuthError::BadToken.into()));
    assert_eq!(at("tokens=secret-of-three-1234"), Err(AuthError::MissingCredentials.into()));
    let bearer = Some(("authorization", "Bearer secret-of-four-1234"));
    assert_eq!(source_of("/leads/four", None, bearer).as_deref(), Ok("four"));
}

#[test]
fn source_without_usable_secrets_stops_the_start() {
    let sources = Sources::parse(FILE).unwrap();
    let error = |secret: Option<&'static str>| {
        let error = Senders::new(&sources, |_| secret.map(SecretString::from)).unwrap_err().to_string();
        assert!(!error.contains("hunter"), "{error}");
        error
    };
    assert_eq!(error(None), "sources file, line 3, source \"one\": ONE must be set to its secrets");
    assert!(
        error(Some("hunter2")).starts_with("sources file, line 3, source \"one\": ONE: secret 1 is shorter")
    );
    assert!(error(Some(" , ")).ends_with("ONE: holds no secret"));
}
