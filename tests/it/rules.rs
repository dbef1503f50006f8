//! Rules: what follows from labels beside their keywords, on real servers.

use crate::harness::{
    Done, Edited, Format, Installation, Mail, Mailserver, Proxy, Settings, on_each_server, until,
};

on_each_server!(
    an_angry_and_urgent_mail_is_escalated_and_others_stay,
    a_rule_that_is_tried_out_does_nothing_and_says_what_it_would,
    each_condition_holds_for_one_mail_and_not_for_another,
    rules_act_in_their_order_until_one_stops,
    a_mailbox_that_is_missing_is_made_only_where_the_rule_says_so,
    a_mailbox_that_somebody_makes_at_the_same_moment_is_used,
    a_line_that_is_lost_when_a_mailbox_is_there_already_costs_nothing,
);

/// The case to get right: somebody is angry and it is urgent, in a mailbox that many share.
const ESCALATE: &str = "name = \"escalate\", \
    when = { labels = [\"sentiment.negative\", \"urgency.high\"], mailboxes = [\"INBOX\"] }, \
    then = { keyword = \"triaged-escalated\", flag = true, move = \"Escalations\", create = true }";

fn an_angry_and_urgent_mail_is_escalated_and_others_stay(mail: &Mailserver) {
    let anna = mail.user("anna");
    let ours = "name = \"ours\", when = { from = [\"weber-metall.example\"], subject = [\"INVOICE\"] }, \
                then = { keyword = \"triaged-ours\" }";
    let rules = format!("rule = [{{ {ESCALATE} }}, {{ {ours} }}]");
    let installation = Installation::new(&Settings::label().with(anna.account()).and(&rules));
    let daemon = installation.start_ready();
    let (outage, bulk, question) = (Mail::outage(), Mail::newsletter(), Mail::invoice_question());
    for one in [&outage, &bulk, &question] {
        anna.deliver(one);
    }
    installation.wait_settled(3);
    let moved = anna.find_in("Escalations", &outage).expect("it is there");
    for flag in ["\\Flagged", "triaged-escalated", "triaged-urgent", "triaged-negative"] {
        assert!(moved.flags.iter().any(|one| one.eq_ignore_ascii_case(flag)), "{flag}: {moved:?}");
    }
    assert!(anna.find(&outage).is_none(), "it was moved, not copied");
    let has = |mail: &Mail, keyword: &str| {
        let flags = anna.find(mail).expect("it stays").flags;
        flags.iter().any(|flag| flag.eq_ignore_ascii_case(keyword))
    };
    assert!(has(&question, "triaged-ours") && !has(&bulk, "triaged-ours"));
    assert!(!has(&question, "triaged-escalated") && !has(&bulk, "triaged-escalated"));
    let history = installation.history();
    assert_eq!(history.iter().filter(|record| record.outcome == "moved").count(), 1);
    let (_, metrics) = daemon.get("/metrics").expect("metrics");
    for line in [
        "triaged_rules_total{dry_run=\"no\",rule=\"escalate\"} 1",
        "triaged_rules_total{dry_run=\"no\",rule=\"ours\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    daemon.stop();
}

fn a_rule_that_is_tried_out_does_nothing_and_says_what_it_would(mail: &Mailserver) {
    let anna = mail.user("anna");
    let rules = format!("rule = [{{ dry_run = true, {ESCALATE} }}]");
    let installation = Installation::new(&Settings::label().with(anna.account()).and(&rules));
    let daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);
    installation.wait_settled(1);
    let stored = anna.find(&outage).expect("it stays");
    for flag in ["\\Flagged", "triaged-escalated"] {
        assert!(!stored.flags.iter().any(|one| one.eq_ignore_ascii_case(flag)), "{stored:?}");
    }
    let (_, metrics) = daemon.get("/metrics").expect("metrics");
    assert!(
        metrics.contains("triaged_rules_total{dry_run=\"yes\",rule=\"escalate\"} 1"),
        "{metrics}"
    );
    let log = daemon.stop();
    assert!(log.contains("only tried out") && log.contains("escalate"), "{log}");
}

/// What a rule asks for, and for which of three mails it holds: an outage (negative, high, support) and
/// a newsletter (neutral, low, newsletter) in the INBOX, a question (neutral, normal, billing) in Support.
const CONDITIONS: [(&str, &str, [bool; 3]); 14] = [
    ("one-label", "labels = [\"urgency.high\"]", [true, false, false]),
    ("two-heads", "labels = [\"sentiment.neutral\", \"urgency.normal\"]", [false, false, true]),
    ("one-head", "labels = [\"category.billing\", \"category.support\"]", [true, false, true]),
    (
        "several-and-one",
        "labels = [\"category.billing\", \"category.newsletter\", \"urgency.low\"]",
        [false, true, false],
    ),
    ("sure", "labels = [\"category.support\"], min_confidence = 0.5", [true, false, false]),
    (
        "surer",
        "labels = [\"category.support\", \"category.billing\"], min_confidence = 0.98",
        [false, false, true],
    ),
    ("here", "mailboxes = [\"inbox\"]", [true, true, false]),
    ("there", "mailboxes = [\"Nowhere\", \"Sup*\"]", [false, false, true]),
    ("sender", "from = [\"Jonas.Weber@weber-metall.example\"]", [false, false, true]),
    ("domain", "from = [\"garden-weekly.example\"]", [false, true, false]),
    ("pattern", "from = [\"*@northwind-*\"]", [true, false, false]),
    ("subject", "subject = [\"CHECKOUT FAILS\", \"balcony\"]", [true, true, false]),
    (
        "all-of-it",
        "labels = [\"urgency.high\"], mailboxes = [\"INBOX\"], from = [\"*\"], subject = [\"down\"]",
        [true, false, false],
    ),
    ("nothing-asked", "", [true, true, true]),
];

fn each_condition_holds_for_one_mail_and_not_for_another(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Support");
    let rule = |(name, when, _): &(&str, &str, [bool; 3])| {
        format!("{{ name = \"{name}\", when = {{ {when} }}, then.keyword = \"triaged-x-{name}\" }}")
    };
    let rules: Vec<String> = CONDITIONS.iter().map(rule).collect();
    let account = anna.account().mailboxes(&["INBOX", "Support"]).and("poll_seconds = 1");
    let rules = format!("rule = [{}]", rules.join(", "));
    let installation = Installation::new(&Settings::label().with(account).and(&rules));
    let daemon = installation.start_ready();
    let mails = [Mail::outage(), Mail::newsletter(), Mail::invoice_question()];
    let mailboxes = ["INBOX", "INBOX", "Support"];
    for (one, mailbox) in mails.iter().zip(mailboxes) {
        anna.append(mailbox, one, "", None);
    }
    installation.wait_settled(mails.len());
    for (which, (one, mailbox)) in mails.iter().zip(mailboxes).enumerate() {
        let stored = anna.find_in(mailbox, one).expect("it stays");
        let has = |name: &str| {
            let keyword = format!("triaged-x-{name}");
            stored.flags.iter().any(|flag| flag.eq_ignore_ascii_case(&keyword))
        };
        for (name, when, expected) in CONDITIONS {
            assert_eq!(has(name), expected[which], "{name}: {when}, mail {which}: {stored:?}");
        }
    }
    daemon.stop();
}

fn rules_act_in_their_order_until_one_stops(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Here");
    let rules = "rule = [\
        { name = \"tried\", dry_run = true, stop = true, then = { keyword = \"triaged-tried\", move = \"Never\", create = true } }, \
        { name = \"first\", when.subject = [\"balcony\"], then = { keyword = \"triaged-first\", move = \"Here\" }, stop = true }, \
        { name = \"second\", then = { flag = true, move = \"There\", create = true } }, \
        { name = \"third\", when.subject = [\"invoice\"], then = { keyword = \"triaged-third\", move = \"Here\" } }]";
    let installation = Installation::new(&Settings::label().with(anna.account()).and(rules));
    let daemon = installation.start_ready();
    let (outage, bulk, question) = (Mail::outage(), Mail::newsletter(), Mail::invoice_question());
    for one in [&outage, &bulk, &question] {
        anna.deliver(one);
    }
    installation.wait_settled(3);
    let has = |mailbox: &str, mail: &Mail, flag: &str| {
        let stored = anna.find_in(mailbox, mail).unwrap_or_else(|| panic!("{mailbox}: {mail:?}"));
        stored.flags.iter().any(|one| one.eq_ignore_ascii_case(flag))
    };
    assert!(has("Here", &bulk, "triaged-first") && !has("Here", &bulk, "\\Flagged"), "it stops");
    assert!(has("There", &outage, "\\Flagged") && !has("There", &outage, "triaged-first"));
    assert!(has("There", &question, "\\Flagged"), "the first move counts");
    assert!(has("There", &question, "triaged-third"), "what several ask for adds up");
    for (mailbox, one) in [("Here", &bulk), ("There", &outage), ("There", &question)] {
        assert!(!has(mailbox, one, "triaged-tried"), "it is only tried out, and does not stop");
    }
    assert!(!anna.client().attempt("EXAMINE Never").starts_with("OK"));
    let by = |rule: &str| {
        let history = installation.history();
        let is_move = |done: &&Done| done.kind == "move" && done.rule.as_deref() == Some(rule);
        history.iter().filter(|record| record.effects.iter().any(|one| is_move(&one))).count()
    };
    assert_eq!((by("first"), by("second"), by("third"), by("tried")), (1, 2, 0, 0));
    daemon.stop();
}

fn a_mailbox_that_is_missing_is_made_only_where_the_rule_says_so(mail: &Mailserver) {
    let anna = mail.user("anna");
    let rules =
        "rule = [{ name = \"away\", when.labels = [\"urgency.high\"], then.move = \"Away\" }]";
    let installation = Installation::new(&Settings::label().with(anna.account()).and(rules));
    let daemon = installation.start_ready();
    let early = Mail::outage();
    anna.deliver(&early);
    assert_eq!(installation.wait_decided(&anna, &early).outcome, "rejected");
    let stays = anna.find(&early).expect("it stays");
    assert!(stays.keywords().contains("triaged-urgent"), "with its labels: {stays:?}");
    assert!(!anna.client().attempt("EXAMINE Away").starts_with("OK"), "nobody has made it");
    anna.client().command("CREATE Away");
    let late = Mail::outage();
    anna.deliver(&late);
    until("the next one is moved", || anna.find_in("Away", &late));
    assert!(anna.find(&late).is_none() && anna.find(&early).is_some());
    daemon.stop();
}

/// Another daemon, a command of a daemon that was killed, or a person.
fn a_mailbox_that_somebody_makes_at_the_same_moment_is_used(mail: &Mailserver) {
    made_meanwhile(mail, false);
}

fn a_line_that_is_lost_when_a_mailbox_is_there_already_costs_nothing(mail: &Mailserver) {
    made_meanwhile(mail, true);
}

/// Whether the connection is `lost` with what the server says to CREATE.
fn made_meanwhile(mail: &Mailserver, lost: bool) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    let account = anna.account().in_clear(proxy.port());
    let rules = "rule = [{ name = \"away\", when.labels = [\"urgency.high\"], \
                 then = { move = \"Away\", create = true } }]";
    let installation = Installation::new(&Settings::label().with(account).and(rules));
    let daemon = installation.start_ready();
    proxy.hold("CREATE");
    let outage = Mail::outage();
    anna.deliver(&outage);
    until("the daemon would make it", || proxy.is_holding().then_some(()));
    anna.client().command("CREATE Away");
    let mut cut = lost;
    proxy.edit(move |line| {
        if line.to_ascii_lowercase().contains("exists") && line.contains(" NO ") && cut {
            cut = false;
            return Edited::Cut;
        }
        Edited::Same
    });
    proxy.let_go();
    until("it is moved", || anna.find_in("Away", &outage));
    assert!(anna.find(&outage).is_none());
    installation.wait_settled(1);
    assert_eq!(proxy.connections() > 1, lost);
    daemon.stop();
}

/// Each at the line where it stands.
#[test]
fn a_bad_mailbox_and_a_circle_end_with_78_path_and_line() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let rules = "[[rule]]\nname = \"bad\"\nthen.move = \"A*\"\n\
                 [[rule]]\nname = \"there\"\nwhen.mailboxes = [\"A\"]\nthen.move = \"B\"\n\
                 [[rule]]\nname = \"back\"\nwhen.mailboxes = [\"B\"]\nthen.move = \"A\"\n";
    let installation = Installation::new(&Settings::label().with(anna.account()).and(rules));
    let (exit, said) = installation.run_in_vain();
    assert_eq!(exit, 78, "{said}");
    for part in [
        "triaged.toml:5: rule[0].then.move: \"A*\" is no mailbox name",
        "triaged.toml:13: rule[2].then.move: moves mail of \"b\" to \"A\", from where it would come back",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn rules_that_do_not_fit_the_model_end_with_78_path_and_line() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let rules = "rule = [{ name = \"a\", when = { labels = [\"urgency.hihg\"] }, \
                 then = { keyword = \"triaged-urgent\" } }]";
    let installation = Installation::new(&Settings::label().with(anna.account()).and(rules));
    let (exit, said) = installation.run_in_vain();
    assert_eq!(exit, 78, "{said}");
    for part in [
        "rule[0].when.labels[0]",
        "did you mean \"urgency.high\"?",
        "rule[0].then.keyword",
        "stands for urgency.high already",
        "line 3: ",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_mailbox_into_which_only_we_move_mail_is_not_listed_from_its_beginning_each_time() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    anna.client().command("CREATE Escalations");
    let proxy = Proxy::to(anna.plain_port());
    let account = anna.account().in_clear(proxy.port()).mailboxes(&["INBOX", "Escalations"]);
    let rules = format!("rule = [{{ {ESCALATE} }}]");
    let installation = Installation::new(&Settings::label().with(account).and(&rules));
    let daemon = installation.start_ready();
    anna.deliver(&Mail::outage());
    installation.wait_settled(1);
    // The look that finds it also finds what was moved before.
    anna.deliver(&Mail::newsletter());
    installation.wait_settled(2);
    daemon.stop();
    proxy.forget_said();
    let daemon = installation.start_ready();
    anna.deliver(&Mail::invoice_question());
    installation.wait_settled(3);
    let listings = proxy.said("UID FETCH");
    assert!(!listings.is_empty());
    let from_the_beginning = listings.iter().filter(|said| said.contains(" 1:")).count();
    assert_eq!(from_the_beginning, 0, "{listings:?}");
    daemon.stop();
}
