//! From the first signal to the last task: how the process is asked to stop, and how it stops.
//!
//! Deliberately absent: the exit code, which is the command line's, and reloading.

mod notify;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::system::uname;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

pub use self::notify::Supervision;
use crate::pulse::Pulse;
use crate::readiness::Readiness;
use crate::tasks::{Ended, Tasks};

/// How long a task may take to finish the chunk in hand. A chunk's slowest step is one command at
/// its deadline; systemd asks for less than its `TimeoutStopSec`.
const DRAIN: Duration = Duration::from_secs(20);
/// How long dropped tasks may take to be gone; they do nothing in it but free what they held.
const LAST: Duration = Duration::from_secs(2);

/// The signals that ask the process to stop: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over from the kernel's default, which is to die at once.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Raises the limit of open files (`RLIMIT_NOFILE` of getrlimit(2)) as far as this process may, and says
/// how many there may be. Where it can not be raised it stays as it is.
pub fn open_more_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    raised.map_or(current, |()| maximum).unwrap_or(u64::MAX)
}

/// What this machine calls itself.
pub fn machine_name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// Attends to the running daemon until a signal or the end of a task, then drains it: the soft
/// stop first, the hard one at a second signal or after 20 seconds.
///
/// # Errors
/// The task that ended though nobody had asked.
pub async fn attend(
    mut signals: Signals,
    tasks: &Tasks,
    readiness: &Readiness,
    pulse: &Pulse,
    supervision: &Supervision,
) -> Result<(), Ended> {
    tokio::select! {
        name = signals.next() => info!(signal = name, "asked to stop; finishing what is in hand"),
        () = tasks.stop().soft.cancelled() => {}
        () = supervision.ready_and_status(readiness) => {}
        () = supervision.watchdog(pulse) => {}
    }
    if let Some(ended) = tasks.ended() {
        error!(task = ended.task, reason = ended.reason, "a task ended by itself; stopping");
    }
    supervision.stopping();
    drain(&mut signals, tasks).await;
    tasks.ended().cloned().map_or(Ok(()), Err)
}

async fn drain(signals: &mut Signals, tasks: &Tasks) {
    tasks.stop().soft.cancel();
    tokio::select! {
        () = tasks.finished() => {
            info!("stopped; nothing was left in hand");
            return;
        }
        name = signals.next() => warn!(signal = name, "asked again; stopping at once"),
        () = tokio::time::sleep(DRAIN) => warn!(tasks = tasks.running(), "they do not end; stopping at once"),
    }
    tasks.stop().hard.cancel();
    if tokio::time::timeout(LAST, tasks.finished()).await.is_err() {
        error!(tasks = tasks.running(), "some are held by a call that does not return");
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::clock::Clock;

    async fn attended(tasks: &Tasks) -> Result<(), Ended> {
        let readiness = Readiness::new(["a".to_owned()], Clock.now());
        let signals = Signals::listen().expect("signals can be heard");
        let pulse = Pulse::default();
        attend(signals, tasks, &readiness, &pulse, &Supervision::default()).await
    }

    #[tokio::test]
    async fn a_task_that_fails_ends_the_process_with_its_name() {
        let tasks = Tasks::default();
        let soft = tasks.stop().soft.clone();
        tasks.spawn("http", async move {
            soft.cancelled().await;
            Ok::<_, Infallible>(())
        });
        tasks.spawn("account", async { Err("the store is gone") });
        let ended = attended(&tasks).await.expect_err("a task failed");
        assert_eq!(ended.task, "account");
        assert_eq!(tasks.running(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_listen_is_dropped_at_the_deadline() {
        let tasks = Tasks::default();
        tasks.spawn("deaf", std::future::pending::<Result<(), Infallible>>());
        tasks.stop().soft.cancel();
        let before = tokio::time::Instant::now();
        assert_eq!(attended(&tasks).await, Ok(()));
        assert_eq!(before.elapsed().as_secs(), DRAIN.as_secs());
        assert_eq!(tasks.running(), 0);
    }
}
