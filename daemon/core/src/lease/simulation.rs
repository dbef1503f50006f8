//! What no order of events may bring about, between daemons that do what this module says.

use proptest::prelude::*;

use super::*;

/// Everything that can happen to daemons that share a database: time passes, one of them asks the
/// database for something, the database does it, the answer arrives; a daemon that is frozen is one
/// that does nothing, and a database that hangs is one that does nothing.
#[derive(Debug, Clone, Copy)]
enum Event {
    Pass(u16),
    Renew(usize),
    Look(usize),
    Act(usize),
    Serve(usize),
    Hear(usize),
    Die(usize),
    /// So many seconds in which the daemons of the mask do all that they should, and the others are
    /// frozen where they stand.
    Go(u8, u16),
}

fn event() -> impl Strategy<Value = Event> {
    let daemon = 0..3usize;
    prop_oneof![
        3 => (1u16..6000).prop_map(Event::Pass),
        4 => daemon.clone().prop_map(Event::Renew),
        6 => daemon.clone().prop_map(Event::Look),
        5 => daemon.clone().prop_map(Event::Act),
        12 => daemon.clone().prop_map(Event::Serve),
        12 => daemon.clone().prop_map(Event::Hear),
        1 => daemon.prop_map(Event::Die),
        6 => (0..8u8, 1..25u16).prop_map(|(mask, seconds)| Event::Go(mask, seconds)),
    ]
}

/// The database: see the migration "sharing".
#[derive(Debug, Default)]
struct Database {
    instances: BTreeMap<InstanceId, i64>,
    owners: BTreeMap<Shard, Option<InstanceId>>,
}

#[derive(Debug, Clone)]
enum Question {
    Renew,
    Look,
    Take(Vec<Shard>),
    Release(Vec<Shard>),
    Remove(Vec<(InstanceId, i64)>),
}

#[derive(Debug, Clone)]
enum Answer {
    Renewed(bool),
    Looked(Vec<(InstanceId, i64)>, Vec<Holding>),
    Taken(Vec<Shard>),
    Done,
}

/// A daemon as `ownership` is one: one question at a time.
#[derive(Debug)]
struct Node {
    id: InstanceId,
    /// What its own clock is ahead of the test's.
    boot: Duration,
    lives: Lives,
    holdings: Vec<Holding>,
    others: Vec<InstanceId>,
    held: BTreeSet<Shard>,
    trusted: Duration,
    open: Option<(Duration, Question, Option<Answer>)>,
}

impl Node {
    fn new(id: i64, now: Duration, database: &mut Database) -> Self {
        let boot = Duration::from_hours(id.unsigned_abs());
        database.instances.insert(InstanceId(id), 0);
        Self {
            id: InstanceId(id),
            boot,
            lives: Lives::default(),
            holdings: vec![],
            others: vec![],
            held: BTreeSet::new(),
            trusted: trusted_until(now + boot),
            open: None,
        }
    }

    fn ask(&mut self, now: Duration, question: Question) {
        if self.open.is_none() {
            self.open = Some((now + self.boot, question, None));
        }
    }

    fn act(&mut self, now: Duration, wanted: &Shards) {
        if self.open.is_some() {
            return;
        }
        let over = self.lives.over();
        let well = self.others.iter().filter(|id| self.lives.is_well(**id));
        let others: Vec<_> = well.map(|id| (*id, wanted.clone())).collect();
        let duties = duties(self.id, wanted, &others, &self.holdings);
        if !over.is_empty() {
            self.ask(now, Question::Remove(over));
        } else if !duties.hand_over.is_empty() {
            for shard in &duties.hand_over {
                self.held.remove(shard);
            }
            self.ask(now, Question::Release(duties.hand_over));
        } else if !duties.take.is_empty() {
            self.ask(now, Question::Take(duties.take));
        }
    }

    fn serve(&mut self, database: &mut Database) {
        let Some((_, question, answer @ None)) = &mut self.open else { return };
        let mine = |owner: &Option<InstanceId>| *owner == Some(self.id);
        *answer = Some(match question {
            Question::Renew => {
                let renewals = database.instances.get_mut(&self.id);
                Answer::Renewed(renewals.map(|count| *count += 1).is_some())
            }
            Question::Look => {
                let holdings = database.owners.iter().map(|(shard, owner)| Holding {
                    shard: *shard,
                    owner: *owner,
                    epoch: 0,
                });
                let instances = database.instances.iter().map(|(id, count)| (*id, *count));
                Answer::Looked(instances.collect(), holdings.collect())
            }
            Question::Take(shards) => {
                let mut taken = Vec::new();
                for shard in shards.iter() {
                    let owner = database.owners.get_mut(shard).expect("it is there");
                    if owner.is_none() && database.instances.contains_key(&self.id) {
                        *owner = Some(self.id);
                        taken.push(*shard);
                    }
                }
                Answer::Taken(taken)
            }
            Question::Release(shards) => {
                for shard in shards.iter() {
                    let owner = database.owners.get_mut(shard).expect("it is there");
                    *owner = owner.filter(|_| !mine(owner));
                }
                Answer::Done
            }
            Question::Remove(over) => {
                for (id, count) in over.iter() {
                    if database.instances.get(id) == Some(count) {
                        database.instances.remove(id);
                        let owners = database.owners.values_mut();
                        owners.filter(|owner| **owner == Some(*id)).for_each(|owner| *owner = None);
                    }
                }
                Answer::Done
            }
        });
    }

    /// `false` when it was fenced.
    fn hear(&mut self, now: Duration) -> bool {
        let Some((asked, question, Some(answer))) = self.open.take() else { return true };
        match answer {
            Answer::Renewed(false) => return false,
            Answer::Renewed(true) => self.trusted = self.trusted.max(trusted_until(asked)),
            Answer::Looked(instances, holdings) => {
                self.others =
                    instances.iter().map(|(id, _)| *id).filter(|id| *id != self.id).collect();
                self.lives.look(asked, now + self.boot, instances);
                let owned = holdings.iter().filter(|one| one.owner == Some(self.id));
                self.held = owned.map(|one| one.shard).collect();
                self.holdings = holdings;
            }
            Answer::Taken(taken) => self.held.extend(taken),
            Answer::Done => {
                // What is known of the shards is old: the next look says how they stand.
                debug_assert!(!matches!(question, Question::Take(_)));
                self.holdings.clear();
            }
        }
        true
    }

    fn works_on(&self, shard: Shard, now: Duration) -> bool {
        self.held.contains(&shard) && now + self.boot < self.trusted
    }
}

struct World {
    now: Duration,
    database: Database,
    nodes: Vec<Node>,
    wanted: Shards,
    lives: i64,
}

impl World {
    fn new() -> Self {
        let wanted: Shards = (0..12).map(Shard).collect();
        let owners = wanted.iter().map(|shard| (shard, None)).collect();
        let mut database = Database { owners, ..Database::default() };
        let now = Duration::from_secs(1000);
        let nodes = (0..3).map(|id| Node::new(id, now, &mut database)).collect();
        Self { now, database, nodes, wanted, lives: 3 }
    }

    /// A daemon ends, or finds itself fenced: another life begins in its place.
    fn begin_anew(&mut self, node: usize) {
        self.lives += 1;
        self.nodes[node] = Node::new(self.lives, self.now, &mut self.database);
    }

    fn happen(&mut self, event: Event) {
        let Self { now, database, nodes, wanted, .. } = self;
        match event {
            Event::Pass(milliseconds) => *now += Duration::from_millis(milliseconds.into()),
            Event::Renew(node) => nodes[node].ask(*now, Question::Renew),
            Event::Look(node) => nodes[node].ask(*now, Question::Look),
            Event::Act(node) => nodes[node].act(*now, wanted),
            Event::Serve(node) => nodes[node].serve(database),
            Event::Hear(node) => {
                if !nodes[node].hear(*now) {
                    self.begin_anew(node);
                }
            }
            Event::Die(node) => self.begin_anew(node),
            Event::Go(mask, seconds) => self.go(mask, seconds),
        }
        for shard in self.wanted.iter() {
            let working: Vec<_> =
                self.nodes.iter().filter(|node| node.works_on(shard, self.now)).collect();
            assert!(working.len() <= 1, "{shard:?} at {:?}: {working:#?}", self.now);
        }
    }

    /// The daemons of the mask are well and the database answers them, for so many seconds.
    fn go(&mut self, mask: u8, seconds: u16) {
        for second in 0..seconds {
            for node in (0..self.nodes.len()).filter(|node| mask >> node & 1 == 1) {
                let asks = [Event::Renew(node), Event::Look(node), Event::Act(node)];
                let asks = if second % 5 == 0 { &asks[..] } else { &asks[1..] };
                for ask in asks {
                    for event in [Event::Serve(node), Event::Hear(node), *ask] {
                        self.happen(event);
                    }
                }
                self.happen(Event::Serve(node));
                self.happen(Event::Hear(node));
            }
            self.happen(Event::Pass(1000));
        }
    }
}

/// All daemons of a world.
const ALL: u8 = 0b111;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_two_ever_work_on_a_shard_and_in_the_end_each_has_one(
        events in prop::collection::vec(event(), 0..80),
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.go(ALL, 40);
        let now = world.now;
        for shard in world.wanted.clone().iter() {
            let working = world.nodes.iter().filter(|node| node.works_on(shard, now)).count();
            prop_assert_eq!(working, 1, "{:?}", shard);
        }
    }
}

#[test]
fn a_shard_whose_owner_has_gone_silent_is_worked_on_again_within_twenty_seconds() {
    let mut world = World::new();
    world.go(ALL, 10);
    let (frozen, now) = (world.nodes.remove(0), world.now);
    assert!(!frozen.held.is_empty());
    let mut waited = 0;
    while !world
        .wanted
        .iter()
        .all(|shard| world.nodes.iter().any(|one| one.works_on(shard, world.now)))
    {
        world.go(ALL, 1);
        waited += 1;
        assert!(waited <= 17, "{waited} seconds");
    }
    assert!(frozen.held.iter().all(|shard| !frozen.works_on(*shard, now + TTL)));
}
