//! What happens between two commands, or in the middle of an answer: messages go, connections end,
//! and the server tells of other things.

use crate::harness::{
    Edited, Installation, Mail, Mailserver, Proxy, Settings, User, on_each_server,
};

on_each_server!(
    a_connection_that_ends_in_the_middle_of_a_message_costs_nothing,
    a_message_that_is_expunged_before_it_is_labelled_is_gone,
    a_message_that_is_moved_before_it_is_labelled_is_labelled_where_it_is,
    what_a_server_tells_in_any_answer_is_taken_for_what_it_is,
);

struct Scene {
    anna: User,
    proxy: Proxy,
    installation: Installation,
}

impl Scene {
    fn new(mail: &Mailserver) -> Scene {
        let anna = mail.user("anna");
        anna.client().command("CREATE Work");
        let proxy = Proxy::to(anna.plain_port());
        let account = anna.account().in_clear(proxy.port()).mailboxes(&["INBOX", "Work"]);
        let settings = Settings::label().with(account.and("poll_seconds = 1"));
        Scene { anna, proxy, installation: Installation::new(&settings) }
    }

    /// Two mails, the keywords of which are decided on and not written yet.
    fn about_to_be_written(&self) -> [Mail; 2] {
        let mails = [Mail::outage(), Mail::outage()];
        self.proxy.hold("UID STORE");
        for mail in &mails {
            self.anna.deliver(mail);
        }
        crate::harness::until("it would write", || self.proxy.is_holding().then_some(()));
        mails
    }
}

/// Row 7: the same mail is fetched again, and labelled once.
fn a_connection_that_ends_in_the_middle_of_a_message_costs_nothing(mail: &Mailserver) {
    let scene = Scene::new(mail);
    let daemon = scene.installation.start_ready();
    let mut cuts = 0;
    scene.proxy.edit(move |line| {
        if line.contains("BODY[TEXT]") && cuts < 2 {
            cuts += 1;
            return Edited::Cut;
        }
        Edited::Same
    });
    let mails: Vec<Mail> = (0..3).map(|_| Mail::outage()).collect();
    for mail in &mails {
        scene.anna.deliver(mail);
    }
    for mail in &mails {
        let record = scene.installation.wait_decided(&scene.anna, mail);
        assert_eq!(record.outcome, "labelled", "{record:?}");
        assert_eq!(scene.anna.find(mail).unwrap().keywords(), record.keywords);
    }
    assert!(scene.proxy.connections() >= 3, "it was cut twice");
    assert_eq!(scene.installation.history().len(), 3);
    daemon.stop();
}

/// Row 22, expunged.
fn a_message_that_is_expunged_before_it_is_labelled_is_gone(mail: &Mailserver) {
    let scene = Scene::new(mail);
    let mut daemon = scene.installation.start_ready();
    let [first, second] = scene.about_to_be_written();
    let uid = scene.anna.find(&first).unwrap().uid;
    let mut client = scene.anna.client();
    client.command("SELECT INBOX");
    client.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
    client.command(&format!("UID EXPUNGE {uid}"));
    scene.proxy.let_go();
    let record = scene.installation.wait_recorded(&scene.anna, "INBOX", uid);
    assert_eq!(record.outcome, "gone", "{record:?}");
    assert_eq!(scene.installation.wait_decided(&scene.anna, &second).outcome, "labelled");
    assert!(daemon.ready() && daemon.is_running());
    daemon.stop();
}

/// Row 22, moved.
fn a_message_that_is_moved_before_it_is_labelled_is_labelled_where_it_is(mail: &Mailserver) {
    let scene = Scene::new(mail);
    let daemon = scene.installation.start_ready();
    let [first, second] = scene.about_to_be_written();
    let uid = scene.anna.find(&first).unwrap().uid;
    let mut client = scene.anna.client();
    client.command("SELECT INBOX");
    client.command(&format!("UID MOVE {uid} Work"));
    scene.proxy.let_go();
    let record = scene.installation.wait_recorded(&scene.anna, "INBOX", uid);
    assert_eq!(record.outcome, "gone", "{record:?}");
    let record = scene.installation.wait_recorded(&scene.anna, "Work", 1);
    assert_eq!(record.outcome, "labelled", "{record:?}");
    assert_eq!(scene.anna.find_in("Work", &first).unwrap().keywords(), record.keywords);
    assert_eq!(scene.installation.wait_decided(&scene.anna, &second).outcome, "labelled");
    daemon.stop();
}

/// Row 23: before each tagged answer, and so in each, other messages come, change and go.
fn what_a_server_tells_in_any_answer_is_taken_for_what_it_is(mail: &Mailserver) {
    let scene = Scene::new(mail);
    let daemon = scene.installation.start_ready();
    scene.proxy.edit(|line| {
        let tagged = line.starts_with('t') && line.contains(" OK");
        if !tagged {
            return Edited::Same;
        }
        let told = "* 4000 EXISTS\r\n* 3999 EXPUNGE\r\n* 4 RECENT\r\n* VANISHED 77\r\n\
                    * 1 FETCH (FLAGS (\\Flagged triaged-spam))\r\n\
                    * 9 FETCH (UID 4242 FLAGS (triaged-spam) MODSEQ (5))\r\n\
                    * FLAGS (\\Seen $Junk)\r\n* STATUS Elsewhere (MESSAGES 5)\r\n* SEARCH 5 6\r\n\
                    * LIST () \"/\" Elsewhere\r\n";
        Edited::Text(format!("{told}{line}"))
    });
    let mails: Vec<Mail> = (0..3).map(|_| Mail::outage()).collect();
    for mail in &mails {
        scene.anna.deliver(mail);
        let record = scene.installation.wait_decided(&scene.anna, mail);
        assert_eq!(record.outcome, "labelled", "{record:?}");
        assert_eq!(scene.anna.find(mail).unwrap().keywords(), record.keywords);
    }
    let history = scene.installation.history();
    assert_eq!(history.len(), 3, "{history:?}");
    daemon.stop();
}
