//! `[[rule]]`: which messages, and what is done to them.

use super::*;

#[test]
fn rules_say_which_messages_and_what_is_done() {
    let rules = |lines: &str| {
        parse(&format!("{SMALLEST}{lines}"))
            .map(|config| config.rules.into_iter().map(|one| one.rule).collect::<Vec<_>>())
            .map_err(|problems| problems.to_string())
    };
    let read = rules(
        "[[rule]]
name = \"escalate\"
when.labels = [\"urgency.high\"]
when.min_confidence = 0.8
when.mailboxes = [\"INBOX\"]
then.move = \"inbox\"
then.flag = true
stop = true
[[rule]]
name = \"tried\"
dry_run = true
then = { keyword = \"triaged-x\", move = \"Made\", create = true }",
    );
    assert_eq!(
        read.expect_err("a circle"),
        "line 12: rule[0].then.move: moves mail of \"inbox\" to \"INBOX\", from where it would come \
         back (move it to a mailbox that no rule empties)"
    );
    let read = rules(
        "[[rule]]
name = \"escalate\"
when.labels = [\"urgency.high\"]
when.min_confidence = 0.8
then.flag = true
stop = true
[[rule]]
name = \"tried\"
dry_run = true
then = { keyword = \"triaged-x\", move = \"Made\", create = true }",
    );
    let read = read.expect("valid");
    let [escalate, tried] = read.as_slice() else { panic!("two rules: {read:?}") };
    assert_eq!(escalate.when.min_confidence, Some(0.8));
    assert!(escalate.stop && escalate.then.flag && !escalate.dry_run);
    assert_eq!(tried.then.move_to, Some(Target::existing("Made").or_created()));
    assert!(tried.dry_run && tried.when == When::default());
}

#[test]
fn everything_that_is_wrong_with_a_rule_is_said() {
    let wrong = parse(&format!(
        "{SMALLEST}[[rule]]
name = \"a\"
when.labels = [\"urgent\"]
when.min_confidence = 80
when.from = []
when.sender = [\"x\"]
[[rule]]
name = \"A\"
then = {{ keyword = \"$x\", create = true, alert = 1, alerts = 1 }}
[[rule]]
name = \"round\"
when.mailboxes = [\"A\"]
then.move = \"B\"
[[rule]]
name = \"and-round\"
when.mailboxes = [\"B\"]
then.move = \"a\"
[[rule]]
name = \"nowhere\"
then.move = \"A*\""
    ));
    let said = wrong.expect_err("wrong").to_string();
    for part in [
        "rule[0].when.labels[0]: \"urgent\" names no label (write head and label, like \"urgency.high\")",
        "rule[0].when.min_confidence: expected a number with a fraction, found a whole number",
        "rule[0].when.from: is empty (leave the line out: then it holds for all)",
        "rule[0].when.sender: unknown key",
        "rule[0].then: does nothing",
        "rule[1].name: a rule before this one is called \"A\" too",
        "rule[1].then.keyword: \"$x\" belongs to the server",
        "rule[1].then.create: there is no mailbox to make",
        "rule[1].then.alert: expected a string, found a whole number",
        "rule[1].then.alerts: unknown key (did you mean \"alert\"?)",
        "rule[3].then.move: moves mail of \"b\" to \"a\", from where it would come back",
        "rule[4].then.move: \"A*\" is no mailbox name",
    ] {
        assert!(said.contains(part), "{part}\nin\n{said}");
    }
}
