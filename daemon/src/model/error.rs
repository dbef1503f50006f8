//! What can go wrong with a bundle, the library or a text, each in words that say what, where and
//! how to mend it.
//!
//! No variant ever carries text of a mail.

use std::io;
use std::path::PathBuf;

use super::library::LibraryError;
use super::manifest::ManifestProblems;

/// Why there is no model to work with. Nothing here is mended by trying again.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither the configuration nor the usual places have a bundle.
    #[error(
        "there is no model bundle; looked for {}; name one with `bundle` under [model] in the \
         configuration, or with --bundle", paths(.tried)
    )]
    NoBundle {
        /// The manifests that were looked for.
        tried: Vec<PathBuf>,
    },
    /// A file of the bundle is missing or can not be opened.
    #[error("can not read {}: {source}; {MEND}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A symbolic link, a named pipe, a folder: something that could be swapped or never ends.
    #[error("{} is {kind}; every file of a bundle must be a plain file", path.display())]
    NotAFile {
        /// The offender.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// More bytes than any sensible bundle has.
    #[error("{} has {size} bytes; at most {limit} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The most that is accepted, in bytes.
        limit: u64,
    },
    /// `manifest.json` is no manifest, or says impossible things.
    #[error("{}: {problems}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// All that is wrong with it.
        problems: ManifestProblems,
    },
    /// The bundle was made for another version of triaged.
    #[error(
        "{}: bundle format {found}, this triaged reads format {ours}; install a bundle and a \
         triaged of the same release", path.display()
    )]
    Format {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What this program reads.
        ours: u32,
    },
    /// The model was trained on texts that are rendered otherwise: it would read badly in silence.
    #[error(
        "{}: the model was trained on texts of rendering {found}, this triaged renders {ours}; \
         install a bundle and a triaged of the same release, or train the bundle again",
        path.display()
    )]
    Rendering {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What this program renders.
        ours: u32,
    },
    /// A file is not the one that the manifest was written for.
    #[error(
        "{} is damaged or was changed: SHA-256 {found}, the manifest says {expected}; {MEND}",
        path.display()
    )]
    Hash {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// Weights in a file beside the model, which no hash covers.
    #[error(
        "{} keeps weights in other files (external data), which is refused: export it as one file",
        path.display()
    )]
    ExternalData {
        /// The model.
        path: PathBuf,
    },
    /// Not a tokenizer of the `tokenizers` library.
    #[error("{}: {problem}; {MEND}", path.display())]
    Tokenizer {
        /// The tokenizer's file.
        path: PathBuf,
        /// What that library says.
        problem: String,
    },
    /// The ONNX Runtime library.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// ONNX Runtime refuses the model.
    #[error("ONNX Runtime does not accept {}: {problem}", path.display())]
    Session {
        /// The model.
        path: PathBuf,
        /// What it says.
        problem: String,
    },
    /// The model's inputs or outputs are not those that the manifest promises.
    #[error("{} does not fit its manifest: {problem}", path.display())]
    Misfit {
        /// The model.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A golden mail is read or scored otherwise than when the bundle was packed.
    #[error(
        "{}:{line}: {problem}; on this machine the model does not say what it said when it was \
         packed: pack or train it again", path.display()
    )]
    Golden {
        /// The golden examples.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What differs.
        problem: String,
    },
    /// The operating system gives no thread.
    #[error("can not start a thread for the model: {0}")]
    Thread(io::Error),
    /// The classifier was shut down while texts waited.
    #[error("the model has been shut down")]
    Stopped,
}

/// Why one text has no prediction; its neighbours are not concerned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The tokenizer refuses it.
    #[error("the tokenizer failed: {0}")]
    Tokens(String),
    /// ONNX Runtime failed on it.
    #[error("the model failed: {0}")]
    Run(String),
    /// The output has another length than the head has labels.
    #[error("the model's output for {head} has {found} numbers, expected {expected}")]
    Shape {
        /// The head.
        head: String,
        /// How many numbers came.
        found: usize,
        /// How many labels there are.
        expected: usize,
    },
    /// A logit is infinite or not a number: no label may come out of that.
    #[error("the model's output for {head} is not finite")]
    NotFinite {
        /// The head.
        head: String,
    },
    /// A bug: the code that reads texts panicked. What it said may quote the text and is not kept.
    #[error("reading the text ended in a panic")]
    Panicked,
    /// The classifier was shut down before the text's turn.
    #[error("the model has been shut down")]
    Stopped,
}

/// What helps when a file of a bundle is not as it was packed.
const MEND: &str = "install the bundle again";

fn paths(tried: &[PathBuf]) -> String {
    tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
