use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn shard(number: u16) -> Shard {
    Shard::new(number.into()).expect("there are more")
}

fn all() -> Shards {
    (0..SHARDS).map(Shard).collect()
}

fn free() -> Vec<Holding> {
    (0..SHARDS).map(|n| Holding { shard: shard(n), owner: None, epoch: 0 }).collect()
}

#[test]
fn a_set_of_shards_comes_back_from_its_bytes() {
    let some: Shards = [0, 7, 8, 4095].map(shard).into_iter().collect();
    let bytes = some.to_bytes();
    assert_eq!((bytes.len(), bytes[0], bytes[1], bytes[511]), (512, 0x81, 0x01, 0x80));
    assert_eq!(Shards::from_bytes(&bytes), some);
    assert_eq!(Shards::from_bytes(&all().to_bytes()), all());
    assert_eq!(Shards::from_bytes(&[]), Shards::default());
    assert_eq!((Shard::new(4096), Shard::new(-1)), (None, None));
}

#[test]
fn a_lease_is_trusted_for_less_time_than_others_wait() {
    assert_eq!(trusted_until(Duration::from_secs(100)), Duration::from_secs(114));
    assert_eq!(trusted_until(Duration::MAX), Duration::MAX);
}

#[test]
fn who_is_alone_takes_all_that_it_has_accounts_in_and_nothing_else() {
    let mine: Shards = [shard(1), shard(9)].into_iter().collect();
    let duties = duties(InstanceId(1), &mine, &[], &free());
    assert_eq!(duties, Duties { take: vec![shard(1), shard(9)], hand_over: vec![] });
}

#[test]
fn who_comes_gets_a_fair_part_and_who_has_no_accounts_gets_nothing() {
    let [a, b, c] = [InstanceId(11), InstanceId(-7), InstanceId(i64::MAX)];
    let of_a: Vec<Holding> =
        free().into_iter().map(|one| Holding { owner: Some(a), ..one }).collect();
    let two = duties(a, &all(), &[(b, all())], &of_a).hand_over;
    assert!((1800..2300).contains(&two.len()), "{}", two.len());
    let three = duties(a, &all(), &[(b, all()), (c, all())], &of_a).hand_over;
    assert!((2500..2950).contains(&three.len()), "{}", three.len());
    // Nothing that A was to keep beside B alone goes to B because of C.
    let of_b = duties(b, &all(), &[(a, all()), (c, all())], &free()).take;
    assert!(of_b.iter().all(|shard| two.contains(shard)));
    assert_eq!(duties(a, &all(), &[(c, Shards::default())], &of_a), Duties::default());
    // Who wants nothing any more, because it stops, gives everything away.
    assert_eq!(duties(a, &Shards::default(), &[], &of_a).hand_over.len(), 4096);
}

#[test]
fn every_free_shard_is_taken_by_exactly_one() {
    let everybody = [InstanceId(3), InstanceId(4), InstanceId(5)];
    let mut taken = Vec::new();
    for me in everybody {
        let others: Vec<_> =
            everybody.iter().filter(|id| **id != me).map(|id| (*id, all())).collect();
        taken.extend(duties(me, &all(), &others, &free()).take);
    }
    taken.sort_unstable();
    assert_eq!(taken, all().iter().collect::<Vec<_>>());
}

/// Looks once a second, at instances that have renewed so often; one answer takes no time.
fn looks(lives: &mut Lives, seconds: std::ops::Range<u64>, renewals: impl Fn(u64) -> i64) {
    for second in seconds {
        let now = SECOND * u32::try_from(second).expect("few");
        lives.look(now, now, [(InstanceId(1), renewals(second))]);
    }
}

#[test]
fn who_is_silent_for_the_whole_time_has_lost_its_lease() {
    let mut lives = Lives::default();
    looks(&mut lives, 100..116, |second| if second < 103 { 1 } else { 2 });
    assert_eq!((lives.over(), lives.is_well(InstanceId(1))), (vec![], false));
    looks(&mut lives, 116..118, |_| 2);
    assert_eq!(lives.over(), []);
    looks(&mut lives, 118..119, |_| 2);
    assert_eq!(lives.over(), [(InstanceId(1), 2)]);
    looks(&mut lives, 119..120, |_| 3);
    assert_eq!((lives.over(), lives.is_well(InstanceId(1))), (vec![], true));
}

#[test]
fn who_renews_is_well_however_its_count_goes() {
    let mut lives = Lives::default();
    // A database that was restored counts from below.
    looks(&mut lives, 100..200, |second| 1000 - i64::try_from(second / 5).expect("few"));
    assert!(lives.is_well(InstanceId(1)));
    assert_eq!((lives.silence(InstanceId(2)), lives.is_well(InstanceId(2))), (None, false));
}

#[test]
fn silence_of_the_database_is_nobodys_silence() {
    let mut lives = Lives::default();
    looks(&mut lives, 100..110, |_| 1);
    looks(&mut lives, 140..154, |_| 1);
    assert_eq!(lives.over(), []);
    looks(&mut lives, 154..156, |_| 1);
    assert_eq!(lives.over(), [(InstanceId(1), 1)]);
}
