//! Whether a daemon is there that does what a command asks for: the one of this folder, or, of a
//! database on a server, any of those that share it.

use std::collections::BTreeMap;

use sqlx::Row;
use tokio::time::Instant;
use triaged_core::lease::TTL;

use super::database::DbPool;
use super::location::Location;
use super::{StoreError, open};

/// Looks for daemons, beside them.
#[derive(Debug)]
pub struct Workers {
    at: Location,
    pool: Option<DbPool>,
    /// How often each daemon had renewed its lease at the last look that found a change.
    renewals: BTreeMap<i64, i64>,
    changed: Instant,
}

impl Workers {
    /// Has not looked yet.
    pub fn at(at: &Location) -> Self {
        Self { at: at.clone(), pool: None, renewals: BTreeMap::new(), changed: Instant::now() }
    }

    /// Whether there is one. A daemon on another machine that has died counts until its lease has
    /// stood still for as long as this has looked at it.
    pub async fn is_any(&mut self) -> Result<bool, StoreError> {
        if open::is_locked(self.at.state()) {
            return Ok(true);
        }
        if self.at.on_server().is_none() {
            return Ok(false);
        }
        let pool = match &self.pool {
            Some(pool) => pool,
            None => self.pool.insert(open::open_beside(&self.at).await?),
        };
        let rows = sqlx::query("SELECT id, renewals FROM instance").fetch_all(pool).await?;
        let read = |row: &_| Ok((Row::try_get(row, 0)?, Row::try_get(row, 1)?));
        let renewals: BTreeMap<i64, i64> = rows.iter().map(read).collect::<sqlx::Result<_>>()?;
        if renewals != self.renewals {
            self.changed = Instant::now();
            self.renewals = renewals;
        }
        Ok(!self.renewals.is_empty() && self.changed.elapsed() < TTL)
    }
}
