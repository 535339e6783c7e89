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

/// How long to wait where a connection cannot be taken, as when the process has all the files open that it may.
const ACCEPT_WAIT: Duration = Duration::from_millis(500);

/// What a client may take of the process.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// How long the head of a request may take to come, and an answer to be taken.
    pub(super) timeout: Duration,
    /// Connections at once. Further ones wait in the backlog of the operating system.
    pub(super) connections: usize,
}

/// Serves until it is told to stop, then finishes the requests under way. Dropping it drops them.
///
/// Not `axum::serve`, which has no limit for the head of a request and for taking an answer: a client that opens
/// connections and sends nothing, or reads nothing, would keep them and their file descriptors for ever.
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
                    let talk = talk(stream, router.clone(), bounds.timeout, shutdown.clone());
                    connections.spawn(async move {
                        talk.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_WAIT).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    // Nobody else is to connect to a process that does not answer any more.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn talk(stream: TcpStream, router: Router, timeout: Duration, shutdown: CancellationToken) {
    // Answers are written whole: there is nothing to wait for.
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
        tracing::debug!(%error, "a connection ended badly");
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
    async fn a_client_that_reads_no_answers_is_cut_off() {
        let (address, _stop) = start(Bounds { timeout: Duration::from_millis(200), connections: 10 }).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        // Answers of 100 KB each, until no buffer takes more of them: then the requests are not read any more.
        let ended = async { while client.write_all(REQUEST).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the server closes the connection");
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_wait_for_one_to_end() {
        let (address, _stop) = start(Bounds { timeout: Duration::from_secs(60), connections: 1 }).await;
        let answers = async |client: &mut TcpStream| {
            client.write_all(REQUEST).await.unwrap();
            client.read_u8().await.is_ok()
        };
        let mut first = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut first).await);
        let mut second = TcpStream::connect(address).await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(100), answers(&mut second)).await;
        assert!(early.is_err(), "the only place is taken");
        drop(first);
        assert!(second.read_u8().await.is_ok());
    }
}
