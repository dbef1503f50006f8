//! The handle to a running model: texts in, predictions out, from any thread or task; and the way
//! by which another model takes its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use triaged_core::label::KeywordMap;

use super::bundle::ModelBundle;
use super::engine::{Engine, ModelOptions, ServedModel};
use super::error::{ModelError, TextError};
use super::worker::{self, Answer, Answered, Command, Request};

/// Requests that may wait; whoever sends one more waits. Two a core of a common machine keep the
/// readers busy, more would only hold texts in memory.
const QUEUE: usize = 8;

/// A running model. Clones share it; with the last one its threads end.
#[derive(Clone)]
pub struct Classifier {
    running: Arc<Running>,
}

struct Running {
    queue: Mutex<Option<mpsc::Sender<Command<ServedModel>>>>,
    owner: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
    model: Mutex<Arc<ServedModel>>,
}

/// The answers to some texts, in their order, with the one model that gave all of them.
#[derive(Debug)]
pub struct Answers {
    /// Who answered: its labels, keywords and version belong to these answers.
    pub model: Arc<ServedModel>,
    /// One prediction or error for each text.
    pub answers: Vec<Answer>,
}

/// An answer on its way.
#[must_use = "the predictions are in the answer"]
pub struct Pending(oneshot::Receiver<Answered<ServedModel>>);

impl Classifier {
    /// Opens a bundle as [`Engine::open`] does and starts to serve it, without keywords.
    pub fn start(bundle: ModelBundle, options: &ModelOptions) -> Result<Self, ModelError> {
        Self::serve(Engine::open(bundle, KeywordMap::default(), options)?)
    }

    /// Starts the threads that read with `engine`.
    pub fn serve(engine: Engine) -> Result<Self, ModelError> {
        let (queue, commands) = mpsc::channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let model = Mutex::new(Arc::clone(engine.model()));
        let owner =
            worker::spawn(engine.into_readers(), commands, &stop).map_err(ModelError::Thread)?;
        let (queue, owner) = (Mutex::new(Some(queue)), Mutex::new(Some(owner)));
        Ok(Self { running: Arc::new(Running { queue, owner, stop, model }) })
    }

    /// Lets `engine` answer whatever is asked from now on. Texts that were handed in before are
    /// read by the model before; when this returns, they are, and its memory is free.
    ///
    /// # Errors
    /// The system gives no threads, or the classifier was shut down; then nothing has changed.
    pub async fn swap(&self, engine: Engine) -> Result<(), ModelError> {
        let (reply, swapped) = oneshot::channel();
        let model = Arc::clone(engine.model());
        self.send(Command::Swap(engine.into_readers(), reply)).await?;
        swapped.await.map_err(|_| ModelError::Stopped)?.map_err(ModelError::Thread)?;
        *self.running.model.lock().unwrap_or_else(PoisonError::into_inner) = model;
        Ok(())
    }

    /// One prediction or error for each text, in the order of the texts, however other callers'
    /// texts are mixed in. Waits while the queue is full.
    pub async fn classify(&self, texts: Vec<String>) -> Result<Answers, ModelError> {
        let (reply, answers) = oneshot::channel();
        self.send(Command::Read(Request { texts, reply })).await?;
        complete(answers.await.map_err(|_| ModelError::Stopped)?)
    }

    /// The same for a thread that may block; panics within an asynchronous task.
    pub fn classify_blocking(&self, texts: Vec<String>) -> Result<Vec<Answer>, ModelError> {
        self.submit_blocking(texts)?.wait()
    }

    /// Hands texts in and returns at once, unless the queue is full; panics within an
    /// asynchronous task.
    pub fn submit_blocking(&self, texts: Vec<String>) -> Result<Pending, ModelError> {
        let (reply, answers) = oneshot::channel();
        let request = Command::Read(Request { texts, reply });
        self.queue()?.blocking_send(request).map_err(|_| ModelError::Stopped)?;
        Ok(Pending(answers))
    }

    /// The model that answers now. An answer may come from the one before: see [`Answers::model`].
    pub fn model(&self) -> Arc<ServedModel> {
        Arc::clone(&self.running.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the threads after the texts that are being read now; those that wait are answered
    /// with `Stopped`. The same happens when the last clone is dropped.
    pub fn shutdown(&self) {
        self.running.end();
    }

    async fn send(&self, command: Command<ServedModel>) -> Result<(), ModelError> {
        self.queue()?.send(command).await.map_err(|_| ModelError::Stopped)
    }

    fn queue(&self) -> Result<mpsc::Sender<Command<ServedModel>>, ModelError> {
        let queue = self.running.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clone().ok_or(ModelError::Stopped)
    }
}

impl Pending {
    /// Blocks until every text is answered; panics within an asynchronous task.
    pub fn wait(self) -> Result<Vec<Answer>, ModelError> {
        let answered = self.0.blocking_recv().map_err(|_| ModelError::Stopped)?;
        Ok(complete(answered)?.answers)
    }
}

impl Running {
    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(owner) = owner {
            // The owner does not panic; if it did, its threads are gone all the same.
            let _ = owner.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A text that was dropped unread is no fault of the text: then the whole answer is `Stopped`.
fn complete(Answered { model, answers }: Answered<ServedModel>) -> Result<Answers, ModelError> {
    if answers.contains(&Err(TextError::Stopped)) {
        return Err(ModelError::Stopped);
    }
    Ok(Answers { model, answers })
}
