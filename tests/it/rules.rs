//! Rules: what follows from labels beside their keywords, on real servers.

use crate::harness::{Format, Installation, Mail, Mailserver, Settings, on_each_server};

on_each_server!(
    an_angry_and_urgent_mail_is_escalated_and_others_stay,
    a_rule_that_is_tried_out_does_nothing_and_says_what_it_would,
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
