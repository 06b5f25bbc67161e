//! Why an operation on a file failed, and what can befall one: codes that a model of a disk, the seam, and
//! the trace share.

use std::fmt;

/// Why an operation on a file was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum FileReason {
    /// There is no such file.
    NotFound = 0,
    /// There is no room for it.
    Full = 1,
    /// The disk failed.
    Io = 2,
    /// It would begin or end behind the end of the file.
    OutOfRange = 3,
    /// This file is not open, or no more: it was closed, or its node has gone down since.
    NotOpen = 4,
    /// This is no path, it leads through a file, or it is a directory.
    BadPath = 5,
    /// The process, or its node, is at its end.
    Stopped = 6,
    /// This node has no disk.
    NoDisk = 7,
    /// Somebody else of the node has it open, and for nobody else.
    Locked = 8,
}

impl FileReason {
    /// What it says, for a person.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            FileReason::NotFound => "there is no such file",
            FileReason::Full => "the disk is full",
            FileReason::Io => "the disk failed",
            FileReason::OutOfRange => "that is behind the end of the file",
            FileReason::NotOpen => "it is not open, or no more",
            FileReason::BadPath => "this is no path of a file",
            FileReason::Stopped => "the process is at its end",
            FileReason::NoDisk => "the node has no disk",
            FileReason::Locked => "somebody else has it open, and for nobody else",
        }
    }
}

impl fmt::Display for FileReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for FileReason {}

/// What can befall one operation on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DiskFault {
    /// A read fails. What it would have read stays as it is.
    ReadError = 0,
    /// A write fails, or the first half of it is done and then it fails.
    WriteError = 1,
    /// A sync fails, and what was not synced is gone: at once, or at the next crash. Until then it can be
    /// read, and a later sync says that all is well.
    SyncError = 2,
    /// A bit of what is read is another from now on.
    Rot = 3,
    /// A write lands at another place of its file.
    Misdirect = 4,
    /// An operation takes long.
    Stall = 5,
}

impl DiskFault {
    /// How many there are.
    pub const COUNT: usize = 6;
    /// All of them.
    pub const ALL: [DiskFault; DiskFault::COUNT] = [
        DiskFault::ReadError,
        DiskFault::WriteError,
        DiskFault::SyncError,
        DiskFault::Rot,
        DiskFault::Misdirect,
        DiskFault::Stall,
    ];

    /// What it is called.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            DiskFault::ReadError => "read error",
            DiskFault::WriteError => "write error",
            DiskFault::SyncError => "sync error",
            DiskFault::Rot => "bit rot",
            DiskFault::Misdirect => "misdirected write",
            DiskFault::Stall => "stall",
        }
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
