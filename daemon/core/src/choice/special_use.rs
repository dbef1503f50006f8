//! What mailboxes are for, as servers mark them; and what they are usually called where none is marked.

/// What a mailbox is for (RFC 6154 §2, RFC 8457), and `\Inbox` for the one where mail arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is the special use of RFC 6154 of that name")]
pub enum SpecialUse {
    Inbox,
    All,
    Archive,
    Drafts,
    Flagged,
    Important,
    Junk,
    Sent,
    Trash,
}

impl SpecialUse {
    /// All of them.
    pub const EACH: [Self; 9] = [
        Self::Inbox,
        Self::All,
        Self::Archive,
        Self::Drafts,
        Self::Flagged,
        Self::Important,
        Self::Junk,
        Self::Sent,
        Self::Trash,
    ];

    /// What patterns leave out unless it is wished for: what nobody has to triage, and views of mail
    /// that is elsewhere, too (Gmail's).
    pub(super) const LEFT_OUT: [Self; 7] = [
        Self::All,
        Self::Drafts,
        Self::Flagged,
        Self::Important,
        Self::Junk,
        Self::Sent,
        Self::Trash,
    ];

    /// As it goes over the wire and stands in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "\\Inbox",
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Important => "\\Important",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// The use of that name; case is ignored.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|one| one.as_str().eq_ignore_ascii_case(word))
    }

    /// What mailboxes for it are usually called, in lower case, where a server marks none.
    pub(super) const fn usual_names(self) -> &'static [&'static str] {
        match self {
            Self::Inbox | Self::All | Self::Flagged | Self::Important => &[],
            Self::Archive => &["archive", "archives"],
            Self::Drafts => &["drafts", "draft"],
            Self::Junk => &["junk", "spam", "junk e-mail", "junk email", "bulk mail"],
            Self::Sent => &["sent", "sent items", "sent messages", "sent mail"],
            Self::Trash => &["trash", "deleted items", "deleted messages"],
        }
    }
}
