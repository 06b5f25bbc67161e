//! Drawn histories in which all goes well, and what is found when one thing of them is changed.

use super::super::rows::{Found, Rows};
use super::super::{Delivery, Misdelivery, Mishap, Moment};
use crate::kernel::time::Time;
use crate::trace::{LetterId, Mailed, Name, OrderKey, WhyDead};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// A letter of the history: its origin is 0 or 1.
type Id = (usize, u64);
type History = Vec<(Id, Mailed)>;

/// What the world knows of a letter, in a history where all goes well.
#[derive(Clone, Debug, Default)]
struct Life {
    id: Id,
    key: u64,
    delivered: bool,
    effected: bool,
    consumed: bool,
    dead: bool,
    acked: bool,
}

/// Mail that keeps its promises, driven by numbers that are drawn.
#[derive(Default)]
struct World {
    lives: Vec<Life>,
    history: History,
}

impl World {
    fn accept(&mut self, draw: usize) {
        let origin = draw % 2;
        let before = self.lives.iter().filter(|life| life.id.0 == origin);
        let id = (origin, before.count() as u64);
        let key = (draw / 2 % 4) as u64;
        self.lives.push(Life {
            id,
            key,
            ..Life::default()
        });
        self.history.push((id, Mailed::accepted(key)));
    }

    /// Whether nobody stands before this letter in the order of its key.
    fn may_have_effect(&self, index: usize) -> bool {
        let life = &self.lives[index];
        let ready = life.delivered && !life.effected && !life.consumed && !life.dead;
        let mut before = self.lives[..index]
            .iter()
            .filter(|other| other.id.0 == life.id.0 && other.key == life.key && life.key != 0);
        ready && before.all(|other| other.effected || other.dead)
    }

    /// Does this to this letter, where it may be done.
    fn act(&mut self, index: usize, what: usize) {
        let may_have_effect = self.may_have_effect(index);
        let life = &mut self.lives[index];
        let done = life.effected || life.consumed;
        let what = match what {
            0 => Some(Mailed::accepted(life.key)),
            1 => Some(Mailed::Sent),
            2 | 3 if !done => {
                life.delivered = true;
                Some(Mailed::Delivered)
            }
            4..=6 if may_have_effect => {
                life.effected = true;
                Some(Mailed::Effected)
            }
            // Letters without a key may belong to a queue.
            7 if may_have_effect && life.key == 0 => {
                life.consumed = true;
                Some(Mailed::Consumed)
            }
            7 if life.consumed => Some(Mailed::Consumed),
            7 if life.effected => Some(Mailed::Repeated),
            8 | 9 if done => {
                life.acked = true;
                Some(Mailed::Acked)
            }
            10 => Some(Mailed::StaleAck),
            11 if life.delivered && !done => Some(Mailed::Returned),
            12 if !done => {
                life.dead = true;
                Some(Mailed::Dead(WhyDead::Rejected))
            }
            _ => None,
        };
        let id = life.id;
        self.history.extend(what.map(|what| (id, what)));
    }

    /// Brings every letter to its end.
    fn finish(&mut self) {
        for index in 0..self.lives.len() {
            for what in [2, 4, 8] {
                let life = &self.lives[index];
                if !life.acked && !life.dead {
                    self.act(index, what);
                }
            }
        }
    }
}

/// Histories in which all goes well, to their end.
fn good() -> impl Strategy<Value = History> {
    vec((any::<usize>(), 0..18_usize), 1..200).prop_map(|draws| {
        let mut world = World::default();
        for (which, what) in draws {
            match what {
                13.. => world.accept(which),
                what if !world.lives.is_empty() => world.act(which % world.lives.len(), what),
                _ => {}
            }
        }
        // Whatever was drawn, there are two of one key.
        world.accept(3);
        world.accept(3);
        world.finish();
        world.history
    })
}

fn letter(id: Id) -> LetterId {
    LetterId {
        origin: Name::new(["even", "odd"][id.0]),
        number: id.1,
    }
}

fn moment(index: usize) -> Moment {
    Moment {
        at: Time::from_nanos(index as u64 * 1_000_000),
        step: index as u64,
    }
}

fn told(history: &History) -> Delivery {
    let mut delivery = Delivery::default();
    for (index, (id, what)) in history.iter().enumerate() {
        delivery.tell(moment(index), letter(*id), *what);
    }
    delivery
}

fn complaint(history: &History) -> Option<Misdelivery> {
    told(history).complaint().cloned()
}

/// What is not finished long after the end.
fn missing(history: &History) -> Option<Misdelivery> {
    let now = moment(history.len() + 1_000).at;
    told(history).unfinished(now, Duration::from_millis(1_000))
}

/// Where in a history this happens, of whichever letter: one of these places.
fn place(history: &History, what: Mailed, draw: usize) -> usize {
    let places = places(history, what);
    assert!(!places.is_empty(), "a good history has some");
    places[draw % places.len()]
}

fn places(history: &History, what: Mailed) -> Vec<usize> {
    let all = history.iter().enumerate();
    let such = all.filter(|(_, told)| told.1 == what);
    such.map(|(index, _)| index).collect()
}

/// Where in a history this happens to this letter first.
fn first(history: &History, id: Id, what: Mailed) -> usize {
    let found = history.iter().position(|told| *told == (id, what));
    found.expect("it happens")
}

fn key_of(history: &History, id: Id) -> OrderKey {
    let mut keys = history.iter().filter_map(|told| match told {
        (other, Mailed::Accepted { key }) if *other == id => Some(*key),
        _ => None,
    });
    keys.next().unwrap_or(OrderKey::NONE)
}

/// This is found, of this letter, when it happens.
fn found(history: &History, id: Id, at: usize, mishap: Mishap) -> Result<(), TestCaseError> {
    let complaint = complaint(history);
    let complaint = complaint.ok_or_else(|| TestCaseError::fail("nothing is found"))?;
    prop_assert_eq!(complaint.letter, letter(id));
    prop_assert_eq!((complaint.mishap, complaint.when), (mishap, moment(at)));
    Ok(())
}

proptest! {
    #[test]
    fn what_is_known_of_a_letter_is_what_a_map_would_know(
        letters in vec((0..400_u64, 0..3_u8), 0..200),
    ) {
        let (mut rows, mut map) = (Rows::default(), BTreeMap::new());
        // A whole row but one, then all of it, in some order.
        let all = (64..127).chain(0..64).chain(127..200);
        let known = all.flat_map(|number| [(number, 0), (number, 2)]);
        for (number, what) in known.chain(letters) {
            match what {
                0 if !map.contains_key(&number) => {
                    rows.insert(number, number * 10);
                    map.insert(number, None);
                }
                0 => {}
                _ => {
                    rows.done(number, what == 2);
                    let done = map.entry(number).or_insert(None).get_or_insert(false);
                    *done |= what == 2;
                }
            }
            for number in [number, number ^ 1, number + 64, 127] {
                let known = match map.get(&number) {
                    None => Found::Nothing,
                    Some(None) => Found::Open(&mut (number * 10)),
                    Some(Some(effected)) => Found::Done(*effected),
                };
                prop_assert_eq!(rows.find(number), known);
            }
            let mut open: Vec<_> = rows.open().map(|(number, letter)| (number, *letter)).collect();
            open.sort_unstable();
            let is_open = map.iter().filter(|(_, done)| done.is_none());
            let expected: Vec<_> = is_open.map(|(number, _)| (*number, number * 10)).collect();
            prop_assert_eq!(open, expected);
        }
    }

    #[test]
    fn a_good_history_is_never_refused_and_leaves_nothing_open(history in good()) {
        prop_assert_eq!(complaint(&history), None);
        prop_assert_eq!(missing(&history), None);
        prop_assert_eq!(told(&history).waiting(), 0);
    }

    #[test]
    fn an_effect_that_is_dropped_is_an_ack_without_an_effect(mut history in good(), draw: usize) {
        let id = history[place(&history, Mailed::Effected, draw)].0;
        // Its receiver does not know it either.
        history.retain(|told| *told != (id, Mailed::Effected) && *told != (id, Mailed::Repeated));
        let at = first(&history, id, Mailed::Acked);
        found(&history, id, at, Mishap::AckedWithoutEffect)?;
    }

    #[test]
    fn an_effect_that_is_repeated_is_a_duplicate(mut history in good(), draw: usize, later: usize) {
        let effect = place(&history, Mailed::Effected, draw);
        let at = effect + 1 + later % (history.len() - effect);
        let id = history[effect].0;
        let ack = first(&history, id, Mailed::Acked);
        history.insert(at, (id, Mailed::Effected));
        let before = (at <= ack).then(|| moment(effect));
        found(&history, id, at, Mishap::DuplicatedEffect(before))?;
    }

    #[test]
    fn two_effects_of_a_key_that_change_places_are_out_of_order(history in good(), draw: usize) {
        // Pairs of effects of one key, one right after the other.
        let effects = places(&history, Mailed::Effected);
        let pairs = effects.iter().filter_map(|early| {
            let id = history[*early].0;
            let key = key_of(&history, id);
            let late = effects.iter().find(|at| {
                let other = history[**at].0;
                *at > early && other.0 == id.0 && key_of(&history, other) == key
            });
            late.filter(|_| key != OrderKey::NONE).map(|late| (*early, *late))
        });
        let pairs: Vec<_> = pairs.collect();
        let (early, late) = pairs[draw % pairs.len()];
        let (id, later) = (history[early].0, history[late].0);
        // All that happens to the one from its effect on happens after the effect of the other.
        let (put_off, mut changed): (History, History) =
            history[early..=late].iter().partition(|told| told.0 == id);
        changed.splice(..0, history[..early].iter().copied());
        let (then, at) = (changed.len() - 1, changed.len());
        changed.extend(put_off);
        changed.extend(&history[late + 1..]);
        found(&changed, id, at, Mishap::Reordered(later.1, moment(then)))?;
    }

    #[test]
    fn what_is_invented_comes_from_nowhere(mut history in good(), draw: usize, what in 0..5_usize) {
        let what = [
            Mailed::Delivered,
            Mailed::Effected,
            Mailed::Consumed,
            Mailed::Repeated,
            Mailed::Acked,
        ][what];
        let at = draw % (history.len() + 1);
        let id = (draw % 2, 1_000);
        history.insert(at, (id, what));
        found(&history, id, at, Mishap::FromNowhere)?;
    }

    #[test]
    fn a_letter_whose_acceptance_is_dropped_comes_from_nowhere(mut history in good(), draw: usize) {
        let id = history[place(&history, Mailed::Delivered, draw)].0;
        let tells = |what| matches!(what, Mailed::Accepted { .. } | Mailed::Sent);
        history.retain(|told| !(told.0 == id && tells(told.1)));
        let at = first(&history, id, Mailed::Delivered);
        found(&history, id, at, Mishap::FromNowhere)?;
    }

    #[test]
    fn an_ack_that_comes_before_the_effect_is_one_without_an_effect(
        mut history in good(),
        draw: usize,
        earlier: usize,
    ) {
        let effect = place(&history, Mailed::Effected, draw);
        let id = history[effect].0;
        let accepted = history.iter().position(|told| told.0 == id).expect("it is accepted");
        history.remove(first(&history, id, Mailed::Acked));
        let at = accepted + 1 + earlier % (effect - accepted);
        history.insert(at, (id, Mailed::Acked));
        found(&history, id, at, Mishap::AckedWithoutEffect)?;
    }

    #[test]
    fn a_letter_that_is_never_finished_is_lost_or_stuck(
        history in good(),
        draw: usize,
        cut: usize,
        tried: bool,
    ) {
        let id = history[draw % history.len()].0;
        let own: Vec<usize> = (0..history.len()).filter(|at| history[*at].0 == id).collect();
        let over = |at: &usize| matches!(history[*at].1, Mailed::Acked | Mailed::Dead(_));
        let end = own.iter().position(over).expect("it ends");
        let last = own[cut % end];
        let kept = history.iter().enumerate().filter(|(at, told)| told.0 != id || *at <= last);
        let mut cut: History = kept.map(|(_, told)| *told).collect();
        if tried {
            // Somebody tries again and again, up to the end.
            cut.extend(std::iter::repeat_n((id, Mailed::Sent), 1_100));
        }
        let has_effect = |told: &(Id, Mailed)| {
            told.0 == id && matches!(told.1, Mailed::Effected | Mailed::Consumed)
        };
        let promised = tried || !cut.iter().any(has_effect);
        prop_assert_eq!(complaint(&cut), None);
        let quiet = if tried { 0 } else { 1_000 };
        let now = moment(cut.len() + quiet).at;
        let missing = told(&cut).unfinished(now, Duration::from_millis(1_000));
        prop_assert_eq!(missing.is_some(), promised);
        let Some(missing) = missing else { return Ok(()) };
        prop_assert_eq!(missing.letter, letter(id));
        prop_assert_eq!(matches!(missing.mishap, Mishap::Stuck(_)), tried);
        prop_assert_eq!(matches!(missing.mishap, Mishap::Lost(_)), !tried);
    }
}
