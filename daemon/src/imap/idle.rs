//! Waiting for something to happen in the selected mailbox (RFC 2177).
//!
//! IDLE is spoken here with plain commands: async-imap's handle hangs on a NO and mistakes the
//! end of the connection for a wish of the caller. The caller renews it; NOTIFY is not here.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::{Command, Verb};
use super::error::ImapError;
use super::session::Session;
use super::view::View;
use super::wire::{Exchange, Heard, Turn};

/// How long the server may take to end IDLE after DONE: on a link that died silently this is
/// where it shows.
const DONE_LIMIT: Duration = Duration::from_secs(15);

/// Longest silence in IDLE before DONE asks whether the server is still there: with the limit above a
/// dead link is noticed within three minutes. A server that gives signs of life (Dovecot does so every
/// two minutes) is not asked.
const SILENCE: Duration = Duration::from_secs(150);

/// Why waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The mailbox has grown, now or since it was last listed to its end.
    NewMail,
    /// The mailbox has grown, and the server said so only when it was asked.
    Unannounced,
    /// Flags have changed or messages have gone.
    FlagsChanged,
    /// There may be mail in a mailbox that is not selected.
    Elsewhere,
    /// Nothing happened in the time given.
    Timeout,
    /// The caller wishes to stop.
    Stopped,
    /// The caller has other work; never said here.
    Asked,
}

impl Session {
    /// Waits with IDLE for at most `longest`, or until the server was silent for two and a half
    /// minutes, or until `stop`. Where [`Session::capabilities`]
    /// have no `IDLE`, poll with [`Session::noop`].
    ///
    /// # Errors
    /// A NO or BAD to IDLE leaves the session open for polling; everything else ends it.
    pub async fn idle(
        &mut self,
        longest: Duration,
        stop: &CancellationToken,
    ) -> Result<Woken, ImapError> {
        self.view.changed = false;
        if std::mem::take(&mut self.view.arrived) {
            return Ok(Woken::NewMail);
        }
        let command = Command::new(Verb::Idle, "IDLE");
        let end = Instant::now() + longest;
        let view = &mut self.view;
        let mut exchange = self.wire.begin(&command).await?;
        let until = Instant::now() + command.limit;
        loop {
            match exchange.next(until, |response| view.hear(response)).await? {
                Turn::Continue => break,
                Turn::Untagged(()) => {}
                Turn::Answer(status, reply) => {
                    let done = exchange.end(&status, reply);
                    return Err(done.err().unwrap_or(ImapError::Protocol("IDLE did not begin")));
                }
            }
        }
        let woken = wait(&mut exchange, view, end, stop).await?;
        finish(exchange, view).await?;
        if view.regenerated {
            self.wire.close();
            return Err(ImapError::Regenerated);
        }
        Ok(match (woken, std::mem::take(&mut view.arrived)) {
            (Woken::Stopped, _) | (_, false) => woken,
            (Woken::Timeout, true) => Woken::Unannounced,
            (_, true) => Woken::NewMail,
        })
    }

    /// Asks the server for news; whether the mailbox has grown since it was last listed to its
    /// end or since this was last said.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn noop(&mut self) -> Result<bool, ImapError> {
        self.exec(&Command::new(Verb::Noop, "NOOP"), |_| Heard::Foreign).await?;
        Ok(std::mem::take(&mut self.view.arrived))
    }
}

async fn wait(
    exchange: &mut Exchange<'_>,
    view: &mut View,
    end: Instant,
    stop: &CancellationToken,
) -> Result<Woken, ImapError> {
    let mut until = end.min(Instant::now() + SILENCE);
    loop {
        if view.arrived {
            return Ok(Woken::NewMail);
        }
        if view.elsewhere {
            return Ok(Woken::Elsewhere);
        }
        if view.changed || view.regenerated {
            return Ok(Woken::FlagsChanged);
        }
        // Both branches may be dropped at any time: a response that has come in part stays in
        // the connection's buffer.
        let turn = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Woken::Stopped),
            turn = exchange.next(until, |response| view.hear(response)) => turn,
        };
        match turn {
            Ok(Turn::Untagged(())) => until = end.min(Instant::now() + SILENCE),
            Ok(_) => return Err(ImapError::Protocol("it ended IDLE by itself")),
            Err(ImapError::Deadline(_)) => return Ok(Woken::Timeout),
            Err(error) => return Err(error),
        }
    }
}

async fn finish(mut exchange: Exchange<'_>, view: &mut View) -> Result<(), ImapError> {
    let until = Instant::now() + DONE_LIMIT;
    exchange.send("DONE", until).await?;
    loop {
        match exchange.next(until, |response| view.hear(response)).await? {
            Turn::Untagged(()) => {}
            Turn::Continue => return Err(ImapError::Protocol("it begins IDLE twice")),
            Turn::Answer(status, reply) => return exchange.end(&status, reply).map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::scripted::selected;

    const LONG: Duration = Duration::from_mins(4);

    async fn idle(script: &str) -> (Result<Woken, ImapError>, Session) {
        let mut session = selected(3, script).await;
        let woken = session.idle(LONG, &CancellationToken::new()).await;
        (woken, session)
    }

    #[tokio::test(start_paused = true)]
    async fn new_mail_wakes() {
        let (woken, session) = idle(
            "C: IDLE
             S: + idling
             S: * OK still here
             S: * 4 EXISTS
             C+ DONE
             S: * 1 RECENT
             S: %t OK done
             HANG",
        )
        .await;
        assert_eq!((woken, session.is_open()), (Ok(Woken::NewMail), true));
    }

    #[tokio::test(start_paused = true)]
    async fn mail_that_is_reported_before_the_continuation_wakes() {
        let (woken, _) = idle(
            "C: IDLE
             S: * 4 EXISTS
             S: + idling
             C+ DONE
             S: %t OK done
             HANG",
        )
        .await;
        assert_eq!(woken, Ok(Woken::NewMail));
    }

    #[tokio::test(start_paused = true)]
    async fn mail_that_was_reported_in_another_answer_wakes_without_a_command() {
        let mut session = selected(
            3,
            "C: UID SEARCH KEYWORD k
             S: * SEARCH
             S: * 4 EXISTS
             S: %t OK done
             HANG",
        )
        .await;
        session.search_keyword(&"k".parse().expect("valid")).await.expect("an answer");
        let woken = session.idle(LONG, &CancellationToken::new()).await;
        assert_eq!(woken, Ok(Woken::NewMail));
    }

    #[tokio::test(start_paused = true)]
    async fn flags_and_expunges_wake_otherwise() {
        for event in ["* 2 EXPUNGE", "* 2 FETCH (FLAGS (\\Seen))"] {
            let script = format!("C: IDLE\nS: + x\nS: {event}\nC+ DONE\nS: %t OK done\nHANG");
            assert_eq!(idle(&script).await.0, Ok(Woken::FlagsChanged), "{event}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_in_time_and_when_told_to() {
        let script = "C: IDLE\nS: + x\nC+ DONE\nS: %t OK done\nHANG";
        let began = Instant::now();
        assert_eq!(idle(script).await.0, Ok(Woken::Timeout));
        assert_eq!(began.elapsed(), SILENCE);
        let began = Instant::now();
        let signs = "WAIT 120\nS: * OK Still here\n".repeat(2);
        let lasting = format!("C: IDLE\nS: + x\n{signs}C+ DONE\nS: %t OK done\nHANG");
        assert_eq!(idle(&lasting).await.0, Ok(Woken::Timeout));
        assert_eq!(began.elapsed(), LONG, "signs of life let it wait on");
        let stop = CancellationToken::new();
        stop.cancel();
        let mut session = selected(3, script).await;
        assert_eq!(session.idle(LONG, &stop).await, Ok(Woken::Stopped));
    }

    #[tokio::test(start_paused = true)]
    async fn mail_that_is_reported_only_at_done_was_not_announced() {
        let script = "C: IDLE\nS: + x\nC+ DONE\nS: * 4 EXISTS\nS: %t OK done\nHANG";
        assert_eq!(idle(script).await.0, Ok(Woken::Unannounced));
    }

    #[tokio::test(start_paused = true)]
    async fn a_no_leaves_the_session_for_polling() {
        let (woken, mut session) = idle(
            "C: IDLE
             S: %t NO not now
             C: NOOP
             S: * 4 EXISTS
             S: %t OK done
             HANG",
        )
        .await;
        assert_eq!(woken.expect_err("refused").kind(), "refused");
        assert_eq!(session.noop().await, Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_connection_is_told_as_what_it_was() {
        assert_eq!(idle("C: IDLE\nS: + x").await.0, Err(ImapError::Closed));
        let (woken, session) = idle("C: IDLE\nS: + x\nS: * BYE [UNAVAILABLE] restart\nHANG").await;
        assert_eq!((woken.expect_err("goodbye").kind(), session.is_open()), ("bye", false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_died_silently_shows_at_done() {
        let began = Instant::now();
        let (woken, session) = idle("C: IDLE\nS: + x\nHANG").await;
        assert_eq!((woken, session.is_open()), (Err(ImapError::Deadline("IDLE")), false));
        assert_eq!(began.elapsed(), SILENCE + DONE_LIMIT);
        assert!(began.elapsed() <= Duration::from_mins(3));
    }
}
