//! Compares `.env.example` with the variables that the code reads.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::Config;
use runtime::Variables;

/// The names of all variables that the code reads, over all choices of providers.
fn requested() -> BTreeSet<String> {
    let requested = RefCell::new(BTreeSet::new());
    let read = |pairs: &[(&str, &str)]| {
        let variables = Variables::from_fn(|name| {
            requested.borrow_mut().insert(name.to_owned());
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        let config = Config::read(&variables);
        let _ = runtime::aws::aws_config(&variables);
        config.err().map(|error| error.to_string())
    };
    let all = "zoominfo,apollo,pdl,hunter,clearbit,fixtures";
    let providers = [
        ("ENRICHMENT_PROVIDERS", all),
        ("ZOOMINFO_CLIENT_ID", "x"),
        ("ZOOMINFO_CLIENT_SECRET", "x"),
        ("APOLLO_API_KEY", "x"),
        ("PDL_API_KEY", "x"),
        ("HUNTER_API_KEY", "x"),
        ("CLEARBIT_API_KEY", "x"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ];
    let salesforce = [
        ("CRM_PROVIDER", "salesforce"),
        ("SALESFORCE_URL", "https://acme.my.salesforce.com"),
        ("SALESFORCE_CLIENT_ID", "x"),
    ];
    let with_a_secret = [("SALESFORCE_CLIENT_SECRET", "x")];
    let with_a_key = [("SALESFORCE_USERNAME", "x"), ("SALESFORCE_PRIVATE_KEY", "x")];
    let hubspot = [("CRM_PROVIDER", "hubspot")];
    let on_sqs = [("QUEUE", "sqs"), ("QUEUE_URL", "x"), ("DLQ_URL", "x")];
    let with_a_token = [("HUBSPOT_ACCESS_TOKEN", "x")];
    let with_an_app = [("HUBSPOT_CLIENT_ID", "x"), ("HUBSPOT_CLIENT_SECRET", "x")];
    for pairs in [
        &providers[..],
        &on_sqs,
        &[&salesforce[..], &with_a_secret].concat(),
        &[&salesforce[..], &with_a_key].concat(),
        &[&hubspot[..], &with_a_token].concat(),
        &[&hubspot[..], &with_an_app].concat(),
    ] {
        assert_eq!(read(pairs), None, "the configuration is valid, so every variable is read: {pairs:?}");
    }
    requested.into_inner()
}

/// The names of all variables in `.env.example`, in active and in commented lines.
fn documented() -> BTreeSet<String> {
    include_str!("../../../../.env.example")
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn example_names_exactly_the_variables_that_are_read() {
    // An old spelling of AWS_REGION, supported without being advertised.
    let undocumented = |name: &str| name == "AWS_DEFAULT_REGION";
    // `cli` exports the traces: it reads OpenTelemetry's variables and compares them with the example.
    let counts = |name: &String| !name.starts_with("OTEL_");
    let requested: BTreeSet<_> =
        requested().into_iter().filter(|name| !undocumented(name)).filter(counts).collect();
    let documented: BTreeSet<_> = documented().into_iter().filter(counts).collect();
    let missing: Vec<_> = requested.difference(&documented).collect();
    let idle: Vec<_> = documented.difference(&requested).collect();
    assert!(missing.is_empty() && idle.is_empty(), "not in .env.example: {missing:?}; never read: {idle:?}");
}
