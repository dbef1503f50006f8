//! `[smtp]` and `[[alert]]`: who is told, and which server takes the mail.

use super::*;
use crate::alert::Include;

const ALERTS: &str = r#"
[smtp]
host = "mail.example.org"
from = "triaged@example.org"
[[alert]]
name = "oncall"
to = ["oncall@example.org"]
"#;

fn read(lines: &str) -> Result<Config, String> {
    parse(&format!("{SMALLEST}{lines}")).map_err(|problems| problems.to_string())
}

#[test]
fn the_smallest_alert_tells_no_word_of_a_mail_and_goes_over_tls() {
    let rule = "[[rule]]\nname = \"escalate\"\nthen.alert = \"oncall\"";
    let config = read(&format!("{ALERTS}{rule}")).expect("valid");
    let smtp = config.smtp.as_ref().expect("it is there");
    assert_eq!((smtp.port, smtp.tls, smtp.login.as_ref()), (465, Tls::Implicit, None));
    assert_eq!((smtp.timeout, smtp.acceptance), (Duration::from_mins(1), Duration::from_mins(10)));
    assert_eq!((smtp.domain(), smtp.hello.as_deref()), ("example.org", None));
    let [RuleConfig { rule, .. }] = config.rules.as_slice() else { panic!("one rule") };
    let alert = rule.then.alert.as_ref().expect("it tells somebody");
    assert_eq!((&*alert.name, alert.per_hour, alert.include), ("oncall", 20, Include::default()));
    assert_eq!(
        (alert.to.as_slice(), &*alert.domain),
        (&["oncall@example.org".to_owned()][..], "example.org")
    );
}

#[test]
fn the_server_may_want_a_login_and_an_alert_may_tell_more() {
    let config = read(
        r#"
[smtp]
host = "mail.example.org"
tls = "starttls"
ca_file = "ca.pem"
user = "triaged"
auth = "login"
password_file = "smtp.password"
from = "triaged@example.org"
hello = "daemon.example.org"
timeout_seconds = 5
acceptance_seconds = 30
[[alert]]
name = "oncall"
to = ["a@b", "o'c+1@xn--80ak6aa92e.example", "a@b"]
include = ["subject", "from", "message-id"]
per_hour = 3
[[rule]]
name = "escalate"
then = { alert = "oncall", flag = true }
"#,
    );
    let config = config.expect("valid").relative_to(Path::new("/etc"));
    let smtp = config.smtp.expect("it is there");
    let login = smtp.login.expect("it logs in");
    assert_eq!((smtp.port, smtp.ca_file.as_deref()), (587, Some(Path::new("/etc/ca.pem"))));
    assert_eq!((login.user.as_str(), login.auth), ("triaged", Some(Mechanism::Login)));
    assert_eq!(login.password, SecretSource::File("/etc/smtp.password".into()));
    let alert = config.rules[0].rule.then.alert.as_ref().expect("it tells somebody");
    assert_eq!((alert.to.len(), alert.per_hour), (2, 3));
    assert!(alert.include.subject && alert.include.from && alert.include.message_id);
}

#[test]
fn an_alert_that_can_not_be_is_said_with_its_line() {
    let with = |from: &str, to: &str| read(&ALERTS.replace(from, to)).expect_err("wrong");
    for (from, to, words) in [
        ("[smtp]", "[smpt]", "alert[0]: there is no server that takes its mail (write [smtp]"),
        ("[smtp]", "[smpt]", "smpt: unknown key (did you mean \"smtp\"?)"),
        ("\"mail.example.org\"", "\"mail example\"", "smtp.host: \"mail example\" is no host name"),
        ("from = \"triaged@example.org\"\n", "", "line 8: smtp.from: is missing"),
        (
            "\"triaged@",
            "\"Triaged <triaged@",
            "smtp.from: \"Triaged <triaged@example.org\" is no mail address",
        ),
        ("[smtp]", "[smtp]\nport = 0", "smtp.port: 0 is out of range"),
        (
            "[smtp]",
            "[smtp]\ntls = \"none\"",
            "mail and password would go to mail.example.org in plain text",
        ),
        ("[smtp]", "[smtp]\ntls = \"ssl\"", "smtp.tls: \"ssl\" is none of"),
        (
            "[smtp]",
            "[smtp]\npassword = \"hunter2\"",
            "smtp.password: passwords are never in this file",
        ),
        ("[smtp]", "[smtp]\npassword_file = \"x\"", "says how somebody logs in, and not who"),
        ("[smtp]", "[smtp]\nuser = \"me\"", "smtp: says nowhere where its password is"),
        (
            "[smtp]",
            "[smtp]\nuser = \"me\"\npassword_file = \"x\"\npassword_credential = \"y\"",
            "keep one of the two",
        ),
        (
            "[smtp]",
            "[smtp]\nuser = \"me\"\npassword_file = \"x\"\nauth = \"xoauth2\"",
            "\"xoauth2\" is none of",
        ),
        ("[smtp]", "[smtp]\ntimeout_seconds = 0", "smtp.timeout_seconds: 0 is out of range"),
        ("[smtp]", "[smtp]\nhello = \"a b\"", "smtp.hello: \"a b\" is no host name"),
        ("name = \"oncall\"\n", "", "line 11: alert[0].name: is missing"),
        ("\"oncall\"", "\"on call\"", "alert[0].name: \"on call\" is no short name"),
        ("to = [\"oncall@example.org\"]", "", "alert[0].to: is missing (say who is told"),
        ("\"oncall@example.org\"", "", "alert[0].to: names nobody"),
        ("oncall@", "oncall", "alert[0].to[0]: \"oncallexample.org\" is no mail address"),
        (
            "oncall@example.org",
            "a@b>\\r\\nRCPT TO:<c@d",
            "alert[0].to[0]: \"a@b>\\r\\nRCPT TO:<c@d\" is no",
        ),
        (
            "[[alert]]",
            "[[alert]]\ninclude = [\"body\"]",
            "alert[0].include[0]: \"body\" is none of",
        ),
        ("[[alert]]", "[[alert]]\nper_hour = 0", "alert[0].per_hour: 0 is out of range"),
    ] {
        let said = with(from, to);
        assert!(said.contains(words), "{words}\nin\n{said}");
    }
    let here = ALERTS.replace("mail.example.org", "localhost");
    let clear = here.replace("[smtp]", "[smtp]\ntls = \"none\"");
    assert_eq!(read(&clear).map(|config| config.smtp.map(|smtp| smtp.port)), Ok(Some(25)));
    let login = "[smtp]\ntls = \"none\"\nuser = \"me\"\npassword_file = \"x\"";
    let said = read(&here.replace("[smtp]", login)).expect_err("in clear");
    assert!(
        said.contains("smtp.user: a password would go over a connection without TLS"),
        "{said}"
    );
}

#[test]
fn a_rule_tells_only_who_is_there() {
    let rule = |name: &str| {
        read(&format!("{ALERTS}[[rule]]\nname = \"a\"\nthen.alert = \"{name}\""))
            .expect_err("wrong")
    };
    let said = rule("on-call");
    assert_eq!(
        said,
        "line 16: rule[0].then.alert: no [[alert]] is called \"on-call\" (did you mean \"oncall\"?)"
    );
    assert!(rule("x").contains("write an [[alert]] with this name"), "{}", rule("x"));
    let twice = format!("{ALERTS}[[alert]]\nname = \"OnCall\"\nto = [\"a@b.example\"]");
    let said = read(&twice).expect_err("twice");
    assert!(said.contains("an alert before this one is called \"OnCall\" too"), "{said}");
}
