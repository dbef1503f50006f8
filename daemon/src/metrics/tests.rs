use std::collections::BTreeSet;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn metrics() -> Metrics {
    Metrics::new(at(0)).expect("names are valid and given once")
}

fn has(metrics: &Metrics, line: &str) -> bool {
    metrics.encode().expect("encodes").lines().any(|one| one == line)
}

#[test]
fn a_stage_counts_its_messages_when_done_and_a_failure_when_not() {
    let metrics = metrics();
    metrics.stage(Stage::Fetch).done(7);
    drop(metrics.stage(Stage::Fetch));
    assert!(has(&metrics, r#"triaged_stage_messages_total{stage="fetch"} 7"#));
    assert!(has(&metrics, r#"triaged_stage_duration_seconds_count{stage="fetch"} 1"#));
    assert!(has(&metrics, r#"triaged_stage_failures_total{stage="fetch"} 1"#));
    assert!(has(&metrics, r#"triaged_stage_failures_total{stage="settle"} 0"#));
}

#[test]
fn a_connection_is_counted_where_it_is_until_it_is_dropped() {
    let metrics = metrics();
    let mut connection = metrics.connection(ConnectionState::Connecting);
    let other = metrics.connection(ConnectionState::Waiting);
    connection.becomes(ConnectionState::Waiting);
    assert!(has(&metrics, r#"triaged_connections{state="connecting"} 0"#));
    assert!(has(&metrics, r#"triaged_connections{state="waiting"} 2"#));
    drop((connection, other));
    assert!(has(&metrics, r#"triaged_connections{state="waiting"} 0"#));
}

#[test]
fn the_backlog_is_the_sum_of_what_each_account_says_last() {
    let metrics = metrics();
    let (one, two) = (metrics.backlog(), metrics.backlog());
    one.set(40);
    two.set(5);
    one.set(30);
    assert!(has(&metrics, "triaged_backlog_messages 35"));
    drop(one);
    assert!(has(&metrics, "triaged_backlog_messages 5"));
}

#[test]
fn messages_wait_for_the_model_until_their_flow_has_the_answer_or_gives_up() {
    let metrics = metrics();
    let (one, _two) = (metrics.waiting_for_model(100), metrics.waiting_for_model(7));
    assert!(has(&metrics, "triaged_model_queue_messages 107"));
    drop(one);
    assert!(has(&metrics, "triaged_model_queue_messages 7"));
}

#[test]
fn only_the_model_that_serves_is_named() {
    let metrics = metrics();
    metrics.model("default", "1", "cpu");
    metrics.model("default", "2", "cuda");
    let text = metrics.encode().expect("encodes");
    let lines: Vec<_> =
        text.lines().filter(|line| line.starts_with("triaged_model_info")).collect();
    assert_eq!(lines, [r#"triaged_model_info{name="default",provider="cuda",version="2"} 1"#]);
}

#[test]
fn a_server_whose_clock_is_ahead_gives_no_negative_time() {
    let metrics = metrics();
    metrics.delivered_to_labelled(at(100), at(40));
    assert!(has(&metrics, r#"triaged_delivery_to_label_seconds_bucket{le="0.25"} 1"#));
    assert!(has(&metrics, "triaged_delivery_to_label_seconds_sum 0"));
}

#[test]
fn ten_thousand_accounts_do_not_make_more_series() {
    let metrics = metrics();
    let held: Vec<_> = (0..10_000)
        .map(|_| (metrics.backlog(), metrics.connection(ConnectionState::Waiting)))
        .collect();
    metrics.accounts([("watching", held.len())]);
    for (head, labels) in [("sentiment", 3), ("urgency", 3), ("category", 12)] {
        for label in 0..labels {
            metrics.answered(head, &format!("label{label}"), Some(Abstention::Unsure));
            metrics.label_written(head, &format!("label{label}"));
        }
    }
    let text = metrics.encode().expect("encodes");
    let series: BTreeSet<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(series.len() < 300, "{} series", series.len());
    assert!(has(&metrics, r#"triaged_accounts{state="watching"} 10000"#));
}
