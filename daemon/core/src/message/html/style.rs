//! Which elements CSS hides from the reader.
//!
//! It deliberately reads only what hides: inline declarations, and rules of a style element whose
//! selector is one name. Everything else about layout is passed over.

use std::collections::HashSet;

use super::lexer::Tag;

/// Hiding rules that are kept; a newsletter has a handful.
const MOST_RULES: usize = 256;
/// A style attribute is rarely longer than a line or two.
const LONGEST_STYLE: usize = 4096;

/// The names (`.class`, `#id` or an element) that style elements hide.
#[derive(Debug, Default)]
pub(super) struct Hiding {
    selectors: HashSet<String>,
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
                    if at_rule == 0 && hides(css.get(from..at).unwrap_or_default()) {
                        self.add(selector);
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

    fn add(&mut self, selectors: &str) {
        for selector in selectors.split(',').map(str::trim) {
            let simple = selector.trim_start_matches(['.', '#']);
            let simple = simple.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
            if simple && !selector.is_empty() && self.selectors.len() < MOST_RULES {
                self.selectors.insert(selector.to_ascii_lowercase());
            }
        }
    }

    /// Whether the reader does not see the element.
    pub(super) fn covers(&self, tag: &Tag<'_>) -> bool {
        if tag.attribute("hidden").is_some() || tag.attribute("style").is_some_and(hides) {
            return true;
        }
        if self.selectors.is_empty() {
            return false;
        }
        let has = |mark: char, name: &str| {
            self.selectors.contains(&format!("{mark}{}", name.to_ascii_lowercase()))
        };
        self.selectors.contains(&tag.name)
            || tag
                .attribute("class")
                .is_some_and(|names| names.split_whitespace().take(8).any(|name| has('.', name)))
            || tag.attribute("id").is_some_and(|name| has('#', name))
    }
}

/// Whether these declarations hide an element and all that is in it.
fn hides(declarations: &str) -> bool {
    let Some(declarations) = declarations.get(..declarations.len().min(LONGEST_STYLE)) else {
        return false;
    };
    let plain: String = declarations
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase();
    let declarations = || plain.split(';').filter_map(|one| one.split_once(':'));
    let value = |name| {
        declarations()
            .find(|(it, _)| *it == name)
            .map(|(_, value)| value.trim_end_matches("!important"))
    };
    let clipped = value("overflow").is_some_and(|value| value == "hidden");
    declarations().any(|(name, value)| {
        let value = value.trim_end_matches("!important");
        match name {
            "display" => value == "none",
            "visibility" => matches!(value, "hidden" | "collapse"),
            "mso-hide" => value == "all",
            "opacity" => number(value).is_some_and(|value| value < 0.05),
            "font-size" => number(value).is_some_and(|value| value <= 1.0) && !is_relative(value),
            "max-height" | "max-width" | "height" | "width" => {
                clipped && number(value).is_some_and(|value| value < 1.0)
            }
            "text-indent" | "left" | "top" | "margin-left" => {
                number(value).is_some_and(|value| value <= -900.0)
            }
            "color" => {
                value == "transparent" || (value.starts_with("rgba(") && value.ends_with(",0)"))
            }
            _ => false,
        }
    }) || value("color").is_some_and(|ink| {
        value("background-color").or_else(|| value("background")).is_some_and(|paper| ink == paper)
    })
}

/// Sizes in which one is the usual: `1em`, `1rem`.
fn is_relative(value: &str) -> bool {
    value.ends_with("em") && number(value).is_some_and(|value| value > 0.1)
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
            "max-height:0px;overflow:hidden",
            "mso-hide:all",
            "text-indent:-9999px",
            "position:absolute;left:-10000px",
            "color:transparent",
            "color:#ffffff;background-color:#ffffff",
            "color:rgba(0,0,0,0)",
        ] {
            assert!(hides(hidden), "{hidden}");
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
            "display:none-such",
            "color:rgba(0,0,0,0.7)",
        ] {
            assert!(!hides(seen), "{seen}");
        }
    }

    #[test]
    fn rules_hide_by_class_id_and_element() {
        let mut hiding = Hiding::default();
        hiding.learn(
            ".pre, .x{display:none} #y{opacity:0} p.z{display:none} .seen{color:red}\
             @media print{.wide{display:none}} .After{display:none}",
        );
        let check = |html: &str, expected: bool| {
            let Some(Token::Start(tag)) = Lexer::new(html).next() else { panic!("{html}") };
            assert_eq!(hiding.covers(&tag), expected, "{html}");
        };
        check("<div class='a pre'>", true);
        check("<div id=y>", true);
        check("<div class=after>", true);
        check("<div class=wide>", false);
        check("<div class=seen>", false);
        check("<p class=z>", false);
        check("<p hidden>", true);
        check("<p>", false);
    }
}
