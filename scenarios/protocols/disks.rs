//! Stable storage: what a server has written is there again when it comes back from a crash.
//!
//! The disks of all servers are one process on a node of its own, which faults spare, a short way from
//! every server; each server has one value there. A write is over when it is answered: whatever depends on
//! it must wait for that. A write that was still on its way when its server crashed may or may not have
//! happened, but it does not happen later: once a new boot of the server has read its disk, writes of
//! earlier boots are refused, as are repeated ones of this boot that were overtaken by newer ones.

use netsplit::{
    Address, Context, Distribution, ExitReason, Message, Network, NodeId, Path, ReplyTo, micros,
    millis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The node of the disks, and the name of the process there.
pub(super) const DISKS: &str = "disks";
/// A request is repeated when it was not answered for so long.
const REPEAT: Duration = millis(5);

/// What a server asks of its disk. Who asks, and in which boot, is told by where the answer goes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request<T> {
    Read(ReplyTo<T>),
    /// The how-manieth of its boot, and what.
    Write(u64, T, ReplyTo<()>),
}

/// A server's disk, open in one boot of the server.
pub(super) struct Disk<T> {
    disks: Address<Request<T>>,
    writes: u64,
}

impl<T: Message + Clone + Default> Disk<T> {
    /// Opens the disk of this node, and reads what was written last: at first the default.
    pub(super) async fn open() -> (Disk<T>, T) {
        let disks = Address::named(DISKS, DISKS);
        loop {
            if let Ok(value) = disks.call(Request::Read, REPEAT).await {
                return (Disk { disks, writes: 0 }, value);
            }
        }
    }

    /// Writes, in place of what was there before.
    pub(super) async fn write(&mut self, value: &T) {
        self.writes += 1;
        let write = |done| Request::Write(self.writes, value.clone(), done);
        while self.disks.call(write, REPEAT).await.is_err() {}
    }
}

#[derive(Default)]
struct Record<T> {
    value: T,
    /// The boot of the latest request, and how many writes of that boot are done.
    latest: (u32, u64),
}

/// The process of the disks.
pub(super) async fn disks<T: Message + Clone + Default>(
    ctx: Context<Request<T>>,
) -> Result<(), ExitReason> {
    ctx.register(DISKS).map_err(ExitReason::error)?;
    let mut records: BTreeMap<NodeId, Record<T>> = BTreeMap::new();
    loop {
        match ctx.receive_message().await {
            Request::Read(reply_to) => {
                let server = reply_to.caller();
                let record = records.entry(server.node()).or_default();
                record.latest = record.latest.max((server.incarnation(), 0));
                reply_to.reply(record.value.clone());
            }
            Request::Write(nth, value, done) => {
                let server = done.caller();
                let record = records.entry(server.node()).or_default();
                if (server.incarnation(), nth) >= record.latest {
                    *record = Record {
                        value,
                        latest: (server.incarnation(), nth),
                    };
                    done.reply(());
                }
            }
        }
    }
}

/// A network in which each of these servers has a short way to its disk.
pub(super) fn network(servers: &[&str]) -> Network {
    let short = Path::new(Distribution::Constant(micros(100)));
    servers.iter().fold(Network::default(), |network, server| {
        network
            .path(server, DISKS, short.clone())
            .path(DISKS, server, short.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::super::{complain, no_complaint};
    use super::*;
    use netsplit::{Faults, Scenario, secs};

    const STABLE: &str = "a boot reads what was written last, and it stays until the boot writes";

    /// The numbers whose write is over, and has begun.
    type Written = (u32, u32);

    async fn counter(ctx: Context) {
        let (_, at_boot) = Disk::<u32>::open().await;
        ctx.sleep(millis(40)).await;
        let (mut disk, later) = Disk::<u32>::open().await;
        let mut written = Written::default();
        ctx.observe("written", |all: &mut Written| written = *all);
        if later != at_boot || !(written.0..=written.1).contains(&at_boot) {
            let how = format!("{at_boot} was read, then {later}; written was {written:?}");
            complain(&ctx, STABLE, how);
        }
        for number in at_boot + 1.. {
            ctx.observe("written", |written: &mut Written| written.1 = number);
            disk.write(&number).await;
            ctx.observe("written", |written: &mut Written| written.0 = number);
            ctx.sleep(millis(10)).await;
        }
    }

    #[test]
    fn what_is_written_is_there_after_a_crash_and_no_write_of_an_earlier_boot_comes_late() {
        let faults = Faults::calm().lose(0.1).duplicate(0.1);
        let scenario = Scenario::new("counter")
            .node("server", counter)
            .client(DISKS, disks::<u32>)
            .network(network(&["server"]))
            .faults(
                faults
                    .reorder(0.3, millis(30))
                    .crash(millis(300), millis(1)),
            )
            .always(STABLE, |view| no_complaint(view, STABLE))
            .horizon(secs(2));
        let (mut boots, mut writes) = (0, 0);
        for seed in 0..40 {
            let outcome = scenario.run(seed).expect("it can be run");
            assert_eq!(outcome.violation, None, "seed {seed}");
            boots += outcome.plan.faults().len();
            writes += outcome.books.sent;
        }
        assert!(boots > 40 && writes > 4000, "{boots} {writes}");
    }
}
