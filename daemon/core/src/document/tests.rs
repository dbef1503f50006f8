use super::*;

#[test]
fn a_document_leaves_out_what_is_unknown() {
    fn check(from: &str, subject: &str, body: &str, expected: &str) {
        assert_eq!(render(&Message::from_fields(from, subject, body)), expected);
    }
    check(
        "Ada <ada@e.example>",
        "Hi",
        "One\ntwo",
        "From: Ada @ e.example\nSubject: Hi\n\nOne\ntwo",
    );
    check("", "Hi", "One", "Subject: Hi\n\nOne");
    check("", "", "One", "One");
    check("Ada", "Hi", "", "From: Ada\nSubject: Hi");
    check("", "", "", "");
}

/// Checks what is left of a mail's text.
fn check(subject: &str, body: &str, expected: &str) {
    let document = render(&Message::from_fields("", subject, body));
    let text = document.strip_prefix(&format!("Subject: {subject}\n\n"));
    assert_eq!(text.unwrap_or(&document), expected, "{subject}: {body}");
}

#[test]
fn quoted_history_is_left_out() {
    check(
        "Re: x",
        "Yes.\n\nOn Mon, 2 Feb 2026 at 16:41, Ada <a@b.example> wrote:\n> Really?\n> Ada",
        "Yes.",
    );
    check(
        "Re: x",
        "Yes.\n\nOn Mon, 2 Feb 2026 at 16:41, Ada King\n<a@b.example> wrote:\n\n> Really?",
        "Yes.",
    );
    check("AW: x", "Ja.\n\nAm 02.02.2026 um 16:41 schrieb Ada King:\n> Wirklich?", "Ja.");
    check(
        "Re: x",
        "Oui.\n\nLe lun. 2 févr. 2026 à 16:41, Ada <a@b.example> a écrit :\n> Vraiment ?",
        "Oui.",
    );
    check(
        "Re: x",
        "Sí.\n\nEl lun, 2 feb 2026 a las 16:41, Ada (<a@b.example>) escribió:\n> ¿De veras?",
        "Sí.",
    );
    check(
        "R: x",
        "Sì.\n\nIl giorno lun 2 feb 2026 alle ore 16:41 Ada <a@b.example> ha scritto:\n> Davvero?",
        "Sì.",
    );
    check("Re: x", "Ja.\n\nOp ma 2 feb. 2026 om 16:41 schreef Ada <a@b.example>:\n> Echt?", "Ja.");
    check("Re: x", "Tak.\n\nW dniu 2.02.2026 o 16:41, Ada pisze:\n> Naprawdę?", "Tak.");
    check(
        "RE: x",
        "Yes.\n\n-----Original Message-----\nFrom: Ada\nSent: Monday\nTo: Bob\nSubject: x\n\nReally?",
        "Yes.",
    );
    check(
        "AW: x",
        "Ja.\n\nVon: Ada\nGesendet: Montag, 2. Februar 2026 16:41\nAn: Bob\nBetreff: x\n\nEcht?",
        "Ja.",
    );
    check("RE: x", "Oui.\n\nDe : Ada\nEnvoyé : lundi\nÀ : Bob\nObjet : x\n\nVraiment ?", "Oui.");
    check(
        "RE: x",
        "Yes.\n\n________________________________\nFrom: Ada\nSent: Monday\nTo: Bob\nSubject: x\n\nReally?",
        "Yes.\n\n________________________________",
    );
    check(
        "Re: x",
        "Yes.\n\n*From:* Ada <a@b.example>\n*Date:* Monday\n*To:* Bob\n\nReally?",
        "Yes.",
    );
}

#[test]
fn a_line_right_above_an_attribution_is_the_writers() {
    check("Re: x", "Yes.\nOn 2 Feb 2026 at 16:41, Ada wrote:\n> Really?", "Yes.");
    check("Re: x", "Yes.\n02.04.2012 14:20, \"Ada\" <a@b.example> написал:\n> Hi", "Yes.");
    check("Re: x", "Yes.\n26.06.2014, 14:41, \"Ada\" <a@b.example>:\nHello!", "Yes.");
    check("Re: x", "Yes.\nAda King <ada@engine.example>\nwrote:\n> Hi", "Yes.");
}

#[test]
fn history_that_opens_with_a_date_is_left_out_of_replies() {
    let hotmail = "Date: Thu, 26 Jun 2014 13:53:45 +0400\nFrom: a@b.example\nTo: c@d.example";
    check("RE: x", &format!("Yes.\n\n{hotmail}\n\nReally?"), "Yes.");
    let form = format!("A visitor wrote.\n\n{hotmail}\n\nPlease call me.");
    check("Form: help", &form, &form);
    let digest = format!("Message: 1\n{hotmail}\n\nText.");
    check("Re: x", &digest, &digest);
    let attribution = "Thu, 26 Jun 2014 14:00:51 +0400 от Ada <a@b.example>:";
    check("Re: x", &format!("Yes.\n\n{attribution}\n\nReally?"), "Yes.");
    check("Re: x", &format!("Agreed, 3 pm.\n{attribution}\n> Really?"), "Agreed, 3 pm.");
    let sentence = "Friday, 3 of us come, so please ask Ada <a@b.example>:\nis there room?";
    check("Re: x", sentence, sentence);
}

#[test]
fn the_writers_lines_between_and_below_quotes_stay() {
    check("Re: x", "> One?\n\nYes.\n\n> Two?\n\nNo.", "Yes.\n\n\nNo.");
    check("Re: x", "Ada wrote:\n> One?\n\nYes, both.", "Yes, both.");
    check("Re: x", "From: Ada\nSent: Monday\nTo: Bob\nSubject: x\n\n> One?\n\nYes.", "Yes.");
}

#[test]
fn forwarded_mail_stays() {
    let forwarded =
        "---------- Forwarded message ---------\nFrom: Ada\nDate: Monday\nSubject: y\n\nText.";
    check("Fwd: y", forwarded, forwarded);
    check("y", &format!("See this.\n\n{forwarded}"), &format!("See this.\n\n{forwarded}"));
    let outlook = "Please see to it.\n\nFrom: Ada\nSent: Monday\nTo: Bob\nSubject: y\n\nText.";
    check("FW: y", outlook, outlook);
    check("RE: FW: y", outlook, "Please see to it.");
    check("Fwd: y", "Look:\n\n> From: Ada\n> Text.", "Look:\n\n> From: Ada\n> Text.");
}

#[test]
fn a_mail_that_says_nothing_itself_keeps_what_it_points_at() {
    check("Re: x", "> Only a quote.", "> Only a quote.");
    let answers = "See my answers below.\n\nOn 2 Feb 2026 at 16:41, Ada wrote:\nOne?\nYes.";
    check("Re: x", answers, answers);
    check(
        "R: x",
        "Ci vediamo alla sede.\n\nIl 2 feb 2026 Ada ha scritto:\n> Ora?",
        "Ci vediamo alla sede.",
    );
    let asked = "Can you answer this?\n\n-----Original-----\nFrom: Ada\nHow?";
    check("Holiday hours", asked, asked);
}

#[test]
fn sentences_that_look_like_history_stay() {
    for text in [
        "On Sunday you wrote, and I was glad about it:\ncome soon",
        "Here is what she wrote:\nit is late",
        "From: 9B To: Theatres\nPatient: none",
        "----------------------------\nFrom: Ada\nDate: Monday\nSubject: a digest's entry\n\ntext",
        "On 6 January I pressed \"Delete\".",
        "--- a/file.c\n+++ b/file.c",
        "I booked:\n\nFrom: Berlin\nDate: 3 March\nTo: Paris\n\nPlease confirm by tonight.",
        "Agreed.\n\n---- original proposal ----\nis withdrawn. Answer me by tonight.",
    ] {
        check("Re: x", text, text);
    }
}

#[test]
fn a_long_document_keeps_its_beginning_and_its_end() {
    let body = format!("begin {} end", "word ".repeat(40_000));
    let document = render(&Message::from_fields(&"n".repeat(9000), &"s".repeat(9000), &body));
    assert!(document.len() <= LONGEST_DOCUMENT, "{}", document.len());
    assert!(document.contains("\n\nbegin ") && document.ends_with(" end"));
}
