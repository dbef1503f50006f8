//! A mail of 30 MB costs neither traffic nor memory.

use crate::harness::{Installation, Mail, Mailserver, Proxy, Settings, on_each_server};

on_each_server!(
    of_a_mail_of_30_mb_at_most_1_mib_is_received_and_16_mib_kept,
    the_text_before_a_large_attachment_is_read_whole,
);

const MIB: u64 = 1024 * 1024;

fn of_a_mail_of_30_mb_at_most_1_mib_is_received_and_16_mib_kept(mail: &Mailserver) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    let settings = Settings::label().with(anna.account().in_clear(proxy.port()));
    let installation = Installation::new(&settings);
    let daemon = installation.start_ready();
    // The model has read its longest text once before memory is measured.
    let long = Mail::new("A <a@example.org>", "Long", &"All orders of the day. ".repeat(2000));
    anna.deliver(&long);
    installation.wait_decided(&anna, &long);

    let large = Mail::raw(with_attachment(&["", "Our shop is down, please call at once."]));
    assert!(large.bytes().len() > 30_000_000);
    let (memory, received) = (daemon.memory(), proxy.received());
    daemon.forget_peak();
    anna.deliver(&large);
    let record = installation.wait_decided(&anna, &large);
    assert!(record.defects.contains(&"truncated".to_owned()), "{record:?}");
    let received = proxy.received() - received;
    assert!(received <= MIB, "{received} bytes received");
    let grown = daemon.peak_memory().saturating_sub(memory);
    assert!(grown <= 16 * MIB, "memory grew by {grown} bytes");
    daemon.stop();
}

fn the_text_before_a_large_attachment_is_read_whole(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    let text = "Production is down since 08:40, every checkout fails, call me immediately.";
    let large = Mail::raw(with_attachment(&[text, ""]));
    anna.deliver(&large);
    let record = installation.wait_decided(&anna, &large);
    assert_eq!(record.labels["urgency"], "high", "{record:?}");
    assert_eq!(record.outcome, "labelled");
    daemon.stop();
}

/// A mail with a text before and a text after 30 MB of attachment; an empty text is left out.
fn with_attachment(texts: &[&str; 2]) -> Vec<u8> {
    let text = |text: &str| match text {
        "" => String::new(),
        text => format!("--cut\r\nContent-Type: text/plain\r\n\r\n{text}\r\n"),
    };
    let line = format!("{}\r\n", "QUJD".repeat(19));
    format!(
        "From: Marta <marta@example.org>\r\nTo: anna@localhost\r\nSubject: Checkout fails\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n\r\n{}\
         --cut\r\nContent-Type: application/octet-stream; name=a.bin\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}{}--cut--\r\n",
        text(texts[0]),
        line.repeat(30_000_000 / line.len() + 1),
        text(texts[1]),
    )
    .into_bytes()
}
