use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::readiness::AccountState;
use crate::tasks::Tasks;

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    tasks: Tasks,
}

async fn running() -> Running {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.expect("a free port");
    let address = server.local_addr().unwrap();
    let readiness = Readiness::new(["a.person".to_owned()], Timestamp::UNIX_EPOCH);
    let metrics = Metrics::new(Timestamp::UNIX_EPOCH).unwrap();
    let tasks = Tasks::default();
    let stop = tasks.stop().soft.clone();
    tasks.spawn("http", server.serve(metrics, readiness.clone(), Standings::default(), stop));
    Running { address, readiness, tasks }
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("one answer, then the end");
    answer
}

#[tokio::test]
async fn readyz_says_which_account_waits_and_why_while_healthz_is_well() {
    let running = running().await;
    let waiting = AccountState::Waiting {
        reason: "login refused".into(),
        retry_at: Timestamp::from_second(60).unwrap(),
    };
    running.readiness.set("a.person", waiting, Timestamp::UNIX_EPOCH);
    let answer = get(running.address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("\"a.person\"") && answer.contains("login refused"), "{answer}");
    assert!(get(running.address, "/healthz").await.starts_with("HTTP/1.1 200"));
    running.readiness.set("a.person", AccountState::Watching, Timestamp::UNIX_EPOCH);
    assert!(get(running.address, "/readyz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_scrape_counts_accounts_by_state_and_never_names_one() {
    let running = running().await;
    let answer = get(running.address, "/metrics").await;
    assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("triaged_accounts{state=\"starting\"} 1"), "{answer}");
    assert!(!answer.contains("a.person"), "{answer}");
}

#[tokio::test]
async fn the_stop_ends_it_although_a_client_says_nothing() {
    let running = running().await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    assert!(get(running.address, "/healthz").await.starts_with("HTTP/1.1 200"));
    running.tasks.stop().soft.cancel();
    tokio::time::timeout(Duration::from_secs(5), running.tasks.finished()).await.expect("ends");
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_loses_its_connection_after_ten_seconds() {
    let running = running().await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let before = tokio::time::Instant::now();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(before.elapsed() <= Duration::from_secs(11), "{:?}", before.elapsed());
}

#[tokio::test]
async fn it_listens_on_loopback_alone() {
    let refused = Server::bind("0.0.0.0:0".parse().unwrap()).await.expect_err("open to all");
    assert!(refused.to_string().contains("not a loopback address"), "{refused}");
}
