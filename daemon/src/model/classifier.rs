//! The handle to a running model: texts in, predictions out, from any thread or task.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};
use triaged_core::config::{ModelConfig, Provider};

use super::backend::Backend;
use super::bundle::ModelBundle;
use super::error::{ModelError, TextError};
use super::library::open_library;
use super::manifest::Manifest;
use super::onnx::{OnnxBackend, Sessions};
use super::provider::ProviderReport;
use super::worker::{self, Answer, Request};

/// Requests that may wait; whoever sends one more waits. Two a core of a common machine keep the
/// readers busy, more would only hold texts in memory.
const QUEUE: usize = 8;

/// Sessions that are opened where nobody says a number: each costs memory of its own (some 30 MiB
/// with the default model), and four read more mail than most servers receive.
const MOST_BY_ITSELF: usize = 4;

/// How the model is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// The ONNX Runtime library; `None` searches the usual places.
    pub library: Option<PathBuf>,
    /// Where to compute.
    pub provider: Provider,
    /// Texts that are read at the same time, one thread each; 0 takes every core, up to four.
    pub threads: usize,
}

/// A running model. Clones share it; with the last one its threads end.
#[derive(Clone)]
pub struct Classifier {
    running: Arc<Running>,
}

impl From<&ModelConfig> for ModelOptions {
    fn from(config: &ModelConfig) -> Self {
        let ModelConfig { bundle: _, library, provider, threads } = config.clone();
        Self { library, provider, threads }
    }
}

struct Running {
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    owner: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
    manifest: Arc<Manifest>,
    version: String,
    provider: ProviderReport,
}

/// An answer on its way.
#[must_use = "the predictions are in the answer"]
pub struct Pending(oneshot::Receiver<Vec<Answer>>);

impl Classifier {
    /// Opens the library, loads the model, tries it on the largest input and starts its threads.
    /// Takes from a tenth of a second to some seconds, and blocks for so long.
    pub fn start(bundle: ModelBundle, options: &ModelOptions) -> Result<Self, ModelError> {
        let library = open_library(options.library.as_deref())?;
        let count = match options.threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get).min(MOST_BY_ITSELF),
            count => count,
        };
        let Sessions { sessions, provider } =
            Sessions::open(library, &bundle, options.provider, count)?;
        if let Some(note) = &provider.note {
            tracing::warn!(provider = provider.used.as_str(), "{note}");
        }
        let (path, version) = (bundle.model_path(), bundle.version());
        let (manifest, tokens) = bundle.into_parts();
        let (manifest, tokens) = (Arc::new(manifest), Arc::new(tokens));
        let mut backends: Vec<Box<dyn Backend>> = Vec::with_capacity(sessions.len());
        for session in sessions {
            let backend = OnnxBackend::new(session, Arc::clone(&manifest), Arc::clone(&tokens));
            let misfit = |problem| ModelError::Misfit { path: path.clone(), problem };
            backends.push(Box::new(backend.map_err(misfit)?));
        }
        let (queue, requests) = mpsc::channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let owner = worker::spawn(backends, requests, &stop).map_err(ModelError::Thread)?;
        let (queue, owner) = (Mutex::new(Some(queue)), Mutex::new(Some(owner)));
        let running = Running { queue, owner, stop, manifest, version, provider };
        Ok(Self { running: Arc::new(running) })
    }

    /// One prediction or error for each text, in the order of the texts, however other callers'
    /// texts are mixed in. Waits while the queue is full.
    pub async fn classify(&self, texts: Vec<String>) -> Result<Vec<Answer>, ModelError> {
        let (reply, answers) = oneshot::channel();
        let request = Request { texts, reply };
        self.queue()?.send(request).await.map_err(|_| ModelError::Stopped)?;
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
        let request = Request { texts, reply };
        self.queue()?.blocking_send(request).map_err(|_| ModelError::Stopped)?;
        Ok(Pending(answers))
    }

    /// What the model says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.running.manifest
    }

    /// Name and version as they are stored beside each decision, for example `default-1`.
    pub fn version(&self) -> &str {
        &self.running.version
    }

    /// Where it computes, with one line where that is not what was asked for.
    pub fn provider(&self) -> &ProviderReport {
        &self.running.provider
    }

    /// Ends the threads after the texts that are being read now; those that wait are answered
    /// with `Stopped`. The same happens when the last clone is dropped.
    pub fn shutdown(&self) {
        self.running.end();
    }

    fn queue(&self) -> Result<mpsc::Sender<Request>, ModelError> {
        let queue = self.running.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clone().ok_or(ModelError::Stopped)
    }
}

impl Pending {
    /// Blocks until every text is answered; panics within an asynchronous task.
    pub fn wait(self) -> Result<Vec<Answer>, ModelError> {
        complete(self.0.blocking_recv().map_err(|_| ModelError::Stopped)?)
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
fn complete(answers: Vec<Answer>) -> Result<Vec<Answer>, ModelError> {
    if answers.contains(&Err(TextError::Stopped)) {
        return Err(ModelError::Stopped);
    }
    Ok(answers)
}
