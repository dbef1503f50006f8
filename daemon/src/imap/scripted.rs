//! A server that follows a script, for what no real server does on request.
//!
//! One step a line: `S: text` sends a line, `S| text` sends without a line end, `C: text` waits
//! for a command and compares it without its tag, `C+ text` waits for an untagged line, `WAIT n` lets n
//! seconds of the test's own time pass, `HANG` keeps the connection open for ever; at the end of the script the connection is closed. `%t`
//! is the tag of the last command, `\\r\\n` in it becomes a line end.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::transport::Line;
use super::{ImapError, Login, Meter, Session, wire};

/// How every script of [`session`] begins.
const LOGIN: &str = "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi
    C: AUTHENTICATE PLAIN
    S: +
    C+ AGJvYgBwdw==
    S: %t OK [CAPABILITY IMAP4rev1 IDLE] welcome";

/// The client's end of a connection to a server that follows `script`. A command that is not in
/// the script ends the server, and with it the connection.
pub(super) fn server(script: &str) -> DuplexStream {
    let steps: Vec<String> = script.lines().map(|line| line.trim_start().to_owned()).collect();
    let (client, server) = tokio::io::duplex(1024 * 1024);
    #[expect(clippy::disallowed_methods, reason = "the test's runtime ends with the test")]
    tokio::spawn(follow(server, steps));
    client
}

async fn follow(stream: DuplexStream, steps: Vec<String>) {
    let mut stream = BufReader::new(stream);
    let mut tag = String::new();
    for step in steps.iter().filter(|step| !step.is_empty()) {
        let text = step.get(3..).unwrap_or_default().replace("%t", &tag).replace("\\r\\n", "\r\n");
        match step.get(..2) {
            Some("S:") => stream.write_all(format!("{text}\r\n").as_bytes()).await.expect("sent"),
            Some("S|") => stream.write_all(text.as_bytes()).await.expect("sent"),
            Some("HA") => std::future::pending().await,
            Some("WA") => {
                let seconds = step.rsplit(' ').next().and_then(|n| n.parse().ok());
                tokio::time::sleep(Duration::from_secs(seconds.expect("seconds"))).await;
            }
            Some(step) => {
                let mut line = String::new();
                stream.read_line(&mut line).await.expect("a line");
                let line = line.trim_end_matches("\r\n");
                let said = match line.split_once(' ') {
                    Some((command_tag, said)) if step == "C:" => {
                        command_tag.clone_into(&mut tag);
                        said
                    }
                    _ => line,
                };
                assert_eq!(said, text, "the script expects another command");
            }
            None => panic!("a step without a direction: {step:?}"),
        }
    }
}

/// Bob's login on a server that follows `script` from its greeting on.
pub(super) async fn login(script: &str, password: &str) -> Result<Session, ImapError> {
    login_as(script, &Login::with_password("bob", &password.into())).await
}

/// Any login on such a server.
pub(super) async fn login_as(script: &str, login: &Login<'_>) -> Result<Session, ImapError> {
    let until = wire::deadline(Duration::from_secs(20));
    let line = Line { stream: Box::new(server(script)), greeted: false };
    Session::log_in(line, until, login, &Meter::default()).await
}

/// A session on a server that follows `script` after the login.
pub(super) async fn session(script: &str) -> Session {
    login_script(&format!("{LOGIN}\n{script}")).await
}

/// The same on a server that can do more.
pub(super) async fn session_with(capabilities: &str, script: &str) -> Session {
    let login = LOGIN.replace("IDLE", format!("IDLE {capabilities}").trim_end());
    login_script(&format!("{login}\n{script}")).await
}

async fn login_script(script: &str) -> Session {
    login(script, "pw").await.expect("the script lets bob in")
}

/// A session with a mailbox of `exists` messages open.
pub(super) async fn selected(exists: u32, script: &str) -> Session {
    selected_with("", exists, script).await
}

/// The same on a server that can do more; one with CONDSTORE keeps mod-sequences.
pub(super) async fn selected_with(capabilities: &str, exists: u32, script: &str) -> Session {
    let counts = capabilities.contains("CONDSTORE");
    let mod_seq = if counts { "S: * OK [HIGHESTMODSEQ 12] x" } else { "" };
    let open = format!(
        "C: SELECT \"INBOX\"
         S: * {exists} EXISTS
         S: * OK [UIDVALIDITY 7] x
         S: * OK [UIDNEXT 100] x
         {mod_seq}
         S: * OK [PERMANENTFLAGS (\\Seen \\*)] x
         S: %t OK [READ-WRITE] done
         {script}"
    );
    let mut session = session_with(capabilities, &open).await;
    session.select("INBOX").await.expect("the script opens it");
    session
}
