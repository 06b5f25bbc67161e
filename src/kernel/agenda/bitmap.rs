//! Which of 4096 buckets have entries, such that the next one is found in a few instructions. It
//! must not know what a bucket is.

const WORDS: usize = 64;

/// A set of numbers below 4096.
#[derive(Clone, Copy)]
pub(super) struct Bitmap {
    /// Bit n: word n is not zero.
    summary: u64,
    words: [u64; WORDS],
}

impl Bitmap {
    pub(super) const BITS: usize = WORDS * 64;

    pub(super) const fn new() -> Self {
        Bitmap {
            summary: 0,
            words: [0; WORDS],
        }
    }

    /// Sets a bit; returns what it was.
    #[inline]
    pub(super) fn set(&mut self, slot: usize) -> bool {
        let (word, bit) = (&mut self.words[slot / 64], 1 << (slot % 64));
        let was_set = *word & bit != 0;
        *word |= bit;
        self.summary |= 1 << (slot / 64);
        was_set
    }

    /// Whether a bit is set.
    #[inline(always)]
    pub(super) fn is_set(&self, slot: usize) -> bool {
        self.words[slot / 64] & (1 << (slot % 64)) != 0
    }

    /// Unsets a bit; returns what it was.
    #[inline]
    pub(super) fn unset(&mut self, slot: usize) -> bool {
        let (word, bit) = (&mut self.words[slot / 64], 1 << (slot % 64));
        let was_set = *word & bit != 0;
        *word &= !bit;
        if *word == 0 {
            self.summary &= !(1 << (slot / 64));
        }
        was_set
    }

    /// The first set bit from this one on, going round.
    #[inline]
    pub(super) fn first_from(&self, slot: usize) -> Option<usize> {
        if self.summary == 0 {
            return None;
        }
        let word = slot / 64;
        let rest = self.words[word] & (u64::MAX << (slot % 64));
        if rest != 0 {
            return Some(word * 64 + rest.trailing_zeros() as usize);
        }
        // Two shifts, since one by 64 is an overflow.
        let after = self.summary & (u64::MAX << word << 1);
        let word = if after != 0 { after } else { self.summary }.trailing_zeros() as usize % WORDS;
        Some(word * 64 + self.words[word].trailing_zeros() as usize)
    }

    /// Unsets all bits; touches the words that have any.
    pub(super) fn clear(&mut self) {
        while self.summary != 0 {
            self.words[self.summary.trailing_zeros() as usize] = 0;
            self.summary &= self.summary - 1;
        }
    }
}
