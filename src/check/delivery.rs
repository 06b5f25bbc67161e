//! Whether mail keeps its promises, from the trace alone: nothing is lost, no effect comes twice, letters of
//! one key keep their order, nothing comes from nowhere, and nothing is forgotten before it is done.

mod mishap;
mod origin;
mod rows;
#[cfg(test)]
mod tests;

pub use mishap::{Misdelivery, Mishap, Moment};

use crate::kernel::time::{Time, nanos};
use crate::trace::{Event, LetterId, Log, Mailed, Name, Watcher};
use origin::{Origin, Wrong};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Whether all mail of a run kept its promises: no letter has two effects, those of one key have them in the
/// order in which they were accepted, none comes from nowhere, and none is forgotten without an effect.
/// Every run is checked so while it goes on, without a log; this is for a log that was kept, or made by hand.
///
/// Whether all of it arrived is another question, since that takes time: [`Delivery::unfinished`].
///
/// # Errors
/// The first [`Misdelivery`].
pub fn delivery(log: &Log) -> Result<(), Misdelivery> {
    let mut delivery = Delivery::default();
    for entry in log.entries() {
        delivery.see(entry.at_ns, entry.step, &entry.event);
    }
    let Some(mut complaint) = delivery.complaint else {
        return Ok(());
    };
    let origin = complaint.letter.origin.as_u64();
    complaint.origin = log.name_of(origin).map(str::to_owned);
    Err(complaint)
}

/// The letters of a run, or of a history written by hand. It takes what it is told, and remembers the first
/// thing that is wrong. What it keeps grows with the letters that are not done with; those that are take a
/// bit each, or less.
///
/// ```
/// use netsplit::check::{Delivery, Mishap, Moment};
/// use netsplit::trace::{LetterId, Mailed, Name};
/// use netsplit::{Time, secs};
///
/// let mut delivery = Delivery::default();
/// let letter = LetterId { origin: Name::new("orders"), number: 1 };
/// let history = [Mailed::accepted(0), Mailed::Sent, Mailed::Delivered, Mailed::Acked];
/// for (second, what) in (1..).zip(history) {
///     let when = Moment { at: Time::ZERO + secs(second), step: second };
///     delivery.tell(when, letter, what);
/// }
/// let complaint = delivery.complaint().expect("it was forgotten too early");
/// assert_eq!(complaint.mishap, Mishap::AckedWithoutEffect);
/// assert_eq!(complaint.when.at, Time::ZERO + secs(4));
/// ```
#[derive(Debug, Default)]
pub struct Delivery {
    origins: Vec<(Name, Origin)>,
    /// Where each of them stands, and the one that was asked for last.
    places: FxHashMap<Name, usize>,
    last: usize,
    /// When the faults stopped.
    quiet: Time,
    complaint: Option<Misdelivery>,
}

impl Delivery {
    /// What was wrong first, where anything was.
    #[must_use]
    pub fn complaint(&self) -> Option<&Misdelivery> {
        self.complaint.as_ref()
    }

    /// How many letters were accepted, and have neither had an effect nor were set aside.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let origins = self.origins.iter();
        origins.map(|(_, origin)| origin.waiting()).sum()
    }

    /// Something became of a letter. After a complaint nothing is looked at any more.
    pub fn tell(&mut self, when: Moment, letter: LetterId, what: Mailed) {
        if self.complaint.is_some() {
            return;
        }
        let origin = self.origin(letter.origin);
        if let Err(wrong) = origin.tell(when, letter.number, what) {
            self.complaint = Some(complaint(origin, letter, wrong));
        }
    }

    fn origin(&mut self, name: Name) -> &mut Origin {
        let is_last = |(last, _): &(Name, Origin)| *last == name;
        if !self.origins.get(self.last).is_some_and(is_last) {
            self.last = *self.places.entry(name).or_insert_with(|| {
                self.origins.push((name, Origin::default()));
                self.origins.len() - 1
            });
        }
        &mut self.origins[self.last].1
    }

    /// The faults have stopped: from now on letters are expected to get on.
    pub fn quiet(&mut self, at: Time) {
        self.quiet = at;
    }

    /// The letter that has waited longest of those that should be done with by now: that have got no
    /// further for as long as `within`, of which no fault kept them. It is [lost](Mishap::Lost) where it has
    /// had no effect, and nobody did anything about it in all that time; it is [stuck](Mishap::Stuck) where
    /// somebody did, be it that it has no effect, or that its sender has not learned of that.
    ///
    /// Going on is to be accepted, sent, handed over or effected, each for the first time.
    #[must_use]
    pub fn unfinished(&self, now: Time, within: Duration) -> Option<Misdelivery> {
        let due = now
            .as_nanos()
            .checked_sub(nanos(within))
            .filter(|due| self.quiet.as_nanos() <= *due);
        let due = Time::from_nanos(due?);
        let origins = self.origins.iter();
        let oldest = origins.filter_map(|(name, origin)| {
            let (number, wrong) = origin.unfinished(due)?;
            let letter = LetterId {
                origin: *name,
                number,
            };
            Some(complaint(origin, letter, wrong))
        });
        oldest.min_by_key(|complaint| (complaint.when, complaint.letter))
    }
}

fn complaint(origin: &Origin, letter: LetterId, wrong: Wrong) -> Misdelivery {
    Misdelivery {
        letter,
        origin: origin.text.clone(),
        key: wrong.key,
        accepted: wrong.accepted,
        mishap: wrong.mishap,
        when: wrong.when,
    }
}

impl Watcher for Delivery {
    fn see(&mut self, now_ns: u64, step: u64, event: &Event) {
        let at = Time::from_nanos(now_ns);
        match *event {
            Event::Mail { letter, what, .. } => self.tell(Moment { at, step }, letter, what),
            Event::Quiet => self.quiet(at),
            _ => {}
        }
    }

    fn name(&mut self, name: Name, text: &str) {
        let origin = self.origin(name);
        origin.text.get_or_insert_with(|| text.to_owned());
    }
}

/// As a run holds it: what watches, and who asks.
impl Watcher for Rc<RefCell<Delivery>> {
    fn see(&mut self, now_ns: u64, step: u64, event: &Event) {
        self.borrow_mut().see(now_ns, step, event);
    }

    fn name(&mut self, name: Name, text: &str) {
        self.borrow_mut().name(name, text);
    }
}
