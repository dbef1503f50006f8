//! From the bytes that the server sent to the text that the model reads.

use std::collections::HashMap;

use jiff::Timestamp;
use triaged_core::document;
use triaged_core::mailbox::{Uid, UidSet};
use triaged_core::message::{self, Automatic, Message};

use super::{FlowError, Pipeline};
use crate::imap::{Fetched, Listed};
use crate::metrics::Stage;
use crate::store::Identity;

/// A message that was read and is to be decided.
pub(super) struct Draft {
    pub(super) uid: Uid,
    /// What the model reads; `None` where the server does not give the message.
    pub(super) text: Option<String>,
    pub(super) subject: String,
    /// The address of its sender; empty where there is none.
    pub(super) from: String,
    /// Its Message-ID without brackets; empty where there is none.
    pub(super) id: String,
    /// Why nobody may be alerted of it.
    pub(super) automatic: Option<Automatic>,
    /// When the server received it, where it says so.
    pub(super) received: Option<Timestamp>,
    pub(super) identity: Option<Identity>,
    /// The server's own word for it, wherever it is.
    pub(super) email: Option<Identity>,
    /// Its Message-ID, by which people name it.
    pub(super) message_id: Option<Identity>,
    pub(super) flags: Vec<String>,
    pub(super) defects: Vec<&'static str>,
    /// It can not be read, and was tried often enough.
    pub(super) given_up: bool,
}

impl Pipeline {
    /// Parses and renders a chunk on a thread of its own: a hostile message may take its time. Of
    /// those `without_text` only the header came.
    pub(super) async fn read(
        &self,
        listed: &[Listed],
        fetched: Vec<Fetched>,
        without_text: UidSet,
    ) -> Result<Vec<Draft>, FlowError> {
        let listed: HashMap<Uid, Listed> =
            listed.iter().map(|listed| (listed.uid, listed.clone())).collect();
        let pipeline = self.clone();
        let drafts = tokio::task::spawn_blocking(move || {
            fetched
                .into_iter()
                .filter_map(|fetched| {
                    let listed = listed.get(&fetched.uid)?;
                    let mut draft = pipeline.draft(listed, fetched);
                    if without_text.contains(draft.uid) && !draft.given_up {
                        draft.defects.push("header-only");
                    }
                    Some(draft)
                })
                .collect()
        });
        Ok(drafts.await?)
    }

    fn draft(&self, listed: &Listed, fetched: Fetched) -> Draft {
        let raw = match fetched.content {
            Ok(raw) => raw,
            Err(error) => {
                tracing::warn!(uid = listed.uid.get(), %error, "the server gives neither the text of a message nor its header");
                return self.given_up(listed);
            }
        };
        let timer = self.metrics.stage(Stage::Parse);
        let message = message::parse(&raw, listed.size);
        timer.done(1);
        let timer = self.metrics.stage(Stage::Render);
        let text = document::render(&message);
        timer.done(1);
        let Message { from, subject, message_id, automatic, defects, .. } = message;
        let identity = self.identity(&raw, message_id.as_deref(), listed.size);
        Draft {
            uid: listed.uid,
            text: Some(text),
            subject,
            from: from.address,
            id: message_id.clone().unwrap_or_default(),
            automatic,
            received: listed.received,
            identity,
            email: listed.email.as_deref().map(|email| self.store.email(email)),
            message_id: message_id.as_deref().map(|id| self.store.message_id(id)),
            flags: listed.flags.clone(),
            defects: defects.iter().map(|defect| defect.as_str()).collect(),
            given_up: false,
        }
    }

    /// How a message is recognised wherever it is moved: by its Message-ID, else by its whole header.
    /// `raw` begins with the header. `None` where it has neither.
    pub(super) fn identity(
        &self,
        raw: &[u8],
        message_id: Option<&str>,
        size: u64,
    ) -> Option<Identity> {
        match message_id {
            Some(id) => Some(self.store.identity(id.as_bytes(), size)),
            None => self.whole_header(raw, size),
        }
    }

    /// The whole header of a message, from its first byte to the empty line, and its size; `None`
    /// where it has none.
    pub(super) fn whole_header(&self, raw: &[u8], size: u64) -> Option<Identity> {
        let ends = [&b"\r\n\r\n"[..], b"\n\n"];
        let end = ends.iter().filter_map(|end| raw.windows(end.len()).position(|at| at == *end));
        let header = raw.get(..end.min()?)?;
        (!header.trim_ascii().is_empty()).then(|| self.store.identity(header, size))
    }

    /// A message that can not be read: it gets the mark that says so, and its neighbours their labels.
    pub(super) fn given_up(&self, listed: &Listed) -> Draft {
        tracing::warn!(
            uid = listed.uid.get(),
            "a message can not be read and is left alone; `triaged retry` tries it again"
        );
        Draft {
            uid: listed.uid,
            text: None,
            subject: String::new(),
            from: String::new(),
            id: String::new(),
            automatic: None,
            received: listed.received,
            identity: None,
            email: listed.email.as_deref().map(|email| self.store.email(email)),
            message_id: None,
            flags: listed.flags.clone(),
            defects: vec!["unreadable"],
            given_up: true,
        }
    }
}
