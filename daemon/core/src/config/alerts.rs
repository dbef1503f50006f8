//! The `[[alert]]`s: who is told of mail, what of it, and how often.
//!
//! They have a name, so that several rules tell the same people, and logs and metrics never show an
//! address. That an address is a watched mailbox is no mistake, and can not always be known here: no
//! alert is ever raised for an alert (`message::Automatic`).

use std::sync::Arc;

use super::problem::{Fault, Problems, closest, one_of};
use super::raw::{Placed, Section};
use super::settings::number;
use super::smtp::SmtpConfig;
use super::values::{account_name, mail_address};
use crate::alert::{Alert, Include};

/// The alerts of a file.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    /// Their names, also of those that are wrong, which were reported.
    names: Vec<String>,
    read: Vec<Arc<Alert>>,
}

/// More people than this are told by a mailing list.
const MOST_ADDRESSES: usize = 20;
/// What somebody who is on call can read.
const PER_HOUR: u32 = 20;
/// More is no alert.
const MOST_PER_HOUR: i64 = 1_000;

impl Alerts {
    /// The alert of this name; nothing where it was reported.
    pub(super) fn find(&self, name: &str) -> Result<Option<Arc<Alert>>, Fault> {
        if !self.names.iter().any(|known| known == name) {
            let mend = match closest(name, self.names.iter().map(String::as_str)) {
                Some(known) => format!("did you mean {known:?}?"),
                None => "write an [[alert]] with this name, and to = [\"…\"]".to_owned(),
            };
            return Err(Fault::new(format!("no [[alert]] is called {name:?}"), mend));
        }
        Ok(self.read.iter().find(|alert| *alert.name == *name).cloned())
    }
}

/// Reads all alerts. `smtp` is the server that takes them: there, but wrong; or not there.
#[expect(clippy::option_option, reason = "a wrong section was reported, and is no missing one")]
pub(super) fn read_all(
    sections: Vec<Section<'_>>,
    smtp: Option<Option<&SmtpConfig>>,
    problems: &mut Problems,
) -> Alerts {
    if let (Some(first), None) = (sections.first(), smtp) {
        let mend = "write [smtp] with host and from";
        problems.add(&first.place, Fault::new("there is no server that takes its mail", mend));
    }
    let domain = smtp.flatten().map_or("localhost", SmtpConfig::domain);
    let mut alerts = Alerts::default();
    for section in sections {
        if let Some(alert) = read(section, domain, &mut alerts.names, problems) {
            alerts.read.push(Arc::new(alert));
        }
    }
    alerts
}

/// Every value is read before the first `?`: a problem in one must not hide the others.
fn read(
    mut section: Section<'_>,
    domain: &str,
    taken: &mut Vec<String>,
    problems: &mut Problems,
) -> Option<Alert> {
    let name = section.require::<String>("name", "choose a short name: rules name it", problems);
    let name = name.and_then(|name| {
        name.check(problems, |name| {
            let name = account_name(name)?;
            if taken.iter().any(|one| one.eq_ignore_ascii_case(&name)) {
                let what = format!("an alert before this one is called {name:?} too");
                return Err(Fault::new(what, "give each its own name"));
            }
            taken.push(name.clone());
            Ok(name)
        })
    });
    let to = read_addresses(&mut section, problems);
    let include = read_include(&mut section, problems);
    let per_hour = number(&mut section, "per_hour", 1..=MOST_PER_HOUR, problems);
    section.finish(problems);
    Some(Alert {
        name: name?.into(),
        to: to?,
        include,
        per_hour: per_hour.unwrap_or(PER_HOUR),
        domain: domain.into(),
    })
}

fn read_addresses(section: &mut Section<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let place = section.place.key("to", section.place.line);
    if !section.has("to") {
        let mend = "say who is told: to = [\"oncall@example.org\"]";
        problems.add(&place, Fault::new("is missing", mend));
    }
    let list = section.take_list::<String>("to", problems)?;
    let fault = match list.value.len() {
        0 => Some(Fault::new("names nobody", "write at least one address")),
        1..=MOST_ADDRESSES => None,
        _ => {
            let what = format!("names more than {MOST_ADDRESSES} addresses");
            Some(Fault::new(what, "let your mail server have a list of them"))
        }
    };
    if let Some(fault) = fault {
        problems.add(&list.place, fault);
    }
    let mut read: Vec<String> = Vec::new();
    for address in list.value {
        let address = address.check(problems, mail_address);
        read.extend(address.filter(|one| !read.contains(one)));
    }
    (!read.is_empty()).then_some(read)
}

/// What of a mail's own words may be told.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Subject,
    From,
    MessageId,
}

fn read_include(section: &mut Section<'_>, problems: &mut Problems) -> Include {
    let known =
        [("subject", Piece::Subject), ("from", Piece::From), ("message-id", Piece::MessageId)];
    let list = section.take_list::<String>("include", problems);
    let mut include = Include::default();
    for word in list.into_iter().flat_map(|list| list.value) {
        let word: Placed<String> = word;
        match word.check(problems, |word| one_of(&word, &known)) {
            Some(Piece::Subject) => include.subject = true,
            Some(Piece::From) => include.from = true,
            Some(Piece::MessageId) => include.message_id = true,
            None => {}
        }
    }
    include
}
