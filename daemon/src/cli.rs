//! The command line: what the sub-commands and their options are, and how each one ends.

mod backfill;
mod bundle;
mod check;
mod classify;
mod eval;
mod feed;
mod history;
mod import;
mod model;
mod moment;
mod remove_labels;
mod render;
mod retrain;
mod retry;
mod run;
mod status;
mod undo;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use triaged::app;
use triaged::configuration;
use triaged::store::{Location, StoreError, Workers};
use triaged_core::config::Config;

/// Where the configuration is when nobody says otherwise.
const DEFAULT_CONFIG: &str = "/etc/triaged/triaged.toml";

/// Watches IMAP mailboxes, reads each new message with a small language model on this machine,
/// and writes what it finds as IMAP keywords.
#[derive(Debug, Parser)]
#[command(name = "triaged", version, arg_required_else_help = true)]
struct Cli {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the mailboxes of the configuration until told to stop
    Run(run::Args),
    /// Verify configuration, model, library and database, and with --online each server
    Check(check::Args),
    /// Classify messages from files, without any server
    Classify(classify::Args),
    /// Compare the model's labels with known ones, and say how good they are
    Eval(eval::Args),
    /// Print the text that the model reads
    Render(render::Args),
    /// Show how each account of the running daemon stands, and what is left out
    Status(status::Args),
    /// Give older mail its labels, too, behind new mail
    Backfill(backfill::Args),
    /// Try messages again that could not be read
    Retry(retry::Args),
    /// Take back what was done to messages, where nobody has changed it since
    Undo(undo::Args),
    /// Take every keyword of triaged off an account
    RemoveLabels(remove_labels::Args),
    /// Show what was decided and done
    History(history::Args),
    /// Take the database of a file over into the one on a server
    Import(import::Args),
    /// Show model bundles
    Model(model::Args),
    /// Train a new version of the model on labelled mails of your own
    Retrain(retrain::Args),
}

/// How the command ends; the numbers follow sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    /// All is well.
    Ok = 0,
    /// A candidate did not pass the gate.
    Refused = 1,
    /// The command line makes no sense.
    Usage = 64,
    /// The mails that were given can not be used.
    Data = 65,
    /// A server can not be reached.
    Unavailable = 69,
    /// The training failed.
    Software = 70,
    /// Another daemon holds the state, or the process ended by a defect of its own: in both cases
    /// starting again is right, and systemd does.
    Busy = 75,
    /// A server refused the login.
    LoginRefused = 77,
    /// Configuration, model, library or database.
    Config = 78,
    /// Ended by SIGINT, in order; by the custom of shells.
    Interrupted = 130,
    /// Ended by SIGTERM, in order.
    Terminated = 143,
}

/// Why a sub-command did not do what it was asked.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

/// Names the exit code that an error leads to.
trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}

/// Runs the sub-command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // Nothing can be done when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(exit as u8);
        }
    };
    let ended = match cli.command {
        Command::Run(args) => run::run(&cli.config, &args),
        Command::Check(args) => check::run(&cli.config, &args),
        Command::Classify(args) => classify::run(&cli.config, &args),
        Command::Eval(args) => eval::run(&cli.config, &args),
        Command::Render(args) => render::run(&args),
        Command::Status(args) => status::run(&cli.config, &args),
        Command::Backfill(args) => backfill::run(&cli.config, &args),
        Command::Retry(args) => retry::run(&cli.config, &args),
        Command::Undo(args) => undo::run(&cli.config, &args),
        Command::RemoveLabels(args) => remove_labels::run(&cli.config, &args),
        Command::History(args) => history::run(&cli.config, &args),
        Command::Import(args) => import::run(&cli.config, &args),
        Command::Model(args) => model::run(&cli.config, &args),
        Command::Retrain(args) => retrain::run(&cli.config, &args),
    };
    let exit = ended.unwrap_or_else(|Failure { exit, error }| {
        report(&error);
        exit
    });
    ExitCode::from(exit as u8)
}

/// The configuration, or all that is wrong with it.
fn load(path: &Path) -> Result<Config, Failure> {
    configuration::load(path).or_exit(Exit::Config)
}

/// Where the configuration says that the database is.
fn database(config: &Config) -> Result<Location, Failure> {
    app::database(config).or_exit(Exit::Config)
}

/// What a command ends with that the database did not serve.
fn unserved(error: StoreError) -> Failure {
    let exit = if error.may_pass() { Exit::Unavailable } else { Exit::Config };
    Failure { exit, error: error.into() }
}

/// The daemons that do what is asked for.
///
/// # Errors
/// There is none.
async fn workers(at: &Location) -> Result<Workers, Failure> {
    let mut workers = Workers::at(at);
    if workers.is_any().await.map_err(unserved)? {
        return Ok(workers);
    }
    let error = anyhow::anyhow!(
        "no daemon works on {at}: start it (triaged run), it is the one that does this"
    );
    Err(Failure { exit: Exit::Unavailable, error })
}

/// The stack of a thread that may parse hostile mail: nested structures are bounded, and this is
/// several times what the deepest one took.
const STACK: usize = 8 * 1024 * 1024;

/// How long threads that nobody waits for may hold up the end of the process.
const LAST: Duration = Duration::from_secs(2);

/// Runs a future to its end on a runtime of its own.
fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()
        .or_exit(Exit::Config)?;
    let output = runtime.block_on(future);
    // A thread may still wait for a dead name server; the process does not wait for it.
    runtime.shutdown_timeout(LAST);
    Ok(output)
}

/// Prints an error with those of its causes that it does not name itself.
#[expect(clippy::print_stderr, reason = "the command line's own output")]
fn report(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    eprintln!("triaged: {text}");
}
