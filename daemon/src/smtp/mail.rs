//! A mail of ours as bytes: RFC 5322 with the header of an automatic mail (RFC 3834 §3.1), and a body
//! that is always base64, so that nothing in it can look like an end of the mail.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};

use super::{SmtpError, address};

/// One mail to one address.
#[derive(Debug, Clone)]
pub struct Mail<'a> {
    /// Our own address.
    pub from: &'a str,
    /// To whom.
    pub to: &'a str,
    /// On one line.
    pub subject: &'a str,
    /// Plain text.
    pub body: &'a str,
    /// With its brackets.
    pub message_id: &'a str,
    /// When it was written.
    pub date: Timestamp,
    /// The rule that it is about, which marks it as ours.
    pub rule: &'a str,
}

/// Longest subject, in characters: a line of a header has at most 998 (RFC 5322 §2.1.1), and one word
/// can not be folded.
const LONGEST_SUBJECT: usize = 400;
/// Who it says that it is from, before the address.
const NAME: &str = "triaged";

impl Mail<'_> {
    /// As it is sent, before dots are doubled: ASCII, lines that end in CR LF.
    pub fn bytes(&self) -> Result<Vec<u8>, SmtpError> {
        let mut mail = Message::builder()
            .from(Mailbox::new(Some(NAME.to_owned()), address(self.from)?))
            .to(Mailbox::new(None, address(self.to)?))
            .subject(subject(self.subject))
            .message_id(Some(self.message_id.to_owned()))
            .date(SystemTime::from(self.date));
        for (name, value) in [
            // A person on leave, and most programs, answer no mail that says this.
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "All"),
            ("Precedence", "bulk"),
            ("X-Triaged-Alert", self.rule),
        ] {
            let name = HeaderName::new_from_ascii(name.to_owned());
            let name = name.map_err(|error| SmtpError::unwritable(&error))?;
            mail = mail.raw_header(HeaderValue::new(name, one_line(value)));
        }
        let body = SinglePart::builder()
            .header(ContentType::TEXT_PLAIN)
            .header(ContentTransferEncoding::Base64)
            .body(self.body.to_owned());
        let mail = mail.singlepart(body).map_err(|error| SmtpError::unwritable(&error))?;
        Ok(mail.formatted())
    }
}

/// A subject in which no word looks as if it were encoded already: clients would decode it, with
/// whatever is in it.
fn subject(text: &str) -> String {
    let text: String = text.chars().take(LONGEST_SUBJECT).collect();
    one_line(&text).replace("=?", "= ?")
}

/// No control begins another field.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
