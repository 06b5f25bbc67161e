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
            | ProcessFault::Flood { who, .. } => Some(who),
            _ => None,
        }
    }

    pub(crate) fn victim_mut(&mut self) -> Option<&mut Who> {
        match self {
            ProcessFault::Kill { who }
            | ProcessFault::CrashAtMessage { who, .. }
            | ProcessFault::Flood { who, .. } => Some(who),
            _ => None,
        }
    }

    /// Whether it counts to 0.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(
            self,
            ProcessFault::CrashAtMessage { nth: 0, .. }
                | ProcessFault::CrashAtStep { nth: 0, .. }
                | ProcessFault::Flood { messages: 0, .. }
        )
    }

    /// Whether it would hold somebody up for no time.
    pub(crate) fn takes_no_time(&self) -> bool {
        matches!(
            self,
            ProcessFault::HangInit { lasts, .. } | ProcessFault::SlowTerminate { lasts, .. }
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
