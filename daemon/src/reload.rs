//! Which version of the model serves: at the start, and whenever somebody chose another one.
//!
//! `<state>/models` is watched, the folder and not the file, because the file is replaced by
//! rename; SIGHUP asks for a look, too. Starting is the same path as a reload: find the version
//! that shall serve, load it, try it, let it serve. One that is refused changes nothing, and is
//! said in the log, in the metrics and in /readyz; at the start the installed bundle serves then.
//!
//! The lists of servers' users have a room of their own, `lists`.
//!
//! Deliberately absent: reloading the configuration. A version whose labels want other keywords
//! than the configuration leaves room for is refused.

mod lists;

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use triaged_core::config::Config;

use crate::metrics::{Metrics, ModelReload};
use crate::model::{
    Classifier, Engine, ModelError, ModelOptions, ServedModel, VersionError, Versions,
};
use crate::readiness::{ModelStanding, Readiness};

pub use lists::{UserList, Whose, whose};

/// A change of a file is several events; after the last one for so long, it is complete.
const QUIET: Duration = Duration::from_millis(200);

/// SIGHUP, which systemd sends at `systemctl reload`.
#[derive(Debug)]
pub struct Hangup {
    signal: Signal,
    /// How often it came, for all who want to hear of it.
    count: watch::Sender<u32>,
}

impl Hangup {
    /// Takes the signal over from the kernel's default, which is to die at once.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { signal: signal(SignalKind::hangup())?, count: watch::Sender::new(0) })
    }

    /// Changes each time that the signal comes.
    pub fn subscribe(&self) -> watch::Receiver<u32> {
        self.count.subscribe()
    }

    async fn next(&mut self) {
        if self.signal.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.count.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The model that serves, and what keeps it the one that shall.
pub struct Models {
    versions: Versions,
    options: ModelOptions,
    classifier: Classifier,
    metrics: Metrics,
    readiness: Readiness,
    /// What was wrong at the last look, so that the next one does not say it again.
    refused: Option<String>,
}

/// What a look at the versions came to.
enum Look {
    /// The model that serves is the one that shall.
    Same,
    /// This one shall serve.
    Other(Engine),
}

impl Models {
    /// Loads the version that shall serve and starts it, or the installed one where that is
    /// refused; then `Err` means that there is none at all. Blocks for as long as that takes.
    pub fn open(
        config: &Config,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Result<Self, VersionError> {
        let versions = Versions::open(config)?;
        let options = ModelOptions::from(&config.model);
        match versions.make_folder().and_then(|()| versions.remove_strays()) {
            Ok(0) => {}
            Ok(strays) => tracing::info!(strays, "removed what unfinished trainings had left"),
            Err(error) => tracing::warn!(%error, "can not clean up after unfinished trainings"),
        }
        let chosen = versions.active();
        let is_installed = chosen.as_ref().is_ok_and(|folder| folder == versions.installed());
        let opened = chosen.and_then(|folder| open(&versions, &folder, &options));
        let (engine, refused) = match opened {
            Ok(engine) => (engine, None),
            Err(error) if is_installed => return Err(error),
            Err(error) => (open(&versions, versions.installed(), &options)?, Some(error)),
        };
        let classifier = Classifier::serve(engine)?;
        let mut models = Self { versions, options, classifier, metrics, readiness, refused: None };
        models.show_served();
        if let Some(error) = refused {
            models.refuse(&error);
        }
        Ok(models)
    }

    /// The handle by which everybody asks the model that serves.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Takes every version that is chosen from now on, until `stop`.
    pub async fn keep_up(
        mut self,
        mut hangup: Hangup,
        stop: CancellationToken,
    ) -> Result<(), Infallible> {
        let (changed, mut word) = mpsc::channel(1);
        // What was chosen since the start, when nobody watched yet, is found by a first look.
        let _ = changed.try_send(());
        let _watcher = self.watch(changed);
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = hangup.next() => true,
                Some(()) = word.recv() => false,
            };
            if asked {
                self.refused = None;
            } else {
                settled(&mut word, &stop).await;
            }
            self.look().await;
        }
    }

    /// Sends word of each change in the folder of the versions; a word that nobody has read yet
    /// stands for all that come meanwhile. Without such a watch SIGHUP is left.
    fn watch(&self, changed: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
        let folder = self.versions.folder();
        let warn = |error| tracing::warn!(folder = %folder.display(), %error, "the folder of the model's versions can not be watched; after `triaged model activate` send SIGHUP");
        watch_folder(folder, changed).map_err(warn).ok()
    }

    /// Looks which version shall serve, and lets it.
    async fn look(&mut self) {
        let (versions, options) = (self.versions.clone(), self.options.clone());
        let serving = self.classifier.model();
        let looked = spawn_blocking(move || look(&versions, &options, &serving)).await;
        let taken = match looked {
            Ok(Ok(Look::Same)) => Ok(false),
            Ok(Ok(Look::Other(engine))) => {
                self.classifier.swap(engine).await.map(|()| true).map_err(VersionError::from)
            }
            Ok(Err(error)) => Err(error),
            Err(panicked) => {
                tracing::error!(%panicked, "looking at the versions of the model went wrong");
                return;
            }
        };
        match taken {
            Ok(taken) => {
                self.refused = None;
                self.show_served();
                if taken {
                    self.metrics.model_reload(ModelReload::Taken);
                }
            }
            // The daemon is ending: nothing is wrong with the version.
            Err(VersionError::Model(ModelError::Stopped)) => {}
            Err(error) => self.refuse(&error),
        }
    }

    /// Says once that a version is refused, wherever somebody may look.
    fn refuse(&mut self, error: &VersionError) {
        let reason = error.to_string();
        if self.refused.as_ref() == Some(&reason) {
            return;
        }
        let serves = self.classifier.model().version.clone();
        tracing::error!(serves, %error, "the version of the model that shall serve is refused; the other one serves on");
        self.metrics.model_reload(ModelReload::Refused);
        self.readiness.set_model(ModelStanding { serves, refused: Some(reason.clone()) });
        self.refused = Some(reason);
    }

    fn show_served(&self) {
        let model: Arc<ServedModel> = self.classifier.model();
        let serves = model.version.clone();
        if self.readiness.model().serves != serves {
            let provider = model.provider.used.as_str();
            tracing::info!(model = serves, provider, "the model is loaded");
            self.metrics.model(model.manifest.name(), model.manifest.version(), provider);
        }
        self.readiness.set_model(ModelStanding { serves, refused: None });
    }
}

/// Sends word of each change in a folder, as long as the watcher lives.
fn watch_folder(folder: &Path, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        // That files are opened and read is no change; it is what we do ourselves.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = changed.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(tell)?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Waits until nothing has changed for a while; not longer than until `stop`, or than anybody
/// watches.
async fn settled(word: &mut mpsc::Receiver<()>, stop: &CancellationToken) {
    while let Ok(Some(())) = tokio::time::timeout(QUIET, word.recv()).await {
        if stop.is_cancelled() {
            return;
        }
    }
}

/// Opens the version in a folder without its golden mails: it was tried on them on this machine
/// when it was activated, or they come with the program, whose own tests replay them.
fn open(
    versions: &Versions,
    folder: &Path,
    options: &ModelOptions,
) -> Result<Engine, VersionError> {
    let (bundle, keywords) = versions.load(folder)?;
    Ok(Engine::open(bundle, keywords, options)?)
}

/// Loads and tries the version that shall serve, unless it is the one that serves.
fn look(
    versions: &Versions,
    options: &ModelOptions,
    serving: &ServedModel,
) -> Result<Look, VersionError> {
    let (bundle, keywords) = versions.load(&versions.active()?)?;
    if bundle.fingerprint() == serving.fingerprint {
        return Ok(Look::Same);
    }
    Ok(Look::Other(Engine::try_out(bundle, keywords, options)?))
}
