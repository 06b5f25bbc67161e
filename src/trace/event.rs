//! The closed list of events: everything that can happen in a run, as plain data.

use super::file::DiskFault;
use super::ids::{MessageId, Name, NodeId, PacketKind, Pid, TextId};
use super::mail::{LetterId, Mailed};
use super::supervision::Supervision;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a process ended, as a code: what a digest may hold of an exit reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// It returned.
    Normal = 0,
    /// It was asked to stop.
    Shutdown = 1,
    /// It was asked to stop, with a detail.
    ShutdownWith = 2,
    /// A `kill`, as it comes along a link.
    Kill = 3,
    /// It was killed.
    Killed = 4,
    /// There is no such process.
    NoProc = 5,
    /// The connection to its node was lost, or there is none.
    NoConnection = 6,
    /// It panicked.
    Panic = 7,
    /// It returned an error, or stopped with a reason of its own.
    Error = 8,
}

/// Why a message found no receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum DeadReason {
    /// The process has ended, or was never there.
    NoProc = 0,
    /// Nobody holds the name.
    NoName = 1,
    /// The process belonged to an earlier incarnation of the node.
    OldIncarnation = 2,
    /// The node is down.
    NodeDown = 3,
    /// The receiver takes messages of another type.
    OtherType = 4,
    /// The bytes do not decode.
    Undecodable = 5,
    /// The sender had already been killed, or its node had crashed.
    SenderGone = 6,
    /// No connection to its node could be set up.
    NoConnection = 7,
    /// The receiver's mailbox was full.
    MailboxFull = 8,
}

impl DeadReason {
    /// How many there are.
    pub const COUNT: usize = 9;
}

/// Why a connection is no more, or never came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Broken {
    /// The peer, or its system, closed it; or this side did.
    Closed = 0,
    /// Nothing was heard for longer than the tick time.
    Silent = 1,
    /// The peer began a new one, and the old one was still believed in.
    Replaced = 2,
    /// The peer is not there, and said so.
    Refused = 3,
    /// The set-up took too long.
    NoAnswer = 4,
}

/// A bound of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Limit {
    /// Steps in one run.
    Steps = 0,
    /// Steps within one instant of virtual time.
    StepsAtOnce = 1,
    /// Messages in one mailbox.
    Mailbox = 2,
    /// Live processes on one node.
    Processes = 3,
    /// Incarnations of one node.
    Incarnations = 4,
    /// Entries of the agenda.
    Agenda = 5,
}

macro_rules! words {
    ($code:literal) => {
        ([$code, 0, 0, 0], 1)
    };
    ($code:literal, $a:expr) => {
        ([$code | ($a) << 8, 0, 0, 0], 1)
    };
    ($code:literal, $a:expr, $b:expr) => {
        ([$code | ($a) << 8, $b, 0, 0], 2)
    };
    ($code:literal, $a:expr, $b:expr, $c:expr) => {
        ([$code | ($a) << 8, $b, $c, 0], 3)
    };
    ($code:literal, $a:expr, $b:expr, $c:expr, $d:expr) => {
        ([$code | ($a) << 8, $b, $c, $d], 4)
    };
}

/// One thing that happened. Texts are for readers and stay out of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "fields are named in OTP's words, and each variant's line uses them"
)]
pub enum Event {
    /// Virtual time moved to this many nanoseconds, after so many steps.
    Clock { now_ns: u64, steps: u64 },
    /// A node came up.
    Boot { node: NodeId, incarnation: u32 },
    /// A node went down at once; `call`: inside a step, at its how-manieth call of the host.
    Crash {
        node: NodeId,
        incarnation: u32,
        call: u32,
    },
    /// A process began.
    Spawn { pid: Pid, parent: Pid },
    /// A process was polled. In the log only: the digest has the count of steps at each [`Event::Clock`],
    /// and what the poll did.
    Step { pid: Pid },
    /// A process ended.
    Exit {
        pid: Pid,
        reason: Reason,
        text: TextId,
    },
    /// A message was put into a mailbox on the same node.
    Send {
        id: MessageId,
        to: Pid,
        text: TextId,
    },
    /// An answer was given to a process on the same node.
    Reply {
        id: MessageId,
        to: Pid,
        text: TextId,
    },
    /// A packet left its node. `bytes` is the hash of what it carries.
    Packet {
        id: MessageId,
        to: NodeId,
        kind: PacketKind,
        len: u32,
        bytes: u64,
        text: TextId,
    },
    /// A fault lost a packet.
    Lost { id: MessageId, to: NodeId },
    /// A fault duplicated a packet; `id` is the copy's.
    Duplicated { id: MessageId, to: NodeId },
    /// A fault held a packet back for so many nanoseconds.
    Delayed {
        id: MessageId,
        to: NodeId,
        by_ns: u64,
    },
    /// A packet came to its node.
    Arrive { id: MessageId, node: NodeId },
    /// A process took a message out of its mailbox.
    Receive { id: MessageId, by: Pid },
    /// A process put a message off that it had taken; it takes it again when its state has changed.
    Postponed { id: MessageId, by: Pid },
    /// A message was still unread when its receiver ended, or postponed.
    Unread { id: MessageId, by: Pid },
    /// An answer came too late.
    Stale { id: MessageId, to: Pid },
    /// A message found no receiver.
    DeadLetter {
        id: MessageId,
        to: u64,
        why: DeadReason,
    },
    /// Two processes were linked.
    Link { from: Pid, to: Pid },
    /// A link was removed.
    Unlink { from: Pid, to: Pid },
    /// A monitor was set.
    Monitor { by: Pid, of: Pid },
    /// A monitor was set of whoever holds a name on a node.
    MonitorName { by: Pid, node: NodeId, name: Name },
    /// A monitor was removed; of the node, where it was one of a name there.
    Demonitor { by: Pid, of: Pid },
    /// An exit signal reached a process.
    ExitSignal { from: Pid, to: Pid, reason: Reason },
    /// A monitor fired; of the node, where it was one of a name and no process of it is known.
    Down { to: Pid, of: Pid, reason: Reason },
    /// A timer was set, to fire not before this moment.
    TimerSet { pid: Pid, at_ns: u64 },
    /// A timer fired.
    TimerFired { pid: Pid },
    /// A timer was cancelled.
    TimerCancelled { pid: Pid },
    /// A name was taken.
    Named { pid: Pid, name: Name },
    /// A name was given back.
    Unnamed { pid: Pid, name: Name },
    /// A node works until this moment and steps no process before it.
    Busy { node: NodeId, until_ns: u64 },
    /// A bound was reached.
    Bound { limit: Limit, most: u64 },
    /// A node has a connection to a peer.
    NodeUp { node: NodeId, peer: NodeId },
    /// A node has no connection to a peer any more, or could not set one up.
    NodeDown {
        node: NodeId,
        peer: NodeId,
        why: Broken,
    },
    /// A process waits until the connection to a peer takes more.
    Suspended { pid: Pid, peer: NodeId },
    /// It waits no longer.
    Released { pid: Pid },
    /// A fault began: the how-manieth of the run, and what it is.
    Fault { number: u32, text: TextId },
    /// A fault ended.
    FaultOver { number: u32, text: TextId },
    /// A fault had no effect: its node was not in the state for it.
    NoEffect {
        number: u32,
        node: NodeId,
        text: TextId,
    },
    /// A fault strikes a process where it is; `for_ns`: it is held up for so long.
    Struck { pid: Pid, for_ns: u64, text: TextId },
    /// A fault befalls what a process asks of its disk.
    DiskStruck { pid: Pid, fault: DiskFault },
    /// A crash has taken what was not synced: so many files are not as they were, so many changes of
    /// names are gone.
    DiskLost {
        node: NodeId,
        files: u32,
        entries: u32,
    },
    /// A node was asked to stop.
    Stopping { node: NodeId },
    /// A node that was asked to stop has stopped.
    Halt { node: NodeId, incarnation: u32 },
    /// A node goes on beside a newer one of its name.
    Outdated { node: NodeId, newer: NodeId },
    /// From now on no more faults: all is healed.
    Quiet,
    /// A supervisor does its work.
    Supervision { by: Pid, what: Supervision },
    /// A process waits until there is room in the mailbox of another.
    Held { pid: Pid, of: Pid },
    /// It waits for that no longer.
    Admitted { pid: Pid, of: Pid },
    /// A message was not sent, since the mailbox was full.
    Refused { from: Pid, to: Pid },
    /// A mailbox has reached its high watermark.
    Overloaded { pid: Pid, len: u32 },
    /// It is down to its low one.
    Relieved { pid: Pid, len: u32 },
    /// Something becomes of a letter, at its how-manieth attempt, which stops at 65,535; 0 where it is none
    /// of one.
    Mail {
        by: Pid,
        letter: LetterId,
        attempt: u16,
        what: Mailed,
    },
    /// A user's note.
    Note { pid: Pid, text: TextId },
}

/// Notes an event: like [`Trace::emit`], for the few that every message has. The event is built once for
/// its words and once more for the log, so that on the hot way it never stands in memory.
///
/// [`Trace::emit`]: super::Trace::emit
macro_rules! emit {
    ($trace:expr, $event:expr) => {{
        let trace: &mut $crate::trace::Trace = $trace;
        let (words, count) = $event.words();
        trace.absorb(&words, count);
        if trace.logs() {
            trace.log_only($event);
        }
    }};
}

pub(crate) use emit;

impl Event {
    /// Its words for the digest: one to four, the code in the lowest byte of the first.
    #[inline(always)]
    #[must_use]
    pub fn words(&self) -> ([u64; 4], usize) {
        match *self {
            Event::Clock { now_ns, steps } => words!(1, 0, now_ns, steps),
            Event::Boot { node, incarnation } => {
                words!(2, u64::from(node.0) | u64::from(incarnation) << 16)
            }
            Event::Crash {
                node,
                incarnation,
                call,
            } => {
                words!(
                    3,
                    u64::from(node.0) | u64::from(incarnation) << 16,
                    u64::from(call)
                )
            }
            Event::Spawn { pid, parent } => words!(4, 0, pid.as_u64(), parent.as_u64()),
            Event::Step { .. } => ([0; 4], 0),
            Event::Exit { pid, reason, .. } => words!(6, reason as u64, pid.as_u64()),
            Event::Send { id, to, .. } => words!(7, id.word(), id.from.as_u64(), to.as_u64()),
            Event::Reply { id, to, .. } => words!(8, id.word(), id.from.as_u64(), to.as_u64()),
            Event::Packet {
                id,
                to,
                kind,
                len,
                bytes,
                ..
            } => words!(
                9,
                id.word(),
                id.from.as_u64(),
                u64::from(to.0) | (kind as u64) << 16 | u64::from(len) << 24,
                bytes
            ),
            Event::Lost { id, to } => {
                words!(10, id.word(), id.from.as_u64(), u64::from(to.0))
            }
            Event::Duplicated { id, to } => {
                words!(11, id.word(), id.from.as_u64(), u64::from(to.0))
            }
            Event::Delayed { id, to, by_ns } => {
                words!(12, id.word(), id.from.as_u64(), u64::from(to.0), by_ns)
            }
            Event::Arrive { id, node } => {
                words!(13, id.word(), id.from.as_u64(), u64::from(node.0))
            }
            Event::Receive { id, by } => words!(14, id.word(), id.from.as_u64(), by.as_u64()),
            Event::Unread { id, by } => words!(15, id.word(), id.from.as_u64(), by.as_u64()),
            Event::Stale { id, to } => words!(16, id.word(), id.from.as_u64(), to.as_u64()),
            Event::DeadLetter { id, to, why } => {
                words!(17, id.word() | (why as u64) << 48, id.from.as_u64(), to)
            }
            Event::Link { from, to } => words!(18, 0, from.as_u64(), to.as_u64()),
            Event::Unlink { from, to } => words!(19, 0, from.as_u64(), to.as_u64()),
            Event::Monitor { by, of } => words!(20, 0, by.as_u64(), of.as_u64()),
            Event::Demonitor { by, of } => words!(21, 0, by.as_u64(), of.as_u64()),
            Event::ExitSignal { from, to, reason } => {
                words!(22, reason as u64, from.as_u64(), to.as_u64())
            }
            Event::Down { to, of, reason } => {
                words!(23, reason as u64, to.as_u64(), of.as_u64())
            }
            Event::TimerSet { pid, at_ns } => words!(24, 0, pid.as_u64(), at_ns),
            Event::TimerFired { pid } => words!(25, 0, pid.as_u64()),
            Event::TimerCancelled { pid } => words!(26, 0, pid.as_u64()),
            Event::Named { pid, name } => words!(27, 0, pid.as_u64(), name.as_u64()),
            Event::Unnamed { pid, name } => words!(28, 0, pid.as_u64(), name.as_u64()),
            Event::Busy { node, until_ns } => words!(29, u64::from(node.0), until_ns),
            Event::Bound { limit, most } => words!(30, limit as u64, most),
            Event::NodeUp { node, peer } => {
                words!(31, u64::from(node.0) | u64::from(peer.0) << 16)
            }
            Event::NodeDown { node, peer, why } => {
                let ends = u64::from(node.0) | u64::from(peer.0) << 16;
                words!(32, ends | (why as u64) << 32)
            }
            Event::Suspended { pid, peer } => words!(33, u64::from(peer.0), pid.as_u64()),
            Event::Released { pid } => words!(34, 0, pid.as_u64()),
            Event::Fault { number, .. } => words!(35, u64::from(number)),
            Event::FaultOver { number, .. } => words!(36, u64::from(number)),
            Event::NoEffect { number, node, .. } => {
                words!(37, u64::from(number), u64::from(node.0))
            }
            Event::Stopping { node } => words!(38, u64::from(node.0)),
            Event::Outdated { node, newer } => {
                words!(39, u64::from(node.0) | u64::from(newer.0) << 16)
            }
            Event::Quiet => words!(40),
            Event::Halt { node, incarnation } => {
                words!(41, u64::from(node.0) | u64::from(incarnation) << 16)
            }
            Event::Supervision { by, what } => {
                let [first, second, third] = what.words();
                words!(42, first, by.as_u64(), second, third)
            }
            Event::MonitorName { by, node, name } => {
                words!(43, u64::from(node.0), by.as_u64(), name.as_u64())
            }
            Event::Postponed { id, by } => words!(44, id.word(), id.from.as_u64(), by.as_u64()),
            Event::Held { pid, of } => words!(45, 0, pid.as_u64(), of.as_u64()),
            Event::Admitted { pid, of } => words!(46, 0, pid.as_u64(), of.as_u64()),
            Event::Refused { from, to } => words!(47, 0, from.as_u64(), to.as_u64()),
            Event::Overloaded { pid, len } => words!(48, u64::from(len), pid.as_u64()),
            Event::Relieved { pid, len } => words!(49, u64::from(len), pid.as_u64()),
            Event::Struck { pid, for_ns, .. } => words!(50, 0, pid.as_u64(), for_ns),
            Event::Mail {
                by,
                letter,
                attempt,
                what,
            } => {
                let [what, key] = what.words();
                // A key is spread over its letter's number: there is no fifth word.
                words!(
                    51,
                    what | u64::from(attempt) << 16,
                    by.as_u64(),
                    letter.origin.as_u64(),
                    letter.number ^ key.wrapping_mul(0x9E37_79B9_7F4A_7C15)
                )
            }
            Event::DiskStruck { pid, fault } => words!(52, fault as u64, pid.as_u64()),
            Event::DiskLost {
                node,
                files,
                entries,
            } => {
                let lost = u64::from(files) | u64::from(entries) << 32;
                words!(53, u64::from(node.0), lost)
            }
            Event::Note { .. } => ([0; 4], 0),
        }
    }

    /// Whether it tells which processes, names and supervisors there are.
    #[inline(always)]
    pub(crate) const fn is_of_lives(&self) -> bool {
        matches!(
            self,
            Event::Supervision { .. }
                | Event::Spawn { .. }
                | Event::Exit { .. }
                | Event::ExitSignal { .. }
                | Event::Named { .. }
                | Event::Unnamed { .. }
                | Event::Crash { .. }
                | Event::Halt { .. }
                | Event::Struck { .. }
        )
    }

    /// Whether it tells what becomes of letters, or that nothing keeps them any more.
    #[inline(always)]
    pub(crate) const fn is_of_mail(&self) -> bool {
        matches!(self, Event::Mail { .. } | Event::Quiet)
    }

    /// The process of which a reader should think first, where there is one.
    #[must_use]
    pub fn actor(&self) -> Option<Pid> {
        match *self {
            Event::Spawn { pid, .. }
            | Event::Step { pid }
            | Event::Exit { pid, .. }
            | Event::TimerSet { pid, .. }
            | Event::TimerFired { pid }
            | Event::TimerCancelled { pid }
            | Event::Named { pid, .. }
            | Event::Unnamed { pid, .. }
            | Event::Held { pid, .. }
            | Event::Admitted { pid, .. }
            | Event::Overloaded { pid, .. }
            | Event::Relieved { pid, .. }
            | Event::Note { pid, .. } => Some(pid),
            Event::Send { id, .. } | Event::Reply { id, .. } | Event::Packet { id, .. } => {
                Some(id.from)
            }
            Event::Receive { by, .. } | Event::Postponed { by, .. } | Event::Unread { by, .. } => {
                Some(by)
            }
            Event::Stale { to, .. } => Some(to),
            Event::Refused { from, .. } => Some(from),
            Event::Link { from, .. } | Event::Unlink { from, .. } => Some(from),
            Event::Monitor { by, .. }
            | Event::MonitorName { by, .. }
            | Event::Demonitor { by, .. } => Some(by),
            Event::ExitSignal { to, .. } | Event::Down { to, .. } => Some(to),
            Event::Suspended { pid, .. }
            | Event::Released { pid }
            | Event::Struck { pid, .. }
            | Event::DiskStruck { pid, .. }
            | Event::Supervision { by: pid, .. }
            | Event::Mail { by: pid, .. } => Some(pid),
            Event::NodeUp { .. }
            | Event::NodeDown { .. }
            | Event::Fault { .. }
            | Event::FaultOver { .. }
            | Event::NoEffect { .. }
            | Event::DiskLost { .. }
            | Event::Stopping { .. }
            | Event::Halt { .. }
            | Event::Outdated { .. }
            | Event::Quiet
            | Event::Lost { .. }
            | Event::Duplicated { .. }
            | Event::Delayed { .. }
            | Event::Arrive { .. }
            | Event::DeadLetter { .. }
            | Event::Clock { .. }
            | Event::Boot { .. }
            | Event::Crash { .. }
            | Event::Busy { .. }
            | Event::Bound { .. } => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Normal => "normal",
            Reason::Shutdown => "shutdown",
            Reason::ShutdownWith => "shutdown(…)",
            Reason::Kill => "kill",
            Reason::Killed => "killed",
            Reason::NoProc => "noproc",
            Reason::NoConnection => "noconnection",
            Reason::Panic => "panic",
            Reason::Error => "error",
        })
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeadReason::NoProc => "no such process",
            DeadReason::NoName => "nobody has that name",
            DeadReason::OldIncarnation => "a process of an earlier incarnation",
            DeadReason::NodeDown => "the node is down",
            DeadReason::OtherType => "a message of another type",
            DeadReason::Undecodable => "it does not decode",
            DeadReason::SenderGone => "its sender had ended",
            DeadReason::NoConnection => "no connection to its node",
            DeadReason::MailboxFull => "the mailbox is full",
        })
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Closed => "closed",
            Broken::Silent => "silent for longer than the tick time",
            Broken::Replaced => "the peer has begun anew",
            Broken::Refused => "refused",
            Broken::NoAnswer => "no answer to the set-up",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Steps => "steps in one run",
            Limit::StepsAtOnce => "steps within one instant of virtual time",
            Limit::Mailbox => "messages in one mailbox",
            Limit::Processes => "processes on one node",
            Limit::Incarnations => "incarnations of one node",
            Limit::Agenda => "timers and packets waiting at once",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_no_larger_than_five_words() {
        assert_eq!(size_of::<Event>(), 40);
    }
}
