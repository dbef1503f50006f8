//! A server that plays a transcript, on a port of its own: usual but for that, with one mail in its
//! only mailbox. It writes down where credentials came in.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::transcript::{Step, Transcript, Turn, bytes};
use crate::harness::{Mail, PASSWORD, free_port};

const CAPABILITIES: &str = "IMAP4rev1 IDLE UIDPLUS";

/// Plays until it is dropped.
pub(super) struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    transcript: Transcript,
    mail: Mail,
    /// Before, whoever connects is thrown out.
    began: OnceLock<Instant>,
    stopped: AtomicBool,
    /// Lines of a login step that had a credential in them, and other lines.
    credentials: AtomicU64,
    misplaced: AtomicU64,
    /// Of the one mail; labels are what Gmail has beside.
    flags: Mutex<BTreeSet<String>>,
    labels: Mutex<BTreeSet<String>>,
    lines: Mutex<Vec<TcpStream>>,
    /// The commands that came in, the first words of each; and how many there were.
    heard: Mutex<(BTreeSet<String>, u64)>,
}

impl Server {
    pub(super) fn start(transcript: Transcript) -> Server {
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let shared = Arc::new(Shared {
            transcript,
            mail: Mail::outage(),
            began: OnceLock::new(),
            stopped: AtomicBool::new(false),
            credentials: AtomicU64::new(0),
            misplaced: AtomicU64::new(0),
            flags: Mutex::default(),
            labels: Mutex::default(),
            heard: Mutex::default(),
            lines: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &of_thread));
        Server { port, shared }
    }

    /// From now on it plays.
    pub(super) fn open(&self) {
        self.shared.began.get_or_init(Instant::now);
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn transcript(&self) -> &Transcript {
        &self.shared.transcript
    }

    /// Whether a command with this text came in.
    pub(super) fn heard(&self, text: &str) -> bool {
        self.shared.heard.lock().unwrap().0.iter().any(|command| command.contains(text))
    }

    /// How many commands came in, and in how many seconds.
    pub(super) fn commands(&self) -> (u64, u64) {
        let began = self.shared.began.get().expect("it plays");
        (self.shared.heard.lock().unwrap().1, began.elapsed().as_secs())
    }

    /// How often a credential came in at a login step, and elsewhere.
    pub(super) fn credentials(&self) -> (u64, u64) {
        let count = |number: &AtomicU64| number.load(Ordering::SeqCst);
        (count(&self.shared.credentials), count(&self.shared.misplaced))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Whoever waits for a connection is woken by one.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        for line in self.shared.lines.lock().unwrap().drain(..) {
            let _ = line.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        if shared.began.get().is_none() {
            continue;
        }
        shared.lines.lock().unwrap().extend(stream.try_clone());
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let reader = BufReader::new(stream);
            let mut talk = Talk { reader, shared: &shared };
            // A client that goes is what most transcripts want.
            let _ = talk.play();
            let _ = talk.reader.get_ref().shutdown(Shutdown::Both);
        });
    }
}

/// One connection.
struct Talk<'a> {
    reader: BufReader<TcpStream>,
    shared: &'a Shared,
}

impl Talk<'_> {
    fn play(&mut self) -> io::Result<()> {
        self.meet("<greeting>", "*", |talk| {
            talk.line("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi")
        })?;
        let mut tag = String::new();
        loop {
            let line = self.hear()?;
            // DONE is no command, and ends the last one.
            let command = match line.split_once(' ') {
                Some((its_tag, command)) => {
                    its_tag.clone_into(&mut tag);
                    command
                }
                None => line.as_str(),
            };
            self.note(command.starts_with("LOGIN "), command);
            self.meet(command, &tag, |talk| talk.answer(&tag, command))?;
        }
    }

    /// What the transcript says to a line, and what is usual unless that stands in its place.
    fn meet(
        &mut self,
        line: &str,
        tag: &str,
        usual: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let shared = self.shared;
        let turn = shared.transcript.turns.iter().find(|turn| line.contains(turn.trigger));
        let Some(Turn { usual: goes_on, steps, .. }) = turn else { return usual(self) };
        for step in steps {
            self.step(*step, tag)?;
        }
        if *goes_on { usual(self) } else { Ok(()) }
    }

    fn step(&mut self, step: Step, tag: &str) -> io::Result<()> {
        let with_end = |text: &str| [&bytes(text, tag)[..], b"\r\n"].concat();
        match step {
            Step::Line(text) => self.say(&with_end(text)),
            Step::Bytes(text) => self.say(&bytes(text, tag)),
            Step::Times(count, text) => self.say(&with_end(text).repeat(count)),
            Step::Fill(count, text) => self.say(&bytes(text, tag).repeat(count)),
            Step::Endless(text) => loop {
                let some = with_end(text);
                self.say(&some.repeat(50_000 / some.len()))?;
                thread::sleep(Duration::from_millis(50));
            },
            Step::Slow(pause, text) => {
                for byte in with_end(text) {
                    self.say(&[byte])?;
                    thread::sleep(Duration::from_millis(pause));
                }
                Ok(())
            }
            Step::Hang => loop {
                self.hear()?;
            },
            Step::End => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// The next line of the client.
    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Takes note of a line, and whether a credential in it is where one belongs.
    fn note(&self, at_login: bool, line: &str) {
        let mut heard = self.shared.heard.lock().unwrap();
        heard.1 += 1;
        if heard.0.len() < 1_000 {
            heard.0.insert(line.chars().take(60).collect());
        }
        drop(heard);
        let decoded = STANDARD.decode(line).unwrap_or_default();
        if line.contains(PASSWORD) || String::from_utf8_lossy(&decoded).contains(PASSWORD) {
            let count = if at_login { &self.shared.credentials } else { &self.shared.misplaced };
            count.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.say(format!("{text}\r\n").as_bytes())
    }

    /// What a server usually answers.
    fn answer(&mut self, tag: &str, command: &str) -> io::Result<()> {
        let words: Vec<&str> = command.split(' ').collect();
        match words[0] {
            "CAPABILITY" => self.line(&format!("* CAPABILITY {CAPABILITIES}"))?,
            "AUTHENTICATE" => {
                self.line("+ ")?;
                let credentials = self.hear()?;
                self.note(true, &credentials);
                return self.meet("<credentials>", tag, |talk| {
                    talk.line(&format!("{tag} OK [CAPABILITY {CAPABILITIES}] in"))
                });
            }
            "SELECT" => {
                for said in [
                    "* FLAGS (\\Seen \\Deleted)",
                    "* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] yes",
                    "* 1 EXISTS",
                    "* OK [UIDVALIDITY 7] x",
                    "* OK [UIDNEXT 2] x",
                ] {
                    self.line(said)?;
                }
                return self.line(&format!("{tag} OK [READ-WRITE] open"));
            }
            "STATUS" => self.line("* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 7)")?,
            "UID" if words[1] == "FETCH" => self.fetch(command)?,
            "UID" if words[1] == "STORE" => self.store(command),
            "IDLE" => return self.line("+ idling"),
            _ => {}
        }
        self.line(&format!("{tag} OK done"))
    }

    /// The mail, which is UID 1, with all that is asked for.
    fn fetch(&mut self, command: &str) -> io::Result<()> {
        let set = command.split(' ').nth(2).unwrap_or_default();
        if !matches!(set.split([':', ',']).next(), Some("1" | "*")) {
            return Ok(());
        }
        let mail = String::from_utf8_lossy(self.shared.mail.bytes()).into_owned();
        let (header, text) = mail.split_once("\r\n\r\n").unwrap();
        let header = format!("{header}\r\n\r\n");
        let flags: Vec<String> = self.shared.flags.lock().unwrap().iter().cloned().collect();
        let quoted = |label: &String| format!("\"{label}\"");
        let labels: Vec<String> = self.shared.labels.lock().unwrap().iter().map(quoted).collect();
        let literal = |text: &str| format!("{{{}}}\r\n{text}", text.len());
        let values = [
            ("RFC822.SIZE", "RFC822.SIZE", mail.len().to_string()),
            ("INTERNALDATE", "INTERNALDATE", "\"16-Nov-2026 09:12:00 +0000\"".to_owned()),
            ("FLAGS", "FLAGS", format!("({})", flags.join(" "))),
            ("X-GM-LABELS", "X-GM-LABELS", format!("(\"\\\\Inbox\" {})", labels.join(" "))),
            ("MODSEQ", "MODSEQ", "(5)".to_owned()),
            ("BODY.PEEK[HEADER]", "BODY[HEADER]<0>", literal(&header)),
            ("BODY.PEEK[TEXT]", "BODY[TEXT]<0>", literal(text)),
        ];
        let asked = values.iter().filter(|(asked, ..)| command.contains(asked));
        let mut parts = vec!["UID 1".to_owned()];
        parts.extend(asked.map(|(_, name, value)| format!("{name} {value}")));
        self.line(&format!("* 1 FETCH ({})", parts.join(" ")))
    }

    fn store(&self, command: &str) {
        let list = command.rsplit_once('(').map_or("", |(_, list)| list.trim_end_matches(')'));
        let is_label = command.contains("X-GM-LABELS");
        let kept = if is_label { &self.shared.labels } else { &self.shared.flags };
        kept.lock().unwrap().extend(list.split(' ').map(|one| one.trim_matches('"').to_owned()));
    }
}
