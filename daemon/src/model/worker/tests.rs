//! The threads, with readers that need no model.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};

use triaged_core::score::HeadPrediction;

use super::*;

/// A reader that is a function of the text.
struct Reader<F>(F);

impl<F: FnMut(&str) -> Answer + Send + 'static> Backend for Reader<F> {
    fn read(&mut self, text: &str) -> Answer {
        (self.0)(text)
    }
}

/// Running threads with the way in.
struct Threads {
    queue: mpsc::Sender<Request>,
    stop: Arc<AtomicBool>,
    owner: JoinHandle<()>,
}

impl Threads {
    fn start(readers: Vec<Box<dyn Backend>>, room: usize) -> Self {
        let (queue, requests) = mpsc::channel(room);
        let stop = Arc::new(AtomicBool::new(false));
        let owner = spawn(readers, requests, &stop).expect("threads are to be had");
        Self { queue, stop, owner }
    }

    fn ask(&self, texts: &[&str]) -> oneshot::Receiver<Vec<Answer>> {
        let (reply, answers) = oneshot::channel();
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        self.queue.blocking_send(Request { texts, reply }).expect("the owner lives");
        answers
    }

    /// Ends them; returns only when every thread has ended.
    fn end(self) {
        drop(self.queue);
        self.owner.join().expect("the owner does not panic");
    }
}

fn reader(read: impl FnMut(&str) -> Answer + Send + 'static) -> Box<dyn Backend> {
    Box::new(Reader(read))
}

/// A prediction that names its text.
#[expect(clippy::unnecessary_wraps, reason = "what a reader returns")]
fn echo(text: &str) -> Answer {
    let (head, label) = (String::new(), text.to_owned());
    let head = HeadPrediction { head, label, confidence: 1.0, abstained: None, scores: vec![] };
    Ok(Prediction { heads: vec![head] })
}

fn labels(answers: Vec<Answer>) -> Vec<String> {
    answers.into_iter().map(|answer| answer.expect("a prediction").heads[0].label.clone()).collect()
}

#[test]
fn answers_keep_the_order_of_the_texts_and_of_who_asked() {
    let threads = Threads::start(vec![reader(echo), reader(echo), reader(echo)], 4);
    let first = threads.ask(&["a", "b", "c", "d", "e"]);
    let second = threads.ask(&["f", "g"]);
    assert_eq!(labels(second.blocking_recv().expect("answered")), ["f", "g"]);
    assert_eq!(labels(first.blocking_recv().expect("answered")), ["a", "b", "c", "d", "e"]);
    threads.end();
}

#[test]
fn each_reader_reads_at_the_same_time_as_the_others() {
    let both = Arc::new(Barrier::new(2));
    let meet = |both: Arc<Barrier>| {
        reader(move |text| {
            both.wait();
            echo(text)
        })
    };
    let threads = Threads::start(vec![meet(Arc::clone(&both)), meet(both)], 1);
    // Each text waits for the other one: with one at a time this would never end.
    let answers = threads.ask(&["a", "b"]).blocking_recv().expect("answered");
    assert_eq!(labels(answers), ["a", "b"]);
    threads.end();
}

#[test]
fn a_panic_is_the_error_of_its_text_and_the_reader_goes_on() {
    let threads = Threads::start(
        vec![reader(|text| if text == "bad" { panic!("as this test wants") } else { echo(text) })],
        1,
    );
    let answers = threads.ask(&["a", "bad", "b"]).blocking_recv().expect("answered");
    assert_eq!(answers, [echo("a"), Err(TextError::Panicked), echo("b")]);
    threads.end();
}

#[test]
fn a_request_without_texts_is_answered() {
    let threads = Threads::start(vec![reader(echo)], 1);
    assert!(threads.ask(&[]).blocking_recv().expect("answered").is_empty());
    threads.end();
}

#[test]
fn at_a_stop_the_text_that_is_being_read_is_answered_and_the_others_are_dropped() {
    let (started, has_started) = channel();
    let (release, released) = channel::<()>();
    let threads = Threads::start(
        vec![reader(move |text| {
            started.send(()).expect("the test waits");
            released.recv().expect("the test releases");
            echo(text)
        })],
        4,
    );
    let first = threads.ask(&["a", "b", "c"]);
    let second = threads.ask(&["d"]);
    has_started.recv().expect("the first text is read");
    threads.stop.store(true, Ordering::Relaxed);
    release.send(()).expect("the reader waits");
    threads.end();
    let stopped = || Err(TextError::Stopped);
    let first = first.blocking_recv().expect("answered");
    assert_eq!(first, [echo("a"), stopped(), stopped()]);
    assert_eq!(second.blocking_recv().expect("answered"), [stopped()]);
}

#[test]
fn texts_that_nobody_waits_for_are_not_read() {
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let (go, gate) = channel::<()>();
    let threads = Threads::start(
        vec![reader(move |text| {
            counted.fetch_add(1, Ordering::Relaxed);
            gate.recv().expect("the test opens the gate");
            echo(text)
        })],
        4,
    );
    let first = threads.ask(&["a"]);
    drop(threads.ask(&["b", "c", "d"]));
    let last = threads.ask(&["e"]);
    go.send(()).expect("the reader waits");
    go.send(()).expect("the reader waits");
    assert_eq!(labels(first.blocking_recv().expect("answered")), ["a"]);
    assert_eq!(labels(last.blocking_recv().expect("answered")), ["e"]);
    threads.end();
    assert_eq!(read.load(Ordering::Relaxed), 2);
}

#[test]
fn whoever_asks_too_much_waits() {
    let (go, gate) = channel::<()>();
    let threads = Threads::start(
        vec![reader(move |text| {
            gate.recv().map_err(|_| TextError::Stopped)?;
            echo(text)
        })],
        2,
    );
    let mut refused = 0;
    // One text is read, one waits for the reader, one request is held by the owner, two are in
    // the queue: of a hundred requests at most five find room while the reader stands still.
    for _ in 0..100 {
        let (reply, _) = oneshot::channel();
        let texts = vec!["a".to_owned()];
        refused += usize::from(threads.queue.try_send(Request { texts, reply }).is_err());
    }
    assert!(refused >= 95, "{refused}");
    drop(go);
    threads.end();
}
