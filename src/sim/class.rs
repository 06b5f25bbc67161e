//! The classes of faults that come again and again.

use crate::choice::Kind;

/// Faults that come again and again, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    Crash = 0,
    PowerCut = 1,
    Stop = 2,
    Pause = 3,
    Zombie = 4,
    Cut = 5,
    Break = 6,
    ClockStep = 7,
    Kill = 8,
    CrashAtMessage = 9,
    Flood = 10,
    DiskFull = 11,
    DiskSlow = 12,
    DiskHang = 13,
    RollBack = 14,
    Wipe = 15,
    Storm = 16,
    Outage = 17,
}

impl Class {
    pub(crate) const COUNT: usize = 18;
    /// Where those begin that befall processes, disks, mail.
    pub(super) const OF_PROCESSES: usize = 8;
    pub(super) const OF_DISKS: usize = 11;
    pub(super) const OF_MAIL: usize = 16;
    pub(crate) const ALL: [Class; Class::COUNT] = [
        Class::Crash,
        Class::PowerCut,
        Class::Stop,
        Class::Pause,
        Class::Zombie,
        Class::Cut,
        Class::Break,
        Class::ClockStep,
        Class::Kill,
        Class::CrashAtMessage,
        Class::Flood,
        Class::DiskFull,
        Class::DiskSlow,
        Class::DiskHang,
        Class::RollBack,
        Class::Wipe,
        Class::Storm,
        Class::Outage,
    ];

    /// What it does, and what its duration means.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Class::Crash => ("crash", "for"),
            Class::PowerCut => ("cut the power", "for"),
            Class::Stop => ("stop", "for"),
            Class::Pause => ("pause", "for"),
            Class::Zombie => ("write off", "for"),
            Class::Cut => ("cut the network", "for"),
            Class::Break => ("break a connection", ""),
            Class::ClockStep => ("step a clock", "by up to"),
            Class::Kill => ("kill a process", ""),
            Class::CrashAtMessage => ("crash a process", "at its next message, up to number"),
            Class::Flood => ("flood a mailbox", "with up to"),
            Class::DiskFull => ("fill a disk", "for"),
            Class::DiskSlow => ("slow a disk", "for"),
            Class::DiskHang => ("hang a disk", "for"),
            Class::RollBack => ("roll back a disk", "by"),
            Class::Wipe => ("wipe a disk", "for"),
            Class::Storm => ("send all mail again", ""),
            Class::Outage => ("take a keeper of mail down", "for"),
        }
    }

    /// Whether it would be nothing if it lasted no time; one that goes down can reboot at once.
    pub(super) const fn needs_length(self) -> bool {
        matches!(
            self,
            Class::Pause
                | Class::Zombie
                | Class::Cut
                | Class::ClockStep
                | Class::DiskFull
                | Class::DiskSlow
                | Class::DiskHang
                | Class::RollBack
                | Class::Outage
        )
    }

    /// The kind of the draw that says when it comes.
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Class::Crash => Kind::Crash,
            Class::PowerCut => Kind::PowerCut,
            Class::Stop => Kind::Stop,
            Class::Pause => Kind::Pause,
            Class::Zombie => Kind::Zombie,
            Class::Cut => Kind::Cut,
            Class::Break => Kind::Break,
            Class::ClockStep => Kind::ClockStep,
            Class::Kill => Kind::Kill,
            Class::CrashAtMessage => Kind::CrashAtMessage,
            Class::Flood => Kind::Flood,
            Class::DiskFull => Kind::DiskFull,
            Class::DiskSlow => Kind::DiskSlow,
            Class::DiskHang => Kind::DiskHang,
            Class::RollBack => Kind::RollBack,
            Class::Wipe => Kind::Wipe,
            Class::Storm => Kind::Storm,
            Class::Outage => Kind::Outage,
        }
    }
}
