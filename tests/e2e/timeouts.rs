//! Timeouts of the server: for slow senders, and for its own shutdown.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use testkit::{Server, eventually};

use crate::support::Fixture;

/// In seconds; longer than any test waits.
const NEVER: &str = "600";

/// Begins to post a lead, and stops in the middle of its body.
fn half_sent(server: &Server) -> TcpStream {
    let mut stream = server.connect().unwrap();
    let head = "POST /leads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n";
    write!(stream, "{head}{{\"email\": ").unwrap();
    // An answer on a later connection shows that the server has accepted this one.
    assert_eq!(server.get("/healthz").unwrap().status, 200);
    stream
}

fn read_all(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_incomplete_body_is_answered_408_and_not_queued() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[("READ_TIMEOUT_SECONDS", "1")]);
    let answer = read_all(half_sent(&server));
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"), "{answer}");
    assert!(answer.contains(r#""status":"rejected","error":"request_timeout""#), "{answer}");
    assert_eq!(server.get("/leads").unwrap().json()["items"], serde_json::json!([]));
}

#[test]
fn a_wrong_token_is_refused_before_its_body_arrives() {
    let fixture = Fixture::sqlite();
    let variables = [("WEBHOOK_SECRETS", "hush-hush-hush-hush"), ("READ_TIMEOUT_SECONDS", NEVER)];
    let server = fixture.serve(&[], &variables);
    let mut stream = server.connect().unwrap();
    let head = "POST /leads HTTP/1.1\r\nHost: localhost\r\nX-RevenueFlow-Token: wrong\r\nContent-Length: 262144\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read_all(stream);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[test]
fn a_connection_that_sends_no_request_is_closed() {
    let fixture = Fixture::sqlite();
    let server = fixture.serve(&[], &[("READ_TIMEOUT_SECONDS", "1")]);
    let mut silent = server.connect().unwrap();
    let mut slow = server.connect().unwrap();
    slow.write_all(b"POST /leads HTTP/1.1\r\nHost: ").unwrap();
    let mut nothing = [0; 16];
    assert_eq!(silent.read(&mut nothing).unwrap(), 0, "closed without an answer");
    read_all(slow);
}

#[test]
fn an_incomplete_body_does_not_prevent_shutdown() {
    let fixture = Fixture::sqlite();
    let limits = [("READ_TIMEOUT_SECONDS", NEVER), ("STOP_TIMEOUT_SECONDS", "1")];
    let mut server = fixture.serve(&[], &limits);
    let open = half_sent(&server);
    server.request_stop().unwrap();
    assert!(server.wait_for_end(), "the dropped request was never acknowledged");
    drop(open);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let fixture = Fixture::sqlite();
    let limits = [("READ_TIMEOUT_SECONDS", NEVER), ("STOP_TIMEOUT_SECONDS", NEVER)];
    let mut server = fixture.serve(&[], &limits);
    let open = half_sent(&server);
    server.request_stop().unwrap();
    eventually("the stop is logged", || server.logs().iter().any(|line| line.contains("stopping, waiting")));
    assert_eq!(server.ended().unwrap(), None, "it waits for the body");
    server.request_stop().unwrap();
    assert!(!server.wait_for_end());
    drop(open);
}
