//! Connections between nodes, as distribution and brokers use them: in order, set up first, broken as a
//! whole.
//!
//! A connection has two ends, which need not agree: where a break is silent, one side believes in it for
//! as long as the tick time. What is sent goes through one queue a direction, of which only the head is on
//! the agenda. The rules are those of Erlang's distribution: the times of set-up and tick, the size of
//! the buffer that makes a sender wait.

mod faults;

pub(crate) use faults::Leaves;

use super::roads::{Machine, Roads};
use crate::choice::{Choice, Lineage, Rate};
use crate::kernel::time::Time;
use crate::trace::{Broken, NodeId};
use std::collections::VecDeque;
use std::mem;
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

/// What connections are among: what stands in the way, chance, and the time.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) roads: &'a Roads,
    pub(crate) choice: &'a mut Choice,
    pub(crate) now: Time,
}

/// What is to be done about connections, in this order. `F` is what they carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect<F> {
    /// The head of an end's queue is under way.
    Head(Head),
    /// The head of this end's queue is another than the one under way, or comes at another moment.
    Forget(u32),
    /// Come back with `Connections::late` for an end.
    Late(Late),
    /// The first node has a connection to the second.
    Up(NodeId, NodeId),
    /// The first node has lost its connection to the second, or could not set it up.
    Down(NodeId, NodeId, Broken),
    /// What was under way on a connection that broke.
    Lost(F),
    /// What waited for a connection that could not be set up.
    Dead(F),
    /// Those who waited until this end takes more.
    Writable(Vec<Waiter>),
}

/// Come back with `Connections::due` for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The end.
    pub end: u32,
    /// From where.
    pub from: NodeId,
    /// Where to.
    pub to: NodeId,
    /// At this moment, or
    pub at: Time,
    /// later by as much as its latency is above the least.
    pub draws: bool,
    /// Who draws that, and decides among what is due at once.
    pub who: Lineage,
    /// And the how-manieth of that sender.
    pub nth: u64,
}

/// Come back with `Connections::late` for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late {
    /// The end.
    pub end: u32,
    /// At this moment.
    pub at: Time,
    /// Who decides among what is due at once.
    pub who: Lineage,
    /// And the how-manieth of that sender.
    pub nth: u32,
}

/// Who waits until a connection takes more: a task, by slot and generation.
pub(crate) type Waiter = (u32, u16);

/// What the network is asked to carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<F> {
    /// What it is.
    pub freight: F,
    /// Its size.
    pub bytes: u32,
    /// Who sends it, for draws.
    pub who: Lineage,
    /// The how-manieth of that sender.
    pub nth: u32,
    /// How much longer than its latency faults keep it under way.
    pub late_ns: u64,
    /// It does not arrive before this.
    pub not_before: Time,
}

#[derive(Debug)]
enum What<F> {
    Hello,
    Welcome,
    Close,
    Load(F),
}

#[derive(Debug)]
struct Frame<F> {
    what: What<F>,
    bytes: u32,
    epoch: u32,
    who: Lineage,
    nth: u64,
    /// When it comes with the least latency.
    at: Time,
    /// How much of that is by faults.
    late_ns: u64,
    /// It does not come before this.
    not_before: Time,
    /// Its latency was drawn already.
    drawn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Calling,
    Up,
}

/// One end, and the queue of what goes out from it.
#[derive(Debug)]
struct End<F> {
    from: NodeId,
    to: NodeId,
    /// Who draws for its own packets.
    who: Lineage,
    state: State,
    epoch: u32,
    queue: VecDeque<Frame<F>>,
    /// What waits for the set-up.
    waiting: VecDeque<Load<F>>,
    bytes: usize,
    waiters: Vec<Waiter>,
    /// The head of the queue is under way.
    armed: bool,
    /// It has come as far as to what stands in the way.
    stalled: bool,
    /// When the line is free for the next byte.
    free_at: Time,
    /// When the set-up, or the silence of the peer, has lasted too long.
    patience: Option<Time>,
    /// Its own packets and checks so far.
    count: u32,
}

/// No end.
const NONE: u32 = u32::MAX;

/// All connections of a run, and what they carry.
#[derive(Debug)]
pub(crate) struct Connections<F> {
    settings: Settings,
    ends: Vec<End<F>>,
    /// By node, and by the peer: the end, or [`NONE`].
    of: Vec<Vec<u32>>,
    effects: Vec<Effect<F>>,
}

impl<F> Connections<F> {
    pub(crate) fn new(settings: Settings) -> Connections<F> {
        Connections {
            settings,
            ends: Vec::new(),
            of: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// What is to be done since the last time, beside what was given back.
    #[inline(always)]
    pub(crate) fn effects(&mut self) -> Option<Vec<Effect<F>>> {
        if self.effects.is_empty() {
            None
        } else {
            Some(mem::take(&mut self.effects))
        }
    }

    /// All that is in the queues.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = F> {
        let ends = self.ends.drain(..);
        ends.flat_map(|end| {
            let sent = end.queue.into_iter().filter_map(|frame| match frame.what {
                What::Load(freight) => Some(freight),
                _ => None,
            });
            sent.chain(end.waiting.into_iter().map(|load| load.freight))
        })
    }

    /// The nodes to which this one has a connection, as it believes, in the order of their numbers.
    pub(crate) fn peers(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let ends = self.own(node).map(|end| &self.ends[end as usize]);
        ends.filter(|end| end.state == State::Up).map(|end| end.to)
    }

    fn own(&self, node: NodeId) -> impl Iterator<Item = u32> + '_ {
        let row = self.of.get(node.index()).map_or(&[][..], Vec::as_slice);
        row.iter().copied().filter(|end| *end != NONE)
    }

    #[inline]
    fn known(&self, from: NodeId, to: NodeId) -> Option<u32> {
        let end = *self.of.get(from.index())?.get(to.index())?;
        (end != NONE).then_some(end)
    }

    /// Both ends of a pair lie side by side: the other end of `end` is `end ^ 1`.
    #[inline]
    fn end(&mut self, around: &mut Surroundings<'_>, from: NodeId, to: NodeId) -> u32 {
        match self.known(from, to) {
            Some(end) => end,
            None => self.new_pair(around, from, to),
        }
    }

    #[cold]
    fn new_pair(&mut self, around: &mut Surroundings<'_>, from: NodeId, to: NodeId) -> u32 {
        let index = self.ends.len() as u32;
        for (end, from, to) in [(index, from, to), (index + 1, to, from)] {
            let roads = around.roads;
            let who = around.choice.way(roads.owner(from), roads.owner(to));
            self.ends.push(End::new(from, to, who));
            if self.of.len() <= from.index() {
                self.of.resize_with(from.index() + 1, Vec::new);
            }
            let row = &mut self.of[from.index()];
            if row.len() <= to.index() {
                row.resize(to.index() + 1, NONE);
            }
            row[to.index()] = end;
        }
        index
    }

    fn at(&mut self, end: u32) -> &mut End<F> {
        &mut self.ends[end as usize]
    }

    /// Sends a load. Where there is no connection, one is set up. Gives whether the sender should wait
    /// until the connection takes more, and what to come back for.
    #[inline]
    pub(crate) fn send(
        &mut self,
        around: &mut Surroundings<'_>,
        from: NodeId,
        to: NodeId,
        load: Load<F>,
    ) -> (bool, Option<Head>) {
        let end = self.end(around, from, to);
        let most = self.settings.buffer_bytes;
        let own = &mut self.ends[end as usize];
        own.bytes += load.bytes as usize;
        let busy = own.bytes > most;
        if own.state == State::Up {
            return (busy, own.launch(around, end, load));
        }
        let is_down = own.state == State::Down;
        own.waiting.push_back(load);
        if is_down {
            self.call(around, end);
        }
        (busy, None)
    }

    /// Somebody waits until the connection takes more.
    pub(crate) fn wait(&mut self, from: NodeId, to: NodeId, waiter: Waiter) {
        if let Some(end) = self.known(from, to) {
            self.at(end).waiters.push(waiter);
        }
    }

    /// Sets a connection up, where there is none.
    pub(crate) fn open(&mut self, around: &mut Surroundings<'_>, from: NodeId, to: NodeId) {
        let end = self.end(around, from, to);
        match self.ends[end as usize].state {
            State::Down => self.call(around, end),
            State::Calling | State::Up => {}
        }
    }

    /// Whether a node has a connection to another, as it believes.
    pub(crate) fn is_up(&self, from: NodeId, to: NodeId) -> bool {
        let end = self.known(from, to);
        end.is_some_and(|end| self.ends[end as usize].state == State::Up)
    }

    fn call(&mut self, around: &mut Surroundings<'_>, end: u32) {
        let epoch = self.ends[end as usize]
            .epoch
            .max(self.ends[end as usize ^ 1].epoch)
            + 1;
        let by = around.now + self.settings.set_up;
        let own = self.at(end);
        (own.state, own.epoch) = (State::Calling, epoch);
        // As the call that is sent now is counted.
        let nth = own.count + 1;
        self.be_patient(end, by, nth);
        self.post(around, end, What::Hello, epoch);
    }

    /// What an end waits for may last until this moment; it is the `nth` of its own packets and checks.
    fn be_patient(&mut self, end: u32, at: Time, nth: u32) {
        let own = self.at(end);
        own.patience = Some(at);
        let who = own.who;
        let late = Late { end, at, who, nth };
        self.effects.push(Effect::Late(late));
    }

    /// Sends one of the connection's own packets.
    fn post(&mut self, around: &mut Surroundings<'_>, end: u32, what: What<F>, epoch: u32) {
        let own = &mut self.ends[end as usize];
        own.count += 1;
        let (roads, who, nth) = (around.roads, own.who, u64::from(own.count));
        let ways = (own.from, own.to);
        let again_ns = roads.again_ns(around.choice, ways, (who, nth), Rate::NEVER);
        let least_ns = roads.path(own.from, own.to).latency.least_ns();
        let frame = Frame {
            what,
            bytes: 0,
            epoch,
            who,
            nth,
            at: around.now.plus_nanos(least_ns).plus_nanos(again_ns),
            late_ns: again_ns,
            not_before: Time::ZERO,
            drawn: false,
        };
        let head = own.push(end, frame);
        self.effects.extend(head.map(Effect::Head));
    }

    /// Arms the head of a queue anew, where there is one.
    fn arm_anew(&mut self, end: u32) {
        let own = &mut self.ends[end as usize];
        if mem::take(&mut own.armed) {
            self.effects.push(Effect::Forget(end));
        }
        let head = own.arm(end);
        self.effects.extend(head.map(Effect::Head));
    }

    /// The head of a queue is due: what comes out at the other end, and what to come back for.
    #[inline]
    pub(crate) fn due(
        &mut self,
        around: &mut Surroundings<'_>,
        end: u32,
    ) -> (Option<F>, Option<Head>) {
        let own = &mut self.ends[end as usize];
        own.armed = false;
        if around.roads.blocks(own.from, own.to) {
            own.stalled = true;
            return (None, None);
        }
        let Some(frame) = own.queue.pop_front() else {
            return (None, None);
        };
        own.bytes -= frame.bytes as usize;
        let head = own.arm(end);
        if !own.waiters.is_empty() && own.bytes <= self.settings.buffer_bytes / 2 {
            self.writable(end);
        }
        let other = &self.ends[end as usize ^ 1];
        match frame.what {
            What::Load(freight) if other.state == State::Up && other.epoch == frame.epoch => {
                (Some(freight), head)
            }
            what => {
                self.effects.extend(head.map(Effect::Head));
                self.came(around, end, what, frame.epoch);
                (None, None)
            }
        }
    }

    fn writable(&mut self, end: u32) {
        let waiters = mem::take(&mut self.at(end).waiters);
        if !waiters.is_empty() {
            self.effects.push(Effect::Writable(waiters));
        }
    }

    /// A packet of the connection's own has come to the other end, or a load for which there is none.
    fn came(&mut self, around: &mut Surroundings<'_>, end: u32, what: What<F>, epoch: u32) {
        let here = end ^ 1;
        let own = &self.ends[here as usize];
        match what {
            What::Hello => self.hello(around, here, epoch),
            What::Welcome if own.state == State::Calling && own.epoch == epoch => {
                self.up(around, here, epoch);
            }
            What::Close if own.state != State::Down && own.epoch == epoch => {
                let why = if own.state == State::Up {
                    Broken::Closed
                } else {
                    Broken::Refused
                };
                self.fall(here, why);
            }
            What::Close => {}
            What::Welcome => self.post(around, here, What::Close, epoch),
            What::Load(freight) => {
                self.effects.push(Effect::Lost(freight));
                self.post(around, here, What::Close, epoch);
            }
        }
    }

    /// The peer of `here` wants a connection.
    fn hello(&mut self, around: &mut Surroundings<'_>, here: u32, epoch: u32) {
        let own = &self.ends[here as usize];
        let (node, peer) = (own.from, own.to);
        if !around.roads.machine(node).up || self.is_outdated(around.roads, node, peer) {
            return self.post(around, here, What::Close, epoch);
        }
        match own.state {
            // Both call: the call of the lesser node counts.
            State::Calling if node < peer => return,
            State::Calling => {}
            // Half open: the peer has begun anew, and this side has not heard of its end.
            State::Up => self.fall(here, Broken::Replaced),
            State::Down => {}
        }
        self.post(around, here, What::Welcome, epoch);
        self.up(around, here, epoch);
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

    /// A new one of a name takes the place of the old one, in which `node` still believes. The old one
    /// hears of it, as soon as there is a way.
    fn drop_namesakes(&mut self, around: &mut Surroundings<'_>, node: NodeId, peer: NodeId) {
        let roads = around.roads;
        let Machine { name, outdated, .. } = roads.machine(peer);
        if !roads.has_namesakes() || outdated {
            return;
        }
        let old = |end: &u32| {
            let end = &self.ends[*end as usize];
            let namesake = end.to != peer && roads.machine(end.to).name == name;
            namesake && end.state == State::Up
        };
        let old: Vec<u32> = self.own(node).filter(old).collect();
        for end in old {
            let epoch = self.ends[end as usize].epoch;
            self.fall(end, Broken::Replaced);
            self.post(around, end, What::Close, epoch);
        }
    }

    fn up(&mut self, around: &mut Surroundings<'_>, end: u32, epoch: u32) {
        self.drop_frames(end, |what| matches!(what, What::Hello));
        let own = &self.ends[end as usize];
        self.drop_namesakes(around, own.from, own.to);
        let own = &mut self.ends[end as usize];
        (own.state, own.epoch, own.patience) = (State::Up, epoch, None);
        self.effects.push(Effect::Up(own.from, own.to));
        for load in mem::take(&mut own.waiting) {
            let head = own.launch(around, end, load);
            self.effects.extend(head.map(Effect::Head));
        }
        // The peer may have fallen silent since it called.
        self.hearken(around, end);
    }

    /// One end is no more: what it had under way is lost, and a call of it that has not come never does:
    /// who takes a call must find the caller still there.
    fn fall(&mut self, end: u32, why: Broken) {
        self.drop_frames(end, |what| matches!(what, What::Load(_) | What::Hello));
        self.leave(end, why);
    }

    /// One end is no more; what it has sent goes on.
    fn leave(&mut self, end: u32, why: Broken) {
        let own = &mut self.ends[end as usize];
        let waiting = mem::take(&mut own.waiting).into_iter();
        let why = match own.state {
            State::Calling if why == Broken::Closed => Broken::NoAnswer,
            _ => why,
        };
        (own.state, own.patience) = (State::Down, None);
        // What goes on is still under way when the next connection takes more.
        own.bytes = own.queue.iter().map(|frame| frame.bytes as usize).sum();
        let (from, to) = (own.from, own.to);
        self.effects
            .extend(waiting.map(|load| Effect::Dead(load.freight)));
        self.writable(end);
        self.effects.push(Effect::Down(from, to, why));
    }

    /// Takes back what is under way and of this sort.
    fn drop_frames(&mut self, end: u32, is_dropped: impl Fn(&What<F>) -> bool) {
        let own = &mut self.ends[end as usize];
        let Some(head) = own.queue.front() else {
            return;
        };
        let drops_head = is_dropped(&head.what);
        for frame in mem::take(&mut own.queue) {
            match frame.what {
                what if !is_dropped(&what) => own.queue.push_back(Frame { what, ..frame }),
                What::Load(freight) => self.effects.push(Effect::Lost(freight)),
                _ => {}
            }
        }
        if drops_head && !own.stalled {
            self.arm_anew(end);
        }
    }
}

impl<F> End<F> {
    fn new(from: NodeId, to: NodeId, who: Lineage) -> End<F> {
        End {
            from,
            to,
            who,
            state: State::Down,
            epoch: 0,
            queue: VecDeque::new(),
            waiting: VecDeque::new(),
            bytes: 0,
            waiters: Vec::new(),
            armed: false,
            stalled: false,
            free_at: Time::ZERO,
            patience: None,
            count: 0,
        }
    }

    /// Puts a load on its way.
    #[inline(always)]
    fn launch(&mut self, around: &Surroundings<'_>, end: u32, load: Load<F>) -> Option<Head> {
        let path = around.roads.path(self.from, self.to);
        let mut leaves = around.now;
        if let Some(passes_ns) = path.passes_ns(load.bytes) {
            leaves = self.free_at.max(leaves).plus_nanos(passes_ns);
            self.free_at = leaves;
        }
        let least_ns = path.latency.least_ns();
        let frame = Frame {
            what: What::Load(load.freight),
            bytes: load.bytes,
            epoch: self.epoch,
            who: load.who,
            nth: u64::from(load.nth),
            at: leaves.plus_nanos(least_ns).plus_nanos(load.late_ns),
            late_ns: load.late_ns,
            not_before: load.not_before,
            drawn: false,
        };
        self.push(end, frame)
    }

    /// Puts a packet behind the others; gives what to come back for where it is the only one.
    #[inline(always)]
    fn push(&mut self, end: u32, frame: Frame<F>) -> Option<Head> {
        self.queue.push_back(frame);
        if self.armed || self.stalled {
            return None;
        }
        self.arm(end)
    }

    /// The head of the queue is under way from now on.
    #[inline(always)]
    fn arm(&mut self, end: u32) -> Option<Head> {
        let head = self.queue.front_mut()?;
        self.armed = true;
        Some(Head {
            end,
            from: self.from,
            to: self.to,
            at: head.at.max(head.not_before),
            draws: !mem::replace(&mut head.drawn, true),
            who: head.who,
            nth: head.nth,
        })
    }
}
