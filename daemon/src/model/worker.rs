//! The threads that read texts: one owns the queue and hands single texts to the readers, each of
//! which owns one session of the model.
//!
//! One text is one run of the model. The network is quantised dynamically, with one scale for the
//! whole input, so texts that shared a run would change each other's scores.
//!
//! A text is answered exactly once, whatever happens: by the model, by its error, after a panic,
//! or with `Stopped` when it is dropped unread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};
use triaged_core::score::Prediction;

use super::backend::Backend;
use super::error::TextError;

/// What becomes of one text.
pub(super) type Answer = Result<Prediction, TextError>;

/// Texts that somebody waits for.
pub(super) struct Request {
    pub(super) texts: Vec<String>,
    pub(super) reply: oneshot::Sender<Vec<Answer>>,
}

/// Starts one reader thread for each backend and the thread that owns `queue`.
///
/// They end when all senders of the queue are gone; with `stop` set, without reading what waits.
pub(super) fn spawn(
    backends: Vec<Box<dyn Backend>>,
    queue: mpsc::Receiver<Request>,
    stop: &Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    // As many texts as readers: each finds its next one without waiting for the owner.
    let (jobs, waiting) = sync_channel(backends.len());
    let waiting = Arc::new(Mutex::new(waiting));
    let mut readers = Vec::with_capacity(backends.len());
    for (number, backend) in backends.into_iter().enumerate() {
        let (waiting, stop) = (Arc::clone(&waiting), Arc::clone(stop));
        let thread = thread::Builder::new().name(format!("model-{number}"));
        readers.push(thread.spawn(move || read_all(backend, &waiting, &stop))?);
    }
    // The readers alone keep the receiving end: when they are gone, the owner notices.
    drop(waiting);
    let thread = thread::Builder::new().name("model-queue".to_owned());
    thread.spawn(move || own(queue, jobs, readers))
}

fn own(mut queue: mpsc::Receiver<Request>, jobs: SyncSender<Job>, readers: Vec<JoinHandle<()>>) {
    while let Some(request) = queue.blocking_recv() {
        for job in Job::all_of(request) {
            // Fails only when no reader lives; the job then answers for itself as it is dropped.
            let _ = jobs.send(job);
        }
    }
    drop(jobs);
    for reader in readers {
        // A reader does not panic: `read_all` catches what the backend throws.
        let _ = reader.join();
    }
}

fn read_all(mut backend: Box<dyn Backend>, waiting: &Mutex<Receiver<Job>>, stop: &AtomicBool) {
    loop {
        // The lock is held while waiting: the other readers wait for it instead of the channel.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if stop.load(Ordering::Relaxed) || job.is_unwanted() {
            continue;
        }
        // A panic's message may quote the text, so it is not kept.
        let answer = catch_unwind(AssertUnwindSafe(|| backend.read(&job.text)))
            .unwrap_or(Err(TextError::Panicked));
        job.answer(answer);
    }
}

/// One text of a request.
struct Job {
    text: String,
    place: usize,
    request: Arc<Mutex<Gathering>>,
}

/// The answers of one request as they come in.
struct Gathering {
    answers: Vec<Option<Answer>>,
    missing: usize,
    reply: Option<oneshot::Sender<Vec<Answer>>>,
}

impl Job {
    fn all_of(Request { texts, reply }: Request) -> Vec<Self> {
        let missing = texts.len();
        let mut gathering = Gathering { answers: vec![None; missing], missing, reply: Some(reply) };
        gathering.reply_when_complete();
        let request = Arc::new(Mutex::new(gathering));
        let texts = texts.into_iter().enumerate();
        texts.map(|(place, text)| Self { text, place, request: Arc::clone(&request) }).collect()
    }

    /// Whether whoever asked has gone away.
    fn is_unwanted(&self) -> bool {
        let request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        request.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn answer(&self, answer: Answer) {
        let mut request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place @ None) = request.answers.get_mut(self.place) {
            *place = Some(answer);
            request.missing -= 1;
            request.reply_when_complete();
        }
    }
}

impl Drop for Job {
    /// A text that nobody read must not let anybody wait for ever.
    fn drop(&mut self) {
        self.answer(Err(TextError::Stopped));
    }
}

impl Gathering {
    fn reply_when_complete(&mut self) {
        if self.missing == 0
            && let Some(reply) = self.reply.take()
        {
            // Whoever asked may have gone away.
            let _ = reply.send(self.answers.drain(..).flatten().collect());
        }
    }
}

#[cfg(test)]
mod tests;
