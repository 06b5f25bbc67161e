//! Faults of processes, as data.
//!
//! A process is named by its local name, by hand; drawn, it is one of those that are there. What strikes at a
//! start, at an end or at a step is named by what will pass there, and waits for it.

use super::fault::Fault;
use std::fmt;
use std::time::Duration;

/// Which process of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one that holds this local name when the fault comes.
    Named(String),
    /// Of those that live then, but for the node's first process, in the order of their pids: this one,
    /// modulo how many they are. None while the first process is a behaviour in its `init`.
    Drawn(u64),
    /// Of those that keep mail ([`Context::keeps_mail`](crate::Context::keeps_mail)) then, but for the node's
    /// first process: this one, modulo how many they are.
    Keeper(u64),
}

/// What befalls an ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckFault {
    /// It is lost.
    Lost,
    /// It is sent twice.
    Twice,
    /// It is sent so much later: by then the letter may have been sent again, so that it is the ack of an
    /// earlier attempt.
    Late(Duration),
}

/// What befalls one of a node's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessFault {
    /// It is killed: it gets the exit signal `kill` from nobody.
    Kill {
        /// Which.
        who: Who,
    },
    /// It ends with an error as it takes its `nth` message from then on, before it does anything with it.
    CrashAtMessage {
        /// Which.
        who: Who,
        /// From 1.
        nth: u32,
    },
    /// So many messages that no protocol knows ([`Info::Noise`](crate::Info::Noise)) come into its mailbox at
    /// once.
    Flood {
        /// Which.
        who: Who,
        /// How many.
        messages: u32,
    },
    /// Whichever of the node's processes is the `nth` to pass the step of this name
    /// ([`Context::step`](crate::Context::step)) crashes there.
    CrashAtStep {
        /// The step.
        step: String,
        /// From 1.
        nth: u32,
    },
    /// Whichever of the node's processes sends the `nth` ack from then on (a message of
    /// [`PacketKind::Ack`](crate::PacketKind::Ack), to whomever and whichever way): this befalls it.
    AtAck {
        /// From 1.
        nth: u32,
        /// What.
        what: AckFault,
    },
    /// One that keeps mail sends again, at once, all that it has sent and is not acked.
    Redeliver {
        /// Which.
        who: Who,
    },
    /// One that keeps mail, an outbox or a broker, is killed, and its next `init` hangs for so long; at most
    /// until the faults stop.
    Outage {
        /// Which.
        who: Who,
        /// For how long.
        lasts: Duration,
    },
    /// The next behaviour that starts under this name fails in its `init`.
    FailInit {
        /// The name.
        name: String,
    },
    /// The `init` of the next behaviour that starts under this name hangs before it does anything; at most
    /// until the faults stop.
    HangInit {
        /// The name.
        name: String,
        /// For how long.
        lasts: Duration,
    },
    /// The next server or state machine, started under this name, that is to run its `terminate` hangs before
    /// it does; at most until the faults stop.
    SlowTerminate {
        /// The name.
        name: String,
        /// For how long.
        lasts: Duration,
    },
}

impl ProcessFault {
    /// Whom it befalls, where that is one who must be there when it comes. Else it waits for one who passes.
    pub(crate) fn victim(&self) -> Option<&Who> {
        match self {
            ProcessFault::Kill { who }
            | ProcessFault::CrashAtMessage { who, .. }
            | ProcessFault::Flood { who, .. }
            | ProcessFault::Redeliver { who }
            | ProcessFault::Outage { who, .. } => Some(who),
            _ => None,
        }
    }

    pub(crate) fn victim_mut(&mut self) -> Option<&mut Who> {
        match self {
            ProcessFault::Kill { who }
            | ProcessFault::CrashAtMessage { who, .. }
            | ProcessFault::Flood { who, .. }
            | ProcessFault::Redeliver { who }
            | ProcessFault::Outage { who, .. } => Some(who),
            _ => None,
        }
    }

    /// Whether it counts to 0.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(
            self,
            ProcessFault::CrashAtMessage { nth: 0, .. }
                | ProcessFault::CrashAtStep { nth: 0, .. }
                | ProcessFault::AtAck { nth: 0, .. }
                | ProcessFault::Flood { messages: 0, .. }
        )
    }

    /// Whether it would hold somebody up for no time.
    pub(crate) fn takes_no_time(&self) -> bool {
        matches!(
            self,
            ProcessFault::HangInit { lasts, .. }
                | ProcessFault::SlowTerminate { lasts, .. }
                | ProcessFault::Outage { lasts, .. }
                | ProcessFault::AtAck { what: AckFault::Late(lasts), .. }
                if lasts.is_zero()
        )
    }

    /// Its text; `on` is the node.
    pub(crate) fn tell(&self, f: &mut fmt::Formatter<'_>, on: &dyn fmt::Display) -> fmt::Result {
        match self {
            ProcessFault::Kill { who } => write!(f, "{who} on {on} is killed"),
            ProcessFault::CrashAtMessage { who, nth } => {
                write!(f, "{who} on {on} crashes at its next message number {nth}")
            }
            ProcessFault::Flood { who, messages } => {
                write!(f, "{who} on {on} is flooded with {messages} messages")
            }
            ProcessFault::CrashAtStep { step, nth } => {
                write!(
                    f,
                    "the next step `{step}` number {nth} on {on} crashes its process"
                )
            }
            ProcessFault::AtAck { nth, what } => {
                write!(f, "the next ack number {nth} of {on} {what}")
            }
            ProcessFault::Redeliver { who } => {
                write!(f, "{who} on {on} sends again all that is not acked")
            }
            ProcessFault::Outage { who, lasts } => {
                write!(
                    f,
                    "{who} on {on} is killed, and its next init hangs for {lasts:?}"
                )
            }
            ProcessFault::FailInit { name } => write!(f, "the next init of {name} on {on} fails"),
            ProcessFault::HangInit { name, lasts } => {
                write!(f, "the next init of {name} on {on} hangs for {lasts:?}")
            }
            ProcessFault::SlowTerminate { name, lasts } => {
                write!(
                    f,
                    "the next terminate of {name} on {on} hangs for {lasts:?}"
                )
            }
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Named(name) => f.write_str(name),
            Who::Drawn(pick) => write!(f, "a process (drawn: {pick})"),
            Who::Keeper(pick) => write!(f, "a keeper of mail (drawn: {pick})"),
        }
    }
}

impl fmt::Display for AckFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AckFault::Lost => f.write_str("is lost"),
            AckFault::Twice => f.write_str("is sent twice"),
            AckFault::Late(by) => write!(f, "is {by:?} late"),
        }
    }
}

fn named(name: &str) -> Who {
    Who::Named(name.to_owned())
}

impl Fault<String> {
    fn of_process(node: &str, what: ProcessFault) -> Fault<String> {
        Fault::Process {
            node: node.to_owned(),
            what,
        }
    }

    /// The process that holds this name on a node is killed. It may be the node's first.
    #[must_use]
    pub fn kill(node: &str, name: &str) -> Fault<String> {
        Fault::of_process(node, ProcessFault::Kill { who: named(name) })
    }

    /// The process that holds this name on a node crashes as it takes its `nth` message from then on (from
    /// 1), before it does anything with it: without its `terminate`, and that message has been received.
    #[must_use]
    pub fn crash_at_message(node: &str, name: &str, nth: u32) -> Fault<String> {
        let who = named(name);
        Fault::of_process(node, ProcessFault::CrashAtMessage { who, nth })
    }

    /// Whichever process of a node is from then on the `nth` (from 1) to pass the step of this name crashes
    /// there. See [`Context::step`](crate::Context::step).
    #[must_use]
    pub fn crash_at_step(node: &str, step: &str, nth: u32) -> Fault<String> {
        let step = step.to_owned();
        Fault::of_process(node, ProcessFault::CrashAtStep { step, nth })
    }

    /// So many messages that no protocol knows ([`Info::Noise`](crate::Info::Noise)) come at once into the
    /// mailbox of the process that holds this name on a node.
    #[must_use]
    pub fn flood(node: &str, name: &str, messages: u32) -> Fault<String> {
        let who = named(name);
        Fault::of_process(node, ProcessFault::Flood { who, messages })
    }

    /// The `nth` ack (from 1) that any process of a node sends from then on is lost. Of a letter by an outbox
    /// or a queue it is an ack, a nack or a reject; of a program's own it is what that sends as
    /// [`PacketKind::Ack`](crate::PacketKind::Ack). Unlike a packet's fault it befalls what stays within the
    /// node, or goes over a connection, too.
    #[must_use]
    pub fn lose_ack(node: &str, nth: u32) -> Fault<String> {
        let what = AckFault::Lost;
        Fault::of_process(node, ProcessFault::AtAck { nth, what })
    }

    /// The `nth` ack (from 1) that any process of a node sends from then on is sent twice. See
    /// [`Fault::lose_ack`].
    #[must_use]
    pub fn repeat_ack(node: &str, nth: u32) -> Fault<String> {
        let what = AckFault::Twice;
        Fault::of_process(node, ProcessFault::AtAck { nth, what })
    }

    /// The `nth` ack (from 1) that any process of a node sends from then on is sent so much later, though its
    /// process may have ended; not where its node has. See [`Fault::lose_ack`].
    #[must_use]
    pub fn late_ack(node: &str, nth: u32, by: Duration) -> Fault<String> {
        let what = AckFault::Late(by);
        Fault::of_process(node, ProcessFault::AtAck { nth, what })
    }

    /// A redelivery storm: the outbox or the broker of this name on a node sends again, at once, all that it
    /// has sent and is not acked. So does any process that holds the name and heeds
    /// [`Info::Redeliver`](crate::Info::Redeliver).
    #[must_use]
    pub fn redeliver(node: &str, name: &str) -> Fault<String> {
        Fault::of_process(node, ProcessFault::Redeliver { who: named(name) })
    }

    /// The process that holds this name on a node, say a broker, is down for a while: it is killed, and the
    /// next behaviour that starts under its name hangs in its `init` so long. It is back after that where a
    /// supervisor starts it again.
    #[must_use]
    pub fn outage(node: &str, name: &str, lasts: Duration) -> Fault<String> {
        let who = named(name);
        Fault::of_process(node, ProcessFault::Outage { who, lasts })
    }

    /// The next behaviour (a server, a state machine, a supervisor) that starts on a node under this name
    /// fails in its `init`. Like the two that follow, it waits for that, over reboots too, until the faults
    /// stop.
    #[must_use]
    pub fn fail_init(node: &str, name: &str) -> Fault<String> {
        let name = name.to_owned();
        Fault::of_process(node, ProcessFault::FailInit { name })
    }

    /// The `init` of the next behaviour that starts on a node under this name hangs for a while before it
    /// does anything; it has the name already.
    #[must_use]
    pub fn hang_init(node: &str, name: &str, lasts: Duration) -> Fault<String> {
        let name = name.to_owned();
        Fault::of_process(node, ProcessFault::HangInit { name, lasts })
    }

    /// The next server or state machine, started on a node under this name, that is to run its `terminate`
    /// hangs for a while before it does.
    #[must_use]
    pub fn slow_terminate(node: &str, name: &str, lasts: Duration) -> Fault<String> {
        let name = name.to_owned();
        Fault::of_process(node, ProcessFault::SlowTerminate { name, lasts })
    }
}
