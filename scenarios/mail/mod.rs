//! mail: letters that are kept until somebody has said that they are done, on disks that lose what was not
//! synced. Each sound scenario has mutants, which drop one safeguard each.

pub(crate) mod queue;

use netsplit::mail::{RedbStore, StoreError};
use netsplit::{Context, Faults, Message, millis, secs};

/// The store of a machine, on its disk.
pub(crate) fn store<M: Message>(ctx: &Context<M>) -> Result<RedbStore, StoreError> {
    RedbStore::open(ctx.files(), "store")
}

/// Everything at once, as a swarm, and of each so much that the half minute in which there is work sees some:
/// all ends crash and lose power, inside of commits too, so that writes are torn and lost; the network is
/// cut, loses up to 30 % and duplicates up to 50 %; disks are slow and hang; processes are killed, hang, and
/// fail to start.
pub(crate) fn storm() -> Faults {
    Faults::chaos()
        .with_processes()
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
