//! Messages that others move and copy are recognised, also those without a Message-ID: by what the
//! server calls them (Dovecot's X-GUID, EMAILID of RFC 8474).

use crate::harness::{Installation, Mail, Mailserver, Settings, User, on_each_server};

on_each_server!(
    a_message_that_is_moved_is_known_by_the_servers_word_for_it,
    a_copy_is_known_before_its_original_is_gone,
    a_message_that_comes_back_is_known,
);

const BARE: &str = "From: Marta <marta@northwind.example>\r\nSubject: Production is down\r\n\r\n\
                    Since 08:40 our whole shop has been down. Every checkout fails and we are \
                    losing orders every minute. Please call me immediately, it is urgent.\r\n";

struct Scene {
    anna: User,
    installation: Installation,
}

impl Scene {
    fn new(mail: &Mailserver) -> Scene {
        let anna = mail.user("anna");
        anna.client().command("CREATE Work");
        let account = anna.account().mailboxes(&["INBOX", "Work"]).and("poll_seconds = 1");
        Scene { anna, installation: Installation::new(&Settings::label().with(account)) }
    }

    /// A mail without Message-ID that was labelled in the INBOX, and then its keywords were taken off.
    fn labelled(&self) -> u32 {
        let uid = self.anna.append("INBOX", &Mail::verbatim(BARE), "", None);
        assert_eq!(self.outcome("INBOX", uid), "labelled");
        let mut client = self.anna.client();
        client.command("SELECT INBOX");
        client.command(&format!("UID STORE {uid} FLAGS ()"));
        uid
    }

    fn outcome(&self, mailbox: &str, uid: u32) -> String {
        self.installation.wait_recorded(&self.anna, mailbox, uid).outcome
    }

    fn keywords(&self, mailbox: &str, uid: u32) -> Vec<String> {
        let mut client = self.anna.client();
        client.command(&format!("EXAMINE {mailbox}"));
        let lines = client.command(&format!("UID FETCH {uid} (FLAGS)"));
        lines.into_iter().filter(|line| line.contains("triaged-")).collect()
    }
}

fn a_message_that_is_moved_is_known_by_the_servers_word_for_it(mail: &Mailserver) {
    let scene = Scene::new(mail);
    let daemon = scene.installation.start_ready();
    let uid = scene.labelled();
    let mut client = scene.anna.client();
    client.command("SELECT INBOX");
    client.command(&format!("UID MOVE {uid} Work"));
    assert_eq!(scene.outcome("Work", 1), "known");
    assert!(scene.keywords("Work", 1).is_empty());
    daemon.stop();
}

fn a_copy_is_known_before_its_original_is_gone(mail: &Mailserver) {
    let scene = Scene::new(mail);
    let daemon = scene.installation.start_ready();
    let uid = scene.labelled();
    let mut client = scene.anna.client();
    client.command("SELECT INBOX");
    client.command(&format!("UID COPY {uid} Work"));
    assert_eq!(scene.outcome("Work", 1), "known");
    client.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
    client.command(&format!("UID EXPUNGE {uid}"));
    // Another one like it is a mail of its own.
    let other = Mail::outage();
    scene.anna.deliver(&other);
    assert_eq!(scene.installation.wait_decided(&scene.anna, &other).outcome, "labelled");
    assert!(scene.keywords("Work", 1).is_empty());
    assert_eq!(scene.installation.history().len(), 3);
    daemon.stop();
}

fn a_message_that_comes_back_is_known(mail: &Mailserver) {
    let scene = Scene::new(mail);
    let daemon = scene.installation.start_ready();
    let uid = scene.labelled();
    let mut client = scene.anna.client();
    client.command("SELECT INBOX");
    client.command(&format!("UID MOVE {uid} Work"));
    assert_eq!(scene.outcome("Work", 1), "known");
    client.command("SELECT Work");
    client.command("UID MOVE 1 INBOX");
    assert_eq!(scene.outcome("INBOX", uid + 1), "known");
    assert!(scene.keywords("INBOX", uid + 1).is_empty());
    daemon.stop();
}
