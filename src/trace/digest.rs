//! The rolling digest: 128 bits over all events, always on, with checkpoints.

use std::fmt;
use xxhash_rust::xxh3::xxh3_128;

const BLOCK: usize = 4096;
/// The bytes of the longest event.
const EVENT: usize = 32;
/// The bytes of the hash with which a block begins.
const CHAIN: usize = 16;
const CHECKPOINTS: usize = 1024;

/// The digest of a run: 128 bits, printed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DigestValue(pub u128);

impl fmt::Display for DigestValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for DigestValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digest of the first `events` events of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many events it covers.
    pub events: u64,
    /// Their digest.
    pub digest: DigestValue,
}

/// A chain of blocks: each block begins with the hash of the one before.
///
/// An event costs a copy of its words; the hash runs over 4 KiB at a time.
#[derive(Debug)]
pub struct Digest {
    /// A block, and room for the event that fills it.
    block: Box<[u8; BLOCK + EVENT]>,
    at: usize,
    events: u64,
    blocks: u64,
    checkpoints: Vec<Checkpoint>,
    stride: u64,
}

impl Default for Digest {
    fn default() -> Digest {
        Digest {
            block: Box::new([0; BLOCK + EVENT]),
            at: CHAIN,
            events: 0,
            blocks: 0,
            checkpoints: Vec::new(),
            stride: 1,
        }
    }
}

impl Digest {
    /// Takes in one event of `count` words.
    #[inline(always)]
    pub fn absorb(&mut self, words: &[u64; 4], count: usize) {
        // All four are written, whatever the count: a copy of fixed size is a few stores.
        let mut bytes = [0; EVENT];
        for (word, place) in words.iter().zip(bytes.as_chunks_mut::<8>().0) {
            *place = word.to_le_bytes();
        }
        if let Some((place, _)) = self.block[self.at.min(BLOCK)..].split_first_chunk_mut() {
            *place = bytes;
        }
        self.at = self.at.wrapping_add(count * 8);
        self.events = self.events.wrapping_add(1);
        if self.at >= BLOCK {
            self.turn();
        }
    }

    /// Takes in bytes, as one event.
    pub fn absorb_bytes(&mut self, bytes: &[u8]) {
        let events = self.events + 1;
        self.absorb(&[bytes.len() as u64, 0, 0, 0], 1);
        for chunk in bytes.chunks(EVENT) {
            let mut words = [0; 4];
            for (word, part) in words.iter_mut().zip(chunk.chunks(8)) {
                let mut eight = [0; 8];
                eight[..part.len()].copy_from_slice(part);
                *word = u64::from_le_bytes(eight);
            }
            self.absorb(&words, 4);
        }
        self.events = events;
    }

    #[cold]
    fn turn(&mut self) {
        let chained = xxh3_128(&self.block[..self.at]);
        self.block[..CHAIN].copy_from_slice(&chained.to_le_bytes());
        self.at = CHAIN;
        self.blocks += 1;
        if self.blocks.is_multiple_of(self.stride) {
            if self.checkpoints.len() == CHECKPOINTS {
                let mut index = 0;
                self.checkpoints.retain(|_| {
                    index += 1;
                    index % 2 == 0
                });
                self.stride *= 2;
            }
            let digest = DigestValue(chained);
            self.checkpoints.push(Checkpoint {
                events: self.events,
                digest,
            });
        }
    }

    /// How many events were taken in.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The digest of all of them.
    #[must_use]
    pub fn value(&self) -> DigestValue {
        DigestValue(xxh3_128(&self.block[..self.at]))
    }

    /// The digest after some of the blocks, oldest first; at most 1,024 of them, evenly spaced.
    #[must_use]
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(words: impl Iterator<Item = u64>) -> Digest {
        let mut digest = Digest::default();
        for word in words {
            digest.absorb(&[word, 0, 0, 0], 1);
        }
        digest
    }

    #[test]
    fn a_digest_tells_one_different_word_far_back() {
        let same = digest_of(0..100_000);
        assert_eq!(same.value(), digest_of(0..100_000).value());
        let other = digest_of((0..100_000).map(|n| if n == 17 { 18 } else { n }));
        assert_ne!(same.value(), other.value());
    }

    #[test]
    fn the_first_checkpoint_that_differs_follows_the_first_event_that_differs() {
        let same = digest_of(0..100_000);
        let other = digest_of((0..100_000).map(|n| if n == 60_000 { 0 } else { n }));
        let pairs = same.checkpoints().iter().zip(other.checkpoints());
        let first = pairs.clone().find(|(a, b)| a != b).map(|(a, _)| a.events);
        assert!(
            first.is_some_and(|events| (60_000..61_000).contains(&events)),
            "{first:?}"
        );
    }

    #[test]
    fn checkpoints_stay_bounded_over_a_long_run() {
        let long = digest_of(0..3_000_000);
        assert!(long.checkpoints().len() <= CHECKPOINTS);
        assert!(long.checkpoints().len() > CHECKPOINTS / 4);
    }
}
