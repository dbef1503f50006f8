//! Keeps which open elements hide the text inside them, and which show it again.
//!
//! It deliberately builds no tree: only elements that change what the reader sees are kept, and
//! of the others no more than is needed to know where those end.

use super::{gap, style::Style};

/// Elements inside each other that change what the reader sees; deeper ones change nothing.
const DEEPEST: usize = 64;

/// An open element that changes what the reader sees.
#[derive(Debug)]
struct Layer {
    name: String,
    /// What holds inside it.
    style: Style,
    /// Open elements inside it that have to end first.
    inner: usize,
}

impl Layer {
    /// Whether an element of this name inside has to end first: one of the same name, or, in a
    /// cell or an item, one that has cells or items of its own.
    fn nests(&self, name: &str) -> bool {
        match self.name.as_str() {
            "td" | "th" | "tr" => name == "table",
            "li" => matches!(name, "ul" | "ol"),
            own => own == name,
        }
    }

    /// Elements that may be left open end where the next of their kind begins.
    fn ends_before(&self, next: &str) -> bool {
        let ends = match self.name.as_str() {
            "p" => gap(next) > 0,
            "td" | "th" => matches!(next, "td" | "th" | "tr"),
            "tr" => next == "tr",
            "li" => next == "li",
            _ => false,
        };
        ends && self.inner == 0
    }

    fn ends_with(&self, name: &str) -> bool {
        self.inner == 0 && (self.name == name || self.nests(name))
    }
}

/// The open elements that change what the reader sees, from the outermost to the innermost.
#[derive(Debug, Default)]
pub(super) struct Layers(Vec<Layer>);

impl Layers {
    /// What holds for the text that comes next.
    pub(super) fn style(&self) -> Style {
        self.0.last().map(|layer| layer.style).unwrap_or_default()
    }

    /// Takes note that an element begins, before its own style holds.
    pub(super) fn begin(&mut self, name: &str, closes_itself: bool) {
        if let Some(at) = self.0.iter().position(|layer| layer.ends_before(name)) {
            self.0.truncate(at);
        }
        if !closes_itself {
            self.0.iter_mut().filter(|layer| layer.nests(name)).for_each(|layer| layer.inner += 1);
        }
    }

    /// Sets what holds inside the element that has just begun.
    pub(super) fn set(&mut self, name: String, style: Style) {
        if style != self.style() && self.0.len() < DEEPEST {
            self.0.push(Layer { name, style, inner: 0 });
        }
    }

    /// Takes note of an end tag: an element that ends takes those with it that are open inside.
    pub(super) fn end(&mut self, name: &str) {
        let body = matches!(name, "body" | "html");
        if let Some(at) = self.0.iter().position(|layer| body || layer.ends_with(name)) {
            self.0.truncate(at);
        }
        for layer in self.0.iter_mut().filter(|layer| layer.nests(name)) {
            layer.inner = layer.inner.saturating_sub(1);
        }
    }
}
