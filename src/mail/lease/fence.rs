//! Fences: what refuses a holder that holds no more, and does not know it.

use crate::mail::store::{Batch, Store, StoreError, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The greatest token that was admitted, under resource and place.
const FENCES: Table = Table("lease.fences");

const PLACE_BYTES: usize = 4;

/// What a holder shows with each effect: which place of which resource it holds, and the token with which
/// that was granted. It travels inside messages.
///
/// Tokens of a resource are counted from 1, over all reboots: a later one is greater.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fencing {
    pub(super) resource: String,
    pub(super) place: u32,
    pub(super) token: u64,
}

impl Fencing {
    /// The resource.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Which of its places, from 0.
    #[must_use]
    pub fn place(&self) -> u32 {
        self.place
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }
}

impl fmt::Display for Fencing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fencing {
            resource,
            place,
            token,
        } = self;
        write!(f, "token {token} of place {place} of {resource}")
    }
}

/// An effect that comes too late: somebody who was granted the place later has been admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{shown} comes too late: token {greatest} was here")]
pub struct Stale {
    /// What was shown.
    pub shown: Fencing,
    /// The greatest token that was admitted.
    pub greatest: u64,
}

/// Fences before the effects of holders: for each place of a resource the greatest token that was admitted.
///
/// They stand where the effects are, in the store in which those are kept, and are written in the same batch.
/// They remember one number for each place of each resource, for ever. What a holder reads in order to write
/// later must pass as well: else somebody who held before may write between the two.
///
/// ```
/// use netsplit::mail::lease::{Fences, Fencing};
/// use netsplit::mail::{Batch, MemoryStore, Store, StoreError, Table};
///
/// const REPORTS: Table = Table("reports");
/// let mut store = MemoryStore::new();
/// let mut fences = Fences::open(&store)?;
///
/// let mut write = |fencing: &Fencing, store: &mut MemoryStore| {
///     let mut batch = Batch::new();
///     if fences.admit(fencing, &mut batch).is_err() {
///         return Ok(false); // Whoever this is has lost its lease.
///     }
///     batch.put(REPORTS, b"today", b"...");
///     store.commit(&batch).map(|()| true)
/// };
/// # let fencing = |token: u64| -> Fencing {
/// #     postcard::from_bytes(&postcard::to_allocvec(&("report", 0_u32, token)).unwrap()).unwrap()
/// # };
/// let (earlier, later) = (fencing(33), fencing(34)); // As `Lease::fencing` gives them.
/// assert!(write(&earlier, &mut store)?);
/// assert!(write(&later, &mut store)?);
/// assert!(!write(&earlier, &mut store)?);
/// # Ok::<(), StoreError>(())
/// ```
#[derive(Debug, Default)]
pub struct Fences {
    greatest: BTreeMap<String, BTreeMap<u32, u64>>,
}

impl Fences {
    /// The fences as a store has them.
    ///
    /// # Errors
    /// [`StoreError`]: the disk failed, or they are damaged.
    pub fn open(store: &(impl Store + ?Sized)) -> Result<Fences, StoreError> {
        let mut fences = Fences::default();
        let mut found = Ok(());
        // Greater than any key: no byte of a name is 255.
        let (from, to): (&[u8], &[u8]) = (&[], &[u8::MAX; PLACE_BYTES + 1]);
        store.scan(FENCES, from..=to, &mut |key, value| {
            match read(key, value) {
                Some((resource, place, token)) => {
                    let places = fences.greatest.entry(resource).or_default();
                    places.insert(place, token);
                }
                None => {
                    found = Err(StoreError::Damaged {
                        store: "of fences".to_owned(),
                        detail: "a fence is not what was written".to_owned(),
                    });
                }
            }
            found.is_ok()
        })?;
        found.map(|()| fences)
    }

    /// Admits an effect whose holder shows this, and puts that into the batch of the effect: they must be
    /// committed together. A batch that is not committed after all does no harm.
    ///
    /// # Errors
    /// [`Stale`]: somebody who was granted the place later was here. The effect must not be made.
    pub fn admit(&mut self, fencing: &Fencing, batch: &mut Batch) -> Result<(), Stale> {
        let places = self.greatest.entry(fencing.resource.clone()).or_default();
        let greatest = places.entry(fencing.place).or_default();
        if fencing.token < *greatest {
            return Err(Stale {
                shown: fencing.clone(),
                greatest: *greatest,
            });
        }
        *greatest = fencing.token;
        // Each time: the batch that had it before may not have been committed.
        let mut key = fencing.resource.as_bytes().to_vec();
        key.extend(fencing.place.to_be_bytes());
        batch.put(FENCES, key, fencing.token.to_be_bytes());
        Ok(())
    }
}

fn read(key: &[u8], value: &[u8]) -> Option<(String, u32, u64)> {
    let (resource, place) = key.split_last_chunk::<PLACE_BYTES>()?;
    let resource = String::from_utf8(resource.to_vec()).ok()?;
    let token = u64::from_be_bytes(value.try_into().ok()?);
    Some((resource, u32::from_be_bytes(*place), token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::MemoryStore;

    fn fencing(resource: &str, place: u32, token: u64) -> Fencing {
        Fencing {
            resource: resource.to_owned(),
            place,
            token,
        }
    }

    /// Whether each of these is admitted, with a commit after it.
    fn admitted(store: &mut MemoryStore, shown: &[Fencing]) -> Vec<bool> {
        let mut fences = Fences::open(store).unwrap();
        let admit = |fencing: &Fencing| {
            let mut batch = Batch::new();
            let admitted = fences.admit(fencing, &mut batch).is_ok();
            store.commit(&batch).unwrap();
            admitted
        };
        shown.iter().map(admit).collect()
    }

    #[test]
    fn lease_fence_admits_no_token_after_a_greater_one_and_the_same_again_and_again() {
        let shown = [3, 3, 5, 4, 5, 3, 6].map(|token| fencing("report", 0, token));
        let expected = [true, true, true, false, true, false, true];
        assert_eq!(admitted(&mut MemoryStore::new(), &shown), expected);
        // Also where it is opened anew between all of them.
        let mut store = MemoryStore::new();
        for (shown, expected) in shown.iter().zip(expected) {
            assert_eq!(
                admitted(&mut store, std::slice::from_ref(shown)),
                [expected]
            );
        }
        let stale = Fences::open(&store)
            .unwrap()
            .admit(&shown[0], &mut Batch::new());
        let said = "token 3 of place 0 of report comes too late: token 6 was here";
        assert_eq!(stale.unwrap_err().to_string(), said);
    }

    #[test]
    fn lease_fences_of_other_places_and_resources_stand_apart() {
        let mut shown = Vec::new();
        for (token, resource) in (1..).zip(["b", "a", "", "ab", "a\0\0\0\0", "\u{10ffff}"]) {
            for place in [u32::MAX, 0, 0x6200_0000] {
                shown.push(fencing(resource, place, 100 - token));
            }
        }
        let mut store = MemoryStore::new();
        assert!(
            admitted(&mut store, &shown)
                .iter()
                .all(|admitted| *admitted)
        );
        assert_eq!(store.len(FENCES), Ok(18));
        // All of them are there again.
        shown.iter_mut().for_each(|fencing| fencing.token -= 1);
        assert!(
            !admitted(&mut store, &shown)
                .iter()
                .any(|admitted| *admitted)
        );
    }

    #[test]
    fn lease_fence_holds_within_a_group_and_is_written_again_where_its_batch_was_dropped() {
        let mut store = MemoryStore::new();
        let mut fences = Fences::open(&store).unwrap();
        let mut batch = Batch::new();
        assert!(fences.admit(&fencing("report", 0, 5), &mut batch).is_ok());
        assert!(fences.admit(&fencing("report", 0, 4), &mut batch).is_err());
        batch.clear();
        assert!(fences.admit(&fencing("report", 0, 5), &mut batch).is_ok());
        store.commit(&batch).unwrap();
        assert_eq!(admitted(&mut store, &[fencing("report", 0, 4)]), [false]);
    }

    #[test]
    fn lease_fences_that_are_damaged_are_an_error() {
        for (key, value) in [(&b"abc"[..], &[0; 8][..]), (b"report\0\0\0\0", &[1, 2])] {
            let (mut store, mut batch) = (MemoryStore::new(), Batch::new());
            batch.put(FENCES, key, value);
            store.commit(&batch).unwrap();
            let opened = Fences::open(&store);
            assert!(
                matches!(opened, Err(StoreError::Damaged { .. })),
                "{opened:?}"
            );
        }
    }
}
