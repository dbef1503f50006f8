//! The few lines in clear before TLS (RFC 9051 §6.2.1), of which nothing is believed.
//!
//! Whoever sits on the line can say anything here. So no capability is read: STARTTLS is asked for
//! in any case, and where the answer is not a plain OK with nothing behind it, the connection
//! ends. Bytes that came behind the OK would be taken for the server's own words inside TLS. No
//! credential is known to this file.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::error::{ImapError, Reply};

/// All that a server may say in clear, in bytes. A greeting and an answer take some hundred.
const MOST: usize = 8 * 1024;
const TAG: &str = "s1";

/// Reads the greeting, asks for STARTTLS and reads up to the server's OK to it; what follows on
/// `stream` is TLS. `endpoint` is for errors.
///
/// # Errors
/// [`ImapError::Tls`] where the server refuses, or has sent more than it may. The other ones are
/// those of a greeting.
pub(super) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    endpoint: &str,
) -> Result<(), ImapError> {
    let mut clear = Clear { stream, held: Vec::new(), received: 0 };
    clear.greeting().await?;
    clear.send(&format!("{TAG} STARTTLS\r\n")).await?;
    loop {
        let line = clear.line().await?;
        let (tag, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let (status, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match (tag, status.to_ascii_uppercase().as_str()) {
            (TAG, "OK") => break,
            (TAG, "NO" | "BAD") => return Err(refused(endpoint, text)),
            ("*", "BYE") => return Err(ImapError::Bye(Reply::of_text(text))),
            ("*", _) => {}
            _ => return Err(ImapError::Protocol("its answer to STARTTLS is none")),
        }
    }
    if clear.held.is_empty() { Ok(()) } else { Err(injected(endpoint)) }
}

fn refused(endpoint: &str, text: &str) -> ImapError {
    let reply = Reply::of_text(text);
    let reason = format!(
        "it refuses STARTTLS{reply}, and nothing is sent in clear; try tls = \"implicit\" with \
         port 993, and if this worked before, ask who is between you and the server"
    );
    ImapError::Tls { endpoint: endpoint.to_owned(), reason }
}

fn injected(endpoint: &str) -> ImapError {
    let reason = "there is more in clear behind its OK to STARTTLS, which only somebody between \
                  you and the server, or a broken server, sends"
        .to_owned();
    ImapError::Tls { endpoint: endpoint.to_owned(), reason }
}

/// A stream without protection.
struct Clear<'a, S> {
    stream: &'a mut S,
    /// Received and not read yet.
    held: Vec<u8>,
    received: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Clear<'_, S> {
    async fn greeting(&mut self) -> Result<(), ImapError> {
        let line = self.line().await?;
        let mut words = line.splitn(3, ' ');
        let (star, status) = (words.next(), words.next().map(str::to_ascii_uppercase));
        match (star, status.as_deref()) {
            (Some("*"), Some("OK")) => Ok(()),
            (Some("*"), Some("PREAUTH")) => Err(ImapError::Preauth),
            (Some("*"), Some("BYE")) => {
                Err(ImapError::Bye(Reply::of_text(words.next().unwrap_or_default())))
            }
            _ => Err(ImapError::Protocol("this is not the greeting of an IMAP server")),
        }
    }

    async fn send(&mut self, line: &str) -> Result<(), ImapError> {
        let write = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.flush().await
        };
        write.await.map_err(|_| ImapError::Closed)
    }

    /// The next line without its end.
    async fn line(&mut self) -> Result<String, ImapError> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut space = [0; 1024];
            let read = self.stream.read(&mut space).await.map_err(|_| ImapError::Closed)?;
            if read == 0 {
                return Err(ImapError::Closed);
            }
            self.received += read;
            if self.received > MOST {
                return Err(ImapError::Protocol("it says too much before TLS"));
            }
            self.held.extend_from_slice(space.get(..read).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::scripted;

    /// How it ends with a server that follows `script`.
    async fn ends(script: &str) -> (&'static str, String) {
        let mut stream = scripted::server(script);
        match ask(&mut stream, "h:143").await {
            Ok(()) => ("ok", String::new()),
            Err(error) => (error.kind(), error.to_string()),
        }
    }

    #[tokio::test]
    async fn a_plain_ok_is_all_that_opens_the_way() {
        let asked = "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\nC: STARTTLS";
        let opened = [
            "S: %t OK go on",
            "S: %t ok",
            "S: * CAPABILITY IMAP4rev1\nS: * OK still here\nS: %t OK go on",
        ];
        for answer in opened {
            assert_eq!(ends(&format!("{asked}\n{answer}\nHANG")).await.0, "ok", "{answer}");
        }
        let long = format!("S: * OK {}\n", "x".repeat(1000)).repeat(9);
        let refused = [
            ("S: %t NO not here", "tls"),
            ("S: %t NO [UNAVAILABLE] later", "tls"),
            ("S: %t BAD what is STARTTLS", "tls"),
            ("S: %t OK go on\\r\\n* CAPABILITY IMAP4rev1 AUTH=PLAIN", "tls"),
            ("S| %t OK go on\\r\\n*", "tls"),
            ("S: * BYE [UNAVAILABLE] restart", "bye"),
            ("S: + tell me", "protocol"),
            ("S: s2 OK go on", "protocol"),
            (long.as_str(), "protocol"),
            ("S| %t OK", "closed"),
            ("", "closed"),
        ];
        for (answer, kind) in refused {
            assert_eq!(ends(&format!("{asked}\n{answer}\n")).await.0, kind, "{answer}");
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_after_a_greeting_that_is_not_one() {
        let cases = [
            ("S: * PREAUTH [CAPABILITY IMAP4rev1] welcome", "preauth"),
            ("S: * BYE too busy", "bye"),
            ("S: 220 mail.example ESMTP", "protocol"),
            ("S: * 3 EXISTS", "protocol"),
            ("S: s1 OK begin TLS now", "protocol"),
            ("", "closed"),
        ];
        for (script, kind) in cases {
            assert_eq!(ends(&format!("{script}\n")).await.0, kind, "{script}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_its_code_and_what_to_do() {
        let (_, said) = ends("S: * OK hi\nC: STARTTLS\nS: %t NO [CANNOT] no\nHANG").await;
        assert!(said.contains("h:143") && said.contains("[CANNOT]") && said.contains("993"));
    }
}
