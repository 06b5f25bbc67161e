//! The host of simulated nodes: packets on their way, faults to come, reboots.

use super::faults::Rates;
use super::plan::Plan;
use crate::choice::{Choice, Class, Distribution, Kind, Lineage, Rate, Shape, Site};
use crate::kernel::{Drawn, Time};
use crate::net::{Model, PacketFaults, Passage, Passed};
use crate::process::{Core, Host, Packet, System};
use crate::trace::{Event, Fate, NodeId};
use rustc_hash::FxHashMap;
use std::any::Any;
use std::sync::Arc;

/// What one of the host's entries in the agenda means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Packet(u32),
    Planned(u32),
    Reboot(NodeId),
    /// From now on no more faults.
    Quiet,
}

const CONTROL: u32 = 1 << 29;
const REBOOT: u32 = CONTROL | 1 << 28;
const QUIET: u32 = CONTROL | 1 << 27;

impl Due {
    pub(crate) fn number(self) -> u32 {
        match self {
            Due::Packet(index) => index,
            Due::Planned(index) => CONTROL | index,
            Due::Reboot(node) => REBOOT | node.index() as u32,
            Due::Quiet => QUIET,
        }
    }

    pub(crate) fn of(number: u32) -> Due {
        if number & CONTROL == 0 {
            Due::Packet(number)
        } else if number & REBOOT == REBOOT {
            Due::Reboot(NodeId::new((number & !REBOOT) as usize))
        } else if number == QUIET {
            Due::Quiet
        } else {
            Due::Planned(number & !CONTROL)
        }
    }
}

/// Wall time at the beginning of every run: 2024-01-01T00:00:00Z, in nanoseconds since 1970.
const WALL_AT_START_NS: u64 = 1_704_067_200_000_000_000;

pub(crate) struct World {
    network: Model,
    pub(crate) rates: Rates,
    packets: Packets,
    ids: Arc<FxHashMap<String, NodeId>>,
    pub(crate) plan: Plan,
}

/// The packets that are on their way, by numbers that are used again.
#[derive(Default)]
struct Packets {
    slots: Vec<Option<Box<Packet>>>,
    free: Vec<u32>,
}

impl Packets {
    #[inline]
    fn insert(&mut self, packet: Box<Packet>) -> u32 {
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
}

impl World {
    pub(crate) fn new(network: Model, rates: Rates, ids: Arc<FxHashMap<String, NodeId>>) -> World {
        World {
            network,
            rates,
            packets: Packets::default(),
            ids,
            plan: Plan::default(),
        }
    }

    /// The state of the world behind a system's host.
    pub(crate) fn of(host: &mut dyn Host) -> &mut World {
        match (host as &mut dyn Any).downcast_mut() {
            Some(world) => world,
            None => unreachable!("the host of a simulated run is its world"),
        }
    }

    #[inline]
    fn take_packet(&mut self, index: u32) -> Option<Box<Packet>> {
        let packet = self.packets.slots[index as usize].take()?;
        self.packets.free.push(index);
        Some(packet)
    }

    /// The packets that are still on their way.
    pub(crate) fn drain_packets(&mut self) -> impl Iterator<Item = Box<Packet>> {
        self.packets.slots.drain(..).flatten()
    }

    #[inline]
    fn launch(
        packets: &mut Packets,
        core: &mut Core<'_>,
        packet: Box<Packet>,
        latency: &Distribution,
        held_ns: u64,
    ) {
        let (who, id) = (packet.who, packet.id);
        let kind = match id.copy() {
            0 => Kind::Latency,
            _ => Kind::CopyLatency,
        };
        let from = core.now().plus_nanos(latency.least_ns());
        let drawn = Drawn {
            from: from.plus_nanos(held_ns),
            site: Site::new(kind, who, u64::from(id.nth())),
            shape: Shape::Above(latency),
            class: Class::Message,
            receiver: packet.to.node().index() as u32,
        };
        let index = packets.insert(packet);
        let nth = id.nth() | id.copy() << 31;
        core.arm_drawn(&drawn, who, nth, Due::Packet(index).number());
    }

    /// A node went down: it reboots after a while. `boot` is the one that ended.
    pub(crate) fn schedule_reboot(
        &mut self,
        core: &mut Core<'_>,
        node: NodeId,
        boot: Lineage,
        after_ns: u64,
    ) {
        let at = core.now().plus_nanos(after_ns);
        core.arm(at, boot, REBOOT, Due::Reboot(node).number());
    }

    /// Faults stop.
    pub(crate) fn quiet(&mut self) {
        self.network.set_faults(PacketFaults::default());
        self.rates.timers_late_ns = 0;
        self.rates.slow = Rate::NEVER;
    }

    /// What each step costs during this boot.
    pub(crate) fn step_cost_ns(&mut self, choice: &mut Choice, boot: Lineage) -> u64 {
        if self.rates.slow.is_never() && choice.is_seeded() {
            return 0;
        }
        let shape = Shape::Sometimes(self.rates.slow, self.rates.slow_step_ns);
        choice.draw(Site::new(Kind::StepCost, boot, 0), shape)
    }
}

impl Host for World {
    #[inline]
    fn send(&mut self, mut core: Core<'_>, packet: Box<Packet>) {
        let (id, to) = (packet.id, packet.to.node());
        let passage = Passage {
            id,
            who: packet.who,
            to,
            kind: packet.kind,
        };
        match self.network.pass(core.choice(), &passage) {
            Passed::Lost => {
                core.trace().emit(Event::Lost { id, to });
                core.trace().books.ended(id.from.node(), id, Fate::Lost);
                core.recycle(packet);
            }
            Passed::Arrives {
                latency,
                held_ns,
                is_duplicated,
            } => {
                if held_ns > 0 {
                    core.trace().emit(Event::Delayed {
                        id,
                        to,
                        by_ns: held_ns,
                    });
                }
                if is_duplicated {
                    let mut copy = packet.clone();
                    copy.id = id.duplicate();
                    core.trace().emit(Event::Duplicated { id: copy.id, to });
                    core.trace().books.sent(id.from.node(), copy.id);
                    World::launch(&mut self.packets, &mut core, copy, latency, 0);
                }
                World::launch(&mut self.packets, &mut core, packet, latency, held_ns);
            }
        }
    }

    #[inline]
    fn due(&mut self, number: u32) -> Option<Box<Packet>> {
        match Due::of(number) {
            Due::Packet(index) => self.take_packet(index),
            _ => None,
        }
    }

    fn wall_ns(&self, _: NodeId, now: Time) -> u64 {
        WALL_AT_START_NS.saturating_add(now.as_nanos())
    }

    #[inline]
    fn most_late_ns(&self) -> u64 {
        self.rates.timers_late_ns
    }

    fn node(&self, name: &str) -> Option<NodeId> {
        self.ids.get(name).copied()
    }
}

impl System {
    /// The world, and what it may use of the core.
    pub(crate) fn world(&mut self) -> (&mut World, Core<'_>) {
        let (host, core) = self.core();
        (World::of(host), core)
    }
}
