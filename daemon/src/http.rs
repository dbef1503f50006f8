//! What administrators and Prometheus ask of the running daemon: /metrics, /healthz, /readyz, and
//! /status, which `triaged status` prints.
//!
//! Deliberately absent: anything that changes something, passwords, and TLS. It listens on
//! loopback alone; whoever wants it elsewhere puts a proxy of their own before it.

mod brief;
mod status;

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::standing::Standings;
use brief::BriefListener;
pub use status::{AccountStatus, AskError, Status, ask};

/// A bound address that nobody answers on yet: a taken port is known before anything is begun.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

/// What the answers are made of.
#[derive(Clone)]
struct Sources {
    metrics: Metrics,
    readiness: Readiness,
    standings: Standings,
}

impl Server {
    /// Binds `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// The address is not loopback, or is taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let reason =
                format!("{address} is not a loopback address, and nothing here is guarded");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`, and then the requests that have begun.
    pub async fn serve(
        self,
        metrics: Metrics,
        readiness: Readiness,
        standings: Standings,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(scrape))
            .route("/healthz", get(alive))
            .route("/readyz", get(ready))
            .route("/status", get(stand))
            .with_state(Sources { metrics, readiness, standings });
        axum::serve(BriefListener::new(self.listener), routes)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    }
}

/// That there is an answer is the answer: the process lives, whatever its accounts do.
async fn alive() -> Response {
    answer(StatusCode::OK, "text/plain", "ok\n".to_owned())
}

/// Prometheus' text format, version 0.0.4.
async fn scrape(State(Sources { metrics, readiness, .. }): State<Sources>) -> Response {
    let report = readiness.report();
    metrics.accounts(report.counts());
    metrics.database_up(report.database().is_none());
    metrics.stale_lists(report.lists().values().filter(|list| list.problem.is_some()).count());
    match metrics.encode() {
        Ok(text) => answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
    }
}

/// 200 when every account is watched, else 503; in both cases how each one stands.
async fn ready(State(Sources { readiness, .. }): State<Sources>) -> Response {
    let report = readiness.report();
    let status = if report.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string_pretty(&report) {
        Ok(json) => answer(status, "application/json", json + "\n"),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
    }
}

/// How everything stands, in detail.
async fn stand(State(Sources { readiness, standings, .. }): State<Sources>) -> Response {
    match serde_json::to_string_pretty(&Status::of(&readiness, &standings)) {
        Ok(json) => answer(StatusCode::OK, "application/json", json + "\n"),
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
    }
}

/// One connection, one answer: see `brief`.
fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind), (header::CONNECTION, "close")], body).into_response()
}

#[cfg(test)]
mod tests;
