//! The seam of strategies: who chooses what comes next, where more than one thing may.
//!
//! Under a seed or a tape a latency is drawn when a packet leaves. A [`Chooser`] decides later: what is on
//! its way has a window, and whoever drives the run asks which of the open windows closes next. What was
//! chosen is recorded as the draw that was put off, so a tape knows nothing of choosers.

use std::fmt;

/// What sort of thing is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A packet.
    Message,
    /// Anything else that has its moment: timers first of all, planned faults, reboots.
    Timer,
}

/// Something that may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number, while it waits; numbers are small, and used again.
    pub slot: u32,
    /// What sort of thing it is.
    pub class: Class,
    /// A number for the place at which it comes: what comes at one place can race there.
    pub receiver: u32,
    /// What [`Chooser::armed`] gave it.
    pub mark: u64,
}

/// The receiver of what comes at no place in particular.
pub const NOWHERE: u32 = u32::MAX;

/// Chooses what comes next. Whatever it draws, it draws of the run's seed.
pub trait Chooser: fmt::Debug {
    /// Something was put on its way by what came last: the mark that its candidate will bear. 0 where
    /// nobody says otherwise.
    fn armed(&mut self, class: Class) -> u64 {
        let _ = class;
        0
    }

    /// From now on this may be chosen.
    fn open(&mut self, candidate: Candidate);

    /// Takes what is open in this slot out: it was cancelled, or comes unasked.
    fn close(&mut self, slot: u32) -> Candidate;

    /// Takes one out of what is open; none where nothing is. It comes next, or is opened again later.
    fn pick(&mut self) -> Option<Candidate>;

    /// How many nanoseconds, at most so many, pass before what was picked comes, on top of what must.
    fn wait(&mut self, most_ns: u64) -> u64;

    /// This comes now: picked, or because its last moment is here.
    fn came(&mut self, candidate: &Candidate);
}
