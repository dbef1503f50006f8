//! What `triaged check` finds of the lists of servers' users: whether they can be read, who is chosen,
//! and what in the configuration is about nobody.

use std::io::Write;

use triaged::roster;
use triaged_core::config::{AccountConfig, Config, ServerConfig};
use triaged_core::roster::{Listing, Roster};

use super::report::{Line, Report, counted};
use crate::cli::Exit;

/// Reads each list, and runs the programs that print them.
pub(super) async fn users<W: Write>(config: &Config, report: &mut Report<W>) {
    for server in &config.servers {
        let lines = match roster::read(&server.source).await {
            Ok(listing) => said(server, &listing),
            Err(error) => vec![Line::fail(Exit::Config, &server.name, error)],
        };
        for line in &lines {
            report.line(line);
        }
    }
}

/// The account of the first user that is chosen, if the list can be read.
pub(super) async fn first_user(server: &ServerConfig) -> Option<AccountConfig> {
    let listing = roster::read(&server.source).await.ok()?;
    server.roster(&listing.users).accounts.into_iter().next()
}

fn said(server: &ServerConfig, listing: &Listing) -> Vec<Line> {
    let Roster { accounts, listed, nobody, ambiguous } = server.roster(&listing.users);
    let place = roster::place(&server.source);
    let users = counted(listed, "user");
    let what = format!("{place}: {users}, {} of them watched", accounts.len());
    let mut lines = vec![if accounts.is_empty() {
        Line::fail(Exit::Config, &server.name, format!("{what}: see `only` and `except`"))
    } else {
        Line::ok(&server.name, what)
    }];
    let mut warn = |text: String| lines.push(Line::warn(&server.name, text));
    if let Some((line, what)) = listing.wrong.first() {
        let wrong = counted(listing.wrong.len(), "line");
        warn(format!("{wrong} of the list name nobody; the first is line {line}: {what}"));
    }
    if ambiguous > 0 {
        let users = counted(ambiguous, "user");
        warn(format!("{users} with the separator in the name can not be opened by it"));
    }
    if !nobody.is_empty() {
        warn(format!("no user is called {}: a slip?", nobody.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use triaged_core::config::parse;

    use super::*;

    #[test]
    fn who_is_chosen_is_counted_and_slips_are_named() {
        let text = "[[server]]\nname = \"mail\"\nhost = \"h\"\nmaster = \"m\"\n\
                    password_file = \"p\"\nusers_file = \"/list\"\nseparator = \"*\"\n\
                    except = [\"root\", \"bret\"]";
        let config = parse(text).map_err(|problems| problems.to_string()).expect("valid");
        let listing = Listing::read(b"anna\nroot\nbert\na*b\nbad\x07\n");
        let lines = said(&config.servers[0], &listing);
        let expected = [
            Line::ok("mail", "/list: 4 users, 2 of them watched"),
            Line::warn(
                "mail",
                "1 line of the list name nobody; the first is line 5: it has a control character",
            ),
            Line::warn("mail", "1 user with the separator in the name can not be opened by it"),
            Line::warn("mail", "no user is called bret: a slip?"),
        ];
        assert_eq!(lines, expected);
    }
}
