//! What befalls connections: set-ups and silences that last too long, breaks, nodes that go down.

use super::{Connections, Effect, State, What, own_site};
use crate::choice::{Choice, Kind, Shape, Site};
use crate::kernel::time::Time;
use crate::net::roads::Roads;
use crate::trace::{Broken, NodeId};

impl Connections {
    /// A set-up, or a silence, may have lasted too long.
    pub(crate) fn late(&mut self, roads: &Roads, choice: &mut Choice, now: Time, end: u32) {
        let own = &self.ends[end as usize];
        if own.patience.is_none_or(|patience| patience > now) {
            return;
        }
        if roads.machine(own.from).paused {
            // It notices when it runs again.
            let again = now + self.settings.set_up;
            self.at(end).patience = Some(again);
            return self.effects.push(Effect::Late(end, again));
        }
        let (epoch, why) = match own.state {
            State::Up => (own.epoch, Broken::Silent),
            _ => (own.epoch, Broken::NoAnswer),
        };
        self.fall(now, end, why);
        self.post(roads, choice, now, end, What::Close, epoch);
    }

    /// A node gives up one connection. What it has sent still arrives.
    pub(crate) fn close(
        &mut self,
        roads: &Roads,
        choice: &mut Choice,
        now: Time,
        from: NodeId,
        to: NodeId,
    ) {
        let end = self.end(from, to);
        let own = &self.ends[end as usize];
        if own.state != State::Up {
            return self.snap(roads, choice, now, from, to);
        }
        let epoch = own.epoch;
        self.post(roads, choice, now, end, What::Close, epoch);
        let own = self.at(end);
        let sent = std::mem::take(&mut own.queue);
        let stalled = own.stalled;
        self.fall(now, end, Broken::Closed);
        let own = self.at(end);
        (own.queue, own.stalled) = (sent, stalled);
    }

    /// A connection breaks in the middle: each side hears of it, unless it is silent for the one.
    pub(crate) fn snap(
        &mut self,
        roads: &Roads,
        choice: &mut Choice,
        now: Time,
        from: NodeId,
        to: NodeId,
    ) {
        let end = self.end(from, to);
        let own = &self.ends[end as usize];
        if own.state == State::Down {
            return;
        }
        let epoch = own.epoch;
        self.fall(now, end, Broken::Closed);
        self.post(roads, choice, now, end, What::Close, epoch);
    }

    /// A node goes down, with its connections. With `quiet` nobody is told; with `flush` what it has sent
    /// still arrives.
    pub(crate) fn stop(
        &mut self,
        roads: &Roads,
        choice: &mut Choice,
        now: Time,
        node: NodeId,
        leaves: Leaves,
    ) {
        let open = |end: &u32| {
            let own = &self.ends[*end as usize];
            (own.state != State::Down).then_some((*end, own.to))
        };
        let own: Vec<_> = self.own(node).iter().filter_map(open).collect();
        for (end, to) in own {
            match leaves {
                Leaves::Orderly => self.close(roads, choice, now, node, to),
                Leaves::Abruptly => self.snap(roads, choice, now, node, to),
                Leaves::Silently => self.fall(now, end, Broken::Closed),
            }
        }
    }

    /// A node is back that left silently: peers that still believe in a connection hear that it is none.
    pub(crate) fn back(&mut self, roads: &Roads, choice: &mut Choice, now: Time, node: NodeId) {
        let believed = |end: &u32| {
            let (own, other) = (&self.ends[*end as usize], &self.ends[*end as usize ^ 1]);
            let half_open = own.state == State::Down && other.state != State::Down;
            half_open.then_some((*end, other.epoch))
        };
        let believed: Vec<_> = self.own(node).iter().filter_map(believed).collect();
        for (end, epoch) in believed {
            self.post(roads, choice, now, end, What::Close, epoch);
        }
    }

    /// What a fault holds back comes now.
    pub fn release_held(&mut self, now: Time) {
        for end in 0..self.ends.len() as u32 {
            let own = self.at(end);
            let mut moved = false;
            for load in &mut own.waiting {
                load.not_before = Time::ZERO;
            }
            for frame in own.queue.iter_mut().filter(|frame| frame.held) {
                (frame.held, frame.at, moved) = (false, now, true);
            }
            if moved && !own.stalled {
                self.arm(end, now);
            }
        }
    }

    /// What stands in the way has changed: what was stalled moves, who hears nothing begins to wait.
    pub(crate) fn roads_changed(&mut self, roads: &Roads, choice: &mut Choice, now: Time) {
        for end in 0..self.ends.len() as u32 {
            let own = &self.ends[end as usize];
            let (from, to) = (own.from, own.to);
            if own.stalled && !roads.blocks(from, to) {
                self.at(end).stalled = false;
                let least_ns = roads.path(from, to).latency.least_ns();
                self.arm(end, now.plus_nanos(least_ns));
            }
            self.hearken(roads, choice, now, end);
        }
    }

    /// An end that believes in a connection, and hears nothing of its peer, begins to wait; or waits no
    /// more.
    pub(super) fn hearken(&mut self, roads: &Roads, choice: &mut Choice, now: Time, end: u32) {
        let own = &self.ends[end as usize];
        if own.state != State::Up {
            return;
        }
        match (roads.is_deaf(own.from, own.to), own.patience) {
            (true, None) => {
                let by = now.plus_nanos(self.silence_ns(roads, choice, end));
                self.at(end).patience = Some(by);
                self.effects.push(Effect::Late(end, by));
            }
            (false, Some(_)) => self.at(end).patience = None,
            _ => {}
        }
    }

    /// How long until a silence that begins now is noticed: ticks come four times in the tick time, and
    /// the fourth that is missing in a row is one too many.
    fn silence_ns(&mut self, roads: &Roads, choice: &mut Choice, end: u32) -> u64 {
        let tick_ns = self.settings.tick.as_nanos() as u64;
        let own = self.at(end);
        own.count += 1;
        let (from, to, count) = (own.from, own.to, own.count);
        let nth = own_site(roads, from, to, count);
        let site = Site::new(Kind::Tick, roads.owner(from), nth);
        tick_ns / 4 * 3 + choice.draw(site, Shape::UpTo(tick_ns / 2))
    }
}

/// How a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// It closes its connections; what it has sent arrives.
    Orderly,
    /// Its system closes them, and what was under way is lost.
    Abruptly,
    /// Nobody is told.
    Silently,
}
