//! Which elements CSS hides from the reader.
//!
//! It deliberately reads only what hides and what shows again: inline declarations, and rules of a
//! style element whose selector is one name. Everything else about layout is passed over.

use std::collections::HashMap;

use super::lexer::Tag;

/// Names whose rules are kept; a newsletter has a few dozen.
const MOST_RULES: usize = 512;
/// A style attribute is rarely longer than a line or two.
const LONGEST_STYLE: usize = 4096;

/// What is known about whether the reader sees the text of an element.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Hidden with all that is inside, whatever that says about itself.
    gone: bool,
    /// Whether letters are large enough to be read, where it is said. Elements inside may say
    /// otherwise: a layout sets a size of zero to be rid of gaps, and its texts set their own.
    legible: Option<bool>,
    /// CSS's visibility, where it is said. Elements inside may say otherwise.
    visible: Option<bool>,
}

impl Style {
    pub(super) fn is_gone(self) -> bool {
        self.gone
    }

    pub(super) fn hides_text(self) -> bool {
        self.hides_images() || self.legible == Some(false)
    }

    /// A size of letters hides no image.
    pub(super) fn hides_images(self) -> bool {
        self.gone || self.visible == Some(false)
    }

    /// What holds inside an element with a style of its own.
    pub(super) fn around(self, own: Self) -> Self {
        let Self { gone, legible, visible } = self.then(own);
        // What is said to be seen is as seen as what nothing is said of.
        Self { gone, legible: legible.filter(|it| !it), visible: visible.filter(|it| !it) }
    }

    /// Both, where the later declarations win.
    fn then(self, later: Self) -> Self {
        Self {
            gone: self.gone || later.gone,
            legible: later.legible.or(self.legible),
            visible: later.visible.or(self.visible),
        }
    }
}

/// What style elements say of names: `.class`, `#id` or an element.
#[derive(Debug, Default)]
pub(super) struct Hiding {
    rules: HashMap<String, Style>,
}

impl Hiding {
    /// Takes in the content of a style element. Rules inside `@media` and other blocks hold on
    /// some screens only and are passed over.
    pub(super) fn learn(&mut self, css: &str) {
        let mut selector = "";
        let mut depth = 0usize;
        let mut at_rule = 0usize;
        let mut from = 0;
        for (at, byte) in css.bytes().enumerate() {
            match byte {
                b'{' => {
                    selector = css.get(from..at).unwrap_or_default();
                    depth += 1;
                    if selector.trim_start().starts_with('@') && at_rule == 0 {
                        at_rule = depth;
                    }
                    from = at + 1;
                }
                b'}' => {
                    if at_rule == 0 {
                        self.add(selector, read(css.get(from..at).unwrap_or_default()));
                    }
                    if at_rule == depth {
                        at_rule = 0;
                    }
                    depth = depth.saturating_sub(1);
                    from = at + 1;
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, selectors: &str, style: Style) {
        if style == Style::default() {
            return;
        }
        for selector in selectors.split(',').map(str::trim) {
            let simple = selector.trim_start_matches(['.', '#']);
            let simple = simple.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
            if simple && !selector.is_empty() && self.rules.len() < MOST_RULES {
                let rule = self.rules.entry(selector.to_ascii_lowercase()).or_default();
                *rule = rule.then(style);
            }
        }
    }

    /// The element's own style: rules for its kind, its classes and its id, and what it says
    /// itself, of which the later win.
    pub(super) fn style(&self, tag: &Tag<'_>) -> Style {
        let sized = tag.name == "font" && tag.attribute("size").is_some();
        let mut style = Style {
            gone: tag.attribute("hidden").is_some(),
            legible: sized.then_some(true),
            visible: None,
        };
        if !self.rules.is_empty() {
            let classes = tag.attribute("class").unwrap_or_default();
            let classes = classes.split_whitespace().take(8).map(|name| format!(".{name}"));
            let id = tag.attribute("id").map(|name| format!("#{name}"));
            style = std::iter::once(tag.name.clone())
                .chain(classes)
                .chain(id)
                .filter_map(|name| self.rules.get(&name.to_ascii_lowercase()))
                .fold(style, |style, rule| style.then(*rule));
        }
        tag.attribute("style").map_or(style, |own| style.then(read(own)))
    }
}

/// What declarations say about whether the reader sees an element and what is in it.
fn read(declarations: &str) -> Style {
    let Some(declarations) = declarations.get(..declarations.len().min(LONGEST_STYLE)) else {
        return Style::default();
    };
    let plain: String = declarations
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase();
    let mut style = Style { gone: is_gone(&plain), ..Style::default() };
    for (name, value) in each(&plain) {
        match name {
            "visibility" => style.visible = visible(value).or(style.visible),
            "font-size" => style.legible = legible(value).or(style.legible),
            "font" => {
                let size = value.trim_start_matches(|c: char| c.is_alphabetic() || c == '-');
                style.legible = legible(size).or(style.legible);
            }
            _ => {}
        }
    }
    style
}

/// The declarations, name and value.
fn each(plain: &str) -> impl Iterator<Item = (&str, &str)> {
    plain
        .split(';')
        .filter_map(|one| one.split_once(':'))
        .map(|(name, value)| (name, value.trim_end_matches("!important")))
}

/// Whether these declarations hide an element and all that is in it, whatever that says.
fn is_gone(plain: &str) -> bool {
    let value = |name| each(plain).find(|(it, _)| *it == name).map(|(_, value)| value);
    let clipped = value("overflow").is_some_and(|value| value == "hidden");
    each(plain).any(|(name, value)| match name {
        "display" => value == "none",
        "mso-hide" => value == "all",
        "opacity" => number(value).is_some_and(|value| value < 0.05),
        "max-height" | "max-width" | "height" | "width" => {
            clipped && number(value).is_some_and(|value| value < 1.0)
        }
        "text-indent" | "left" | "top" | "margin-left" => {
            number(value).is_some_and(|value| value <= -900.0)
        }
        "color" => value == "transparent" || (value.starts_with("rgba(") && value.ends_with(",0)")),
        _ => false,
    }) || value("color").is_some_and(|ink| {
        value("background-color").or_else(|| value("background")).is_some_and(|paper| ink == paper)
    })
}

fn visible(value: &str) -> Option<bool> {
    match value {
        "visible" | "initial" => Some(true),
        "hidden" | "collapse" => Some(false),
        _ => None,
    }
}

/// Whether letters of this size can be read. Parts of the size around (`2em`, `150%`) say nothing:
/// of zero they are zero.
fn legible(size: &str) -> Option<bool> {
    let Some(length) = number(size) else {
        let named = matches!(size.trim_start_matches(['x', '-']), "small" | "medium" | "large");
        return (named || size == "initial").then_some(true);
    };
    let unit = size.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let least = if unit.starts_with("em") || unit.starts_with("rem") { 0.1 } else { 1.0 };
    if length <= least {
        return Some(false);
    }
    (!unit.starts_with("em") && !unit.starts_with('%')).then_some(true)
}

/// The number that a value begins with.
fn number(value: &str) -> Option<f32> {
    let end = value.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-')));
    value.get(..end.unwrap_or(value.len()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::lexer::{Lexer, Token};
    use super::*;

    #[test]
    fn declarations_hide_in_many_ways() {
        for hidden in [
            "display:none",
            "color: red; DISPLAY : none !important",
            "visibility:hidden",
            "opacity:0",
            "opacity: 0.0",
            "font-size:0",
            "font-size: 1px; line-height: 1px",
            "font:0/0 a",
            "max-height:0px;overflow:hidden",
            "mso-hide:all",
            "text-indent:-9999px",
            "position:absolute;left:-10000px",
            "color:transparent",
            "color:#ffffff;background-color:#ffffff",
            "color:rgba(0,0,0,0)",
        ] {
            assert!(read(hidden).hides_text(), "{hidden}");
        }
        for seen in [
            "",
            "display:block",
            "opacity:1",
            "opacity:0.9",
            "font-size:1em",
            "font-size:10px",
            "max-height:0",
            "height:0;width:100%",
            "color:#fff;background-color:#000",
            "margin-left:-10px",
            "font-size:1.2rem",
            "font-size:0;font-size:13px",
            "font:bold 12px/1px Arial",
            "display:none-such",
            "color:rgba(0,0,0,0.7)",
        ] {
            assert!(!read(seen).hides_text(), "{seen}");
        }
    }

    #[test]
    fn size_and_visibility_are_set_anew_inside_and_the_rest_is_not() {
        fn check(outer: &str, inner: &str, seen: bool) {
            let style = Style::default().around(read(outer)).around(read(inner));
            assert_eq!(style.hides_text(), !seen, "{inner} in {outer}");
        }
        for shown in ["13px", "10pt", "1rem", "small", "xx-large", "medium"] {
            check("font-size:0", &format!("font-size:{shown}"), true);
        }
        for relative in ["1em", "100%", "inherit", "larger", "0", "1px"] {
            check("font-size:0", &format!("font-size:{relative}"), false);
        }
        check("font-size:0", "font:italic 12px Arial", true);
        check("font-size:0;visibility:hidden", "font-size:13px", false);
        check("visibility:hidden", "visibility:visible", true);
        check("visibility:hidden", "visibility:inherit", false);
        let both = "font-size:13px;visibility:visible;display:block;opacity:1";
        for gone in ["display:none", "mso-hide:all", "opacity:0", "max-height:0;overflow:hidden"] {
            check(gone, both, false);
        }
    }

    #[test]
    fn rules_hide_by_class_id_and_element() {
        let mut hiding = Hiding::default();
        hiding.learn(
            ".pre, .x{display:none} #y{opacity:0} p.z{display:none} .seen{color:red}\
             @media print{.wide{display:none}} .After{display:none} h1{font-size:0}\
             h1, .big{font-size:2rem}",
        );
        let check = |html: &str, expected: bool| {
            let Some(Token::Start(tag)) = Lexer::new(html).next() else { panic!("{html}") };
            assert_eq!(hiding.style(&tag).hides_text(), expected, "{html}");
        };
        check("<div class='a pre'>", true);
        check("<div id=y>", true);
        check("<div class=after>", true);
        check("<div class=wide>", false);
        check("<div class=seen>", false);
        check("<p class=z>", false);
        check("<p hidden>", true);
        check("<p>", false);
        check("<h1>", false);
        check("<p class=big style='font-size:0'>", true);
    }
}
