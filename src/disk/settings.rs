//! What a disk is, and what may befall it: plain values.

use crate::choice::{Distribution, DistributionError, Rate};
use crate::trace::DiskFault;
use std::time::Duration;

/// How large a disk is, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many bytes all files together can have, holes included. Default 1 GiB.
    pub capacity: u64,
    /// What a power cut cannot tear, in bytes. Default 512.
    pub sector: usize,
    /// How long a read takes. Default 10 to 100 µs, each as likely, as of a solid-state disk.
    pub read: Distribution,
    /// How long a write, an append or a truncation takes. Default 2 to 20 µs: it goes to memory.
    pub write: Distribution,
    /// How long a sync of a file or a directory takes. Default 100 µs to 2 ms.
    pub sync: Distribution,
    /// How long all else takes: to open, rename, remove, list, look for. Default 2 to 20 µs.
    pub entry: Distribution,
    /// How many changes of a file may wait for a sync. Where there are more, or more than
    /// [`Settings::unsynced_bytes`] that they have replaced, the older half goes to the disk by itself, as
    /// systems write back. Default 65,536.
    pub unsynced_changes: usize,
    /// See [`Settings::unsynced_changes`]. Default 64 MiB.
    pub unsynced_bytes: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        let between = |least, most| {
            let micros = Duration::from_micros;
            Distribution::uniform(micros(least), micros(most))
        };
        Settings {
            capacity: 1 << 30,
            sector: 512,
            read: between(10, 100),
            write: between(2, 20),
            sync: between(100, 2000),
            entry: between(2, 20),
            unsynced_changes: 1 << 16,
            unsynced_bytes: 64 << 20,
        }
    }
}

/// A disk that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A sector has no size.
    #[error("a sector of {0} bytes: it must be a power of two, of 64 KiB at most")]
    Sector(usize),
    /// A latency makes no sense.
    #[error("the latency of a disk: {0}")]
    Latency(#[from] DistributionError),
}

impl Settings {
    /// Whether they make sense.
    ///
    /// # Errors
    /// A sector that is no power of two or is larger than 64 KiB; a latency that makes no sense.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if !self.sector.is_power_of_two() || self.sector > 1 << 16 {
            return Err(SettingsError::Sector(self.sector));
        }
        for latency in [&self.read, &self.write, &self.sync, &self.entry] {
            latency.validate()?;
        }
        Ok(())
    }
}

/// How often an operation suffers what. Default: never.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskFaults {
    /// How often an operation to which a fault can happen suffers it, by the fault's code.
    pub rates: [Rate; DiskFault::COUNT],
    /// How long a stall lasts at most, in nanoseconds.
    pub stall_ns: u64,
}

impl DiskFaults {
    /// The same, with this fault at this rate.
    #[must_use]
    pub fn with(mut self, fault: DiskFault, rate: Rate) -> DiskFaults {
        self.rates[fault as usize] = rate;
        self
    }
}

/// A fault that befalls one operation of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aimed {
    /// What befalls it.
    pub fault: DiskFault,
    /// On this file, or directory; on any where nothing is said.
    pub path: Option<String>,
    /// The how-manieth operation from now on to which it can happen, from 1.
    pub nth: u64,
}

/// How a disk is at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Nothing more goes in, whatever room there is. What is there can be written over.
    pub is_full: bool,
    /// Nothing that is begun now is done before the disk is released.
    pub hangs: bool,
    /// How many times as long as else everything takes.
    pub slowness: u32,
}

impl Default for Condition {
    fn default() -> Condition {
        Condition {
            is_full: false,
            hangs: false,
            slowness: 1,
        }
    }
}
