//! A real mail server of the test's own, Dovecot or Cyrus, and the people who have mail on it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::certificate::{self, Certificate};
use super::client::ImapClient;
use super::cyrus;
use super::mail::Mail;
use super::ports::free_port;
use super::process::{Process, group_members};
use super::settings::Account;
use super::wait::{PATIENCE, until};

/// Every user's password: distinct, so that a test can look for it where it must not be.
pub(crate) const PASSWORD: &str = "it-canary+Zq7x/9Vb2=";

/// The master's password, as distinct.
pub(crate) const MASTER_PASSWORD: &str = "it-master+Qw8n/4Lp1=";

/// The master has the rights of the user whose mailbox it opens.
const WITH_MASTER: &str = "auth_master_user_separator = *
passdb {
  driver = static
  master = yes
  args = password=it-master+Qw8n/4Lp1=
}
userdb {
  driver = passwd-file
  args = username_format=%Ln @DIR@/users
  default_fields = home=@DIR@/home/%n
}
plugin {
  acl_user = %u
}
";

/// How Dovecot stores mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Sdbox,
    Maildir,
}

/// Which program a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Software {
    Dovecot(Format),
    Cyrus,
}

/// A server that runs in a temporary folder on ports of its own until it is dropped.
pub(crate) struct Mailserver {
    process: Process,
    place: Arc<Place>,
}

/// Where a server is: what its users need to know of it.
struct Place {
    software: Software,
    folder: TempDir,
    imap: u16,
    imaps: u16,
    lmtp: u16,
}

impl Mailserver {
    /// Starts a Dovecot and waits until it takes mail.
    pub(crate) fn start(format: Format) -> Mailserver {
        Self::start_at(format, free_port())
    }

    /// The same, with the port for plain IMAP given.
    pub(crate) fn start_at(format: Format, imap: u16) -> Mailserver {
        Self::run(Software::Dovecot(format), imap, "")
    }

    /// A Dovecot with more lines of configuration, put before its own passdb; `@DIR@` in them is its
    /// folder.
    pub(crate) fn start_with(format: Format, configuration: &str) -> Mailserver {
        Self::run(Software::Dovecot(format), free_port(), configuration)
    }

    /// A Dovecot whose users are in a list that [`Self::has_users`] writes, and a master user who
    /// opens all of their mailboxes: `USER*root`, or `root` for USER.
    pub(crate) fn with_master(format: Format) -> Mailserver {
        let mail = Self::start_with(format, WITH_MASTER);
        mail.has_users(&[]);
        mail
    }

    /// From now on these are the users that the server knows of.
    pub(crate) fn has_users(&self, names: &[String]) {
        let lines: String = names.iter().flat_map(|name| [name, "::::::\n"]).collect();
        let list = self.place.folder.path().join("users");
        fs::write(&list, lines).unwrap();
        fs::set_permissions(&list, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// What asks this server for the names of its users: a program and its arguments.
    pub(crate) fn list_command(&self) -> Vec<String> {
        let configuration = self.place.folder.path().join("dovecot.conf");
        let configuration = configuration.to_str().unwrap();
        ["/usr/bin/doveadm", "-c", configuration, "user", "*"].map(str::to_owned).to_vec()
    }

    /// Starts either server and waits until it takes mail.
    pub(crate) fn of(software: Software) -> Mailserver {
        Self::run(software, free_port(), "")
    }

    fn run(software: Software, imap: u16, configuration: &str) -> Mailserver {
        let folder = TempDir::with_prefix("triaged-it-").unwrap();
        // Root's servers run as `nobody`, who must get in.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let configuration = configuration.replace("@DIR@", folder.path().to_str().unwrap());
        fs::write(folder.path().join("more.conf"), configuration).unwrap();
        let place = Place { software, folder, imap, imaps: free_port(), lmtp: free_port() };
        let process = place.launch();
        if software == Software::Cyrus {
            cyrus::prepare(place.folder.path());
        }
        Mailserver { process, place: Arc::new(place) }
    }

    /// Which program it is.
    pub(crate) fn software(&self) -> Software {
        self.place.software
    }

    /// Ends it as its administrator does; who is connected hears a goodbye.
    pub(crate) fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        self.process.wait();
        // Those who speak to clients end after their master.
        until("all have ended", || group_members(self.id()).is_empty().then_some(()));
    }

    /// Ends it without a word, like a loss of power.
    pub(crate) fn kill(&mut self) {
        self.process.end();
    }

    /// Starts it again after its end, with all that it had.
    pub(crate) fn start_again(&mut self) {
        self.process = self.place.launch();
    }

    /// A user of this server, whose mailboxes nobody else looks at.
    pub(crate) fn user(&self, name: &str) -> User {
        // Every name is a user of Dovecot.
        if self.place.software == Software::Cyrus {
            cyrus::let_in(self.place.folder.path(), name);
        }
        User { name: name.to_owned(), place: Arc::clone(&self.place) }
    }

    /// Another certificate for the same key, from now on.
    pub(crate) fn takes_certificate(&self, kind: Certificate) {
        certificate::make(self.place.folder.path(), kind);
        // Dovecot's master reads its configuration again; who was connected stays.
        let master = Pid::from_raw(self.id().cast_signed()).unwrap();
        kill_process(master, Signal::HUP).unwrap();
    }

    /// The pin of its key.
    pub(crate) fn pin(&self) -> String {
        certificate::pin(self.place.folder.path())
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.folder.path().join("dovecot.log")).unwrap()
    }

    /// The process id of the server's master.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The process ids of a Dovecot's IMAP sessions; each login has one of its own.
    pub(crate) fn sessions(&self) -> Vec<u32> {
        let name = |id: &u32| fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        group_members(self.id()).into_iter().filter(|id| name(id) == "imap\n").collect()
    }
}

impl Place {
    /// Starts the server and waits until it takes mail.
    fn launch(&self) -> Process {
        let ports = [self.imap, self.imaps, self.lmtp];
        let folder = self.folder.path();
        let (mut command, log) = match self.software {
            Software::Dovecot(format) => (dovecot(folder, format, ports), "dovecot.log"),
            Software::Cyrus => (cyrus::command(folder, ports), "cyrus.log"),
        };
        let mut process = Process::start(&mut command, &folder.join(log));
        until("the server listens", || {
            assert!(process.ended().is_none(), "the server ended:\n{}", process.output());
            ports.iter().try_for_each(|port| {
                TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).ok().map(drop)
            })
        });
        process
    }
}

/// The command that runs a Dovecot in `folder` on these ports: IMAP, IMAP over TLS, LMTP.
fn dovecot(folder: &Path, format: Format, ports: [u16; 3]) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/dovecot");
    let installed = Command::new(scripts.join("install.sh")).arg("--print").output().unwrap();
    assert!(
        installed.status.success(),
        "Dovecot is missing. Run `make deps`.\n{}",
        String::from_utf8_lossy(&installed.stderr)
    );
    let mut command = Command::new(scripts.join("start.sh"));
    command
        .arg(folder)
        .arg(match format {
            Format::Sdbox => "sdbox",
            Format::Maildir => "maildir",
        })
        .args(ports.map(|port| port.to_string()))
        .arg(PASSWORD);
    command
}

/// Somebody with mail on a [`Mailserver`].
#[derive(Clone)]
pub(crate) struct User {
    name: String,
    place: Arc<Place>,
}

/// A message as the server shows it to an independent client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) uid: u32,
    pub(crate) flags: BTreeSet<String>,
}

impl Stored {
    /// Its keywords: the flags that are not the protocol's own.
    pub(crate) fn keywords(&self) -> BTreeSet<String> {
        self.flags.iter().filter(|flag| !flag.starts_with('\\')).cloned().collect()
    }
}

impl User {
    /// The login name, which is also the account's name in triaged.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The account as triaged's configuration describes it: implicit TLS, the server's own CA.
    pub(crate) fn account(&self) -> Account {
        Account::new(&self.name, self.place.imaps, &self.ca_file())
    }

    /// The authority that signed the server's certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.place.folder.path().join("ca.pem")
    }

    /// The server's port for IMAP in clear.
    pub(crate) fn plain_port(&self) -> u16 {
        self.place.imap
    }

    /// The server's port for IMAP over TLS.
    pub(crate) fn tls_port(&self) -> u16 {
        self.place.imaps
    }

    /// An independent client, logged in as this user.
    pub(crate) fn client(&self) -> ImapClient {
        ImapClient::login(self.place.imap, &self.name, PASSWORD)
    }

    /// The same, by another port.
    pub(crate) fn client_at(&self, port: u16) -> ImapClient {
        ImapClient::login(port, &self.name, PASSWORD)
    }

    /// Hands a mail to the server the way a mail transfer agent does: by LMTP (RFC 2033).
    pub(crate) fn deliver(&self, mail: &Mail) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.place.lmtp)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut lmtp = BufReader::new(stream);
        expect_reply(&mut lmtp, "220");
        for (line, reply) in [
            ("LHLO localhost", "250"),
            ("MAIL FROM:<sender@example.org>", "250"),
            (&format!("RCPT TO:<{}@localhost>", self.name), "250"),
            ("DATA", "354"),
        ] {
            lmtp.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
            expect_reply(&mut lmtp, reply);
        }
        lmtp.get_mut().write_all(&dot_stuffed(mail.bytes())).unwrap();
        expect_reply(&mut lmtp, "250");
    }

    /// Stores a mail in a mailbox as a mail client does, with flags, now or as received then.
    /// Returns its UID.
    pub(crate) fn append(
        &self,
        to: &str,
        mail: &Mail,
        flags: &str,
        received: Option<Timestamp>,
    ) -> u32 {
        self.client().append(to, mail.bytes(), flags, received)
    }

    /// The message of this Message-ID in the INBOX.
    pub(crate) fn find(&self, mail: &Mail) -> Option<Stored> {
        self.find_in("INBOX", mail)
    }

    /// The same in another mailbox.
    pub(crate) fn find_in(&self, mailbox: &str, mail: &Mail) -> Option<Stored> {
        let mut client = self.client();
        client.command(&format!("EXAMINE \"{mailbox}\""));
        let id = mail.id();
        let found = client.command(&format!("UID SEARCH HEADER Message-ID \"{id}\""));
        let uid = found.iter().find_map(|line| line.strip_prefix("* SEARCH "))?.parse().ok()?;
        let fetched = client.command(&format!("UID FETCH {uid} (FLAGS)"));
        let line = fetched.iter().find(|line| line.contains("FLAGS ("))?;
        let (_, flags) = line.split_once("FLAGS (")?;
        let (flags, _) = flags.split_once(')')?;
        // Whether a session is the first to see a message says nothing about the message.
        let flags = flags.split_whitespace().filter(|flag| *flag != "\\Recent");
        Some(Stored { uid, flags: flags.map(str::to_owned).collect() })
    }

    /// Waits until the message is there and `holds` is true of it.
    pub(crate) fn wait_for(&self, mail: &Mail, holds: impl Fn(&Stored) -> bool) -> Stored {
        until("the message is as expected", || self.find(mail).filter(&holds))
    }

    /// From now on this user may only read the INBOX (and get mail into it).
    pub(crate) fn may_only_read(&self) {
        self.may("INBOX", "lrp");
    }

    /// From now on this user has these rights (RFC 4314) in a mailbox and no other; the mailbox is
    /// made if it is not the INBOX. Dovecot looks at its file again only after a while, so this
    /// comes before the first login.
    pub(crate) fn may(&self, mailbox: &str, rights: &str) {
        let Place { software, folder, imap, .. } = &*self.place;
        if let Software::Dovecot(_) = software {
            let acl = folder.path().join("acl");
            let mut file = fs::File::options().append(true).open(acl).unwrap();
            writeln!(file, "{mailbox} user={} {rights}", self.name).unwrap();
        }
        if mailbox != "INBOX" {
            self.client().command(&format!("CREATE {mailbox}"));
        }
        if *software == Software::Cyrus {
            cyrus::give_rights(*imap, &self.name, mailbox, rights);
        }
    }
}

fn expect_reply(lmtp: &mut BufReader<TcpStream>, code: &str) {
    loop {
        let mut line = String::new();
        lmtp.read_line(&mut line).unwrap();
        assert!(line.starts_with(code), "LMTP: {line:?} where {code} was expected");
        if !line[code.len()..].starts_with('-') {
            return;
        }
    }
}

/// The mail as DATA wants it: a line that begins with a dot gets a second one, a lone dot ends.
fn dot_stuffed(mail: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(mail.len() + 64);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}
