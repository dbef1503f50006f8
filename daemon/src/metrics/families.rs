//! The metric families: name, help, labels and buckets of each, registered once.
//!
//! Names follow Prometheus' conventions: base units, `_total` on counters, one prefix.

use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, core::Collector,
};
use triaged_core::message::Automatic;
use triaged_core::outcome::Outcome;
use triaged_core::rule::OLDER_MAIL;

use super::names::{ConnectionState, Fence, ModelReload, Stage, TAKEN_BACK};

/// From a render of some tens of microseconds to a command that meets its deadline of minutes.
const STAGE_BUCKETS: [f64; 14] = [
    0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0,
    300.0,
];

/// Around the promise of one second in the median and three in the worst hundredth; above, what
/// a poll, a night or a backfill makes of it.
const DELIVERY_BUCKETS: [f64; 13] =
    [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0, 86_400.0, 604_800.0];

/// All families of this process, and the registry that gathers them.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) process: Process,
    pub(super) pipe: Pipe,
    pub(super) model: Model,
    pub(super) servers: Servers,
    pub(super) sharing: Sharing,
    pub(super) outbox: Outbox,
}

/// The process itself.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) started: Gauge,
    pub(super) resident: IntGauge,
    pub(super) database_up: IntGauge,
}

/// Messages on their way.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) stage_seconds: HistogramVec,
    pub(super) stage_messages: IntCounterVec,
    pub(super) stage_failures: IntCounterVec,
    pub(super) messages: IntCounterVec,
    pub(super) taken_back: IntCounterVec,
    pub(super) defects: IntCounterVec,
    pub(super) delivery_seconds: Histogram,
    pub(super) last_success: Gauge,
    pub(super) backlog: IntGauge,
}

/// The model and what it says.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) info: IntGaugeVec,
    pub(super) reloads: IntCounterVec,
    pub(super) queue: IntGauge,
    pub(super) answers: IntCounterVec,
    pub(super) abstentions: IntCounterVec,
    pub(super) rules: IntCounterVec,
    pub(super) labels_written: IntCounterVec,
}

/// Accounts and the servers they are on.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) accounts: IntGaugeVec,
    pub(super) connections: IntGaugeVec,
    pub(super) errors: IntCounterVec,
    pub(super) login_failures: IntCounter,
    pub(super) reconnects: IntCounter,
    pub(super) withheld: IntCounter,
    pub(super) received: IntCounter,
    pub(super) stale_lists: IntGauge,
}

/// Daemons that share the accounts; all zero where nobody does.
#[derive(Debug)]
pub(super) struct Sharing {
    pub(super) instances: IntGauge,
    pub(super) shards: IntGauge,
    pub(super) takeovers: IntCounter,
    pub(super) fenced: IntCounterVec,
}

/// Mails of ours.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) alerts: IntCounterVec,
    pub(super) withheld: IntCounterVec,
    pub(super) letters: IntGaugeVec,
    pub(super) oldest: Gauge,
    pub(super) errors: IntCounterVec,
}

impl Families {
    /// Registers every family, with those series at zero whose labels are known beforehand.
    pub(super) fn register() -> Result<Self, prometheus::Error> {
        let register = Register(Registry::new());
        let families = Self {
            process: register.process()?,
            pipe: register.pipe()?,
            model: register.model()?,
            servers: register.servers()?,
            sharing: register.sharing()?,
            outbox: register.outbox()?,
            registry: register.0,
        };
        families.begin_at_zero();
        Ok(families)
    }

    /// A series that appears only with its first event hides that event from `rate()`.
    fn begin_at_zero(&self) {
        for stage in Stage::ALL {
            self.pipe.stage_seconds.with_label_values(&[stage.name()]);
            self.pipe.stage_messages.with_label_values(&[stage.name()]);
            self.pipe.stage_failures.with_label_values(&[stage.name()]);
        }
        for outcome in Outcome::ALL {
            self.pipe.messages.with_label_values(&[outcome.as_str()]);
        }
        for result in TAKEN_BACK {
            self.pipe.taken_back.with_label_values(&[result]);
        }
        for state in ConnectionState::ALL {
            self.servers.connections.with_label_values(&[state.name()]);
        }
        for fence in Fence::ALL {
            self.sharing.fenced.with_label_values(&[fence.name()]);
        }
        for reason in Automatic::ALL {
            self.outbox.withheld.with_label_values(&[reason.as_str()]);
        }
        self.outbox.withheld.with_label_values(&[OLDER_MAIL]);
        for reload in ModelReload::ALL {
            self.model.reloads.with_label_values(&[reload.name()]);
        }
    }
}

/// Makes families and registers them in one step.
struct Register(Registry);

impl Register {
    fn process(&self) -> Result<Process, prometheus::Error> {
        self.gauges("triaged_build_info", "The version of triaged; always 1.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(Process {
            started: self.gauge(
                "process_start_time_seconds",
                "When this process started, in seconds since 1970.",
            )?,
            resident: self.int_gauge(
                "process_resident_memory_bytes",
                "Memory that this process holds in RAM.",
            )?,
            database_up: self.int_gauge(
                "triaged_database_up",
                "Whether the database does its work: 1, or 0 while nothing can be written down.",
            )?,
        })
    }

    fn pipe(&self) -> Result<Pipe, prometheus::Error> {
        Ok(Pipe {
            stage_seconds: self.stage_seconds()?,
            stage_messages: self.counters(
                "triaged_stage_messages_total",
                "Messages that passed a stage of the pipe.",
                &["stage"],
            )?,
            stage_failures: self.counters(
                "triaged_stage_failures_total",
                "Runs of a stage of the pipe that did not come to their end.",
                &["stage"],
            )?,
            messages: self.counters(
                "triaged_messages_total",
                "Messages that left the pipe, by outcome.",
                &["outcome"],
            )?,
            taken_back: self.counters(
                "triaged_undo_messages_total",
                "Messages of which something was to be taken back, by what became of it.",
                &["result"],
            )?,
            defects: self.counters(
                "triaged_defects_total",
                "Oddities found in messages, by kind.",
                &["kind"],
            )?,
            delivery_seconds: self.delivery_seconds()?,
            last_success: self.gauge(
                "triaged_last_success_timestamp_seconds",
                "When messages were last settled, in seconds since 1970; 0 before the first.",
            )?,
            backlog: self.int_gauge(
                "triaged_backlog_messages",
                "Messages that are known and not settled.",
            )?,
        })
    }

    fn stage_seconds(&self) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::new(
            "triaged_stage_duration_seconds",
            "Time of one run of a stage of the pipe; failed runs are left out.",
        );
        self.add(HistogramVec::new(opts.buckets(STAGE_BUCKETS.to_vec()), &["stage"])?)
    }

    fn delivery_seconds(&self) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::new(
            "triaged_delivery_to_label_seconds",
            "Time from a message's delivery to its verified labels.",
        );
        self.add(Histogram::with_opts(opts.buckets(DELIVERY_BUCKETS.to_vec()))?)
    }

    fn model(&self) -> Result<Model, prometheus::Error> {
        Ok(Model {
            info: self.gauges(
                "triaged_model_info",
                "The model that serves, and what it runs on; always 1.",
                &["name", "version", "provider"],
            )?,
            reloads: self.counters(
                "triaged_model_reloads_total",
                "Other versions of the model that were taken, or refused.",
                &["result"],
            )?,
            queue: self
                .int_gauge("triaged_model_queue_messages", "Messages that wait for the model.")?,
            answers: self.counters(
                "triaged_answers_total",
                "Most probable labels of the model, abstained or not.",
                &["head", "label"],
            )?,
            rules: self.counters(
                "triaged_rules_total",
                "Messages that a rule was for; of a rule that is only tried out, nothing was done.",
                &["rule", "dry_run"],
            )?,
            abstentions: self.counters(
                "triaged_abstentions_total",
                "Answers of the model that are not written, by reason.",
                &["head", "reason"],
            )?,
            labels_written: self.counters(
                "triaged_labels_written_total",
                "Labels whose keyword was written and then seen on the server.",
                &["head", "label"],
            )?,
        })
    }

    fn servers(&self) -> Result<Servers, prometheus::Error> {
        Ok(Servers {
            accounts: self.gauges("triaged_accounts", "Accounts, by state.", &["state"])?,
            connections: self.gauges(
                "triaged_connections",
                "Connections to IMAP servers, by what they do.",
                &["state"],
            )?,
            errors: self.counters(
                "triaged_imap_errors_total",
                "Errors of IMAP servers and of the way to them, by kind.",
                &["kind"],
            )?,
            login_failures: self
                .counter("triaged_login_failures_total", "Logins that a server refused.")?,
            reconnects: self.counter(
                "triaged_reconnects_total",
                "Connections that were made again after one was lost.",
            )?,
            withheld: self.counter(
                "triaged_push_withheld_total",
                "Times that mail had come and the server had not announced it.",
            )?,
            received: self.counter(
                "triaged_received_bytes_total",
                "Bytes that came from IMAP servers, after TLS.",
            )?,
            stale_lists: self.int_gauge(
                "triaged_stale_user_lists",
                "Lists of servers' users that could not be read the last time.",
            )?,
        })
    }

    fn sharing(&self) -> Result<Sharing, prometheus::Error> {
        Ok(Sharing {
            instances: self.int_gauge(
                "triaged_instances",
                "Daemons that share the accounts, as this one has seen last; 0 where it is alone.",
            )?,
            shards: self.int_gauge(
                "triaged_shards_owned",
                "Shards of accounts that this daemon has a lease for.",
            )?,
            takeovers: self.counter(
                "triaged_takeovers_total",
                "Daemons that were silent for too long, and whose lease this one has ended.",
            )?,
            fenced: self.counters(
                "triaged_fenced_total",
                "Times that this daemon was refused because it was not its own any more: its lease, or a write about an account.",
                &["what"],
            )?,
        })
    }

    fn outbox(&self) -> Result<Outbox, prometheus::Error> {
        Ok(Outbox {
            alerts: self.counters(
                "triaged_alerts_total",
                "Mails of alerts, one an address, that were sent or given up, by rule.",
                &["rule", "state"],
            )?,
            withheld: self.counters(
                "triaged_alerts_withheld_total",
                "Alerts that nobody got because of what the mail is: sent by a program, or older.",
                &["reason"],
            )?,
            letters: self.gauges(
                "triaged_outbox_letters",
                "Mails of alerts that wait, and those of seven days that were given up.",
                &["state"],
            )?,
            oldest: self.gauge(
                "triaged_outbox_oldest_timestamp_seconds",
                "Since when the oldest waiting alert could have been sent, in seconds since 1970; 0 where none waits.",
            )?,
            errors: self.counters(
                "triaged_smtp_errors_total",
                "Errors of the SMTP server and of the way to it, by kind.",
                &["kind"],
            )?,
        })
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::new(name, help)?)
    }

    fn int_gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help)?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }
}
