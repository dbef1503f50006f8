//! The wiring: the only place that knows all parts of the daemon, and the order in which they are
//! opened and closed.
//!
//! Whatever can be wrong with this machine (configuration, model, library, database, secrets, the
//! port for metrics) is found before the first login; what is wrong with a server is not an error
//! here but a state of its account.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use triaged_core::config::Config;
use triaged_core::decision::Labels;

use crate::account::{self, Door, Gate, Watcher};
use crate::backfill::Requests;
use crate::clock::Clock;
use crate::http::Server;
use crate::lifecycle::{self, Signals, Supervision};
use crate::metrics::{Metrics, MetricsError};
use crate::model::VersionError;
use crate::pipeline::{Caution, Pipeline, TURNS};
use crate::pulse::Pulse;
use crate::readiness::Readiness;
use crate::reload::{Hangup, Models};
use crate::secret::{CredentialError, Credentials};
use crate::standing::Standings;
use crate::store::{Store, StoreError};
use crate::supervisor;
use crate::tasks::{Ended, Tasks};

/// Why the daemon can not start, or did not end as it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Another daemon holds the state, or the database can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No version of the model that could serve.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A password can not be read, or a token not be asked for.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The address for metrics and health is not to be had.
    #[error(
        "{address} for metrics and health can not be used: {source}; set [http] listen to another port"
    )]
    Http {
        /// The address of the configuration.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Signals can not be heard, or metrics not be counted.
    #[error("this process can not begin: {0}")]
    Process(#[from] io::Error),
    /// Two metrics have one name.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A part of the daemon ended though nobody had asked: a defect of triaged.
    #[error("{0}; this is a defect of triaged: please report it with the lines above")]
    Ended(Ended),
}

/// Runs until a signal asks for the end; `Ok` means that everything was drained.
pub async fn run(config: Config) -> Result<(), AppError> {
    let clock = Clock;
    let signals = Signals::listen()?;
    let hangup = Hangup::listen()?;
    let metrics = Metrics::new(clock.now())?;
    let names = config.accounts.iter().map(|account| account.name.clone());
    let readiness = Readiness::new(names, clock.now());
    for account in &config.accounts {
        Credentials::of(account, &config.state).look_up()?;
    }
    let store = Store::open(&config.state).await?;
    let address = config.http.listen;
    let http = Server::bind(address).await.map_err(|source| AppError::Http { address, source })?;
    let models = Models::open(&config, metrics.clone(), readiness.clone())?;
    let classifier = models.classifier().clone();

    let pulse = Pulse::default();
    let tasks = Tasks::default();
    let pipeline = Pipeline {
        store: store.clone(),
        classifier: classifier.clone(),
        judge: Arc::new(Labels),
        unreadable: config.keywords.unreadable().clone(),
        history_text: config.history_text,
        metrics: metrics.clone(),
        clock,
        turns: Arc::new(Semaphore::new(TURNS)),
    };
    let standings = Standings::default();
    let watchers = watchers(&config, &pipeline, &readiness, &standings, &pulse, &hangup).await?;
    let stop = || tasks.stop().soft.clone();
    let requests = watchers.iter().map(|one| (one.account.id, Arc::clone(&one.asked)));
    tasks.spawn("backfill", Requests::new(store.clone(), requests).watch(stop()));
    tasks.spawn("http", http.serve(metrics, readiness.clone(), standings, stop()));
    tasks.spawn("models", models.keep_up(hangup, stop()));
    supervisor::start(&tasks, watchers);

    let supervision = Supervision::from_environment();
    let ended = lifecycle::attend(signals, &tasks, &readiness, &pulse, &supervision).await;
    classifier.shutdown();
    store.close().await;
    ended.map_err(AppError::Ended)
}

async fn watchers(
    config: &Config,
    pipeline: &Pipeline,
    readiness: &Readiness,
    standings: &Standings,
    pulse: &Pulse,
    hangup: &Hangup,
) -> Result<Vec<Watcher>, StoreError> {
    let mut watchers = Vec::with_capacity(config.accounts.len());
    let gate = Gate::new(pipeline.clock);
    for account in &config.accounts {
        watchers.push(Watcher {
            account: pipeline.store.account(&account.name, pipeline.clock.now()).await?,
            door: Door::new(Credentials::of(account, &config.state), hangup.subscribe()),
            config: account.clone(),
            pipeline: pipeline.clone(),
            readiness: readiness.clone(),
            standings: standings.clone(),
            asked: Arc::default(),
            heart: pulse.heart(&account.name, account::STEP),
            gate: gate.clone(),
            listing: Caution::default(),
        });
    }
    Ok(watchers)
}
