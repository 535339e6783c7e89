//! Readiness as a load balancer sees it while a dependency of the process is unavailable.

use testkit::{HalfOpen, eventually};

use crate::support::{Fixture, host_of};

#[test]
fn readyz_answers_while_the_database_is_half_open() {
    let fixture = Fixture::postgres();
    let url = fixture.database.url();
    let proxy = HalfOpen::before(host_of(url));
    let url = url.replacen(host_of(url), &proxy.address().to_string(), 1);
    let server = fixture.serve(&[], &[("DATABASE_URL", url.as_str())]);
    assert_eq!(server.get("/readyz").unwrap().status, 200);

    proxy.swallow_all();
    for _ in 0..3 {
        let answer = server.get("/readyz").unwrap();
        assert_eq!((answer.status, &answer.json()["failing"]), (503, &serde_json::json!("database")));
        assert_eq!(server.get("/healthz").unwrap().status, 200);
    }
    proxy.accept_later_connections();
    eventually("it is ready again", || server.get("/readyz").unwrap().status == 200);
}
