//! The books: every copy of a message has one fate, and both ends count it by themselves.

use super::event::DeadReason;
use super::ids::{MessageId, NodeId};
use std::fmt;

/// What became of a copy of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Taken by its receiver.
    Received,
    /// Still in the mailbox when its receiver ended.
    Unread,
    /// An answer that came when nobody waited for it any more.
    Stale,
    /// Dropped by a fault.
    Lost,
    /// Sent to nobody, or not to be decoded.
    Dead(DeadReason),
    /// On its way, or in the mailbox of a live process, when the run ended.
    InFlight,
}

/// Sums of one side: how many copies, and their fingerprints added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Side {
    copies: u64,
    prints: u64,
}

impl Side {
    #[inline(always)]
    fn add(&mut self, id: MessageId) {
        // Wrapping: 2^64 copies are beyond any run, and this is on the path of every message.
        self.copies = self.copies.wrapping_add(1);
        self.prints = self.prints.wrapping_add(id.fingerprint());
    }

    fn take_back(&mut self, id: MessageId) {
        self.copies -= 1;
        self.prints = self.prints.wrapping_sub(id.fingerprint());
    }

    fn join(&mut self, other: Side) {
        self.copies += other.copies;
        self.prints = self.prints.wrapping_add(other.prints);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    sent: Side,
    received: Side,
    ended: Side,
    unread: u64,
    stale: u64,
    lost: u64,
    in_flight: u64,
    dead: [u64; DeadReason::COUNT],
}

/// The totals of a run's books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Copies that were sent; a duplicate counts as one.
    pub sent: u64,
    /// Copies taken by their receivers.
    pub received: u64,
    /// Copies unread at their receiver's end.
    pub unread: u64,
    /// Answers that came too late.
    pub stale: u64,
    /// Copies dropped by a fault.
    pub lost: u64,
    /// Copies on their way at the end.
    pub in_flight: u64,
    /// Dead letters.
    pub dead: u64,
    /// Of those, the ones whose type the receiver does not take: mostly a mistake in a test.
    pub other_type: u64,
}

/// Books that do not balance: a bug of netsplit, never of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the books do not balance: {sent} copies were sent and {ended} have a fate{}",
    if *.sent == *.ended { ", but not the same ones" } else { "" }
)]
pub struct BooksError {
    /// Copies sent.
    pub sent: u64,
    /// Copies with a fate.
    pub ended: u64,
}

/// What was sent and what became of it, per node. Kept always.
#[derive(Clone, Debug, Default)]
pub struct Books(Vec<Page>);

impl Books {
    /// Opens a page for each of `nodes` nodes.
    pub fn open(&mut self, nodes: usize) {
        self.0.resize(nodes.max(self.0.len()), Page::default());
    }

    /// `node` sent this copy, or a duplicate of its packet was made.
    #[inline(always)]
    pub fn sent(&mut self, node: NodeId, id: MessageId) {
        self.0[node.index()].sent.add(id);
    }

    /// A process on `node` took this copy.
    #[inline(always)]
    pub fn received(&mut self, node: NodeId, id: MessageId) {
        self.0[node.index()].received.add(id);
    }

    /// A process on `node` has put this copy off, which it had taken: its fate is open again.
    pub fn postponed(&mut self, node: NodeId, id: MessageId) {
        self.0[node.index()].received.take_back(id);
    }

    /// This copy ended otherwise, at `node`.
    pub fn ended(&mut self, node: NodeId, id: MessageId, fate: Fate) {
        let page = &mut self.0[node.index()];
        page.ended.add(id);
        match fate {
            Fate::Received => page.received.copies += 1,
            Fate::Unread => page.unread += 1,
            Fate::Stale => page.stale += 1,
            Fate::Lost => page.lost += 1,
            Fate::Dead(reason) => page.dead[reason as usize] += 1,
            Fate::InFlight => page.in_flight += 1,
        }
    }

    /// The totals over all nodes.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for page in &self.0 {
            totals.sent += page.sent.copies;
            totals.received += page.received.copies;
            totals.unread += page.unread;
            totals.stale += page.stale;
            totals.lost += page.lost;
            totals.in_flight += page.in_flight;
            totals.dead += page.dead.iter().sum::<u64>();
            totals.other_type += page.dead[DeadReason::OtherType as usize];
        }
        totals
    }

    /// How many dead letters there were for this reason, over all nodes.
    #[must_use]
    pub fn dead(&self, why: DeadReason) -> u64 {
        self.0.iter().map(|page| page.dead[why as usize]).sum()
    }

    /// Whether every copy that was sent has one fate, once what is in flight was counted too.
    ///
    /// # Errors
    /// [`BooksError`] where the counts or the copies themselves differ.
    pub fn balance(&self) -> Result<Totals, BooksError> {
        let (mut sent, mut ended) = (Side::default(), Side::default());
        for page in &self.0 {
            sent.join(page.sent);
            ended.join(page.received);
            ended.join(page.ended);
        }
        if sent == ended {
            Ok(self.totals())
        } else {
            Err(BooksError {
                sent: sent.copies,
                ended: ended.copies,
            })
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent: {} received", self.sent, self.received)?;
        let rest = [
            (self.unread, "unread"),
            (self.stale, "stale"),
            (self.lost, "lost"),
            (self.in_flight, "in flight"),
            (self.dead, "dead letters"),
        ];
        for (count, word) in rest {
            if count > 0 {
                write!(f, ", {count} {word}")?;
            }
        }
        if self.other_type > 0 {
            let count = self.other_type;
            write!(f, " ({count} of a type that the receiver does not take)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::Pid;
    use super::*;

    fn id(nth: u32) -> MessageId {
        MessageId::new(Pid::new(NodeId(0), 0, 1, 0), nth)
    }

    fn books(fates: &[(u32, Fate)]) -> Books {
        let mut books = Books::default();
        books.open(2);
        for nth in 1..=3 {
            books.sent(NodeId(0), id(nth));
        }
        for (nth, fate) in fates {
            match fate {
                Fate::Received => books.received(NodeId(1), id(*nth)),
                other => books.ended(NodeId(1), id(*nth), *other),
            }
        }
        books
    }

    #[test]
    fn books_balance_when_every_copy_has_one_fate() {
        let fates = [(2, Fate::Received), (1, Fate::Lost), (3, Fate::Unread)];
        let totals = books(&fates).balance().expect("balanced");
        assert_eq!(
            (totals.sent, totals.received, totals.lost, totals.unread),
            (3, 1, 1, 1)
        );
    }

    #[test]
    fn a_copy_without_a_fate_is_found() {
        let error = books(&[(2, Fate::Received), (1, Fate::Lost)])
            .balance()
            .unwrap_err();
        assert_eq!((error.sent, error.ended), (3, 2));
    }

    #[test]
    fn one_copy_lost_and_another_counted_twice_is_found() {
        let fates = [
            (2, Fate::Received),
            (1, Fate::Received),
            (1, Fate::Received),
        ];
        let error = books(&fates).balance().unwrap_err();
        assert!(error.to_string().contains("not the same ones"), "{error}");
    }
}
