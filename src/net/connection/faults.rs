//! What befalls connections: set-ups and silences that last too long, breaks, nodes that go down.

use super::{Connections, Frame, State, Surroundings, What};
use crate::choice::{Kind, Shape, Site};
use crate::kernel::time::{Time, nanos};
use crate::trace::{Broken, NodeId};

impl<F> Connections<F> {
    /// A set-up, or a silence, may have lasted too long.
    pub(crate) fn late(&mut self, around: &mut Surroundings<'_>, end: u32) {
        let own = &self.ends[end as usize];
        if own.patience.is_none_or(|patience| patience > around.now) {
            return;
        }
        if around.roads.machine(own.from).paused {
            // It notices when it runs again.
            let (again, nth) = (around.now + self.settings.set_up, own.count);
            return self.be_patient(end, again, nth);
        }
        let (epoch, why) = match own.state {
            State::Up => (own.epoch, Broken::Silent),
            _ => (own.epoch, Broken::NoAnswer),
        };
        self.fall(end, why);
        self.post(around, end, What::Close, epoch);
    }

    /// A node gives up one connection. What it has sent still arrives.
    pub(crate) fn close(&mut self, around: &mut Surroundings<'_>, from: NodeId, to: NodeId) {
        let end = self.end(around, from, to);
        let own = &self.ends[end as usize];
        if own.state != State::Up {
            return self.snap(around, from, to);
        }
        let epoch = own.epoch;
        self.post(around, end, What::Close, epoch);
        self.leave(end, Broken::Closed);
    }

    /// A connection breaks in the middle: each side hears of it, unless it is silent for the one.
    pub(crate) fn snap(&mut self, around: &mut Surroundings<'_>, from: NodeId, to: NodeId) {
        let end = self.end(around, from, to);
        let own = &self.ends[end as usize];
        if own.state == State::Down {
            return;
        }
        let epoch = own.epoch;
        self.fall(end, Broken::Closed);
        self.post(around, end, What::Close, epoch);
    }

    /// A node goes down, with its connections.
    pub(crate) fn stop(&mut self, around: &mut Surroundings<'_>, node: NodeId, leaves: Leaves) {
        let open = |end: u32| {
            let own = &self.ends[end as usize];
            (own.state != State::Down).then_some((end, own.to))
        };
        let own: Vec<_> = self.own(node).filter_map(open).collect();
        for (end, to) in own {
            match leaves {
                Leaves::Orderly => self.close(around, node, to),
                Leaves::Abruptly => self.snap(around, node, to),
                Leaves::Silently => self.fall(end, Broken::Closed),
            }
        }
    }

    /// A node is back that left silently: peers that still believe in a connection hear that it is none.
    pub(crate) fn back(&mut self, around: &mut Surroundings<'_>, node: NodeId) {
        let believed = |end: u32| {
            let (own, other) = (&self.ends[end as usize], &self.ends[end as usize ^ 1]);
            let half_open = own.state == State::Down && other.state != State::Down;
            half_open.then_some((end, other.epoch))
        };
        let believed: Vec<_> = self.own(node).filter_map(believed).collect();
        for (end, epoch) in believed {
            self.post(around, end, What::Close, epoch);
        }
    }

    /// What a fault holds back comes now.
    pub(crate) fn release_held(&mut self, now: Time) {
        for own in &mut self.ends {
            for load in &mut own.waiting {
                load.not_before = Time::ZERO;
            }
        }
        self.hurry(|frame| {
            let is_held = frame.not_before > now;
            if is_held {
                (frame.at, frame.not_before, frame.drawn) = (now, Time::ZERO, true);
            }
            is_held
        });
    }

    /// What was lost and is to be sent again, later, is sent now: faults have stopped.
    pub(crate) fn send_again(&mut self, now: Time) {
        self.hurry(|frame| {
            let at = Time::from_nanos(frame.at.as_nanos().saturating_sub(frame.late_ns)).max(now);
            let is_late = at < frame.at;
            (frame.at, frame.late_ns) = (at.min(frame.at), 0);
            is_late
        });
        for load in self.ends.iter_mut().flat_map(|own| &mut own.waiting) {
            load.late_ns = 0;
        }
    }

    /// Changes when frames come: `change` says of each whether it comes earlier now.
    fn hurry(&mut self, change: impl Fn(&mut Frame<F>) -> bool) {
        for end in 0..self.ends.len() as u32 {
            let own = &mut self.ends[end as usize];
            let mut head = false;
            for (index, frame) in own.queue.iter_mut().enumerate() {
                head |= change(frame) && index == 0;
            }
            if head && !own.stalled {
                self.arm_anew(end);
            }
        }
    }

    /// What stands in the way has changed: what was stalled moves, who hears nothing begins to wait.
    pub(crate) fn roads_changed(&mut self, around: &mut Surroundings<'_>) {
        for end in 0..self.ends.len() as u32 {
            let (roads, now) = (around.roads, around.now);
            let own = &mut self.ends[end as usize];
            let (from, to) = (own.from, own.to);
            if own.stalled && !roads.blocks(from, to) {
                own.stalled = false;
                let least_ns = roads.path(from, to).latency.least_ns();
                if let Some(head) = own.queue.front_mut() {
                    head.not_before = now.plus_nanos(least_ns);
                }
                self.arm_anew(end);
            }
            self.hearken(around, end);
        }
    }

    /// An end that believes in a connection, and hears nothing of its peer, begins to wait; or waits no
    /// more.
    pub(super) fn hearken(&mut self, around: &mut Surroundings<'_>, end: u32) {
        let own = &self.ends[end as usize];
        if own.state != State::Up {
            return;
        }
        match (around.roads.is_deaf(own.from, own.to), own.patience) {
            (true, None) => {
                let by = around.now.plus_nanos(self.silence_ns(around, end));
                let nth = self.ends[end as usize].count;
                self.be_patient(end, by, nth);
            }
            (false, Some(_)) => self.at(end).patience = None,
            _ => {}
        }
    }

    /// How long until a silence that begins now is noticed: ticks come four times in the tick time, and
    /// the fourth that is missing in a row is one too many.
    fn silence_ns(&mut self, around: &mut Surroundings<'_>, end: u32) -> u64 {
        let tick_ns = nanos(self.settings.tick);
        let own = self.at(end);
        own.count += 1;
        let site = Site::new(Kind::Tick, own.who, u64::from(own.count));
        let more_ns = around.choice.draw(site, Shape::UpTo(tick_ns / 2));
        (tick_ns / 4 * 3).saturating_add(more_ns)
    }
}

/// How a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// It closes its connections; what it has sent arrives.
    Orderly,
    /// Its system closes them, and what was under way is lost.
    Abruptly,
    /// Nobody is told.
    Silently,
}
