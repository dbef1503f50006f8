//! Several installations that share a PostgreSQL and a Dovecot, each with a proxy of its own before the
//! Dovecot, so that it is seen who says what; and triggers in the database that write down who had
//! what when.

mod alerts;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use triaged_core::lease::Shard;

use crate::harness::{
    Daemon, Format, Guard, Installation, Mail, Mailserver, Postgres, Proxy, Settings, Sink, User,
    until,
};

/// What the database notes beside what the daemons do: each change of an owner, and each effect that
/// was written under another epoch than its account's shard has.
const TRIGGERS: &str = "
CREATE TABLE noted_owner (at DOUBLE PRECISION, shard BIGINT, name TEXT);
CREATE FUNCTION note_owner() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO noted_owner VALUES (extract(epoch FROM clock_timestamp()), NEW.id,
        (SELECT name FROM instance WHERE id = NEW.owner));
    RETURN NULL;
END $$;
CREATE TRIGGER note_owner AFTER UPDATE OF owner ON shard
    FOR EACH ROW EXECUTE FUNCTION note_owner();
CREATE TABLE noted_effect (effect BIGINT, epoch BIGINT, is_now BIGINT);
CREATE FUNCTION note_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO noted_effect SELECT NEW.id, NEW.epoch, shard.epoch FROM shard
        JOIN account_shard ON account_shard.shard = shard.id
        JOIN message ON message.account = account_shard.account WHERE message.id = NEW.message;
    RETURN NULL;
END $$;
CREATE TRIGGER note_effect AFTER UPDATE OF state ON effect
    FOR EACH ROW EXECUTE FUNCTION note_effect();
";

/// Each urgent mail alerts somebody.
const ALERT: &str = "rule = [{ name = \"alert\", when = { labels = [\"urgency.high\"] }, \
                     then = { alert = \"oncall\" } }]";
/// As many an hour as may be.
const ALERTS: usize = 1000;

/// See the module.
pub(super) struct Office {
    members: BTreeMap<String, Member>,
    users: Vec<User>,
    mails: BTreeMap<String, usize>,
    database: Postgres,
    calendar: Option<PathBuf>,
    sink: Sink,
    /// The same moment by two clocks.
    moment: (Instant, Duration),
    _mail: Mailserver,
}

struct Member {
    installation: Installation,
    proxy: Proxy,
    daemon: Option<Daemon>,
}

impl Office {
    /// Nobody is there yet. `None` where PostgreSQL is missing.
    pub(super) fn open(users: &[&str]) -> Option<Office> {
        Some(Self::around(users, Postgres::start()?, None))
    }

    /// The same, with a database whose calendar can be set.
    pub(super) fn open_with_calendar(users: &[&str]) -> Option<Office> {
        let (database, calendar) = Postgres::start_with_calendar()?;
        Some(Self::around(users, database, Some(calendar)))
    }

    fn around(users: &[&str], database: Postgres, calendar: Option<PathBuf>) -> Office {
        let mail = Mailserver::start(Format::Sdbox);
        let users = users.iter().map(|name| mail.user(name)).collect();
        let calendar_now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let moment = (Instant::now(), calendar_now);
        let (members, mails) = (BTreeMap::new(), BTreeMap::new());
        let sink = Sink::start(Guard::Clear);
        Office { members, users, mails, database, calendar, sink, moment, _mail: mail }
    }

    /// Starts a daemon, for the first time or again.
    pub(super) fn start(&mut self, name: &str) {
        self.start_by(name, Installation::start);
    }

    pub(super) fn start_all(&mut self, names: &[&str]) {
        for name in names {
            self.start(name);
        }
    }

    /// The same with a calendar of its own, which is right at first.
    pub(super) fn start_with_calendar(&mut self, name: &str) {
        self.start_by(name, |installation| {
            let calendar = installation.folder().join("calendar");
            fs::write(&calendar, "+0\n").unwrap();
            installation.start_with_calendar(&calendar)
        });
    }

    fn start_by(&mut self, name: &str, start: impl FnOnce(&Installation) -> Daemon) {
        let first = self.members.is_empty();
        if !self.members.contains_key(name) {
            let proxy = Proxy::to(self.users[0].plain_port());
            let settings = Settings::label().database(&self.database.url()).instance(name);
            let section = self.sink.section(&format!("per_hour = {ALERTS}"));
            // Who has a mail in hand can be frozen before it gives it up.
            let (two, ten) = ("acceptance_seconds = 2", "acceptance_seconds = 10");
            assert!(section.contains(two), "{section}");
            let section = section.replace(two, ten);
            let settings = settings.and(ALERT).and(&section);
            let accounts = self.users.iter().map(|user| user.account().in_clear(proxy.port()));
            let settings = accounts.fold(settings, Settings::with);
            let installation = Installation::new(&settings);
            self.members.insert(name.to_owned(), Member { installation, proxy, daemon: None });
        }
        let member = self.members.get_mut(name).unwrap();
        member.daemon = Some(start(&member.installation));
        if first {
            self.daemon(name).wait_ready();
            self.note();
        }
    }

    /// Has the database note what happens from now on; the first daemon has everything.
    fn note(&mut self) {
        self.database.query("CREATE TABLE account_shard (account BIGINT, shard BIGINT)");
        for user in &self.users {
            let shard: Shard = triaged::store::shard_of(user.name());
            self.database.query(&format!(
                "INSERT INTO account_shard SELECT id, {} FROM account WHERE name = '{}'",
                shard.get(),
                user.name()
            ));
        }
        self.database.query(TRIGGERS);
        // What is had already.
        self.database.query(
            "INSERT INTO noted_owner SELECT 0, shard.id, instance.name FROM shard \
             JOIN instance ON instance.id = owner",
        );
    }

    fn member(&self, name: &str) -> &Member {
        &self.members[name]
    }

    fn daemon(&mut self, name: &str) -> &mut Daemon {
        self.members.get_mut(name).unwrap().daemon.as_mut().unwrap()
    }

    pub(super) fn user(&self, name: &str) -> &User {
        self.users.iter().find(|user| user.name() == name).unwrap()
    }

    pub(super) fn database(&mut self) -> &mut Postgres {
        &mut self.database
    }

    pub(super) fn freeze(&mut self, name: &str) {
        self.daemon(name).freeze();
    }

    pub(super) fn thaw(&mut self, name: &str) {
        self.daemon(name).thaw();
    }

    /// Asks a daemon to end, and waits until it has.
    pub(super) fn stop(&mut self, name: &str) {
        self.members.get_mut(name).unwrap().daemon.take().unwrap().stop();
    }

    pub(super) fn kill(&mut self, name: &str) {
        self.members.get_mut(name).unwrap().daemon.take().unwrap().kill();
    }

    pub(super) fn triaged(&self, name: &str, arguments: &[&str]) -> Output {
        self.member(name).installation.triaged(arguments)
    }

    /// Sets the calendar of a daemon, or of the database, off by so many seconds.
    pub(super) fn jump(&self, who: &str, seconds: i64) {
        let calendar = match who {
            "database" => self.calendar.clone().unwrap(),
            name => self.member(name).installation.folder().join("calendar"),
        };
        fs::write(calendar, format!("{seconds:+}\n")).unwrap();
    }

    /// Commands that a daemon has sent to the mail server.
    pub(super) fn commands(&self, name: &str) -> u64 {
        self.member(name).proxy.commands()
    }

    /// How often a daemon has found that its lease was over.
    pub(super) fn fenced(&self, name: &str) -> u64 {
        let daemon = self.member(name).daemon.as_ref().unwrap();
        let (_, text) = daemon.get("/metrics").expect("it answers");
        let line = "triaged_fenced_total{what=\"lease\"} ";
        let count = text.lines().find_map(|one| one.strip_prefix(line)).unwrap();
        count.parse().unwrap()
    }

    /// Which daemon has each account, as the database says; accounts that nobody has are left out.
    pub(super) fn owners(&self) -> BTreeMap<String, String> {
        let rows = self.database.query(
            "SELECT account.name, instance.name FROM account_shard \
             JOIN account ON account.id = account JOIN shard ON shard.id = shard \
             JOIN instance ON instance.id = owner",
        );
        let pair = |row: &String| {
            let (account, owner) = row.split_once('|').unwrap();
            (account.to_owned(), owner.to_owned())
        };
        rows.iter().map(pair).collect()
    }

    /// How often each shard was taken, and by whom last.
    pub(super) fn epochs(&self) -> Vec<String> {
        self.database.query("SELECT id, epoch, owner FROM shard WHERE epoch > 0 ORDER BY id")
    }

    /// When a shard changed its owner last.
    pub(super) fn last_change(&self) -> Instant {
        let at = self.database.query("SELECT max(at) FROM noted_owner WHERE name IS NOT NULL");
        self.instant(at[0].parse().unwrap())
    }

    fn instant(&self, at: f64) -> Instant {
        let (instant, calendar) = self.moment;
        instant + Duration::from_secs_f64(at).saturating_sub(calendar)
    }

    /// Waits until each account is had by one of these.
    pub(super) fn wait_owned_by(&self, names: &[&str]) {
        until("each account has a daemon", || {
            let owners = self.owners();
            let all = owners.len() == self.users.len();
            (all && owners.values().all(|owner| names.contains(&owner.as_str()))).then_some(())
        });
    }

    /// Waits until these daemons are ready, each account is watched by exactly one of them, and all
    /// of them say which.
    pub(super) fn wait_shared(&self, names: &[&str]) {
        until("the accounts are shared", || {
            let is_ready = |n: &&str| self.member(n).daemon.as_ref().is_some_and(Daemon::ready);
            if !names.iter().all(is_ready) {
                return None;
            }
            let all: Vec<_> = names.iter().map(|n| self.member(n).installation.status()).collect();
            let owners = self.owners();
            let agree = self.users.iter().all(|user| {
                let Some(owner) = owners.get(user.name()) else { return false };
                names.iter().zip(&all).all(|(name, status)| {
                    let account = &status.accounts[user.name()];
                    let state = if name == owner { "watching" } else { "elsewhere" };
                    account.state.name() == state && account.standing.owner.as_ref() == Some(owner)
                })
            });
            let sharing = all.iter().all(|status| {
                let sharing = status.sharing.as_ref().unwrap();
                sharing.instances.len() == names.len() && sharing.problem.is_none()
            });
            (agree && sharing).then_some(())
        });
    }

    pub(super) fn any_is_ready(&self) -> bool {
        self.members.values().filter_map(|one| one.daemon.as_ref()).any(Daemon::ready)
    }

    /// Stores urgent mails in an account's INBOX.
    pub(super) fn append(&mut self, account: &str, count: usize) {
        let mut client = self.user(account).client();
        for _ in 0..count {
            client.append("INBOX", Mail::outage().bytes(), "", None);
        }
        *self.mails.entry(account.to_owned()).or_default() += count;
    }

    /// One urgent mail for each account.
    pub(super) fn deliver_to_all(&mut self) {
        for user in &self.users {
            user.deliver(&Mail::outage());
            *self.mails.entry(user.name().to_owned()).or_default() += 1;
        }
    }

    /// One urgent mail for each account, which is labelled by whoever has it.
    pub(super) fn everybody_gets_a_label(&mut self) {
        self.deliver_to_all();
        self.wait_all_labelled();
    }

    pub(super) fn wait_all_labelled(&self) {
        for (account, count) in &self.mails {
            self.wait_labelled(account, *count);
        }
    }

    /// Waits until so many messages of an account have their keyword.
    pub(super) fn wait_labelled(&self, account: &str, count: usize) {
        let mut client = self.user(account).client();
        client.command("EXAMINE INBOX");
        until("all have their keyword", || {
            client.command("NOOP");
            let found = client.command("UID SEARCH KEYWORD triaged-urgent");
            let found = found.iter().find_map(|line| line.strip_prefix("* SEARCH")).unwrap();
            (found.split_whitespace().count() == count).then_some(())
        });
    }

    /// Each message of an account has one decision that ended well, and was given its keywords once;
    /// twice at most where the daemon was frozen so often, in the chunk that it had in hand.
    pub(super) fn each_message_is_labelled_once(&self, account: &str, frozen: usize) {
        let count = self.mails[account];
        let decided = self.database.query(&format!(
            "SELECT count(*), count(DISTINCT uid) FROM message JOIN account \
             ON account.id = message.account WHERE name = '{account}' AND outcome = 'labelled'"
        ));
        assert_eq!(decided, [format!("{count}|{count}")]);
        let mut stores = BTreeMap::new();
        for member in self.members.values() {
            for line in member.proxy.said("UID STORE") {
                for uid in uids(line.split_whitespace().nth(3).unwrap()) {
                    *stores.entry(uid).or_insert(0) += 1;
                }
            }
        }
        let again = stores.values().filter(|times| **times > 1).count();
        eprintln!("{account}: {count} messages, {again} were told to the server again");
        if self.users.len() == 1 {
            assert_eq!(stores.len(), count);
            assert!(again <= 100 * frozen, "{again}");
        }
    }

    /// How many effects were written under another epoch than their account's shard had.
    pub(super) fn written_under_an_old_epoch(&self) -> usize {
        let all = self.database.query("SELECT count(*) FROM noted_effect");
        assert_ne!(all, ["0"], "it is noted at all");
        let query = "SELECT count(*) FROM noted_effect WHERE epoch IS DISTINCT FROM is_now";
        self.database.query(query)[0].parse().unwrap()
    }

    /// The last command that changed something between two moments.
    pub(super) fn last_write_between(&self, from: Instant, until: Instant) -> Option<Instant> {
        let writes = self.writes().into_iter().map(|(_, at)| at);
        writes.filter(|at| (from..until).contains(at)).max()
    }

    /// Who changed something on the mail server, and when.
    fn writes(&self) -> Vec<(&String, Instant)> {
        let mut writes = Vec::new();
        for (name, member) in &self.members {
            let all = member.proxy.said_when("UID STORE");
            writes.extend(all.into_iter().map(|at| (name, at)));
        }
        writes
    }

    /// Every change of a mailbox came from the daemon that had a shard then. (Which account a command
    /// is about the proxy does not see; with one account this is exact.)
    pub(super) fn nothing_was_written_by_others(&self) {
        let rows = self
            .database
            .query("SELECT at, shard, coalesce(name, '') FROM noted_owner ORDER BY at");
        let changes: Vec<(Instant, &str, &str)> = rows
            .iter()
            .map(|row| {
                let mut columns = row.split('|');
                let mut next = || columns.next().unwrap();
                let at: f64 = next().parse().unwrap();
                // What was so before the first note was so from the beginning.
                let at = if at == 0.0 { self.moment.0 } else { self.instant(at) };
                (at, next(), next())
            })
            .collect();
        let writes = self.writes();
        assert!(!writes.is_empty());
        for (name, at) in writes {
            let mut owners = BTreeMap::new();
            for (_, shard, owner) in changes.iter().filter(|(since, ..)| *since <= at) {
                owners.insert(*shard, *owner);
            }
            assert!(owners.values().any(|owner| owner == name), "{name} wrote at {at:?}");
        }
    }
}

/// The numbers of a set like `1:3,7`.
fn uids(set: &str) -> Vec<u32> {
    let ranges = set.split(',').map(|range| range.split_once(':').unwrap_or((range, range)));
    ranges.flat_map(|(first, last)| first.parse::<u32>().unwrap()..=last.parse().unwrap()).collect()
}
