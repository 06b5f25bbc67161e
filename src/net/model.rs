//! What becomes of a packet.

use super::roads::RETRANSMIT_NS;
use super::roads::{Machine, Roads};
use super::rule::{Meddled, Rule};
use super::{Cut, Path};
use crate::choice::{Choice, Distribution, Kind, Lineage, Rate, Shape, Site};
use crate::kernel::time::Time;
use crate::trace::{MessageId, NodeId, PacketKind};

/// What the adversary may do to packets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PacketFaults {
    /// How often a packet of each kind is lost.
    pub loss: [Rate; PacketKind::COUNT],
    /// How often a packet of each kind is duplicated.
    pub duplicate: [Rate; PacketKind::COUNT],
    /// How often a packet is held back.
    pub reorder: Rate,
    /// For how long at most, in nanoseconds.
    pub hold_ns: u64,
}

/// A packet, as the network sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    /// Sender, sender's count.
    pub id: MessageId,
    /// Who sent it, for draws.
    pub who: Lineage,
    /// From where.
    pub from: NodeId,
    /// Where to.
    pub to: NodeId,
    /// What it carries.
    pub kind: PacketKind,
    /// Its size.
    pub bytes: u32,
}

/// What faults do to a packet of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    /// How much longer than its latency they keep it under way, in nanoseconds: what is lost is sent again.
    pub late_ns: u64,
    /// It does not arrive before this.
    pub not_before: Time,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Passed<'a> {
    /// A fault, or the path, loses it.
    Lost,
    /// It arrives.
    Arrives {
        /// Its latency, and its duplicate's; each is drawn on its own, as [`Kind::Latency`] and as
        /// [`Kind::CopyLatency`], by whoever brings it there.
        latency: &'a Distribution,
        /// How long its bytes take to pass, on top, in nanoseconds.
        passes_ns: u64,
        /// For so many nanoseconds on top it is held back.
        held_ns: u64,
        /// Whether it is held until it is released, and then comes without further delay.
        on_hold: bool,
        /// Whether a duplicate, which is not held back, arrives too.
        is_duplicated: bool,
    },
}

impl Passed<'_> {
    /// What the faults that are aimed at packets make of it.
    #[cold]
    fn meddled(self, now: Time, meddled: Meddled) -> Self {
        match self {
            Passed::Arrives {
                latency,
                passes_ns,
                held_ns,
                is_duplicated,
                ..
            } if !meddled.lost && !meddled.swallowed => Passed::Arrives {
                latency,
                passes_ns,
                held_ns: held_ns.saturating_add(meddled.held_ns(now, latency.least_ns())),
                on_hold: meddled.until > now,
                is_duplicated: is_duplicated || meddled.doubled,
            },
            _ => Passed::Lost,
        }
    }
}

/// The network of a run, but for its connections.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    roads: Roads,
    faults: PacketFaults,
    rules: Vec<Rule>,
}

impl Model {
    /// A network whose every path is `default`, under these faults. It has no machines yet.
    #[must_use]
    pub(crate) fn new(default: Path, faults: PacketFaults) -> Model {
        Model {
            roads: Roads::new(default),
            faults,
            rules: Vec::new(),
        }
    }

    /// Adds a machine: the next number, and who draws for its own packets. One that takes another's place
    /// beside it has that one's name.
    pub(crate) fn add(&mut self, beside: Option<NodeId>, owner: Lineage) -> NodeId {
        self.roads.add(beside, owner)
    }

    /// Sets one path.
    pub(crate) fn set_path(&mut self, from: NodeId, to: NodeId, path: Path) {
        self.roads.set_path(from, to, path);
    }

    /// From now on under these faults.
    pub(crate) fn set_faults(&mut self, faults: PacketFaults) {
        self.faults = faults;
    }

    pub(crate) fn set_rules(&mut self, rules: Vec<Rule>) {
        self.rules = rules;
    }

    pub(crate) fn add_rule(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// What stands in the way.
    #[inline]
    #[must_use]
    pub(crate) fn roads(&self) -> &Roads {
        &self.roads
    }

    /// Whether any way may be closed, or any machine is not as it should be.
    #[inline]
    #[must_use]
    pub(crate) fn has_trouble(&self) -> bool {
        self.roads.has_trouble()
    }

    /// How a machine is.
    #[must_use]
    pub(crate) fn machine(&self, node: NodeId) -> Machine {
        self.roads.machine(node)
    }

    /// Changes how a machine is.
    pub(crate) fn set_machine(&mut self, node: NodeId, set: impl FnOnce(&mut Machine)) {
        self.roads.set_machine(node, set);
    }

    /// Cuts the network.
    pub(crate) fn cut(&mut self, number: u32, cut: Cut) {
        self.roads.cut(number, cut);
    }

    /// The cuts that there are hold for a machine that takes this one's place, too.
    pub(crate) fn join_cuts(&mut self, old: NodeId, newer: NodeId) {
        self.roads.join_cuts(old, newer);
    }

    /// Ends a cut; whether it was there.
    pub(crate) fn mend(&mut self, number: u32) -> bool {
        self.roads.mend(number)
    }

    /// The cuts that there are.
    #[must_use]
    pub(crate) fn cuts(&self) -> Vec<u32> {
        self.roads.cuts().collect()
    }

    /// Sends a datagram: draws what becomes of it, but for how long it takes.
    #[inline]
    pub(crate) fn pass(&mut self, choice: &mut Choice, now: Time, passage: &Passage) -> Passed<'_> {
        let site = |kind| Site::new(kind, passage.who, u64::from(passage.id.nth()));
        if self.roads.is_cut(passage.from, passage.to) {
            return Passed::Lost;
        }
        let meddled = if self.rules.is_empty() {
            None
        } else {
            Some(self.meddle(choice, now, passage))
        };
        let path = self.roads.path(passage.from, passage.to);
        let (latency, passes_ns) = (&path.latency, path.passes_ns(passage.bytes).unwrap_or(0));
        let loss = path.loss.or(self.faults.loss[passage.kind as usize]);
        if choice.chance(site(Kind::Loss), loss) {
            return Passed::Lost;
        }
        let held_ns = self.hold(choice, site(Kind::Reorder));
        let duplicate = self.faults.duplicate[passage.kind as usize];
        let passed = Passed::Arrives {
            latency,
            passes_ns,
            held_ns,
            on_hold: false,
            is_duplicated: choice.chance(site(Kind::Duplicate), duplicate),
        };
        match meddled {
            None => passed,
            Some(meddled) => passed.meddled(now, meddled),
        }
    }

    /// Sends a packet of a connection: draws how long faults hold it. None where it vanishes and the
    /// connection goes on, as if its sender had never answered.
    #[inline(always)]
    pub(crate) fn carry(
        &mut self,
        choice: &mut Choice,
        now: Time,
        passage: &Passage,
    ) -> Option<Carried> {
        let ways = (passage.from, passage.to);
        let site = (passage.who, u64::from(passage.id.nth()));
        let loss = self.faults.loss[passage.kind as usize];
        let carried = Carried {
            late_ns: self.roads.again_ns(choice, ways, site, loss),
            not_before: Time::ZERO,
        };
        if self.rules.is_empty() {
            return Some(carried);
        }
        let meddled = self.meddle(choice, now, passage);
        let again_ns = if meddled.lost { RETRANSMIT_NS } else { 0 };
        let late_ns = carried.late_ns.saturating_add(again_ns);
        (!meddled.swallowed).then_some(Carried {
            late_ns: late_ns.saturating_add(meddled.delay_ns),
            not_before: meddled.until,
        })
    }

    #[cold]
    fn meddle(&mut self, choice: &mut Choice, now: Time, passage: &Passage) -> Meddled {
        let roads = &self.roads;
        let name = |node: NodeId| roads.machine(node).name;
        let mut meddled = Meddled::default();
        for (index, rule) in self.rules.iter_mut().enumerate() {
            rule.apply(choice, now, passage, index as u64, &name, &mut meddled);
        }
        meddled
    }

    fn hold(&self, choice: &mut Choice, site: Site) -> u64 {
        if choice.is_seeded() && self.faults.reorder.is_never() {
            return 0;
        }
        choice.draw(
            site,
            Shape::Sometimes(self.faults.reorder, self.faults.hold_ns.max(1)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Pid;

    #[derive(Clone, Copy)]
    struct Sent {
        kind: PacketKind,
        is_lost: bool,
        is_duplicated: bool,
        held_ns: u64,
    }

    fn model(faults: PacketFaults) -> Model {
        let mut model = Model::new(Path::default(), faults);
        for name in ["a", "b"] {
            model.add(None, Lineage::node(name));
        }
        model
    }

    fn passages() -> impl Iterator<Item = Passage> {
        (1..=10_000).map(|nth| Passage {
            id: MessageId::new(Pid::NOBODY, nth),
            from: NodeId::new(0),
            bytes: 8,
            who: Lineage::node("a").boot(0),
            to: NodeId::new(1),
            kind: PacketKind::ALL[nth as usize % PacketKind::COUNT],
        })
    }

    /// What becomes of each packet: lost, duplicated, and held back for how long.
    fn send_all(mut model: Model) -> Vec<Sent> {
        let mut choice = Choice::seeded(3);
        let sent = passages().map(|passage| {
            let sent = Sent {
                kind: passage.kind,
                is_lost: false,
                is_duplicated: false,
                held_ns: 0,
            };
            match model.pass(&mut choice, Time::ZERO, &passage) {
                Passed::Lost => Sent {
                    is_lost: true,
                    ..sent
                },
                Passed::Arrives {
                    latency,
                    passes_ns,
                    held_ns,
                    on_hold,
                    is_duplicated,
                } => {
                    assert_eq!(*latency, Path::default().latency);
                    assert!(passes_ns == 0 && !on_hold);
                    Sent {
                        held_ns,
                        is_duplicated,
                        ..sent
                    }
                }
            }
        });
        sent.collect()
    }

    #[test]
    fn without_faults_every_packet_arrives_once_and_with_its_paths_latency() {
        for sent in send_all(model(PacketFaults::default())) {
            assert!(!sent.is_lost && !sent.is_duplicated && sent.held_ns == 0);
        }
    }

    #[test]
    fn a_fault_aimed_at_a_kind_touches_that_kind_only() {
        let mut faults = PacketFaults::default();
        faults.duplicate[PacketKind::Ack as usize] = Rate::new(0.25).unwrap();
        faults.loss[PacketKind::Data as usize] = Rate::new(0.5).unwrap();
        let passed = send_all(model(faults));
        let count = |kind, test: fn(&Sent) -> bool| {
            let of_kind = passed.iter().filter(|sent| sent.kind == kind);
            of_kind.filter(|sent| test(sent)).count()
        };
        let doubled = |sent: &Sent| sent.is_duplicated;
        let lost = |sent: &Sent| sent.is_lost;
        assert!((330..500).contains(&count(PacketKind::Ack, doubled)));
        assert!((750..920).contains(&count(PacketKind::Data, lost)));
        for kind in PacketKind::ALL {
            assert!(
                kind == PacketKind::Ack || count(kind, doubled) == 0,
                "{kind}"
            );
            assert!(kind == PacketKind::Data || count(kind, lost) == 0, "{kind}");
        }
    }

    #[test]
    fn a_packet_held_back_says_for_how_long() {
        let faults = PacketFaults {
            reorder: Rate::new(0.1).unwrap(),
            hold_ns: 50_000_000,
            ..PacketFaults::default()
        };
        let passed = send_all(model(faults));
        let held = passed.iter().map(|sent| sent.held_ns);
        let held: Vec<u64> = held.filter(|held_ns| *held_ns > 0).collect();
        assert!((850..1150).contains(&held.len()), "{}", held.len());
        assert!(held.iter().all(|held_ns| *held_ns <= 50_000_000));
    }
}
