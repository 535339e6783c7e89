use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long to wait where a connection cannot be taken, as when the process has all the files open that it may.
const ACCEPT_WAIT: Duration = Duration::from_millis(500);

/// Serves until it is told to stop, then finishes the requests under way. Dropping it drops them.
///
/// Not `axum::serve`, which has no limit for the head of a request: who opens connections and sends nothing would keep
/// them, and their file descriptors, for ever.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    read_timeout: Duration,
    shutdown: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(talk(stream, router.clone(), read_timeout, shutdown.clone()));
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

async fn talk(stream: TcpStream, router: Router, read_timeout: Duration, shutdown: CancellationToken) {
    // Answers are written whole: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(read_timeout);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
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
