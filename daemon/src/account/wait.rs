//! Waiting until there may be news: by IDLE where the server has it, else by asking again.
//!
//! It looks at nothing: why a wait ended is all that it says.

use std::time::Duration;

use super::{Life, Watcher};
use crate::imap::{ImapError, Woken};
use crate::pipeline::FlowError;

/// A server or a router may drop a connection that says nothing for longer (4 to 9 minutes are
/// safe); each renewal also looks at the mailbox, so that a push that has died is made up for.
const LONGEST_IDLE: Duration = Duration::from_mins(4);

impl Watcher {
    /// Waits for new mail: by IDLE where the server has it, but not past the next look at the
    /// other mailboxes; else by asking again.
    pub(super) async fn wait(
        &self,
        life: &mut Life<'_>,
        pause: Option<Duration>,
    ) -> Result<Woken, FlowError> {
        // Older mail goes on at once: nobody waited, so what has come meanwhile was not withheld.
        let left = life.main.is_none() && life.main_name.is_some();
        if pause == Some(Duration::ZERO) || (pause.is_some() && left) {
            return Ok(Woken::Asked);
        }
        if life.idles && life.main.is_some() {
            let alone = self.config.mailboxes.only().is_some();
            let longest = if alone { LONGEST_IDLE } else { self.config.poll.min(LONGEST_IDLE) };
            let longest = life.push.wait(longest, self.config.poll);
            let longest = pause.map_or(longest, |pause| pause.min(longest));
            let wake = life.stop.child_token();
            let place = life.place;
            let asked = async {
                tokio::select! {
                    () = self.asked.notified() => {}
                    () = place.wanted() => {}
                }
                wake.cancel();
                std::future::pending::<Result<Woken, ImapError>>().await
            };
            let woken = tokio::select! {
                woken = life.session.idle(longest, &wake) => woken,
                never = asked => never,
            };
            match woken {
                Ok(Woken::Stopped) if !life.stop.is_cancelled() => return Ok(Woken::Asked),
                Err(error) if !error.ends_connection() => {
                    tracing::warn!(account = %self.config.name, %error, poll_seconds = self.config.poll.as_secs(), "the server offers IDLE and refuses it: polling instead");
                    life.idles = false;
                }
                woken => return Ok(woken?),
            }
        }
        tokio::select! {
            () = life.stop.cancelled() => return Ok(Woken::Stopped),
            () = self.asked.notified() => return Ok(Woken::Asked),
            () = life.place.wanted() => return Ok(Woken::Asked),
            () = tokio::time::sleep(pause.unwrap_or(self.config.poll).min(self.config.poll)) => {}
        }
        life.session.noop().await?;
        Ok(Woken::Timeout)
    }
}
