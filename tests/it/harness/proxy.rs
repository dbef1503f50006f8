//! A TCP proxy between the daemon and the server: it counts, cuts, refuses, swallows, delays, holds,
//! hides and, on connections in clear, puts other words into the server's mouth.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ports::free_port;

mod trap;

use trap::Trap;

/// Listens on loopback until it is dropped.
pub(crate) struct Proxy {
    port: u16,
    line: Arc<Line>,
    accepting: Option<JoinHandle<()>>,
}

/// What the threads of one proxy share.
struct Line {
    server: AtomicU16,
    conduct: AtomicU8,
    stopped: AtomicBool,
    /// When each connection came.
    connections: Mutex<Vec<Instant>>,
    /// How many are open now, and how many were at the most.
    open_now: Mutex<(usize, usize)>,
    received: AtomicU64,
    /// Pieces that clients sent, which are whole commands as a rule.
    commands: AtomicU64,
    /// What each byte of new connections needs for one way, in microseconds.
    delay: AtomicU64,
    /// Whether lines that announce mail are left out; for connections in clear.
    hushed: AtomicBool,
    /// What is to be said once instead of something else that a server says.
    spoilt: Mutex<Option<(&'static str, &'static str)>>,
    /// What clients said, where it is in clear.
    said: Mutex<Vec<u8>>,
    /// How much of that had been said when.
    when: Mutex<Vec<(usize, Instant)>>,
    /// What a client says for the last time.
    last_words: Mutex<Option<&'static str>>,
    /// Capabilities and permanent flags that are left out; for connections in clear.
    hidden: Mutex<Vec<&'static str>>,
    scissors: Mutex<Option<Scissors>>,
    /// What the server can not say without losing its connections; for connections in clear.
    poison: Mutex<Option<&'static str>>,
    /// How often it has tried.
    poisoned: AtomicU64,
    /// How often a client said what is counted.
    counted: Mutex<Option<(&'static str, u64)>>,
    open: Mutex<Vec<TcpStream>>,
    /// What becomes of each line of the server; on connections in clear.
    edit: Mutex<Option<Edit>>,
    /// What clients say and the server does not hear for now.
    held: Mutex<Option<Held>>,
    /// Whether servers hear of it when a client ends its connection.
    silent_end: AtomicBool,
    /// The command at which everything stops.
    trap: Mutex<Option<Trap>>,
}

/// What is to be sent for a line of the server, which has its line end.
type Edit = Box<dyn FnMut(&str) -> Edited + Send>;

/// What goes on in place of a line.
pub(crate) enum Edited {
    /// The line itself.
    Same,
    /// This.
    Text(String),
    /// The line, and then the end of all connections.
    Cut,
}

/// What is held; pieces are let go in the order in which they came.
struct Held {
    words: &'static str,
    came: usize,
    let_go: usize,
}

/// Cuts all connections after so many bytes, either way.
struct Scissors {
    /// They are counted from where a client says this for the last of so many times.
    words: &'static str,
    times: u32,
    left: usize,
}

impl Scissors {
    /// How many of these bytes still go through; `None` for all of them.
    fn snip(&mut self, bytes: &[u8], from_client: bool) -> Option<usize> {
        let mut from = 0;
        while self.times > 0 {
            let words = self.words.as_bytes();
            let rest = bytes.get(from..).filter(|_| from_client)?;
            let at = rest.windows(words.len()).position(|some| some == words)?;
            self.times -= 1;
            from += at + if self.times > 0 { words.len() } else { 0 };
        }
        let counted = bytes.len() - from;
        if counted < self.left {
            self.left -= counted;
            return None;
        }
        Some(from + self.left)
    }
}

const PASS: u8 = 0;
const REFUSE: u8 = 1;
const SWALLOW: u8 = 2;

impl Proxy {
    /// A proxy to a port of this machine.
    pub(crate) fn to(server: u16) -> Proxy {
        Self::at(free_port(), server)
    }

    /// The same, listening on a given port.
    pub(crate) fn at(port: u16, server: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let line = Arc::new(Line {
            server: AtomicU16::new(server),
            conduct: AtomicU8::new(PASS),
            stopped: AtomicBool::new(false),
            connections: Mutex::default(),
            open_now: Mutex::default(),
            received: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            delay: AtomicU64::new(0),
            hushed: AtomicBool::new(false),
            spoilt: Mutex::default(),
            said: Mutex::default(),
            when: Mutex::default(),
            last_words: Mutex::default(),
            hidden: Mutex::default(),
            scissors: Mutex::default(),
            poison: Mutex::default(),
            poisoned: AtomicU64::new(0),
            counted: Mutex::default(),
            open: Mutex::default(),
            edit: Mutex::default(),
            held: Mutex::default(),
            silent_end: AtomicBool::new(false),
            trap: Mutex::default(),
        });
        let shared = Arc::clone(&line);
        let accepting = Some(thread::spawn(move || accept(&listener, &shared)));
        Proxy { port, line, accepting }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that came from the server, of all connections.
    pub(crate) fn received(&self) -> u64 {
        self.line.received.load(Ordering::SeqCst)
    }

    /// Commands that clients sent, of all connections.
    pub(crate) fn commands(&self) -> u64 {
        self.line.commands.load(Ordering::SeqCst)
    }

    /// All commands of clients in clear, each without its tag and in their order.
    pub(crate) fn said_commands(&self) -> Vec<String> {
        let said = self.line.said.lock().unwrap();
        let lines = String::from_utf8_lossy(&said);
        lines.lines().filter_map(trap::command).map(|(_, command)| command.to_owned()).collect()
    }

    /// Forgets what clients said so far.
    pub(crate) fn forget_said(&self) {
        self.line.said.lock().unwrap().clear();
    }

    /// The lines of clients in clear that have this text in them, in their order.
    pub(crate) fn said(&self, text: &str) -> Vec<String> {
        let said = self.line.said.lock().unwrap();
        let lines = String::from_utf8_lossy(&said);
        lines.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// When clients said this, each time, in clear.
    pub(crate) fn said_when(&self, text: &str) -> Vec<Instant> {
        let said = self.line.said.lock().unwrap();
        let when = self.line.when.lock().unwrap();
        let ends = (text.len()..=said.len()).filter(|end| said[..*end].ends_with(text.as_bytes()));
        ends.map(|end| when[when.partition_point(|(until, _)| *until < end)].1).collect()
    }

    /// Leads new connections to another port of this machine.
    pub(crate) fn lead_to(&self, server: u16) {
        self.line.server.store(server, Ordering::SeqCst);
    }

    /// New connections have this round trip: each byte needs half of it for its way, and none waits
    /// for another.
    pub(crate) fn round_trip(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros() / 2).unwrap();
        self.line.delay.store(micros, Ordering::SeqCst);
    }

    /// When each connection came, the first one first.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.line.connections.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> u64 {
        self.times().len() as u64
    }

    /// The most connections that were open at the same time.
    pub(crate) fn most_open(&self) -> usize {
        self.line.open_now.lock().unwrap().1
    }

    /// Drops all connections.
    pub(crate) fn cut(&self) {
        self.line.cut();
    }

    /// Drops all connections and lets no new one through.
    pub(crate) fn refuse(&self) {
        self.line.conduct.store(REFUSE, Ordering::SeqCst);
        self.cut();
    }

    /// Keeps connections open, and lets nothing pass any more, either way.
    pub(crate) fn swallow(&self) {
        self.line.conduct.store(SWALLOW, Ordering::SeqCst);
    }

    /// Begins to swallow with the first thing that a client sends with this text in it.
    pub(crate) fn swallow_from(&self, words: &'static str) {
        *self.line.last_words.lock().unwrap() = Some(words);
    }

    /// Whether it swallows what comes.
    pub(crate) fn is_swallowing(&self) -> bool {
        self.line.conduct() == SWALLOW
    }

    /// Leaves out what announces mail, in IDLE and in any other answer, from now on or no longer.
    pub(crate) fn hush(&self, hushed: bool) {
        self.line.hushed.store(hushed, Ordering::SeqCst);
    }

    /// The next time that a server says this, in clear and in one piece, it says that.
    pub(crate) fn spoil_once(&self, this: &'static str, that: &'static str) {
        *self.line.spoilt.lock().unwrap() = Some((this, that));
    }

    /// From now on each line of the server is what this makes of it; for connections in clear.
    pub(crate) fn edit(&self, edit: impl FnMut(&str) -> Edited + Send + 'static) {
        *self.line.edit.lock().unwrap() = Some(Box::new(edit));
    }

    /// Holds what clients send with this text in it, until it is let go.
    pub(crate) fn hold(&self, words: &'static str) {
        *self.line.held.lock().unwrap() = Some(Held { words, came: 0, let_go: 0 });
    }

    /// Whether something was held.
    pub(crate) fn is_holding(&self) -> bool {
        self.held() > 0
    }

    /// How many pieces were held so far.
    pub(crate) fn held(&self) -> usize {
        self.line.held.lock().unwrap().as_ref().map_or(0, |held| held.came)
    }

    /// Lets go the first piece of those that are held.
    pub(crate) fn let_one_go(&self) {
        if let Some(held) = &mut *self.line.held.lock().unwrap() {
            held.let_go += 1;
        }
    }

    /// Lets go what is held.
    pub(crate) fn let_go(&self) {
        *self.line.held.lock().unwrap() = None;
    }

    /// From now on a server does not hear of it when a client ends its connection, as behind a line that
    /// is dead: it goes on with what it was told.
    pub(crate) fn end_in_silence(&self) {
        self.line.silent_end.store(true, Ordering::SeqCst);
    }

    /// Leaves a capability, or a permanent flag, out of what the server says it has.
    pub(crate) fn hide(&self, word: &'static str) {
        self.line.hidden.lock().unwrap().push(word);
    }

    /// Drops all connections, once, when so many bytes have passed, either way, from where a client
    /// says `words` for the last of so many times; from now on with no times.
    pub(crate) fn cut_after(&self, words: &'static str, times: u32, bytes: usize) {
        *self.line.scissors.lock().unwrap() = Some(Scissors { words, times, left: bytes });
    }

    /// Whether that is still to come.
    pub(crate) fn will_cut(&self) -> bool {
        self.line.scissors.lock().unwrap().is_some()
    }

    /// At the command of this number that clients send from now on, counted from 1, all stops: the
    /// server has not heard it, or has done it (`heard`) and nobody hears its answer.
    pub(crate) fn stop_at(&self, number: usize, heard: bool) {
        *self.line.trap.lock().unwrap() = Some(Trap::new(number, heard));
    }

    /// Whether all has stopped there.
    pub(crate) fn has_stopped(&self) -> bool {
        self.line.trap.lock().unwrap().as_ref().is_some_and(Trap::has_sprung)
    }

    /// Drops all connections whenever the server says this, in place of saying it; or no longer.
    pub(crate) fn poison(&self, words: Option<&'static str>) {
        *self.line.poison.lock().unwrap() = words;
    }

    /// How often that was.
    pub(crate) fn poisoned(&self) -> u64 {
        self.line.poisoned.load(Ordering::SeqCst)
    }

    /// Counts from now on how often a client says something.
    pub(crate) fn count(&self, words: &'static str) {
        *self.line.counted.lock().unwrap() = Some((words, 0));
    }

    /// How often that was.
    pub(crate) fn heard(&self) -> u64 {
        self.line.counted.lock().unwrap().map_or(0, |(_, count)| count)
    }

    /// Lets everything pass again.
    pub(crate) fn pass(&self) {
        *self.line.last_words.lock().unwrap() = None;
        *self.line.trap.lock().unwrap() = None;
        self.line.conduct.store(PASS, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.stopped.store(true, Ordering::SeqCst);
        self.cut();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.cut();
    }
}

impl Line {
    fn conduct(&self) -> u8 {
        self.conduct.load(Ordering::SeqCst)
    }

    /// Looks whether the last words are among these bytes, which are a whole command as a rule.
    fn listen(&self, bytes: &[u8]) {
        if let Some((words, count)) = &mut *self.counted.lock().unwrap() {
            *count += String::from_utf8_lossy(bytes).matches(*words).count() as u64;
        }
        let mut words = self.last_words.lock().unwrap();
        if words.is_some_and(|words| String::from_utf8_lossy(bytes).contains(words)) {
            self.conduct.store(SWALLOW, Ordering::SeqCst);
            *words = None;
        }
    }

    /// Waits where these bytes of a client are to be held.
    fn hold(&self, bytes: &[u8]) {
        let mut ticket = None;
        while !self.stopped.load(Ordering::SeqCst) {
            match &mut *self.held.lock().unwrap() {
                Some(held) if String::from_utf8_lossy(bytes).contains(held.words) => {
                    let ticket = *ticket.get_or_insert_with(|| {
                        held.came += 1;
                        held.came
                    });
                    if ticket <= held.let_go {
                        return;
                    }
                }
                _ => return,
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What goes on of these bytes of the server when each whole line of them is edited; `unfinished`
    /// keeps the beginning of the last one. And whether all ends behind it.
    fn edited(&self, bytes: &[u8], unfinished: &mut Vec<u8>) -> (Vec<u8>, bool) {
        let mut edit = self.edit.lock().unwrap();
        unfinished.extend_from_slice(bytes);
        let Some(edit) = &mut *edit else { return (std::mem::take(unfinished), false) };
        let mut out = Vec::new();
        while let Some(end) = unfinished.iter().position(|byte| *byte == b'\n') {
            let rest = unfinished.split_off(end + 1);
            let line = std::mem::replace(unfinished, rest);
            match edit(&String::from_utf8_lossy(&line)) {
                Edited::Same => out.extend(line),
                Edited::Text(text) => out.extend(text.into_bytes()),
                Edited::Cut => {
                    out.extend(line);
                    return (out, true);
                }
            }
        }
        (out, false)
    }

    /// What of these bytes of the server goes on: all, or all lines but those of new mail, or all but
    /// what is hidden, or something else once.
    fn audible<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut spoilt = self.spoilt.lock().unwrap();
        if let Some((this, that)) = *spoilt
            && let Some((before, after)) = String::from_utf8_lossy(bytes).split_once(this)
        {
            *spoilt = None;
            return Cow::Owned([before, that, after].concat().into_bytes());
        }
        let hidden = self.hidden.lock().unwrap();
        let lists = [&b"CAPABILITY I"[..], b"PERMANENTFLAGS"];
        let said = |words: &[u8]| bytes.windows(words.len()).any(|some| some == words);
        if !hidden.is_empty() && lists.into_iter().any(said) {
            let mut text = String::from_utf8_lossy(bytes).into_owned();
            for word in &*hidden {
                for end in [" ", "]", ")", "\r"] {
                    text = text.replace(&format!(" {word}{end}"), end);
                }
            }
            return Cow::Owned(text.into_bytes());
        }
        if !self.hushed.load(Ordering::SeqCst) {
            return Cow::Borrowed(bytes);
        }
        let announces =
            |line: &&[u8]| line.ends_with(b" EXISTS\r\n") || line.ends_with(b" RECENT\r\n");
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        Cow::Owned(lines.filter(|line| !announces(line)).flatten().copied().collect())
    }

    /// How many of these bytes go through before all connections are dropped; `None` where they
    /// are not.
    fn snip(&self, bytes: &[u8], from_client: bool) -> Option<usize> {
        if !from_client
            && let Some(poison) = *self.poison.lock().unwrap()
            && bytes.windows(poison.len()).any(|some| some == poison.as_bytes())
        {
            self.poisoned.fetch_add(1, Ordering::SeqCst);
            return Some(0);
        }
        let mut scissors = self.scissors.lock().unwrap();
        let through = scissors.as_mut()?.snip(bytes, from_client)?;
        *scissors = None;
        Some(through)
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, line: &Arc<Line>) {
    while !line.stopped.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((client, _)) if line.conduct() != REFUSE => {
                let _ = connect(client, line);
            }
            Ok(_) => {}
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn connect(client: TcpStream, line: &Arc<Line>) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, line.server.load(Ordering::SeqCst)))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    line.connections.lock().unwrap().push(Instant::now());
    line.open.lock().unwrap().extend([client.try_clone()?, server.try_clone()?]);
    {
        let mut open = line.open_now.lock().unwrap();
        open.0 += 1;
        open.1 = open.1.max(open.0);
    }
    let (client_in, server_in) = (client.try_clone()?, server.try_clone()?);
    let (up, down) = (Arc::clone(line), Arc::clone(line));
    thread::spawn(move || {
        pump(client_in, server, &up, true, |bytes| {
            up.listen(bytes);
            up.hold(bytes);
            if up.trap.lock().unwrap().as_mut().is_some_and(|trap| trap.stops(bytes)) {
                up.conduct.store(SWALLOW, Ordering::SeqCst);
            }
            up.commands.fetch_add(1, Ordering::SeqCst);
            let mut said = up.said.lock().unwrap();
            said.extend_from_slice(bytes);
            up.when.lock().unwrap().push((said.len(), Instant::now()));
            drop(said);
            (Cow::Borrowed(bytes), false)
        });
        // The client has closed it.
        up.open_now.lock().unwrap().0 -= 1;
    });
    let mut unfinished = Vec::new();
    thread::spawn(move || {
        pump(server_in, client, &down, false, |bytes| {
            if down.conduct() != SWALLOW {
                down.received.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            }
            if down.trap.lock().unwrap().as_mut().is_some_and(|trap| trap.withholds(bytes)) {
                return (Cow::Owned(Vec::new()), false);
            }
            let (bytes, cut) = down.edited(bytes, &mut unfinished);
            (Cow::Owned(down.audible(&bytes).into_owned()), cut)
        });
    });
    Ok(())
}

fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    line: &Line,
    from_client: bool,
    mut see: impl for<'a> FnMut(&'a [u8]) -> (Cow<'a, [u8]>, bool),
) {
    let delay = Duration::from_micros(line.delay.load(Ordering::SeqCst));
    let later = (!delay.is_zero()).then(|| to.try_clone().map(send_later));
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        let (passed_on, cut) = see(&buffer[..read]);
        if line.conduct() == SWALLOW {
            continue;
        }
        let through = line.snip(&passed_on, from_client);
        let piece = &passed_on[..through.unwrap_or(passed_on.len())];
        let sent = match &later {
            Some(Ok(later)) => later.send((Instant::now() + delay, piece.to_vec())).is_ok(),
            _ => to.write_all(piece).is_ok(),
        };
        if !sent {
            break;
        }
        if cut || through.is_some() {
            line.cut();
        }
    }
    if from_client && line.silent_end.load(Ordering::SeqCst) {
        return;
    }
    // What is still on its way is lost, as on a line that is cut.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Sends each piece when its time has come.
fn send_later(mut to: TcpStream) -> mpsc::Sender<(Instant, Vec<u8>)> {
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
    });
    sender
}
