//! The wiring: the only place that knows all parts of the daemon, and the order in which they are
//! opened and closed.
//!
//! Whatever can be wrong with this machine (configuration, model, library, database, secrets, the
//! port for metrics) is found before the first login; what is wrong with a server is not an error
//! here but a state of its account.

mod alerts;
mod database;
mod fleet;
mod sharing;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use triaged_core::config::Config;
use triaged_core::rule::Rules;

pub use self::database::{NoDatabase, database};
use crate::account::Gate;
use crate::backfill::Requests;
use crate::clock::{Clock, JumpWatch};
use crate::http::Server;
use crate::lifecycle::{self, Signals, Supervision};
use crate::metrics::{Metrics, MetricsError};
use crate::model::VersionError;
use crate::pipeline::{Pipeline, TURNS};
use crate::pulse::Pulse;
use crate::readiness::Readiness;
use crate::reload::{Hangup, Models};
use crate::secret::{CredentialError, Credentials};
use crate::standing::Standings;
use crate::storage::Storage;
use crate::store::{Store, StoreError};
use crate::supervisor::Ground;
use crate::tasks::{Ended, Tasks};

/// Why the daemon can not start, or did not end as it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// It is not known where the database is.
    #[error(transparent)]
    NoDatabase(#[from] NoDatabase),
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
    make_room(&config);
    let signals = Signals::listen()?;
    let hangup = Hangup::listen()?;
    let metrics = Metrics::new(clock.now())?;
    let names = config.accounts.iter().map(|account| account.name.clone());
    let readiness = Readiness::new(names, clock.now());
    let masters = config.servers.iter().map(|server| &server.every);
    for account in config.accounts.iter().chain(masters) {
        Credentials::of(account, &config.state).look_up()?;
    }
    alerts::look_up(&config)?;
    let store = Store::open(database(&config)?).await?;
    let address = config.http.listen;
    let http = Server::bind(address).await.map_err(|source| AppError::Http { address, source })?;
    let models = Models::open(&config, metrics.clone(), readiness.clone())?;
    let classifier = models.classifier().clone();

    let tasks = Tasks::default();
    let stop = || tasks.stop().soft.clone();
    let requests = Requests::new(store.clone());
    let pulse = Pulse::default();
    let clocks = JumpWatch::new(clock);
    let outbox = Arc::new(Notify::new());
    let storage = Storage::new(store.clone(), readiness.clone());
    let ground = Ground {
        pipeline: Arc::new(Pipeline {
            store: store.clone(),
            classifier: classifier.clone(),
            judge: Arc::new(Rules::new(config.rules.iter().map(|one| one.rule.clone()).collect())),
            unreadable: config.keywords.unreadable().clone(),
            history_text: config.history_text,
            metrics: metrics.clone(),
            clock,
            outbox: Arc::clone(&outbox),
            turns: Arc::new(Semaphore::new(TURNS)),
        }),
        readiness: readiness.clone(),
        standings: Standings::default(),
        pulse: pulse.clone(),
        hangup: hangup.subscribe(),
        gate: Gate::new(clock),
        requests: requests.clone(),
        jumps: clocks.jumps(),
        storage: storage.clone(),
    };
    tasks.spawn("clock", clocks.watch(stop()));
    tasks.spawn("backfill", requests.watch(stop()));
    tasks.spawn("database", storage.watch(stop()));
    tasks.spawn("http", http.serve(metrics, readiness.clone(), ground.standings.clone(), stop()));
    tasks.spawn("models", models.keep_up(hangup, stop()));
    let share = sharing::start(&config, &store, &ground, &tasks);
    alerts::start(&config, &tasks, &ground, &store, outbox, share.word()).await?;
    fleet::start(config, &tasks, ground, share).await?;

    let supervision = Supervision::from_environment();
    let ended = lifecycle::attend(signals, &tasks, &readiness, &pulse, &supervision).await;
    classifier.shutdown();
    store.close().await;
    ended.map_err(AppError::Ended)
}

/// Files that are open beside connections: database, library, lists, pipes, the port for metrics.
const OTHER_FILES: u64 = 100;

/// Lets the process open as many files as the system lets it, for each connection is one.
fn make_room(config: &Config) {
    let most = lifecycle::open_more_files();
    let places = u64::try_from(config.connections.in_all).unwrap_or(u64::MAX);
    if most < places.saturating_add(OTHER_FILES) {
        tracing::warn!(
            open_files = most,
            connections = places,
            "fewer files may be open than there are places for connections; set LimitNOFILE= in the unit, or [connections] in_all lower"
        );
    }
}
