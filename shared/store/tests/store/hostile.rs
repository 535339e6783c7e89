//! Text with special characters for SQL, shells or terminals is stored and returned unchanged.

use lead::LeadEvent;
use on_both::on_both;
use serde_json::{Value, json};
use store::LeadFilter;

use crate::support::{
    Fixture, at, audit, begin, company, execute, judged, lead, new_lead, save_enrichment, save_judgement,
};

const HOSTILE: [&str; 8] = [
    "😀👩‍👩‍👧‍👦",
    "Robert'); DROP TABLE lead;--",
    "\"double\" 'single' `back`",
    "100% _under_ \\ back",
    "$1 ? :name {{x}}",
    "NUL \u{0} bell \u{7} escape \u{1b}[31m",
    "right \u{202e} to left",
    "\u{feff}\u{fffd}\u{10ffff}",
];

#[on_both]
async fn hostile_text_of_a_lead_is_stored_unchanged(fixture: Fixture) {
    let store = fixture.store().await;
    for (number, text) in HOSTILE.into_iter().enumerate() {
        let mut content = new_lead(&format!("person{number}@example.com"), "c'1 % 😀");
        content.name = Some(text.to_owned().into());
        content.title = Some(text.to_owned());
        content.attributes.insert(text.to_owned(), json!([text, 1.5, -0.0, u64::MAX, null]));
        let event = LeadEvent::new(content, at(0));
        let mut work = begin(&store, &event).await;
        save_enrichment(&store, company(text), json!({ "said": text }), &mut work).await.unwrap();
        let mut judgement = judged(&fixture, &work, "rules");
        judgement.raw_answer = json!({ "reasoning": text }).to_string();
        save_judgement(&store, judgement.clone(), &mut work).await.unwrap();

        assert_eq!(lead(&store, &event.lead_id).await.content, event.lead, "{text:?}");
        let again = begin(&store, &event).await;
        assert_eq!(again.enrichment, Some(company(text)), "{text:?}");
        assert_eq!(again.analysis.unwrap().raw_answer, judgement.raw_answer, "{text:?}");
        let said: Vec<Value> = audit(&store, &event.lead_id)
            .await
            .into_iter()
            .map(|event| event.detail["said"].clone())
            .collect();
        assert!(said.contains(&json!(text)), "{text:?}");
        let open_deliveries = store.open_deliveries(None, at(1), 100).await.unwrap();
        assert!(
            open_deliveries.contains(&event) && open_deliveries.iter().all(LeadEvent::is_consistent),
            "{text:?}"
        );
        execute(&store, "UPDATE delivery SET state = 'done'").await;
    }
}

#[on_both]
async fn hostile_text_finds_no_lead(fixture: Fixture) {
    let store = fixture.store().await;
    begin(&store, &crate::support::event("ann", "a", 0)).await;
    for text in HOSTILE {
        let filter = LeadFilter { campaign_id: Some(text.to_owned()), ..LeadFilter::default() };
        assert!(store.leads(&filter, None, 10).await.unwrap().is_empty(), "{text:?}");
        assert!(store.lead_ids_like(text, 10).await.unwrap().is_empty(), "{text:?}");
        assert!(store.dead_letter(text).await.unwrap().is_none(), "{text:?}");
        assert!(store.quarantined_body(text).await.unwrap().is_none(), "{text:?}");
        store.remove_dead_letter(text).await.unwrap();
    }
}
