//! Letters that are taken back from consumers which have done nothing wrong, or nothing at all.

use super::{Held, State, Tag, Turn};
use std::collections::BTreeSet;

impl State {
    /// The consumers that have had a letter for longer than they may, unsettled. They are looked for four
    /// times in the time that they have.
    pub(crate) fn overdue(&mut self, turn: &Turn) -> Vec<Tag> {
        let most = self.bounds.ack_timeout_ns;
        if turn.uptime < self.next_look {
            return Vec::new();
        }
        self.next_look = turn.uptime.saturating_add(most / 4 + 1);
        let held = self.unacked.values();
        let overdue = held.filter(|held| turn.uptime - held.since >= most);
        let overdue: BTreeSet<Tag> = overdue.map(|held| held.by).collect();
        overdue.into_iter().collect()
    }

    /// When consumers are looked at next: where one has a letter.
    pub(crate) fn next_look(&self) -> Option<u64> {
        (!self.unacked.is_empty()).then_some(self.next_look)
    }

    /// Takes all letters back from their consumers, to their places: nobody is to blame. They are given out
    /// again at once, as another attempt.
    pub(crate) fn redeliver(&mut self, turn: &mut Turn) {
        let mut all: Vec<Held> = self.unacked.drain().map(|(_, held)| held).collect();
        all.sort_unstable_by_key(|held| (held.queue, held.place));
        for mut held in all {
            self.free_a_place(&held);
            if std::mem::take(&mut held.has_begun) {
                held.record.tries -= 1;
                turn.records.set(held.queue, held.place, Some(held.record));
            }
            self.give_back(held, false, turn);
        }
        self.settle_down(turn);
    }
}
