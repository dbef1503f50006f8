//! What systemd is told (`sd_notify`): ready, how it stands, alive, stopping. Where nobody
//! supervises the process, each of these does nothing.
//!
//! Deliberately absent: a watchdog that beats by timer alone. It beats only while every part of
//! the work keeps its word, so that a hung daemon is restarted.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::{error, warn};

use crate::pulse::Pulse;
use crate::readiness::Readiness;

/// A status is not sent more often: ten thousand accounts that come back together are one line.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// Who supervises this process, as its environment said at the start.
#[derive(Debug, Clone, Default)]
pub struct Supervision {
    notified: bool,
    /// Without a sign of life for so long the process is killed and started again.
    watchdog: Option<Duration>,
}

impl Supervision {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_environment() -> Self {
        Self {
            notified: std::env::var_os("NOTIFY_SOCKET").is_some(),
            watchdog: sd_notify::watchdog_enabled(),
        }
    }

    /// Says READY as soon as `readiness` has settled, and from then on how the accounts stand.
    /// Never returns.
    pub(super) async fn ready_and_status(&self, readiness: &Readiness) {
        let mut changes = readiness.changes();
        readiness.settled().await;
        self.tell(&[NotifyState::Ready]);
        loop {
            self.tell(&[NotifyState::Status(&one_line(&readiness.report().to_string()))]);
            changes.next().await;
            tokio::time::sleep(STATUS_PAUSE).await;
        }
    }

    /// Says that the process lives, as long as nobody in `pulse` is overdue. Never returns.
    pub(super) async fn watchdog(&self, pulse: &Pulse) {
        let Some(within) = self.watchdog else {
            return std::future::pending().await;
        };
        let mut silent = Vec::new();
        loop {
            let overdue = pulse.overdue();
            if overdue.is_empty() {
                self.tell(&[NotifyState::Watchdog]);
            } else if overdue != silent {
                error!(parts = ?overdue, "silent for longer than they said; the watchdog is told nothing");
            }
            silent = overdue;
            tokio::time::sleep(within / 3).await;
        }
    }

    /// Says that the process is ending on purpose.
    pub(super) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is in hand")]);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if self.notified
            && let Err(error) = sd_notify::notify(states)
        {
            warn!(%error, "systemd can not be told");
        }
    }
}

/// `text` without control characters: a server may have a word in a reason, and what follows a
/// line break would be an assignment of its own to systemd.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_can_not_speak_to_systemd_through_the_status() {
        assert_eq!(one_line("a: NO\r\nMAINPID=1"), "a: NO  MAINPID=1");
    }
}
