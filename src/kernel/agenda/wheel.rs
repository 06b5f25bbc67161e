//! The fast part of the agenda: a calendar of buckets, in levels of coarser and coarser grain.
//!
//! A bucket is a chain through the slab, in no order; a bitmap for each level says which have
//! entries. An entry stands in the finest level whose span, counted from the cursor's own bucket
//! of that level, reaches it. So the spans slide with the cursor, a slot belongs to one rotation
//! only, and every bucket with entries lies strictly after the cursor's bucket of its level; when
//! the cursor comes to a coarse bucket, its entries move to finer ones.
//!
//! Entries in the cursor's bucket of level 0 are laid out in order, and pops come from there. Of a
//! short bucket the least entry is popped in its place instead, and the cursor stays before it.
//!
//! The wheel refuses entries before the cursor's bucket, those beyond the last level, and those over
//! [`MOST_LAID_OUT`]; they are for the ordered tree.

use std::collections::VecDeque;

use super::bitmap::Bitmap;
use super::ordered::Ordered;
use super::slab::{Home, NONE, Slab};

const LEVELS: usize = 3;
/// A bucket of a level spans 2 to the power of this, in ns: 4 us, 17 ms, 17 s.
const GRAIN_BITS: [u32; LEVELS] = [12, 24, 34];
/// A level has this many buckets, so from the cursor on the levels reach 17 ms, 17 s and 4.9 h.
const SLOTS: [usize; LEVELS] = [4096, 1024, 1024];
/// Where the buckets of a level begin among all buckets.
const OFFSETS: [usize; LEVELS] = [0, SLOTS[0], SLOTS[0] + SLOTS[1]];
const BUCKETS: usize = OFFSETS[2] + SLOTS[2];

const _: () = {
    assert!(SLOTS[0] == 1 << (GRAIN_BITS[1] - GRAIN_BITS[0]) && SLOTS[0] <= Bitmap::BITS);
    assert!(SLOTS[1] == 1 << (GRAIN_BITS[2] - GRAIN_BITS[1]) && SLOTS[1] <= Bitmap::BITS);
    assert!(SLOTS[2].is_power_of_two() && SLOTS[2] <= Bitmap::BITS);
};

/// The most entries that are laid out; it bounds what an insertion into their midst, or a removal
/// from it, has to move: 32 KiB. Tests have a small one, so that they reach it.
const MOST_LAID_OUT: usize = if cfg!(test) { 6 } else { 4096 };
/// The most entries of a bucket that is not worth laying out.
const MOST_WALKED: usize = 4;
/// A rank holds the moment within the bucket above the order, so an order has this many bits.
pub(super) const ORDER_BITS: u32 = u64::BITS - GRAIN_BITS[0];

/// An entry that is laid out.
#[derive(Clone, Copy)]
struct Due {
    rank: u64,
    index: u32,
}

/// The order of the near future.
pub(super) struct Wheel {
    /// The bucket of level 0 that is laid out, numbered from the beginning of time.
    cursor: u64,
    laid_out: VecDeque<Due>,
    levels: [Bitmap; LEVELS],
    /// When the first bucket with entries of the coarser levels begins; the end of time when they
    /// have none (no bucket begins then).
    coarse_start_ns: u64,
    /// The first entry of each bucket; of meaning only where the bit is set.
    heads: Box<[u32; BUCKETS]>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        let heads = vec![0; BUCKETS].into_boxed_slice();
        Wheel {
            cursor: 0,
            laid_out: VecDeque::new(),
            levels: [Bitmap::new(); LEVELS],
            coarse_start_ns: u64::MAX,
            heads: heads.try_into().expect("it has this length"),
        }
    }

    /// Takes the entry at `index`, or returns false where the ordered tree is to take it.
    #[inline]
    pub(super) fn insert<E: Copy>(
        &mut self,
        slab: &mut Slab<E>,
        index: u32,
        at_ns: u64,
        order: u64,
    ) -> bool {
        let bucket = at_ns >> GRAIN_BITS[0];
        if bucket > self.cursor {
            return self.link(slab, index, at_ns);
        }
        if bucket < self.cursor || self.laid_out.len() >= MOST_LAID_OUT {
            return false;
        }
        let rank = rank(at_ns, order);
        let position = self.laid_out.partition_point(|due| due.rank < rank);
        self.laid_out.insert(position, Due { rank, index });
        slab.set_home(index, Home::LaidOut);
        true
    }

    /// Removes an entry that is laid out.
    pub(super) fn remove_laid_out<E: Copy>(&mut self, slab: &Slab<E>, index: u32) {
        let (at_ns, order) = slab.rank(index);
        let rank = rank(at_ns, order);
        let position = self.laid_out.partition_point(|due| due.rank < rank);
        let removed = self.laid_out.remove(position);
        debug_assert_eq!(removed.map(|due| due.index), Some(index));
    }

    /// Removes an entry that is in a bucket.
    #[inline]
    pub(super) fn remove_from_bucket<E: Copy>(
        &mut self,
        slab: &mut Slab<E>,
        index: u32,
        level: usize,
        slot: usize,
    ) {
        let (previous, next) = slab.unlink(index);
        if previous != NONE {
            return;
        }
        self.heads[OFFSETS[level] + slot] = next;
        if next == NONE {
            self.levels[level].unset(slot);
            if level > 0 {
                self.find_coarse_start();
            }
        }
    }

    /// Removes the least entry in its place, where that is quicker than to lay out its bucket:
    /// when nothing is laid out, the next bucket is short, and its least entry is before `end_ns`.
    #[inline]
    pub(super) fn pop_in_place<E: Copy>(&mut self, slab: &mut Slab<E>, end_ns: u64) -> Option<u32> {
        if !self.laid_out.is_empty() {
            return None;
        }
        let start_ns = self.level_start_ns(0)?;
        if start_ns >= self.coarse_start_ns {
            return None;
        }
        let bucket = start_ns >> GRAIN_BITS[0];
        let slot = bucket as usize % SLOTS[0];
        let mut least = self.heads[slot];
        let (mut least_ns, mut least_order) = slab.rank(least);
        let mut index = slab.next(least);
        let mut walked = 1;
        while index != NONE {
            if walked == MOST_WALKED {
                return None;
            }
            walked += 1;
            let (at_ns, order) = slab.rank(index);
            if rank(at_ns, order) < rank(least_ns, least_order) {
                (least, least_ns, least_order) = (index, at_ns, order);
            }
            index = slab.next(index);
        }
        if least_ns >= end_ns {
            return None;
        }
        // The rest of the bucket stays there, so it must lie after the cursor's.
        self.cursor = bucket - 1;
        self.remove_from_bucket(slab, least, 0, slot);
        Some(least)
    }

    /// Whether anything may stand at this moment or before it, when everything before it is gone.
    #[inline(always)]
    pub(super) fn may_hold(&self, at_ns: u64) -> bool {
        let slot = (at_ns >> GRAIN_BITS[0]) as usize % SLOTS[0];
        !self.laid_out.is_empty() || self.coarse_start_ns <= at_ns || self.levels[0].is_set(slot)
    }

    /// Lays out the next bucket with entries, if none is laid out and it begins by `limit_ns`.
    #[inline]
    pub(super) fn roll<E: Copy>(
        &mut self,
        slab: &mut Slab<E>,
        ordered: &mut Ordered,
        limit_ns: u64,
    ) {
        while self.laid_out.is_empty() {
            match self.next_start_ns() {
                Some(start_ns) if start_ns <= limit_ns => self.lay_out(slab, ordered, start_ns),
                _ => return,
            }
        }
    }

    /// Moves the cursor to this moment, unless it is there or after it. No entry of the wheel may
    /// be before that moment.
    pub(super) fn move_to<E: Copy>(
        &mut self,
        slab: &mut Slab<E>,
        ordered: &mut Ordered,
        at_ns: u64,
    ) {
        if at_ns >> GRAIN_BITS[0] > self.cursor {
            self.lay_out(slab, ordered, at_ns);
        }
    }

    /// Moment and order of the least entry that is laid out.
    #[inline]
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        let rank = self.laid_out.front()?.rank;
        let at_ns = (self.cursor << GRAIN_BITS[0]) | (rank >> ORDER_BITS);
        Some((at_ns, rank & ((1 << ORDER_BITS) - 1)))
    }

    /// The moment of the least entry of all.
    pub(super) fn least_ns<E: Copy>(&self, slab: &Slab<E>) -> Option<u64> {
        if let Some((at_ns, _)) = self.first() {
            return Some(at_ns);
        }
        let of_level = |level: usize| {
            let bucket = self.level_start_ns(level)? >> GRAIN_BITS[level];
            let head = self.heads[OFFSETS[level] + bucket as usize % SLOTS[level]];
            let in_chain = |index: &u32| Some(slab.next(*index)).filter(|next| *next != NONE);
            let chain = std::iter::successors(Some(head), in_chain);
            chain.map(|index| slab.rank(index).0).min()
        };
        (0..LEVELS).filter_map(of_level).min()
    }

    /// The least entry that is laid out.
    pub(super) fn first_index(&self) -> Option<u32> {
        Some(self.laid_out.front()?.index)
    }

    /// Removes the least entry that is laid out.
    ///
    /// # Panics
    /// When none is.
    #[inline]
    pub(super) fn pop_first(&mut self) -> u32 {
        self.laid_out
            .pop_front()
            .expect("an entry is laid out")
            .index
    }

    pub(super) fn clear(&mut self) {
        self.cursor = 0;
        self.laid_out.clear();
        self.coarse_start_ns = u64::MAX;
        for level in &mut self.levels {
            level.clear();
        }
    }

    /// The cursor's bucket of this level, numbered from the beginning of time.
    #[inline]
    fn here(&self, level: usize) -> u64 {
        self.cursor >> (GRAIN_BITS[level] - GRAIN_BITS[0])
    }

    /// Puts an entry after the cursor's bucket into its bucket; false when no level reaches it.
    #[inline]
    fn link<E: Copy>(&mut self, slab: &mut Slab<E>, index: u32, at_ns: u64) -> bool {
        for level in 0..LEVELS {
            let number = at_ns >> GRAIN_BITS[level];
            if number - self.here(level) >= SLOTS[level] as u64 {
                continue;
            }
            let slot = number as usize % SLOTS[level];
            let was_set = self.levels[level].set(slot);
            let head = &mut self.heads[OFFSETS[level] + slot];
            slab.link(index, level, slot, if was_set { *head } else { NONE });
            *head = index;
            if level > 0 {
                self.coarse_start_ns = self.coarse_start_ns.min(number << GRAIN_BITS[level]);
            }
            return true;
        }
        false
    }

    /// When the first bucket with entries begins, of those that are not laid out.
    #[inline]
    fn next_start_ns(&self) -> Option<u64> {
        let fine_ns = self.level_start_ns(0);
        if fine_ns.is_some_and(|start_ns| start_ns < self.coarse_start_ns) {
            return fine_ns;
        }
        (self.coarse_start_ns != u64::MAX).then_some(self.coarse_start_ns)
    }

    /// When the first bucket of this level that has entries begins.
    #[inline]
    fn level_start_ns(&self, level: usize) -> Option<u64> {
        let here = self.here(level);
        let slot = here as usize % SLOTS[level];
        let next = self.levels[level].first_from(slot)?;
        let ahead = next.wrapping_sub(slot) % SLOTS[level];
        Some((here + ahead as u64) << GRAIN_BITS[level])
    }

    fn find_coarse_start(&mut self) {
        let starts = (1..LEVELS).filter_map(|level| self.level_start_ns(level));
        self.coarse_start_ns = starts.min().unwrap_or(u64::MAX);
    }

    /// Moves the cursor forward to this moment and lays out its bucket.
    #[inline]
    fn lay_out<E: Copy>(&mut self, slab: &mut Slab<E>, ordered: &mut Ordered, at_ns: u64) {
        debug_assert!(self.laid_out.is_empty(), "what is laid out comes first");
        self.laid_out.clear(); // so that it begins at the front of its memory
        self.cursor = at_ns >> GRAIN_BITS[0];
        if at_ns >= self.coarse_start_ns {
            self.refine(slab, ordered);
        }
        let slot = self.cursor as usize % SLOTS[0];
        if self.levels[0].unset(slot) {
            let mut index = self.heads[slot];
            while index != NONE {
                let next = slab.next(index);
                self.add_unsorted(slab, ordered, index);
                index = next;
            }
        }
        if self.laid_out.len() > 1 {
            self.laid_out
                .make_contiguous()
                .sort_unstable_by_key(|due| due.rank);
        }
    }

    /// Moves the entries of the coarse buckets that the cursor has come to.
    #[inline(never)]
    fn refine<E: Copy>(&mut self, slab: &mut Slab<E>, ordered: &mut Ordered) {
        for level in (1..LEVELS).rev() {
            let slot = self.here(level) as usize % SLOTS[level];
            if !self.levels[level].unset(slot) {
                continue;
            }
            let mut index = self.heads[OFFSETS[level] + slot];
            while index != NONE {
                let next = slab.next(index);
                let (at_ns, _) = slab.rank(index);
                if at_ns >> GRAIN_BITS[0] == self.cursor {
                    self.add_unsorted(slab, ordered, index);
                } else {
                    let linked = self.link(slab, index, at_ns);
                    debug_assert!(linked, "a finer level reaches what the coarse bucket held");
                }
                index = next;
            }
        }
        self.find_coarse_start();
    }

    /// Adds an entry of the cursor's bucket at the end of what is laid out.
    #[inline]
    fn add_unsorted<E: Copy>(&mut self, slab: &mut Slab<E>, ordered: &mut Ordered, index: u32) {
        let (at_ns, order) = slab.rank(index);
        debug_assert_eq!(
            at_ns >> GRAIN_BITS[0],
            self.cursor,
            "it is in the cursor's bucket"
        );
        if self.laid_out.len() < MOST_LAID_OUT {
            self.laid_out.push_back(Due {
                rank: rank(at_ns, order),
                index,
            });
            slab.set_home(index, Home::LaidOut);
        } else {
            ordered.insert(at_ns, order, index);
            slab.set_home(index, Home::Ordered);
        }
    }
}

/// Where an entry stands within its bucket of level 0.
#[inline]
fn rank(at_ns: u64, order: u64) -> u64 {
    debug_assert!(order >> ORDER_BITS == 0, "an order has {ORDER_BITS} bits");
    (at_ns << ORDER_BITS) | order
}
