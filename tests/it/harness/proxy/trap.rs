//! Stops everything at one command: before the server hears it, or when it has done it and said so, and
//! before anybody hears that.

/// Set for one command of one proxy's clients.
pub(super) struct Trap {
    /// Commands that still go through, and the one at which it springs.
    left: usize,
    /// Whether the server is to do it.
    heard: bool,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Set,
    /// The server does the command of this tag; what it says goes to nobody.
    Doing(String),
    Sprung,
}

impl Trap {
    pub(super) fn new(number: usize, heard: bool) -> Trap {
        Trap { left: number, heard, state: State::Set }
    }

    pub(super) fn has_sprung(&self) -> bool {
        self.state == State::Sprung
    }

    /// Sees what a client says, whole commands; whether the server must not hear it.
    pub(super) fn stops(&mut self, said: &[u8]) -> bool {
        for line in String::from_utf8_lossy(said).lines() {
            let Some((tag, _)) = command(line) else { continue };
            self.left = self.left.saturating_sub(1);
            if self.left == 0 && self.state == State::Set {
                self.state =
                    if self.heard { State::Doing(format!("{tag} ")) } else { State::Sprung };
            }
        }
        self.state == State::Sprung
    }

    /// Sees what the server says; whether nobody may hear it.
    pub(super) fn withholds(&mut self, said: &[u8]) -> bool {
        if let State::Doing(tag) = &self.state
            && String::from_utf8_lossy(said).lines().any(|line| line.starts_with(tag))
        {
            self.state = State::Sprung;
        }
        self.state != State::Set
    }
}

/// Tag and rest of a line that begins a command; `None` for what continues one.
pub(super) fn command(line: &str) -> Option<(&str, &str)> {
    let (tag, rest) = line.split_once(' ')?;
    let is_tag = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_tag.then_some((tag, rest))
}
