//! How many bytes came from each account's server today, so that a restart does not begin a new day.

use sqlx::Row;
use triaged_core::mailbox::AccountId;

use super::{Store, StoreError};

impl Store {
    /// The bytes that an account has received on `day` (see `triaged_core::budget::day`).
    pub async fn traffic(&self, account: AccountId, day: i64) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT received FROM traffic WHERE account = $1 AND day = $2")
            .bind(account.0)
            .bind(day)
            .fetch_optional(&self.pool)
            .await?;
        let received: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
        Ok(u64::try_from(received).unwrap_or_default())
    }

    /// Writes down that an account has received so many bytes on `day`; earlier days are forgotten.
    pub async fn set_traffic(
        &self,
        account: AccountId,
        day: i64,
        received: u64,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO traffic (account, day, received) VALUES ($1, $2, $3) \
             ON CONFLICT (account) DO UPDATE SET day = excluded.day, received = excluded.received",
        )
        .bind(account.0)
        .bind(day)
        .bind(i64::try_from(received).unwrap_or(i64::MAX));
        self.run(query).await
    }
}
