//! The HTTP server: limits on connections, request heads and answers, and a graceful stop.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::write_timeout::WriteTimeout;

/// The wait after a failed accept, for example while the process is at its limit of open files.
const ACCEPT_WAIT: Duration = Duration::from_millis(500);

/// Limits on the resources that clients use.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Limit for receiving a request's head, and for the client to read an answer.
    pub(super) timeout: Duration,
    /// Maximum number of concurrent connections. Further ones wait in the backlog of the operating system.
    pub(super) connections: usize,
}

/// Serves until `shutdown` is cancelled, then finishes the running requests. Dropping the future drops them.
///
/// This replaces `axum::serve`, which has no limit for receiving a request's head or for sending an answer: a
/// client that opens connections and sends nothing, or reads nothing, would keep them and their file
/// descriptors forever.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    shutdown: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let free = Arc::new(Semaphore::new(bounds.connections));
    let accept = async || {
        let permit = Arc::clone(&free).acquire_owned().await;
        listener.accept().await.map(|(stream, _)| (stream, permit))
    };
    loop {
        tokio::select! {
            accepted = accept() => match accepted {
                Ok((stream, permit)) => {
                    let connection = serve_connection(stream, router.clone(), bounds.timeout, shutdown.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connection");
                    tokio::time::sleep(ACCEPT_WAIT).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    // Close the listener first: new connections would get no answer.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection(stream: TcpStream, router: Router, timeout: Duration, shutdown: CancellationToken) {
    // Answers are written in one piece, so that delaying small packets gains nothing.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(timeout);
    let stream = TokioIo::new(WriteTimeout::new(stream, timeout));
    let connection = http.serve_connection(stream, TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    async fn start(bounds: Bounds) -> (std::net::SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/", get(async || "x".repeat(100_000)));
        tokio::spawn(serve(listener, router, bounds, stop.clone()));
        (address, stop)
    }

    #[tokio::test]
    async fn client_that_reads_no_answers_is_disconnected() {
        let (address, _stop) = start(Bounds { timeout: Duration::from_millis(200), connections: 10 }).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        // Each answer has 100 KB. Once all buffers are full, the server reads no more requests.
        let ended = async { while client.write_all(REQUEST).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the server closes the connection");
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_for_one_to_end() {
        let (address, _stop) = start(Bounds { timeout: Duration::from_secs(60), connections: 1 }).await;
        let answers = async |client: &mut TcpStream| {
            client.write_all(REQUEST).await.unwrap();
            client.read_u8().await.is_ok()
        };
        let mut first = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut first).await);
        let mut second = TcpStream::connect(address).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), answers(&mut second)).await;
        assert!(early.is_err(), "the only permit is taken");
        drop(first);
        assert!(second.read_u8().await.is_ok());
    }
}
