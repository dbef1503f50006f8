//! One mail with its known labels, on its way through the model.

use triaged::mailfile::{MailFileError, MailItem};
use triaged_core::document::render;
use triaged_core::label::Head;

use super::Fed;

/// What is known of a mail before the model reads it.
#[derive(Debug)]
pub(super) struct Known {
    /// The identifier of its line.
    pub(super) id: Option<String>,
    /// The place of the true label in each head, in the order of the model's heads.
    pub(super) truth: Vec<Option<usize>>,
    /// The rendered text, where it may have to be shown.
    pub(super) text: Option<String>,
}

/// The mail for the model; nothing where no head's label is known, so that it need not be read.
pub(super) fn fed(
    item: Result<MailItem, MailFileError>,
    heads: &[Head],
    with_text: bool,
) -> Result<Option<Fed<Known>>, String> {
    let item = item.map_err(|error| error.to_string())?;
    let truth = heads.iter().map(|head| place(&item, head)).collect::<Result<Vec<_>, _>>()?;
    if truth.iter().all(Option::is_none) {
        return Ok(None);
    }
    let text = render(&item.message());
    let id = item.id().map(str::to_owned);
    let kept = Known { id, truth, text: with_text.then(|| text.clone()) };
    Ok(Some(Fed { file: item.file, kept, text }))
}

/// The place of the known label among those of the head.
fn place(item: &MailItem, head: &Head) -> Result<Option<usize>, String> {
    let Some(label) = item.label(&head.name).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let place = head.labels.iter().position(|known| known.name == label);
    place.map(Some).ok_or_else(|| {
        let names: Vec<_> = head.labels.iter().map(|label| label.name.as_str()).collect();
        format!(
            "{}: {} {label:?} is none of the model's labels ({}); mend the label, or judge with a \
             model that has it",
            item.file,
            head.name,
            names.join(", ")
        )
    })
}
