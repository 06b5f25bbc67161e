//! Faults of disks, as data.
//!
//! What befalls one operation of a process is a [`DiskFault`]; here it is aimed at a single one, beside what
//! befalls the disk as a whole.

use super::fault::{Fault, While, down};
use crate::choice::valid_path;
use crate::trace::DiskFault;
use std::fmt;
use std::time::Duration;

/// What befalls a node's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskTrouble {
    /// Nothing more goes in for a while; what is there can be written over.
    Full {
        /// For how long.
        lasts: Duration,
    },
    /// Everything takes so many times as long, for a while.
    Slow {
        /// How many times; 1 is as fast as ever.
        times: u32,
        /// For how long.
        lasts: Duration,
    },
    /// What is asked of it is done only when it goes on; whoever asked waits for that.
    Hang {
        /// For how long.
        lasts: Duration,
    },
    /// One operation that is to come suffers a fault.
    Operation {
        /// What.
        fault: DiskFault,
        /// On this file, or directory; on any where nothing is said.
        path: Option<String>,
        /// The how-manieth from then on to which it can happen, from 1.
        nth: u32,
    },
    /// After a while its machine loses its power, and then the disk is again as it is now. Where the faults
    /// stop before that, it does not come.
    RollBack {
        /// How long after.
        age: Duration,
        /// How long the node is down then; for good where nothing is said.
        down_for: Option<Duration>,
    },
    /// Its machine loses its power, and has an empty disk when it is back.
    Wipe {
        /// How long the node is down; for good where nothing is said.
        down_for: Option<Duration>,
    },
}

impl DiskTrouble {
    /// How long it lasts, where it ends by itself.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        match self {
            DiskTrouble::Full { lasts }
            | DiskTrouble::Slow { lasts, .. }
            | DiskTrouble::Hang { lasts }
            | DiskTrouble::RollBack { age: lasts, .. } => Some(*lasts),
            DiskTrouble::Operation { .. } | DiskTrouble::Wipe { .. } => None,
        }
    }

    /// Whether it counts to 0.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(
            self,
            DiskTrouble::Slow { times: 0, .. } | DiskTrouble::Operation { nth: 0, .. }
        )
    }

    /// The path that it names, where that is none.
    pub(crate) fn bad_path(&self) -> Option<&str> {
        match self {
            DiskTrouble::Operation { path, .. } => path.as_deref().filter(|path| !valid_path(path)),
            _ => None,
        }
    }

    /// Its text; `on` is the node.
    pub(crate) fn tell(&self, f: &mut fmt::Formatter<'_>, on: &dyn fmt::Display) -> fmt::Result {
        match self {
            DiskTrouble::Full { lasts } => write!(f, "the disk of {on} is full {}", While(*lasts)),
            DiskTrouble::Slow { times, lasts } => {
                let lasts = While(*lasts);
                write!(f, "the disk of {on} takes {times} times as long {lasts}")
            }
            DiskTrouble::Hang { lasts } => write!(f, "the disk of {on} hangs {}", While(*lasts)),
            DiskTrouble::Operation { fault, path, nth } => {
                let what = operation(*fault);
                write!(f, "{fault} at the next {what} number {nth} ")?;
                match path {
                    Some(path) => write!(f, "of {path} on {on}"),
                    None => write!(f, "on {on}"),
                }
            }
            DiskTrouble::RollBack { age, down_for } => {
                write!(f, "the disk of {on} is remembered: it is as now again ")?;
                match *age {
                    Duration::MAX => write!(f, "when this is ended, and {on} loses its power"),
                    age => write!(f, "after {age:?}, when {on} loses its power"),
                }?;
                down(f, down_for)
            }
            DiskTrouble::Wipe { down_for } => {
                write!(f, "{on} loses its power and its disk")?;
                down(f, down_for)
            }
        }
    }
}

/// To which operations a fault can happen.
fn operation(fault: DiskFault) -> &'static str {
    match fault {
        DiskFault::ReadError | DiskFault::Rot => "read",
        DiskFault::WriteError | DiskFault::Misdirect => "write",
        DiskFault::SyncError => "sync",
        DiskFault::Stall => "operation",
    }
}

impl Fault<String> {
    fn of_disk(node: &str, what: DiskTrouble) -> Fault<String> {
        Fault::Disk {
            node: node.to_owned(),
            what,
        }
    }

    /// A node's disk is full for a while, whatever room there is.
    #[must_use]
    pub fn full_disk(node: &str, lasts: Duration) -> Fault<String> {
        Fault::of_disk(node, DiskTrouble::Full { lasts })
    }

    /// Everything takes so many times as long on a node's disk, for a while.
    #[must_use]
    pub fn slow_disk(node: &str, times: u32, lasts: Duration) -> Fault<String> {
        Fault::of_disk(node, DiskTrouble::Slow { times, lasts })
    }

    /// A node's disk hangs for a while.
    #[must_use]
    pub fn hang_disk(node: &str, lasts: Duration) -> Fault<String> {
        Fault::of_disk(node, DiskTrouble::Hang { lasts })
    }

    /// One operation on a node's disk suffers this: the `nth` from then on (from 1) to which it can happen,
    /// on whatever file.
    #[must_use]
    pub fn disk(node: &str, fault: DiskFault, nth: u32) -> Fault<String> {
        let path = None;
        Fault::of_disk(node, DiskTrouble::Operation { fault, path, nth })
    }

    /// The same for the operations on one file, or on one directory.
    #[must_use]
    pub fn file(node: &str, path: &str, fault: DiskFault, nth: u32) -> Fault<String> {
        let path = Some(path.to_owned());
        Fault::of_disk(node, DiskTrouble::Operation { fault, path, nth })
    }

    /// After `age` a machine loses its power, and when it is back its disk is as it was when this began: as
    /// one restored from a snapshot, or one that has kept nothing since.
    #[must_use]
    pub fn roll_back_disk(node: &str, age: Duration, down_for: Duration) -> Fault<String> {
        let down_for = Some(down_for);
        Fault::of_disk(node, DiskTrouble::RollBack { age, down_for })
    }

    /// A machine loses its power, and has an empty disk when it is back.
    #[must_use]
    pub fn wipe_disk(node: &str, down_for: Duration) -> Fault<String> {
        let down_for = Some(down_for);
        Fault::of_disk(node, DiskTrouble::Wipe { down_for })
    }
}
