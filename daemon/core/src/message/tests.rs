use proptest::prelude::*;

use super::*;

fn check(raw: &str, body: &str, defects: &[Defect]) {
    let message = parse(raw.as_bytes(), raw.len() as u64);
    assert_eq!(message.body, body, "{raw}");
    assert_eq!(message.defects, defects, "{raw}");
}

#[test]
fn a_plain_mail_is_read() {
    let raw = b"From: Ada King <ada@Engine.example>\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\
        Message-ID: <1@engine.example>\r\n\r\nOne\r\ntwo\r\n";
    let message = parse(raw, raw.len() as u64);
    let (name, domain) = ("Ada King".into(), "engine.example".into());
    let from = Sender { name, domain, address: "ada@engine.example".into() };
    assert_eq!(
        message,
        Message {
            from,
            subject: "café".into(),
            body: "One\ntwo".into(),
            message_id: Some("1@engine.example".into()),
            defects: vec![],
            automatic: None,
        }
    );
}

#[test]
fn plain_text_is_taken_over_html_unless_it_says_nothing() {
    let mail = |plain: &str| {
        format!(
            "Subject: x\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n{plain}\n--b\n\
             Content-Type: text/html\n\n<p>The order has not come, please look into it today.\n--b--\n"
        )
    };
    let html = "The order has not come, please look into it today.";
    check(&mail("The order has not come."), "The order has not come.", &[]);
    check(&mail(""), html, &[]);
    check(&mail("Your program can not show HTML."), html, &[]);
}

#[test]
fn only_a_text_that_reaches_the_cut_is_truncated() {
    fn cut(raw: &str) -> Vec<Defect> {
        parse(raw.as_bytes(), raw.len() as u64 + 1000).defects
    }
    let mixed = "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n";
    assert_eq!(cut("Subject: x\n\nthe text goes"), [Defect::Truncated]);
    assert_eq!(cut(&format!("{mixed}--b\n\ntext\n--b\nContent-Type: image/png\n\nabc")), []);
    assert_eq!(
        cut(&format!("{mixed}--b\nContent-Type: image/png\n\nabc")),
        [Defect::Truncated, Defect::NoText]
    );
    assert_eq!(cut(&format!("{mixed}--b\n\ntext")), [Defect::Truncated]);
}

#[test]
fn forwarded_mail_is_part_of_the_text_and_what_bounced_is_not() {
    let within = "Content-Type: message/rfc822\n\nFrom: Bob <b@c.example>\nSubject: s\n\nold\n";
    let mail = |kind: &str| {
        format!(
            "Subject: x\nContent-Type: multipart/{kind}; boundary=b\n\n--b\n\nnew\n--b\n{within}--b--\n"
        )
    };
    let forwarded = "new\n\n---------- Forwarded message ----------\nFrom: Bob @ c.example\n\
        Subject: s\n\nold";
    check(&mail("mixed"), forwarded, &[]);
    check(&mail("report"), "new", &[]);
}

#[test]
fn attachments_are_no_text() {
    let mail = |disposition: &str| {
        format!(
            "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n\
             Content-Type: text/plain; name=log.txt\n{disposition}\nlog\n--b--\n"
        )
    };
    check(&mail(""), "text", &[]);
    check(&mail("Content-Disposition: attachment; filename=log.txt\n"), "text", &[]);
}

#[test]
fn a_text_with_the_name_of_a_file_is_read_where_there_is_no_other() {
    let named = "Subject: x\nContent-Type: text/plain; name=body.txt\n";
    check(&format!("{named}\ntext"), "text", &[]);
    let attached = format!("{named}Content-Disposition: attachment\n\ntext");
    check(&attached, "", &[Defect::NoText]);
}

#[test]
fn the_middle_of_an_endless_text_is_left_out() {
    let raw = format!("Subject: x\n\nbegin {} end", "word ".repeat(100_000));
    let message = parse(raw.as_bytes(), raw.len() as u64);
    assert_eq!(message.defects, [Defect::TooLong]);
    assert!(message.body.starts_with("begin") && message.body.ends_with("end"));
    assert!(message.body.len() < LONGEST_BODY_HEAD + LONGEST_BODY_TAIL + 100);
}

/// Mails that cost other parsers their stack or their time. Each is about a megabyte.
fn bombs() -> Vec<(&'static str, String)> {
    let nested = |line: &str| line.repeat(LONGEST_MAIL / line.len());
    let each = |times: usize, piece: &dyn Fn(usize) -> String| {
        (0..times).map(piece).collect::<Vec<_>>().concat()
    };
    let boundaries =
        each(16_000, &|n| format!("Content-Type: multipart/mixed; boundary=\"b{n}\"\n\n--b{n}\n"));
    let unmatched =
        each(16_000, &|n| format!("--c{n}\nContent-Type: multipart/mixed; boundary=x{n}\n\n"));
    let fields = each(100_000, &|n| format!("X-{n}: y\n"));
    let html = |body: String| format!("Content-Type: text/html\n\n{body}");
    let attributes = each(150_000, &|n| format!(" a{n}="));
    let parameters = each(50_000, &|n| format!(";p{n}=\"x\""));
    vec![
        ("nested mails", nested("Content-Type: message/rfc822\n\n")),
        ("nested digests", nested("Content-Type: multipart/digest; boundary=b\n\n--b\n")),
        ("nested multiparts", boundaries),
        ("multiparts that never start", unmatched),
        ("delimiters", format!("Content-Type: multipart/mixed; boundary=b\n\n{}", nested("--b\n"))),
        ("dashes", format!("Content-Type: multipart/mixed; boundary=b\n\n{}", nested("--\n"))),
        ("fields", fields),
        ("one field", format!("Subject: {}\n\nx", nested("=?utf-8?q?"))),
        ("folds", format!("Subject: x\n{}", nested(" y\n"))),
        ("one line", nested("x")),
        ("parameters", format!("Content-Type: text/plain{parameters}\n\nx")),
        ("addresses", format!("From: {}\n\nx", nested("((\"a\" <b@c>,"))),
        ("deep HTML", html(nested("<div><table><td>"))),
        ("formatting HTML", html(nested("<b c='d'><p>"))),
        ("one tag", html(format!("<p{attributes}>x"))),
        ("open quotes", html(nested("<p a=\"b>'"))),
        ("open comments", html(nested("<!-- <script> "))),
        ("ampersands", html(nested("&amp"))),
        ("styles", html(nested("<style>.a{display:none}</style><p class=a>"))),
        ("quotes", html(nested("<blockquote type=cite>"))),
        ("base64 of nothing", format!("Content-Transfer-Encoding: base64\n\n{}", nested("====\n"))),
        (
            "equals signs",
            format!("Content-Transfer-Encoding: quoted-printable\n\n{}", nested("=\n ")),
        ),
        ("accents", format!("Subject: x\n\ne{}", nested("\u{301}\u{316}"))),
        ("quoted lines", format!("Subject: x\n\n{}", nested("> On 1 May Ada wrote:\n"))),
        ("attributions", format!("Subject: x\n\n{}", nested("On 1 May\n"))),
    ]
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is tested is that no time is lost")]
fn no_mail_costs_more_than_its_bytes() {
    for (name, raw) in bombs() {
        let begun = std::time::Instant::now();
        let message = parse(raw.as_bytes(), raw.len() as u64);
        let document = crate::document::render(&message);
        let spent = begun.elapsed();
        assert!(document.len() <= crate::document::LONGEST_DOCUMENT, "{name}");
        // What is not linear takes minutes here; the rest well under a second, unoptimised.
        assert!(spent.as_secs() < 10, "{name}: {spent:?}");
        println!("{name}: {spent:?}");
    }
}

#[test]
fn a_megabyte_of_nested_mail_fits_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    let parsed = small.spawn(|| {
        for (_, raw) in bombs() {
            parse(raw.as_bytes(), raw.len() as u64);
        }
    });
    parsed.unwrap().join().unwrap();
}

/// Pieces that mails are made of, and some that they should not be.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "From: =?utf-8?q?Ada?= <a@b.example>\n",
        "Subject: =?utf-8?b?w6k=?=\n",
        "\n",
        "\r\n",
        "\r",
        "Content-Type: multipart/mixed; boundary=b\n",
        "Content-Type: multipart/alternative; boundary=c\n",
        "Content-Type: text/html; charset=utf-16\n",
        "Content-Type: text/plain; format=flowed\n",
        "Content-Type: message/rfc822\n",
        "Content-Type: text/plain; charset=iso-2022-jp\n",
        "Content-Transfer-Encoding: base64\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "--b\n",
        "--b--\n",
        "--c\n",
        "--c--\n",
        "text \n",
        "> quoted\n",
        "<p style='display:none'>",
        "</p>",
        "<blockquote type=cite>",
        "&eacute;",
        "=C3=A9=",
        "w6k=\n",
        "-- \n",
        "=?x?q?",
        "\u{202e}abc\u{202c}",
        "On 1 May 2026 Ada wrote:\n",
        "\0",
        "<!--",
        "<style>a{display:none}",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    prop_oneof![8 => known, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..2000), more in 0u64..3) {
        let message = parse(&raw, raw.len() as u64 + more);
        prop_assert!(!message.defects.contains(&Defect::Unreadable));
        crate::document::render(&message);
    }

    #[test]
    fn no_mail_makes_it_panic(pieces in prop::collection::vec(piece(), 0..60)) {
        let raw = pieces.concat();
        let message = parse(&raw, raw.len() as u64);
        prop_assert!(!message.defects.contains(&Defect::Unreadable));
        let hidden = |c: char| c.is_control() && c != '\n';
        prop_assert!(!message.body.contains(hidden) && !message.subject.contains(char::is_control));
        crate::document::render(&message);
    }

    #[test]
    fn cleaning_twice_changes_nothing(text in any::<String>()) {
        let once = clean::text(&text).text;
        prop_assert_eq!(&clean::text(&once).text, &once);
    }
}
