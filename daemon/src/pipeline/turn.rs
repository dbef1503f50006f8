//! How many chunks are in hand at the same time, of all accounts together.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{CHUNK_TIME, Pace, Pipeline};

/// Chunks in hand: enough that servers are asked while the model reads, few enough that memory
/// does not grow with the accounts that come back together after an outage.
pub const TURNS: usize = 8;

/// How long a server may take for a chunk before others get its turn: one that has fallen silent
/// holds little memory, and must not hold up the others.
const PATIENCE: Duration = Duration::from_secs(5);

impl Pipeline {
    /// Waits until few enough chunks are in hand; `None` when the stop came first.
    pub(super) async fn turn(&self, pace: &Pace<'_>) -> Option<OwnedSemaphorePermit> {
        loop {
            pace.heart.beat(CHUNK_TIME);
            let turns = self.turns.clone().acquire_owned();
            tokio::select! {
                biased;
                () = pace.stop.cancelled() => return None,
                turn = tokio::time::timeout(CHUNK_TIME / 2, turns) => if let Ok(turn) = turn {
                    return turn.ok();
                }
            }
        }
    }

    /// Waits for another turn where the first was given back.
    pub(super) async fn again(
        &self,
        kept: Option<OwnedSemaphorePermit>,
        pace: &Pace<'_>,
    ) -> Option<OwnedSemaphorePermit> {
        match kept {
            Some(turn) => Some(turn),
            None => self.turn(pace).await,
        }
    }
}

/// Waits for a chunk to be read; the turn is given back when that takes long.
pub(super) async fn give_way<T>(
    reading: impl Future<Output = T>,
    turn: OwnedSemaphorePermit,
) -> (T, Option<OwnedSemaphorePermit>) {
    tokio::pin!(reading);
    if let Ok(read) = tokio::time::timeout(PATIENCE, &mut reading).await {
        return (read, Some(turn));
    }
    drop(turn);
    (reading.await, None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_kept_by_who_is_quick_and_given_back_by_who_is_not() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = || turns.clone().try_acquire_owned().expect("it is free");
        let (read, kept) = give_way(async { 7 }, turn()).await;
        assert_eq!((read, kept.is_some(), turns.available_permits()), (7, true, 0));
        drop(kept);
        let slow = async {
            tokio::time::sleep(PATIENCE * 2).await;
            turns.available_permits()
        };
        let (others, kept) = give_way(slow, turn()).await;
        assert_eq!((others, kept.is_some()), (1, false));
    }
}
