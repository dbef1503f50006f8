//! A mail as the field knows it: who sent it, its subject, its text, and what was odd about it.
//!
//! It deliberately holds no recipient, no date and no attachment: nothing downstream reads them.

mod address;
mod clean;

use serde::Serialize;

pub use address::Sender;

/// One mail, decoded; its text still holds quoted history and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who wrote it, as far as the `From` field says.
    pub from: Sender,
    /// The decoded subject on one line; empty where there is none.
    pub subject: String,
    /// The decoded text: lines end in `\n`, no control or invisible characters.
    pub body: String,
    /// The `Message-ID` without its angle brackets.
    pub message_id: Option<String>,
    /// What was odd, in the order found, each once.
    pub defects: Vec<Defect>,
}

/// An oddity of a mail that its reader should know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// There is no text to read: sender and subject are all the model sees.
    NoText,
    /// Characters that nobody sees were taken out of the text, and there were many.
    HiddenText,
}

impl Defect {
    /// The name in logs, metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoText => "no_text",
            Self::HiddenText => "hidden_text",
        }
    }
}

impl Message {
    /// A message from fields that are decoded already, such as a line of training data.
    ///
    /// `from` reads as in a mail: `Name <local@domain>`, or an address, or a name.
    pub fn from_fields(from: &str, subject: &str, body: &str) -> Self {
        let mut defects = Vec::new();
        let body = clean::text(body);
        if body.hidden >= clean::MANY_HIDDEN {
            defects.push(Defect::HiddenText);
        }
        if !body.text.contains(char::is_alphanumeric) {
            defects.push(Defect::NoText);
        }
        Self {
            from: Sender::parse(&clean::line(from)),
            subject: clean::line(subject),
            body: body.text,
            message_id: None,
            defects,
        }
    }
}

/// Temporary.
pub fn parse(raw: &[u8], _full_size: u64) -> Message {
    let text = String::from_utf8_lossy(raw).replace("\r\n", "\n");
    let (header, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let field = |name: &str| {
        header.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    let mut message = Message::from_fields(&field("From:"), &field("Subject:"), body);
    message.message_id = Some(field("Message-ID:")).filter(|id| !id.is_empty());
    message
}
