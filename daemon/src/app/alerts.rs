//! Starting the task that sends alerts, where there are any.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use triaged_core::config::{Config, SmtpConfig};

use super::AppError;
use crate::outbox::Sender;
use crate::ownership::Word;
use crate::secret::Credentials;
use crate::store::Store;
use crate::supervisor::Ground;
use crate::tasks::Tasks;

/// The sender's first word comes before its first step.
const FIRST: Duration = Duration::from_mins(1);

fn credentials(smtp: &SmtpConfig) -> Option<Credentials> {
    smtp.login.as_ref().map(|login| Credentials::of_password(&login.password))
}

/// Whether what is needed to log in at the SMTP server can be read.
pub(super) fn look_up(config: &Config) -> Result<(), AppError> {
    if let Some(credentials) = config.smtp.as_ref().and_then(credentials) {
        credentials.look_up()?;
    }
    Ok(())
}

/// Starts it. What waits for a server that is not configured any more is said.
pub(super) async fn start(
    config: &Config,
    tasks: &Tasks,
    ground: &Ground,
    store: &Store,
    wake: Arc<Notify>,
    word: Word,
) -> Result<(), AppError> {
    let Some(smtp) = &config.smtp else {
        let waiting = store.outbox(ground.pipeline.clock.now()).await?.waiting;
        if waiting > 0 {
            tracing::warn!(waiting, "alerts wait to be sent, and there is no [smtp] any more");
        }
        return Ok(());
    };
    let alerting = config.rules.iter().filter(|one| one.rule.then.alert.is_some());
    alerting.for_each(|one| ground.pipeline.metrics.alerts_of(&one.rule.name));
    let sender = Sender {
        store: store.clone(),
        server: smtp.clone(),
        credentials: credentials(smtp),
        wake,
        hangup: ground.hangup.clone(),
        word,
        metrics: ground.pipeline.metrics.clone(),
        readiness: ground.readiness.clone(),
        heart: ground.pulse.heart("outbox", FIRST),
        clock: ground.pipeline.clock,
    };
    tasks.spawn("outbox", sender.keep_up(tasks.stop().soft.clone()));
    Ok(())
}
