//! Invented leads: the same seed and number give the same lead.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

/// Names, each with its spelling in an e-mail address.
const FIRST_NAMES: &[(&str, &str)] = &[
    ("Ada", "ada"),
    ("Amara", "amara"),
    ("Bruno", "bruno"),
    ("Chiara", "chiara"),
    ("Daniel", "daniel"),
    ("Elif", "elif"),
    ("Emeka", "emeka"),
    ("Farah", "farah"),
    ("Grace", "grace"),
    ("Hugo", "hugo"),
    ("Ingrid", "ingrid"),
    ("Jürgen", "juergen"),
    ("Kavya", "kavya"),
    ("Łukasz", "lukasz"),
    ("Mai", "mai"),
    ("Mateo", "mateo"),
    ("Noor", "noor"),
    ("Olivia", "olivia"),
    ("Priya", "priya"),
    ("Rafael", "rafael"),
    ("Saoirse", "saoirse"),
    ("Søren", "soren"),
    ("Tomás", "tomas"),
    ("Yuki", "yuki"),
    ("Zoë", "zoe"),
];
const LAST_NAMES: &[(&str, &str)] = &[
    ("Abiola", "abiola"),
    ("Andersson", "andersson"),
    ("Brandt", "brandt"),
    ("Castillo", "castillo"),
    ("Dubois", "dubois"),
    ("Eriksen", "eriksen"),
    ("Fontaine", "fontaine"),
    ("García", "garcia"),
    ("Haddad", "haddad"),
    ("Ivanova", "ivanova"),
    ("Jansen", "jansen"),
    ("Kowalski", "kowalski"),
    ("Lindqvist", "lindqvist"),
    ("Marchetti", "marchetti"),
    ("Nakamura", "nakamura"),
    ("O'Brien", "obrien"),
    ("Okafor", "okafor"),
    ("Petrov", "petrov"),
    ("Quispe", "quispe"),
    ("Reyes", "reyes"),
    ("Schröder", "schroeder"),
    ("Tanaka", "tanaka"),
    ("Ueda", "ueda"),
    ("Weiß", "weiss"),
    ("Yılmaz", "yilmaz"),
];
/// First words of invented company names. Their domains are below `example`, which is reserved (RFC 2606).
const COMPANY_PLACES: &[&str] = &[
    "Amber",
    "Birchwood",
    "Cobalt",
    "Driftwood",
    "Eastgate",
    "Fernhill",
    "Granite",
    "Highmoor",
    "Ironbridge",
    "Juniper",
    "Kestrel",
    "Larkspur",
    "Moorland",
    "Northlight",
    "Oakhaven",
    "Pinecrest",
    "Redwater",
    "Silverfell",
];
/// Second words of invented company names.
const COMPANY_TRADES: &[&str] = &[
    "Analytics",
    "Biotech",
    "Capital",
    "Dental",
    "Energy",
    "Foods",
    "Freight",
    "Homes",
    "Labs",
    "Legal",
    "Media",
    "Metals",
    "Payments",
    "Robotics",
    "Schools",
    "Software",
    "Systems",
    "Travel",
];
const PRIVATE_MAILBOXES: &[&str] =
    &["gmail.com", "outlook.com", "yahoo.com", "proton.me", "icloud.com", "gmx.de", "hotmail.com"];
/// Local parts of decision makers who sign up with a private address.
const STEALTH_HANDLES: &[&str] = &["ceo", "cto", "founder", "vp", "cfo"];

/// Marketing activities, the strongest signals of interest first.
const ACTIVITIES: &[&str] = &[
    "demo_request",
    "pricing_page_visit",
    "trial_start",
    "webinar_attended",
    "content_download",
    "email_opened",
    "email_clicked",
    "visited_blog",
];
const USAGE_SIGNALS: &[&str] =
    &["invited_team", "api_key_created", "hit_usage_limit", "power_user", "viewed_docs", "single_login"];
const DEAL_STAGES: &[&str] = &["Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Lost"];

/// A company in the enrichment fixtures.
pub(super) struct Company {
    pub(super) domain: String,
    pub(super) name: String,
}

/// A person's readiness to buy. Few are ready.
#[derive(Clone, Copy)]
enum Warmth {
    Ready,
    Warm,
    Cold,
}

impl Warmth {
    fn draw(random: &mut Xoshiro256PlusPlus) -> Self {
        match random.random_range(0..100) {
            0..15 => Self::Ready,
            15..50 => Self::Warm,
            _ => Self::Cold,
        }
    }

    fn titles(self) -> &'static [&'static str] {
        match self {
            Self::Ready => {
                &["CTO", "VP Revenue Operations", "Chief Revenue Officer", "Head of Growth", "Founder"]
            }
            Self::Warm => {
                &["Director of Marketing", "Sales Operations Manager", "Head of Data", "Product Manager"]
            }
            Self::Cold => {
                &["Software Engineer", "Data Analyst", "Student", "Assistant to the CEO", "Consultant"]
            }
        }
    }

    fn engagement(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::Ready => 70..=95,
            Self::Warm => 35..=75,
            Self::Cold => 0..=40,
        }
    }

    /// The number of activities, and the candidates to draw from.
    fn activities(self) -> (std::ops::RangeInclusive<usize>, &'static [&'static str]) {
        match self {
            Self::Ready => (1..=3, &ACTIVITIES[..5]),
            Self::Warm => (1..=2, &ACTIVITIES[2..]),
            Self::Cold => (0..=1, &ACTIVITIES[5..]),
        }
    }
}

/// A random generator for lead `number` and a purpose, independent of those of other leads.
pub(super) fn generator(seed: u64, number: u32, purpose: u64) -> Xoshiro256PlusPlus {
    let stream = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Xoshiro256PlusPlus::seed_from_u64(seed.rotate_left(32) ^ stream ^ purpose.rotate_left(56))
}

/// The fields of lead `number`.
///
/// The number is part of the e-mail address, so that the address is unique and unlikely to belong to a real
/// person.
pub(super) fn invent(
    random: &mut Xoshiro256PlusPlus,
    number: u32,
    campaign: &str,
    known: &[Company],
) -> Map<String, Value> {
    let (first, first_handle) = pick(random, FIRST_NAMES);
    let (last, last_handle) = pick(random, LAST_NAMES);
    let warmth = Warmth::draw(random);
    let mut fields = Map::new();
    let local = format!("{first_handle}.{last_handle}{number}");
    let (email, company) = match random.random_range(0..100) {
        0..45 if !known.is_empty() => {
            let company = &known[random.random_range(0..known.len())];
            (format!("{local}@{}", company.domain), Some(company.name.clone()))
        }
        0..75 => {
            let (place, trade) = (pick(random, COMPANY_PLACES), pick(random, COMPANY_TRADES));
            let domain = format!("{place}-{trade}.example").to_lowercase();
            (format!("{local}@{domain}"), Some(format!("{place} {trade}")))
        }
        75..82 => {
            let handle = pick(random, STEALTH_HANDLES);
            (format!("{handle}.{local}@{}", pick(random, PRIVATE_MAILBOXES)), None)
        }
        _ => (format!("{local}@{}", pick(random, PRIVATE_MAILBOXES)), None),
    };
    fields.insert("email".to_owned(), json!(email));
    fields.insert("campaign_id".to_owned(), json!(campaign));
    if random.random_bool(0.3) {
        fields.insert("name".to_owned(), json!(format!("{first} {last}")));
    } else {
        fields.insert("first_name".to_owned(), json!(first));
        fields.insert("last_name".to_owned(), json!(last));
    }
    if let Some(company) = company.filter(|_| random.random_bool(0.8)) {
        fields.insert("company".to_owned(), json!(company));
    }
    if random.random_bool(0.85) {
        fields.insert("title".to_owned(), json!(pick(random, warmth.titles())));
    }
    if random.random_bool(0.3) {
        // 555-0100 to 555-0199 are reserved for fiction.
        fields.insert("phone".to_owned(), json!(format!("+1 212 555 {:04}", random.random_range(100..200))));
    }
    fields.insert("marketo".to_owned(), marketo(random, number, warmth));
    if random.random_bool(0.4) {
        fields.insert("product".to_owned(), product(random, warmth));
    }
    if random.random_bool(0.15) {
        let stage = pick(random, DEAL_STAGES);
        fields.insert("salesforce".to_owned(), json!({ "deal_stage": stage, "owner": "005SIMULATED0001" }));
    }
    if random.random_bool(0.5) {
        fields.insert(
            "utm_source".to_owned(),
            json!(pick(random, &["newsletter", "search", "webinar", "partner"])),
        );
    }
    fields
}

/// The same person a little later: more engaged, and with one more activity.
pub(super) fn revise(random: &mut Xoshiro256PlusPlus, fields: &mut Map<String, Value>) {
    let Some(Value::Object(marketo)) = fields.get_mut("marketo") else { return };
    if let Some(score) = marketo.get("engagement_score").and_then(Value::as_u64) {
        marketo.insert("engagement_score".to_owned(), json!((score + random.random_range(5..25)).min(100)));
    }
    let activities = marketo.entry("activities").or_insert_with(|| json!([]));
    if let Value::Array(activities) = activities {
        activities.push(json!(pick(random, &ACTIVITIES[..3])));
    }
}

fn marketo(random: &mut Xoshiro256PlusPlus, number: u32, warmth: Warmth) -> Value {
    let (range, candidates) = warmth.activities();
    let number_of = random.random_range(range);
    let activities: Vec<_> = candidates.sample(random, number_of).collect();
    let mut marketo = Map::new();
    marketo.insert("lead_id".to_owned(), json!(1_000_000 + u64::from(number)));
    marketo.insert("engagement_score".to_owned(), json!(random.random_range(warmth.engagement())));
    marketo.insert(
        "program".to_owned(),
        json!(pick(random, &["2026-Launch", "Webinar-Series", "Nurture-EMEA"])),
    );
    if !activities.is_empty() {
        marketo.insert("activities".to_owned(), json!(activities));
    }
    Value::Object(marketo)
}

fn product(random: &mut Xoshiro256PlusPlus, warmth: Warmth) -> Value {
    let (states, signals): (&[&str], &[&str]) = match warmth {
        Warmth::Ready => (&["activated", "trial"], &USAGE_SIGNALS[..4]),
        Warmth::Warm => (&["trial", "signed_up"], &USAGE_SIGNALS[2..]),
        Warmth::Cold => (&["signed_up", "dormant"], &USAGE_SIGNALS[4..]),
    };
    let signals: Vec<_> = signals.sample(random, 2).collect();
    json!({ "activation_state": pick(random, states), "usage_signals": signals })
}

/// Draws one of the values. Panics if there are none.
fn pick<T: Copy>(random: &mut Xoshiro256PlusPlus, of: &[T]) -> T {
    of[random.random_range(0..of.len())]
}
