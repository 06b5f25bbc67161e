//! Connections between nodes, as distribution and brokers use them: in order, set up first, broken as a
//! whole.
//!
//! A connection has two ends, which need not agree: where a break is silent, one side believes in it for
//! as long as the tick time. What is sent goes through one queue a direction, of which only the head is on
//! the agenda. The rules are those of Erlang's distribution: the times of set-up and tick, the size of
//! the buffer that makes a sender wait.

use super::roads::Roads;
use crate::choice::{Choice, Kind, Lineage, Rate, Shape, Site};
use crate::kernel::time::Time;
use crate::trace::{Broken, NodeId};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Duration;

/// The times and sizes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a set-up may take. Default 7 s, as `net_setuptime` of Erlang.
    pub set_up: Duration,
    /// A peer of which nothing was heard for between three and five quarters of this is given up. Default
    /// 60 s, as `net_ticktime` of Erlang.
    pub tick: Duration,
    /// A sender waits while more bytes than this are under way. Default 1 MiB, as `zdbbl` of Erlang.
    pub buffer_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            set_up: Duration::from_secs(7),
            tick: Duration::from_secs(60),
            buffer_bytes: 1 << 20,
        }
    }
}

/// What is to be done about connections, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The head of an end's queue has its moment.
    Head(Head),
    /// Come back with `Connections::late` for this end at this moment.
    Late(u32, Time),
    /// The first node has a connection to the second.
    Up(NodeId, NodeId),
    /// The first node has lost its connection to the second, or could not set it up.
    Down(NodeId, NodeId, Broken),
    /// What was under way on a connection that broke.
    Lost(u32),
    /// What waited for a connection that could not be set up.
    Dead(u32),
    /// Those who waited until this end takes more.
    Writable(Vec<Waiter>),
}

/// Come back with `Connections::due` for an end at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The end.
    pub end: u32,
    /// The moment.
    pub at: Time,
    /// Decides among what is due at once: who sent it.
    pub who: Lineage,
    /// And the how-manieth of that sender.
    pub nth: u32,
}

/// Who waits until a connection takes more: a task, by slot and generation.
pub type Waiter = (u32, u16);

/// What the network is asked to carry.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What it is, for whoever sends it.
    pub freight: u32,
    /// Its size.
    pub bytes: u32,
    /// Who sends it, for draws.
    pub who: Lineage,
    /// The how-manieth of that sender.
    pub nth: u32,
    /// How long it is under way, once it has left.
    pub transit_ns: u64,
    /// It does not arrive before this.
    pub not_before: Time,
}

/// What comes out at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// A load.
    Load(u32),
    /// Nothing for processes; there may be effects.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Hello,
    Welcome,
    Close,
    Load(u32),
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    what: What,
    bytes: u32,
    epoch: u32,
    nth: u32,
    who: Lineage,
    at: Time,
    /// A fault holds it back until then.
    held: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Calling,
    Up,
}

/// One end, and the queue of what goes out from it.
#[derive(Debug)]
struct End {
    from: NodeId,
    to: NodeId,
    state: State,
    epoch: u32,
    queue: VecDeque<Frame>,
    /// What waits for the set-up.
    waiting: VecDeque<Load>,
    bytes: usize,
    waiters: Vec<Waiter>,
    /// When the head is looked at again; `Time::MAX` where nothing is armed.
    armed: Time,
    stalled: bool,
    /// When the line is free for the next byte.
    free_at: Time,
    /// When the set-up, or the silence of the peer, has lasted too long.
    patience: Option<Time>,
    /// Its own packets and checks so far.
    count: u32,
}

/// All connections of a run.
#[derive(Debug, Default)]
pub struct Connections {
    settings: Settings,
    ends: Vec<End>,
    index: FxHashMap<(NodeId, NodeId), u32>,
    /// The ends of each node.
    of: Vec<Vec<u32>>,
    /// The first effect, where it is the most usual one.
    head: Option<Head>,
    effects: Vec<Effect>,
}

impl Connections {
    pub(crate) fn new(settings: Settings) -> Connections {
        Connections {
            settings,
            ..Connections::default()
        }
    }

    /// What is to be done since the last time: first this, where there is any, then the rest.
    #[inline(always)]
    pub fn head(&mut self) -> Option<Head> {
        self.head.take()
    }

    /// The rest of what is to be done.
    #[inline(always)]
    pub fn effects(&mut self) -> Option<Vec<Effect>> {
        if self.effects.is_empty() {
            None
        } else {
            Some(std::mem::take(&mut self.effects))
        }
    }

    #[inline]
    fn come_back(&mut self, head: Head) {
        if self.head.is_none() && self.effects.is_empty() {
            self.head = Some(head);
        } else {
            self.effects.push(Effect::Head(head));
        }
    }

    /// The nodes to which this one has a connection, as it believes.
    pub fn peers(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let ends = self.own(node).iter().map(|end| &self.ends[*end as usize]);
        ends.filter(|end| end.state == State::Up).map(|end| end.to)
    }

    fn own(&self, node: NodeId) -> &[u32] {
        self.of.get(node.index()).map_or(&[], Vec::as_slice)
    }

    /// Both ends of a pair lie side by side: the other end of `end` is `end ^ 1`.
    #[inline]
    fn end(&mut self, from: NodeId, to: NodeId) -> u32 {
        if let Some(end) = self.index.get(&(from, to)) {
            return *end;
        }
        let index = self.ends.len() as u32;
        self.ends.push(End::new(from, to));
        self.ends.push(End::new(to, from));
        for (end, from, to) in [(index, from, to), (index + 1, to, from)] {
            self.index.insert((from, to), end);
            if self.of.len() <= from.index() {
                self.of.resize_with(from.index() + 1, Vec::new);
            }
            self.of[from.index()].push(end);
        }
        index
    }

    fn at(&mut self, end: u32) -> &mut End {
        &mut self.ends[end as usize]
    }

    /// Sends a load; whether the sender should wait until the connection takes more. Where there is no
    /// connection, one is set up.
    #[inline]
    pub(crate) fn send(
        &mut self,
        roads: &Roads,
        choice: &mut Choice,
        now: Time,
        (from, to): (NodeId, NodeId),
        load: Load,
    ) -> bool {
        let end = self.end(from, to);
        if self.ends[end as usize].state == State::Down {
            self.call(roads, choice, now, end);
        }
        let most = self.settings.buffer_bytes;
        let own = &mut self.ends[end as usize];
        own.bytes += load.bytes as usize;
        let busy = own.bytes > most;
        if own.state == State::Up {
            self.launch(roads, now, end, load);
        } else {
            own.waiting.push_back(load);
        }
        busy
    }

    /// Somebody waits until the connection takes more.
    pub(crate) fn wait(&mut self, from: NodeId, to: NodeId, waiter: Waiter) {
        let end = self.end(from, to);
        self.at(end).waiters.push(waiter);
    }

    /// Sets a connection up, where there is none.
    pub(crate) fn open(
        &mut self,
        roads: &Roads,
        choice: &mut Choice,
        now: Time,
        from: NodeId,
        to: NodeId,
    ) {
        let end = self.end(from, to);
        match self.ends[end as usize].state {
            State::Down => self.call(roads, choice, now, end),
            State::Calling | State::Up => {}
        }
    }

    /// Whether a node has a connection to another, as it believes.
    pub fn is_up(&self, from: NodeId, to: NodeId) -> bool {
        let end = self.index.get(&(from, to));
        end.is_some_and(|end| self.ends[*end as usize].state == State::Up)
    }

    fn call(&mut self, roads: &Roads, choice: &mut Choice, now: Time, end: u32) {
        let epoch = self.ends[end as usize]
            .epoch
            .max(self.ends[end as usize ^ 1].epoch)
            + 1;
        let by = now + self.settings.set_up;
        let own = self.at(end);
        (own.state, own.epoch, own.patience) = (State::Calling, epoch, Some(by));
        self.effects.push(Effect::Late(end, by));
        self.post(roads, choice, now, end, What::Hello, epoch);
    }

    /// Puts a load on its way.
    #[inline]
    fn launch(&mut self, roads: &Roads, now: Time, end: u32, load: Load) {
        let own = &mut self.ends[end as usize];
        let path = roads.path(own.from, own.to);
        let mut leaves = now;
        if let Some(passes_ns) = path.passes_ns(load.bytes) {
            leaves = own.free_at.max(now).plus_nanos(passes_ns);
            own.free_at = leaves;
        }
        let frame = Frame {
            what: What::Load(load.freight),
            bytes: load.bytes,
            epoch: own.epoch,
            nth: load.nth,
            who: load.who,
            at: leaves.plus_nanos(load.transit_ns).max(load.not_before),
            held: load.not_before > now,
        };
        self.push(end, frame);
    }

    /// Sends one of the connection's own packets.
    fn post(
        &mut self,
        roads: &Roads,
        choice: &mut Choice,
        now: Time,
        end: u32,
        what: What,
        epoch: u32,
    ) {
        let own = self.at(end);
        own.count += 1;
        let (from, to, count) = (own.from, own.to, own.count);
        let (who, nth) = (roads.owner(from), own_site(to, count));
        let transit_ns = roads.transit_ns(choice, (from, to), (who, nth), Rate::NEVER);
        let frame = Frame {
            what,
            bytes: 0,
            epoch,
            nth: (to.index() as u32) << 16 | count & 0xFFFF,
            who,
            at: now.plus_nanos(transit_ns),
            held: false,
        };
        self.push(end, frame);
    }

    #[inline]
    fn push(&mut self, end: u32, frame: Frame) {
        let own = &mut self.ends[end as usize];
        own.queue.push_back(frame);
        if own.queue.len() == 1 && !own.stalled {
            own.armed = frame.at;
            let Frame { at, who, nth, .. } = frame;
            self.come_back(Head { end, at, who, nth });
        }
    }

    /// Arms the head of a queue, where there is one.
    fn arm(&mut self, end: u32, not_before: Time) {
        let own = &mut self.ends[end as usize];
        let Some(head) = own.queue.front() else {
            own.armed = Time::MAX;
            return;
        };
        own.armed = head.at.max(not_before);
        let Frame { who, nth, .. } = *head;
        let at = own.armed;
        self.come_back(Head { end, at, who, nth });
    }

    /// The head of a queue is due.
    #[inline]
    pub(crate) fn due(&mut self, roads: &Roads, choice: &mut Choice, now: Time, end: u32) -> Came {
        let own = &mut self.ends[end as usize];
        if own.armed != now {
            // The connection broke meanwhile, and another head is awaited.
            return Came::Nothing;
        }
        if roads.blocks(own.from, own.to) {
            (own.stalled, own.armed) = (true, Time::MAX);
            return Came::Nothing;
        }
        let Some(frame) = own.queue.pop_front() else {
            own.armed = Time::MAX;
            return Came::Nothing;
        };
        own.bytes = own.bytes.saturating_sub(frame.bytes as usize);
        let writable = !own.waiters.is_empty() && own.bytes <= self.settings.buffer_bytes / 2;
        self.arm(end, now);
        if writable {
            self.writable(end);
        }
        let other = &self.ends[end as usize ^ 1];
        match frame.what {
            What::Load(freight) if other.state == State::Up && other.epoch == frame.epoch => {
                Came::Load(freight)
            }
            what => {
                self.came(roads, choice, now, end, what, frame.epoch);
                Came::Nothing
            }
        }
    }

    fn writable(&mut self, end: u32) {
        let waiters = std::mem::take(&mut self.at(end).waiters);
        if !waiters.is_empty() {
            self.effects.push(Effect::Writable(waiters));
        }
    }

    /// A packet of the connection's own has come to the other end, or a load for which there is none.
    fn came(
        &mut self,
        roads: &Roads,
        choice: &mut Choice,
        now: Time,
        end: u32,
        what: What,
        epoch: u32,
    ) {
        let here = end ^ 1;
        let own = &self.ends[here as usize];
        match what {
            What::Hello => self.hello(roads, choice, now, here, epoch),
            What::Welcome if own.state == State::Calling && own.epoch == epoch => {
                self.up(roads, now, here, epoch);
            }
            What::Close if own.state != State::Down && own.epoch == epoch => {
                let why = if own.state == State::Up {
                    Broken::Closed
                } else {
                    Broken::Refused
                };
                self.fall(now, here, why);
            }
            What::Close => {}
            What::Welcome => self.post(roads, choice, now, here, What::Close, epoch),
            What::Load(freight) => {
                self.effects.push(Effect::Lost(freight));
                self.post(roads, choice, now, here, What::Close, epoch);
            }
        }
    }

    /// The peer of `here` wants a connection.
    fn hello(&mut self, roads: &Roads, choice: &mut Choice, now: Time, here: u32, epoch: u32) {
        let own = &self.ends[here as usize];
        let (node, peer) = (own.from, own.to);
        if !roads.machine(node).up || self.is_outdated(roads, node, peer) {
            return self.post(roads, choice, now, here, What::Close, epoch);
        }
        match own.state {
            // Both call: the call of the lesser node counts.
            State::Calling if node < peer => return,
            State::Calling => {}
            // Half open: the peer has begun anew, and this side has not heard of its end.
            State::Up => self.fall(now, here, Broken::Replaced),
            State::Down => {}
        }
        self.drop_namesakes(roads, now, node, peer);
        self.post(roads, choice, now, here, What::Welcome, epoch);
        self.up(roads, now, here, epoch);
    }

    /// Whether `peer` runs beside a newer one of its name, to which `node` has a connection.
    fn is_outdated(&self, roads: &Roads, node: NodeId, peer: NodeId) -> bool {
        let machine = roads.machine(peer);
        machine.outdated
            && self.peers(node).any(|other| {
                let other = roads.machine(other);
                other.name == machine.name && !other.outdated
            })
    }

    /// A new one of a name takes the place of the old one, in which `node` still believes.
    fn drop_namesakes(&mut self, roads: &Roads, now: Time, node: NodeId, peer: NodeId) {
        if !roads.has_namesakes() {
            return;
        }
        let name = roads.machine(peer).name;
        let old = |end: &&u32| {
            let end = &self.ends[**end as usize];
            let namesake = end.to != peer && roads.machine(end.to).name == name;
            namesake && end.state == State::Up
        };
        let old: Vec<u32> = self.own(node).iter().filter(old).copied().collect();
        for end in old {
            self.fall(now, end, Broken::Replaced);
        }
    }

    fn up(&mut self, roads: &Roads, now: Time, end: u32, epoch: u32) {
        let own = self.at(end);
        (own.state, own.epoch, own.patience) = (State::Up, epoch, None);
        let (from, to) = (own.from, own.to);
        let waiting = std::mem::take(&mut own.waiting);
        self.effects.push(Effect::Up(from, to));
        for load in waiting {
            self.launch(roads, now, end, load);
        }
    }

    /// One end is no more: what it had under way is lost.
    fn fall(&mut self, now: Time, end: u32, why: Broken) {
        self.drop_loads(now, end);
        let own = self.at(end);
        let waiting = std::mem::take(&mut own.waiting);
        (own.state, own.patience, own.bytes) = (State::Down, None, 0);
        let (from, to) = (own.from, own.to);
        self.effects
            .extend(waiting.iter().map(|load| Effect::Dead(load.freight)));
        self.writable(end);
        self.effects.push(Effect::Down(from, to, why));
    }

    fn drop_loads(&mut self, now: Time, end: u32) {
        let own = self.at(end);
        let mut lost = Vec::new();
        own.queue.retain(|frame| match frame.what {
            What::Load(freight) => {
                lost.push(Effect::Lost(freight));
                false
            }
            _ => true,
        });
        let moved = !lost.is_empty() && !own.stalled;
        self.effects.append(&mut lost);
        if moved {
            self.arm(end, now);
        }
    }

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
        if own.state == State::Down {
            return;
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
            let (from, to, state) = (own.from, own.to, own.state);
            if own.stalled && !roads.blocks(from, to) {
                self.at(end).stalled = false;
                let least_ns = roads.path(from, to).latency.least_ns();
                self.arm(end, now.plus_nanos(least_ns));
            }
            if state != State::Up {
                continue;
            }
            let own = &self.ends[end as usize];
            match (roads.is_deaf(from, to), own.patience) {
                (true, None) => {
                    let by = now.plus_nanos(self.silence_ns(roads, choice, end));
                    self.at(end).patience = Some(by);
                    self.effects.push(Effect::Late(end, by));
                }
                (false, Some(_)) => self.at(end).patience = None,
                _ => {}
            }
        }
    }

    /// How long until a silence that begins now is noticed: ticks come four times in the tick time, and
    /// the fourth that is missing in a row is one too many.
    fn silence_ns(&mut self, roads: &Roads, choice: &mut Choice, end: u32) -> u64 {
        let tick_ns = self.settings.tick.as_nanos() as u64;
        let own = self.at(end);
        own.count += 1;
        let nth = own_site(own.to, own.count);
        let site = Site::new(Kind::Tick, roads.owner(own.from), nth);
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

/// The how-manieth draw of a machine's own on the way to this peer: apart from those of its processes.
fn own_site(to: NodeId, count: u32) -> u64 {
    1 << 40 | (to.index() as u64) << 24 | u64::from(count)
}

impl End {
    fn new(from: NodeId, to: NodeId) -> End {
        End {
            from,
            to,
            state: State::Down,
            epoch: 0,
            queue: VecDeque::new(),
            waiting: VecDeque::new(),
            bytes: 0,
            waiters: Vec::new(),
            armed: Time::MAX,
            stalled: false,
            free_at: Time::ZERO,
            patience: None,
            count: 0,
        }
    }
}
