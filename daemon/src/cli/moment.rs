//! Moments as people write them on the command line.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The moment that `text` names: a span back from `now`, a date in the local time zone, or a time.
pub(super) fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let span = text
        .strip_suffix(['h', 'd', 'w'])
        .and_then(|number| number.parse::<i64>().ok())
        .and_then(|number| match text.bytes().last() {
            Some(b'h') => Some(number),
            Some(b'd') => number.checked_mul(24),
            _ => number.checked_mul(24 * 7),
        });
    if let Some(hours) = span {
        let hours = jiff::SignedDuration::try_from_hours(hours);
        return hours
            .and_then(|span| now.checked_sub(span).ok())
            .ok_or_else(|| format!("--since {text:?} reaches back too far"));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let civil = text.parse::<jiff::civil::DateTime>().or_else(|_| {
        text.parse::<jiff::civil::Date>()
            .map(|date| date.to_datetime(jiff::civil::Time::midnight()))
    });
    civil
        .and_then(|civil| civil.to_zoned(TimeZone::system()))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| format!("--since {text:?} is no time: give 2026-11-21, 2026-11-21T08:00Z, or a span like 2h, 7d, 4w"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn since_takes_spans_and_times() {
        let at = |text: &str| since(text, now()).map(|moment| moment.to_string());
        assert_eq!(at("2h").as_deref(), Ok("2026-11-21T10:00:00Z"));
        assert_eq!(at("7d").as_deref(), Ok("2026-11-14T12:00:00Z"));
        assert_eq!(at("2026-11-20T08:00Z").as_deref(), Ok("2026-11-20T08:00:00Z"));
        assert!(at("2026-11-20").is_ok());
        for bad in ["", "h", "yesterday", "7x", "99999999999999999d"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
