//! What a chooser may choose from: entries of the agenda with windows, and when each opens.
//!
//! An entry stands on the agenda at its last moment. The first of these last moments is the *limit*: time
//! does not pass it before that entry has come. An entry with a window is open once its first moment lies
//! before the limit. So that nothing is looked through at each step, the moments at which they open stand
//! on a second agenda, in the same wheel. Of the entries of a single moment only the first of all is open:
//! to choose it is to let time go to the limit, where all the others of that moment come too. The limit can
//! fall again, when something urgent is armed: then what is picked is checked, and put back.

use super::{Drawn, Due, Kernel, Next, TaskData};
use crate::choice::{Candidate, Chooser, Class, PutOff};
use crate::kernel::agenda::{Agenda, Key};
use crate::kernel::bounds::Reached;
use crate::kernel::time::Time;
use std::cell::Cell;

/// An entry of the agenda, for the chooser.
#[derive(Clone, Copy)]
pub(super) struct Armed {
    pub(super) key: Key,
    pub(super) class: Class,
    pub(super) receiver: u32,
    /// The draw that its moment decides, and the moment of which that draw's outcome is 0; none where it has
    /// but one moment.
    pub(super) draw: Option<(PutOff, Time)>,
}

/// What was chosen.
pub(super) struct Chosen {
    pub(super) key: Key,
    pub(super) at: Time,
    pub(super) draw: Option<(PutOff, Time)>,
}

#[derive(Clone, Copy)]
enum Place {
    /// It opens later: the key of that moment.
    Shut(Key),
    /// It has a single moment, and opens when it is the first of all.
    Single,
    /// The chooser has it.
    Open,
    Gone,
}

#[derive(Clone, Copy)]
struct Waiting {
    armed: Armed,
    mark: u64,
    earliest: Time,
    opens: Time,
    place: Place,
}

/// The open entries are the chooser's; this knows the rest.
pub(super) struct Search {
    chooser: Box<dyn Chooser>,
    memory: Memory,
    /// Whatever opens by this moment is the chooser's already.
    handed: Time,
}

#[derive(Default)]
struct Memory {
    openings: Agenda<u32>,
    /// By the slots of the agenda.
    waiting: Vec<Waiting>,
}

thread_local! {
    /// The memory of the last run's search, as the agenda's is kept.
    static SPARE: Cell<Option<Memory>> = const { Cell::new(None) };
}

impl Search {
    pub(super) fn new(chooser: Box<dyn Chooser>) -> Search {
        Search {
            chooser,
            memory: SPARE.take().unwrap_or_default(),
            handed: Time::ZERO,
        }
    }

    /// At the end of a run.
    pub(super) fn retire(mut self) {
        self.memory.openings.clear();
        self.memory.waiting.clear();
        SPARE.set(Some(self.memory));
    }

    /// An entry was put on the agenda, that comes at some moment from `earliest` to `latest`.
    pub(super) fn armed(&mut self, armed: Armed, earliest: Time, latest: Time) {
        let mark = self.chooser.armed(armed.class);
        let slot = armed.key.index();
        let opens = if earliest == latest {
            latest
        } else {
            earliest.plus_nanos(1)
        };
        let waiting = Waiting {
            armed,
            mark,
            earliest,
            opens,
            place: Place::Open,
        };
        let index = slot as usize;
        if index >= self.memory.waiting.len() {
            self.memory.waiting.resize(index + 1, waiting);
        }
        self.memory.waiting[index] = waiting;
        if earliest == latest {
            self.memory.waiting[index].place = Place::Single;
        } else if opens <= self.handed {
            self.open(slot);
        } else {
            self.shut(slot, opens);
        }
    }

    fn open(&mut self, slot: u32) {
        let waiting = &mut self.memory.waiting[slot as usize];
        waiting.place = Place::Open;
        self.chooser.open(waiting.candidate(slot));
    }

    fn shut(&mut self, slot: u32, opens: Time) {
        let key = self.memory.openings.push(opens, slot);
        self.memory.waiting[slot as usize].place = Place::Shut(key);
    }

    /// Chooses among what is open while time may go to `limit` and `first` is the first entry of all; none
    /// where nothing is open. What was chosen for its last moment comes with all others of that moment.
    pub(super) fn pick(&mut self, now: Time, limit: Time, first: Key) -> Option<Chosen> {
        while let Some((_, opened)) = self.memory.openings.pop_due(limit) {
            self.open(opened.event);
        }
        self.handed = limit;
        let slot = first.index();
        let first = &self.memory.waiting[slot as usize];
        if matches!(first.place, Place::Single) && first.opens <= limit {
            self.open(slot);
        }
        while let Some(candidate) = self.chooser.pick() {
            let waiting = &mut self.memory.waiting[candidate.slot as usize];
            if waiting.opens > limit {
                let opens = waiting.opens;
                waiting.mark = candidate.mark;
                if waiting.is_single() {
                    waiting.place = Place::Single;
                } else {
                    self.shut(candidate.slot, opens);
                }
                continue;
            }
            waiting.place = Place::Gone;
            self.chooser.came(&candidate);
            let least = waiting.earliest.max(now.plus_nanos(1));
            let room_ns = limit.since(least).as_nanos() as u64;
            let wait_ns = match room_ns {
                0 => 0,
                room_ns => self.chooser.wait(room_ns - 1),
            };
            return Some(Chosen {
                key: waiting.armed.key,
                at: least.plus_nanos(wait_ns),
                draw: waiting.armed.draw,
            });
        }
        None
    }

    /// This entry comes: what was picked, or because its last moment is here.
    pub(super) fn came(&mut self, key: Key) {
        if let Some(candidate) = self.gone(key) {
            self.chooser.came(&candidate);
        }
    }

    /// This entry is off the agenda; nothing where it was picked, which the chooser knows.
    pub(super) fn gone(&mut self, key: Key) -> Option<Candidate> {
        let slot = key.index();
        let waiting = &mut self.memory.waiting[slot as usize];
        match std::mem::replace(&mut waiting.place, Place::Gone) {
            Place::Shut(opening) => {
                self.memory.openings.cancel(opening);
                Some(waiting.candidate(slot))
            }
            Place::Single => Some(waiting.candidate(slot)),
            Place::Open => Some(self.chooser.close(slot)),
            Place::Gone => None,
        }
    }
}

impl Waiting {
    /// One with a window opens after its first moment.
    fn is_single(&self) -> bool {
        self.opens == self.earliest
    }

    fn candidate(&self, slot: u32) -> Candidate {
        Candidate {
            slot,
            class: self.armed.class,
            receiver: self.armed.receiver,
            mark: self.mark,
        }
    }
}

impl<D: TaskData> Kernel<D> {
    /// Adds an entry that may come anywhere from its least moment to its greatest.
    #[inline(never)]
    pub(super) fn arm_window(&mut self, drawn: &Drawn<'_>, due: Due) -> Result<Key, Reached> {
        let draw = self.choice.put_off(drawn.site, drawn.shape);
        let earliest = drawn.from.max(self.now);
        let latest = drawn.from.plus_nanos(draw.most).max(self.now);
        let key = self.push(latest, due)?;
        if let Some(search) = &mut self.search {
            let armed = Armed {
                key,
                class: drawn.class,
                receiver: drawn.receiver,
                draw: Some((draw, drawn.from)),
            };
            search.armed(armed, earliest, latest);
        }
        Ok(key)
    }

    /// Lets the chooser say what comes next; nothing where that only made tasks ready.
    ///
    /// What it chose comes strictly after now and before the last moment of anything else, alone at its
    /// moment. So the run is the one in which that moment had been drawn, and so it is recorded. Where there
    /// is no room for that, time moves to the first last moment, and all that ends there comes, as ever.
    #[inline(never)]
    pub(super) fn choose(&mut self, until: Time) -> Option<Next> {
        let Some((limit, first)) = self.agenda.first() else {
            return Some(Next::Quiet(true));
        };
        let next = self.now.plus_nanos(1);
        if next < limit
            && next <= until
            && let Some(search) = &mut self.search
            && let Some(chosen) = search.pick(self.now, limit.min(until), first)
            && chosen.at < limit
        {
            if let Some((draw, from)) = chosen.draw {
                let outcome = chosen.at.as_nanos() - from.as_nanos();
                self.choice.settle(draw, outcome);
            }
            let entry = self.agenda.cancel(chosen.key)?;
            self.move_to(chosen.at);
            return self.due_now(entry.event);
        }
        let Some((key, entry)) = self.agenda.pop_due(until) else {
            return Some(Next::Quiet(false));
        };
        self.move_to(limit.max(self.now));
        self.tell_came(key);
        let Some((second_key, second)) = self.agenda.pop_due(limit) else {
            return self.due_now(entry.event);
        };
        self.queue_due(key, entry.event);
        self.tell_came(second_key);
        self.queue_due(second_key, second.event);
        while let Some((key, entry)) = self.agenda.pop_due(limit) {
            self.tell_came(key);
            self.queue_due(key, entry.event);
        }
        None
    }

    fn tell_came(&mut self, key: Key) {
        if let Some(search) = &mut self.search {
            search.came(key);
        }
    }
}

#[cfg(test)]
mod tests;
