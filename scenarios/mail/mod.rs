//! mail: letters that are kept until somebody has said that they are done, on disks that lose what was not
//! synced. Each sound scenario has mutants, which drop one safeguard each.

pub(crate) mod by_hand;
mod hasty;
pub(crate) mod lease;
mod ledger;
pub(crate) mod outbox;
pub(crate) mod queue;

use netsplit::mail::{RedbStore, StoreError};
use netsplit::{BackOff, Context, Faults, Info, Message, Supervisor, millis, secs};

/// The store of a machine, on its disk.
pub(crate) fn store<M: Message>(ctx: &Context<M>) -> Result<RedbStore, StoreError> {
    RedbStore::open(ctx.files(), "store")
}

/// A machine that is looked after: where its tree has ended, as when its disk failed at the first start of a
/// child, it is planted again. Children wait before they are started again, as what they need may be gone for
/// a while.
pub(crate) async fn machine(ctx: Context, tree: impl Fn() -> Supervisor) {
    loop {
        let tree = tree().back_off(BackOff::new(millis(100), secs(1)));
        let (_, monitor) = ctx.spawn_monitor(move |ctx| tree.run(ctx));
        let has_ended =
            |info: &Info| matches!(info, Info::Down { monitor: of, .. } if *of == monitor);
        ctx.receive_info(has_ended).await;
        ctx.sleep(millis(500)).await;
    }
}

/// Everything at once, as a swarm, and of each so much that the half minute in which there is work sees some:
/// all ends crash and lose power, inside of commits too, so that writes are torn and lost; the network is
/// cut, loses up to 30 % and duplicates up to 50 %; disks are slow, hang, fail and are full; processes are
/// killed, hang, and fail to start; acks are lost, late and doubled, brokers and outboxes go down, and send
/// all again.
pub(crate) fn storm() -> Faults {
    Faults::chaos()
        .with_processes()
        .with_disks()
        .with_mail()
        .crash(secs(10), secs(1))
        .crash_calls(100)
        .power_cut(secs(20), secs(2))
        .pause(secs(15), secs(1))
        .zombie(secs(30), secs(5))
        .partition(secs(10), secs(3))
        .stall_disks(0.01, millis(100))
        .slow_disks(secs(30), 10, secs(3))
        .hang_disks(secs(30), secs(1))
}
