//! Cuts HTML into tags and text.
//!
//! It deliberately builds no tree and never looks back: mail is full of broken HTML, and each byte
//! is looked at a bounded number of times however it is nested.

/// Attributes that are read of one tag; the rest of a longer tag is passed over.
const MOST_ATTRIBUTES: usize = 32;

/// A piece of HTML.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Text(&'a str),
    /// The inside of a `style` element.
    Style(&'a str),
    Start(Tag<'a>),
    /// The name, in lower case.
    End(String),
}

/// A start tag.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// In lower case.
    pub(super) name: String,
    /// What stands between the name and the closing bracket.
    attributes: &'a str,
    pub(super) closes_itself: bool,
}

impl Tag<'_> {
    /// The value of an attribute, empty where it has none; entities are left as they are.
    pub(super) fn attribute(&self, wanted: &str) -> Option<&str> {
        let mut rest = self.attributes;
        for _ in 0..MOST_ATTRIBUTES {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/' || c == '=');
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(|c: char| c.is_whitespace() || c == '=' || c == '/');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            let (value, after) = value(after);
            if name.eq_ignore_ascii_case(wanted) {
                return Some(value);
            }
            rest = after;
        }
        None
    }
}

/// The value after an attribute's name, and what follows it.
fn value(after: &str) -> (&str, &str) {
    let Some(rest) = after.trim_start().strip_prefix('=') else { return ("", after) };
    let rest = rest.trim_start();
    match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inside = rest.get(1..).unwrap_or_default();
            inside.split_once(quote).unwrap_or((inside, ""))
        }
        _ => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
    }
}

/// Walks through HTML token by token.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    /// The element whose content is no HTML, and which has just begun.
    raw: Option<&'static str>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self { rest: html, raw: None }
    }

    /// The content of an element in which tags mean nothing; to the end if it is never closed.
    fn raw_text(&mut self, name: &str) -> &'a str {
        let end = find_end_tag(self.rest, name).unwrap_or(self.rest.len());
        let (inside, rest) = self.rest.split_at(end);
        self.rest = rest;
        inside
    }

    fn start(&mut self, inside: &'a str) -> Token<'a> {
        let inside = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
        let (inside, closes_itself) = inside;
        let end = inside.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(inside.len());
        let (name, attributes) = inside.split_at(end);
        let name = name.to_ascii_lowercase();
        self.raw = ["script", "style", "title", "xml"].into_iter().find(|raw| *raw == name);
        Token::Start(Tag { name, attributes, closes_itself })
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if let Some(name) = self.raw.take() {
                let inside = self.raw_text(name);
                if name == "style" {
                    return Some(Token::Style(inside));
                }
            }
            if self.rest.is_empty() {
                return None;
            }
            let Some(tag) = self.rest.strip_prefix('<') else {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                return Some(Token::Text(text));
            };
            if let Some(comment) = tag.strip_prefix("!--") {
                let end = comment.find("-->").map_or(comment.len(), |end| end + 3);
                self.rest = comment.get(end..).unwrap_or_default();
                continue;
            }
            match tag.chars().next() {
                Some('a'..='z' | 'A'..='Z') => {
                    let (inside, rest) = tag.split_at(tag_end(tag));
                    self.rest = rest.get(1..).unwrap_or_default();
                    return Some(self.start(inside));
                }
                Some('/') => {
                    let (inside, rest) = tag.split_at(tag.find('>').unwrap_or(tag.len()));
                    self.rest = rest.get(1..).unwrap_or_default();
                    let name = inside.trim_matches(|c: char| c.is_whitespace() || c == '/');
                    return Some(Token::End(name.to_ascii_lowercase()));
                }
                Some('!' | '?') => {
                    self.rest = tag.split_once('>').map_or("", |(_, rest)| rest);
                }
                _ => {
                    let (text, rest) = self.rest.split_at(1);
                    self.rest = rest;
                    return Some(Token::Text(text));
                }
            }
        }
    }
}

/// Where the closing bracket of a start tag stands; brackets within quoted values do not count.
fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    let mut after_equals = false;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') if after_equals => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            after_equals = byte == b'=';
        }
    }
    // A quotation mark that is never closed would swallow the rest: take the first bracket.
    tag.find('>').unwrap_or(tag.len())
}

fn find_end_tag(text: &str, name: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find("</") {
        let begin = from + at;
        let found = bytes.get(begin + 2..begin + 2 + name.len());
        if found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
            return Some(begin);
        }
        from = begin + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_cut_into_tags_and_text() {
        let html = "<!doctype html><p class='a>b'>x &lt; 1 <b>y</B><!-- <i> --><br/>\
            <style>p { color: <red> }</style><script>if (a < b) {}</script>3 < 4<a";
        let tokens: Vec<String> = Lexer::new(html)
            .map(|token| match token {
                Token::Text(text) => text.to_owned(),
                Token::Style(text) => format!("style {text}"),
                Token::Start(tag) => format!("<{}>", tag.name),
                Token::End(name) => format!("</{name}>"),
            })
            .collect();
        assert_eq!(
            tokens,
            [
                "<p>",
                "x &lt; 1 ",
                "<b>",
                "y",
                "</b>",
                "<br>",
                "<style>",
                "style p { color: <red> }",
                "</style>",
                "<script>",
                "</script>",
                "3 ",
                "<",
                " 4",
                "<a>"
            ]
        );
    }

    #[test]
    fn attributes_are_read_however_they_are_written() {
        fn check(html: &str, name: &str, expected: Option<&str>) {
            let Some(Token::Start(tag)) = Lexer::new(html).next() else { panic!("no tag: {html}") };
            assert_eq!(tag.attribute(name), expected, "{html}");
        }
        check("<p style='a: b' class=x>", "style", Some("a: b"));
        check("<p style='a: b' CLASS=x>", "class", Some("x"));
        check("<p hidden>", "hidden", Some(""));
        check("<p style = \"a\">", "style", Some("a"));
        check("<p/style=a>", "style", Some("a"));
        check("<p style=\"never closed>text", "style", Some("never closed"));
        check("<p>", "style", None);
    }

    #[test]
    fn a_quotation_mark_that_never_closes_costs_one_tag() {
        let tokens: Vec<Token<'_>> = Lexer::new("<p style=\"x>text").collect();
        assert_eq!(tokens.len(), 2);
    }
}
