//! What somebody is told of a mail that a rule is for, and of how many that nobody was told of.
//!
//! Text in, text out: how it gets to them is the shell's affair. What of a mail's own text is in it
//! is what the configuration includes; the mail's body never is.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::score::Prediction;

/// Who is told, what, and how often: one `[[alert]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Short and unique; rules name it.
    pub name: Arc<str>,
    /// Addresses, each once.
    pub to: Vec<String>,
    /// What of the mail's own words is told.
    pub include: Include,
    /// How many an hour each of its rules may send to each address; what is above becomes one digest.
    pub per_hour: u32,
    /// What stands on the right of its mails' Message-IDs.
    pub domain: Arc<str>,
}

/// What of a mail's own words is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Include {
    /// Its subject.
    pub subject: bool,
    /// The address of its sender.
    pub from: bool,
    /// Its Message-ID, by which mail clients find it.
    pub message_id: bool,
}

/// A rule wants somebody to be told of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Raised {
    /// The rule.
    pub rule: Arc<str>,
    /// Who is told, and how often.
    pub alert: Arc<Alert>,
    /// What of the mail.
    pub facts: Facts,
}

/// A label that the model is sure of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// The question.
    pub head: String,
    /// The answer.
    pub label: String,
    /// How sure, 0 to 1.
    pub confidence: f32,
}

/// What is told of a mail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The account's name; set by who stores it.
    #[serde(default)]
    pub account: String,
    /// The mailbox in which it was.
    pub mailbox: String,
    /// Its UID there; set by who stores it.
    #[serde(default)]
    pub uid: u32,
    /// Where it goes from there; set by who stores it.
    #[serde(default)]
    pub goes_to: Option<String>,
    /// When it was decided; set by who stores it.
    #[serde(default)]
    pub decided: Timestamp,
    /// What the model is sure of.
    pub labels: Vec<Said>,
    /// Only where it is included.
    #[serde(default)]
    pub subject: Option<String>,
    /// Only where it is included.
    #[serde(default)]
    pub from: Option<String>,
    /// Only where it is included.
    #[serde(default)]
    pub message_id: Option<String>,
}

/// The labels that count: heads that abstained say nothing.
pub(crate) fn said(prediction: &Prediction) -> Vec<Said> {
    let sure = prediction.heads.iter().filter(|head| head.abstained.is_none());
    sure.map(|head| Said {
        head: head.head.clone(),
        label: head.label.clone(),
        confidence: head.confidence,
    })
    .collect()
}

/// A mail of ours before anything is encoded; one line is its subject, without controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// On one line.
    pub subject: String,
    /// Lines that end in `\n`.
    pub body: String,
}

/// Longest subject of ours, in characters; clients show less.
const LONGEST_SUBJECT: usize = 200;
/// Longest piece of a mail that is repeated, in characters.
const LONGEST_PIECE: usize = 400;

/// What somebody is told of a mail.
pub fn of_mail(rule: &str, facts: &Facts) -> Text {
    let Facts { account, mailbox, uid, goes_to, decided, labels, subject, from, message_id } =
        facts;
    let answers: Vec<String> =
        labels.iter().map(|said| format!("{} {}", line(&said.head), line(&said.label))).collect();
    let place = format!("{}/{}", line(account), line(mailbox));
    let mut title = format!("[triaged] {rule}: {} in {place}", or(&answers.join(", "), "mail"));
    if let Some(subject) = subject {
        let _ = write!(title, ": {}", line(subject));
    }
    let mut body = format!("The rule \"{rule}\" of triaged is for a mail.\n\n");
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(body, "  {name:<11} {}", line(value));
    };
    row("account", account);
    row("mailbox", mailbox);
    row("UID", &uid.to_string());
    row("moved to", goes_to.as_deref().unwrap_or("it stays where it is"));
    row("decided", &decided.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    for said in labels {
        let share = f64::from(said.confidence) * 100.0;
        row("label", &format!("{}: {} ({share:.0} %)", said.head, said.label));
    }
    for (name, value) in [("from", from), ("subject", subject), ("Message-ID", message_id)] {
        if let Some(value) = value {
            row(name, value);
        }
    }
    let now_in = goes_to.as_ref().unwrap_or(mailbox);
    let _ = write!(body, "\nHow to find it: {}.\n{END}", find(account, now_in, facts));
    Text { subject: shortened(&title, LONGEST_SUBJECT), body }
}

/// What somebody is told of mails that nobody was told of one by one.
pub fn of_many(rule: &str, count: u64, per_hour: u32, since: Timestamp) -> Text {
    let mails = if count == 1 { "1 mail".to_owned() } else { format!("{count} mails") };
    let from = since.strftime("%Y-%m-%d %H:%M:%S UTC");
    Text {
        subject: format!("[triaged] {rule}: {mails} more"),
        body: format!(
            "The rule \"{rule}\" of triaged was for {mails} more since {from}, of which you were\n\
             not told one by one: it may send {per_hour} alerts an hour (`per_hour` of its alert).\n\
             Everything else that the rule does was done.\n\n\
             How to find them: triaged history --since {since} lists them with account, mailbox and\n\
             labels.\n{END}"
        ),
    }
}

/// Under which an answer would go to nobody.
const END: &str = "\n-- \nWritten by triaged on its own; nobody reads answers to this mail.\n";

fn find(account: &str, mailbox: &str, facts: &Facts) -> String {
    let by = match (&facts.message_id, &facts.subject) {
        (Some(_), _) => "search for the Message-ID above",
        (None, Some(_)) => "search for the subject above",
        (None, None) => "it came at about the time above",
    };
    format!("in the mailbox {} of {}, {by}", line(mailbox), line(account))
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// Text of strangers on one line: nothing in it begins another one, hides or turns its neighbours round.
fn line(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let plain: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    shortened(plain.trim(), LONGEST_PIECE)
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let said = |head: &str, label: &str, confidence| Said {
            head: head.to_owned(),
            label: label.to_owned(),
            confidence,
        };
        Facts {
            account: "shared".to_owned(),
            mailbox: "INBOX".to_owned(),
            uid: 17,
            goes_to: Some("Escalations".to_owned()),
            decided: Timestamp::from_second(1_800_000_000).expect("in range"),
            labels: vec![said("sentiment", "negative", 0.971), said("urgency", "high", 0.93)],
            ..Facts::default()
        }
    }

    #[test]
    fn the_person_on_call_reads_what_where_and_how_to_find_it() {
        let text = of_mail("escalate", &facts());
        assert_eq!(
            text.subject,
            "[triaged] escalate: sentiment negative, urgency high in shared/INBOX"
        );
        assert_eq!(
            text.body,
            "The rule \"escalate\" of triaged is for a mail.

  account     shared
  mailbox     INBOX
  UID         17
  moved to    Escalations
  decided     2027-01-15 08:00:00 UTC
  label       sentiment: negative (97 %)
  label       urgency: high (93 %)

How to find it: in the mailbox Escalations of shared, it came at about the time above.

-- 
Written by triaged on its own; nobody reads answers to this mail.
",
        );
    }

    #[test]
    fn words_of_a_stranger_stay_on_their_line_and_end_somewhere() {
        let hostile = "a\r\nBcc: x@y.example\r\n\r\n.\r\n\u{202e}b\u{85}\u{2028}c\0";
        let facts = Facts {
            subject: Some(hostile.to_owned()),
            from: Some(hostile.repeat(1_000)),
            mailbox: hostile.to_owned(),
            ..facts()
        };
        let text = of_mail("escalate", &facts);
        assert!(!text.subject.chars().any(char::is_control), "{:?}", text.subject);
        assert!(text.subject.chars().count() <= LONGEST_SUBJECT + 1);
        let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{2028}';
        assert!(!text.body.contains(odd), "{:?}", text.body);
        assert!(!text.body.lines().any(|line| line.starts_with("Bcc") || line == "."), "{text:?}");
        assert!(text.body.lines().all(|line| line.chars().count() < 600));
    }

    #[test]
    fn a_digest_says_how_many_and_which_rule() {
        let since = Timestamp::from_second(1_800_000_000).expect("in range");
        let text = of_many("escalate", 1_204, 20, since);
        assert_eq!(text.subject, "[triaged] escalate: 1204 mails more");
        assert!(text.body.contains("may send 20 alerts an hour"), "{}", text.body);
        assert!(text.body.contains("history --since 2027-01-15T08:00:00Z"), "{}", text.body);
        assert_eq!(of_many("a", 1, 1, since).subject, "[triaged] a: 1 mail more");
    }
}
