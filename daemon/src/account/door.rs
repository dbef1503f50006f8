//! The login of one account: with what, and whether it is still tried.
//!
//! Three refusals in a row shut the door. A server's guard shuts the whole machine out after a few
//! more (fail2ban's default is five in ten minutes), and no password becomes right by waiting.
//! Servers and back-ends that can not answer are no refusals. Where one master opens many accounts,
//! there is a door for all of them, too: see `master`.

use std::time::Duration;

use tokio::sync::watch;
use triaged_core::config::AccountConfig;

use super::STEP;
use super::master::{Leave, Master};
use crate::imap::{Endpoint, ImapError, Login, Meter, Session};
use crate::pipeline::FlowError;
use crate::pulse::Heart;
use crate::secret::{Credentials, Mark};

/// Refusals in a row after which nothing is tried any more.
const MOST_REFUSALS: u32 = 3;
/// How often a shut door looks whether the credential has changed.
const LOOK: Duration = Duration::from_secs(5);

/// See the module.
pub struct Door {
    credentials: Credentials,
    /// Changes at SIGHUP.
    hangup: watch::Receiver<u32>,
    refusals: u32,
    /// How the credential stood when it was tried last.
    tried: Mark,
    /// How it stood when it was refused last.
    refused: Mark,
    /// Who logs in for this account, where that is one for many.
    master: Option<Master>,
    /// The master is shut, and this account is the one to try it.
    probes: bool,
}

impl Door {
    /// An open one.
    pub fn new(credentials: Credentials, hangup: watch::Receiver<u32>) -> Self {
        let (tried, refused) = (Mark::default(), Mark::default());
        Self { credentials, hangup, refusals: 0, tried, refused, master: None, probes: false }
    }

    /// The same for an account that a master opens, with the master's credentials.
    #[must_use]
    pub fn of_master(self, master: Master) -> Self {
        Self { master: Some(master), ..self }
    }

    /// Connects, counted by `meter`, and logs in. An access token that the server refuses is
    /// replaced once.
    pub(super) async fn enter(
        &mut self,
        config: &AccountConfig,
        heart: &Heart,
        meter: &Meter,
    ) -> Result<Session, FlowError> {
        let Some(master) = self.master.clone() else { return self.open(config, meter).await };
        let probes = std::mem::take(&mut self.probes);
        let Some(mut turn) = master.turn(probes, heart).await else {
            self.refused = self.credentials.mark();
            return Err(FlowError::MasterShut);
        };
        heart.beat(STEP);
        let opened = turn.during(self.open(config, meter)).await;
        match &opened {
            Ok(_) => master.accepted(),
            Err(error) if is_refusal(error) => master.refused(&config.name, &self.tried),
            Err(_) => {}
        }
        opened
    }

    async fn open(&mut self, config: &AccountConfig, meter: &Meter) -> Result<Session, FlowError> {
        self.tried = self.credentials.mark();
        let session = match self.attempt(config, meter).await {
            Err(FlowError::Imap(ImapError::LoginRefused(_))) if self.credentials.refused() => {
                self.attempt(config, meter).await?
            }
            session => session?,
        };
        self.refusals = 0;
        Ok(session)
    }

    async fn attempt(
        &mut self,
        config: &AccountConfig,
        meter: &Meter,
    ) -> Result<Session, FlowError> {
        let secret = self.credentials.read().await?;
        let login = Login::of(config, &secret);
        Ok(Session::connect_metered(&Endpoint::of(config), &login, meter).await?)
    }

    /// Takes notice of how a connection ended; whether it was one refusal too many.
    pub(super) fn shuts_after(&mut self, error: &FlowError) -> bool {
        if matches!(error, FlowError::MasterShut) {
            return true;
        }
        if !is_refusal(error) {
            return false;
        }
        // A fresh token that was refused is not tried again, either.
        self.credentials.refused();
        if self.refused != self.tried {
            self.refusals = 0;
        }
        self.refused = self.tried.clone();
        if self.master.as_ref().is_some_and(Master::is_shut) {
            return true;
        }
        self.refusals += 1;
        self.refusals >= MOST_REFUSALS
    }

    /// Why the door is shut, and what opens it.
    pub(super) fn reason(&self, error: &FlowError) -> String {
        if self.refusals < MOST_REFUSALS {
            return format!(
                "{error}; several users in a row were refused: the master's password may be wrong. \
                 One user is tried every few minutes, and all of them when {} has changed or \
                 `systemctl reload triaged` (SIGHUP) asks for it",
                self.credentials.place()
            );
        }
        format!(
            "{error}, {MOST_REFUSALS} times in a row; nothing more is tried until {} has changed, \
             or `systemctl reload triaged` (SIGHUP) asks for it",
            self.credentials.place()
        )
    }

    /// From now on somebody may ask for an attempt (SIGHUP); what was asked for before is done.
    pub(super) fn listen(&mut self) {
        self.hangup.mark_unchanged();
    }

    /// Waits until somebody asks for an attempt.
    pub(super) async fn called(&mut self) {
        if self.hangup.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the credential has changed or somebody asks for another attempt.
    pub(super) async fn opened(&mut self, heart: &Heart) {
        loop {
            heart.beat(STEP);
            tokio::select! {
                Ok(()) = self.hangup.changed() => {
                    self.master.iter().for_each(Master::reopen);
                    break;
                }
                () = tokio::time::sleep(LOOK) => if self.may_try() {
                    break;
                }
            }
        }
        self.refusals = 0;
    }

    /// Whether another attempt may end differently, or it is this account's turn to find out.
    fn may_try(&mut self) -> bool {
        let mark = self.credentials.mark();
        match &self.master {
            Some(master) if self.refusals < MOST_REFUSALS => {
                let leave = master.lets(&mark);
                self.probes = leave == Leave::Probe;
                leave != Leave::Shut
            }
            _ => mark != self.refused,
        }
    }
}

/// Whether somebody said that this credential is wrong.
pub(super) fn is_refusal(error: &FlowError) -> bool {
    match error {
        FlowError::Imap(error) => matches!(error, ImapError::LoginRefused(_)),
        FlowError::Credential(error) => error.is_refusal(),
        _ => false,
    }
}
