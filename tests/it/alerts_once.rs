//! RELIABILITY R3: alerts arrive once. The server dies, hangs or refuses in each phase of a
//! conversation, and the daemon is killed in each: none is lost, and one arrives twice only where the
//! server had the whole mail and its word for it never came to be written down.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Fault, Format, Guard, Installation, Mail, Mailserver, Moment, Postgres, Settings, Sink, User,
    until,
};

/// The phases, in their order; STARTTLS comes after the first greeting.
const PHASES: [Moment; 14] = [
    Moment::Connect,
    Moment::Greeting,
    Moment::Hello,
    Moment::StartTls,
    Moment::Login,
    Moment::Sender,
    Moment::Recipient,
    Moment::Data,
    Moment::Text(1),
    Moment::Text(300),
    Moment::Text(900),
    Moment::Dot,
    Moment::Kept,
    Moment::Answered,
];

/// Somebody is angry and it is urgent, in a mailbox that many share.
const ESCALATE: &str = "rule = [{ name = \"escalate\", \
    when = { labels = [\"sentiment.negative\", \"urgency.high\"], mailboxes = [\"INBOX\"] }, \
    then = { flag = true, move = \"Escalations\", create = true, alert = \"oncall\" } }]";

/// The shared mailbox, the person on call, and a triaged between them.
struct House {
    shared: User,
    sink: Sink,
    installation: Installation,
    /// How often the alert of each mail may have arrived: once, or once or twice.
    allowed: Vec<usize>,
    _mail: Mailserver,
}

impl House {
    fn new(guard: Guard) -> House {
        let mail = Mailserver::start(Format::Sdbox);
        let (shared, sink) = (mail.user("shared"), Sink::start(guard));
        let section = sink.section("per_hour = 1000");
        let settings = Settings::label().with(shared.account()).and(ESCALATE).and(&section);
        let installation = Installation::new(&settings);
        House { shared, sink, installation, allowed: Vec::new(), _mail: mail }
    }

    /// An angry and urgent mail comes, whose alert may arrive so often.
    fn escalation(&mut self, allowed: usize) {
        self.shared.deliver(&Mail::outage());
        self.allowed.push(allowed);
    }

    /// All alerts are sent and recorded: none is lost, and no more came twice than may have. Returns
    /// how many did.
    fn check(&self) -> usize {
        let mails = self.allowed.len();
        self.installation.wait_alerted(mails);
        let mut by_mail: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for alert in self.sink.taken() {
            let text = alert.text();
            let uid = text.lines().find_map(|line| line.trim().strip_prefix("UID")).unwrap();
            let uid = uid.trim().parse().unwrap();
            by_mail.entry(uid).or_default().push(alert.field("Message-ID").unwrap());
        }
        assert_eq!(by_mail.len(), mails, "one was lost: {by_mail:#?}");
        for ((uid, ids), allowed) in by_mail.iter().zip(&self.allowed) {
            assert!(ids.len() <= *allowed, "{uid}: {ids:?}, and at most {allowed} may come");
            assert!(ids.iter().all(|id| *id == ids[0]), "another Message-ID: {ids:?}");
        }
        let moved = self.shared.client().command("STATUS Escalations (MESSAGES)");
        assert!(moved[0].contains(&format!("MESSAGES {mails}")), "{moved:?}");
        by_mail.values().map(|ids| ids.len() - 1).sum()
    }
}

/// Whether the server has the whole mail, and we have not heard that it took it.
fn in_doubt(phase: Moment) -> bool {
    matches!(phase, Moment::Kept)
}

#[test]
fn none_is_lost_by_a_server_that_dies_in_each_phase() {
    for guard in [Guard::Implicit, Guard::StartTls] {
        let mut house = House::new(guard);
        let daemon = house.installation.start_ready();
        for phase in PHASES {
            if phase == Moment::StartTls && guard == Guard::Implicit {
                continue;
            }
            house.sink.fails(phase, Fault::Die);
            house.escalation(if in_doubt(phase) { 2 } else { 1 });
            house.installation.wait_alerted(house.allowed.len());
            assert_eq!(house.sink.faults_left(), 0, "{phase:?} was met");
        }
        let twice = house.check();
        assert_eq!(twice, 1, "the one that was kept and not answered");
        println!("{guard:?}: {} mails, 0 lost, {twice} twice", house.allowed.len());
        daemon.stop();
    }
}

#[test]
fn none_is_lost_by_a_server_that_falls_silent_or_is_slow() {
    let mut house = House::new(Guard::Implicit);
    let daemon = house.installation.start_ready();
    let hang = [Moment::Greeting, Moment::Login, Moment::Recipient, Moment::Text(300), Moment::Dot];
    for phase in hang.into_iter().chain([Moment::Kept]) {
        house.sink.fails(phase, Fault::Hang);
        house.escalation(if in_doubt(phase) { 2 } else { 1 });
        house.installation.wait_alerted(house.allowed.len());
        assert_eq!(house.sink.faults_left(), 0, "{phase:?} was met");
    }
    for phase in [Moment::Greeting, Moment::Sender, Moment::Data, Moment::Kept] {
        // Within its time: nothing is tried again.
        house.sink.fails(phase, Fault::Delay(std::time::Duration::from_secs(1)));
        house.escalation(1);
        house.installation.wait_alerted(house.allowed.len());
    }
    println!("{} mails, 0 lost, {} twice", house.allowed.len(), house.check());
    daemon.stop();
}

#[test]
fn none_is_lost_by_a_server_that_refuses_for_now() {
    let mut house = House::new(Guard::Implicit);
    let mut daemon = house.installation.start_ready();
    for (phase, words) in [
        (Moment::Greeting, "421 4.3.2 too busy"),
        (Moment::Greeting, "554 5.3.2 no mail today"),
        (Moment::Hello, "451 4.3.0 not now"),
        (Moment::Login, "454 4.7.0 the list of users is away"),
        (Moment::Sender, "451 4.3.0 not now"),
        (Moment::Sender, "550 5.7.1 this sender may not"),
        (Moment::Data, "250 this is no answer to DATA"),
    ] {
        house.sink.fails(phase, Fault::Say(words));
        house.escalation(1);
        house.installation.wait_alerted(house.allowed.len());
        assert_eq!(house.sink.faults_left(), 0, "{phase:?} was met");
    }
    // Only this mail is in the way: the others go on, and it waits for its own time.
    for (phase, words) in [
        (Moment::Recipient, "450 4.2.0 greylisted"),
        (Moment::Recipient, "554 5.7.1 <oncall@example.org>: Relay access denied"),
        (Moment::Data, "452 4.3.1 no room"),
        (Moment::Dot, "451 4.3.0 the scanner is away"),
    ] {
        house.sink.fails(phase, Fault::Say(words));
        house.escalation(1);
        daemon.wait_until("it was refused", |_| house.sink.faults_left() == 0);
        house.escalation(1);
        house.sink.wait_taken(house.allowed.len() - 1);
        house.installation.wait_alerted(house.allowed.len());
    }
    assert_eq!(house.check(), 0, "none came twice");
    daemon.stop();
}

#[test]
fn none_is_lost_by_a_daemon_that_is_killed_in_each_phase() {
    let mut house = House::new(Guard::StartTls);
    let (mut daemon, mut twice_at_most) = (house.installation.start_ready(), 0);
    for phase in PHASES {
        house.sink.holds(phase);
        if matches!(phase, Moment::Text(_)) {
            // What the kernel has taken of a mail is not the whole of it.
            house.sink.fails(phase, Fault::Die);
        }
        let in_doubt = matches!(phase, Moment::Dot | Moment::Kept | Moment::Answered);
        twice_at_most += usize::from(in_doubt);
        house.escalation(if in_doubt { 2 } else { 1 });
        house.sink.wait_held();
        daemon.kill();
        house.sink.lets_go();
        daemon = house.installation.start_ready();
        house.installation.wait_alerted(house.allowed.len());
    }
    let twice = house.check();
    println!("{} kills, 0 lost, {twice} twice", house.allowed.len());
    assert!(twice <= twice_at_most, "{twice}");
    let (_, metrics) = daemon.get("/metrics").unwrap();
    assert!(metrics.contains("triaged_outbox_letters{state=\"waiting\"} 0"), "{metrics}");
    daemon.stop();
}

#[test]
fn one_that_is_in_hand_at_a_stop_is_finished_before_others_may_take_it() {
    let Some(database) = Postgres::start() else { return };
    let mail = Mailserver::start(Format::Sdbox);
    let (shared, sink) = (mail.user("shared"), Sink::start(Guard::Implicit));
    let settings = Settings::label().database(&database.url()).with(shared.account());
    // It has the patience to stand still for as long as this looks.
    let section = sink.section("").replace("acceptance_seconds = 2", "acceptance_seconds = 30");
    let installation = Installation::new(&settings.and(ESCALATE).and(&section));
    let daemon = installation.start_ready();
    sink.holds(Moment::Kept);
    shared.deliver(&Mail::outage());
    sink.wait_held();
    installation.wait_settled(1);
    let count = |query: &str| database.query(query)[0].parse::<usize>().unwrap();
    let free = "SELECT count(*) FROM outbox WHERE state = 'sending' AND NOT EXISTS \
                (SELECT 1 FROM instance WHERE CAST(id AS TEXT) = outbox.owner)";
    thread::scope(|scope| {
        let stopping = scope.spawn(|| daemon.stop());
        let owned = "SELECT count(*) FROM shard WHERE owner IS NOT NULL";
        until("it has no account any more", || (count(owned) == 0).then_some(()));
        let since = Instant::now();
        until("a second has gone by", || {
            assert_eq!(count(free), 0, "others would send it, too");
            (since.elapsed() >= Duration::from_secs(1)).then_some(())
        });
        assert_eq!(count("SELECT count(*) FROM outbox WHERE state = 'sending'"), 1, "as it was");
        sink.lets_go();
        stopping.join().unwrap();
    });
    assert_eq!(count("SELECT count(*) FROM outbox WHERE state = 'sent' AND attempts = 1"), 1);
    assert_eq!(count("SELECT count(*) FROM instance"), 0, "and then it left");
    assert_eq!(sink.taken().len(), 1);
}
