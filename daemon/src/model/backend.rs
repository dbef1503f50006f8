//! What a reader thread needs of a model: texts in, predictions out. Knows no runtime.

use triaged_core::score::Prediction;

use super::error::TextError;

/// A model that one thread owns.
pub(super) trait Backend: Send + 'static {
    /// Reads one text by itself: what comes out depends on nothing that was read before.
    fn read(&mut self, text: &str) -> Result<Prediction, TextError>;
}
