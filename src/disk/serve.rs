//! How an operation goes: how long it takes, and what befalls it.

use super::model::{Disk, On};
use crate::choice::{Choice, Distribution, Kind, Lineage, Rate, Shape, Site};
use crate::kernel::time::Time;
use crate::trace::{DiskFault, FileReason};

/// Who asks for an operation, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// When.
    pub now: Time,
    /// Who draws for it.
    pub who: Lineage,
    /// The how-manieth operation of that one it is. No two have the same.
    pub nth: u64,
    /// It goes on before the time of the operation has passed, as a library that cannot wait does: then a
    /// sync is done at once, since what comes of it is acted upon at once.
    pub is_blocking: bool,
}

impl Asker {
    fn site(&self, kind: Kind) -> Site {
        Site::new(kind, self.who, self.nth)
    }
}

/// What came of an operation, and when that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Served<T> {
    /// What came of it.
    pub result: Result<T, FileReason>,
    /// How long it takes, in nanoseconds; none where the disk hangs: until it is released.
    pub takes_ns: Option<u64>,
    /// What befell it, silently too.
    pub befell: Option<DiskFault>,
}

/// Which latency an operation has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Speed {
    Read,
    Write,
    Sync,
    Entry,
}

impl Disk {
    /// Draws whether a fault befalls this operation, and in which of so many ways: 0 is not at all.
    #[inline]
    pub(super) fn strike(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        (fault, ways): (DiskFault, u64),
        on: On<'_>,
    ) -> u64 {
        let rate = match self.aims.is_empty() {
            true => self.faults.rates[fault as usize],
            false => self.aimed(fault, on),
        };
        if ways == 0 || (rate.is_never() && choice.is_seeded()) {
            return 0;
        }
        let kind = match fault {
            DiskFault::ReadError | DiskFault::WriteError | DiskFault::SyncError => Kind::DiskError,
            DiskFault::Rot => Kind::Rot,
            DiskFault::Misdirect => Kind::Misdirect,
            DiskFault::Stall => Kind::DiskStall,
        };
        choice.draw(asker.site(kind), Shape::Sometimes(rate, ways))
    }

    /// The rate of a fault, where some are aimed at single operations; this is one of those.
    #[cold]
    fn aimed(&mut self, fault: DiskFault, on: On<'_>) -> Rate {
        let path = match on {
            On::Path(path) => path,
            On::File(place) => self.files[place as usize]
                .as_ref()
                .map_or("", |file| &*file.path),
        };
        let mut is_hit = false;
        self.aims.retain_mut(|aim| {
            let is_meant = aim.path.as_deref().is_none_or(|aimed| aimed == path);
            if aim.fault != fault || !is_meant {
                return true;
            }
            aim.nth = aim.nth.saturating_sub(1);
            is_hit |= aim.nth == 0;
            aim.nth > 0
        });
        match is_hit {
            true => Rate::ALWAYS,
            false => self.faults.rates[fault as usize],
        }
    }

    /// An operation is answered: draws how long that takes.
    #[inline]
    pub(super) fn served<T>(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        (speed, on): (Speed, On<'_>),
        result: Result<T, FileReason>,
        befell: Option<DiskFault>,
    ) -> Served<T> {
        let ways = self.faults.stall_ns;
        let stall_ns = self.strike(choice, asker, (DiskFault::Stall, ways), on);
        let latency = self.latency(speed);
        let above_ns = choice.draw(asker.site(Kind::DiskLatency), Shape::Above(latency));
        let took_ns = latency.least_ns().saturating_add(above_ns);
        let slowness = u64::from(self.condition.slowness.max(1));
        let takes_ns = took_ns.saturating_mul(slowness).saturating_add(stall_ns);
        Served {
            result,
            takes_ns: (!self.condition.hangs).then_some(takes_ns),
            befell: befell.or((stall_ns > 0).then_some(DiskFault::Stall)),
        }
    }

    fn latency(&self, speed: Speed) -> &Distribution {
        match speed {
            Speed::Read => &self.settings.read,
            Speed::Write => &self.settings.write,
            Speed::Sync => &self.settings.sync,
            Speed::Entry => &self.settings.entry,
        }
    }
}
