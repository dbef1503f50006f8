//! Mails that no careful program writes: each gets a label or a defect, and the daemon lives on.

use crate::harness::{
    Installation, Mail, Mailserver, Settings, Software, fixtures, on_each_server,
};

on_each_server!(
    odd_mails_get_a_label_or_a_defect,
    an_html_only_mail_is_read,
    a_thousand_parts_in_each_other_cost_the_neighbours_nothing,
);

fn odd_mails_get_a_label_or_a_defect(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let mut daemon = installation.start_ready();
    let mut mails = fixtures();
    assert!(mails.len() >= 4, "tests/fixtures/mail is nearly empty");
    mails.extend(written_here().map(|(name, bytes)| (name.to_owned(), Mail::verbatim(bytes))));
    let mut client = anna.client();
    let mut placed = Vec::new();
    for (name, odd) in mails {
        match client.offer("INBOX", odd.bytes(), "", None) {
            Ok(uid) => placed.push((name, uid)),
            // Cyrus lets nothing in with line ends or bytes that no mail may have.
            Err(refused) => assert_eq!(mail.software(), Software::Cyrus, "{name}: {refused}"),
        }
    }
    assert!(placed.len() > 10, "{placed:?}");
    for (name, uid) in placed {
        let record = installation.wait_recorded(&anna, "INBOX", uid);
        assert!(!record.labels.is_empty() || !record.defects.is_empty(), "{name}: {record:?}");
        assert!(daemon.is_running(), "{name}");
    }
    let outage = Mail::outage();
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    assert!(!daemon.log().contains("panicked"));
    daemon.stop();
}

fn written_here() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let multipart = "From: a@example.org\r\nSubject: Broken\r\nMIME-Version: 1.0\r\n\
                     Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n";
    [
        ("one line end", b"\r\n".to_vec()),
        ("only a header", b"Subject: \r\n\r\n".to_vec()),
        ("only a body", b"\r\nHello, is anybody there?\r\n".to_vec()),
        ("not UTF-8", [b"Subject: \xe9\xff\xfe\r\n\r\n".as_slice(), &[0xe9; 300]].concat()),
        ("a charset that nobody knows", b"Content-Type: text/plain; charset=x-klingon\r\n\r\n\xb0\xb1\r\n".to_vec()),
        ("a boundary that never comes", format!("{multipart}no part at all").into_bytes()),
        ("a part that never ends", format!("{multipart}--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!").into_bytes()),
        ("a boundary again and again", format!("{multipart}{}", "--b\r\n".repeat(20_000)).into_bytes()),
        ("an endless header line", format!("Subject: {}\r\n\r\nx", "a".repeat(400_000)).into_bytes()),
        ("mail in mail in mail", "Content-Type: message/rfc822\r\n\r\n".repeat(3_000).into_bytes()),
        ("HTML that opens and opens", format!("Content-Type: text/html\r\n\r\n{}", "<div><table><td>".repeat(5_000)).into_bytes()),
    ]
    .into_iter()
}

fn an_html_only_mail_is_read(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    let html = Mail::raw(
        "From: Marta <marta@example.org>\r\nSubject: Checkout\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<html><head><style>p { color: red }</style>\
         </head><body><p>Our production is <b>down</b> since 08:40, every checkout fails and we \
         lose orders every minute.</p><p>I am really angry. Call me immediately!</p></body></html>",
    );
    anna.deliver(&html);
    let record = installation.wait_decided(&anna, &html);
    assert_eq!(record.labels["urgency"], "high", "{record:?}");
    assert_eq!(record.outcome, "labelled");
    daemon.stop();
}

/// More than a server's own answers can be nested for most programs, and than their stacks bear.
const PARTS: usize = 1_000;

fn a_thousand_parts_in_each_other_cost_the_neighbours_nothing(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    installation.start_ready().stop();
    let open = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    let nested = format!(
        "From: a@example.org\r\nSubject: Deep\r\nMIME-Version: 1.0\r\n{}\
         Content-Type: text/plain\r\n\r\nIs anybody down there?\r\n{}",
        (0..PARTS).map(open).collect::<String>(),
        (0..PARTS).rev().map(|n| format!("--b{n}--\r\n")).collect::<String>()
    );
    let (before, deep, after) = (Mail::outage(), Mail::raw(nested), Mail::outage());
    let uids = [&before, &deep, &after].map(|mail| anna.append("INBOX", mail, "", None));

    let mut daemon = installation.start_ready();
    let records = uids.map(|uid| installation.wait_recorded(&anna, "INBOX", uid));
    assert_eq!(records[0].outcome, "labelled", "{records:?}");
    assert_eq!(records[2].outcome, "labelled", "{records:?}");
    assert!(!records[1].labels.is_empty() || !records[1].defects.is_empty(), "{records:?}");
    // The server is not kept from its other answers by what it makes of the mail.
    let (now, shown) = (Mail::outage(), anna.find(&deep).unwrap());
    anna.deliver(&now);
    assert_eq!(installation.wait_decided(&anna, &now).outcome, "labelled");
    assert_eq!(shown.keywords(), records[1].keywords);
    assert!(daemon.is_running() && !daemon.log().contains("panicked"));
    daemon.stop();
}
