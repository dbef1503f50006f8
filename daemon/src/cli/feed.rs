//! Messages through the model and back in their order: what `classify` and `eval` have in common.
//!
//! One thread reads and parses, the model's threads classify, the caller takes the answers. At most
//! [`IN_FLIGHT`] messages are between the three, however long the input is.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use triaged::model::{Classifier, Pending};
use triaged_core::score::Prediction;

use super::{Exit, Failure, OrExit, STACK};

/// Enough to keep the model busy while one long mail is parsed or read.
const IN_FLIGHT: usize = 64;

/// A message for the model.
pub(super) struct Fed<T> {
    /// Where it is from, for errors.
    pub(super) file: String,
    /// What shall come back with the answer.
    pub(super) kept: T,
    /// What the model reads.
    pub(super) text: String,
}

/// A message that the model has answered.
pub(super) struct Answered<T> {
    pub(super) file: String,
    pub(super) kept: T,
    pub(super) prediction: Prediction,
}

/// The answers, in the order in which the messages were fed.
pub(super) struct Answers<T>(Receiver<Waiting<T>>);

/// A message on its way through the model, or why there is none.
enum Waiting<T> {
    Message { file: String, kept: T, answer: Pending },
    Unreadable(String),
}

/// Feeds the model with what `messages` yields (a message, or why it can not be read), on a thread
/// that may parse hostile mail, and lets `consume` take the answers.
pub(super) fn feed<T: Send, I, R>(
    classifier: &Classifier,
    messages: impl FnOnce() -> I + Send,
    consume: impl FnOnce(&Answers<T>) -> R,
) -> Result<R, Failure>
where
    I: Iterator<Item = Result<Fed<T>, String>>,
{
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(IN_FLIGHT);
        let reader = thread::Builder::new().name("reader".to_owned()).stack_size(STACK);
        reader
            .spawn_scoped(scope, move || send_all(messages(), classifier, &sender))
            .or_exit(Exit::Config)?;
        // With the answers dropped the reader ends too, also when `consume` gave up.
        Ok(consume(&Answers(receiver)))
    })
}

/// Sends every message on its way, until nobody takes answers any more.
fn send_all<T>(
    messages: impl Iterator<Item = Result<Fed<T>, String>>,
    classifier: &Classifier,
    sender: &SyncSender<Waiting<T>>,
) {
    for message in messages {
        let waiting = match message {
            Ok(Fed { file, kept, text }) => match classifier.submit_blocking(vec![text]) {
                Ok(answer) => Waiting::Message { file, kept, answer },
                Err(error) => Waiting::Unreadable(format!("{file}: {error}")),
            },
            Err(problem) => Waiting::Unreadable(problem),
        };
        if sender.send(waiting).is_err() {
            return;
        }
    }
}

impl<T> Answers<T> {
    /// The next message with its answer, or why it has none; `None` after the last. Where there is
    /// none yet, `idle` is called before the wait for it.
    pub(super) fn next<E>(
        &self,
        idle: impl FnOnce() -> Result<(), E>,
    ) -> Result<Option<Result<Answered<T>, String>>, E> {
        let waiting = match self.0.try_recv() {
            Ok(waiting) => Some(waiting),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                idle()?;
                self.0.recv().ok()
            }
        };
        Ok(waiting.map(Waiting::answered))
    }
}

impl<T> Waiting<T> {
    fn answered(self) -> Result<Answered<T>, String> {
        let (file, kept, answer) = match self {
            Self::Unreadable(problem) => return Err(problem),
            Self::Message { file, kept, answer } => (file, kept, answer),
        };
        let answers = answer.wait().map_err(|error| format!("{file}: {error}"))?;
        match answers.into_iter().next() {
            Some(Ok(prediction)) => Ok(Answered { file, kept, prediction }),
            Some(Err(error)) => Err(format!("{file}: {error}")),
            None => Err(format!("{file}: the model gave no answer")),
        }
    }
}
