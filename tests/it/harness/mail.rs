//! The mails that tests send: written here, or taken from `tests/fixtures/mail`.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// A mail as it goes over the wire, with a Message-ID by which it is found again.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    id: String,
    bytes: Vec<u8>,
}

impl Mail {
    /// A plain mail of a person.
    pub(crate) fn new(from: &str, subject: &str, body: &str) -> Mail {
        let text = format!(
            "From: {from}\r\nTo: anna@localhost\r\nSubject: {subject}\r\n\
             Date: Mon, 16 Nov 2026 09:12:00 +0000\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n",
            body.replace('\n', "\r\n")
        );
        Mail::raw(text.into_bytes())
    }

    /// Any bytes at all; a Message-ID is put before them.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Mail {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("<it-{}-{count}@example.org>", std::process::id());
        let mut all = format!("Message-ID: {id}\r\n").into_bytes();
        all.extend(bytes.into());
        Mail { id, bytes: all }
    }

    /// Any bytes at all, and no Message-ID by which to find them.
    pub(crate) fn verbatim(bytes: impl Into<Vec<u8>>) -> Mail {
        Mail { id: String::new(), bytes: bytes.into() }
    }

    /// A customer's system is down: urgent by any reading.
    pub(crate) fn outage() -> Mail {
        Mail::new(
            "Marta Lindqvist <marta@northwind-foods.example>",
            "Production is down, checkout fails for all customers",
            "Hello,\n\nsince 08:40 our whole shop has been down. Every checkout fails with error\n\
             500 and we are losing orders every minute. This is the third outage this month and\n\
             I am really angry. Please call me immediately, we need this fixed today.\n\nMarta",
        )
    }

    /// A bulk mail that asks for nothing.
    pub(crate) fn newsletter() -> Mail {
        Mail::new(
            "Garden Weekly <news@garden-weekly.example>",
            "Garden Weekly: ten ideas for your balcony in November",
            "In this issue: bulbs to plant now, how to store dahlias, our autumn sale with 20%\n\
             off all pots, and the photo of the week.\n\nRead it online. You receive this mail\n\
             because you subscribed to our newsletter. Unsubscribe here.",
        )
    }

    /// A question about an invoice: ordinary business.
    pub(crate) fn invoice_question() -> Mail {
        Mail::new(
            "Jonas Weber <jonas.weber@weber-metall.example>",
            "Question about invoice 2026-1187",
            "Hello,\n\non invoice 2026-1187 you charge VAT although you have our VAT number on\n\
             file. Could you please send us a corrected invoice this week?\n\n\
             Kind regards\nJonas Weber",
        )
    }

    /// Its Message-ID, with the angle brackets.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// All of it, header and body.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// All files of `tests/fixtures/mail`, by name, in order, as they are.
pub(crate) fn fixtures() -> Vec<(String, Mail)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/mail");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("tests/fixtures/mail")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "eml"))
        .collect();
    names.sort();
    let read = |name: String| {
        let mail = Mail::verbatim(std::fs::read(folder.join(&name)).unwrap());
        (name, mail)
    };
    names.into_iter().map(read).collect()
}
