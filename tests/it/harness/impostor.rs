//! A server in clear that means harm: it says what it was told to, whatever it hears, and keeps
//! every byte that it gets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wait::PATIENCE;

/// Listens on loopback; its thread ends with the test's process.
pub(crate) struct Impostor {
    port: u16,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    connections: usize,
    bytes: Vec<u8>,
}

impl Impostor {
    /// One that says `says[0]` to begin with and one further text for each line that it hears;
    /// `%t` in it is the first word of that line. Then it listens for as long as anybody speaks.
    pub(crate) fn saying(says: &'static [&'static str]) -> Impostor {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let all = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                all.lock().unwrap().connections += 1;
                let heard = Arc::clone(&all);
                thread::spawn(move || converse(stream, says, &heard));
            }
        });
        Impostor { port, heard }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.heard.lock().unwrap().connections
    }

    /// Everything that was said to it, on all connections.
    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap().bytes).into_owned()
    }
}

/// The connection ends when the client ends it, or when either end has had enough.
fn converse(mut stream: TcpStream, says: &[&str], heard: &Mutex<Heard>) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut says = says.iter();
    stream.write_all(says.next()?.as_bytes()).ok()?;
    let mut line = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
        heard.lock().unwrap().bytes.extend_from_slice(&bytes[..read]);
        line.extend_from_slice(&bytes[..read]);
        while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let said: Vec<u8> = line.drain(..=end).collect();
            let said = String::from_utf8_lossy(&said);
            let tag = said.split_whitespace().next().unwrap_or_default();
            let answer = says.next().unwrap_or(&"").replace("%t", tag);
            stream.write_all(answer.as_bytes()).ok()?;
        }
    }
}
