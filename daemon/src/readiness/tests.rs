//! The board as flows write on it and /readyz reads it.

use futures::FutureExt;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn waiting(reason: &str, retry: i64) -> AccountState {
    AccountState::Waiting { reason: reason.into(), retry_at: at(retry) }
}

#[test]
fn is_ready_when_every_account_is_watched() {
    let readiness = Readiness::new(["a".to_owned(), "b".to_owned()], at(0));
    readiness.set("a", AccountState::Watching, at(1));
    assert!(!readiness.report().ready());
    readiness.set("b", AccountState::Watching, at(2));
    assert!(readiness.report().ready());
    assert_eq!(readiness.report().counts()[2], ("watching", 2));
}

#[test]
fn waiting_keeps_its_beginning_while_reason_and_retry_move_on() {
    let readiness = Readiness::new(["a".to_owned()], at(0));
    readiness.set("a", waiting("no route", 6), at(5));
    readiness.set("a", waiting("login refused", 9), at(7));
    let json = serde_json::to_value(readiness.report()).expect("serialises");
    insta::assert_snapshot!(json["accounts"], @r#"{"a":{"reason":"login refused","retry_at":"1970-01-01T00:00:09Z","since":"1970-01-01T00:00:05Z","state":"waiting"}}"#);
    assert_eq!(readiness.report().to_string(), "watching 0 of 1 accounts; a: login refused");
}

#[test]
fn a_database_that_does_not_work_is_said_first_and_is_a_reason_not_to_be_ready() {
    let readiness = Readiness::new(["a".to_owned()], at(0));
    readiness.set("a", AccountState::Watching, at(1));
    readiness.set_database(Some("the disk is full".to_owned()));
    let report = readiness.report();
    assert_eq!((report.ready(), report.database()), (false, Some("the disk is full")));
    assert_eq!(report.to_string(), "watching 1 of 1 accounts; database: the disk is full");
    readiness.set_database(None);
    assert!(readiness.report().ready());
}

#[test]
fn a_refused_model_is_said_and_is_no_reason_not_to_be_ready() {
    let readiness = Readiness::new(["a".to_owned()], at(0));
    readiness.set("a", AccountState::Watching, at(1));
    let standing = |refused: Option<&str>| ModelStanding {
        serves: "default-1".into(),
        refused: refused.map(str::to_owned),
    };
    for (refused, json) in [
        (None, r#"{"serves":"default-1"}"#),
        (Some("it is damaged"), r#"{"serves":"default-1","refused":"it is damaged"}"#),
    ] {
        readiness.set_model(standing(refused));
        let report = readiness.report();
        assert_eq!(serde_json::to_string(&report.model).expect("serialises"), json);
        assert!(report.ready());
    }
}

#[tokio::test]
async fn settles_with_the_first_login_or_when_all_are_known() {
    let readiness = Readiness::new(["a".to_owned(), "b".to_owned()], at(0));
    let settled = || readiness.settled().now_or_never();
    assert_eq!(settled(), None);
    readiness.set("a", waiting("no route", 6), at(5));
    assert_eq!(settled(), None);
    readiness.set("b", AccountState::CatchingUp, at(6));
    assert_eq!(settled(), Some(()));
    assert!(!readiness.report().ready(), "it has not caught up");
}

#[tokio::test]
async fn a_list_that_was_never_read_is_waited_for_and_an_old_one_serves() {
    let readiness = Readiness::new([], at(0));
    readiness.set_list("mail", ListStanding::default());
    assert_eq!(readiness.settled().now_or_never(), None);
    let problem = Some("no such socket".to_owned());
    readiness
        .set_list("mail", ListStanding { problem: problem.clone(), ..ListStanding::default() });
    assert_eq!(readiness.settled().now_or_never(), Some(()));
    assert!(!readiness.report().ready());
    assert!(readiness.report().to_string().ends_with("mail: no such socket"));
    let read = Some(at(5));
    readiness.set_list("mail", ListStanding { listed: 2, chosen: 1, read, problem });
    readiness.set("mail/anna", AccountState::Watching, at(6));
    assert!(readiness.report().ready());
    readiness.forget("mail/anna");
    assert_eq!(readiness.report().accounts().count(), 0);
}

#[tokio::test]
async fn a_score_of_accounts_in_trouble_tells_enough_about_a_start() {
    let names = (0..10_000).map(|n| format!("mail/user{n}"));
    let readiness = Readiness::new(names, at(0));
    for n in 0..ENOUGH {
        assert_eq!(readiness.settled().now_or_never(), None);
        readiness.set(&format!("mail/user{n}"), waiting("no route", 6), at(5));
    }
    assert_eq!(readiness.settled().now_or_never(), Some(()));
}
