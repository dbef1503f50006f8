//! The tests' language: a [`Mailserver`] with its [`User`]s, an [`Installation`] of triaged with
//! its [`Daemon`], a [`Proxy`] to put between them, and a [`Postgres`] for several daemons.
//!
//! Everything that is started here is stopped when its value is dropped, also when the test
//! panics; and when the test process is killed, the kernel tells its children to end.

mod authority;
mod certificate;
mod client;
mod cyrus;
mod daemon;
mod database;
mod dump;
mod faketime;
mod flow;
mod http;
mod impostor;
mod installation;
mod mail;
mod mailserver;
mod ports;
mod postgres;
mod process;
mod proxy;
mod settings;
mod sink;
mod strace;
mod version;
mod wait;

pub(crate) use authority::{Authority, CANARY, CLIENT_SECRET};
pub(crate) use certificate::Certificate;
pub(crate) use client::ImapClient;
pub(crate) use daemon::Daemon;
pub(crate) use database::{Database, on_each_database};
pub(crate) use dump::{Dump, Dumped};
pub(crate) use flow::Flow;
pub(crate) use impostor::Impostor;
pub(crate) use installation::{Done, Installation, Record, status_schema};
pub(crate) use mail::{Mail, fixtures};
pub(crate) use mailserver::{
    Format, MASTER_PASSWORD, Mailserver, PASSWORD, Software, Stored, User,
};
pub(crate) use ports::free_port;
pub(crate) use postgres::{DATABASE_PASSWORD, Postgres};
pub(crate) use process::{Process, group_members};
pub(crate) use proxy::{Edited, Proxy};
pub(crate) use settings::{Account, Server, Settings};
pub(crate) use sink::{Fault, Guard, Moment, SMTP_PASSWORD, Sink, Taken};
pub(crate) use strace::refusal;
pub(crate) use version::{Bundle, DEFAULT, FIXTURE, SHIPPED};
pub(crate) use wait::{PATIENCE, until, until_within, with_last_words};

/// Makes two tests of each function, one on a Dovecot that stores sdbox and one with Maildir.
///
/// A function that is not in the list is dead code, which clippy refuses.
macro_rules! on_each_format {
    ($($name:ident),+ $(,)?) => {
        mod sdbox {
            $(#[test]
            fn $name() {
                super::$name(&$crate::harness::Mailserver::start($crate::harness::Format::Sdbox));
            })+
        }
        mod maildir {
            $(#[test]
            fn $name() {
                super::$name(&$crate::harness::Mailserver::start($crate::harness::Format::Maildir));
            })+
        }
    };
}
pub(crate) use on_each_format;

/// Makes three tests of each function: those of [`on_each_format`], and one on a Cyrus.
macro_rules! on_each_server {
    ($($name:ident),+ $(,)?) => {
        $crate::harness::on_each_format!($($name),+);
        mod cyrus {
            $(#[test]
            fn $name() {
                super::$name(&$crate::harness::Mailserver::of($crate::harness::Software::Cyrus));
            })+
        }
    };
}
pub(crate) use on_each_server;
