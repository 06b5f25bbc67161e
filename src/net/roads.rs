//! Which way is open: paths, cuts, and the state of the machines at both ends.

use super::{Cut, Path};
use crate::choice::{Choice, Kind, Lineage, Rate, Shape, Site};
use crate::trace::NodeId;
use rustc_hash::FxHashMap;

/// What Linux waits for before it sends a lost segment again for the first time; each further time twice
/// as long.
pub(super) const RETRANSMIT_NS: u64 = 200_000_000;
/// A packet of a connection is lost at most so many times in a row: the delay is then 51 s.
const LOSSES_MOST: u64 = 8;

/// A machine, as the network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Its node runs.
    pub up: bool,
    /// Its node is stopped for a while: it takes nothing in.
    pub paused: bool,
    /// It has no power: it does not even refuse.
    pub dark: bool,
    /// It runs beside another of the same name, and is the older one.
    pub outdated: bool,
    /// Machines of one name have one number here.
    pub name: NodeId,
}

impl Machine {
    fn hears_nothing(self) -> bool {
        self.paused || self.dark
    }
}

/// The paths of a run, and what stands in the way.
#[derive(Clone, Debug)]
pub(crate) struct Roads {
    pub(super) default: Path,
    paths: FxHashMap<(NodeId, NodeId), Path>,
    cuts: Vec<(u32, Cut)>,
    machines: Vec<Machine>,
    /// How many machines hear nothing.
    deaf: usize,
    /// Who draws for a machine's own packets.
    owners: Vec<Lineage>,
    /// Whether any way may be closed.
    trouble: bool,
    /// Whether two machines have one name.
    namesakes: bool,
}

impl Roads {
    pub(super) fn new(default: Path) -> Roads {
        Roads {
            default,
            paths: FxHashMap::default(),
            cuts: Vec::new(),
            machines: Vec::new(),
            deaf: 0,
            owners: Vec::new(),
            trouble: false,
            namesakes: false,
        }
    }

    pub(super) fn add(&mut self, name: Option<NodeId>, owner: Lineage) -> NodeId {
        let id = NodeId::new(self.machines.len());
        self.namesakes |= name.is_some();
        let name = name.map_or(id, |name| self.machine(name).name);
        self.machines.push(Machine {
            up: false,
            paused: false,
            dark: false,
            outdated: false,
            name,
        });
        self.owners.push(owner);
        id
    }

    pub(super) fn set_path(&mut self, from: NodeId, to: NodeId, path: Path) {
        self.paths.insert((from, to), path);
    }

    /// The path from one node to another.
    #[inline]
    pub(crate) fn path(&self, from: NodeId, to: NodeId) -> &Path {
        if self.paths.is_empty() {
            return &self.default;
        }
        let name = |node: NodeId| self.machines[node.index()].name;
        let path = self.paths.get(&(name(from), name(to)));
        path.unwrap_or(&self.default)
    }

    pub(super) fn machine(&self, node: NodeId) -> Machine {
        self.machines[node.index()]
    }

    pub(super) fn set_machine(&mut self, node: NodeId, set: impl FnOnce(&mut Machine)) {
        let machine = &mut self.machines[node.index()];
        self.deaf -= usize::from(machine.hears_nothing());
        set(machine);
        self.deaf += usize::from(machine.hears_nothing());
        self.note_trouble();
    }

    #[inline]
    pub(super) fn has_trouble(&self) -> bool {
        self.trouble
    }

    pub(super) fn has_namesakes(&self) -> bool {
        self.namesakes
    }

    pub(crate) fn owner(&self, node: NodeId) -> Lineage {
        self.owners[node.index()]
    }

    pub(super) fn cut(&mut self, number: u32, cut: Cut) {
        self.cuts.push((number, cut));
        self.note_trouble();
    }

    /// The cuts that there are hold for a machine that takes this one's place, too.
    pub(super) fn join_cuts(&mut self, old: NodeId, newer: NodeId) {
        self.cuts
            .iter_mut()
            .for_each(|(_, cut)| cut.join(old, newer));
    }

    /// Ends a cut; whether it was there.
    pub(super) fn mend(&mut self, number: u32) -> bool {
        let before = self.cuts.len();
        self.cuts.retain(|(other, _)| *other != number);
        self.note_trouble();
        self.cuts.len() < before
    }

    pub(super) fn cuts(&self) -> impl Iterator<Item = u32> + '_ {
        self.cuts.iter().map(|(number, _)| *number)
    }

    fn note_trouble(&mut self) {
        self.trouble = !self.cuts.is_empty() || self.deaf > 0;
    }

    /// Whether a cut lies between them, in this direction.
    #[inline]
    pub(super) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.trouble && self.cuts.iter().any(|(_, cut)| cut.blocks(from, to))
    }

    /// Whether nothing of a connection gets from one to the other now.
    #[inline]
    pub(super) fn blocks(&self, from: NodeId, to: NodeId) -> bool {
        self.trouble && { self.machine(to).hears_nothing() || self.is_cut(from, to) }
    }

    /// Whether `listener` hears nothing of `peer`, not even that it is there.
    pub(super) fn is_deaf(&self, listener: NodeId, peer: NodeId) -> bool {
        self.trouble && { self.machine(peer).hears_nothing() || self.is_cut(peer, listener) }
    }

    /// How long it takes to send a packet of a connection again, as often as it is lost.
    #[inline(always)]
    pub(super) fn again_ns(
        &self,
        choice: &mut Choice,
        (from, to): (NodeId, NodeId),
        (who, nth): (Lineage, u64),
        loss: Rate,
    ) -> u64 {
        let loss = self.path(from, to).loss.or(loss);
        if loss.is_never() && choice.is_seeded() {
            return 0;
        }
        let site = Site::new(Kind::Loss, who, nth);
        let losses = choice.draw(site, Shape::InARow(loss, LOSSES_MOST));
        RETRANSMIT_NS * ((1 << losses) - 1)
    }
}
