//! The host of simulated nodes: packets on their way, connections, clocks, faults to come, reboots.

use super::blows::Blows;
use super::clock::Clock;
use super::disks::Disks;
use super::faults::Rates;
use super::plan::Plan;
use crate::check::Delivery;
use crate::choice::{Choice, Class, Distribution, Kind, Lineage, Rate, Shape, Site};
use crate::kernel::{Drawn, Key, Time};
use crate::net::{
    Carried, Connections, Effect, Head, Late, Leaves, Load, Model, PacketFaults, Passage, Passed,
    Surroundings, Waiter,
};
use crate::process::{
    Blow, Core, FileAsker, FileDone, FileOp, Host, News, Packet, Passing, System, Via,
};
use crate::trace::{Broken, DeadReason, Event, MessageId, NodeId};
use rustc_hash::FxHashMap;
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// What one of the host's entries in the agenda means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Packet(u32),
    /// The head of a connection's queue.
    Head(u32),
    /// A connection's set-up, or a silence, may have lasted too long.
    Late(u32),
    /// A planned fault begins, or ends; or a cut that flaps heals or comes again.
    Planned(u32),
    Over(u32),
    Flap(u32),
    Reboot(NodeId),
    /// The time to stop is over for a node.
    GraceOver(NodeId),
    /// From now on no more faults.
    Quiet,
}

const CONTROL: u32 = 1 << 29;
const SORT: u32 = 24;
const NUMBER: u32 = (1 << SORT) - 1;

impl Due {
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        let (sort, number) = match self {
            Due::Packet(index) => return index,
            Due::Head(end) => (0, end),
            Due::Late(end) => (1, end),
            Due::Planned(index) => (2, index),
            Due::Over(index) => (3, index),
            Due::Flap(index) => (4, index),
            Due::Reboot(node) => (5, node.index() as u32),
            Due::GraceOver(node) => (6, node.index() as u32),
            Due::Quiet => (7, 0),
        };
        CONTROL | sort << SORT | number
    }

    #[inline(always)]
    pub(crate) fn of(due: u32) -> Due {
        if due & CONTROL == 0 {
            return Due::Packet(due);
        }
        let number = due & NUMBER;
        match (due & !CONTROL) >> SORT {
            0 => Due::Head(number),
            1 => Due::Late(number),
            2 => Due::Planned(number),
            3 => Due::Over(number),
            4 => Due::Flap(number),
            5 => Due::Reboot(NodeId::new(number as usize)),
            6 => Due::GraceOver(NodeId::new(number as usize)),
            _ => Due::Quiet,
        }
    }
}

/// Keeps draws among things due at once apart, by what is due: above every count of packets.
pub(crate) const SITE_REBOOT: u32 = 1 << 30;
pub(crate) const SITE_END: u32 = 1 << 29;

pub(crate) struct World {
    pub(crate) network: Model,
    connections: Connections<Box<Packet>>,
    /// The entry of each end's head on the agenda.
    heads: Vec<Option<Key>>,
    pub(crate) news: Vec<News>,
    pub(crate) rates: Rates,
    packets: Packets,
    /// Datagrams that have come to a paused node.
    parked: Vec<u32>,
    /// Datagrams that are held until they are released.
    held: Vec<(u32, Key)>,
    pub(crate) clocks: Vec<Clock>,
    pub(crate) ids: Arc<FxHashMap<String, NodeId>>,
    pub(crate) plan: Plan,
    /// The faults that have begun and are not over.
    pub(crate) active: BTreeSet<u32>,
    /// How each node goes down, and comes back.
    pub(crate) downs: Vec<Down>,
    pub(crate) blows: Blows,
    pub(crate) disks: Disks,
    /// Nothing happens any more before this moment, at the end of a run.
    pub(crate) nothing_before: Time,
    /// The letters of the run, as its events tell of them.
    pub(crate) delivery: Rc<RefCell<Delivery>>,
}

/// How a node goes down, and comes back.
#[derive(Clone, Copy, Default)]
pub(crate) struct Down {
    /// At which call of the host it crashes, or has crashed.
    pub(crate) call: u32,
    /// How many nanoseconds it is down then.
    pub(crate) down_ns: u64,
    /// When it is killed, where it was asked to stop.
    pub(crate) grace: Option<Time>,
    /// When it is to reboot, where it is.
    pub(crate) reboot: Option<Time>,
}

/// The packets that are on their way, by numbers that are used again.
#[derive(Default)]
struct Packets {
    slots: Vec<Option<Box<Packet>>>,
    free: Vec<u32>,
}

impl Packets {
    #[inline]
    fn store(&mut self, packet: Box<Packet>) -> u32 {
        match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(packet);
                index
            }
            None => {
                self.slots.push(Some(packet));
                self.slots.len() as u32 - 1
            }
        }
    }

    #[inline]
    fn take(&mut self, index: u32) -> Option<Box<Packet>> {
        let packet = self.slots[index as usize].take()?;
        self.free.push(index);
        Some(packet)
    }

    fn get(&self, index: u32) -> Option<&Packet> {
        self.slots[index as usize].as_deref()
    }

    #[inline]
    fn launch(
        &mut self,
        core: &mut Core<'_>,
        packet: Box<Packet>,
        latency: &Distribution,
        more_ns: u64,
    ) -> Option<(u32, Key)> {
        let (who, id) = (packet.who, packet.id);
        let kind = match id.copy() {
            0 => Kind::Latency,
            _ => Kind::CopyLatency,
        };
        let from = core.now().plus_nanos(latency.least_ns());
        let drawn = Drawn {
            from: from.plus_nanos(more_ns),
            site: Site::new(kind, who, u64::from(id.nth())),
            shape: Shape::Above(latency),
            class: Class::Message,
            receiver: packet.to.node().index() as u32,
        };
        let index = self.store(packet);
        let nth = id.nth() | id.copy() << 31;
        let key = core.arm_drawn(&drawn, who, nth, Due::Packet(index).number());
        key.map(|key| (index, key))
    }
}

impl World {
    pub(crate) fn new(
        network: Model,
        connections: Connections<Box<Packet>>,
        rates: Rates,
        ids: Arc<FxHashMap<String, NodeId>>,
        machines: usize,
        disks: Disks,
    ) -> World {
        World {
            network,
            connections,
            heads: Vec::new(),
            news: Vec::new(),
            rates,
            packets: Packets::default(),
            parked: Vec::new(),
            held: Vec::new(),
            clocks: vec![Clock::default(); machines],
            ids,
            plan: Plan::default(),
            active: BTreeSet::new(),
            downs: vec![Down::default(); machines],
            blows: Blows::default(),
            disks,
            nothing_before: Time::ZERO,
            delivery: Rc::default(),
        }
    }

    /// The state of the world behind a system's host.
    pub(crate) fn of(host: &mut dyn Host) -> &mut World {
        match (host as &mut dyn Any).downcast_mut() {
            Some(world) => world,
            None => unreachable!("the host of a simulated run is its world"),
        }
    }

    /// One machine more; with `beside`, it has the name of that one.
    pub(crate) fn add_machine(&mut self, beside: Option<NodeId>, owner: Lineage) -> NodeId {
        self.clocks.push(Clock::default());
        self.downs.push(Down::default());
        self.network.add(beside, owner)
    }

    /// The packets that are still on their way.
    pub(crate) fn drain_packets(&mut self) -> impl Iterator<Item = Box<Packet>> {
        self.packets
            .slots
            .drain(..)
            .flatten()
            .chain(self.connections.drain())
    }

    fn lose(core: &mut Core<'_>, packet: Box<Packet>) {
        core.trace().lost(packet.id, packet.to.node());
        core.recycle(packet);
    }

    #[cold]
    fn delayed(core: &mut Core<'_>, (id, to): (MessageId, NodeId), by_ns: u64) {
        core.trace().emit(Event::Delayed { id, to, by_ns });
    }

    #[inline]
    fn send_datagram(&mut self, mut core: Core<'_>, packet: Box<Packet>, passage: &Passage) {
        let (id, to) = (passage.id, passage.to);
        let now = core.now();
        let Passed::Arrives {
            latency,
            passes_ns,
            held_ns,
            on_hold,
            is_duplicated,
        } = self.network.pass(core.choice(), now, passage)
        else {
            return World::lose(&mut core, packet);
        };
        if held_ns > 0 {
            World::delayed(&mut core, (id, to), held_ns);
        }
        if is_duplicated {
            let mut copy = packet.clone();
            copy.id = id.duplicate();
            core.trace().emit(Event::Duplicated { id: copy.id, to });
            core.trace().books.sent(id.from.node(), copy.id);
            self.packets.launch(&mut core, copy, latency, passes_ns);
        }
        let more_ns = passes_ns.saturating_add(held_ns);
        let launched = self.packets.launch(&mut core, packet, latency, more_ns);
        if on_hold {
            self.held.extend(launched);
        }
    }

    /// Sends a packet over the connection; whether its sender should wait.
    #[inline(always)]
    fn send_connected(
        &mut self,
        mut core: Core<'_>,
        packet: Box<Packet>,
        passage: &Passage,
    ) -> bool {
        let now = core.now();
        let carried = self.network.carry(core.choice(), now, passage);
        let Some(Carried {
            late_ns,
            not_before,
        }) = carried
        else {
            World::lose(&mut core, packet);
            return false;
        };
        if late_ns > 0 {
            World::delayed(&mut core, (passage.id, passage.to), late_ns);
        }
        let load = Load {
            bytes: passage.bytes,
            who: packet.who,
            nth: passage.id.nth(),
            freight: packet,
            late_ns,
            not_before,
        };
        let mut around = surroundings(&self.network, &mut core);
        let (busy, head) = self
            .connections
            .send(&mut around, passage.from, passage.to, load);
        self.apply(&mut core, head);
        busy
    }

    /// Does what connections ask for.
    #[inline(always)]
    fn apply(&mut self, core: &mut Core<'_>, head: Option<Head>) {
        if let Some(head) = head {
            self.come_back(core, head);
        }
        if let Some(effects) = self.connections.effects() {
            for effect in effects {
                self.apply_rare(core, effect);
            }
        }
    }

    #[inline(always)]
    fn come_back(&mut self, core: &mut Core<'_>, head: Head) {
        let Head { who, nth, at, .. } = head;
        let number = Due::Head(head.end).number();
        let key = if head.draws {
            let path = self.network.roads().path(head.from, head.to);
            let drawn = Drawn {
                from: at,
                site: Site::new(Kind::Latency, who, nth),
                shape: Shape::Above(&path.latency),
                class: Class::Message,
                receiver: head.to.index() as u32,
            };
            core.arm_drawn(&drawn, who, nth as u32, number)
        } else {
            core.arm(at, who, nth as u32, number)
        };
        let end = head.end as usize;
        if self.heads.len() <= end {
            self.heads.resize(end + 1, None);
        }
        self.heads[end] = key;
    }

    #[cold]
    fn apply_rare(&mut self, core: &mut Core<'_>, effect: Effect<Box<Packet>>) {
        match effect {
            Effect::Head(head) => self.come_back(core, head),
            Effect::Forget(end) => {
                if let Some(key) = self.heads[end as usize].take() {
                    core.disarm(key);
                }
            }
            Effect::Late(Late { end, at, who, nth }) => {
                core.arm(at, who, SITE_END | nth, Due::Late(end).number());
            }
            Effect::Up(node, peer) => self.news.push((node, peer, None)),
            Effect::Down(node, peer, why) => self.news.push((node, peer, Some(why))),
            Effect::Lost(packet) => World::lose(core, packet),
            Effect::Dead(packet) => {
                core.dead_letter(packet.id.from.node(), packet, DeadReason::NoConnection);
            }
            Effect::Writable(waiters) => waiters.into_iter().for_each(|task| core.release(task)),
        }
    }

    // ---- faults

    /// Whether one of two nodes believes in a connection to the other.
    pub(crate) fn is_connected(&self, a: NodeId, b: NodeId) -> bool {
        self.connections.is_up(a, b) || self.connections.is_up(b, a)
    }

    /// One connection breaks.
    pub(crate) fn break_connection(&mut self, core: &mut Core<'_>, a: NodeId, b: NodeId) {
        for (from, to) in [(a, b), (b, a)] {
            let mut around = surroundings(&self.network, core);
            self.connections.snap(&mut around, from, to);
        }
        self.apply(core, None);
    }

    /// A node goes down, with its connections.
    pub(crate) fn leave(&mut self, core: &mut Core<'_>, node: NodeId, leaves: Leaves) {
        self.network.set_machine(node, |machine| {
            (machine.up, machine.paused) = (false, false);
            machine.dark = leaves == Leaves::Silently;
        });
        self.drop_parked(core, node);
        let mut around = surroundings(&self.network, core);
        self.connections.stop(&mut around, node, leaves);
        self.roads_changed(core);
    }

    /// A node comes up.
    pub(crate) fn come(&mut self, core: &mut Core<'_>, node: NodeId) {
        let was_dark = self.network.machine(node).dark;
        self.network.set_machine(node, |machine| {
            (machine.up, machine.dark, machine.paused) = (true, false, false);
        });
        if was_dark {
            let mut around = surroundings(&self.network, core);
            self.connections.back(&mut around, node);
            self.roads_changed(core);
        }
    }

    /// A node stops for a while, or goes on.
    pub(crate) fn set_paused(&mut self, core: &mut Core<'_>, node: NodeId, paused: bool) {
        self.network
            .set_machine(node, |machine| machine.paused = paused);
        self.roads_changed(core);
    }

    /// What stands in the way has changed.
    pub(crate) fn roads_changed(&mut self, core: &mut Core<'_>) {
        let mut around = surroundings(&self.network, core);
        self.connections.roads_changed(&mut around);
        self.apply(core, None);
    }

    /// A node goes on that was paused: what has come for it meanwhile comes now.
    pub(crate) fn unpark(&mut self, core: &mut Core<'_>, node: NodeId) {
        for index in self.parked_for(node) {
            let Some(packet) = self.packets.get(index) else {
                continue;
            };
            let (who, nth) = (packet.who, packet.id.nth() | packet.id.copy() << 31);
            core.arm(core.now(), who, nth, Due::Packet(index).number());
        }
    }

    /// A node goes down: what has come for it, and what it has not taken in, is gone with it.
    fn drop_parked(&mut self, core: &mut Core<'_>, node: NodeId) {
        for index in self.parked_for(node) {
            if let Some(packet) = self.packets.take(index) {
                core.dead_letter(node, packet, DeadReason::NodeDown);
            }
        }
    }

    /// Takes out what has come for a paused node, in the order in which it came.
    fn parked_for(&mut self, node: NodeId) -> Vec<u32> {
        let packets = &self.packets;
        let is_for = |index: &mut u32| {
            let packet = packets.get(*index);
            packet.is_some_and(|packet| packet.to.node() == node)
        };
        self.parked.extract_if(.., is_for).collect()
    }

    /// Whatever a fault holds back comes now.
    pub(crate) fn release_held(&mut self, core: &mut Core<'_>) {
        for (index, key) in std::mem::take(&mut self.held) {
            if let Some(packet) = self.packets.get(index) {
                let (who, nth) = (packet.who, packet.id.nth() | packet.id.copy() << 31);
                if core.disarm(key) {
                    core.arm(core.now(), who, nth, Due::Packet(index).number());
                }
            }
        }
        let now = core.now();
        self.connections.release_held(now);
        self.apply(core, None);
    }

    /// Faults of packets and timers stop.
    pub(crate) fn quiet(&mut self, core: &mut Core<'_>) {
        self.network.set_faults(PacketFaults::default());
        self.network.set_rules(Vec::new());
        self.rates.timers_late_ns = 0;
        self.rates.slow = Rate::NEVER;
        self.rates.processes.calm();
        self.rates.mail.calm();
        self.blows.disarm();
        self.connections.send_again(core.now());
        self.release_held(core);
    }

    /// What each step costs during this boot.
    pub(crate) fn step_cost_ns(&mut self, choice: &mut Choice, boot: Lineage) -> u64 {
        if self.rates.slow.is_never() && choice.is_seeded() {
            return 0;
        }
        let shape = Shape::Sometimes(self.rates.slow, self.rates.slow_step_ns);
        choice.draw(Site::new(Kind::StepCost, boot, 0), shape)
    }

    /// A set-up or a silence may have lasted too long.
    pub(crate) fn late(&mut self, core: &mut Core<'_>, end: u32) {
        let mut around = surroundings(&self.network, core);
        self.connections.late(&mut around, end);
        self.apply(core, None);
    }

    #[cold]
    fn is_parked(&mut self, index: u32) -> bool {
        let to = self.packets.get(index);
        let parks = to.is_some_and(|packet| self.network.machine(packet.to.node()).paused);
        if parks {
            self.parked.push(index);
        }
        parks
    }
}

/// What connections are among.
#[inline(always)]
fn surroundings<'a>(network: &'a Model, core: &'a mut Core<'_>) -> Surroundings<'a> {
    Surroundings {
        roads: network.roads(),
        now: core.now(),
        choice: core.choice(),
    }
}

impl Host for World {
    #[inline]
    fn send(&mut self, core: Core<'_>, packet: Box<Packet>) -> bool {
        let passage = Passage {
            id: packet.id,
            who: packet.who,
            from: packet.id.from.node(),
            to: packet.to.node(),
            kind: packet.kind,
            bytes: packet.bytes.len() as u32,
        };
        if packet.via == Via::Connection && passage.from != passage.to {
            return self.send_connected(core, packet, &passage);
        }
        self.send_datagram(core, packet, &passage);
        false
    }

    fn wait_until_writable(&mut self, from: NodeId, to: NodeId, task: Waiter) {
        self.connections.wait(from, to, task);
    }

    fn connect(&mut self, mut core: Core<'_>, from: NodeId, to: NodeId) {
        let mut around = surroundings(&self.network, &mut core);
        self.connections.open(&mut around, from, to);
        self.apply(&mut core, None);
    }

    fn disconnect(&mut self, mut core: Core<'_>, from: NodeId, to: NodeId) -> Option<Broken> {
        let mut around = surroundings(&self.network, &mut core);
        self.connections.close(&mut around, from, to);
        self.apply(&mut core, None);
        // The processes of this node hear of it now; those of the peer, when a packet tells.
        self.news.pop().and_then(|(_, _, why)| why)
    }

    fn peers(&self, node: NodeId) -> Vec<NodeId> {
        self.connections.peers(node).collect()
    }

    #[inline]
    fn due(&mut self, mut core: Core<'_>, number: u32) -> Option<Box<Packet>> {
        match Due::of(number) {
            Due::Packet(index) if self.network.has_trouble() && self.is_parked(index) => None,
            Due::Packet(index) => self.packets.take(index),
            Due::Head(end) => {
                let mut around = surroundings(&self.network, &mut core);
                let (packet, head) = self.connections.due(&mut around, end);
                self.apply(&mut core, head);
                packet
            }
            _ => None,
        }
    }

    fn node_time(&self, node: NodeId, now: Time) -> Time {
        self.clocks[node.index()].at(now)
    }

    fn real_ns(&self, node: NodeId, on_its_clock_ns: u64) -> u64 {
        self.clocks[node.index()].real_ns(on_its_clock_ns)
    }

    fn wall_ns(&self, node: NodeId, now: Time) -> u64 {
        self.clocks[node.index()].wall_ns(now)
    }

    #[inline]
    fn most_late_ns(&self) -> u64 {
        self.rates.timers_late_ns
    }

    fn node(&self, name: &str) -> Option<NodeId> {
        self.ids.get(name).copied()
    }

    fn file(&mut self, core: Core<'_>, asker: FileAsker, op: FileOp<'_>) -> FileDone {
        self.ask_disk(core, asker, op)
    }

    fn befalls(&mut self, mut core: Core<'_>, passing: &Passing<'_>) -> Option<Blow> {
        self.blows.befalls(core.choice(), &self.rates, passing)
    }
}

impl System {
    /// The world, and what it may use of the core.
    pub(crate) fn world(&mut self) -> (&mut World, Core<'_>) {
        let (host, core) = self.core();
        (World::of(host), core)
    }
}
