//! The seam: what a node's processes ask of the world outside, and what it hands in.

use super::blow::{Blow, Passing};
use super::files::{FileAsker, FileDone, FileOp, Takes};
use super::letters::bury_letter;
use super::message::{Labeled, encode};
use super::node::NodeState;
use super::system::Process;
use super::target::Target;
use crate::choice::{Choice, Lineage};
use crate::kernel::{Drawn, Due, Kernel, Key, Reached, Time, What};
use crate::trace::{
    Broken, DeadReason, Event, FileReason, MessageId, NodeId, PacketKind, Pid, Trace,
};
use serde::{Deserialize, Serialize};
use std::any::Any;

/// A message on its way between nodes: bytes with a tag.
///
/// A host that has a wire writes it with [`Packet::to_bytes`], and reads it at the other end with
/// [`Packet::from_bytes`]: every build of this version of netsplit agrees on the bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packet {
    /// Sender, sender's count, copy.
    pub id: MessageId,
    /// Who sent it, for draws.
    pub who: Lineage,
    /// Where to: a process, a name, or one who waits for an answer.
    pub to: Target,
    /// What it carries, for faults to aim at.
    pub kind: PacketKind,
    /// Over the connection between the two nodes, or for itself.
    pub via: Via,
    /// What it is for the process floor.
    pub what: Carries,
    /// The type and version of the bytes.
    pub label: Labeled,
    /// The message, encoded.
    pub bytes: Vec<u8>,
}

/// How a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// In order, over the connection between its nodes, which is set up where there is none.
    Connection,
    /// For itself: it may be lost, duplicated, delayed, overtaken.
    Datagram,
}

/// What a packet is for the processes at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carries {
    /// A message.
    Message,
    /// The question of a call, which waits under this number: who takes it is watched by the caller.
    Question(u32),
    /// The answer to a call; whether its sender was watched by the caller, and is not any more.
    Answer(bool),
    /// A signal: a link, a monitor, an exit.
    Signal,
}

/// Bytes that are no packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no packet: {0}")]
pub struct PacketError(postcard::Error);

impl Packet {
    /// The packet as it goes over a wire, without its length.
    ///
    /// ```
    /// use netsplit::process::Packet;
    ///
    /// let bytes = Packet::default().to_bytes();
    /// assert!(Packet::from_bytes(&bytes).is_ok());
    /// assert!(Packet::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self, Vec::new())
    }

    /// The packet that [`Packet::to_bytes`] wrote. The message in it is decoded when it comes to its
    /// receiver, and only there.
    ///
    /// # Errors
    /// [`PacketError`] where these bytes, and all of them, are not one packet.
    pub fn from_bytes(bytes: &[u8]) -> Result<Packet, PacketError> {
        match postcard::take_from_bytes(bytes) {
            Ok((packet, [])) => Ok(packet),
            Ok(_) => Err(PacketError(postcard::Error::DeserializeBadEncoding)),
            Err(error) => Err(PacketError(error)),
        }
    }
}

impl Default for Packet {
    /// An empty packet from nobody to nobody.
    fn default() -> Packet {
        Packet {
            id: MessageId::new(Pid::NOBODY, 0),
            who: Lineage::RUN,
            to: Target::Pid(Pid::NOBODY),
            kind: PacketKind::Data,
            via: Via::Connection,
            what: Carries::Message,
            label: Labeled::of::<()>(),
            bytes: Vec::new(),
        }
    }
}

/// The world outside a node, as its processes ask for it. Inward, a host calls the node's table: a packet
/// came, step; and it moves the clock of the [`Core`] on which the processes' timers lie.
///
/// A simulator drives many nodes; a host on tokio, TCP and files drives one.
pub trait Host: Any {
    /// Takes a packet; it will be handed in again at its receiver's node, or not. Whether its sender
    /// should wait until the connection takes more.
    fn send(&mut self, core: Core<'_>, packet: Box<Packet>) -> bool;

    /// This task, by slot and generation, waits until the connection takes more.
    fn wait_until_writable(&mut self, from: NodeId, to: NodeId, task: (u32, u16));

    /// Sets up a connection, where there is none.
    fn connect(&mut self, core: Core<'_>, from: NodeId, to: NodeId);

    /// Closes a connection, where there is one: how it ended for this node.
    fn disconnect(&mut self, core: Core<'_>, from: NodeId, to: NodeId) -> Option<Broken>;

    /// The nodes to which this one has a connection, as far as it knows.
    fn peers(&self, node: NodeId) -> Vec<NodeId>;

    /// The host's entry of this number is due: the packet that has come with it, or nothing where the host
    /// has other things to do then.
    ///
    /// By default it is asked for nothing: a host need not arm anything.
    fn due(&mut self, core: Core<'_>, number: u32) -> Option<Box<Packet>> {
        let _ = (core, number);
        None
    }

    /// Time since its beginning as this node's clock has it, at this moment. By default it is the host's.
    fn node_time(&self, node: NodeId, now: Time) -> Time {
        let _ = node;
        now
    }

    /// How many nanoseconds pass until this node's clock has moved by so many. By default just as many.
    fn real_ns(&self, node: NodeId, on_its_clock_ns: u64) -> u64 {
        let _ = node;
        on_its_clock_ns
    }

    /// Wall time on a node, in nanoseconds since 1970.
    fn wall_ns(&self, node: NodeId, now: Time) -> u64;

    /// How many nanoseconds later than asked a timer fires at most, where chance decides that. Default 0.
    fn most_late_ns(&self) -> u64 {
        0
    }

    /// The node of this name.
    fn node(&self, name: &str) -> Option<NodeId>;

    /// Does an operation on a file of the asker's node. Default: it has no disk.
    fn file(&mut self, core: Core<'_>, asker: FileAsker, op: FileOp<'_>) -> FileDone {
        let _ = (core, asker, op);
        FileDone {
            result: Err(FileReason::NoDisk),
            takes: Takes::Nanos(0),
        }
    }

    /// Whether faults may befall processes where they pass ([`Host::befalls`]): asked once, when a runtime is
    /// made. Default: no.
    fn strikes(&self) -> bool {
        false
    }

    /// What befalls a process where it passes. Default: nothing.
    fn befalls(&mut self, core: Core<'_>, passing: &Passing<'_>) -> Option<Blow> {
        let _ = (core, passing);
        None
    }
}

/// What a host may use of the run's core while it is asked something.
#[allow(missing_debug_implementations, reason = "the kernel holds futures")]
pub struct Core<'a> {
    pub(crate) kernel: &'a mut Kernel<Process>,
    pub(crate) nodes: &'a mut [NodeState],
    pub(crate) error: &'a mut Option<Reached>,
    #[allow(
        clippy::vec_box,
        reason = "a packet passes many hands, as one word, and its box serves again"
    )]
    pub(crate) packets: &'a mut Vec<Box<Packet>>,
}

impl Core<'_> {
    /// The virtual time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.kernel.now()
    }

    /// The one door for chance.
    #[inline]
    pub fn choice(&mut self) -> &mut Choice {
        &mut self.kernel.choice
    }

    /// The trace of the run.
    #[inline]
    pub fn trace(&mut self) -> &mut Trace {
        &mut self.kernel.trace
    }

    /// Comes back to the host at `at` with this number (below 2^30); `who` and `nth` address the draw that
    /// decides among entries due at once.
    #[inline]
    pub fn arm(&mut self, at: Time, who: Lineage, nth: u32, number: u32) -> Option<Key> {
        if self.error.is_some() {
            return None;
        }
        let what = What::host(number);
        let armed = self.kernel.arm(at, Due { who, nth, what });
        self.noted(armed)
    }

    /// Comes back to the host with this number at a moment that chance decides, as with [`Core::arm`].
    #[inline(always)]
    pub fn arm_drawn(
        &mut self,
        drawn: &Drawn<'_>,
        who: Lineage,
        nth: u32,
        number: u32,
    ) -> Option<Key> {
        if self.error.is_some() {
            return None;
        }
        let what = What::host(number);
        let armed = self.kernel.arm_drawn(drawn, Due { who, nth, what });
        self.noted(armed)
    }

    #[inline]
    fn noted(&mut self, armed: Result<Key, Reached>) -> Option<Key> {
        match armed {
            Ok(key) => Some(key),
            Err(reached) => {
                self.error.get_or_insert(reached);
                None
            }
        }
    }

    /// Takes an entry off the agenda; whether it was still to come.
    pub fn disarm(&mut self, key: Key) -> bool {
        self.kernel.disarm(key).is_some()
    }

    /// A packet never comes to anybody: a dead letter at this node.
    pub fn dead_letter(&mut self, node: NodeId, packet: Box<Packet>, why: DeadReason) {
        let letter = (packet.id, packet.to, why);
        bury_letter(self.kernel, self.nodes, node, letter);
        self.recycle(packet);
    }

    /// A task that waited for a connection may go on.
    pub fn release(&mut self, (slot, generation): (u32, u16)) {
        if let Some(task) = self.kernel.tasks.find(slot, generation)
            && task.is_suspended()
        {
            let (pid, free) = (task.data.pid, task.data.line_is_free());
            self.kernel.trace.emit(Event::Released { pid });
            if free {
                task.data.wants = 0;
                self.kernel.release(slot);
            }
        }
    }

    /// Gives a packet back, for later use with its buffer.
    #[inline]
    pub fn recycle(&mut self, packet: Box<Packet>) {
        if self.packets.len() < 256 && packet.bytes.capacity() <= 4096 {
            self.packets.push(packet);
        }
    }
}
