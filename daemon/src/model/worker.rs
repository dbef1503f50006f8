//! The threads that read texts: one owns the queue and hands single texts to the readers, each of
//! which owns one session of the model.
//!
//! One text is one run of the model. The network is quantised dynamically, with one scale for the
//! whole input, so texts that shared a run would change each other's scores.
//!
//! A text is answered exactly once, whatever happens: by the model, by its error, after a panic,
//! or with `Stopped` when it is dropped unread.
//!
//! Another model comes by the queue too. What was asked before it is read by the model before, to
//! the last text of a request, so every answer names one model for all its texts. What the model
//! is (`M`) does not matter here.

use std::io;
use std::mem;
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

/// A model with its sessions, one a reader.
pub(super) struct Readers<M> {
    pub(super) backends: Vec<Box<dyn Backend>>,
    pub(super) model: Arc<M>,
}

/// What comes by the queue.
pub(super) enum Command<M> {
    Read(Request<M>),
    /// From the next request on, these read.
    Swap(Readers<M>, oneshot::Sender<io::Result<()>>),
}

/// Texts that somebody waits for.
pub(super) struct Request<M> {
    pub(super) texts: Vec<String>,
    pub(super) reply: oneshot::Sender<Answered<M>>,
}

/// The answers of one request, in the order of its texts, and the model that gave all of them.
#[derive(Debug)]
pub(super) struct Answered<M> {
    pub(super) model: Arc<M>,
    pub(super) answers: Vec<Answer>,
}

/// Starts one reader thread for each backend and the thread that owns `queue`.
///
/// They end when all senders of the queue are gone; with `stop` set, without reading what waits.
pub(super) fn spawn<M: Send + Sync + 'static>(
    readers: Readers<M>,
    queue: mpsc::Receiver<Command<M>>,
    stop: &Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    let crew = Crew::start(readers, stop)?;
    let stop = Arc::clone(stop);
    let thread = thread::Builder::new().name("model-queue".to_owned());
    thread.spawn(move || own(queue, crew, &stop))
}

fn own<M: Send + Sync + 'static>(
    mut queue: mpsc::Receiver<Command<M>>,
    mut crew: Crew<M>,
    stop: &Arc<AtomicBool>,
) {
    while let Some(command) = queue.blocking_recv() {
        match command {
            Command::Read(request) => crew.read(request),
            Command::Swap(readers, reply) => {
                let swapped = Crew::start(readers, stop).map(|new| mem::replace(&mut crew, new));
                // The last texts of the model before are read and its memory is free before
                // anybody hears of the new one. Whoever asked for it may have gone away.
                let _ = reply.send(swapped.map(Crew::end));
            }
        }
    }
    crew.end();
}

/// The threads that read with one model.
struct Crew<M> {
    jobs: SyncSender<Job<M>>,
    readers: Vec<JoinHandle<()>>,
    model: Arc<M>,
}

impl<M: Send + Sync + 'static> Crew<M> {
    fn start(Readers { backends, model }: Readers<M>, stop: &Arc<AtomicBool>) -> io::Result<Self> {
        // As many texts as readers: each finds its next one without waiting for the owner.
        let (jobs, waiting) = sync_channel(backends.len());
        // The readers alone keep the receiving end: when they are gone, the owner notices.
        let waiting = Arc::new(Mutex::new(waiting));
        let mut readers = Vec::with_capacity(backends.len());
        for (number, backend) in backends.into_iter().enumerate() {
            let (waiting, stop) = (Arc::clone(&waiting), Arc::clone(stop));
            let thread = thread::Builder::new().name(format!("model-{number}"));
            readers.push(thread.spawn(move || read_all(backend, &waiting, &stop))?);
        }
        Ok(Self { jobs, readers, model })
    }

    fn read(&self, request: Request<M>) {
        for job in Job::all_of(request, &self.model) {
            // Fails only when no reader lives; the job then answers for itself as it is dropped.
            let _ = self.jobs.send(job);
        }
    }

    /// Waits until all texts that were handed out are read and the sessions are gone.
    fn end(self) {
        drop(self.jobs);
        for reader in self.readers {
            // A reader does not panic: `read_all` catches what the backend throws.
            let _ = reader.join();
        }
    }
}

fn read_all<M>(
    mut backend: Box<dyn Backend>,
    waiting: &Mutex<Receiver<Job<M>>>,
    stop: &AtomicBool,
) {
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
struct Job<M> {
    text: String,
    place: usize,
    request: Arc<Mutex<Gathering<M>>>,
}

/// The answers of one request as they come in.
struct Gathering<M> {
    model: Arc<M>,
    answers: Vec<Option<Answer>>,
    missing: usize,
    reply: Option<oneshot::Sender<Answered<M>>>,
}

impl<M> Job<M> {
    fn all_of(Request { texts, reply }: Request<M>, model: &Arc<M>) -> Vec<Self> {
        let (missing, model, reply) = (texts.len(), Arc::clone(model), Some(reply));
        let mut gathering = Gathering { model, answers: vec![None; missing], missing, reply };
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

impl<M> Drop for Job<M> {
    /// A text that nobody read must not let anybody wait for ever.
    fn drop(&mut self) {
        self.answer(Err(TextError::Stopped));
    }
}

impl<M> Gathering<M> {
    fn reply_when_complete(&mut self) {
        if self.missing == 0
            && let Some(reply) = self.reply.take()
        {
            let answers = self.answers.drain(..).flatten().collect();
            // Whoever asked may have gone away.
            let _ = reply.send(Answered { model: Arc::clone(&self.model), answers });
        }
    }
}

#[cfg(test)]
mod tests;
