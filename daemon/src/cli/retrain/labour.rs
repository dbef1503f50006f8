//! The work that takes minutes: the base reads the mails that judge, the training process trains,
//! the candidate reads the same mails. A signal ends it at once, in every part.

use std::path::Path;

use triaged::lifecycle::Signals;
use triaged::model::{Candidate, ModelOptions, Versions};
use triaged::retrain::environment::Environment;
use triaged::retrain::trainer::{self, Lesson, TrainingError};
use triaged::retrain::trial::{self, Answers};
use triaged_core::config::Config;

use super::plan::Plan;
use super::progress::Progress;
use crate::cli::model::change::failure;
use crate::cli::{Exit, Failure, OrExit, block_on};

/// A candidate, and the answers of the base and of itself to the mails that judge.
pub(super) struct Tried {
    pub(super) candidate: Candidate,
    pub(super) before: Answers,
    pub(super) after: Answers,
}

/// Trains a candidate and tries it.
pub(super) fn train_and_try(
    config: &Config,
    environment: &Environment,
    plan: &Plan,
    versions: &Versions,
) -> Result<Tried, Failure> {
    block_on(async {
        // Before there is anything that a signal could leave behind.
        let mut signals = Signals::listen().or_exit(Exit::Config)?;
        let candidate = versions.reserve(&plan.base_name).map_err(failure)?;
        let progress = Progress::new();
        let options = ModelOptions::from(&config.model);
        progress.stage("judge the base");
        let before = read(&plan.base, &options, plan, &mut signals).await?;
        let hashes = plan.dataset.hashes();
        let lesson = Lesson {
            base: &plan.base,
            candidate: candidate.folder(),
            version: candidate.number(),
            names: &plan.dataset.names,
            mails: plan.teaching(),
            own_texts: &hashes,
        };
        let mut stopped = None;
        let stop = async { stopped = Some(signals.next().await) };
        let trained = trainer::train(environment, &lesson, |told| progress.told(told), stop).await;
        match (trained, stopped) {
            (Err(TrainingError::Stopped), Some(signal)) => return Err(ended(signal)),
            (trained, _) => trained.or_exit(Exit::Software)?,
        }
        progress.stage("judge the candidate");
        let after = read(candidate.folder(), &options, plan, &mut signals).await?;
        progress.finish();
        Ok(Tried { candidate, before, after })
    })?
}

/// What a model says of the mails that judge.
async fn read(
    folder: &Path,
    options: &ModelOptions,
    plan: &Plan,
    signals: &mut Signals,
) -> Result<Answers, Failure> {
    let (folder, options, texts) = (folder.to_owned(), options.clone(), plan.judges().texts());
    let reading = tokio::task::spawn_blocking(move || trial::answers(&folder, &options, &texts));
    tokio::select! {
        answers = reading => answers.or_exit(Exit::Software)?.or_exit(Exit::Config),
        signal = signals.next() => Err(ended(signal)),
    }
}

/// In order, after a signal.
fn ended(signal: &str) -> Failure {
    let exit = if signal == "SIGINT" { Exit::Interrupted } else { Exit::Terminated };
    let error = anyhow::anyhow!("{signal}: {}", TrainingError::Stopped);
    Failure { exit, error }
}
