//! `triaged classify`: labels for messages in files, without any server.
//!
//! One thread reads and parses, the model's threads classify, this one prints in the order of
//! the input. At most [`IN_FLIGHT`] messages are between the three, however long the input is.

mod print;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use triaged::mailfile;
use triaged::model::{Classifier, Pending};
use triaged_core::document::render;
use triaged_core::message::Defect;

use self::print::{Format, complain};
use super::{Exit, Failure, OrExit, STACK, bundle};

/// Enough to keep the model busy while one long mail is parsed or read.
const IN_FLIGHT: usize = 64;

#[derive(Debug, clap::Args)]
#[command(after_help = "A row shows the answer of each head with its probability; \
    '?' follows where it is too low for the label to be written to a mailbox.")]
pub(super) struct Args {
    /// One JSON object a line: file, the answer of each head, model, defects
    #[arg(long)]
    json: bool,
    /// The model bundle, instead of the version that serves
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Mail files: .eml, mbox, Maildir, .jsonl; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
}

/// A message on its way through the model, or why there is none.
enum Waiting {
    Message { file: String, defects: Vec<Defect>, answer: Pending },
    Unreadable(String),
}

/// Classifies all messages; those that can not be read are named on standard error.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let on_terminal = args.files == [PathBuf::from("-")] && io::stdin().is_terminal();
    if on_terminal {
        let error = anyhow::anyhow!("name mail files to classify, or - and feed standard input");
        return Err(Failure { exit: Exit::Usage, error });
    }
    let (bundle, options) = bundle::find(config, args.bundle.as_deref())?;
    let classifier = Classifier::start(bundle, &options).or_exit(Exit::Config)?;
    let model = classifier.model();
    if let Some(note) = &model.provider.note {
        complain(note);
    }
    let format = if args.json { Format::json(&model) } else { Format::rows(&model) };
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(IN_FLIGHT);
        let reader = thread::Builder::new().name("reader".to_owned()).stack_size(STACK);
        let classifier = &classifier;
        reader
            .spawn_scoped(scope, move || read(&args.files, classifier, &sender))
            .or_exit(Exit::Config)?;
        let ended = print_all(&receiver, &format);
        // With nobody to receive, the reader ends too, also when printing failed.
        drop(receiver);
        match ended {
            // Whoever read our output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
            ended => ended.or_exit(Exit::Usage),
        }
    })
}

/// Sends every message of `files` on its way, until nobody prints any more.
fn read(files: &[PathBuf], classifier: &Classifier, sender: &SyncSender<Waiting>) {
    for item in mailfile::open(files) {
        let waiting = match item {
            Ok(item) => {
                let message = item.message();
                match classifier.submit_blocking(vec![render(&message)]) {
                    Ok(answer) => {
                        Waiting::Message { file: item.file, defects: message.defects, answer }
                    }
                    Err(error) => Waiting::Unreadable(format!("{}: {error}", item.file)),
                }
            }
            Err(error) => Waiting::Unreadable(error.to_string()),
        };
        if sender.send(waiting).is_err() {
            return;
        }
    }
}

/// Prints as the answers come in.
fn print_all(receiver: &Receiver<Waiting>, format: &Format<'_>) -> io::Result<Exit> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut exit = Exit::Ok;
    format.head(&mut out)?;
    loop {
        let waiting = match receiver.try_recv() {
            Ok(waiting) => waiting,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                out.flush()?;
                let Ok(waiting) = receiver.recv() else { break };
                waiting
            }
        };
        if let Err(problem) = print(&mut out, format, waiting)? {
            complain(&problem);
            exit = Exit::Usage;
        }
    }
    out.flush()?;
    Ok(exit)
}

/// Prints one message; the inner error says why it has no labels.
fn print(
    out: &mut impl Write,
    format: &Format<'_>,
    waiting: Waiting,
) -> io::Result<Result<(), String>> {
    let (file, defects, answer) = match waiting {
        Waiting::Unreadable(problem) => return Ok(Err(problem)),
        Waiting::Message { file, defects, answer } => (file, defects, answer),
    };
    let prediction = match answer.wait() {
        Err(error) => return Ok(Err(format!("{file}: {error}"))),
        Ok(answers) => answers.into_iter().next(),
    };
    match prediction {
        Some(Ok(prediction)) => format.message(out, &file, &prediction, &defects).map(Ok),
        Some(Err(error)) => Ok(Err(format!("{file}: {error}"))),
        None => Ok(Err(format!("{file}: the model gave no answer"))),
    }
}
