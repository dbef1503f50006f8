//! Alerts: somebody is told of a mail, once, whatever happens on the way.

use crate::harness::{Format, Guard, Installation, Mail, Mailserver, Settings, Sink};

/// Somebody is angry and it is urgent, in a mailbox that many share.
const ESCALATE: &str = "rule = [{ name = \"escalate\", \
    when = { labels = [\"sentiment.negative\", \"urgency.high\"], mailboxes = [\"INBOX\"] }, \
    then = { flag = true, move = \"Escalations\", create = true, alert = \"oncall\" } }]";

#[test]
fn an_angry_and_urgent_mail_moves_and_alerts_the_person_on_call() {
    let mail = Mailserver::start(Format::Sdbox);
    let (shared, sink) = (mail.user("shared"), Sink::start(Guard::Implicit));
    let settings = Settings::label().with(shared.account()).and(ESCALATE).and(&sink.section(""));
    let installation = Installation::new(&settings);
    let daemon = installation.start_ready();
    let outage = Mail::outage();
    for one in [&outage, &Mail::newsletter(), &Mail::invoice_question()] {
        shared.deliver(one);
    }
    installation.wait_settled(3);
    let moved = shared.find_in("Escalations", &outage).expect("it is there");
    assert!(moved.flags.contains("\\Flagged"), "{moved:?}");
    let taken = sink.wait_taken(1);
    let [alert] = taken.as_slice() else { panic!("one: {taken:?}") };
    assert_eq!(
        (alert.from.as_str(), alert.to.as_slice()),
        ("triaged@example.org", &["oncall@example.org".to_owned()][..])
    );
    let text = alert.text();
    for line in ["account     shared", "moved to    Escalations", "label       urgency: high ("] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!alert.data.contains("northwind") && !text.contains("northwind"), "{text}");
    println!("{}\n{text}", alert.data);
    println!("{}", String::from_utf8_lossy(&installation.triaged(&["history"]).stdout));
    println!("{}", String::from_utf8_lossy(&installation.triaged(&["status"]).stdout));
    installation.status();
    daemon.stop();
}
