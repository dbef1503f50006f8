use super::*;
use crate::label::KeywordMap;
use crate::score::Abstention;

fn given(head: &str, label: &str, confidence: f32) -> HeadPrediction {
    let (head, label) = (head.to_owned(), label.to_owned());
    HeadPrediction { head, label, confidence, abstained: None, scores: vec![] }
}

fn angry_and_urgent() -> Prediction {
    Prediction { heads: vec![given("sentiment", "negative", 0.9), given("urgency", "high", 0.7)] }
}

fn labels(names: &[&str]) -> Vec<(String, String)> {
    let pair = |name: &&str| {
        let (head, label) = name.split_once('.').expect("head and label");
        (head.to_owned(), label.to_owned())
    };
    names.iter().map(pair).collect()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

fn keyword(text: &str) -> Keyword {
    text.parse().expect("a keyword")
}

fn rule(name: &str, when: When, then: Then) -> Rule {
    Rule { name: name.into(), when, then, stop: false, dry_run: false }
}

fn asked<T>(rule: &str, what: T) -> Asked<T> {
    Asked { what, rule: Some(rule.into()) }
}

fn decide(rules: Vec<Rule>, prediction: &Prediction, flags: &[String]) -> Decision {
    decide_of(rules, prediction, flags, None)
}

fn decide_of(
    rules: Vec<Rule>,
    prediction: &Prediction,
    flags: &[String],
    automatic: Option<Automatic>,
) -> Decision {
    Rules::new(rules).judge(&Considered {
        mailbox: "Support",
        flags,
        from: "jo@shop.example",
        subject: "Where is my ORDER?",
        message_id: "1@shop.example",
        automatic,
        is_older: false,
        prediction,
        keywords: &KeywordMap::default(),
    })
}

fn holds(when: &When, prediction: &Prediction) -> bool {
    let starred = Then { flag: true, ..Then::default() };
    !decide(vec![rule("one", when.clone(), starred)], prediction, &[]).is_empty()
}

#[test]
fn labels_of_one_head_are_alternatives_and_those_of_several_must_all_hold() {
    let check = |names: &[&str], expected| {
        let when = When { labels: labels(names), ..When::default() };
        assert_eq!(holds(&when, &angry_and_urgent()), expected, "{names:?}");
    };
    check(&[], true);
    check(&["sentiment.negative", "urgency.high"], true);
    check(&["sentiment.positive", "sentiment.negative"], true);
    check(&["sentiment.positive", "urgency.high"], false);
    check(&["category.billing"], false);
}

#[test]
fn a_label_that_nobody_is_sure_of_does_not_count() {
    let when = When { labels: labels(&["urgency.high"]), ..When::default() };
    assert!(holds(&when, &angry_and_urgent()));
    let sure = When { min_confidence: Some(0.8), ..when.clone() };
    assert!(!holds(&sure, &angry_and_urgent()));
    let both = When { labels: labels(&["sentiment.negative"]), ..sure };
    assert!(holds(&both, &angry_and_urgent()), "only what the rule asks for has to be sure");
    let mut unsure = angry_and_urgent();
    unsure.heads[1].abstained = Some(Abstention::Unsure);
    assert!(!holds(&when, &unsure));
}

#[test]
fn where_it_is_who_sent_it_and_what_its_subject_says() {
    let check =
        |when: When, expected| assert_eq!(holds(&when, &angry_and_urgent()), expected, "{when:?}");
    check(When { mailboxes: patterns(&["INBOX", "supp*"]), ..When::default() }, true);
    check(When { mailboxes: patterns(&["INBOX"]), ..When::default() }, false);
    check(When { from: patterns(&["*@SHOP.example"]), ..When::default() }, true);
    check(When { from: patterns(&["shop.example"]), ..When::default() }, true);
    check(When { from: patterns(&["example"]), ..When::default() }, false);
    check(When { subject: vec!["invoice".into(), "my order".into()], ..When::default() }, true);
    check(When { subject: vec!["invoice".into()], ..When::default() }, false);
}

#[test]
fn rules_add_up_until_one_stops_and_the_first_move_counts() {
    let then = |name: &str, mailbox: &str| Then {
        keyword: Some(keyword(name)),
        flag: true,
        move_to: Some(Target::existing(mailbox)),
        alert: None,
    };
    let mut rules = vec![
        rule("tried", When::default(), then("triaged-tried", "Nowhere")),
        rule("here", When::default(), then("triaged-here", "Support")),
        rule("first", When::default(), then("triaged-first", "First")),
        rule("second", When::default(), then("triaged-second", "Second")),
        rule("third", When::default(), then("triaged-third", "Third")),
    ];
    rules[0].dry_run = true;
    rules[0].stop = true;
    rules[3].stop = true;
    let flags = ["Triaged-First".to_owned()];
    let decision = decide(rules, &angry_and_urgent(), &flags);
    let marks = [
        asked("here", Mark::Add(Flag::Keyword(keyword("triaged-here")))),
        asked("here", Mark::Add(Flag::Flagged)),
        asked("second", Mark::Add(Flag::Keyword(keyword("triaged-second")))),
    ];
    assert_eq!(decision.marks, marks);
    let first = asked("first", Target::existing("First"));
    assert_eq!(decision.move_to, Some(first), "it is in Support already");
    let applied: Vec<_> = decision.rules.iter().map(|one| (&*one.name, one.dry_run)).collect();
    assert_eq!(applied, [("tried", true), ("here", false), ("first", false), ("second", false)]);
}

#[test]
fn rules_that_are_tried_out_move_nothing() {
    let then = || Then { move_to: Some(Target::existing("A")), ..Then::default() };
    let tried = Rule { dry_run: true, ..rule("a", When::default(), then()) };
    assert!(!Rules::new(vec![tried.clone()]).moves());
    assert!(Rules::new(vec![tried, rule("b", When::default(), then())]).moves());
}

fn tells(include: Include) -> Then {
    let to = vec!["oncall@example.org".to_owned()];
    let (name, domain) = ("oncall".into(), "example.org".into());
    let alert = Alert { name, to, include, per_hour: 20, domain };
    Then { alert: Some(Arc::new(alert)), ..Then::default() }
}

#[test]
fn who_is_alerted_hears_the_labels_and_no_more_than_is_included() {
    let mut prediction = angry_and_urgent();
    let all = Include { subject: true, from: true, message_id: true };
    let rules = vec![
        rule("silent", When::default(), tells(Include::default())),
        rule("telling", When::default(), tells(all)),
    ];
    prediction.heads[0].abstained = Some(Abstention::Unsure);
    let decision = decide(rules, &prediction, &[]);
    assert!(!decision.is_empty() && decision.withheld.is_empty());
    let [silent, telling] = decision.alerts.as_slice() else { panic!("two: {decision:?}") };
    assert_eq!((&*silent.rule, silent.facts.mailbox.as_str()), ("silent", "Support"));
    let [said] = silent.facts.labels.as_slice() else { panic!("one is sure: {silent:?}") };
    assert_eq!((said.head.as_str(), said.label.as_str()), ("urgency", "high"));
    let words = |facts: &Facts| {
        [facts.subject.clone(), facts.from.clone(), facts.message_id.clone()]
            .map(Option::unwrap_or_default)
    };
    assert_eq!(words(&silent.facts), ["", "", ""]);
    assert_eq!(words(&telling.facts), ["Where is my ORDER?", "jo@shop.example", "1@shop.example"]);
}

#[test]
fn nobody_is_alerted_of_what_a_program_sent_nor_by_a_rule_that_is_tried_out() {
    let then = || Then { flag: true, ..tells(Include::default()) };
    let tried = Rule { dry_run: true, ..rule("tried", When::default(), then()) };
    let rules = vec![tried, rule("real", When::default(), then())];
    let alerts = |automatic| {
        let decision = decide_of(rules.clone(), &angry_and_urgent(), &[], automatic);
        let marks: Vec<_> = decision.marks.into_iter().map(|asked| asked.what).collect();
        assert_eq!(marks, [Mark::Add(Flag::Flagged)], "all else is done");
        let withheld: Vec<_> =
            decision.withheld.iter().map(|(rule, why)| (rule.to_string(), *why)).collect();
        (decision.alerts.len(), withheld)
    };
    assert_eq!(alerts(None), (1, vec![]));
    for why in Automatic::ALL {
        assert_eq!(alerts(Some(why)), (0, vec![("real".to_owned(), why.as_str())]));
    }
}
