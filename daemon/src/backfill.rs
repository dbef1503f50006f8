//! Hears of requests for older mail, which another process writes into the store, and wakes the
//! account that each is for.
//!
//! Deliberately absent: the work itself, which is a part of the account's flow, behind new mail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use triaged_core::mailbox::AccountId;

use crate::store::{Store, StoreError};

/// How soon a request is noticed: one question to the store for all accounts together.
const LOOK: Duration = Duration::from_secs(2);

/// The accounts that can be asked for older mail; clones share them.
#[derive(Debug, Clone)]
pub struct Requests {
    store: Store,
    accounts: Arc<Mutex<BTreeMap<AccountId, Arc<Notify>>>>,
}

impl Requests {
    /// Requests in `store`, for nobody yet.
    pub fn new(store: Store) -> Self {
        Self { store, accounts: Arc::default() }
    }

    /// Lets an account in; what comes back is told when somebody has asked it for older mail, and
    /// the account leaves when all others have let go of it.
    pub fn enter(&self, account: AccountId) -> Arc<Notify> {
        let asked = Arc::new(Notify::new());
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.insert(account, Arc::clone(&asked));
        asked
    }

    fn wake(&self, open: &BTreeSet<AccountId>) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, asked| Arc::strong_count(asked) > 1);
        for asked in open.iter().filter_map(|account| accounts.get(account)) {
            asked.notify_one();
        }
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
            self.wake(&open);
        }
    }
}
