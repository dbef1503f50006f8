//! Several daemons on one PostgreSQL: each account has one of them at any time, whatever is frozen,
//! killed, cut off, or told a wrong time.

mod office;

use std::time::{Duration, Instant};

use crate::harness::{Mail, until, until_within};
use office::Office;

/// Of a daemon that is gone the accounts are another's after so long (R7).
const TAKE_OVER: Duration = Duration::from_secs(20);
/// A clean stop hands them over in so long (R7).
const HAND_OVER: Duration = Duration::from_secs(2);
/// Longer than any lease.
const TWO_LEASES: Duration = Duration::from_secs(30);
/// For so long a daemon relies on the last renewal of its lease, and writes nothing after (R8).
const TRUST: Duration = Duration::from_secs(14);
/// After a database is there again mail gets its labels within so long (R8).
const RESUME: Duration = Duration::from_secs(15);

#[test]
fn each_account_has_one_daemon_and_a_clean_stop_hands_it_over_at_once() {
    let Some(mut office) = Office::open(&["anna", "bert", "carl", "dora", "emil", "fred"]) else {
        return;
    };
    let names = ["one", "two"];
    office.start_all(&names);
    office.wait_shared(&names);
    let before = office.owners();
    // A third one gets its part, and nothing moves between the others.
    office.start("three");
    office.wait_shared(&["one", "two", "three"]);
    for (account, owner) in office.owners() {
        assert!(owner == before[&account] || owner == "three", "{account}: {owner}");
    }
    office.everybody_gets_a_label();

    let leaver = office.owners()["anna"].clone();
    let began = Instant::now();
    office.stop(&leaver);
    let rest: Vec<&str> = ["one", "two", "three"].into_iter().filter(|n| *n != leaver).collect();
    office.wait_owned_by(&rest);
    let took = office.last_change().saturating_duration_since(began);
    eprintln!("a clean stop handed over in {took:.2?}");
    assert!(took <= HAND_OVER, "{took:?}");
    office.wait_shared(&rest);
    office.everybody_gets_a_label();
    office.nothing_was_written_by_others();
}

#[test]
fn what_a_killed_daemon_had_is_taken_over_and_its_next_life_begins_at_once() {
    let Some(mut office) = Office::open(&["anna"]) else { return };
    office.start("one");
    office.start("two");
    office.wait_shared(&["one", "two"]);
    let owner = office.owners()["anna"].clone();
    let other = if owner == "one" { "two" } else { "one" };
    let began = Instant::now();
    office.kill(&owner);
    office.everybody_gets_a_label();
    assert_eq!(office.owners()["anna"], other);
    let took = office.last_change().saturating_duration_since(began);
    eprintln!("after a kill the account was taken over in {took:.1?}");
    assert!(took <= TAKE_OVER, "{took:?}");

    // Its own state folder says that the life before is over: nobody has to wait for its lease.
    office.kill(other);
    let began = Instant::now();
    office.start(other);
    office.wait_owned_by(&[other]);
    office.everybody_gets_a_label();
    let took = office.last_change().saturating_duration_since(began);
    assert!(took < Duration::from_secs(10), "{took:?}");
    office.nothing_was_written_by_others();
}

/// R7: three daemons, of which the one at work is frozen for twice the time of a lease.
fn frozen_at_work(rounds: usize, messages: usize) {
    let Some(mut office) = Office::open(&["anna"]) else { return };
    let names = ["one", "two", "three"];
    office.start_all(&names);
    office.wait_shared(&names);
    let mut longest = Duration::ZERO;
    for round in 1..=rounds {
        office.wait_shared(&names);
        let before = names.map(|name| office.commands(name));
        office.append("anna", messages / rounds);
        // Each time somewhere else in its work.
        let further = u64::try_from(1 + round % 5).unwrap();
        let owner = until("somebody is at work", || {
            let at_work = names.iter().zip(before);
            let mut at_work =
                at_work.filter(|(name, before)| office.commands(name) >= before + further);
            at_work.find(|(name, _)| office.owners().get("anna").is_some_and(|now| now == *name))
        });
        let owner = (*owner.0).to_owned();
        let fenced = office.fenced(&owner);
        let began = Instant::now();
        office.freeze(&owner);
        until_within(TWO_LEASES, "somebody takes over", || {
            (office.owners().get("anna").is_some_and(|now| *now != owner)).then_some(())
        });
        longest = longest.max(office.last_change().saturating_duration_since(began));
        until("twice a lease is over", || (began.elapsed() >= TWO_LEASES).then_some(()));
        office.thaw(&owner);
        until("it notices", || (office.fenced(&owner) > fenced).then_some(()));
        office.wait_labelled("anna", round * (messages / rounds));
    }
    office.wait_shared(&names);
    let old = office.written_under_an_old_epoch();
    eprintln!(
        "{rounds} rounds, {messages} messages: taken over in {longest:.1?} at the most; {old} effects \
         with an old epoch"
    );
    assert_eq!(old, 0);
    assert!(longest <= TAKE_OVER, "{longest:?}");
    office.nothing_was_written_by_others();
    office.each_message_is_labelled_once("anna", rounds);
    office.each_alert_came_once();
}

#[test]
fn a_daemon_that_was_frozen_at_work_writes_nothing_when_it_goes_on() {
    frozen_at_work(2, 200);
}

#[test]
#[ignore = "it takes minutes: make soak"]
fn twenty_times_a_daemon_that_was_frozen_at_work_writes_nothing_when_it_goes_on() {
    frozen_at_work(20, 2000);
}

/// Of all that a daemon does a mail alone can not be looked for afterwards. So whoever takes it over waits
/// for as long as the other one may be back.
#[test]
fn an_alert_that_was_in_hand_of_a_frozen_daemon_comes_once() {
    let Some(mut office) = Office::open(&["anna"]) else { return };
    let names = ["one", "two"];
    office.start_all(&names);
    office.wait_shared(&names);
    let sender = office.alert_in_hand("anna");
    let began = Instant::now();
    office.freeze(&sender);
    office.answer();
    until("it is another one's", || (office.alerts("waiting") == 1).then_some(()));
    until("twice a lease is over", || (began.elapsed() >= TWO_LEASES).then_some(()));
    assert_eq!(office.alerts("waiting"), 1, "it was not sent again");
    office.thaw(&sender);
    until("it is known to be sent", || (office.alerts("sent") == 1).then_some(()));
    office.each_alert_came_once();
}

/// R8.
#[test]
fn without_the_database_nobody_writes_and_with_it_all_go_on_as_they_were() {
    let Some(mut office) = Office::open(&["anna", "bert", "carl", "dora"]) else { return };
    let names = ["one", "two", "three"];
    office.start_all(&names);
    office.wait_shared(&names);
    office.everybody_gets_a_label();
    let epochs = office.epochs();

    office.deliver_to_all();
    let frozen = Instant::now();
    office.database().freeze();
    office.deliver_to_all();
    until("twice a lease is over", || (frozen.elapsed() >= TWO_LEASES).then_some(()));
    assert!(!office.any_is_ready(), "nobody knows whose the accounts are");
    let thawed = Instant::now();
    office.database().thaw();
    office.wait_all_labelled();
    let took = thawed.elapsed();
    let last = office.last_write_between(frozen, thawed);
    let silent = last.map(|last| last.duration_since(frozen)).unwrap_or_default();
    eprintln!(
        "the last write was {silent:.1?} after the database had stopped; {took:.1?} after it went on \
         all mail had its labels"
    );
    assert!(silent <= TRUST, "{silent:?}");
    assert!(took <= RESUME, "{took:?}");
    office.wait_shared(&names);
    assert_eq!(office.epochs(), epochs, "nobody has lost an account by it");
    office.nothing_was_written_by_others();
}

/// R6, where daemons share.
#[test]
fn no_lease_is_lost_by_clocks_that_jump() {
    let Some(mut office) = Office::open_with_calendar(&["anna", "bert"]) else { return };
    for name in ["one", "two"] {
        office.start_with_calendar(name);
    }
    office.wait_shared(&["one", "two"]);
    office.everybody_gets_a_label();
    let epochs = office.epochs();
    let hour = 3600;
    let ten_years = 10 * 365 * 24 * hour;
    for (who, seconds) in [
        ("one", hour),
        ("two", -hour),
        ("one", -ten_years),
        ("two", ten_years),
        ("database", hour),
        ("database", -ten_years),
        ("database", ten_years),
    ] {
        office.jump(who, seconds);
        // Longer than a lease, in which nobody may think that another's is over.
        let began = Instant::now();
        let longer = Duration::from_secs(16);
        until("a lease would be over", || (began.elapsed() >= longer).then_some(()));
        office.everybody_gets_a_label();
        assert_eq!(office.epochs(), epochs, "{who} jumped by {seconds} s");
    }
    office.wait_shared(&["one", "two"]);
    assert_eq!((office.fenced("one"), office.fenced("two")), (0, 0));
    for account in ["anna", "bert"] {
        office.each_message_is_labelled_once(account, 0);
    }
    office.each_alert_came_once();
    office.nothing_was_written_by_others();
}

/// Requests are made on any machine, and worked off by whoever has the account.
#[test]
fn a_request_for_older_mail_reaches_the_daemon_that_has_the_account() {
    let Some(mut office) = Office::open(&["anna"]) else { return };
    office.append("anna", 3);
    office.start("one");
    office.start("two");
    office.wait_shared(&["one", "two"]);
    let other = if office.owners()["anna"] == "one" { "two" } else { "one" };
    let asked = office.triaged(other, &["backfill", "--account", "anna", "--since", "7d"]);
    assert!(asked.status.success(), "{asked:?}");
    office.wait_labelled("anna", 3);
    office.nothing_was_written_by_others();
    // Both daemons know the messages by the same key: one that is copied is known to either.
    let mail = Mail::outage();
    office.user("anna").deliver(&mail);
    office.wait_labelled("anna", 4);
    // Nor does one have to run where it is asked for.
    office.stop(other);
    let asked = office.triaged(other, &["undo", "--account", "anna", "--since", "7d"]);
    let said = String::from_utf8_lossy(&asked.stderr) + String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success() && said.contains("undone, 0 kept"), "{asked:?}");
}
