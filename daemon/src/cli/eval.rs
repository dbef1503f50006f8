//! `triaged eval`: how good a model's labels are on mail whose labels are known.
//!
//! Reads as much mail as there is in bounded memory: of each answer two bytes a head stay, and the
//! mistakes that are asked for. What the figures mean stands in `triaged_core::evaluation`. It
//! deliberately prints no text of any mail unless `--text` asks for it.

mod mistakes;
mod report;
mod row;
mod tables;

use std::convert::Infallible;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use triaged::mailfile;
use triaged::model::Classifier;
use triaged_core::evaluation::Bootstrap;

use self::report::{Judge, Report};
use self::row::Known;
use super::feed::{self, Answered, Answers, Fed};
use super::{Exit, Failure, OrExit, bundle};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Labels are known from the fields of JSON lines that are named like the model's \
        heads (\"urgency\": \"high\"), and from folders named by label (urgency=high/). A head \
        counts the mails whose label it knows.\n\n\
        F1, accuracy and calibration are of the most probable label; the mean is over the labels \
        that occur in the truth; the intervals of 95 % are drawn by bootstrap. 'answered' is what \
        the model says at its thresholds: an abstention counts as not found.\n\n\
        Rows that can not be used are named, the rest is judged, and the command ends with 64."
)]
pub(super) struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// List the N most confident mistakes of each head
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    mistakes: usize,
    /// Show the text of the mistaken mails, too
    #[arg(long, requires = "mistakes")]
    text: bool,
    /// Where the generator of the bootstrap starts
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The model bundle, instead of the version that serves
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Mail with known labels: .jsonl, or folders named by label; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Judges all mail with labels; what can not be used is named on standard error.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let (bundle, options) = bundle::find(config, args.bundle.as_deref())?;
    let classifier = Classifier::start(bundle, &options).or_exit(Exit::Config)?;
    let model = classifier.model();
    if let Some(note) = &model.provider.note {
        complain(note);
    }
    let heads = model.manifest.heads();
    let unlabelled = AtomicUsize::new(0);
    let messages = || {
        mailfile::open(&args.files).filter_map(|item| {
            let fed = row::fed(item, heads, args.text).transpose();
            if fed.is_none() {
                unlabelled.fetch_add(1, Ordering::Relaxed);
            }
            fed
        })
    };
    let mut judge = Judge::new(heads, args.mistakes);
    let refused = feed::feed(&classifier, messages, |answers| judge_all(answers, &mut judge))?;
    let bootstrap = Bootstrap { seed: args.seed, ..Bootstrap::default() };
    let unlabelled = unlabelled.load(Ordering::Relaxed);
    if judge.mails() == 0 {
        return Err(nothing_to_judge(unlabelled, refused));
    }
    let report = judge.report(&model.version, bootstrap, unlabelled, refused);
    // A reader that went away has seen what it wanted.
    let _ = io::stdout().lock().write_all(printed(&report, args.json).as_bytes());
    Ok(if refused == 0 { Exit::Ok } else { Exit::Usage })
}

/// Counts every answer; gives back how many rows could not be used.
fn judge_all(answers: &Answers<Known>, judge: &mut Judge) -> usize {
    let mut refused = 0;
    let idle = || Ok::<(), Infallible>(());
    while let Ok(Some(answered)) = answers.next(idle) {
        match answered {
            Ok(Answered { file, kept, prediction }) => judge.add(&file, &kept, &prediction),
            Err(problem) => {
                complain(&problem);
                refused += 1;
            }
        }
    }
    refused
}

fn printed(report: &Report<'_>, json: bool) -> String {
    match serde_json::to_string(report) {
        Ok(text) if json => text + "\n",
        _ => tables::text(report, io::stdout().is_terminal()),
    }
}

fn nothing_to_judge(unlabelled: usize, refused: usize) -> Failure {
    let error = anyhow::anyhow!(
        "no mail to judge: {unlabelled} without a known label, {refused} that can not be used; \
         a line of JSON says its labels in fields like \"urgency\": \"high\", a folder by its \
         name, urgency=high"
    );
    Failure { exit: Exit::Usage, error }
}

/// Tells the person at the terminal about one row that is not judged.
#[expect(clippy::print_stderr, reason = "the command line's own output")]
fn complain(problem: &str) {
    eprintln!("triaged: {problem}");
}
