//! The one login that opens every mailbox of a server, as all its accounts see it.
//!
//! A refusal says either that this user can not be opened, or that the master's password is wrong;
//! servers do not tell which. So one that may be wrong is tried by one account at a time: at the
//! start, and after each refusal, until somebody is let in. When three users in a row were refused
//! and nobody was let in between, the master is shut: then one user is tried every five minutes, and
//! nobody else before the credential has changed or SIGHUP has come. That is four attempts in ten
//! minutes, where guards like fail2ban shut a machine out after five. A user who alone is refused
//! shuts only its own door.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::STEP;
use crate::clock::Clock;
use crate::pulse::Heart;
use crate::secret::Mark;

/// Users in a row that were refused, after which the master is shut.
const MOST_REFUSED: usize = 3;
/// Between two attempts while it is shut.
const PAUSE: Duration = Duration::from_mins(5);
/// Logins at the same time while the master is known to be right: what the gate lets through in a
/// second, at a fifth of a second each. So many are refused in vain when it is right no more.
const AT_ONCE: usize = 4;
/// A login that takes longer says nothing about the master, and must not hold up the others.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module; clones are the same.
#[derive(Debug, Clone)]
pub struct Master(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    doubt: Mutex<Doubt>,
    /// Taken while the master may be wrong.
    one: Arc<Semaphore>,
    /// Taken while it is right.
    some: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Doubt {
    /// Somebody was let in, and nobody was refused since.
    proven: bool,
    /// Who was refused since somebody was let in.
    refused: BTreeSet<String>,
    /// How the credential stood then.
    mark: Mark,
    /// When the next attempt is due while it is shut.
    due: Option<Instant>,
}

/// Whether an account may try the master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is not shut, or not any more.
    Open,
    /// It is shut, and an attempt is due: this account's.
    Probe,
    /// Not now.
    Shut,
}

/// The right to log in now.
#[derive(Debug)]
pub(super) struct Turn {
    permit: Option<OwnedSemaphorePermit>,
}

impl Master {
    /// One of which nothing is known.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            doubt: Mutex::default(),
            one: Arc::new(Semaphore::new(1)),
            some: Arc::new(Semaphore::new(AT_ONCE)),
        }))
    }

    fn doubt(&self) -> MutexGuard<'_, Doubt> {
        self.0.doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn; `None` where the master is shut. Who `probes` was asked to try all the same.
    pub(super) async fn turn(&self, probes: bool, heart: &Heart) -> Option<Turn> {
        loop {
            let proven = self.doubt().proven;
            let room = if proven { &self.0.some } else { &self.0.one };
            // Nobody closes the semaphores.
            let permit = heart.through(STEP, Arc::clone(room).acquire_owned()).await.ok();
            if self.is_shut() && !probes {
                return None;
            }
            if self.doubt().proven == proven {
                return Some(Turn { permit });
            }
        }
    }

    /// Somebody was let in.
    pub(super) fn accepted(&self) {
        *self.doubt() = Doubt { proven: true, ..Doubt::default() };
    }

    /// The login for `user` was refused, with the credential as it stood by `mark`.
    pub(super) fn refused(&self, user: &str, mark: &Mark) {
        let now = self.0.clock.monotonic();
        let mut doubt = self.doubt();
        if doubt.mark != *mark {
            *doubt = Doubt { mark: mark.clone(), ..Doubt::default() };
        }
        doubt.proven = false;
        doubt.refused.insert(user.to_owned());
        doubt.due = now.checked_add(PAUSE);
    }

    /// Whether nobody is to try.
    pub(super) fn is_shut(&self) -> bool {
        self.doubt().refused.len() >= MOST_REFUSED
    }

    /// Whether the caller may try, with the credential as it stands by `mark`.
    pub(super) fn lets(&self, mark: &Mark) -> Leave {
        let now = self.0.clock.monotonic();
        let mut doubt = self.doubt();
        if doubt.mark != *mark {
            *doubt = Doubt { mark: mark.clone(), ..Doubt::default() };
        }
        if doubt.refused.len() < MOST_REFUSED {
            return Leave::Open;
        }
        if doubt.due.is_some_and(|due| now < due) {
            return Leave::Shut;
        }
        doubt.due = now.checked_add(PAUSE);
        Leave::Probe
    }

    /// Somebody wants another attempt.
    pub(super) fn reopen(&self) {
        let mut doubt = self.doubt();
        if !doubt.proven {
            *doubt = Doubt { mark: doubt.mark.clone(), ..Doubt::default() };
        }
    }
}

impl Turn {
    /// Waits for a login. One that takes long goes on without its turn, which is the next one's.
    pub(super) async fn during<T>(&mut self, login: impl Future<Output = T>) -> T {
        tokio::pin!(login);
        if let Ok(ended) = tokio::time::timeout(PATIENCE, &mut login).await {
            return ended;
        }
        self.permit = None;
        login.await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::pulse::Pulse;

    fn heart() -> Heart {
        Pulse::default().heart("anna", STEP)
    }

    #[tokio::test]
    async fn an_unproven_master_is_tried_by_one_at_a_time() {
        let (master, heart) = (Master::new(Clock), heart());
        let first = master.turn(false, &heart).await.expect("open");
        let second = master.turn(false, &heart);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        master.accepted();
        drop(first);
        let mut turns = vec![second.await.expect("open")];
        for _ in 1..AT_ONCE {
            turns.push(master.turn(false, &heart).now_or_never().flatten().expect("room"));
        }
        assert!(master.turn(false, &heart).now_or_never().is_none());
    }

    #[tokio::test]
    async fn three_users_refused_in_a_row_shut_it_for_all_and_one_of_them_often_does_not() {
        let (master, heart, mark) = (Master::new(Clock), heart(), Mark::default());
        for user in ["anna", "anna", "anna", "bert"] {
            master.refused(user, &mark);
            assert!(master.turn(false, &heart).await.is_some(), "{user}");
        }
        master.accepted();
        for user in ["anna", "bert", "carl"] {
            assert!(!master.is_shut());
            master.refused(user, &mark);
        }
        assert!(master.is_shut() && master.turn(false, &heart).await.is_none());
        assert_eq!(master.lets(&mark), Leave::Shut, "the next attempt is not due");
        assert!(master.turn(true, &heart).await.is_some(), "who probes may");
        master.accepted();
        assert_eq!(master.lets(&mark), Leave::Open);
    }

    #[tokio::test]
    async fn it_opens_when_somebody_asks() {
        let (master, mark) = (Master::new(Clock), Mark::default());
        for user in ["anna", "bert", "carl"] {
            master.refused(user, &mark);
        }
        master.reopen();
        assert_eq!(master.lets(&mark), Leave::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_hangs_does_not_hold_up_the_others() {
        let (master, heart) = (Master::new(Clock), heart());
        let mut first = master.turn(false, &heart).await.expect("open");
        let hangs = first.during(std::future::pending::<()>());
        let second = master.turn(false, &heart);
        tokio::select! {
            () = hangs => {}
            turn = second => assert!(turn.is_some()),
        }
    }
}
