//! Posts of leads over kept connections.

use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::latency::Latencies;
use crate::leads;

/// A connection to a server.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: String,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection); // ends with the sender; an error fails the request
        Ok(Self { sender, address: address.to_owned() })
    }

    /// Posts a lead and waits for its acknowledgement.
    async fn post(&mut self, body: String) -> anyhow::Result<()> {
        let request = Request::post("/leads")
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let (status, body) = self.send(request).await?;
        anyhow::ensure!(status == 202, "answered {status}: {body}");
        Ok(())
    }

    /// Gets a page: its status and its body.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let request = Request::get(path).header(header::HOST, &self.address).body(Full::default())?;
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, String)> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// The outcome of posts at full speed.
pub(crate) struct Load {
    pub(crate) took: Duration,
    pub(crate) latencies: Latencies,
}

/// Posts these leads at full speed: each connection sends its next lead after the answer to the last.
pub(crate) async fn saturate(address: &str, connections: usize, numbers: Range<u64>) -> anyhow::Result<Load> {
    let mut lanes = Vec::new();
    for _ in 0..connections {
        lanes.push(Connection::open(address).await?);
    }
    let numbers = Arc::new(Mutex::new(numbers));
    let latencies = Arc::new(Mutex::new(Latencies::default()));
    let began = Instant::now();
    let mut running = JoinSet::new();
    for mut lane in lanes {
        let (numbers, latencies) = (Arc::clone(&numbers), Arc::clone(&latencies));
        running.spawn(async move {
            let next = || lock(&numbers).next();
            while let Some(number) = next() {
                let sent = Instant::now();
                lane.post(leads::body(number)).await?;
                lock(&latencies).add(sent.elapsed());
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(Load { took: began.elapsed(), latencies: std::mem::take(&mut lock(&latencies)) })
}

/// Posts leads from number `first` on at a fixed pace until `enough` is ready. Latencies count from the time
/// at which a post was due, so that a server that stalls does not slow the measurement down.
pub(crate) async fn paced(
    address: &str,
    per_second: u32,
    first: u64,
    enough: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Latencies> {
    let free = Arc::new(Mutex::new(Vec::new()));
    let latencies = Arc::new(Mutex::new(Latencies::default()));
    let mut running = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    let mut number = first;
    tokio::pin!(enough);
    loop {
        let due = tokio::select! {
            ended = &mut enough => break ended?,
            due = ticks.tick() => due,
        };
        let (free, latencies, address) = (Arc::clone(&free), Arc::clone(&latencies), address.to_owned());
        let body = leads::body(number);
        number += 1;
        running.spawn(async move {
            let kept = lock(&free).pop();
            let mut lane = match kept {
                Some(lane) => lane,
                None => Connection::open(&address).await?,
            };
            lane.post(body).await?;
            lock(&latencies).add(due.elapsed());
            lock(&free).push(lane);
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended?.context("a paced post")?;
    }
    Ok(std::mem::take(&mut lock(&latencies)))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
