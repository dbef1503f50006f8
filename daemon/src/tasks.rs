//! The one way to start a task: tracked, named, and told when to stop.
//!
//! Deliberately absent: restarting a task. A task that ends by itself ends the process, so that
//! what restarts it is the same code that starts it, and nothing half-dead is ever serving.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How a task learns that it shall end.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Finish the chunk in hand, begin no other, then return.
    pub soft: CancellationToken,
    /// Time is up: the future is dropped where it stands. What it had planned is in the store.
    pub hard: CancellationToken,
}

/// A task that ended though nobody had asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Ended {
    /// The name of the task.
    pub task: String,
    /// What it said, if it could.
    pub reason: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task {:?} {}", self.task, self.reason)
    }
}

/// All tasks of the daemon; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: Stop,
    first: Arc<OnceLock<Ended>>,
}

impl Tasks {
    /// The tokens that every task gets.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Starts a task. Unless a stop was asked for before, its end, its failure or its panic is
    /// written down as the reason and asks all others to stop.
    pub fn spawn<F, E>(&self, name: &str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        self.spawn_until(name, self.stop.soft.clone(), task);
    }

    /// The same for a task that may be asked to end alone, by cancelling `asked`, a child of the
    /// soft stop: then it has not ended by itself.
    pub fn spawn_until<F, E>(&self, name: &str, asked: CancellationToken, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let mut watch = Watch {
            tasks: self.clone(),
            asked,
            ended: Ended { task: name.to_owned(), reason: "panicked".to_owned() },
        };
        self.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = watch.tasks.stop.hard.cancelled() => {}
                result = task => watch.note(&result),
            }
        });
    }

    /// The first task that ended though nobody had asked.
    pub fn ended(&self) -> Option<&Ended> {
        self.first.get()
    }

    /// How many tasks are running.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until all tasks have ended.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Notices the end of one task, however it came: it is dropped with the task.
struct Watch {
    tasks: Tasks,
    asked: CancellationToken,
    ended: Ended,
}

impl Watch {
    fn note<E: fmt::Display>(&mut self, result: &Result<(), E>) {
        self.ended.reason = match result {
            Ok(()) => "ended by itself".to_owned(),
            Err(error) => format!("failed: {error}"),
        };
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Stop { soft, hard } = &self.tasks.stop;
        if !self.asked.is_cancelled() && !hard.is_cancelled() {
            let _ = self.tasks.first.set(self.ended.clone());
            soft.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_stops_all_others_and_is_named() {
        let tasks = Tasks::default();
        let soft = tasks.stop().soft.clone();
        tasks.spawn("patient", async move {
            soft.cancelled().await;
            Ok::<_, Infallible>(())
        });
        tasks.spawn("account", async { Err("no more mail") });
        tasks.finished().await;
        let ended = tasks.ended().expect("it was not asked to end");
        assert_eq!(ended.to_string(), "the task \"account\" failed: no more mail");
    }

    #[tokio::test]
    async fn a_panic_is_an_end_too() {
        let tasks = Tasks::default();
        tasks.spawn("fragile", async {
            assert!(tokio::task::try_id().is_none(), "breaks here");
            Ok::<_, Infallible>(())
        });
        tasks.finished().await;
        assert_eq!(tasks.ended().map(|ended| ended.reason.as_str()), Some("panicked"));
    }

    #[tokio::test]
    async fn one_that_was_asked_to_end_alone_stops_nobody_else() {
        let tasks = Tasks::default();
        let asked = tasks.stop().soft.child_token();
        let (heard, others) = (asked.clone(), tasks.stop().soft.clone());
        tasks.spawn("others", async move {
            others.cancelled().await;
            Ok::<_, Infallible>(())
        });
        tasks.spawn_until("account", asked.clone(), async move {
            heard.cancelled().await;
            Ok::<_, Infallible>(())
        });
        asked.cancel();
        while tasks.running() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!((tasks.ended(), tasks.stop().soft.is_cancelled()), (None, false));
        // All the same it may not end before it is asked.
        tasks.spawn_until("hasty", tasks.stop().soft.child_token(), async {
            Ok::<_, Infallible>(())
        });
        tasks.finished().await;
        assert_eq!(tasks.ended().map(|ended| ended.task.as_str()), Some("hasty"));
    }

    #[tokio::test]
    async fn the_hard_stop_ends_a_task_that_does_not_listen() {
        let tasks = Tasks::default();
        tasks.spawn("deaf", std::future::pending::<Result<(), Infallible>>());
        tasks.stop().soft.cancel();
        tasks.stop().hard.cancel();
        tasks.finished().await;
        assert_eq!((tasks.ended(), tasks.running()), (None, 0));
    }
}
