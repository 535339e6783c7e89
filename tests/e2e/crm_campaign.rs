//! A campaign into each CRM under injected faults: three of ten calls fail, by every kind of fault, and the
//! process is killed twenty times. At the end the CRM holds every expected record exactly once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crm::parameters::{CreateTask, Priority};
use crm::{Action, ActionId, Prose, Text};
use lead::{CampaignId, ContentHash, Decision, DeliveryId, EmailAddress, LeadId, SystemClock};
use sandbox::hubspot::{HubSpot, Kind};
use sandbox::{Fake, Fault, Misbehaviour};
use serde_json::{Value, json};
use store::{ActionRecord, Store};
use testkit::{eventually_within, stable_port};
use tokio::runtime::Runtime;

use crate::salesforce::Crm;
use crate::support::{Fixture, Served, all_leads};

const KILLS: u32 = 20;
const CAMPAIGN: &str = "launch_2024";
/// Companies known to enrichment, an unknown company, and a free mail provider.
const DOMAINS: &[&str] =
    &["stripe.com", "adyen.com", "gitlab.com", "figma.com", "unknown-1.example", "gmail.com"];

/// The number of leads; `CAMPAIGN_LEADS` overrides it.
fn how_many() -> usize {
    std::env::var("CAMPAIGN_LEADS").map_or(120, |leads| leads.parse().expect("CAMPAIGN_LEADS is a number"))
}

/// A person, and the content posted last for them.
struct Person {
    id: LeadId,
    email: String,
    domain: &'static str,
    title: &'static str,
}

impl Person {
    fn new(number: usize) -> Self {
        let domain = DOMAINS[number % DOMAINS.len()];
        let email = format!("person-{number}@{domain}");
        let campaign = CampaignId::parse(CAMPAIGN).unwrap();
        let id = LeadId::derive(&EmailAddress::parse(&email).unwrap(), &campaign);
        Self { id, email, domain, title: if is_revised(number) { "VP Engineering" } else { "Engineer" } }
    }

    /// The id of the task for a sales representative.
    fn task_id(&self) -> ActionId {
        let task = Action::CreateTask(CreateTask {
            decision: Decision::RouteToSdr,
            subject: Text::fit("Call").unwrap(),
            description: Prose::fit(""),
            priority: Priority::High,
            due_at: jiff::Timestamp::UNIX_EPOCH,
            owner: None,
        });
        // The id depends on the decision and not on the delivery: one task per decision.
        ActionId::derive(&task, &self.id, &DeliveryId::derive(&self.id, &ContentHash::of("")), 1.into())
    }
}

fn is_revised(number: usize) -> bool {
    number.is_multiple_of(3)
}

fn body(number: usize, title: &str) -> Value {
    json!({
        "email": Person::new(number).email, "first_name": "Pat", "last_name": format!("Person {number}"),
        "title": title, "campaign_id": CAMPAIGN,
        "marketo": { "engagement_score": 90, "activity": "Requested a demo" },
    })
}

/// Posts every lead, some twice and some again with a new title, and repeats each post until it is
/// acknowledged.
fn post_all(url: &str, people: usize) {
    const LATER: usize = 25;
    let client = reqwest::blocking::Client::new();
    let post = |body: &Value| {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let answer =
                client.post(format!("{url}/leads")).json(body).timeout(Duration::from_mins(1)).send();
            if answer.is_ok_and(|answer| answer.status() == 202) {
                return;
            }
            assert!(Instant::now() < deadline, "a lead was not acknowledged");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    for number in 0..people + LATER {
        if number < people {
            post(&body(number, "Engineer"));
            if number.is_multiple_of(5) {
                post(&body(number, "Engineer"));
            }
        }
        if let Some(revised) = number.checked_sub(LATER)
            && is_revised(revised)
        {
            post(&body(revised, "VP Engineering"));
        }
    }
}

/// The number of requests to a CRM so far, and of the faults injected into them by kind.
#[derive(Clone, Default)]
struct FaultStats(Arc<Mutex<(usize, BTreeMap<String, usize>)>>);

impl FaultStats {
    /// Follows a fake and calls `every_fortieth` after every fortieth request.
    fn follow(fake: &Fake, every_fortieth: impl Fn() + Send + 'static) -> Self {
        let stats = Self::default();
        let (mut exchanges, kept) = (fake.follow(), stats.clone());
        std::thread::spawn(move || {
            while let Some(exchange) = exchanges.blocking_recv() {
                let mut kept = kept.0.lock().unwrap();
                kept.0 += 1;
                if let Some(fault) = exchange.fault {
                    *kept.1.entry(format!("{fault:?}")).or_default() += 1;
                }
                if kept.0.is_multiple_of(40) {
                    every_fortieth();
                }
            }
        });
        stats
    }

    fn requests(&self) -> usize {
        self.0.lock().unwrap().0
    }

    /// Asserts the intended share of faults, and that every kind occurred.
    fn assert_fault_rate(&self, kinds: usize) {
        let (requests, met) = self.0.lock().unwrap().clone();
        let faults: usize = met.values().sum();
        assert_eq!(met.len(), kinds, "every kind occurred: {met:?}");
        assert!(faults * 100 > requests * 25 && faults * 100 < requests * 35, "{faults} of {requests}");
        println!("{faults} of {requests} requests went wrong: {met:#?}");
    }
}

/// Three of ten requests fail.
fn faults(path: &str, kinds: &[Misbehaviour]) -> Fault {
    Fault::on(path, Misbehaviour::OneOf(kinds.to_vec())).share(0.3, 2024)
}

/// The people of a campaign, with the leads and the actions that the database has of them at the end.
struct CampaignEnd {
    people: Vec<Person>,
    leads: HashMap<String, Value>,
    ledger: HashMap<LeadId, Vec<ActionRecord>>,
}

/// Runs the campaign with its kills until every lead is written. Every plan must be whole.
fn campaign(
    fixture: &Fixture,
    stats: &FaultStats,
    requests_for_a_lead: usize,
    crm: &[(&str, &str)],
) -> CampaignEnd {
    let people = how_many();
    let port = stable_port().to_string();
    let mut variables = vec![
        ("PORT", port.as_str()),
        ("VISIBILITY_TIMEOUT_SECONDS", "3"),
        ("CRM_LIMIT_PER_LEAD", "1000000"),
        ("CRM_LIMIT_PER_ACCOUNT", "1000000"),
        ("CRM_LIMIT_GLOBAL", "1000000"),
        ("RUST_LOG", "info"),
    ];
    variables.extend(crm);
    let url = format!("http://127.0.0.1:{port}");
    let mut server = fixture.serve(&[], &variables);
    let poster = std::thread::spawn(move || post_all(&url, people));
    // Between two kills: a random number of requests, and at most five seconds when no requests are made.
    let usual = people * requests_for_a_lead / KILLS as usize;
    let mut random = 0x2024_u64;
    for _ in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause = usual / 4 + usize::try_from(random >> 33).unwrap() % usual.max(1);
        let (until, deadline) = (stats.requests() + pause, Instant::now() + Duration::from_secs(5));
        while stats.requests() < until && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        server.kill().unwrap();
        server = fixture.serve(&[], &variables);
    }
    poster.join().unwrap();
    let patience = Duration::from_mins(3) + Duration::from_millis(600) * u32::try_from(people).unwrap();
    let mut redriven = 0;
    eventually_within(patience, "every lead is written", || {
        let leads = all_leads(&server);
        let dead_lettered = leads.values().filter(|lead| lead["status"] == "permanently_failed").count();
        if dead_lettered > 0 {
            // Five attempts can all fail by chance; an operator redrives such leads.
            redriven += dead_lettered;
            let (is_success, said) = fixture.printed(&["dead-letters", "redrive", "--all"], &[]);
            assert!(is_success, "{said}");
        }
        leads.len() == people && leads.values().all(|lead| lead["status"] == "synced")
    });
    println!("{people} leads, {redriven} redriven after five attempts");
    let people: Vec<Person> = (0..people).map(Person::new).collect();
    let (leads, ledger) = (all_leads(&server), ledger(fixture, &people));
    assert_plans_are_whole(&people, &leads, &ledger);
    CampaignEnd { people, leads, ledger }
}

/// The actions in the ledger by lead. Fails if the newest content of a lead has an unfinished action; an
/// action of a delivery superseded while it was written may be unfinished.
fn ledger(fixture: &Fixture, people: &[Person]) -> HashMap<LeadId, Vec<ActionRecord>> {
    Runtime::new().unwrap().block_on(async {
        let store = Store::new(fixture.database.connect().await, Arc::new(SystemClock));
        let mut ledger = HashMap::new();
        for person in people {
            let actions = store.actions(&person.id, 1_000).await.unwrap();
            let upsert = actions
                .iter()
                .find(|action| action.kind == "upsert_lead" && action.parameters["title"] == person.title);
            let newest = &upsert.expect("the newest content was written").delivery_id;
            let is_open = |action: &&ActionRecord| action.state.as_str() != "done";
            let open: Vec<_> =
                actions.iter().filter(|action| action.delivery_id == *newest).filter(is_open).collect();
            assert!(open.is_empty(), "unfinished effects: {open:?}");
            ledger.insert(person.id.clone(), actions);
        }
        ledger
    })
}

/// Our id of a record, mapped to the record of its person.
type Records = BTreeMap<String, String>;

/// Checks the records of one kind against the required and the permitted ones.
fn assert_each_once(kind: &str, found: &[(String, String)], must: &Records, may: &Records) {
    let once: Records = found.iter().cloned().collect();
    assert_eq!(found.len(), once.len(), "no {kind} is there twice");
    let missing: Vec<_> = must.keys().filter(|id| !once.contains_key(*id)).collect();
    assert!(missing.is_empty(), "missing: {kind} {missing:?}");
    for (id, person) in &once {
        assert_eq!(
            Some(person),
            must.get(id).or_else(|| may.get(id)),
            "{kind} {id} belongs to its own person"
        );
    }
}

/// Asserts that each person has one record, and returns the records' ids.
fn assert_all_once(found: &[(String, String)], people: &[Person]) -> HashMap<LeadId, String> {
    let ids: HashMap<LeadId, String> =
        found.iter().map(|(lead, id)| (LeadId::try_from(lead.clone()).unwrap(), id.clone())).collect();
    let record = |person: &Person| ids.get(&person.id).cloned().unwrap_or_default();
    let expected = people.iter().map(|person| (person.id.to_string(), record(person))).collect();
    assert_each_once("record of a person", found, &expected, &Records::new());
    ids
}

/// The records that actions of one kind have created, and those that unfinished actions may have created.
fn made(
    kind: &str,
    ledger: &HashMap<LeadId, Vec<ActionRecord>>,
    people: &HashMap<LeadId, String>,
) -> (Records, Records) {
    let (mut must, mut may) = (Records::new(), Records::new());
    for (lead, actions) in ledger {
        for action in actions.iter().filter(|action| action.kind == kind) {
            let records = if action.state.as_str() == "done" { &mut must } else { &mut may };
            records.insert(action.action_id.clone(), people[lead].clone());
        }
    }
    (must, may)
}

/// Asserts that every lead has the task that its decision requires, and one activity for its newest revision.
fn assert_plans_are_whole(
    people: &[Person],
    leads: &HashMap<String, Value>,
    ledger: &HashMap<LeadId, Vec<ActionRecord>>,
) {
    let mut routed = 0;
    for person in people {
        let (lead, actions) = (&leads[person.id.as_str()], &ledger[&person.id]);
        let task = person.task_id();
        let has_task = actions.iter().any(|action| action.action_id == task.as_str());
        assert_eq!(has_task, lead["decision"] == "ROUTE_TO_SDR", "{lead}");
        routed += usize::from(has_task);
        let revision = format!("revision {}:", lead["revision"]);
        let is_newest = |action: &&ActionRecord| {
            action.parameters["subject"].as_str().is_some_and(|subject| subject.contains(&revision))
        };
        assert_eq!(actions.iter().filter(is_newest).count(), 1, "{lead}");
    }
    assert!(routed > 0 && routed < people.len(), "some leads are routed and some are not");
}

#[test]
fn salesforce_holds_every_record_once_despite_faults_and_kills() {
    let (fixture, crm) = (Fixture::sqlite(), Crm::start());
    let org = &crm.system;
    org.org(|org| org.daily_calls = 1_000_000);
    let ended = org.clone();
    let stats = FaultStats::follow(&crm.fake, move || ended.org(sandbox::salesforce::Org::end_sessions));
    let error = |code: &str, message: &str| json!([{ "errorCode": code, "message": message }]);
    let row = |code: &str, skip| Misbehaviour::Row { code: code.to_owned(), skip };
    let kinds = [
        Misbehaviour::answer(503, error("SERVER_UNAVAILABLE", "busy")),
        Misbehaviour::answer(502, json!("<html>Bad gateway</html>")),
        Misbehaviour::answer(403, error("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.")),
        Misbehaviour::DelayMs(30),
        Misbehaviour::Refuse,
        Misbehaviour::LoseReply,
        row("UNABLE_TO_LOCK_ROW", 0),
        row("UNKNOWN_EXCEPTION", 1),
    ];
    crm.fake.add_fault(faults("/services/data", &kinds));
    let CampaignEnd { people, leads, ledger } = campaign(&fixture, &stats, 4, &crm.variables());
    stats.assert_fault_rate(kinds.len());
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let records = org.org(|org| org.records("Lead"));
    let found: Vec<_> =
        records.iter().map(|record| (text(record, "RevenueFlow_Id__c"), text(record, "Id"))).collect();
    let ids = assert_all_once(&found, &people);
    for record in &records {
        let lead = &leads[&text(record, "RevenueFlow_Id__c")];
        let person = people.iter().find(|person| lead["lead_id"] == person.id.as_str()).unwrap();
        assert_eq!(
            (text(record, "Email"), text(record, "Title")),
            (person.email.clone(), person.title.to_owned())
        );
        assert_eq!(record["RevenueFlow_Score__c"].as_f64(), lead["fit_score"].as_f64());
        assert_eq!(record["RevenueFlow_Decision__c"], lead["decision"]);
    }
    let (mut must, mut may) = made("create_task", &ledger, &ids);
    let activities = made("log_activity", &ledger, &ids);
    must.extend(activities.0);
    may.extend(activities.1);
    let tasks = org.org(|org| org.records("Task"));
    let found: Vec<_> =
        tasks.iter().map(|task| (text(task, "RevenueFlow_Id__c"), text(task, "WhoId"))).collect();
    assert_each_once("task or activity", &found, &must, &may);
    println!("{} leads, {} tasks and activities: none missing, none double", records.len(), tasks.len());
}

#[test]
fn hubspot_holds_every_record_once_despite_faults_and_kills() {
    let (fixture, account) = (Fixture::sqlite(), HubSpot::prepared());
    account.set(|settings| (settings.burst, settings.daily) = (1_000_000, 10_000_000));
    let crm = Served::of("hubspot", (), account.router());
    let expired = account.clone();
    let stats = FaultStats::follow(&crm.fake, move || expired.expire_tokens());
    let kinds = [
        Misbehaviour::answer(503, json!({"status": "error", "message": "busy"})),
        Misbehaviour::answer(423, json!({"status": "error", "category": "LOCKED"})),
        Misbehaviour::answer(429, json!({"policyName": "SECONDLY", "errorType": "RATE_LIMIT"})),
        Misbehaviour::DelayMs(30),
        Misbehaviour::Refuse,
        Misbehaviour::LoseReply,
        Misbehaviour::Row { code: "INTERNAL_ERROR".to_owned(), skip: 0 },
    ];
    crm.fake.add_fault(faults("/crm/", &kinds));
    let settings = sandbox::hubspot::Settings::default();
    let variables = [
        ("CRM_PROVIDER", "hubspot"),
        ("HUBSPOT_BASE_URL", crm.url.as_str()),
        ("HUBSPOT_CLIENT_ID", settings.client_id.as_str()),
        ("HUBSPOT_CLIENT_SECRET", settings.client_secret.as_str()),
        ("HUBSPOT_REFRESH_TOKEN", settings.refresh_token.as_str()),
    ];
    let CampaignEnd { people, leads, ledger } = campaign(&fixture, &stats, 10, &variables);
    stats.assert_fault_rate(kinds.len());
    let contacts = account.records(Kind::Contact);
    let key = |record: &sandbox::hubspot::Record, name: &str| record.get(name).unwrap_or_default().to_owned();
    let found: Vec<_> =
        contacts.iter().map(|contact| (key(contact, "revenueflow_id"), contact.id.to_string())).collect();
    let ids = assert_all_once(&found, &people);
    let companies = account.records(Kind::Company);
    for contact in &contacts {
        let lead = &leads[&key(contact, "revenueflow_id")];
        let person = people.iter().find(|person| lead["lead_id"] == person.id.as_str()).unwrap();
        assert_eq!(
            (key(contact, "email"), key(contact, "jobtitle")),
            (person.email.clone(), person.title.to_owned())
        );
        assert_eq!(key(contact, "revenueflow_score"), lead["fit_score"].to_string());
        let tied = account.associated(Kind::Contact, contact.id, Kind::Company);
        let tied = companies.iter().filter(|company| tied.contains_key(&company.id));
        let domains: Vec<String> = tied.map(|company| key(company, "domain")).collect();
        let expected = Some(person.domain).filter(|domain| is_known(domain));
        assert_eq!(domains, expected.into_iter().collect::<Vec<_>>(), "the contact belongs to its company");
    }
    let companies: Vec<_> = companies
        .iter()
        .map(|company| (key(company, "revenueflow_domain_key"), key(company, "domain")))
        .collect();
    let known = DOMAINS
        .iter()
        .filter(|domain| is_known(domain))
        .map(|domain| ((*domain).to_owned(), (*domain).to_owned()));
    assert_each_once("company", &companies, &known.collect(), &Records::new());
    for (of, kind) in [(Kind::Task, "create_task"), (Kind::Note, "log_activity")] {
        let records = account.records(of);
        let person = |id: u64| {
            let contacts = account.associated(of, id, Kind::Contact);
            assert_eq!(contacts.len(), 1, "{kind} {id} belongs to one person");
            contacts.keys().map(u64::to_string).collect::<String>()
        };
        let found: Vec<_> =
            records.iter().map(|record| (key(record, "revenueflow_id"), person(record.id))).collect();
        let (must, may) = made(kind, &ledger, &ids);
        assert_each_once(kind, &found, &must, &may);
    }
    println!("{} contacts, {} companies: none missing, none double", contacts.len(), companies.len());
}

/// Whether enrichment knows the company of a domain.
fn is_known(domain: &str) -> bool {
    !domain.ends_with(".example") && domain != "gmail.com"
}
