//! How often faults befall disks, and which copies they spare: the part of a profile that is about them.

use super::class::Class;
use super::faults::{FaultError, Faults};
use crate::choice::{Lineage, Rate, valid_path};
use crate::disk::{Budget, DiskFaults};
use crate::kernel::nanos;
use crate::trace::DiskFault;
use std::time::Duration;

/// What a profile says of disks, besides how often the classes come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OfDisks {
    rates: [f64; DiskFault::COUNT],
    stall: Duration,
    times: u32,
    down_for: Duration,
    copies: Vec<Copies>,
}

/// The copies of one datum, each by its node and its path there, and how many of them may be hurt.
type Copies = (usize, Vec<(String, String)>);

/// The same, as draws use it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DiskRates {
    pub(crate) operations: DiskFaults,
    /// How many times as slow a disk is at most.
    pub(crate) times: u32,
    /// How long a machine is down on average that comes back with an earlier disk.
    pub(crate) down_for: Duration,
}

impl OfDisks {
    pub(super) const CALM: OfDisks = OfDisks {
        rates: [0.0; DiskFault::COUNT],
        stall: Duration::from_millis(100),
        times: 10,
        down_for: Duration::from_secs(1),
        copies: Vec::new(),
    };

    pub(super) fn rates(&self) -> Result<DiskRates, FaultError> {
        let mut operations = DiskFaults::default();
        for fault in DiskFault::ALL {
            let rate = Rate::new(self.rates[fault as usize]);
            let rate = rate.map_err(|error| FaultError::Rate(fault.text(), error))?;
            operations = operations.with(fault, rate);
        }
        operations.stall_ns = nanos(self.stall);
        if operations.stall_ns == 0 {
            return Err(FaultError::Zero(DiskFault::Stall.text()));
        }
        if self.times < 2 {
            return Err(FaultError::NotSlow(self.times));
        }
        Ok(DiskRates {
            operations,
            times: self.times,
            down_for: self.down_for,
        })
    }

    /// What is hurt of which data at most. `is_node` says whether the cluster has a node of that name.
    pub(super) fn budgets(
        &self,
        is_node: impl Fn(&str) -> bool,
    ) -> Result<Vec<Budget>, FaultError> {
        let mut budgets = Vec::with_capacity(self.copies.len());
        for (most, copies) in &self.copies {
            for (index, copy @ (node, path)) in copies.iter().enumerate() {
                if !is_node(node) {
                    return Err(FaultError::CopyNode(node.clone()));
                }
                if !valid_path(path) || copies[..index].contains(copy) {
                    return Err(FaultError::Copy(node.clone(), path.clone()));
                }
            }
            if *most >= copies.len() {
                return Err(FaultError::AllCopies(*most, copies.len()));
            }
            let of_nodes = copies.iter();
            let of_nodes = of_nodes.map(|(node, path)| (Lineage::node(node), path.clone()));
            budgets.push(Budget::new(of_nodes, *most));
        }
        Ok(budgets)
    }

    /// What a class of faults draws besides how long it lasts, in words.
    pub(super) fn more(&self, class: Class) -> Option<String> {
        match class {
            Class::DiskSlow => Some(format!(", up to {} times as long", self.times)),
            Class::RollBack => Some(format!(", down for {:?}", self.down_for)),
            _ => None,
        }
    }

    /// What a profile says of single operations, in parts; `percent` writes a rate.
    pub(super) fn parts(&self, percent: impl Fn(f64) -> f64) -> Vec<String> {
        let mut parts = Vec::new();
        for fault in DiskFault::ALL {
            let rate = self.rates[fault as usize];
            if rate == 0.0 {
                continue;
            }
            let mut part = format!("{fault} on {} % of disk operations", percent(rate));
            if fault == DiskFault::Stall {
                part.push_str(&format!(", up to {:?}", self.stall));
            }
            parts.push(part);
        }
        parts
    }

    /// Which copies are spared, in parts.
    pub(super) fn copies(&self) -> Vec<String> {
        let each = self.copies.iter().map(|(most, copies)| {
            let copies = copies.iter().map(|(node, path)| format!("{node}:{path}"));
            let copies = copies.collect::<Vec<String>>().join(", ");
            format!("hurting at most {most} of {copies}")
        });
        each.collect()
    }
}

impl DiskRates {
    /// Whether anything may befall an operation.
    pub(super) fn strike(&self) -> bool {
        !self.operations.rates.iter().all(|rate| rate.is_never())
    }

    /// The same, each rate at a level of a swarm, in the order of the faults' codes.
    pub(super) fn scale(&mut self, levels: [f64; DiskFault::COUNT]) {
        for (rate, by) in self.operations.rates.iter_mut().zip(levels) {
            *rate = Rate::new(rate.probability() * by).unwrap_or(*rate);
        }
    }
}

impl Faults {
    /// The same profile and, in its swarm, what befalls disks and takes nothing that was synced: a
    /// thousandth of the reads and writes and a hundredth of the syncs fail, a hundredth of all operations
    /// stall for up to 100 ms; the disk of each node is full every 60 s for 2 s, up to 10 times as slow every
    /// 60 s for 5 s, and hangs every 60 s for 1 s.
    ///
    /// What does take that is not in it, since no program stands it that has one copy of what it knows: bit
    /// rot and misdirected writes ([`Faults::disk`]), [`Faults::roll_back_disks`], [`Faults::wipe_disks`].
    /// Add it for programs that have more, with [`Faults::copies`].
    #[must_use]
    pub fn with_disks(self) -> Faults {
        let secs = Duration::from_secs;
        self.disk(DiskFault::ReadError, 0.001)
            .disk(DiskFault::WriteError, 0.001)
            .disk(DiskFault::SyncError, 0.01)
            .stall_disks(0.01, Duration::from_millis(100))
            .fill_disks(secs(60), secs(2))
            .slow_disks(secs(60), 10, secs(5))
            .hang_disks(secs(60), secs(1))
    }

    /// Operations on the disks of nodes suffer this so often, of those that can: `0.01` is one in a
    /// hundred. What each does, [`DiskFault`] says. Nodes of clients are spared, as from all that befalls
    /// disks. Default: never.
    #[must_use]
    pub fn disk(mut self, fault: DiskFault, rate: f64) -> Faults {
        self.disks.rates[fault as usize] = rate;
        self
    }

    /// Operations on the disks of nodes take this much longer at most, so often. Default: never.
    #[must_use]
    pub fn stall_disks(mut self, rate: f64, most: Duration) -> Faults {
        self.disks.stall = most;
        self.disk(DiskFault::Stall, rate)
    }

    /// The disk of each node is full, on average once in `every`, for `lasts` on average: nothing more goes
    /// in, whatever room there is.
    #[must_use]
    pub fn fill_disks(self, every: Duration, lasts: Duration) -> Faults {
        self.often(Class::DiskFull, every, lasts)
    }

    /// Everything takes 2 to `times` times as long (drawn) on the disk of each node, on average once in
    /// `every`, for `lasts` on average.
    #[must_use]
    pub fn slow_disks(mut self, every: Duration, times: u32, lasts: Duration) -> Faults {
        self.disks.times = times;
        self.often(Class::DiskSlow, every, lasts)
    }

    /// The disk of each node hangs, on average once in `every`, for `lasts` on average.
    #[must_use]
    pub fn hang_disks(self, every: Duration, lasts: Duration) -> Faults {
        self.often(Class::DiskHang, every, lasts)
    }

    /// Each machine loses its power, on average once in `every`, and when it is back, after `down_for` on
    /// average, its disk is as it was some time before: `age` on average. See [`Faults::copies`].
    #[must_use]
    pub fn roll_back_disks(mut self, every: Duration, age: Duration, down_for: Duration) -> Faults {
        self.disks.down_for = down_for;
        self.often(Class::RollBack, every, age)
    }

    /// Each machine loses its power, on average once in `every`, and when it is back, after `down_for` on
    /// average, its disk is empty. See [`Faults::copies`].
    #[must_use]
    pub fn wipe_disks(self, every: Duration, down_for: Duration) -> Faults {
        self.often(Class::Wipe, every, down_for)
    }

    /// These are copies of one datum, each by its node and the path of its file, or of its directory, there:
    /// at most so many are hurt in a run by bit rot, by writes that go astray, by a disk that is rolled back
    /// or wiped, be that drawn or by hand. Which these are is drawn; the others stand all that as if it were
    /// not there. Once for each datum. Default: every copy may be hurt.
    ///
    /// ```
    /// use netsplit::trace::DiskFault;
    /// use netsplit::{Faults, secs};
    /// let copies = [("a", "ledger"), ("b", "ledger"), ("c", "ledger")];
    /// let faults = Faults::calm()
    ///     .disk(DiskFault::Rot, 0.001)
    ///     .wipe_disks(secs(60), secs(2))
    ///     .copies(1, copies);
    /// assert!(faults.check().is_ok());
    /// ```
    #[must_use]
    pub fn copies<'n>(
        mut self,
        most_hurt: usize,
        copies: impl IntoIterator<Item = (&'n str, &'n str)>,
    ) -> Faults {
        let copies = copies.into_iter();
        let owned = copies.map(|(node, path)| (node.to_owned(), path.to_owned()));
        self.disks.copies.push((most_hurt, owned.collect()));
        self
    }
}
