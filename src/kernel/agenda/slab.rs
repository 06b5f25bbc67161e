//! The entries themselves, in one block of memory; which keys are alive; the links that make the
//! wheel's buckets. It must not know what order entries come in.

use super::{Entry, Key};
use crate::kernel::time::Time;

/// No slot: the end of a chain.
pub(super) const NONE: u32 = u32::MAX;

/// The generation of a slot that has had all others. It is never used again, so that a key stays
/// dead for ever and does not come back after 2^32 entries in one slot.
const RETIRED: u32 = u32::MAX;

/// Who keeps the order of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// This bucket of the wheel.
    Bucket { level: u8, slot: u16 },
    /// The entries that the wheel has laid out for popping.
    LaidOut,
    /// The ordered tree.
    Ordered,
}

struct Slot<E> {
    at_ns: u64,
    order: u64,
    event: E,
    /// Of the entry that is here, or of the next one to come.
    generation: u32,
    home: Home,
}

/// The neighbours in a bucket; `next` also chains the free slots.
#[derive(Clone, Copy)]
struct Link {
    next: u32,
    previous: u32,
}

/// The entries and the free places between them.
pub(super) struct Slab<E> {
    slots: Vec<Slot<E>>,
    /// Of each slot; apart from it, since a walk along a chain is then a walk in little memory,
    /// and what it finds in the slots can be fetched ahead.
    links: Vec<Link>,
    /// The slots below this were in use since the last `clear`; those above are left from before.
    used: usize,
    first_free: u32,
    len: usize,
}

impl<E: Copy> Slab<E> {
    pub(super) fn new() -> Self {
        Slab {
            slots: Vec::new(),
            links: Vec::new(),
            used: 0,
            first_free: NONE,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Stores an entry. Its home is set by whoever takes it.
    #[inline]
    pub(super) fn insert(&mut self, at_ns: u64, order: u64, event: E) -> Key {
        let index = self.first_free;
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return self.insert_fresh(at_ns, order, event);
        };
        self.first_free = self.links[index as usize].next;
        self.len += 1;
        slot.at_ns = at_ns;
        slot.order = order;
        slot.event = event;
        Key::new(index, slot.generation)
    }

    /// Stores an entry in a slot that was not in use since the last `clear`.
    #[cold]
    fn insert_fresh(&mut self, at_ns: u64, order: u64, event: E) -> Key {
        let mut generation = 0;
        while let Some(slot) = self.slots.get(self.used) {
            generation = slot.generation.saturating_add(1);
            if generation != RETIRED {
                break;
            }
            self.slots[self.used].generation = RETIRED;
            self.used += 1;
            generation = 0;
        }
        let index = u32::try_from(self.used).ok().filter(|index| *index != NONE);
        let index = index.expect("fewer than 2^32 entries wait");
        let slot = Slot {
            at_ns,
            order,
            event,
            generation,
            home: Home::Ordered,
        };
        match self.slots.get_mut(self.used) {
            Some(old) => *old = slot,
            None => {
                self.slots.push(slot);
                self.links.push(Link {
                    next: NONE,
                    previous: NONE,
                });
            }
        }
        self.used += 1;
        self.len += 1;
        Key::new(index, generation)
    }

    /// Removes an entry that no order holds any more; its key is dead from here on.
    #[inline]
    pub(super) fn remove(&mut self, index: u32) -> (Key, Entry<E>) {
        let found = (self.key(index), self.entry(index));
        let slot = &mut self.slots[index as usize];
        debug_assert_ne!(slot.generation, RETIRED, "a retired slot holds no entry");
        slot.generation += 1;
        self.len -= 1;
        if slot.generation != RETIRED {
            self.links[index as usize].next = self.first_free;
            self.first_free = index;
        }
        found
    }

    /// The slots that hold entries.
    pub(super) fn alive(&self) -> Vec<u32> {
        let mut free = vec![false; self.used];
        let mut next = self.first_free;
        while let Some(place) = free.get_mut(next as usize) {
            *place = true;
            next = self.links[next as usize].next;
        }
        let holds = |index: &u32| {
            let place = *index as usize;
            !free[place] && self.slots[place].generation != RETIRED
        };
        (0..self.used as u32).filter(holds).collect()
    }

    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.first_free = NONE;
        self.len = 0;
    }

    /// The slot of a key that is alive.
    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        let index = key.index();
        let slot = self.slots[..self.used].get(index as usize)?;
        (slot.generation == key.generation()).then_some(index)
    }

    #[inline]
    pub(super) fn key(&self, index: u32) -> Key {
        Key::new(index, self.slots[index as usize].generation)
    }

    #[inline]
    pub(super) fn entry(&self, index: u32) -> Entry<E> {
        let slot = &self.slots[index as usize];
        Entry {
            at: Time::from_nanos(slot.at_ns),
            order: slot.order,
            event: slot.event,
        }
    }

    /// Moment and order.
    #[inline]
    pub(super) fn rank(&self, index: u32) -> (u64, u64) {
        let slot = &self.slots[index as usize];
        (slot.at_ns, slot.order)
    }

    #[inline]
    pub(super) fn home(&self, index: u32) -> Home {
        self.slots[index as usize].home
    }

    #[inline]
    pub(super) fn set_home(&mut self, index: u32, home: Home) {
        self.slots[index as usize].home = home;
    }

    /// The next entry of the same bucket.
    #[inline]
    pub(super) fn next(&self, index: u32) -> u32 {
        self.links[index as usize].next
    }

    /// Puts an entry at the head of a bucket's chain, whose head so far (or `NONE`) is `head`.
    #[inline]
    pub(super) fn link(&mut self, index: u32, level: usize, slot: usize, head: u32) {
        let home = Home::Bucket {
            level: level as u8,
            slot: slot as u16,
        };
        self.slots[index as usize].home = home;
        self.links[index as usize] = Link {
            next: head,
            previous: NONE,
        };
        if let Some(old_head) = self.links.get_mut(head as usize) {
            old_head.previous = index;
        }
    }

    /// Takes an entry out of its chain. Returns its neighbours (previous, next).
    #[inline]
    pub(super) fn unlink(&mut self, index: u32) -> (u32, u32) {
        let Link { next, previous } = self.links[index as usize];
        if let Some(link) = self.links.get_mut(previous as usize) {
            link.next = next;
        }
        if let Some(link) = self.links.get_mut(next as usize) {
            link.previous = previous;
        }
        (previous, next)
    }

    /// Makes the slot of a live key reach its last generation; returns the key it has then.
    #[cfg(test)]
    pub(super) fn wear_out(&mut self, key: Key) -> Key {
        let index = self.find(key).expect("the key is alive");
        self.slots[index as usize].generation = RETIRED - 1;
        self.key(index)
    }
}
