use serde_json::json;

/// Domains of companies: half of them are in the built-in fixtures of the enrichment.
const DOMAINS: [&str; 8] = [
    "stripe.com",
    "amber-labs.example",
    "adyen.com",
    "gmail.com",
    "saas.example",
    "granite-freight.example",
    "example.com",
    "juniper-media.example",
];
const TITLES: [&str; 5] =
    ["VP Revenue Operations", "Software Engineer", "Head of Growth", "Data Analyst", "Director of Marketing"];

/// The body of lead `number`, as a marketing platform sends it. Each number is another person.
pub(crate) fn body(number: u64) -> String {
    let of = |list: &[&'static str]| list[usize::try_from(number).unwrap_or_default() % list.len()];
    json!({
        "email": format!("person.{number}@{}", of(&DOMAINS)),
        "campaign_id": format!("launch_{}", number % 20),
        "first_name": "Zoë",
        "last_name": format!("O'Neill {number}"),
        "company": "Smith & Sons",
        "title": of(&TITLES),
        "phone": "+1 555 0100",
        "marketo": {
            "lead_id": 1_000_000 + number,
            "engagement_score": number % 100,
            "program": "2026-Launch",
            "activities": ["webinar_attended", "pricing_page_visit"],
        },
        "product": { "activation_state": "activated", "usage_signals": ["invited_team", "viewed_docs"] },
        "utm_source": "newsletter",
    })
    .to_string()
}
