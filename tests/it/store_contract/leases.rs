//! Leases, which only a database on a server has.

use tempfile::TempDir;
use triaged::store::{Leases, Store, StoreError, Tenure, shard_of};
use triaged_core::lease::{Shard, Shards};

use super::{at, cursor, inbox, planned, uid_of};
use crate::harness::Database;
use triaged::store::Action;

fn alice() -> Shard {
    shard_of("alice")
}

fn shards() -> Shards {
    [alice()].into_iter().collect()
}

/// The leases of a daemon with a state folder of its own.
fn another(store: &Store) -> (TempDir, Leases) {
    let state = TempDir::new().unwrap();
    let leases = store.leases(state.path()).unwrap();
    (state, leases)
}

async fn taken(leases: &mut Leases, name: &str) -> Tenure {
    let id = leases.register(name, &shards(), at(0)).await.unwrap();
    let taken = leases.take(id, &[alice()]).await.unwrap();
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken[0]
}

#[tokio::test]
async fn what_is_written_under_an_old_epoch_is_refused_as_a_whole() {
    let Some(database) = Database::postgresql() else { return };
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let ((_a, mut one), (_b, mut two)) = (another(&store), another(&store));
    let first = taken(&mut one, "one").await;
    let old = store.under(first);
    let message = |n| [planned(n, Action::Label, &["triaged-urgent"])];
    let effects = old.plan(&mailbox, &message(5), at(1)).await.unwrap();
    assert_eq!(effects.len(), 1);

    assert!(two.remove(first.instance, 0).await.unwrap());
    let second = taken(&mut two, "two").await;
    assert_eq!((second.shard, second.epoch), (first.shard, first.epoch + 1));
    let refused = old.plan(&mailbox, &message(6), at(2)).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let mut kept = mailbox;
    let done = vec![(effects[0].clone(), triaged::store::EffectState::Done)];
    let refused = old.settle(&mut kept, uid_of(7), &done, at(2)).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    assert!(matches!(
        old.begin_mailbox(mailbox.account, "Other", cursor(1, 1)).await,
        Err(StoreError::Fenced)
    ));
    assert!(matches!(old.set_traffic(mailbox.account, 1, 1).await, Err(StoreError::Fenced)));

    let new = store.under(second);
    let decided = new.decided_uids(&mailbox).await.unwrap();
    assert_eq!(decided.len(), 1, "nothing of it was written: {decided:?}");
    new.settle(&mut kept, uid_of(7), &done, at(3)).await.unwrap();
    assert!(!one.renew(first.instance).await.unwrap(), "it is fenced");
}

#[tokio::test]
async fn a_lease_that_was_renewed_is_not_ended_and_a_shard_has_one_owner() {
    let Some(database) = Database::postgresql() else { return };
    let store = database.open().await;
    let ((state, mut one), (_b, mut two)) = (another(&store), another(&store));
    let first = taken(&mut one, "one").await;
    assert!(one.renew(first.instance).await.unwrap());
    assert!(!two.remove(first.instance, 0).await.unwrap(), "it was seen before it renewed");
    let second = two.register("two", &shards(), at(0)).await.unwrap();
    assert_eq!(two.take(second, &[alice()]).await.unwrap(), []);
    two.release(second, &[alice()]).await.unwrap();
    let table = two.look(&shards()).await.unwrap();
    let names: Vec<_> = table.instances.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(table.holdings[0].owner, Some(first.instance), "only its owner lets it go");
    assert_eq!(table.instances[0].shards, shards());

    // The next life on the same state folder ends the one before.
    let mut next = store.leases(state.path()).unwrap();
    let third = next.register("one", &shards(), at(1)).await.unwrap();
    let table = next.look(&shards()).await.unwrap();
    assert!(table.instances.iter().all(|one| one.id != first.instance));
    assert_eq!(table.holdings[0].owner, None);
    let tenure = next.take(third, &[alice()]).await.unwrap();
    assert_eq!(tenure[0].epoch, first.epoch + 1);
    next.leave(third).await.unwrap();
    let free = next.look(&shards()).await.unwrap();
    assert_eq!((free.holdings[0].owner, free.holdings[0].epoch), (None, first.epoch + 1));
}

/// A shard must be what it was, or daemons of two versions would both think that an account is theirs.
#[test]
fn the_shard_of_a_name_is_what_it_always_was() {
    let numbers = ["alice", "anna", "user@example.org", ""].map(|name| shard_of(name).get());
    assert_eq!(numbers, [1095, 3653, 2307, 422]);
}
