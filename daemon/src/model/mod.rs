//! The model: bundles on disk, the ONNX Runtime library, and the threads that read mail with them.
//!
//! ```text
//! ModelBundle::load ─► open_library ─► Classifier::start ─► classify(texts) ─► predictions
//!  (manifest, hashes)   (search order)   (worker threads)     (one mail a run)
//! ```
//!
//! The only user of `ort` and `tokenizers`. Deliberately absent: batches that share one run of
//! the network. Its activations are quantised with one scale for the whole input, so a mail's
//! scores would depend on its neighbours; see `worker`.

mod backend;
mod bundle;
mod classifier;
mod engine;
mod error;
mod external;
mod files;
mod golden;
mod library;
mod manifest;
mod onnx;
mod pages;
mod provider;
mod tokens;
mod versions;
mod worker;

pub use bundle::ModelBundle;
pub use classifier::{Answers, Classifier, Pending};
pub use engine::{Engine, ModelOptions, ServedModel};
pub use error::{ModelError, TextError};
pub use library::{Library, LibraryError, open_library};
pub use manifest::{LongText, Manifest, ManifestProblems, Reading, VeryLong};
pub use provider::ProviderReport;
pub use versions::{Candidate, Change, Version, VersionError, Versions};
