//! Faults of nodes, connections, clocks, processes and disks, as data: what befalls whom, and for how long.

use super::disk_fault::DiskTrouble;
use super::process_fault::ProcessFault;
use crate::net::Cut;
use crate::trace::NodeId;
use std::fmt;
use std::time::Duration;

/// A fault. By hand it names nodes by their names; in a run, by their ids.
///
/// Where its node is not in the state for it, it is a fault without effect: nothing happens, and a line of
/// the trace says so. So it is with whatever befalls a node that is down, except for its machine's clocks
/// and the network around it; with a pause, a stop or a write-off of a node that is paused; with a stop
/// of one that is stopping; with a write-off of one whose old machine still runs; with the break of a
/// connection that is not there; and with what is to befall a process that is not there.
///
/// What makes no sense in any state ([`FaultError`](super::FaultError)) is refused before the run: a name
/// that no node has, a fault that lasts no time, a cut that has not a node on each side.
///
/// ```
/// use netsplit::{Cut, Fault, Faults, millis, secs};
/// let faults = Faults::calm()
///     .at(secs(1), Fault::crash("a", millis(300)))
///     .at(secs(2), Fault::cut(Cut::between(["a"], ["b", "c"]), secs(5)));
/// assert_eq!(faults.to_string(), "at 1s a crashes, down for 300ms, at 2s cut a | b, c for 5s");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault<N = NodeId> {
    /// A node crashes: its processes are gone at once. Its system is still there, and closes its
    /// connections.
    Crash {
        /// Which.
        node: N,
        /// At its how-manieth call of the host from then on; 0: at once, between two steps. Where the
        /// node makes fewer calls before the faults stop, or goes down otherwise, it does not come.
        call: u64,
        /// How long it stays down; for good where nothing is said.
        down_for: Option<Duration>,
    },
    /// A machine loses its power: its node is gone, and nobody is told.
    PowerCut {
        /// Which.
        node: N,
        /// How long it stays down; for good where nothing is said.
        down_for: Option<Duration>,
    },
    /// A node is asked to stop: its first process gets the exit signal `shutdown`, and when that has ended
    /// the node closes its connections and goes down.
    Stop {
        /// Which.
        node: N,
        /// After so long it is killed; 0: its processes have this one moment.
        grace: Duration,
        /// How long it stays down; for good where nothing is said.
        down_for: Option<Duration>,
    },
    /// A node stops the world: it steps nothing and takes nothing in, and then goes on as if no time had
    /// passed.
    Pause {
        /// Which.
        node: N,
        /// For how long.
        lasts: Duration,
    },
    /// Each step of a node costs time, until it is over or the node goes down.
    Slow {
        /// Which.
        node: N,
        /// How much a step; 0 makes it fast.
        step: Duration,
        /// For how long.
        lasts: Duration,
    },
    /// A node is written off: a new incarnation boots in its place, while the old one runs on, cut off from
    /// all others; later the cut heals, and both are there. The old one ends when the faults stop.
    Zombie {
        /// Which.
        node: N,
        /// How long the old one is cut off.
        lasts: Duration,
    },
    /// The network is cut.
    Cut {
        /// Where.
        cut: Cut<N>,
        /// For how long.
        lasts: Duration,
        /// It heals and comes again after each such while, of 1 ms at least.
        flap: Option<Duration>,
    },
    /// The connection between two nodes breaks; both hear of it.
    Break {
        /// One.
        a: N,
        /// The other.
        b: N,
    },
    /// A node's wall clock steps, whether it is up or down; not further back than to 1970.
    ClockStep {
        /// Which.
        node: N,
        /// By how many nanoseconds; back where it is negative; not 0.
        by_ns: i64,
    },
    /// A node's clock drifts from now on, over its reboots too, until the faults stop. Timers that it sets
    /// go by that clock; those that were set before fire when they would have.
    Drift {
        /// Which.
        node: N,
        /// By how many parts in a billion it is too fast, or too slow where it is negative: less than a
        /// billion, either way. 0: it is right again.
        ppb: i64,
    },
    /// Something befalls one of a node's processes.
    Process {
        /// The node.
        node: N,
        /// What, and which process.
        what: ProcessFault,
    },
    /// Something befalls a node's disk, whether the node is up or down.
    Disk {
        /// The node.
        node: N,
        /// What.
        what: DiskTrouble,
    },
}

impl Fault<String> {
    /// A node crashes and reboots after a while.
    #[must_use]
    pub fn crash(node: &str, down_for: Duration) -> Fault<String> {
        Fault::Crash {
            node: node.to_owned(),
            call: 0,
            down_for: Some(down_for),
        }
    }

    /// A node crashes inside a poll, at its `call`-th call of the host (a send, a timer, a draw) from then
    /// on: between an effect and its ack, say.
    #[must_use]
    pub fn crash_at_call(node: &str, call: u64, down_for: Duration) -> Fault<String> {
        Fault::Crash {
            node: node.to_owned(),
            call,
            down_for: Some(down_for),
        }
    }

    /// A machine loses its power, and has it again after a while.
    #[must_use]
    pub fn power_cut(node: &str, down_for: Duration) -> Fault<String> {
        Fault::PowerCut {
            node: node.to_owned(),
            down_for: Some(down_for),
        }
    }

    /// A node is asked to stop, is killed after `grace`, and reboots after a while.
    #[must_use]
    pub fn stop(node: &str, grace: Duration, down_for: Duration) -> Fault<String> {
        Fault::Stop {
            node: node.to_owned(),
            grace,
            down_for: Some(down_for),
        }
    }

    /// A node stops the world for a while.
    #[must_use]
    pub fn pause(node: &str, lasts: Duration) -> Fault<String> {
        Fault::Pause {
            node: node.to_owned(),
            lasts,
        }
    }

    /// Each step of a node costs so much, for a while.
    #[must_use]
    pub fn slow(node: &str, step: Duration, lasts: Duration) -> Fault<String> {
        Fault::Slow {
            node: node.to_owned(),
            step,
            lasts,
        }
    }

    /// A node is written off and runs on, cut off for a while, beside a new one of its name.
    #[must_use]
    pub fn zombie(node: &str, lasts: Duration) -> Fault<String> {
        Fault::Zombie {
            node: node.to_owned(),
            lasts,
        }
    }

    /// The network is cut for a while.
    #[must_use]
    pub fn cut(cut: Cut<&str>, lasts: Duration) -> Fault<String> {
        Fault::Cut {
            cut: owned(&cut),
            lasts,
            flap: None,
        }
    }

    /// The network is cut, heals after `period`, is cut again after as long, and so on for a while.
    #[must_use]
    pub fn flap(cut: Cut<&str>, period: Duration, lasts: Duration) -> Fault<String> {
        Fault::Cut {
            cut: owned(&cut),
            lasts,
            flap: Some(period),
        }
    }

    /// The connection between two nodes breaks.
    #[must_use]
    pub fn break_connection(a: &str, b: &str) -> Fault<String> {
        Fault::Break {
            a: a.to_owned(),
            b: b.to_owned(),
        }
    }

    /// A node's wall clock steps forward.
    #[must_use]
    pub fn clock_forward(node: &str, by: Duration) -> Fault<String> {
        Fault::ClockStep {
            node: node.to_owned(),
            by_ns: i64::try_from(by.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// A node's wall clock steps back.
    #[must_use]
    pub fn clock_back(node: &str, by: Duration) -> Fault<String> {
        Fault::ClockStep {
            node: node.to_owned(),
            by_ns: -i64::try_from(by.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// A node's clock is too fast by so many parts in a million from now on; too slow where it is negative.
    #[must_use]
    pub fn drift(node: &str, parts_per_million: i32) -> Fault<String> {
        Fault::Drift {
            node: node.to_owned(),
            ppb: i64::from(parts_per_million) * 1000,
        }
    }
}

fn owned(cut: &Cut<&str>) -> Cut<String> {
    match cut.map(|name| Ok::<_, std::convert::Infallible>((*name).to_owned())) {
        Ok(cut) => cut,
        Err(never) => match never {},
    }
}

impl<N> Fault<N> {
    /// The same fault, with its nodes named otherwise.
    pub(crate) fn map<M: Ord, E>(
        &self,
        mut name: impl FnMut(&N) -> Result<M, E>,
    ) -> Result<Fault<M>, E>
    where
        N: Ord,
    {
        Ok(match self {
            Fault::Crash {
                node,
                call,
                down_for,
            } => Fault::Crash {
                node: name(node)?,
                call: *call,
                down_for: *down_for,
            },
            Fault::PowerCut { node, down_for } => Fault::PowerCut {
                node: name(node)?,
                down_for: *down_for,
            },
            Fault::Stop {
                node,
                grace,
                down_for,
            } => Fault::Stop {
                node: name(node)?,
                grace: *grace,
                down_for: *down_for,
            },
            Fault::Pause { node, lasts } => Fault::Pause {
                node: name(node)?,
                lasts: *lasts,
            },
            Fault::Slow { node, step, lasts } => Fault::Slow {
                node: name(node)?,
                step: *step,
                lasts: *lasts,
            },
            Fault::Zombie { node, lasts } => Fault::Zombie {
                node: name(node)?,
                lasts: *lasts,
            },
            Fault::Cut { cut, lasts, flap } => Fault::Cut {
                cut: cut.map(name)?,
                lasts: *lasts,
                flap: *flap,
            },
            Fault::Break { a, b } => Fault::Break {
                a: name(a)?,
                b: name(b)?,
            },
            Fault::ClockStep { node, by_ns } => Fault::ClockStep {
                node: name(node)?,
                by_ns: *by_ns,
            },
            Fault::Drift { node, ppb } => Fault::Drift {
                node: name(node)?,
                ppb: *ppb,
            },
            Fault::Process { node, what } => Fault::Process {
                node: name(node)?,
                what: what.clone(),
            },
            Fault::Disk { node, what } => Fault::Disk {
                node: name(node)?,
                what: what.clone(),
            },
        })
    }

    /// Whether it waits for somebody who passes.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Fault::Process { what, .. } if what.victim().is_none())
    }

    /// How long it lasts, where it ends by itself.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        match self {
            Fault::Pause { lasts, .. }
            | Fault::Slow { lasts, .. }
            | Fault::Zombie { lasts, .. }
            | Fault::Cut { lasts, .. } => Some(*lasts),
            Fault::Disk { what, .. } => what.lasts(),
            _ => None,
        }
    }
}

impl Fault {
    /// The node that it befalls first: of a cut none.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Fault::Crash { node, .. }
            | Fault::PowerCut { node, .. }
            | Fault::Stop { node, .. }
            | Fault::Pause { node, .. }
            | Fault::Slow { node, .. }
            | Fault::Zombie { node, .. }
            | Fault::ClockStep { node, .. }
            | Fault::Drift { node, .. }
            | Fault::Process { node, .. }
            | Fault::Disk { node, .. }
            | Fault::Break { a: node, .. } => Some(*node),
            Fault::Cut { .. } => None,
        }
    }
}

/// How long something lasts; the longest duration stands for no end.
pub(super) struct While(pub(super) Duration);

impl fmt::Display for While {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::MAX => f.write_str("until it is ended"),
            lasts => write!(f, "for {lasts:?}"),
        }
    }
}

/// How long a node is down that goes down.
pub(super) fn down(f: &mut fmt::Formatter<'_>, down_for: &Option<Duration>) -> fmt::Result {
    match down_for {
        Some(down_for) => write!(f, ", down for {down_for:?}"),
        None => f.write_str(", down for good"),
    }
}

impl<N: fmt::Display> fmt::Display for Fault<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Crash {
                node,
                call,
                down_for,
            } => {
                write!(f, "{node} crashes")?;
                if *call > 0 {
                    write!(f, " at its next call number {call}")?;
                }
                down(f, down_for)
            }
            Fault::PowerCut { node, down_for } => {
                write!(f, "{node} loses its power")?;
                down(f, down_for)
            }
            Fault::Stop {
                node,
                grace,
                down_for,
            } => {
                write!(f, "{node} is asked to stop within {grace:?}")?;
                down(f, down_for)
            }
            Fault::Pause { node, lasts } => write!(f, "{node} is paused {}", While(*lasts)),
            Fault::Slow { node, step, lasts } => {
                write!(f, "{node} is slow, {step:?} a step, {}", While(*lasts))
            }
            Fault::Zombie { node, lasts } => {
                let cut_off = While(*lasts);
                write!(f, "{node} is written off and runs on, cut off {cut_off}")
            }
            Fault::Cut { cut, lasts, flap } => {
                write!(f, "cut {cut} {}", While(*lasts))?;
                match flap {
                    Some(period) => write!(f, ", flapping every {period:?}"),
                    None => Ok(()),
                }
            }
            Fault::Break { a, b } => write!(f, "the connection of {a} and {b} breaks"),
            Fault::ClockStep { node, by_ns } => {
                let by = Duration::from_nanos(by_ns.unsigned_abs());
                let way = if *by_ns < 0 { "back" } else { "forward" };
                write!(f, "the wall clock of {node} steps {way} by {by:?}")
            }
            Fault::Drift { node, ppb } => {
                let way = if *ppb < 0 { "slow" } else { "fast" };
                let ppm = ppb.unsigned_abs() as f64 / 1000.0;
                write!(
                    f,
                    "the clock of {node} is {ppm} parts in a million too {way}"
                )
            }
            Fault::Process { node, what } => what.tell(f, node),
            Fault::Disk { node, what } => what.tell(f, node),
        }
    }
}
