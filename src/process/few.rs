//! A set that mostly holds one thing or none, and may hold a million.

use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// The first thing stands inline; more go into an ordered tree, so each costs what it touches.
#[derive(Clone, Debug)]
pub(crate) struct Few<T> {
    first: Option<T>,
    #[allow(
        clippy::box_collection,
        reason = "one word in each process instead of three"
    )]
    rest: Option<Box<BTreeSet<T>>>,
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few {
            first: None,
            rest: None,
        }
    }
}

impl<T: Copy + Ord> Few<T> {
    /// Adds a thing; false where it is there already.
    #[inline]
    pub(crate) fn insert(&mut self, thing: T) -> bool {
        if self.first == Some(thing) {
            return false;
        }
        if self.first.is_some() {
            return self.rest.get_or_insert_default().insert(thing);
        }
        if self.rest.as_ref().is_some_and(|rest| rest.contains(&thing)) {
            return false;
        }
        self.first = Some(thing);
        true
    }

    /// All that is there, in no order that means anything.
    #[cfg(feature = "sim")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.first
            .into_iter()
            .chain(self.rest.iter().flat_map(|rest| rest.iter().copied()))
    }

    /// Takes a thing out; whether it was there.
    #[inline(always)]
    pub(crate) fn remove(&mut self, thing: T) -> bool {
        if self.first == Some(thing) {
            self.first = None;
            return true;
        }
        self.rest.as_mut().is_some_and(|rest| rest.remove(&thing))
    }

    /// Takes out the least thing within a range.
    pub(crate) fn take_one(&mut self, range: &RangeInclusive<T>) -> Option<T> {
        if let Some(first) = self.first.take_if(|thing| range.contains(thing)) {
            return Some(first);
        }
        let rest = self.rest.as_mut()?;
        let found = *rest.range(range.clone()).next()?;
        rest.take(&found)
    }

    /// Takes out what this is true of, in the order of [`Few::take_each`].
    pub(crate) fn take_if(&mut self, mut test: impl FnMut(T) -> bool) -> SmallVec<[T; 4]> {
        let first = self.first.take_if(|thing| test(*thing));
        let mut taken: SmallVec<[T; 4]> = first.into_iter().collect();
        if let Some(rest) = self.rest.as_mut() {
            let out: SmallVec<[T; 4]> = rest.iter().copied().filter(|thing| test(*thing)).collect();
            for thing in &out {
                rest.remove(thing);
            }
            taken.extend(out);
        }
        taken
    }

    /// Takes everything out: what stands inline, then the others in their order.
    #[inline]
    pub(crate) fn take_each(&mut self, mut each: impl FnMut(T)) {
        if let Some(first) = self.first.take() {
            each(first);
        }
        if let Some(rest) = self.rest.take() {
            rest.into_iter().for_each(each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(few: &mut Few<i32>) -> Vec<i32> {
        let mut all = Vec::new();
        few.take_each(|thing| all.push(thing));
        all
    }

    #[test]
    fn few_things_are_kept_once_each_and_found_again() {
        let mut few = Few::default();
        for thing in [3, 1, 2, 3, 1, 9] {
            few.insert(thing);
        }
        assert!(!few.insert(2) && !few.insert(3));
        few.remove(3);
        few.remove(2);
        few.remove(7);
        assert!(few.insert(8) && !few.insert(1));
        let mut all = taken(&mut few);
        all.sort_unstable();
        assert_eq!(all, [1, 8, 9]);
        assert!(taken(&mut few).is_empty());
    }

    #[test]
    fn what_a_test_is_true_of_is_taken_out_and_the_rest_stays() {
        let mut few = Few::default();
        for thing in [3, 1, 2, 9, 8] {
            few.insert(thing);
        }
        assert_eq!(few.take_if(|thing| thing % 2 == 1)[..], [3, 1, 9]);
        assert_eq!(few.take_one(&(0..=1)), None);
        assert_eq!(few.take_one(&(1..=7)), Some(2));
        few.insert(4);
        assert_eq!(few.take_one(&(4..=9)), Some(4));
        assert_eq!(few.take_one(&(4..=7)), None);
        few.insert(2);
        assert!(few.remove(8) && !few.remove(8) && !few.remove(3));
        assert_eq!(taken(&mut few), [2]);
    }
}
