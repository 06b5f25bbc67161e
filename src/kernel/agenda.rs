//! The agenda: what will happen, and when.
//!
//! It owns the entries that wait for their moment (packets under way, timers) and the order in
//! which they come: by their moments, and of equals the one pushed first. It must not know what an
//! entry means: it is generic in its event, and it has no clock of its own.
//!
//! Three parts hold an entry. The slab holds the entry itself and hands out the keys. The wheel
//! holds the order of almost all entries: those not before the wheel's cursor and not too far after
//! it. Whatever is not the wheel's (the far future, the past, too many at once) stands in an ordered
//! tree, which is slower and always right; while it is empty it costs one comparison.
//!
//! ```
//! use netsplit::Time;
//! use netsplit::kernel::Agenda;
//!
//! let mut agenda = Agenda::new();
//! let timer = agenda.push(Time::from_nanos(500), "timer");
//! agenda.push(Time::from_nanos(200), "packet");
//! assert_eq!(agenda.cancel(timer).map(|entry| entry.event), Some("timer"));
//!
//! let (_, entry) = agenda.pop_due(Time::from_nanos(1_000)).unwrap();
//! assert_eq!(entry.event, "packet");
//! assert!(agenda.is_empty());
//! ```

mod bitmap;
mod ordered;
mod slab;
#[cfg(test)]
mod tests;
mod wheel;

use self::ordered::Ordered;
use self::slab::{Home, Slab};
use self::wheel::Wheel;
use super::time::Time;

/// The most entries that an agenda may be given between two calls of [`Agenda::clear`]: 2^52,
/// which is a year of pushes at 142 million a second.
pub(crate) const MOST_PUSHES: u64 = 1 << wheel::ORDER_BITS;

/// Names one entry of one agenda. Once that entry was taken, cancelled or cleared away its key is
/// dead, and no later entry ever has the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    fn new(index: u32, generation: u32) -> Key {
        Key((u64::from(generation) << 32) | u64::from(index))
    }

    pub(super) fn index(self) -> u32 {
        self.0 as u32
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<E> {
    /// When.
    pub at: Time,
    /// How many entries were pushed before it, since the agenda was made or cleared.
    pub order: u64,
    /// What happens, in the words of whoever pushed it.
    pub event: E,
}

/// What will happen, and when; see the module's page.
pub struct Agenda<E> {
    slab: Slab<E>,
    wheel: Wheel,
    ordered: Ordered,
    pushes: u64,
}

impl<E: Copy> Default for Agenda<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Copy> Agenda<E> {
    /// An agenda without entries.
    #[must_use]
    pub fn new() -> Self {
        Agenda {
            slab: Slab::new(),
            wheel: Wheel::new(),
            ordered: Ordered::new(),
            pushes: 0,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an entry that happens at exactly this moment. The moment may lie before that of an
    /// entry popped earlier: then it is simply the next.
    ///
    /// # Panics
    /// At the push after 2^52 others, and when 2^32 entries wait.
    #[inline]
    pub fn push(&mut self, at: Time, event: E) -> Key {
        let order = self.next_order();
        let at_ns = at.as_nanos();
        let key = self.slab.insert(at_ns, order, event);
        if !self.wheel.insert(&mut self.slab, key.index(), at_ns, order) {
            self.push_ordered(key.index(), at_ns, order);
        }
        key
    }

    /// Removes an entry, at once and without a trace: the books of a cancelled timer are closed.
    /// `None` when the key is dead.
    #[inline]
    pub fn cancel(&mut self, key: Key) -> Option<Entry<E>> {
        let index = self.slab.find(key)?;
        match self.slab.home(index) {
            Home::Bucket { level, slot } => {
                let (level, slot) = (usize::from(level), usize::from(slot));
                self.wheel
                    .remove_from_bucket(&mut self.slab, index, level, slot);
            }
            Home::LaidOut => self.wheel.remove_laid_out(&self.slab, index),
            Home::Ordered => self.remove_ordered(index),
        }
        Some(self.slab.remove(index).1)
    }

    /// The entry of this key. `None` when the key is dead.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Entry<E>> {
        Some(self.slab.entry(self.slab.find(key)?))
    }

    /// Whether the entry of this key still waits.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        self.slab.find(key).is_some()
    }

    /// Every entry, in no order that means anything: for reports, since it touches them all.
    pub fn entries(&self) -> impl Iterator<Item = Entry<E>> {
        let alive = self.slab.alive();
        alive.into_iter().map(|index| self.slab.entry(index))
    }

    /// The moment and the key of the first entry. `None` when there are no entries.
    ///
    /// It moves the wheel there, and what is pushed before that moment afterwards takes the slower
    /// path of the ordered tree; who only wants what is due calls [`Agenda::pop_due`] at once.
    pub fn first(&mut self) -> Option<(Time, Key)> {
        let limit_ns = self.ordered.least_ns();
        self.wheel.roll(&mut self.slab, &mut self.ordered, limit_ns);
        let index = match self.wheel.first() {
            Some((at_ns, order)) if self.ordered.is_after(at_ns, order) => self.wheel.first_index(),
            _ => self.ordered.first_index().map(|(_, index)| index),
        }?;
        Some((self.slab.entry(index).at, self.slab.key(index)))
    }

    /// The moment of the first entry. `None` when there are no entries.
    ///
    /// It leaves the wheel where it is, and looks through the first bucket of each of its levels: for who
    /// waits until then, and may push what comes earlier.
    #[must_use]
    pub fn next_at(&self) -> Option<Time> {
        let ordered = self.ordered.first_index().map(|(at_ns, _)| at_ns);
        let wheel = self.wheel.least_ns(&self.slab);
        let least_ns = wheel.into_iter().chain(ordered).min()?;
        Some(Time::from_nanos(least_ns))
    }

    /// Removes the least entry by (moment, order), provided that its moment is not after `until`.
    /// The key returned is the one that its push gave; it is dead now.
    #[inline]
    pub fn pop_due(&mut self, until: Time) -> Option<(Key, Entry<E>)> {
        let until_ns = until.as_nanos();
        let limit_ns = until_ns.min(self.ordered.least_ns());
        let end_ns = until_ns.saturating_add(1).min(self.ordered.least_ns());
        if let Some(index) = self.wheel.pop_in_place(&mut self.slab, end_ns) {
            return Some(self.slab.remove(index));
        }
        self.wheel.roll(&mut self.slab, &mut self.ordered, limit_ns);
        match self.wheel.first() {
            Some((at_ns, order)) if self.ordered.is_after(at_ns, order) => {
                if at_ns > until_ns {
                    return None;
                }
                let index = self.wheel.pop_first();
                Some(self.slab.remove(index))
            }
            _ => self.pop_ordered(until_ns),
        }
    }

    /// Whether there may be an entry at `at` or before it, once one of that moment was popped. It may say
    /// yes where there is none, never no where there is one; it costs next to nothing.
    #[inline(always)]
    #[must_use]
    pub fn may_be_due(&self, at: Time) -> bool {
        let at_ns = at.as_nanos();
        self.ordered.least_ns() <= at_ns || self.wheel.may_hold(at_ns)
    }

    /// Removes all entries; their keys are dead, and the orders of the entries to come begin at 0
    /// again. Touches only what is in use, and keeps the memory for the next run.
    pub fn clear(&mut self) {
        self.slab.clear();
        self.wheel.clear();
        self.ordered.clear();
        self.pushes = 0;
    }

    #[inline]
    fn next_order(&mut self) -> u64 {
        let order = self.pushes;
        assert!(
            order < MOST_PUSHES,
            "an agenda was given {MOST_PUSHES} entries"
        );
        self.pushes = order + 1;
        order
    }

    #[inline(never)]
    fn push_ordered(&mut self, index: u32, at_ns: u64, order: u64) {
        self.slab.set_home(index, Home::Ordered);
        self.ordered.insert(at_ns, order, index);
    }

    fn remove_ordered(&mut self, index: u32) {
        let (at_ns, order) = self.slab.rank(index);
        self.ordered.remove(at_ns, order);
    }

    fn pop_ordered(&mut self, until_ns: u64) -> Option<(Key, Entry<E>)> {
        let (at_ns, index) = self
            .ordered
            .first_index()
            .filter(|first| first.0 <= until_ns)?;
        self.remove_ordered(index);
        self.wheel.move_to(&mut self.slab, &mut self.ordered, at_ns);
        Some(self.slab.remove(index))
    }
}
