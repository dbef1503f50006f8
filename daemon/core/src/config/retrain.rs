//! How `triaged retrain` trains: with which Python, by which package, and which labels are the
//! person's own.
//!
//! Nothing here is looked up: neither program nor folder may exist.

use std::path::PathBuf;

use super::problem::{Fault, Problems};
use super::raw::Section;
use super::settings::path;

/// What `[retrain]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetrainConfig {
    /// The Python that has what the training needs; `None`: the one that `--setup` makes.
    pub python: Option<PathBuf>,
    /// The folder of the training package; `None`: searched for.
    pub training: Option<PathBuf>,
    /// Head and label: labels of the person's own, also where they look like slips of known ones.
    pub own_labels: Vec<(String, String)>,
}

pub(super) fn read(mut section: Section<'_>, problems: &mut Problems) -> RetrainConfig {
    let python = path(&mut section, "python", problems);
    let training = path(&mut section, "training", problems);
    let labels = section.take_list::<String>("own_labels", problems);
    section.finish(problems);
    let labels = labels.map(|labels| labels.value).unwrap_or_default();
    let own_labels =
        labels.into_iter().filter_map(|label| label.check(problems, |text| own_label(&text)));
    RetrainConfig { python, training, own_labels: own_labels.collect() }
}

fn own_label(text: &str) -> Result<(String, String), Fault> {
    let parts = text.split_once('=').map(|(head, label)| (head.trim(), label.trim()));
    match parts {
        Some((head, label)) if !head.is_empty() && !label.is_empty() => {
            Ok((head.to_owned(), label.to_owned()))
        }
        _ => {
            let what = format!("{text:?} names no label");
            Err(Fault::new(what, "write head and label, like \"category=legal-hold\""))
        }
    }
}
