//! Gauges that are the sum of many parts: each part holds its share and takes it along when it
//! ends, so that no way out of a function can leave a gauge wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::{IntGauge, IntGaugeVec};

use super::names::ConnectionState;

/// One connection, counted under the state it is in.
#[derive(Debug)]
pub struct Connection {
    all: IntGaugeVec,
    state: ConnectionState,
}

impl Connection {
    pub(super) fn begin(all: IntGaugeVec, state: ConnectionState) -> Self {
        all.with_label_values(&[state.name()]).inc();
        Self { all, state }
    }

    /// The connection does something else now.
    pub fn becomes(&mut self, state: ConnectionState) {
        self.all.with_label_values(&[self.state.name()]).dec();
        self.all.with_label_values(&[state.name()]).inc();
        self.state = state;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.with_label_values(&[self.state.name()]).dec();
    }
}

/// One flow's share of the messages that wait: to be settled, or for the model.
#[derive(Debug)]
pub struct Backlog {
    all: IntGauge,
    share: Arc<AtomicI64>,
}

impl Backlog {
    pub(super) fn begin(all: IntGauge) -> Self {
        Self { all, share: Arc::default() }
    }

    /// The number, for whoever shows it; it outlives the flow and is 0 then.
    pub fn share(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.share)
    }

    /// So many messages of this flow wait now.
    pub fn set(&self, messages: usize) {
        let share = i64::try_from(messages).unwrap_or(i64::MAX);
        self.all.add(share - self.share.swap(share, Ordering::Relaxed));
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.set(0);
    }
}
