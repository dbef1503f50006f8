//! `triaged render`: the text that the model reads, for people and for training.
//!
//! It deliberately reads no configuration and no model: the rendering is part of the program.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use triaged::mailfile::{self, MailFileError, MailItem, Source};
use triaged_core::document;

use super::{Exit, Failure, OrExit};

/// Print the text that the model reads
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON object a line: file, text, defects, and the further fields of a .jsonl input
    #[arg(long)]
    json: bool,
    /// Mail files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut exit = Exit::Ok;
    for item in mailfile::open(args.files.clone()) {
        match item {
            Ok(item) => match print(&mut out, args.json, item).and_then(|()| Ok(())) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Ok),
                printed => printed.or_exit(Exit::Usage)?,
            },
            Err(error) => {
                complain(&error);
                exit = Exit::Usage;
            }
        }
    }
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        flushed => flushed.or_exit(Exit::Usage).map(|()| exit),
    }
}

#[expect(clippy::print_stderr, reason = "the command line's own output")]
fn complain(error: &MailFileError) {
    eprintln!("triaged: {error}");
}

fn print(out: &mut impl Write, json: bool, item: MailItem) -> io::Result<()> {
    let message = item.message();
    let text = document::render(&message);
    if !json {
        return writeln!(out, "===== {}\n{text}\n", item.file);
    }
    let mut object = Map::new();
    object.insert("file".into(), item.file.into());
    object.insert("text".into(), text.into());
    object.insert("defects".into(), json!(message.defects));
    match item.source {
        Source::Fields { rest, .. } => object.extend(rest),
    }
    writeln!(out, "{}", Value::Object(object))
}
