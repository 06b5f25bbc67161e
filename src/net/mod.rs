//! The network as a model: paths between nodes, latency, loss, duplication, reordering.
//!
//! A packet goes in with the draws it may make; out comes what becomes of it. No clock, no futures, no
//! processes, and no state for a pair of nodes but where a path was declared for it.
//!
//! ```
//! use netsplit::net::{Network, Path};
//! use netsplit::{Distribution, millis};
//! let slow = Path::new(Distribution::uniform(millis(80), millis(120)));
//! let network = Network::new(Path::default()).path("europe", "asia", slow);
//! assert_eq!(network.default_path(), &Path::default());
//! ```

use crate::choice::{Choice, Distribution, Kind, Lineage, Rate, Shape, Site};
use crate::trace::{MessageId, NodeId, PacketKind};
use rustc_hash::FxHashMap;
use std::time::Duration;

/// One direction from a node to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// How long a packet takes.
    pub latency: Distribution,
    /// How often it is lost for no other reason.
    pub loss: Rate,
}

impl Path {
    /// A path with this latency, that loses nothing by itself.
    #[must_use]
    pub const fn new(latency: Distribution) -> Path {
        Path {
            latency,
            loss: Rate::NEVER,
        }
    }

    /// The same path, which loses this share of its packets.
    #[must_use]
    pub const fn with_loss(self, loss: Rate) -> Path {
        Path { loss, ..self }
    }
}

impl Default for Path {
    /// 1 to 10 ms, each as likely, nothing lost: what most simulators begin with.
    fn default() -> Path {
        Path::new(Distribution::uniform(
            Duration::from_millis(1),
            Duration::from_millis(10),
        ))
    }
}

/// The paths of a cluster, as they are declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    default: Path,
    paths: Vec<(String, String, Path)>,
}

impl Network {
    /// A network in which every path is like this one.
    #[must_use]
    pub const fn new(default: Path) -> Network {
        Network {
            default,
            paths: Vec::new(),
        }
    }

    /// Another path from one node to another; the way back stays as it is.
    #[must_use]
    pub fn path(mut self, from: &str, to: &str, path: Path) -> Network {
        self.paths.push((from.to_owned(), to.to_owned(), path));
        self
    }

    /// The path between nodes for which none was declared.
    #[must_use]
    pub const fn default_path(&self) -> &Path {
        &self.default
    }

    /// The paths that were declared: from, to, path.
    #[must_use]
    pub fn paths(&self) -> &[(String, String, Path)] {
        &self.paths
    }
}

/// What the adversary may do to packets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PacketFaults {
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
pub struct Passage {
    /// Sender, sender's count.
    pub id: MessageId,
    /// Who sent it, for draws.
    pub who: Lineage,
    /// Where to.
    pub to: NodeId,
    /// What it carries.
    pub kind: PacketKind,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passed<'a> {
    /// A fault, or the path, loses it.
    Lost,
    /// It arrives.
    Arrives {
        /// Its latency, and its duplicate's; each is drawn on its own, as [`Kind::Latency`] and as
        /// [`Kind::CopyLatency`], by whoever brings it there.
        latency: &'a Distribution,
        /// For so many nanoseconds on top it is held back.
        held_ns: u64,
        /// Whether a duplicate, which is not held back, arrives too.
        is_duplicated: bool,
    },
}

/// The network of a run.
#[derive(Clone, Debug)]
pub struct Model {
    default: Path,
    paths: FxHashMap<(NodeId, NodeId), Path>,
    faults: PacketFaults,
}

impl Model {
    /// A network whose every path is `default`, under these faults.
    #[must_use]
    pub fn new(default: Path, faults: PacketFaults) -> Model {
        Model {
            default,
            paths: FxHashMap::default(),
            faults,
        }
    }

    /// Sets one path.
    pub fn set_path(&mut self, from: NodeId, to: NodeId, path: Path) {
        self.paths.insert((from, to), path);
    }

    /// From now on under these faults.
    pub fn set_faults(&mut self, faults: PacketFaults) {
        self.faults = faults;
    }

    /// Sends a packet: draws what becomes of it, but for how long it takes.
    #[inline(always)]
    pub fn pass(&self, choice: &mut Choice, passage: &Passage) -> Passed<'_> {
        let site = |kind| Site::new(kind, passage.who, u64::from(passage.id.nth()));
        let path = if self.paths.is_empty() {
            &self.default
        } else {
            self.paths
                .get(&(passage.id.from.node(), passage.to))
                .unwrap_or(&self.default)
        };
        let loss = path.loss.or(self.faults.loss[passage.kind as usize]);
        if choice.chance(site(Kind::Loss), loss) {
            return Passed::Lost;
        }
        let held_ns = self.hold(choice, site(Kind::Reorder));
        let duplicate = self.faults.duplicate[passage.kind as usize];
        Passed::Arrives {
            latency: &path.latency,
            held_ns,
            is_duplicated: choice.chance(site(Kind::Duplicate), duplicate),
        }
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

    fn passages() -> impl Iterator<Item = Passage> {
        (1..=10_000).map(|nth| Passage {
            id: MessageId::new(Pid::NOBODY, nth),
            who: Lineage::node("a").boot(0),
            to: NodeId::new(1),
            kind: PacketKind::ALL[nth as usize % PacketKind::COUNT],
        })
    }

    fn send_all(model: &Model) -> Vec<(PacketKind, Passed<'_>)> {
        let mut choice = Choice::seeded(3);
        passages()
            .map(|passage| (passage.kind, model.pass(&mut choice, &passage)))
            .collect()
    }

    #[test]
    fn without_faults_every_packet_arrives_once_and_with_its_paths_latency() {
        let model = Model::new(Path::default(), PacketFaults::default());
        for (_, passed) in send_all(&model) {
            let arrives = Passed::Arrives {
                latency: &Path::default().latency,
                held_ns: 0,
                is_duplicated: false,
            };
            assert_eq!(passed, arrives);
        }
    }

    #[test]
    fn a_fault_aimed_at_a_kind_touches_that_kind_only() {
        let mut faults = PacketFaults::default();
        faults.duplicate[PacketKind::Ack as usize] = Rate::new(0.25).unwrap();
        faults.loss[PacketKind::Data as usize] = Rate::new(0.5).unwrap();
        let model = Model::new(Path::default(), faults);
        let passed = send_all(&model);
        let count = |kind, test: fn(&Passed<'_>) -> bool| {
            passed.iter().filter(|(k, p)| *k == kind && test(p)).count()
        };
        let doubled = |p: &Passed<'_>| {
            matches!(
                p,
                Passed::Arrives {
                    is_duplicated: true,
                    ..
                }
            )
        };
        let lost = |p: &Passed<'_>| *p == Passed::Lost;
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
        let model = Model::new(Path::default(), faults);
        let passed = send_all(&model);
        let held = passed.iter().filter_map(|(_, p)| match p {
            Passed::Arrives { held_ns, .. } if *held_ns > 0 => Some(*held_ns),
            _ => None,
        });
        let held: Vec<u64> = held.collect();
        assert!((850..1150).contains(&held.len()), "{}", held.len());
        assert!(held.iter().all(|held_ns| *held_ns <= 50_000_000));
    }
}
