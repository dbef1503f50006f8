//! How we say who we are: AUTHENTICATE PLAIN (RFC 4616), OAUTHBEARER (RFC 7628), XOAUTH2 and LOGIN,
//! and the command LOGIN.
//!
//! PLAIN carries every password byte; the command LOGIN needs a literal for some. What a server
//! says of a refused token (JSON in a continuation) is answered and not read: the tagged NO that
//! follows counts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use super::capabilities::Capabilities;
use super::command::{Command, Verb, quoted};
use super::error::ImapError;
use super::login::{Login, Proof, Way};

/// Longest first line, in bytes, that carries a credential (SASL-IR, RFC 4959). Servers bound
/// command lines, some at a few kilobytes, and let a continuation be longer.
const LONGEST_LINE: usize = 1000;

/// A line that is overwritten when it is done with.
type Line = Zeroizing<String>;

/// The command that logs in on a server with these capabilities.
///
/// # Errors
/// [`ImapError::LoginImpossible`] before anything is sent.
pub(super) fn command(
    capabilities: &Capabilities,
    login: &Login<'_>,
) -> Result<Command, ImapError> {
    let way = login.way(capabilities)?;
    let (Proof::Password(secret) | Proof::Token(secret)) = login.proof;
    let secret = secret.expose_secret();
    let user = login.user;
    let whose = login.authorize_as.unwrap_or(user);
    if [user, whose, secret].iter().any(|text| text.contains('\0')) {
        return Err(ImapError::LoginImpossible("user name or password has a NUL byte"));
    }
    if matches!(login.proof, Proof::Token(_)) && secret.chars().any(char::is_control) {
        return Err(ImapError::LoginImpossible("the token has a control character"));
    }
    let first_answer = capabilities.has("SASL-IR");
    let lines = match way {
        Way::Plain => {
            let authorize_as = login.authorize_as.unwrap_or_default();
            let message = Zeroizing::new(format!("{authorize_as}\0{user}\0{secret}"));
            authenticate("PLAIN", &[&message], first_answer)
        }
        Way::Login => login_command(&[user, secret]),
        // Its prompts come before its answers, so nothing goes with the command.
        Way::SaslLogin => authenticate("LOGIN", &[user, secret], false),
        Way::XOAuth2 => {
            let message = format!("user={whose}\x01auth=Bearer {secret}\x01\x01");
            let mut lines = authenticate("XOAUTH2", &[&Zeroizing::new(message)], first_answer);
            // Only a server that refuses asks once more.
            lines.push(Line::default());
            lines
        }
        Way::OAuthBearer => {
            let name = whose.replace('=', "=3D").replace(',', "=2C");
            let message = format!("n,a={name},\x01auth=Bearer {secret}\x01\x01");
            let mut lines = authenticate("OAUTHBEARER", &[&Zeroizing::new(message)], first_answer);
            lines.push(encoded("\x01"));
            lines
        }
    };
    Ok(Command::of_lines(Verb::Login, lines))
}

/// AUTHENTICATE with its messages, the first one in the same line where that is allowed.
fn authenticate(mechanism: &str, messages: &[&str], first_answer: bool) -> Vec<Line> {
    let mut lines = vec![Line::new(format!("AUTHENTICATE {mechanism}"))];
    for message in messages {
        let message = encoded(message);
        match lines.as_mut_slice() {
            [only] if first_answer && only.len() + message.len() < LONGEST_LINE => {
                *only = Line::new(format!("{} {}", only.as_str(), message.as_str()));
            }
            _ => lines.push(message),
        }
    }
    lines
}

fn encoded(message: &str) -> Line {
    Line::new(STANDARD.encode(message))
}

/// LOGIN with quoted strings, and with literals where a quoted string can not carry the bytes.
fn login_command(arguments: &[&str]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = Zeroizing::new("LOGIN".to_owned());
    for argument in arguments {
        line.push(' ');
        if let Some(quoted) = quoted(argument).map(Zeroizing::new) {
            line.push_str(&quoted);
        } else {
            line.extend(["{", &argument.len().to_string(), "}"]);
            let literal = Zeroizing::new((*argument).to_owned());
            lines.push(std::mem::replace(&mut line, literal));
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use async_imap::imap_proto::Capability;
    use secrecy::SecretString;
    use triaged_core::config::Mechanism;

    use super::*;

    fn lines(capabilities: &[&str], login: &Login<'_>) -> Result<Vec<String>, ImapError> {
        let list: Vec<Capability<'_>> =
            capabilities.iter().map(|&word| Capability::Atom(word.into())).collect();
        let command = command(&list.iter().collect(), login)?;
        Ok(command.lines.iter().map(|line| line.to_string()).collect())
    }

    fn with_password(
        capabilities: &[&str],
        user: &str,
        password: &str,
    ) -> Result<Vec<String>, ImapError> {
        lines(capabilities, &Login::with_password(user, &password.into()))
    }

    fn with_token(capabilities: &[&str], token: &str) -> Result<Vec<String>, ImapError> {
        let token: SecretString = token.into();
        let proof = Proof::Token(&token);
        lines(capabilities, &Login { user: "b,b", authorize_as: None, auth: None, proof })
    }

    fn kind(result: Result<Vec<String>, ImapError>) -> &'static str {
        result.expect_err("refused").kind()
    }

    #[test]
    fn plain_carries_every_byte() {
        let sent = with_password(&["AUTH=PLAIN", "LOGINDISABLED"], "bob", "p\r\nä");
        assert_eq!(sent.expect("a command"), ["AUTHENTICATE PLAIN", "AGJvYgBwDQrDpA=="]);
        let sent = with_password(&["AUTH=PLAIN", "SASL-IR"], "bob", "p\r\nä");
        assert_eq!(sent.expect("a command"), ["AUTHENTICATE PLAIN AGJvYgBwDQrDpA=="]);
    }

    #[test]
    fn login_quotes_what_it_can_and_sends_the_rest_as_literals() {
        let sent = |user, password| with_password(&[], user, password).expect("a command");
        assert_eq!(sent("bob", "p\"\\"), [r#"LOGIN "bob" "p\"\\""#]);
        assert_eq!(sent("bob", "pä\r\n"), ["LOGIN \"bob\" {5}", "pä\r\n"]);
        assert_eq!(sent("bö", "ü"), ["LOGIN {3}", "bö {2}", "ü"]);
        let off = ["LOGINDISABLED", "AUTH=LOGIN", "SASL-IR"];
        let sent = with_password(&off, "bob", "pw").expect("a command");
        assert_eq!(sent, ["AUTHENTICATE LOGIN", "Ym9i", "cHc="]);
    }

    #[test]
    fn one_may_log_in_for_another() {
        let password: SecretString = "pw".into();
        let login = |auth, proof| Login { user: "bob", authorize_as: Some("anna"), auth, proof };
        let plain = login(None, Proof::Password(&password));
        let sent = lines(&["AUTH=PLAIN", "SASL-IR"], &plain).expect("a command");
        assert_eq!(sent, [format!("AUTHENTICATE PLAIN {}", STANDARD.encode("anna\0bob\0pw"))]);
        assert_eq!(kind(lines(&["AUTH=LOGIN"], &plain)), "login_impossible");
        let token = login(Some(Mechanism::XOAuth2), Proof::Token(&password));
        let sent = lines(&["AUTH=XOAUTH2"], &token).expect("a command");
        assert_eq!(sent[1], STANDARD.encode("user=anna\x01auth=Bearer pw\x01\x01"));
    }

    #[test]
    fn tokens_go_by_what_the_server_has_and_a_refusal_is_answered() {
        let sent = with_token(&["AUTH=XOAUTH2", "SASL-IR"], "tok").expect("a command");
        let message = STANDARD.encode("user=b,b\x01auth=Bearer tok\x01\x01");
        assert_eq!(sent, [format!("AUTHENTICATE XOAUTH2 {message}"), String::new()]);
        let sent = with_token(&["AUTH=XOAUTH2", "AUTH=OAUTHBEARER"], "tok").expect("a command");
        let message = STANDARD.encode("n,a=b=2Cb,\x01auth=Bearer tok\x01\x01");
        assert_eq!(sent, ["AUTHENTICATE OAUTHBEARER", &message, "AQ=="]);
        let long = "x".repeat(1500);
        let sent = with_token(&["AUTH=XOAUTH2", "SASL-IR"], &long).expect("a command");
        assert_eq!((sent.len(), sent[0].as_str()), (3, "AUTHENTICATE XOAUTH2"));
        assert_eq!(kind(with_token(&["AUTH=PLAIN"], "tok")), "login_impossible");
        assert_eq!(kind(with_token(&["AUTH=XOAUTH2"], "tok\x01user=eve")), "login_impossible");
    }

    #[test]
    fn what_can_not_be_sent_safely_is_not_sent() {
        assert_eq!(kind(with_password(&["LOGINDISABLED"], "bob", "pw")), "login_impossible");
        assert_eq!(kind(with_password(&["AUTH=PLAIN"], "bob", "p\0w")), "login_impossible");
        let password: SecretString = "pw".into();
        let proof = Proof::Password(&password);
        let auth = Some(Mechanism::Plain);
        let fixed = Login { user: "bob", authorize_as: None, auth, proof };
        assert_eq!(kind(lines(&["AUTH=LOGIN"], &fixed)), "login_impossible");
    }
}
