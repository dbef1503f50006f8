//! `triaged render`: the text that the model reads, for people and for training.
//!
//! It deliberately reads no configuration and no model: the rendering is part of the program.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use triaged::mailfile::{self, MailFileError, MailItem, Source};
use triaged_core::document::{self, Prose};

use super::{Exit, Failure, OrExit};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Printed are the sender, the subject, and what the writer wrote now, without \
        quoted history, signature, markup and hidden characters.\n\n\
        Files are single mails, mboxes, Maildirs, folders of those, and JSON lines with the fields \
        from, subject and body. What can not be read is reported, the rest is printed, and the \
        command ends with 64."
)]
pub(super) struct Args {
    /// Print one JSON object a line: file, text, the words in it, the language where it is beyond
    /// doubt, defects, and the further fields of a JSON line
    #[arg(long)]
    json: bool,
    /// Mail, mbox, Maildir, folder or .jsonl file; "-" is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    match print_all(&mut out, args) {
        // Whoever reads the output has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Ok),
        printed => printed.or_exit(Exit::Usage),
    }
}

fn print_all(out: &mut impl Write, args: &Args) -> io::Result<Exit> {
    let mut exit = Exit::Ok;
    for item in mailfile::open(&args.files) {
        match item {
            Ok(item) if args.json => print_object(out, item)?,
            Ok(item) => print_document(out, &item)?,
            Err(error) => {
                complain(&error);
                exit = Exit::Usage;
            }
        }
    }
    out.flush().map(|()| exit)
}

#[expect(clippy::print_stderr, reason = "the command line's own output")]
fn complain(error: &MailFileError) {
    eprintln!("triaged: {error}");
}

fn print_document(out: &mut impl Write, item: &MailItem) -> io::Result<()> {
    let message = item.message();
    write!(out, "===== {}", item.file)?;
    if !message.defects.is_empty() {
        let defects: Vec<&str> = message.defects.iter().map(|defect| defect.as_str()).collect();
        write!(out, " ({})", defects.join(", "))?;
    }
    writeln!(out, "\n{}\n", document::render(&message))
}

fn print_object(out: &mut impl Write, item: MailItem) -> io::Result<()> {
    let message = item.message();
    let text = document::render(&message);
    let prose = Prose::of(&text);
    let mut object = Map::new();
    object.insert("file".into(), item.file.into());
    object.insert("text".into(), text.into());
    object.insert("words".into(), prose.words.into());
    object.insert("language".into(), prose.language.into());
    object.insert("defects".into(), json!(message.defects));
    if let Source::Fields { rest, .. } = item.source {
        // A field of the line that is called like one of these does not hide it.
        for (name, value) in rest {
            object.entry(name).or_insert(value);
        }
    }
    serde_json::to_writer(&mut *out, &Value::Object(object)).map_err(io::Error::from)?;
    out.write_all(b"\n")
}
