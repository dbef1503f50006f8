//! `triaged classify`: labels for messages in files, without any server.
//!
//! It prints in the order of the input, each message as soon as it is answered.

mod print;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use triaged::mailfile::{self, MailFileError, MailItem};
use triaged::model::Classifier;
use triaged_core::document::render;
use triaged_core::message::Defect;

use self::print::{Format, complain};
use super::feed::{self, Answered, Answers, Fed};
use super::{Exit, Failure, OrExit, bundle};

#[derive(Debug, clap::Args)]
#[command(after_help = "A row shows the answer of each head with its probability; \
    '?' follows where it is too low for the label to be written to a mailbox. Behind the file stands \
    why a mail is left alone (language, too-little-text), and what is odd about it.")]
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
    let messages = || mailfile::open(&args.files).map(fed);
    match feed::feed(&classifier, messages, |answers| print_all(answers, &format))? {
        // Whoever reads our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        ended => ended.or_exit(Exit::Usage),
    }
}

/// What the model reads of a message; with it goes what was odd about it.
fn fed(item: Result<MailItem, MailFileError>) -> Result<Fed<Vec<Defect>>, String> {
    let item = item.map_err(|error| error.to_string())?;
    let message = item.message();
    Ok(Fed { text: render(&message), file: item.file, kept: message.defects })
}

/// Prints as the answers come in.
fn print_all(answers: &Answers<Vec<Defect>>, format: &Format<'_>) -> io::Result<Exit> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut exit = Exit::Ok;
    format.head(&mut out)?;
    while let Some(answered) = answers.next(|| out.flush())? {
        match answered {
            Ok(Answered { file, kept: defects, prediction }) => {
                format.message(&mut out, &file, &prediction, &defects)?;
            }
            Err(problem) => {
                complain(&problem);
                exit = Exit::Usage;
            }
        }
    }
    out.flush()?;
    Ok(exit)
}
