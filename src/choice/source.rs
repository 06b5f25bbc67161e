//! Where bits come from: ChaCha8 for keys and for streams, a keyed hash for sites hit at random.

use super::site::{Lineage, Site};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use xxhash_rust::xxh3::xxh3_64_with_seed;

fn chacha(seed: u64, domain: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&domain.to_le_bytes());
    key[16..].copy_from_slice(b"netsplit-chance1");
    ChaCha8Rng::from_seed(key)
}

/// The key under which the sites of a run with this seed are hashed: derived with ChaCha8.
#[must_use]
pub(super) fn key(seed: u64) -> u64 {
    chacha(seed, 0).next_u64()
}

/// The 64 bits of a site under a key: no state, so no draw shifts another (5 ns).
#[inline]
#[must_use]
pub fn keyed(key: u64, site: Site) -> u64 {
    let who = site.who.as_u64() ^ (site.kind as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&who.to_le_bytes());
    bytes[8..].copy_from_slice(&site.nth.to_le_bytes());
    xxh3_64_with_seed(&bytes, key)
}

/// A stream of one asker's draws, for what draws in sequence: ChaCha8 under (seed, lineage).
#[derive(Clone, Debug)]
pub struct Stream {
    source: ChaCha8Rng,
    drawn: u64,
}

impl Stream {
    /// The stream of `who` in the run of `seed`.
    #[must_use]
    pub fn new(seed: u64, who: Lineage) -> Stream {
        Stream {
            source: chacha(seed, who.as_u64() | 1),
            drawn: 0,
        }
    }

    /// The next 64 bits, and how many were drawn before them.
    pub fn draw(&mut self) -> (u64, u64) {
        self.drawn += 1;
        (self.drawn - 1, self.source.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::super::site::Kind;
    use super::*;

    #[test]
    fn the_bits_of_a_seed_are_the_same_on_every_platform() {
        let site = Site::new(Kind::Latency, Lineage::node("a").boot(0).child(3), 17);
        let mut stream = Stream::new(42, site.who);
        let drawn: Vec<u64> = (0..2).map(|_| stream.draw().1).collect();
        assert_eq!(
            format!(
                "{:016x} {:016x} {:016x?}",
                key(42),
                keyed(key(42), site),
                drawn
            ),
            include_str!("golden_bits.txt").trim(),
        );
    }

    #[test]
    fn neighbouring_sites_draw_unrelated_bits() {
        let who = Lineage::node("a").boot(0);
        let mut ones = [0u32; 64];
        for nth in 0..4096 {
            let flipped = keyed(1, Site::new(Kind::Rank, who, nth))
                ^ keyed(1, Site::new(Kind::Rank, who, nth + 1));
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += (flipped >> bit & 1) as u32;
            }
        }
        assert!(ones.iter().all(|&n| (1800..2300).contains(&n)), "{ones:?}");
    }
}
