//! Places for connections: how many may be open, to one server and in all.
//!
//! Who finds no place stands in a queue, first come first served. Who has one keeps it for as long as
//! there is work, and then, while it only waits for news, until somebody else stands in a queue: the
//! longest waiter gives way, and comes back at the pace of polling. So nobody is left out: each one
//! in the queue makes one that waits for news leave, a place that becomes free goes to the head of
//! the queue, and work ends, because each of its steps has a deadline.
//!
//! The place at the server is taken before the one in all, never the other way round, so no two can
//! wait for each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// Some number of places; clones share them.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes who waits for news, the longest first.
    wanted: Notify,
}

#[derive(Debug)]
struct State {
    free: usize,
    queue: VecDeque<oneshot::Sender<Permit>>,
    /// How many have said that they give way and are not gone yet.
    leaving: usize,
}

/// One place of one budget, free again when it is dropped.
#[derive(Debug)]
struct Permit {
    /// Taken out only where there is nobody to give it to.
    budget: Option<Budget>,
    leaving: AtomicBool,
}

impl Budget {
    /// So many places, all free; at least one, for without a place nothing would ever be done.
    pub fn new(places: usize) -> Self {
        let state = State { free: places.max(1), queue: VecDeque::new(), leaving: 0 };
        Self(Arc::new(Shared { state: Mutex::new(state), wanted: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(&self) -> Permit {
        Permit { budget: Some(self.clone()), leaving: AtomicBool::new(false) }
    }

    async fn take(&self) -> Permit {
        let granted = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return self.permit();
            }
            let (grant, granted) = oneshot::channel();
            state.queue.push_back(grant);
            granted
        };
        // Who stops waiting is taken out of the queue: it must make nobody leave.
        let _waiting = Waiting(self);
        self.0.wanted.notify_one();
        // The sender is in the queue until it is used, so there is always an answer.
        granted.await.unwrap_or_else(|_| self.permit())
    }

    /// A place has become free: the head of the queue gets it.
    fn release(&self, left: bool) {
        let mut state = self.state();
        state.leaving -= usize::from(left);
        while let Some(next) = state.queue.pop_front() {
            match next.send(self.permit()) {
                Ok(()) => return,
                Err(mut unclaimed) => drop(unclaimed.budget.take()),
            }
        }
        state.free += 1;
    }

    /// Whether more stand in the queue than are about to leave.
    fn is_wanted(&self) -> bool {
        let state = self.state();
        state.queue.len() > state.leaving
    }

    async fn wanted(&self) {
        loop {
            let called = self.0.wanted.notified();
            if self.is_wanted() {
                return;
            }
            called.await;
        }
    }
}

/// Takes those out of the queue that have stopped waiting.
struct Waiting<'a>(&'a Budget);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().queue.retain(|waiting| !waiting.is_closed());
    }
}

impl Permit {
    /// Says that this place becomes free soon, if somebody waits for it.
    fn give_way(&self) -> bool {
        let Some(budget) = &self.budget else { return false };
        let mut state = budget.state();
        let wanted = state.queue.len() > state.leaving;
        if wanted {
            state.leaving += 1;
            self.leaving.store(true, Ordering::Relaxed);
        }
        wanted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            budget.release(self.leaving.load(Ordering::Relaxed));
        }
    }
}

/// Where an account gets its place: at its server and in all.
#[derive(Debug, Clone)]
pub struct Places {
    server: Budget,
    all: Budget,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    server: Permit,
    all: Permit,
}

impl Places {
    /// Places in both of these.
    pub fn new(server: Budget, all: Budget) -> Self {
        Self { server, all }
    }

    /// Waits for a place.
    pub(super) async fn take(&self) -> Place {
        let server = self.server.take().await;
        let all = self.all.take().await;
        Place { places: self.clone(), server, all }
    }
}

impl Place {
    /// Waits until somebody else needs it.
    pub(super) async fn wanted(&self) {
        tokio::select! {
            () = self.places.server.wanted() => {}
            () = self.places.all.wanted() => {}
        }
    }

    /// Whether it is to be given up now, because somebody needs it and not enough others go.
    pub(super) fn give_way(&self) -> bool {
        self.server.give_way() || self.all.give_way()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    fn places(server: usize, all: usize) -> Places {
        Places::new(Budget::new(server), Budget::new(all))
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_in_order() {
        let places = places(1, 10);
        let first = places.take().await;
        assert!(!first.give_way(), "nobody else wants it");
        let (second, third) = (places.take(), places.take());
        tokio::pin!(second, third);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "it came later");
        let second = second.now_or_never().expect("it was its turn");
        drop(second);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_place_is_given_up_for_each_that_waits_and_no_more() {
        let places = places(3, 3);
        let held = [places.take().await, places.take().await, places.take().await];
        let waiting = places.take();
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(held[0].wanted().now_or_never().is_some());
        let gave: Vec<bool> = held.iter().map(Place::give_way).collect();
        assert_eq!(gave, [true, false, false]);
        assert!(held[1].wanted().now_or_never().is_none());
        let [first, ..] = held;
        drop(first);
        assert!(waiting.now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_stops_waiting_makes_nobody_leave() {
        let places = places(1, 1);
        let held = places.take().await;
        {
            let waiting = places.take();
            tokio::pin!(waiting);
            assert!(waiting.as_mut().now_or_never().is_none());
            assert!(held.wanted().now_or_never().is_some());
        }
        assert!(!held.give_way() && held.wanted().now_or_never().is_none());
        // Nor does a place get lost with one that was given and not taken.
        let mut waiting = Box::pin(places.take());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(held);
        drop(waiting);
        assert!(places.take().now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_budget_of_all_holds_across_servers() {
        let all = Budget::new(2);
        let [here, there] = [(); 2].map(|()| Places::new(Budget::new(2), all.clone()));
        let (one, _two) = (here.take().await, here.take().await);
        let third = there.take();
        tokio::pin!(third);
        assert!(third.as_mut().now_or_never().is_none());
        assert!(one.wanted().now_or_never().is_some() && one.give_way());
        drop(one);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_accounts_share_seven_places_and_each_has_its_turns() {
        let places = places(7, 1_000);
        let open = Arc::new(Mutex::new((0_usize, BTreeMap::<usize, u32>::new())));
        let account = |name: usize| {
            let (places, open) = (places.clone(), Arc::clone(&open));
            async move {
                loop {
                    let place = places.take().await;
                    {
                        let mut open = open.lock().expect("whole");
                        open.0 += 1;
                        assert!(open.0 <= 7, "{} are open", open.0);
                        *open.1.entry(name).or_default() += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(100 + 7 * name as u64)).await;
                    while !place.give_way() {
                        place.wanted().await;
                    }
                    open.lock().expect("whole").0 -= 1;
                    drop(place);
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
            }
        };
        let all = futures::future::join_all((0..50).map(account));
        let _ = tokio::time::timeout(Duration::from_mins(10), all).await;
        let turns = open.lock().expect("whole").1.clone();
        let (least, most) = (turns.values().min(), turns.values().max());
        assert_eq!(turns.len(), 50);
        // A round takes some seven seconds.
        assert!(least.is_some_and(|least| *least >= 60), "{least:?} to {most:?}");
        assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 8), "{turns:?}");
    }
}
