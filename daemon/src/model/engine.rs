//! A bundle that is loaded and tried, ready to serve: its sessions, and what is to be known about
//! it while it answers.
//!
//! Deliberately absent: threads, which are the classifier's. Whatever can be wrong with a model is
//! found here, before it takes the place of one that works.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use triaged_core::config::{ModelConfig, Provider};
use triaged_core::label::KeywordMap;

use super::backend::Backend;
use super::bundle::ModelBundle;
use super::error::ModelError;
use super::golden;
use super::library::open_library;
use super::manifest::Manifest;
use super::onnx::{OnnxBackend, Sessions};
use super::pages;
use super::provider::ProviderReport;
use super::worker::Readers;

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

impl From<&ModelConfig> for ModelOptions {
    fn from(config: &ModelConfig) -> Self {
        let ModelConfig { bundle: _, library, provider, threads } = config.clone();
        Self { library, provider, threads }
    }
}

/// What there is to know about a model that answers: labels, keywords and version that belong
/// together. Who holds one keeps it, whatever serves by then.
#[derive(Debug, PartialEq)]
pub struct ServedModel {
    /// What it says about itself.
    pub manifest: Arc<Manifest>,
    /// Name and version as they are stored beside each decision, for example `default-1`.
    pub version: String,
    /// Which keyword stands for which of its labels; empty where nothing is written.
    pub keywords: KeywordMap,
    /// Where it computes, with one line where that is not what was asked for.
    pub provider: ProviderReport,
    /// SHA-256 of its manifest, which names that of every file: another one is another model.
    pub fingerprint: String,
}

/// A model that could serve at once.
pub struct Engine {
    readers: Readers<ServedModel>,
}

impl Engine {
    /// Opens the library and as many sessions as the options say, and tries each on the largest
    /// input. Takes from a tenth of a second to some seconds, and blocks for so long.
    pub fn open(
        bundle: ModelBundle,
        keywords: KeywordMap,
        options: &ModelOptions,
    ) -> Result<Self, ModelError> {
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
        let fingerprint = bundle.fingerprint().to_owned();
        let (manifest, tokens) = bundle.into_parts();
        let (manifest, tokens) = (Arc::new(manifest), Arc::new(tokens));
        let mut backends: Vec<Box<dyn Backend>> = Vec::with_capacity(sessions.len());
        for session in sessions {
            let backend = OnnxBackend::new(session, Arc::clone(&manifest), Arc::clone(&tokens));
            let misfit = |problem| ModelError::Misfit { path: path.clone(), problem };
            backends.push(Box::new(backend.map_err(misfit)?));
        }
        pages::gather();
        let model = ServedModel { manifest, version, keywords, provider, fingerprint };
        Ok(Self { readers: Readers { backends, model: Arc::new(model) } })
    }

    /// The same, and then it must say of the bundle's golden mails what it said when the bundle
    /// was packed. Half a second to two seconds more.
    pub fn try_out(
        bundle: ModelBundle,
        keywords: KeywordMap,
        options: &ModelOptions,
    ) -> Result<Self, ModelError> {
        let (path, golden) = (bundle.golden_path(), bundle.golden().to_vec());
        let mut engine = Self::open(bundle, keywords, options)?;
        let exact = engine.model().provider.used == Provider::Cpu;
        if let Some(backend) = engine.readers.backends.first_mut() {
            golden::replay(backend.as_mut(), &golden, exact)
                .map_err(|(line, problem)| ModelError::Golden { path, line, problem })?;
        }
        Ok(engine)
    }

    /// What there is to know about it.
    pub fn model(&self) -> &Arc<ServedModel> {
        &self.readers.model
    }

    pub(super) fn into_readers(self) -> Readers<ServedModel> {
        self.readers
    }
}
