//! Sends the spans of a lead to AWS X-Ray as segment documents.
//!
//! In a batch each message belongs to its own lead's trace, and Lambda writes segments only for the trace of
//! the invocation. So the documents are sent over UDP to the daemon that Lambda runs beside each function
//! (<https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-daemon>): a segment
//! for the message, and a subsegment in its own document for each step and call. A document that the daemon
//! does not accept at once is dropped.

mod document;

use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use anyhow::Context as _;
use runtime::Variables;
use trace::{Finished, Recorder};

/// The header of each packet.
const HEADER: &str = "{\"format\": \"json\", \"version\": 1}\n";

/// The largest document, in bytes (X-Ray developer guide, "Segment documents").
const MAX_DOCUMENT: usize = 64 << 10;

/// The X-Ray daemon of this execution environment.
pub struct XRay {
    socket: UdpSocket,
}

impl XRay {
    /// A recorder that sends to the given daemon.
    ///
    /// # Errors
    ///
    /// If no socket can be opened.
    pub fn to(daemon: SocketAddr) -> std::io::Result<Self> {
        let any = if daemon.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(daemon)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Installs the recorder for this process if `AWS_XRAY_DAEMON_ADDRESS` is set. An unreachable daemon is
    /// only logged, because no lead may wait for it.
    pub fn start(variables: &Variables<'_>) {
        let Some(address) = variables.text("AWS_XRAY_DAEMON_ADDRESS") else { return };
        let started = resolve(&address).and_then(|daemon| Self::to(daemon).context("no socket"));
        match started {
            Ok(daemon) => drop(trace::install(Arc::new(daemon))),
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "AWS_XRAY_DAEMON_ADDRESS unusable; traces are disabled"
            ),
        }
    }
}

/// The UDP address of `HOST:PORT`, or of `tcp:HOST:PORT udp:HOST:PORT`.
fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let udp = address.split_whitespace().find_map(|part| part.strip_prefix("udp:")).unwrap_or(address);
    udp.to_socket_addrs()?.next().context("no address")
}

impl Recorder for XRay {
    /// API Gateway starts and samples traces. A lead without one, such as a requeued lead, is not recorded.
    fn samples(&self) -> bool {
        false
    }

    fn record(&self, span: Finished) {
        let packet = format!("{HEADER}{}", document::of(span));
        if packet.len() <= HEADER.len() + MAX_DOCUMENT {
            // The daemon may be down or slow; traces must not delay a lead.
            let _ = self.socket.send(packet.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use lead::TraceContext;
    use trace::{Kind, Value};

    use super::*;

    fn span() -> Finished {
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(1_461_096_053_370);
        Finished {
            context: TraceContext::new(0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793, 2, true).unwrap(),
            parent: Some(1),
            parent_is_remote: true,
            name: "process lead".into(),
            kind: Kind::Consumer,
            started,
            ended: started + Duration::from_millis(250),
            attributes: vec![("lead_id", "abc".into())],
            error: None,
        }
    }

    #[test]
    fn document_follows_the_header_in_one_packet() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        daemon.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        XRay::to(daemon.local_addr().unwrap()).unwrap().record(span());
        let mut packet = [0; 4096];
        let length = daemon.recv(&mut packet).unwrap();
        let text = std::str::from_utf8(&packet[..length]).unwrap();
        let (header, document) = text.split_once('\n').unwrap();
        assert_eq!(header, r#"{"format": "json", "version": 1}"#);
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        assert_eq!(document["trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
    }

    #[test]
    fn unreachable_daemon_is_ignored() {
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let xray = XRay::to(closed).unwrap();
        for _ in 0..3 {
            xray.record(span()); // the second one gets the refusal of the first
        }
        let large =
            Finished { attributes: vec![("text", Value::Text("x".repeat(MAX_DOCUMENT).into()))], ..span() };
        xray.record(large);
    }

    #[test]
    fn daemon_address_is_read_in_both_forms() {
        let read = |text| resolve(text).ok().map(|address| address.to_string());
        assert_eq!(read("127.0.0.1:2000").unwrap(), "127.0.0.1:2000");
        assert_eq!(read("tcp:127.0.0.1:2001 udp:127.0.0.1:2002").unwrap(), "127.0.0.1:2002");
        for wrong in ["", "daemon", "127.0.0.1:port"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
