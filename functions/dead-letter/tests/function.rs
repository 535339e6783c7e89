//! Runs the binary as Lambda does, with an emulator's topic and secrets, and a listener.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use database::testing::TestDatabase;
use serde_json::{Value, json};
use testkit::{Emulator, Function, eventually, sample};
use tokio::runtime::Runtime;

/// A chat's webhook address, and the bodies that are posted to it.
fn chat(status: &'static str) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/services/T0/B0/hush", listener.local_addr().unwrap());
    let (posted, received) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut reader = BufReader::new(connection.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            if posted.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, received)
}

#[test]
fn dead_letter_alerts_the_topic_and_the_chat() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::postgres());
    let emulator = Emulator::shared().unwrap();
    let topic = emulator.create_topic().unwrap();
    let heard = emulator.listen(&topic).unwrap();
    let (address, posted) = chat("200 OK");
    let secret = emulator.create_secret(&address).unwrap();
    let function = Function::start(
        env!("CARGO_BIN_EXE_dead-letter"),
        &[
            ("DATABASE_URL", database.url()),
            ("ALERT_TOPIC_ARN", &topic),
            ("ALERT_WEBHOOK_SECRET_ARN", &secret),
        ],
    )
    .unwrap();
    assert_eq!(function.invoke(&sample("dead-letter")).unwrap(), json!({ "batchItemFailures": [] }));

    let text = "lead a4e14a8f64fdb0a99c81b8d117e2140d23a6af209cd66bd38cd88da8231f2340: \
        crm_timeout after 5 attempt(s): the CRM did not answer within 10 s";
    let in_chat = posted.recv_timeout(Duration::from_mins(1)).unwrap();
    assert_eq!(in_chat, json!({ "text": format!("RevenueFlow: 1 lead(s) dead-lettered\n{text}") }));
    eventually("the topic's listener has received the alert", || {
        emulator.receive(&heard).unwrap().iter().any(|message| message["Body"] == text)
    });
    let logs = function.logs().join("\n");
    assert!(
        logs.contains("delivery dead-lettered")
            && !logs.contains("bob@shop.example")
            && !logs.contains("hush"),
        "{logs}"
    );
}

#[test]
fn dead_letter_is_kept_when_alerts_fail() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::postgres());
    let emulator = Emulator::shared().unwrap();
    let (address, posted) = chat("404 Not Found");
    let secret = emulator.create_secret(&address).unwrap();
    let nowhere = "arn:aws:sns:us-east-1:000000000000:there-is-no-such-topic";
    let function = Function::start(
        env!("CARGO_BIN_EXE_dead-letter"),
        &[
            ("DATABASE_URL", database.url()),
            ("ALERT_TOPIC_ARN", nowhere),
            ("ALERT_WEBHOOK_SECRET_ARN", &secret),
        ],
    )
    .unwrap();
    assert_eq!(function.invoke(&sample("dead-letter")).unwrap(), json!({ "batchItemFailures": [] }));
    assert!(posted.recv_timeout(Duration::from_mins(1)).is_ok());
    let logs = function.logs();
    let alert_errors = logs.iter().filter(|line| line.contains("an alert could not be sent")).count();
    assert_eq!(alert_errors, 2, "{logs:?}");
    assert!(!logs.iter().any(|line| line.contains("hush")), "the chat's address is a secret");
    let letters = runtime.block_on(async {
        let clock = std::sync::Arc::new(lead::SystemClock);
        store::Store::new(database.connect().await, clock).count_dead_letters().await.unwrap()
    });
    assert_eq!(letters, 1);
}

#[test]
fn without_a_database_the_batch_is_returned() {
    let nothing_there = "postgres://nobody:nothing@127.0.0.1:1/none";
    let function =
        Function::start(env!("CARGO_BIN_EXE_dead-letter"), &[("DATABASE_URL", nothing_there)]).unwrap();
    assert!(function.invoke(&sample("dead-letter")).unwrap_err().to_string().contains("the function failed"));
}
