//! A webhook's body: whatever it is, it is a lead within its bounds or a rejection that repeats nothing of it.
#![no_main]

use intake::{MAX_BODY_BYTES, parse_lead};
use lead::Lead;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    match parse_lead(body) {
        Ok(lead) => {
            assert!(body.len() <= MAX_BODY_BYTES);
            // What travels on the queue is the same lead: its ids are derived from its content.
            let wire = serde_json::to_string(&lead).expect("a lead is JSON");
            let read: Lead = serde_json::from_str(&wire).expect("and is read back");
            assert!(read == lead && read.content_hash() == lead.content_hash() && read.id() == lead.id());
            // A lead posted again in the form in which it is kept is the same lead, unless a bound stops it:
            // `attributes` are one level deeper there, and the names of a form's paths are objects.
            // Entities are decoded once each time, so that an identity with an ampersand may become another.
            match parse_lead(wire.as_bytes()) {
                _ if lead.email.expose().contains('&') || lead.campaign_id.as_str().contains('&') => {}
                Ok(again) => assert!(again.id() == lead.id()),
                Err(rejection) => assert!(["too_deep", "too_many_fields"].contains(&rejection.error)),
            }
            for text in [&lead.company, &lead.title].into_iter().flatten() {
                assert!(!text.trim().is_empty() && !text.chars().any(char::is_control));
            }
        }
        Err(rejection) => assert!(!rejection.message.is_empty() && rejection.message.len() < 2_000),
    }
});
