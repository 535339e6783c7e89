//! Real names of people and companies are never refused or changed.

use crm::testing::{MemoryLedger, suite_plan};
use crm::{Action, Object, Plan, Text};

use crate::support::{DatabaseFixture, GuardFixture, no_limits};

/// Real companies and products with names that often trip filters for bad words, markup, formulas or missing
/// values.
const COMPANIES: &[&str] = &[
    "Null",
    "Undefined Ltd",
    "None",
    "N/A Studio",
    "Nil",
    "Constructor.io",
    "Prototype",
    "Object Computing, Inc.",
    "Drop Table Ltd",
    "Select Star",
    "Union Square Ventures",
    "Insert Coin",
    "Delete Agency",
    "Exec Online",
    "Script&Go",
    "<3 Studio",
    "Yahoo!",
    "Guess?",
    "E*TRADE",
    "=mc Consulting",
    "@properties",
    "#paid",
    "+44",
    "-Gruppe",
    "A|X Armani",
    "Toys \"R\" Us",
    "AT&T",
    "P&G",
    "Ben & Jerry's",
    "L'Oréal",
    "Häagen-Dazs",
    "Škoda",
    "Ørsted",
    "Nestlé S.A.",
    "will.i.am",
    "3M",
    "7-Eleven",
    "84.51°",
    "23andMe",
    "99designs",
    "1-800-Flowers.com",
    "Booking.com",
    "C++ Alliance",
    ".NET Foundation",
    "Node.js Foundation",
    "{code}",
    "[24]7.ai",
    "Ampersand^",
    "100%",
    "50% Off Club",
    "C:\\Code",
    "AC/DC LLC",
    "~/home",
    "True",
    "False Creek",
    "0xProject",
    "1E4",
    "Infinity Ward",
    "NaN Industries",
    "Bobby Tables'; DROP TABLE Lead;--",
    "株式会社リクルート",
    "中国银行",
    "삼성전자",
    "Яндекс",
    "Газпром",
    "شركة أرامكو",
    "בנק הפועלים",
    "ไทยเบฟเวอเรจ",
    "टाटा",
    "Ελληνικά Πετρέλαια",
    "Việt Nam Airlines",
    "İş Bankası",
    "ÆØÅ A/S",
    "Łódź Fabryczna",
    "ǅ",
    "👩\u{200d}🚀 Rockets",
    "🦄 Ventures",
];

/// Real family names of many origins.
const PEOPLE: &[&str] = &[
    "Null",
    "True",
    "O'Brien",
    "D'Angelo",
    "van der Berg",
    "de la Cruz",
    "Al-Sayed",
    "Ng",
    "O",
    "X Æ A-12",
    "Nguyễn",
    "Müller-Lüdenscheidt",
    "Björnsdóttir",
    "Þórðarson",
    "Smith Jr.",
    "Smith III",
    "St. John",
    "McDonald",
    "MacRae",
    "Test",
    "Admin",
    "Root",
    "Sample",
    "Dick",
    "Cox",
    "Assange",
    "Lipshitz",
    "Wang",
    "Fuk",
    "Đỗ",
    "Иванов",
    "王",
    "李小龙",
    "김",
    "佐藤",
    "ابن سينا",
    "כהן",
    "शर्मा",
    "สมชาย",
    "Jennifer 8. Lee",
    "Rhoshandiatellyneshiaunneveshenk",
    "Keihanaikukauakahihuliheekahaunaele",
];

fn plan_of(person: usize, company: &str, last_name: &str) -> Plan {
    let plan = suite_plan(&format!("p{person}"), "CTO", 50);
    let actions = plan.actions.into_iter().map(|planned| match planned.action {
        Action::UpsertLead(mut details) => {
            details.company = Some(Text::parse(company).unwrap_or_else(|error| panic!("{company}: {error}")));
            details.last_name =
                Some(Text::parse(last_name).unwrap_or_else(|error| panic!("{last_name}: {error}")));
            Action::UpsertLead(details)
        }
        Action::SyncFirmographics(mut known) => {
            known.company_name = Some(Text::parse(company).unwrap());
            Action::SyncFirmographics(known)
        }
        other => other,
    });
    Plan::new(plan.lead_id, plan.delivery_id, 1, plan.account, actions.collect())
}

#[tokio::test]
async fn real_names_pass_the_guard_unchanged() {
    let database = DatabaseFixture::sqlite().await;
    let fixture = GuardFixture::with_limits(&database, no_limits());
    for (i, company) in COMPANIES.iter().enumerate() {
        let last_name = PEOPLE[i % PEOPLE.len()];
        let plan = plan_of(i, company, last_name);
        assert!(
            fixture.guard.review(&plan).iter().all(|review| review.refusal.is_none()),
            "{company}, {last_name}"
        );
        fixture
            .guard
            .submit_normal(&plan)
            .await
            .unwrap_or_else(|failure| panic!("{company}, {last_name}: {failure}"));
        let record = fixture.crm.record(Object::Lead, plan.lead_id.as_str()).await.unwrap().unwrap();
        assert_eq!(record.fields["company"], *company);
        assert_eq!(record.fields["company_name"], *company);
        assert_eq!(record.fields["last_name"], last_name);
    }
    assert!(!MemoryLedger::is_empty(&fixture.ledger));
}
