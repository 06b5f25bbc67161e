//! notify: a service that wants to tell others when data changes, and grows until it is half an Erlang.
//! An HTTP POST between services is a call here, and the database is a node that faults spare.

pub(crate) mod heartbeats;
pub(crate) mod pod_mailbox;
pub(crate) mod pod_outbox;
pub(crate) mod waiting;

use netsplit::{Faults, millis, secs};

/// Every fault, and of each so many that the few seconds in which there is work see some. Fewer packets are
/// lost than else: a connection, as TCP, waits twice as long each time that it sends one again, and where
/// three in ten are lost that is sometimes longer than such a run.
pub(crate) fn storm() -> Faults {
    Faults::chaos()
        .lose(0.05)
        .crash(secs(2), millis(200))
        .power_cut(secs(4), millis(500))
        .stop(secs(4), millis(200))
        .pause(secs(2), millis(500))
        .zombie(secs(4), secs(1))
        .partition(secs(2), secs(1))
        .break_connections(secs(2))
}
