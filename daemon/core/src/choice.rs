//! Which mailboxes of an account are watched: by name, by pattern, and by what they are for.
//!
//! The server says what there is; the choice is made here, so that one answer serves patterns,
//! special uses and exclusions alike. Names are text as people write it, hierarchy delimiter
//! included; how they go over the wire is not known here.

mod pattern;
mod special_use;

use std::collections::BTreeSet;
use std::fmt;

use pattern::matches;
pub use special_use::SpecialUse;

/// One entry of `mailboxes` or `except_mailboxes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Exactly this one.
    Name(String),
    /// All whose names match: `*` stands for anything, `%` for anything within one level of the
    /// hierarchy (RFC 9051 §6.3.9).
    Pattern(String),
    /// Those that are for this.
    Use(SpecialUse),
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Pattern(text) => f.write_str(text),
            Self::Use(special) => f.write_str(special.as_str()),
        }
    }
}

/// A mailbox that the server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What separates the levels of the hierarchy; `None` where there is one level only.
    pub delimiter: Option<char>,
    /// What the server says that it is for.
    pub uses: BTreeSet<SpecialUse>,
    /// Whether it can be opened at all.
    pub selectable: bool,
}

impl Listed {
    /// Whether it is for this, by what the server says of it; where it says nothing, by its name.
    fn is_for(&self, special: SpecialUse) -> bool {
        if special == SpecialUse::Inbox {
            return is_inbox(&self.name);
        }
        if !self.uses.is_empty() {
            return self.uses.contains(&special);
        }
        let name = self.below_inbox().to_lowercase();
        special.usual_names().contains(&name.as_str())
    }

    /// Its name without the `INBOX.` in front, below which some servers have all mailboxes.
    fn below_inbox(&self) -> &str {
        let below = self.name.split_at_checked(5).filter(|(first, _)| is_inbox(first));
        below.and_then(|(_, rest)| rest.strip_prefix(self.delimiter?)).unwrap_or(&self.name)
    }
}

/// INBOX has no case (RFC 9051 §5.1).
pub fn is_inbox(name: &str) -> bool {
    name.eq_ignore_ascii_case("INBOX")
}

/// The name by which two spellings of one mailbox are found equal.
pub fn canonical(name: &str) -> &str {
    if is_inbox(name) { "INBOX" } else { name }
}

/// What is watched of an account, as the configuration says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    wanted: Vec<Wish>,
    except: Vec<Wish>,
}

impl fmt::Display for Choice {
    /// The wishes, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, wish) in self.wanted.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{wish}")?;
        }
        Ok(())
    }
}

/// A mailbox that is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// The configuration names it itself: then it is missed where it is not there.
    pub named: bool,
}

impl Choice {
    /// `wanted` in the order of the configuration, at least one; `except` is about patterns only.
    pub fn new(wanted: Vec<Wish>, except: Vec<Wish>) -> Self {
        Self { wanted, except }
    }

    /// The mailboxes that are named themselves.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().filter_map(|wish| match wish {
            Wish::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The patterns among the wishes.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().filter_map(|wish| match wish {
            Wish::Pattern(pattern) => Some(pattern.as_str()),
            _ => None,
        })
    }

    /// What mailboxes are wished for that are for something.
    pub fn uses(&self) -> impl Iterator<Item = SpecialUse> {
        self.wanted.iter().filter_map(|wish| match wish {
            Wish::Use(special) => Some(*special),
            _ => None,
        })
    }

    /// The only mailbox, where the configuration names one and nothing else.
    pub fn only(&self) -> Option<&str> {
        match self.wanted.as_slice() {
            [Wish::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// Whether what is watched depends on what there is.
    pub fn is_open(&self) -> bool {
        self.names().count() < self.wanted.len()
    }

    /// The mailboxes to watch among those that there are, in the order of the wishes, those of one
    /// wish with INBOX first and then by name. The first is the main one. Named mailboxes are
    /// always among them.
    pub fn choose(&self, there: &[Listed]) -> Vec<Chosen> {
        let mut taken = BTreeSet::new();
        let mut chosen = Vec::new();
        let mut take = |name: &str, named| {
            if taken.insert(canonical(name).to_owned()) {
                chosen.push(Chosen { name: name.to_owned(), named });
            }
        };
        for wish in &self.wanted {
            if let Wish::Name(name) = wish {
                take(name, true);
                continue;
            }
            let meant =
                |one: &&Listed| fits(wish, one) && one.selectable && !self.leaves(wish, one);
            let mut names: Vec<&str> =
                there.iter().filter(meant).map(|one| one.name.as_str()).collect();
            names.sort_unstable_by_key(|name| (!is_inbox(name), *name));
            for name in names {
                take(name, self.names().any(|named| canonical(named) == canonical(name)));
            }
        }
        chosen
    }

    /// Whether a mailbox that was watched once and is not named itself may be one of them.
    pub fn finds(&self, name: &str) -> bool {
        self.names().all(|named| canonical(named) != canonical(name)) && self.may_have(name)
    }

    /// Whether a mailbox of this name, of which nothing else is known, may be one of them.
    pub fn may_have(&self, name: &str) -> bool {
        let plain = |delimiter| Listed {
            name: name.to_owned(),
            delimiter,
            uses: BTreeSet::new(),
            selectable: true,
        };
        self.names().any(|named| canonical(named) == canonical(name))
            || self.uses().next().is_some()
            || [None, Some('/'), Some('.')].into_iter().any(|delimiter| {
                let one = plain(delimiter);
                self.wanted.iter().any(|wish| fits(wish, &one) && !self.leaves(wish, &one))
            })
    }

    /// Whether a mailbox that fits a wish is left out all the same.
    fn leaves(&self, wish: &Wish, one: &Listed) -> bool {
        let usually = matches!(wish, Wish::Pattern(_))
            && SpecialUse::LEFT_OUT.into_iter().any(|special| one.is_for(special));
        usually || self.except.iter().any(|exception| fits(exception, one))
    }
}

fn fits(wish: &Wish, one: &Listed) -> bool {
    match wish {
        Wish::Name(name) => canonical(name) == canonical(&one.name),
        Wish::Pattern(pattern) => matches(pattern, &one.name, one.delimiter),
        Wish::Use(special) => one.is_for(*special),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(names: &[&str]) -> Vec<Listed> {
        names.iter().map(|name| listed(name, &[])).collect()
    }

    fn listed(name: &str, uses: &[SpecialUse]) -> Listed {
        Listed {
            name: name.to_owned(),
            delimiter: Some('/'),
            uses: uses.iter().copied().collect(),
            selectable: true,
        }
    }

    fn wish(text: &str) -> Wish {
        match SpecialUse::of_word(text) {
            Some(special) => Wish::Use(special),
            None if text.contains(['*', '%']) => Wish::Pattern(text.to_owned()),
            None => Wish::Name(text.to_owned()),
        }
    }

    fn choose(wanted: &[&str], except: &[&str], there: &[Listed]) -> Vec<String> {
        let wishes = |texts: &[&str]| texts.iter().map(|text| wish(text)).collect();
        let chosen = Choice::new(wishes(wanted), wishes(except)).choose(there);
        chosen.into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn mailboxes_come_in_the_order_of_the_wishes_and_once() {
        let there = there(&["Lists/b", "INBOX", "Lists/a", "Work"]);
        assert_eq!(choose(&["*"], &[], &there), ["INBOX", "Lists/a", "Lists/b", "Work"]);
        assert_eq!(
            choose(&["Work", "Lists/%", "*"], &[], &there),
            ["Work", "Lists/a", "Lists/b", "INBOX"]
        );
        assert_eq!(
            choose(&["inbox", "Gone", "*"], &["Lists/*"], &there),
            ["inbox", "Gone", "Work"]
        );
    }

    #[test]
    fn patterns_leave_out_what_nobody_has_to_triage_unless_it_is_wished_for() {
        let mut all = there(&["INBOX", "Sent Items", "INBOX/Spam", "Lists/Trash", "Work"]);
        all.push(listed("Papierkorb", &[SpecialUse::Trash]));
        all.push(listed("Old", &[SpecialUse::Archive]));
        all.push(listed("Everything", &[SpecialUse::All]));
        let usual = ["INBOX", "Lists/Trash", "Old", "Work"];
        assert_eq!(choose(&["*"], &[], &all), usual);
        let more =
            ["INBOX", "Lists/Trash", "Old", "Work", "Papierkorb", "INBOX/Spam", "Sent Items"];
        assert_eq!(choose(&["*", "\\Trash", "\\junk", "Sent Items"], &[], &all), more);
        assert_eq!(choose(&["*"], &["\\Archive", "W%"], &all), ["INBOX", "Lists/Trash"]);
    }

    #[test]
    fn what_a_mailbox_is_for_is_the_servers_word_and_only_then_its_name() {
        let all = [listed("Archive", &[]), listed("Junk", &[SpecialUse::Archive])];
        assert_eq!(choose(&["\\Archive"], &[], &all), ["Archive", "Junk"]);
        assert_eq!(choose(&["\\Junk", "\\Inbox"], &[], &all), Vec::<String>::new());
        let shut = Listed { selectable: false, ..listed("Archive", &[]) };
        assert_eq!(choose(&["*"], &[], &[shut]), Vec::<String>::new());
    }

    #[test]
    fn it_is_known_which_names_can_be_meant() {
        let choice = Choice::new(vec![wish("INBOX"), wish("Lists.%")], vec![wish("Lists.x")]);
        assert!(choice.may_have("inbox") && choice.may_have("Lists.a"));
        assert!(!choice.may_have("Lists.x") && !choice.may_have("Work"));
        assert!(choice.is_open() && choice.only().is_none());
        assert_eq!(Choice::new(vec![wish("INBOX")], vec![]).only(), Some("INBOX"));
    }
}
