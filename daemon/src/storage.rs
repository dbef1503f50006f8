//! Whether the database does its work: asked now and then, and told by whoever finds that it does not.
//!
//! While it does not, accounts make no connection: they could read mail and not write down what they
//! did. Deliberately absent: what was lost, which is nothing; each flow goes on from what is stored.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;
use crate::store::{Store, StoreError};

/// How often it is asked while all is well, and while it is not.
const WELL: Duration = Duration::from_secs(2);
const NOT_WELL: Duration = Duration::from_secs(1);

/// Whoever does not answer for so long is not there: a server answers in milliseconds, and a disk that
/// is overloaded in seconds.
const ANSWER: Duration = Duration::from_secs(5);

/// The state of the database; clones share it.
#[derive(Debug, Clone)]
pub struct Storage {
    store: Store,
    readiness: Readiness,
    well: watch::Sender<bool>,
}

impl Storage {
    /// One that is well, as it was opened a moment ago.
    pub fn new(store: Store, readiness: Readiness) -> Self {
        Self { store, readiness, well: watch::Sender::new(true) }
    }

    /// Some work was not done because of this.
    pub fn failed(&self, error: &StoreError) {
        if error.is_of_the_whole() {
            self.not_well(error.to_string());
        }
    }

    /// Waits until it does its work.
    pub async fn well(&self) {
        // The sender lives in `self`, so waiting can not fail.
        let _ = self.well.subscribe().wait_for(|well| *well).await;
    }

    /// Asks it until `stop`. While it is not well it is asked to write: a full disk can be read.
    ///
    /// # Errors
    /// Never: what it says is shown.
    pub async fn watch(self, stop: CancellationToken) -> Result<(), Infallible> {
        loop {
            let is_well = *self.well.borrow();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(if is_well { WELL } else { NOT_WELL }) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.ask(is_well) => {}
            }
        }
    }

    /// One question, to its answer. It is not given up: a connection on which somebody waits in vain
    /// would be one less each time.
    async fn ask(&self, is_well: bool) {
        let answer =
            async { if is_well { self.store.answers().await } else { self.store.writes().await } };
        tokio::pin!(answer);
        let answered = if let Ok(answered) = tokio::time::timeout(ANSWER, &mut answer).await {
            answered
        } else {
            self.not_well(format!("the database does not answer for {} s", ANSWER.as_secs()));
            answer.await
        };
        match answered {
            Ok(()) => self.is_well(),
            Err(error) => self.failed(&error),
        }
    }

    fn is_well(&self) {
        if self.well.send_if_modified(|well| !std::mem::replace(well, true)) {
            tracing::info!("the database does its work again");
        }
        self.readiness.set_database(None);
    }

    fn not_well(&self, reason: String) {
        if self.well.send_if_modified(|well| std::mem::replace(well, false)) {
            tracing::error!(
                reason,
                "the database does not do its work: nothing is done to mail until it does"
            );
        }
        self.readiness.set_database(Some(reason));
    }
}
