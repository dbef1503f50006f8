//! One account's flow in the test's own process, through the pipeline's own doors: for decisions that
//! no configuration makes yet, and for moments that only the process itself can meet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use triaged::clock::Clock;
use triaged::imap::{Endpoint, Login, Session};
use triaged::metrics::Metrics;
use triaged::model::{Classifier, Engine, ModelBundle, ModelOptions};
use triaged::pipeline::{Allowance, Caught, Caution, FlowError, Pace, Pipeline, Terms};
use triaged::pulse::Pulse;
use triaged::store::{Account, History, Store};
use triaged_core::config::{HistoryText, Mode, Provider, Tls};
use triaged_core::decision::Judge;
use triaged_core::label::KeywordMap;
use triaged_core::sync::Backfill;

use super::mailserver::PASSWORD;
use super::version::FIXTURE;

/// One account's flow in this process, on a server behind a proxy.
pub(crate) struct Flow {
    pipeline: Pipeline,
    account: Account,
    endpoint: Endpoint,
    listing: Caution,
    state: TempDir,
}

impl Flow {
    /// The flow of the user anna, with these keywords for labels, and a judge of the test's own.
    pub(crate) async fn new(port: u16, judge: impl Judge + 'static, keywords: KeywordMap) -> Flow {
        let state = TempDir::with_prefix("triaged-it-moves-").unwrap();
        let store = Store::open(state.path()).await.unwrap();
        let account = store.account("anna", Clock.now()).await.unwrap();
        let options = ModelOptions { library: None, provider: Provider::Cpu, threads: 1 };
        let bundle = ModelBundle::load(Path::new(FIXTURE)).unwrap();
        let engine = Engine::open(bundle, keywords, &options).unwrap();
        let pipeline = Pipeline {
            store,
            classifier: Classifier::serve(engine).unwrap(),
            judge: Arc::new(judge),
            unreadable: "triaged-unreadable".parse().unwrap(),
            history_text: HistoryText::None,
            metrics: Metrics::new(Clock.now()).unwrap(),
            clock: Clock,
            outbox: Arc::default(),
            turns: Arc::new(Semaphore::new(1)),
        };
        let endpoint = Endpoint {
            host: "127.0.0.1".into(),
            port,
            tls: Tls::None,
            ca_file: None,
            pinned_key: None,
            connect_limit: Duration::from_secs(30),
        };
        Flow { pipeline, account, endpoint, listing: Caution::default(), state }
    }

    /// One connection: a mailbox is opened, what is left is finished, and what is new is done.
    pub(crate) async fn look_at(&self, mailbox: &str) -> Result<Caught, FlowError> {
        let password = SecretString::from(PASSWORD);
        let login = Login::with_password("anna", &password);
        let mut session = Session::connect(&self.endpoint, &login).await?;
        let terms = Terms { backfill: Backfill::All, mode: Mode::Label, ..Terms::default() };
        let mut opened = self.pipeline.open(&mut session, self.account, mailbox, &terms).await?;
        let pulse = Pulse::default();
        let (stop, heart) = (CancellationToken::new(), pulse.heart("test", Duration::MAX / 4));
        let backlog = self.pipeline.metrics.backlog();
        let (listing, allowance) = (&self.listing, &Allowance::new(None));
        let pace = Pace { stop: &stop, heart: &heart, backlog: &backlog, listing, allowance };
        let caught = self.pipeline.catch_up(&mut session, &mut opened, &pace).await?;
        session.logout().await;
        Ok(caught)
    }

    /// What the store says has become of all messages, by outcome.
    pub(crate) async fn outcomes(&self) -> BTreeMap<&'static str, usize> {
        let mut history = History::open(self.state.path(), jiff::Timestamp::MIN).await.unwrap();
        let mut outcomes = BTreeMap::new();
        loop {
            let page = history.page().await.unwrap();
            if page.is_empty() {
                return outcomes;
            }
            for row in page {
                *outcomes.entry(row.outcome.as_str()).or_default() += 1;
            }
        }
    }
}
