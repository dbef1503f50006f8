//! HTML to the text that a person sees.
//!
//! It deliberately lays nothing out: no widths, no columns, no link targets. It needs neither a
//! tree nor recursion, so that deep nesting costs nothing. Quoted history becomes lines that begin
//! with `>`, as in plain text.

mod layers;
mod lexer;
mod style;

use mail_parser::decoders::html::add_html_token;

use layers::Layers;
use lexer::{Lexer, Tag, Token};
use style::{Hiding, Style};

/// Text of an HTML mail, and how many letters of it nobody sees.
pub(super) struct Seen {
    pub(super) text: String,
    pub(super) hidden: usize,
}

/// Deeper quotes are shown at this depth.
const DEEPEST_QUOTE: usize = 8;
/// An alternative text of an image that is longer is no caption.
const LONGEST_CAPTION: usize = 200;
/// The longest name of an entity is 31 letters long.
const LONGEST_ENTITY: usize = 33;

/// The text of HTML. Where everything is hidden, everything is shown.
pub(super) fn to_text(html: &str) -> Seen {
    let mut page = Page::default();
    page.read(html, true);
    if !page.out.contains(char::is_alphanumeric) && page.hidden > 0 {
        let hidden = page.hidden;
        page = Page { hidden, ..Page::default() };
        page.read(html, false);
    }
    Seen { text: page.out, hidden: page.hidden }
}

/// The text so far.
#[derive(Default)]
struct Page {
    out: String,
    hiding: Hiding,
    layers: Layers,
    /// Letters passed over.
    hidden: usize,
    quotes: usize,
    /// Of each open blockquote, whether it quotes.
    blocks: Vec<bool>,
    preformatted: usize,
    /// Line ends that are due before the next text.
    due: usize,
    /// Whether a blank is due before the next word.
    blank: bool,
}

impl Page {
    fn read(&mut self, html: &str, hide: bool) {
        for token in Lexer::new(html) {
            match token {
                Token::Style(css) => self.hiding.learn(css),
                Token::Text(text) if self.layers.style().hides_text() => {
                    self.hidden += text.chars().filter(|c| c.is_alphanumeric()).count();
                }
                Token::Text(text) => self.text(text),
                Token::Start(tag) => self.begin(tag, hide),
                Token::End(name) => self.end(&name),
            }
        }
    }

    fn begin(&mut self, tag: Tag<'_>, hide: bool) {
        self.layers.begin(&tag.name, tag.closes_itself);
        let own =
            if hide && !is_void(&tag.name) { self.hiding.style(&tag) } else { Style::default() };
        let style = self.layers.style().around(own);
        if !style.is_gone() {
            self.start(&tag, style);
        }
        self.layers.set(tag.name, style);
    }

    fn start(&mut self, tag: &Tag<'_>, style: Style) {
        self.due = self.due.max(gap(&tag.name));
        match tag.name.as_str() {
            "br" => self.line(),
            "hr" => self.due = self.due.max(1),
            "li" if !style.hides_text() => self.text("- "),
            "td" | "th" => self.blank = true,
            "pre" => self.preformatted += 1,
            "img" if !style.hides_images() => {
                let caption = tag.attribute("alt").unwrap_or_default();
                if caption.len() <= LONGEST_CAPTION {
                    self.blank = true;
                    self.text(caption);
                    self.blank = true;
                }
            }
            "blockquote" => {
                let quotes = is_citation(tag);
                self.blocks.push(quotes);
                self.quotes += usize::from(quotes);
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        let gone = self.layers.style().is_gone();
        self.layers.end(name);
        if gone {
            return;
        }
        self.due = self.due.max(gap(name));
        match name {
            "pre" => self.preformatted = self.preformatted.saturating_sub(1),
            "blockquote" => self.quotes -= usize::from(self.blocks.pop() == Some(true)),
            _ => {}
        }
    }

    /// A line break: a second one in a row leaves a blank line.
    fn line(&mut self) {
        self.due = (self.due + 1).min(2);
        self.blank = false;
    }
}

impl Page {
    fn text(&mut self, raw: &str) {
        let mut rest = raw;
        while !rest.is_empty() {
            let end = rest.find('&').unwrap_or(rest.len());
            let (plain, after) = rest.split_at(end);
            self.plain(plain);
            rest = after;
            if after.starts_with('&') {
                rest = self.entity(after);
            }
        }
    }

    fn plain(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\n' if self.preformatted > 0 => self.line(),
                ' ' | '\t' | '\n' | '\r' if self.preformatted == 0 => self.blank = true,
                _ => self.push(c),
            }
        }
    }

    /// One character reference; an ampersand that begins none stands for itself.
    fn entity<'a>(&mut self, text: &'a str) -> &'a str {
        let within = text.char_indices().take(LONGEST_ENTITY).find(|(_, c)| *c == ';');
        let Some((end, _)) = within else {
            self.push('&');
            return text.get(1..).unwrap_or_default();
        };
        let (entity, rest) = text.split_at(end + 1);
        let mut decoded = String::new();
        if let Some(c) = windows_1252(entity) {
            decoded.push(c);
        } else {
            add_html_token(&mut decoded, entity.as_bytes(), false);
        }
        if decoded == entity {
            self.push('&');
            return text.get(1..).unwrap_or_default();
        }
        decoded.chars().for_each(|c| self.push(c));
        rest
    }

    fn push(&mut self, c: char) {
        self.flush();
        if self.blank {
            let begins = self.out.is_empty() || self.out.ends_with(['\n', ' ']);
            if !begins {
                self.out.push(' ');
            }
            self.blank = false;
        }
        self.out.push(c);
    }

    /// Writes the line ends that are due, and the mark of quoted history.
    fn flush(&mut self) {
        if self.due == 0 && !self.out.is_empty() {
            return;
        }
        let due = std::mem::take(&mut self.due);
        if !self.out.is_empty() {
            self.out.push_str(if due > 1 { "\n\n" } else { "\n" });
            self.blank = false;
        }
        if self.quotes > 0 {
            self.out.push_str(&">".repeat(self.quotes.min(DEEPEST_QUOTE)));
            self.out.push(' ');
        }
    }
}

/// Line ends that an element puts around itself.
fn gap(name: &str) -> usize {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "pre" | "table"
        | "blockquote" => 2,
        "div" | "tr" | "li" | "dt" | "dd" | "section" | "article" | "header" | "footer"
        | "center" | "address" | "form" | "figure" | "tbody" | "body" => 1,
        _ => 0,
    }
}

/// Elements without content.
fn is_void(name: &str) -> bool {
    matches!(
        name,
        "br" | "hr" | "img" | "input" | "meta" | "link" | "area" | "base" | "col" | "wbr"
    )
}

/// Whether a mail program quotes with this element; plain ones only indent.
fn is_citation(tag: &Tag<'_>) -> bool {
    tag.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("cite"))
        || tag.attribute("cite").is_some()
        || tag.attribute("class").is_some_and(|class| class.contains("quote"))
}

/// Numbers from 128 to 159 name no character, and mean one of Windows-1252.
fn windows_1252(entity: &str) -> Option<char> {
    let digits = entity.strip_prefix("&#")?.strip_suffix(';')?;
    let byte: u8 = digits.parse().ok().filter(|byte| (128..160).contains(byte))?;
    let decode = mail_parser::decoders::charsets::map::charset_decoder(b"windows-1252")?;
    decode(&[byte]).chars().next()
}

#[cfg(test)]
mod tests;
