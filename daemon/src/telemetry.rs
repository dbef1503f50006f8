//! The log: lines on standard error, plain or JSON, for people and for the journal.
//!
//! Deliberately absent: log files and their rotation (the journal has both), and the details of
//! foreign crates. Below `info` such crates print what passes through them, which here is
//! passwords and mail; no setting lets that out.

use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people; in colour where `colour` says so.
    Plain {
        /// Whether the reader is a terminal that likes colour.
        colour: bool,
    },
    /// One object a line.
    Json,
}

/// What is logged and how.
#[derive(Debug, Clone)]
pub struct Log {
    /// How lines are written.
    pub format: Format,
    /// What triaged itself says; foreign crates say at most `info`.
    pub level: LevelFilter,
    /// Directives in the syntax of `RUST_LOG` which replace `level`.
    pub directives: Option<String>,
}

/// The log cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not understood.
    #[error("RUST_LOG: {0}")]
    Directives(#[from] tracing_subscriber::filter::ParseError),
    /// There is a log already.
    #[error("the log was begun twice")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Begins the log of this process on standard error.
pub fn begin(log: &Log) -> Result<(), TelemetryError> {
    let subscriber = subscriber(log, std::io::stderr)?;
    // Records of the `log` crate are deliberately not bridged: async-imap writes whole commands
    // there, and html5ever whole documents.
    tracing::subscriber::set_global_default(subscriber)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(
            place,
            "a part of triaged panicked; what it said is not shown, it may quote mail"
        );
    }));
    Ok(())
}

fn subscriber<W>(
    log: &Log,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, tracing_subscriber::filter::ParseError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let asked = match log.directives.as_deref() {
        Some(directives) if !directives.is_empty() => EnvFilter::try_new(directives)?,
        _ => EnvFilter::default().add_directive(log.level.into()),
    };
    let filter = asked.and(filter_fn(is_harmless));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match log.format {
        Format::Plain { colour } => lines.with_ansi(colour).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(filter)))
}

/// Ours, or not more than `info`.
fn is_harmless(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    matches!(krate, "triaged" | "triaged_core") || *metadata.level() <= tracing::Level::INFO
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, level: LevelFilter, directives: Option<&str>) -> String {
        let page = Page::default();
        let log = Log { format, level, directives: directives.map(str::to_owned) };
        let shared = page.clone();
        let subscriber = subscriber(&log, move || shared.clone()).expect("directives parse");
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "async_imap::client", "C: A1 LOGIN me secret");
            tracing::debug!(target: "html5ever", "a line of mail");
            tracing::warn!(target: "sqlx::query", "slow");
            tracing::info!(target: "triaged::account", mailbox = "INBOX", "watching");
            tracing::debug!(target: "triaged_core::sync", "detail");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const PLAIN: Format = Format::Plain { colour: false };

    #[test]
    fn no_setting_lets_out_what_passes_through_foreign_crates() {
        for directives in ["trace", "async_imap=trace,html5ever=trace", "async_imap::client=trace"]
        {
            let lines = written(PLAIN, LevelFilter::TRACE, Some(directives));
            assert!(!lines.contains("secret") && !lines.contains("a line of mail"), "{lines}");
        }
    }

    #[test]
    fn rust_log_replaces_the_configured_level() {
        let configured = written(PLAIN, LevelFilter::INFO, None);
        assert!(configured.contains("watching") && configured.contains("slow"), "{configured}");
        assert!(!configured.contains("detail"), "{configured}");
        let asked = written(PLAIN, LevelFilter::INFO, Some("triaged_core=debug"));
        assert!(asked.contains("detail") && !asked.contains("watching"), "{asked}");
    }

    #[test]
    fn json_is_one_object_a_line_with_fields_as_values() {
        let lines = written(Format::Json, LevelFilter::INFO, None);
        let last: serde_json::Value =
            serde_json::from_str(lines.lines().last().unwrap()).expect("an object");
        assert_eq!((&last["message"], &last["mailbox"]), (&"watching".into(), &"INBOX".into()));
    }

    #[test]
    fn directives_that_make_no_sense_are_refused() {
        let log =
            Log { format: PLAIN, level: LevelFilter::INFO, directives: Some("a=b=c".to_owned()) };
        assert!(subscriber(&log, std::io::sink).is_err());
    }
}
