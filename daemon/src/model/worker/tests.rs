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
    queue: mpsc::Sender<Command<&'static str>>,
    stop: Arc<AtomicBool>,
    owner: JoinHandle<()>,
}

impl Threads {
    fn start(readers: Vec<Box<dyn Backend>>, room: usize) -> Self {
        let (queue, requests) = mpsc::channel(room);
        let stop = Arc::new(AtomicBool::new(false));
        let owner = spawn(called("first", readers), requests, &stop).expect("threads are had");
        Self { queue, stop, owner }
    }

    fn ask(&self, texts: &[&str]) -> Asked {
        let (reply, answers) = oneshot::channel();
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        let request = Command::Read(Request { texts, reply });
        self.queue.blocking_send(request).expect("the owner lives");
        Asked(answers)
    }

    /// Lets others read from now on; what comes back says when they do.
    fn swap(&self, readers: Readers<&'static str>) -> oneshot::Receiver<io::Result<()>> {
        let (reply, swapped) = oneshot::channel();
        self.queue.blocking_send(Command::Swap(readers, reply)).expect("the owner lives");
        swapped
    }

    /// Ends them; returns only when every thread has ended.
    fn end(self) {
        drop(self.queue);
        self.owner.join().expect("the owner does not panic");
    }
}

/// Texts that were asked about.
struct Asked(oneshot::Receiver<Answered<&'static str>>);

impl Asked {
    fn answers(self) -> Vec<Answer> {
        self.0.blocking_recv().expect("answered").answers
    }
}

/// Readers of a model of this name.
fn called(name: &'static str, backends: Vec<Box<dyn Backend>>) -> Readers<&'static str> {
    Readers { backends, model: Arc::new(name) }
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
    assert_eq!(labels(second.answers()), ["f", "g"]);
    assert_eq!(labels(first.answers()), ["a", "b", "c", "d", "e"]);
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
    let answers = threads.ask(&["a", "b"]).answers();
    assert_eq!(labels(answers), ["a", "b"]);
    threads.end();
}

#[test]
fn a_panic_is_the_error_of_its_text_and_the_reader_goes_on() {
    let threads = Threads::start(
        vec![reader(|text| if text == "bad" { panic!("as this test wants") } else { echo(text) })],
        1,
    );
    let answers = threads.ask(&["a", "bad", "b"]).answers();
    assert_eq!(answers, [echo("a"), Err(TextError::Panicked), echo("b")]);
    threads.end();
}

#[test]
fn a_request_without_texts_is_answered() {
    let threads = Threads::start(vec![reader(echo)], 1);
    assert!(threads.ask(&[]).answers().is_empty());
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
    let first = first.answers();
    assert_eq!(first, [echo("a"), stopped(), stopped()]);
    assert_eq!(second.answers(), [stopped()]);
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
    assert_eq!(labels(first.answers()), ["a"]);
    assert_eq!(labels(last.answers()), ["e"]);
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
        let request = Command::Read(Request { texts, reply });
        refused += usize::from(threads.queue.try_send(request).is_err());
    }
    assert!(refused >= 95, "{refused}");
    drop(go);
    threads.end();
}

/// A reader that says when it begins, and reads on when it is let; `dropped` tells its end.
fn gated(
    started: std::sync::mpsc::Sender<()>,
    gate: std::sync::mpsc::Receiver<()>,
    dropped: Arc<AtomicUsize>,
) -> Box<dyn Backend> {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let counted = Counted(dropped);
    reader(move |text| {
        let _held = &counted;
        started.send(()).expect("the test listens");
        gate.recv().expect("the test opens the gate");
        echo(text)
    })
}

#[test]
fn what_was_asked_before_a_swap_is_answered_by_the_model_before_to_its_last_text() {
    let (started, has_started) = channel();
    let (go, gate) = channel();
    let dropped = Arc::new(AtomicUsize::new(0));
    let first = vec![gated(started, gate, Arc::clone(&dropped))];
    let threads = Threads::start(first, 4);
    let before = threads.ask(&["a", "b", "c"]);
    has_started.recv().expect("the first text is read");
    let mut swapped = threads.swap(called("second", vec![reader(echo)]));
    let after = threads.ask(&["d"]);
    assert!(swapped.try_recv().is_err(), "a text is still being read");
    for _ in 0..3 {
        go.send(()).expect("the reader waits");
    }
    let before = before.0.blocking_recv().expect("answered");
    assert_eq!((*before.model, labels(before.answers).concat()), ("first", "abc".to_owned()));
    swapped.blocking_recv().expect("answered").expect("threads are had");
    assert_eq!(dropped.load(Ordering::Relaxed), 1, "its sessions are gone by then");
    let after = after.0.blocking_recv().expect("answered");
    assert_eq!((*after.model, labels(after.answers).concat()), ("second", "d".to_owned()));
    threads.end();
}

#[test]
fn many_swaps_under_load_lose_no_text_and_mix_no_answer() {
    // The answers name the model, too, so that those of another one would be seen.
    let named = |name: &'static str| {
        let one = || reader(move |text: &str| echo(&format!("{name} {text}")));
        vec![one(), one()]
    };
    let threads = Threads::start(named("first"), 8);
    let mut asked = Vec::new();
    for round in 0..50 {
        asked.extend((0..4).map(|_| threads.ask(&["a", "b", "c"])));
        let name = if round % 2 == 0 { "second" } else { "first" };
        drop(threads.swap(called(name, named(name))));
    }
    for one in asked {
        let Answered { model, answers } = one.0.blocking_recv().expect("answered");
        assert_eq!(labels(answers), ["a", "b", "c"].map(|text| format!("{model} {text}")));
    }
    threads.end();
}
