//! Hears of requests for older mail, which another process writes into the store, and wakes the
//! account that each is for.
//!
//! Deliberately absent: the work itself, which is a part of the account's flow, behind new mail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use triaged_core::mailbox::AccountId;

use crate::store::{Store, StoreError};

/// How soon a request is noticed: one question to the store for all accounts together.
const LOOK: Duration = Duration::from_secs(2);

/// The accounts that can be asked for older mail.
pub struct Requests {
    store: Store,
    accounts: BTreeMap<AccountId, Arc<Notify>>,
}

impl Requests {
    /// Requests in `store` for these accounts, each with what wakes it.
    pub fn new(store: Store, accounts: impl IntoIterator<Item = (AccountId, Arc<Notify>)>) -> Self {
        Self { store, accounts: accounts.into_iter().collect() }
    }

    /// Wakes accounts with open requests until `stop`.
    ///
    /// # Errors
    /// Never: a store that can not be asked is the accounts' trouble, who say so.
    pub async fn watch(self, stop: CancellationToken) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            let Ok(open) = self.store.accounts_with_requests().await else { continue };
            for asked in open.iter().filter_map(|account| self.accounts.get(account)) {
                asked.notify_one();
            }
        }
    }
}
