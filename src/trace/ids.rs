//! Plain ids: nodes, processes, messages, names. Numbers that every build gives alike.

use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// A node, by the order in which the scenario declares it. At most 16,383: one number means nobody.
///
/// Within a run it prints as the node's name, as `Debug` too: so messages that hold one can be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub(crate) u16);

impl NodeId {
    /// How many nodes a cluster can have.
    pub const MOST: usize = 1 << 14;

    /// The node declared as the `index`-th, from 0.
    ///
    /// # Panics
    /// Where `index` is 16,384 or more.
    #[must_use]
    pub fn new(index: usize) -> NodeId {
        assert!(
            index < NodeId::MOST,
            "a cluster has at most {} nodes",
            NodeId::MOST
        );
        NodeId(index as u16)
    }

    /// Its place in the order of declaration, from 0.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A process: node, incarnation of the node, slot counted per node, generation of the slot.
///
/// Two processes never have the same pid within a run. Prints as `<a.17.0>` (node, slot, generation),
/// as `<a#2.17.0>` where the node has crashed and is in its third incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct Pid(u64);

/// A pid in a message: what is mostly small stands first, so that numbers of variable length are short.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Packed(u64);

impl From<Pid> for Packed {
    #[inline]
    fn from(pid: Pid) -> Packed {
        Packed(
            (pid.0 >> 50)
                | u64::from(pid.slot()) << 14
                | u64::from(pid.generation()) << 36
                | u64::from(pid.incarnation()) << 52,
        )
    }
}

impl From<Packed> for Pid {
    #[inline]
    fn from(Packed(bits): Packed) -> Pid {
        Pid((bits & 0x3FFF) << 50
            | (bits >> 52) << 38
            | (bits >> 14 & u64::from(Pid::SLOTS - 1)) << 16
            | (bits >> 36 & 0xFFFF))
    }
}

impl Pid {
    /// Slots that a node can have at a time.
    pub const SLOTS: u32 = 1 << 22;
    /// Incarnations that a node can have in a run.
    pub const INCARNATIONS: u32 = 1 << 12;

    /// Who sends where no process does: the world.
    pub const NOBODY: Pid = Pid(u64::MAX);

    pub(crate) fn new(node: NodeId, incarnation: u32, slot: u32, generation: u16) -> Pid {
        debug_assert!(slot < Pid::SLOTS && incarnation < Pid::INCARNATIONS);
        Pid(u64::from(node.0) << 50
            | u64::from(incarnation) << 38
            | u64::from(slot) << 16
            | u64::from(generation))
    }

    /// A node itself, which sends where none of its processes does.
    pub(crate) fn of_node(node: NodeId, incarnation: u32) -> Pid {
        Pid::new(node, incarnation, Pid::SLOTS - 1, u16::MAX)
    }

    /// Whether it stands for a node itself.
    pub(crate) const fn is_of_node(self) -> bool {
        self.slot() == Pid::SLOTS - 1 && self.generation() == u16::MAX
    }

    /// The node on which it lives or lived.
    #[inline]
    #[must_use]
    pub const fn node(self) -> NodeId {
        NodeId((self.0 >> 50) as u16)
    }

    /// Which incarnation of that node, from 0.
    #[inline]
    #[must_use]
    pub const fn incarnation(self) -> u32 {
        (self.0 >> 38) as u32 & (Pid::INCARNATIONS - 1)
    }

    /// Its slot on that node.
    #[inline]
    #[must_use]
    pub const fn slot(self) -> u32 {
        (self.0 >> 16) as u32 & (Pid::SLOTS - 1)
    }

    /// The generation of that slot.
    #[inline]
    #[must_use]
    pub const fn generation(self) -> u16 {
        self.0 as u16
    }

    /// Generation of the slot and incarnation of the node: what tells it from others in its slot.
    #[inline(always)]
    pub(crate) const fn key(self) -> u32 {
        self.incarnation() << 16 | self.generation() as u32
    }

    /// The pid that [`Pid::as_u64`] made this number of.
    pub(crate) const fn from_u64(number: u64) -> Pid {
        Pid(number)
    }

    /// All of it in one number.
    #[inline]
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Pid::NOBODY {
            return f.write_str("<world>");
        }
        write!(f, "<{}", self.node())?;
        if self.incarnation() > 0 {
            write!(f, "#{}", self.incarnation())?;
        }
        if self.is_of_node() {
            return f.write_str(">");
        }
        write!(f, ".{}.{}>", self.slot(), self.generation())
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The names of a cluster's nodes, by [`NodeId`].
pub type Names = Arc<[String]>;

thread_local! {
    static NAMES: RefCell<Option<Names>> = const { RefCell::new(None) };
}

/// Sets the names with which ids print on this thread; gives back the ones before.
pub(crate) fn set_names(names: Option<Names>) -> Option<Names> {
    NAMES.with(|slot| slot.replace(names))
}

/// The name of a node in the run that this thread makes; its number elsewhere.
#[must_use]
pub fn node_name(node: NodeId) -> String {
    let name = NAMES.with(|names| Some(names.borrow().as_ref()?.get(node.index())?.clone()));
    name.unwrap_or_else(|| format!("n{}", node.0))
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&node_name(*self))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A copy of a message: its sender, the sender's own count, and which copy it is.
///
/// Two words, so that it travels in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageId {
    /// Who sent it.
    pub from: Pid,
    count: u64,
}

impl MessageId {
    /// The `nth` message that `from` sent, from 1.
    #[inline(always)]
    #[must_use]
    pub const fn new(from: Pid, nth: u32) -> MessageId {
        MessageId {
            from,
            count: nth as u64,
        }
    }

    /// The how-manieth that its sender sent, from 1.
    #[inline(always)]
    #[must_use]
    pub const fn nth(self) -> u32 {
        self.count as u32
    }

    /// 0 for the original, 1 for its duplicate.
    #[inline(always)]
    #[must_use]
    pub const fn copy(self) -> u32 {
        (self.count >> 32) as u32
    }

    /// The id of its duplicate.
    #[must_use]
    pub const fn duplicate(self) -> MessageId {
        MessageId {
            from: self.from,
            count: self.nth() as u64 | 1 << 32,
        }
    }

    /// Count and copy in one word.
    #[inline(always)]
    pub(crate) const fn word(self) -> u64 {
        self.count
    }

    /// Nearly unique among copies: the books add these up on both ends.
    #[inline(always)]
    #[must_use]
    pub const fn fingerprint(self) -> u64 {
        let mixed = self.from.0 ^ self.count.rotate_left(32);
        let mixed = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}·{}", self.from, self.nth())?;
        if self.copy() > 0 {
            write!(f, "'")
        } else {
            Ok(())
        }
    }
}

/// A registered name: 64 bits of its text's hash, so that every node and every build agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name(u64);

impl Name {
    /// The name with this text.
    #[must_use]
    pub fn new(text: &str) -> Name {
        Name(xxh3_64(text.as_bytes()))
    }

    /// The name for which this number stands.
    pub(crate) const fn of(number: u64) -> Name {
        Name(number)
    }

    /// The number that stands for it.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A text kept by the log; [`TextId::NONE`] where no log is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextId(pub(crate) u32);

impl TextId {
    /// No text.
    pub const NONE: TextId = TextId(0);
}

/// What a packet carries: a fault can aim at one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum PacketKind {
    /// A message.
    Data = 0,
    /// A message that acknowledges another.
    Ack = 1,
    /// The answer to a call.
    Reply = 2,
    /// An exit, link or monitor signal.
    Signal = 3,
    /// A sign of life.
    Heartbeat = 4,
    /// What a protocol needs for itself.
    Control = 5,
}

impl PacketKind {
    /// How many kinds there are.
    pub const COUNT: usize = 6;
    /// Every kind, in the order of its code.
    pub const ALL: [PacketKind; PacketKind::COUNT] = [
        PacketKind::Data,
        PacketKind::Ack,
        PacketKind::Reply,
        PacketKind::Signal,
        PacketKind::Heartbeat,
        PacketKind::Control,
    ];
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PacketKind::Data => "data",
            PacketKind::Ack => "ack",
            PacketKind::Reply => "reply",
            PacketKind::Signal => "signal",
            PacketKind::Heartbeat => "heartbeat",
            PacketKind::Control => "control",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_comes_out_of_a_message_as_it_was_and_is_short_there() {
        let pids = [
            Pid::new(NodeId::new(3), 0, 17, 0),
            Pid::new(NodeId::new(16_000), 4_000, Pid::SLOTS - 1, u16::MAX),
            Pid::NOBODY,
        ];
        for pid in pids {
            assert_eq!(Pid::from(Packed::from(pid)), pid);
        }
        assert!(Packed::from(pids[0]).0 < 1 << 21, "three bytes");
    }

    #[test]
    fn a_pid_keeps_its_parts() {
        let pid = Pid::new(NodeId::new(16_383), 4095, Pid::SLOTS - 1, u16::MAX - 1);
        assert_eq!(pid.node().index(), 16_383);
        assert_eq!(
            (pid.incarnation(), pid.slot(), pid.generation()),
            (4095, Pid::SLOTS - 1, u16::MAX - 1)
        );
    }

    #[test]
    fn a_pid_prints_its_node_slot_and_generation_and_a_node_its_name() {
        let names: Names = vec!["a".to_owned()].into();
        let before = set_names(Some(names));
        assert_eq!(format!("{0} {0:?}", NodeId(0)), "a a");
        assert_eq!(Pid::new(NodeId(0), 0, 17, 0).to_string(), "<a.17.0>");
        assert_eq!(Pid::new(NodeId(0), 2, 17, 3).to_string(), "<a#2.17.3>");
        set_names(before);
        assert_eq!(Pid::new(NodeId(1), 0, 17, 0).to_string(), "<n1.17.0>");
    }
}
