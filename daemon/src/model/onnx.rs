//! A model in ONNX Runtime: one session that reads one text at a time on the thread it is given.
//!
//! Each session computes on one thread. Two mails on two cores are quicker than one mail on both,
//! because the layers of a small model are too short to share out: see the two ways of Python in
//! `make bench`.

use std::sync::Arc;

use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionOutputs};
use ort::value::TensorRef;
use triaged_core::config::Provider;
use triaged_core::document::abstention;
use triaged_core::score::{Prediction, predict, probabilities};

use super::backend::Backend;
use super::bundle::ModelBundle;
use super::error::{ModelError, TextError};
use super::library::Library;
use super::manifest::Manifest;
use super::provider::{self, ProviderReport};
use super::tokens::Tokens;

mod fit;

/// A session with what it takes to read texts with it.
pub(super) struct OnnxBackend {
    session: Session,
    options: RunOptions<HasSelectedOutputs>,
    manifest: Arc<Manifest>,
    tokens: Arc<Tokens>,
}

/// Sessions of one bundle, all on the same provider.
pub(super) struct Sessions {
    pub(super) sessions: Vec<Session>,
    pub(super) provider: ProviderReport,
}

impl Sessions {
    /// Opens `count` sessions on the wanted provider, or on the CPU where an accelerator can not
    /// be had; an accelerator gets one session, which keeps it busy by itself.
    pub(super) fn open(
        library: &Library,
        bundle: &ModelBundle,
        wanted: Provider,
        count: usize,
    ) -> Result<Self, ModelError> {
        let mut note = None;
        for &accelerator in provider::accelerators(wanted) {
            if !provider::is_in_library(accelerator) {
                if wanted == accelerator {
                    let (name, library) = (wanted.as_str(), library.path().display());
                    note = Some(format!("{name} is asked for, but {library} is built without it"));
                }
                continue;
            }
            match open_all(library, bundle, accelerator, 1) {
                Ok(sessions) => {
                    let provider = ProviderReport { used: accelerator, note: None };
                    return Ok(Self { sessions, provider });
                }
                Err(error) => {
                    note = Some(format!("{} does not work here: {error}", accelerator.as_str()));
                }
            }
        }
        let sessions = open_all(library, bundle, Provider::Cpu, count)
            .map_err(|problem| ModelError::Session { path: bundle.model_path(), problem })?;
        Ok(Self { sessions, provider: ProviderReport { used: Provider::Cpu, note } })
    }
}

fn open_all(
    library: &Library,
    bundle: &ModelBundle,
    provider: Provider,
    count: usize,
) -> Result<Vec<Session>, String> {
    // The weights in the layout that the kernels want: one copy for all sessions.
    let weights = PrepackedWeights::new();
    let open = || {
        let mut builder = settings(library, provider)?.with_prepacked_weights(&weights)?;
        builder.commit_from_memory(bundle.model())
    };
    (0..count).map(|_| open().map_err(|error| one_line(&error))).collect()
}

fn settings(library: &Library, provider: Provider) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(library.environment())?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // A pattern is kept for every length of text, and memory grows with each new one.
        .with_memory_pattern(false)?;
    match provider::registration(provider) {
        Some(registration) => Ok(builder.with_execution_providers([registration])?),
        None => Ok(builder),
    }
}

impl OnnxBackend {
    /// Takes a session whose inputs, outputs and largest input fit the manifest.
    pub(super) fn new(
        mut session: Session,
        manifest: Arc<Manifest>,
        tokens: Arc<Tokens>,
    ) -> Result<Self, String> {
        fit::check(&mut session, &manifest, &tokens)?;
        let outputs =
            manifest.readings().fold(OutputSelector::no_default(), |outputs, (_, reading)| {
                outputs.with(reading.output.as_str())
            });
        let options = RunOptions::new().map_err(|error| one_line(&error))?.with_outputs(outputs);
        Ok(Self { session, options, manifest, tokens })
    }
}

impl Backend for OnnxBackend {
    fn read(&mut self, text: &str) -> Result<Prediction, TextError> {
        let ids = self.tokens.ids(text).map_err(TextError::Tokens)?;
        let failed = |error: ort::Error| TextError::Run(one_line(&error));
        let input = TensorRef::from_array_view(([1, ids.len()], ids.as_slice())).map_err(failed)?;
        let inputs = ort::inputs![self.manifest.ids_input() => input];
        let outputs = self.session.run_with_options(inputs, &self.options).map_err(failed)?;
        let prediction = interpret(&self.manifest, &outputs)?;
        let (languages, least_words) = (self.manifest.languages(), self.manifest.least_words());
        Ok(match abstention(text, languages, least_words) {
            Some(reason) => prediction.abstaining(reason),
            None => prediction,
        })
    }
}

/// The predictions of all heads from the model's outputs.
fn interpret(manifest: &Manifest, outputs: &SessionOutputs<'_>) -> Result<Prediction, TextError> {
    let heads = manifest.readings().map(|(head, reading)| {
        let logits = numbers(outputs, &reading.output).map_err(TextError::Run)?;
        let labels: Vec<&str> = head.labels.iter().map(|label| label.name.as_str()).collect();
        let probabilities = probabilities(logits, reading.temperature)
            .ok_or_else(|| TextError::NotFinite { head: head.name.clone() })?;
        predict(&head.name, &labels, &probabilities, &reading.thresholds).ok_or_else(|| {
            TextError::Shape {
                head: head.name.clone(),
                found: logits.len(),
                expected: labels.len(),
            }
        })
    });
    Ok(Prediction { heads: heads.collect::<Result<_, _>>()? })
}

/// The numbers of one output, whatever its shape.
fn numbers<'a>(outputs: &'a SessionOutputs<'_>, name: &str) -> Result<&'a [f32], String> {
    let value = outputs.get(name).ok_or_else(|| format!("it gives no {name}"))?;
    let (_, numbers) = value.try_extract_tensor::<f32>().map_err(|error| one_line(&error))?;
    Ok(numbers)
}

/// ONNX Runtime's errors may have line breaks; a log line has none.
fn one_line<R>(error: &ort::Error<R>) -> String {
    error.message().split_whitespace().collect::<Vec<_>>().join(" ")
}
