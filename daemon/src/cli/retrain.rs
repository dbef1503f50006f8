//! `triaged retrain`: a new version of the model from a person's labelled mails, if it is no worse.
//!
//! The order of the steps stands here; what each does is the library's. Standard output gets the
//! plan and the verdict, standard error how far it is. No line of a mail is ever printed.

mod labour;
mod plan;
mod progress;
mod report;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use triaged::clock::Clock;
use triaged::model::{ModelBundle, Versions};
use triaged::retrain::environment::{self, EnvironmentError};
use triaged::retrain::seclusion::{self, SeclusionError};
use triaged::retrain::trial;
use triaged_core::config::Config;
use triaged_core::retrain::{Verdict, gate};

use self::labour::Tried;
use self::plan::Plan;
use self::report::Report;
use super::model::change::failure;
use super::{Exit, Failure, OrExit};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "PATH is a file of JSON lines (from, subject, body, and a key for each head: \
        sentiment, urgency, category), or a folder of mails (.eml, mbox, Maildir) whose subfolders \
        are named by label: category=billing, urgency=high, or both: category=billing,urgency=high. \
        A label that the model does not have becomes a label of your own.\n\n\
        A fifth of the mails, whole senders and conversations, teaches nothing: it judges. A \
        candidate that is worse is refused. The model that serves is not touched until you activate \
        another.\n\n\
        Ends with 0 when the candidate was accepted, 1 when it was refused, 65 when the mails can \
        not be used, 70 when the training failed, 75 when another one runs, 78 when something is \
        not set up, 130 or 143 after SIGINT or SIGTERM."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Args {
    /// The labelled mails: a folder, or a file of JSON lines
    #[arg(long, value_name = "PATH", required_unless_present = "setup")]
    from: Option<PathBuf>,
    /// The bundle to begin with, instead of the version that serves
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// A label of your own that looks like a slip of a known one; can be given several times
    #[arg(long = "own-label", value_name = "HEAD=LABEL", value_parser = own_label)]
    own_labels: Vec<(String, String)>,
    /// Read, split and show the plan; train nothing
    #[arg(long)]
    dry_run: bool,
    /// Let an accepted candidate serve at once
    #[arg(long, conflicts_with = "dry_run")]
    activate: bool,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
    /// Make the environment for training, once, and do nothing else
    #[arg(long, conflicts_with_all = ["from", "base", "own_labels", "dry_run", "activate", "json"])]
    setup: bool,
}

fn own_label(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(head, label)| !head.is_empty() && !label.is_empty());
    let (head, label) = parts.ok_or("write head and label, like category=legal-hold")?;
    Ok((head.to_owned(), label.to_owned()))
}

/// Plans, trains, judges, and takes the candidate over.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let config = absolute(super::load(config)?).or_exit(Exit::Config)?;
    let Some(from) = &args.from else { return set_up(&config) };
    seclusion::forbid_core_dumps().or_exit(Exit::Config)?;
    let begun = Clock.monotonic();
    let _alone = alone(&config)?;
    let versions = Versions::open(&config).map_err(failure)?;
    let plan = Plan::make(&config, &versions, from, args.base.as_deref(), &args.own_labels)?;
    let environment = environment::find(&config);
    let mut report = Report::new(&plan);
    if !args.json {
        print(&report.plan_text(&plan, &environment));
    }
    if args.dry_run {
        if args.json {
            print(&report.as_json("planned"));
        }
        return Ok(Exit::Ok);
    }
    let environment = environment.or_exit(Exit::Config)?;
    versions.make_folder().and_then(|()| versions.remove_strays()).map_err(failure)?;
    let tried = labour::train_and_try(&config, &environment, &plan, &versions)?;
    let verdict = judge(&plan, &tried)?;
    let passes = verdict.passes();
    report.judged(verdict, Clock.monotonic().duration_since(begun));
    let mut activated = Ok(None);
    if passes {
        let version = versions.adopt(tried.candidate).map_err(failure)?;
        activated = args.activate.then(|| versions.activate(&version)).transpose();
        report.adopted(version, matches!(activated, Ok(Some(_))));
    }
    let outcome = if passes { "accepted" } else { "refused" };
    print(&if args.json { report.as_json(outcome) } else { report.verdict_text() });
    // A version that can not serve is there all the same: first it is said that it is.
    activated.map_err(failure)?;
    Ok(if passes { Exit::Ok } else { Exit::Refused })
}

/// The lock of retraining.
fn alone(config: &Config) -> Result<File, Failure> {
    seclusion::alone(&config.state).map_err(|error| {
        let busy = matches!(error, SeclusionError::Busy(_));
        Failure { exit: if busy { Exit::Busy } else { Exit::Config }, error: error.into() }
    })
}

/// What the gate says of a candidate that has the right labels.
fn judge(plan: &Plan, tried: &Tried) -> Result<Verdict, Failure> {
    let bundle = ModelBundle::load(tried.candidate.folder()).or_exit(Exit::Software)?;
    let names = &plan.dataset.names;
    trial::has_labels(&bundle, names).or_exit(Exit::Software)?;
    Ok(gate(&plan.judges().trials(names, &tried.before, &tried.after)))
}

fn set_up(config: &Config) -> Result<Exit, Failure> {
    let _alone = alone(config)?;
    let made = environment::setup(config, progress::say);
    made.map_err(|error| {
        let exit = match error {
            EnvironmentError::Step { .. } => Exit::Unavailable,
            _ => Exit::Config,
        };
        Failure { exit, error: error.into() }
    })?;
    progress::say("ready: triaged retrain --from PATH");
    Ok(Exit::Ok)
}

/// The configuration with absolute paths: the training process works in another folder.
fn absolute(mut config: Config) -> io::Result<Config> {
    config.state = std::path::absolute(&config.state)?;
    let retrain = &mut config.retrain;
    let named = [&mut config.model.bundle, &mut retrain.python, &mut retrain.training];
    for path in named.into_iter().flatten() {
        *path = std::path::absolute(&*path)?;
    }
    Ok(config)
}

/// A reader that went away has seen what it wanted.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}
