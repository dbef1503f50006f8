//! Notices that the clocks have come apart: the machine slept, or somebody set its time.
//!
//! After a sleep every connection looks alive and is dead; whoever hears of a jump connects anew. The
//! judgement is the core's, the looking is here.

use std::convert::Infallible;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use triaged_core::jump;

use super::Clock;

/// Between two looks at the clocks.
const LOOK: Duration = Duration::from_secs(5);

/// Hears of jumps; each clone hears of all that come after it was made.
#[derive(Debug, Clone)]
pub struct Jumps(watch::Receiver<u32>);

impl Jumps {
    /// The next jump; never where nobody looks any more.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Looks at the clocks and tells of jumps.
#[derive(Debug)]
pub struct JumpWatch {
    clock: Clock,
    tell: watch::Sender<u32>,
}

impl JumpWatch {
    /// Nobody looks yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, tell: watch::Sender::new(0) }
    }

    /// What hears of jumps.
    pub fn jumps(&self) -> Jumps {
        Jumps(self.tell.subscribe())
    }

    /// Looks until `stop`.
    ///
    /// # Errors
    /// Never.
    pub async fn watch(self, stop: CancellationToken) -> Result<(), Infallible> {
        loop {
            let (monotonic, wall) = (self.clock.monotonic(), self.clock.now());
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            let passed = self.clock.monotonic().duration_since(monotonic);
            let by_calendar = self.clock.now().duration_since(wall);
            if jump::has_jumped(LOOK, passed, by_calendar) {
                let beyond =
                    by_calendar.saturating_sub(SignedDuration::try_from(LOOK).unwrap_or_default());
                tracing::warn!(
                    seconds = beyond.as_secs(),
                    "the clock has jumped: the machine slept, or its time was set; every account connects anew"
                );
                self.tell.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }
}
