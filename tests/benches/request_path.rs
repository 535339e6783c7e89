//! Cost of the request path and of a judgement, without database and network.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analyst as _, Icp, Rules, fact_sheet};
use divan::{Bencher, black_box};
use enrichment::{Fixtures, Waterfall};
use grounding::{Answer, check};
use intake::parse_lead;
use lead::{LeadEvent, SystemClock};

const COMPLETE: &[u8] = include_bytes!("../../events/webhooks/complete.json");
const FORM: &[u8] = include_bytes!("../../events/webhooks/complete.form");
const BROKEN: &[u8] = include_bytes!("../../events/webhooks/marketo-doubled-quotes.json");

fn main() {
    divan::main();
}

#[divan::bench(args = [("json", COMPLETE), ("form", FORM), ("broken", BROKEN)])]
fn parse(body: (&str, &[u8])) -> bool {
    parse_lead(black_box(body.1)).is_ok()
}

/// From the body to the queued event: parse, derive the ids, hash the content, serialise.
#[divan::bench]
fn body_to_event() -> String {
    let event = LeadEvent::new(parse_lead(black_box(COMPLETE)).unwrap(), jiff::Timestamp::UNIX_EPOCH);
    let _ = black_box(event.delivery_id());
    format!("{:?}", black_box(event))
}

/// The largest accepted body.
#[divan::bench]
fn parse_largest_body(bencher: Bencher<'_, '_>) {
    let note = "n".repeat(intake::MAX_TEXT_CHARS);
    let mut body = String::from(r#"{"email":"ann@example.com","campaign_id":"c""#);
    for number in 0.. {
        let field = format!(r#","note_{number}":"{note}""#);
        if body.len() + field.len() + 1 > intake::MAX_BODY_BYTES {
            break;
        }
        body.push_str(&field);
    }
    body.push('}');
    bencher.bench(|| parse_lead(black_box(body.as_bytes())).is_ok());
}

#[divan::bench]
fn judge_and_check(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lead = parse_lead(COMPLETE).unwrap();
    let waterfall =
        Waterfall::new(vec![Arc::new(Fixtures::built_in())], Duration::from_secs(1), Arc::new(SystemClock));
    let enrichment = runtime.block_on(waterfall.enrich(&lead));
    let icp = Icp::default_config();
    let rules = Rules::new(icp.clone());
    bencher.bench(|| {
        let facts = fact_sheet(black_box(&lead), &enrichment, &icp);
        let analysis = runtime.block_on(rules.analyse(&facts)).unwrap();
        check(&facts, &Answer::parse(&analysis.raw_answer).unwrap(), &icp.contract)
    });
}
