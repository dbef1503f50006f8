//! What somebody does to a message between our look at it and our change: it is seen, and the person
//! is right (RFC 7162, UNCHANGEDSINCE).

use tokio::runtime::Runtime;
use triaged_core::decision::{Considered, Decision, Flag, Judge, Mark};
use triaged_core::label::KeywordMap;

use crate::harness::{Flow, Mail, Mailserver, Proxy, User, on_each_server};

on_each_server!(
    a_message_that_is_read_meanwhile_gets_its_keyword_beside,
    who_answers_meanwhile_is_right,
);

const OURS: &str = "triaged-order";

/// Decides, and while it does, a person changes the message.
struct Meddled {
    anna: User,
    flag: &'static str,
}

impl Judge for Meddled {
    fn judge(&self, mail: &Considered<'_>) -> Decision {
        let mut client = self.anna.client();
        client.command(&format!("SELECT {}", mail.mailbox));
        client.command(&format!("UID STORE 1 +FLAGS ({})", self.flag));
        let ours = Flag::Keyword(OURS.parse().unwrap());
        Decision { marks: vec![Mark::Add(ours).into()], ..Decision::default() }
    }
}

/// What becomes of a mail on which a person sets this flag meanwhile: its flags, and by the store.
fn meddled(mail: &Mailserver, flag: &'static str) -> (Vec<String>, &'static str) {
    let anna = mail.user("anna");
    let question = Mail::invoice_question();
    anna.append("INBOX", &question, "", None);
    let proxy = Proxy::to(anna.plain_port());
    proxy.count("UNCHANGEDSINCE");
    let mut keywords = KeywordMap::default();
    keywords.insert("category", "order", OURS.parse().unwrap());
    keywords.insert("category", "billing", "triaged-billing".parse().unwrap());
    let outcome = Runtime::new().unwrap().block_on(async {
        let judge = Meddled { anna: anna.clone(), flag };
        let flow = Flow::new(proxy.port(), judge, keywords).await;
        flow.look_at("INBOX").await.unwrap();
        let outcomes = flow.outcomes().await;
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.into_keys().next().unwrap()
    });
    assert!(proxy.heard() >= 1, "the server was asked for it");
    (anna.find(&question).unwrap().flags.into_iter().collect(), outcome)
}

fn a_message_that_is_read_meanwhile_gets_its_keyword_beside(mail: &Mailserver) {
    let (flags, outcome) = meddled(mail, "\\Seen");
    assert_eq!((flags, outcome), (vec!["\\Seen".to_owned(), OURS.to_owned()], "labelled"));
}

fn who_answers_meanwhile_is_right(mail: &Mailserver) {
    let (flags, outcome) = meddled(mail, "triaged-billing");
    assert_eq!((flags, outcome), (vec!["triaged-billing".to_owned()], "unlabelled"));
}
