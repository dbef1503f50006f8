//! An SMTP server of the tests' own: it keeps what it takes, holds everybody to the letter of RFC 5321,
//! and fails in any phase of a conversation, as it is told to.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::wait::{PATIENCE, until};

/// What the login wants to see; the second is looked for where it must not be.
pub(crate) const SMTP_USER: &str = "triaged";
pub(crate) const SMTP_PASSWORD: &str = "smtp-canary+Wq8y/4Kd9=";

/// How the sink is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// In clear, without a login.
    Clear,
    /// TLS from the first byte, and a login.
    Implicit,
    /// TLS after STARTTLS, and a login.
    StartTls,
}

/// The moments of a conversation at which something can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Connect,
    Greeting,
    Hello,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    /// When so many bytes of the mail have come.
    Text(usize),
    /// The whole mail is there, and nothing is kept.
    Dot,
    /// It is kept, and nobody was told.
    Kept,
    /// Its 250 has been sent.
    Answered,
}

/// What happens then, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends.
    Die,
    /// Nothing is said any more until the other end has had enough.
    Hang,
    /// What is to be said comes later.
    Delay(Duration),
    /// This is said in place of what was to be said.
    Say(&'static str),
}

/// A mail that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// With CR LF, dots undone.
    pub(crate) data: String,
}

impl Taken {
    /// The value of a field of its header, unfolded.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let (header, _) = self.data.split_once("\r\n\r\n").expect("a header and a body");
        let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut fields = unfolded.split("\r\n").filter_map(|line| line.split_once(':'));
        let found = fields.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    }

    /// Its text, decoded from base64, which it must be in.
    pub(crate) fn text(&self) -> String {
        assert_eq!(self.field("Content-Transfer-Encoding").as_deref(), Some("base64"));
        let (_, body) = self.data.split_once("\r\n\r\n").unwrap();
        let plain = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        String::from_utf8(plain).unwrap()
    }
}

/// Listens on loopback; its threads end with the test's process.
pub(crate) struct Sink {
    port: u16,
    guard: Guard,
    folder: TempDir,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    taken: Vec<Taken>,
    faults: VecDeque<(Moment, Fault)>,
    /// At which moment a conversation stands still, and whether one does.
    held: Option<(Moment, bool)>,
    connections: usize,
    /// What nobody may say.
    wrong: Vec<String>,
    /// Everything that was said in clear.
    clear: Vec<u8>,
}

impl Sink {
    /// One that takes everything.
    pub(crate) fn start(guard: Guard) -> Sink {
        let folder = TempDir::with_prefix("triaged-it-sink-").unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/certificate.sh");
        let made = Command::new("sh").arg(script).arg(folder.path()).status().unwrap();
        assert!(made.success(), "certificate.sh: {made}");
        let password = folder.path().join("smtp.password");
        fs::write(&password, format!("{SMTP_PASSWORD}\n")).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let books = Arc::new(Mutex::new(Books::default()));
        let (all, tls) = (Arc::clone(&books), tls(folder.path()));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (books, tls) = (Arc::clone(&all), Arc::clone(&tls));
                thread::spawn(move || Talk::hold(stream, guard, &tls, books));
            }
        });
        Sink { port, guard, folder, books }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The lines of the configuration that send alerts here; they go below all top-level keys. The
    /// alert is called "oncall".
    pub(crate) fn section(&self, more: &str) -> String {
        self.section_at(self.port, more)
    }

    /// The same by another port.
    pub(crate) fn section_at(&self, port: u16, more: &str) -> String {
        let path = |name: &str| format!("{:?}", self.folder.path().join(name).to_str().unwrap());
        let login = format!(
            "ca_file = {}\nuser = {SMTP_USER:?}\npassword_file = {}\n",
            path("ca.pem"),
            path("smtp.password")
        );
        let (tls, login) = match self.guard {
            Guard::Clear => ("none", String::new()),
            Guard::Implicit => ("implicit", login),
            Guard::StartTls => ("starttls", login),
        };
        format!(
            "[smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = {tls:?}\n{login}\
             from = \"triaged@example.org\"\ntimeout_seconds = 2\nacceptance_seconds = 2\n\
             [[alert]]\nname = \"oncall\"\nto = [\"oncall@example.org\"]\n{more}\n"
        )
    }

    /// The password that its clients have from now on.
    pub(crate) fn clients_have(&self, password: &str) {
        fs::write(self.folder.path().join("smtp.password"), format!("{password}\n")).unwrap();
    }

    /// At the next conversation that comes to this moment, this happens, once.
    pub(crate) fn fails(&self, moment: Moment, fault: Fault) {
        self.books().faults.push_back((moment, fault));
    }

    /// How many faults are still to come.
    pub(crate) fn faults_left(&self) -> usize {
        self.books().faults.len()
    }

    /// Every conversation that comes to this moment stands still until it is let go.
    pub(crate) fn holds(&self, moment: Moment) {
        self.books().held = Some((moment, false));
    }

    /// Waits until one stands still.
    pub(crate) fn wait_held(&self) {
        until("a conversation stands still", || {
            self.books().held.is_some_and(|(_, stands)| stands).then_some(())
        });
    }

    /// Lets them go on.
    pub(crate) fn lets_go(&self) {
        self.books().held = None;
    }

    /// What it has taken. Nobody may have said what is no SMTP.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        let books = self.books();
        assert!(books.wrong.is_empty(), "{:#?}", books.wrong);
        books.taken.clone()
    }

    /// Waits until it has taken so many.
    pub(crate) fn wait_taken(&self, count: usize) -> Vec<Taken> {
        until("the mails are there", || (self.taken().len() >= count).then(|| self.taken()))
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.books().connections
    }

    /// Everything that was said to it without TLS.
    pub(crate) fn said_in_clear(&self) -> String {
        String::from_utf8_lossy(&self.books().clear).into_owned()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }
}

fn tls(folder: &Path) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

/// One conversation; the error of each step is its end.
struct Talk {
    line: Line,
    held: Vec<u8>,
    books: Arc<Mutex<Books>>,
}

enum Line {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    Closed,
}

impl Talk {
    fn hold(
        stream: TcpStream,
        guard: Guard,
        tls: &Arc<ServerConfig>,
        books: Arc<Mutex<Books>>,
    ) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        books.lock().unwrap().connections += 1;
        let mut talk = Talk { line: Line::Clear(stream), held: Vec::new(), books };
        talk.reaches(Moment::Connect)?;
        if guard == Guard::Implicit {
            talk.secure(tls)?;
        }
        talk.answer(Moment::Greeting, "220 sink.example ESMTP")?;
        talk.commands(guard, tls)
    }

    fn commands(&mut self, guard: Guard, tls: &Arc<ServerConfig>) -> io::Result<()> {
        let (mut from, mut to) = (None, Vec::new());
        let mut is_in = guard == Guard::Clear;
        loop {
            let line = self.hear()?;
            let secure = matches!(self.line, Line::Tls(_));
            let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "EHLO" => {
                    let more = match guard {
                        Guard::Clear => "",
                        _ if secure => "250-AUTH LOGIN PLAIN\r\n",
                        _ => "250-STARTTLS\r\n",
                    };
                    let hello = format!("250-sink.example\r\n{more}250 SIZE 1000000");
                    self.answer(Moment::Hello, &hello)?;
                }
                "STARTTLS" if guard == Guard::StartTls && !secure => {
                    self.answer(Moment::StartTls, "220 go on")?;
                    self.secure(tls)?;
                }
                "AUTH" if secure => {
                    is_in = self.login(&line)?;
                    let said = if is_in { "235 2.7.0 in" } else { "535 5.7.8 wrong" };
                    self.answer(Moment::Login, said)?;
                }
                "MAIL" if is_in => {
                    from = Some(path(&line).to_owned());
                    self.answer(Moment::Sender, "250 2.1.0 fine")?;
                }
                "RCPT" if from.is_some() => {
                    let address = path(&line).to_owned();
                    if self.answer(Moment::Recipient, "250 2.1.5 fine")? {
                        to.push(address);
                    }
                }
                "DATA" if !to.is_empty() => {
                    if self.answer(Moment::Data, "354 go on")? {
                        let from = from.take().unwrap_or_default();
                        self.take(from, std::mem::take(&mut to))?;
                    }
                }
                "RSET" => {
                    (from, to) = (None, Vec::new());
                    self.say("250 2.0.0 fine")?;
                }
                "QUIT" => return self.say("221 2.0.0 bye"),
                _ => {
                    self.wrong(format!("{line:?} at a wrong moment"));
                    self.say("503 5.5.1 not now")?;
                }
            }
        }
    }

    /// The mail, to the line with the dot alone; RFC 5321 §4.5.2 for the others.
    fn take(&mut self, from: String, to: Vec<String>) -> io::Result<()> {
        let mut data = String::new();
        loop {
            let line = self.hear()?;
            if line == "." {
                break;
            }
            if line.len() > 998 {
                self.wrong(format!("a line of {} bytes", line.len()));
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
            self.text(data.len())?;
        }
        if !self.reaches(Moment::Dot)? {
            return Ok(());
        }
        self.books().taken.push(Taken { from, to, data });
        self.answer(Moment::Kept, "250 2.0.0 taken")?;
        self.reaches(Moment::Answered).map(drop)
    }

    /// What happens in the middle of a mail.
    fn text(&mut self, came: usize) -> io::Result<()> {
        let due = |moment: &Moment| matches!(moment, Moment::Text(bytes) if *bytes <= came);
        let fault = self.books().faults.front().map(|(moment, _)| *moment).filter(due);
        let held = self.books().held.map(|(moment, _)| moment).filter(due);
        match fault.or(held) {
            Some(moment) => self.reaches(moment).map(drop),
            None => Ok(()),
        }
    }

    /// The conversation has come so far: what is to happen happens. `false`: something else was said.
    fn reaches(&mut self, moment: Moment) -> io::Result<bool> {
        let stands = || {
            let mut books = self.books.lock().unwrap();
            match &mut books.held {
                Some((here, stands)) if *here == moment => *stands = true,
                _ => return false,
            }
            true
        };
        let since = Instant::now();
        while stands() && since.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        let fault = {
            let mut books = self.books();
            let is_due = books.faults.front().is_some_and(|(due, _)| *due == moment);
            is_due.then(|| books.faults.pop_front()).flatten().map(|(_, fault)| fault)
        };
        match fault {
            None => {}
            Some(Fault::Die) => return Err(self.close()),
            Some(Fault::Hang) => {
                while self.more().is_ok() {}
                return Err(self.close());
            }
            Some(Fault::Delay(time)) => thread::sleep(time),
            Some(Fault::Say(words)) => {
                self.say(words)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says this, unless something else happens; whether it was said.
    fn answer(&mut self, moment: Moment, words: &str) -> io::Result<bool> {
        let as_usual = self.reaches(moment)?;
        if as_usual {
            self.say(words)?;
        }
        Ok(as_usual)
    }

    fn login(&mut self, line: &str) -> io::Result<bool> {
        let mut words = line.split_whitespace().skip(1);
        let decoded = |text: &str| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("PLAIN")) {
            let said = decoded(words.next().unwrap_or_default());
            return Ok(said == format!("\0{SMTP_USER}\0{SMTP_PASSWORD}"));
        }
        self.say("334 VXNlcm5hbWU6")?;
        let user = decoded(&self.hear()?);
        self.say("334 UGFzc3dvcmQ6")?;
        let password = decoded(&self.hear()?);
        Ok(user == SMTP_USER && password == SMTP_PASSWORD)
    }

    fn secure(&mut self, tls: &Arc<ServerConfig>) -> io::Result<()> {
        if !self.held.is_empty() {
            self.wrong("more in clear behind STARTTLS".to_owned());
        }
        let Line::Clear(stream) = std::mem::replace(&mut self.line, Line::Closed) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let session = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
        self.line = Line::Tls(Box::new(StreamOwned::new(session, stream)));
        Ok(())
    }

    /// One line without its end, which must be CR LF.
    fn hear(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line).into_owned();
                let Some(inside) = text.strip_suffix("\r\n").filter(|line| !line.contains('\r'))
                else {
                    self.wrong(format!("a bare CR or LF in {text:?}"));
                    return Err(self.close());
                };
                if !inside.is_ascii() || inside.contains('\0') {
                    self.wrong(format!("no ASCII in {inside:?}"));
                }
                return Ok(inside.to_owned());
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        let read = match &mut self.line {
            Line::Clear(stream) => stream.read(&mut piece)?,
            Line::Tls(stream) => stream.read(&mut piece)?,
            Line::Closed => 0,
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Line::Clear(_) = self.line {
            self.books().clear.extend_from_slice(&piece[..read]);
        }
        self.held.extend_from_slice(&piece[..read]);
        Ok(())
    }

    fn say(&mut self, words: &str) -> io::Result<()> {
        let line = format!("{words}\r\n");
        match &mut self.line {
            Line::Clear(stream) => stream.write_all(line.as_bytes()),
            Line::Tls(stream) => stream.write_all(line.as_bytes()).and_then(|()| stream.flush()),
            Line::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Ends the connection; what comes back is the error that it is.
    fn close(&mut self) -> io::Error {
        match std::mem::replace(&mut self.line, Line::Closed) {
            Line::Clear(stream) => drop(stream.shutdown(Shutdown::Both)),
            Line::Tls(stream) => drop(stream.sock.shutdown(Shutdown::Both)),
            Line::Closed => {}
        }
        io::ErrorKind::ConnectionAborted.into()
    }

    fn wrong(&mut self, what: String) {
        self.books().wrong.push(what);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }
}

/// What stands between the angle brackets.
fn path(line: &str) -> &str {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or("", |(path, _)| path)
}
