//! What becomes of operations on files, as codes.

use std::fmt;

/// Why an operation on a file was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FileReason {
    /// There is no such file.
    NotFound = 0,
    /// The file is not open: it was closed, or its node has been down since.
    NotOpen = 1,
    /// The disk is full.
    Full = 2,
    /// The disk could not read or write (`EIO`).
    Io = 3,
    /// It reaches beyond the end of the file.
    OutOfRange = 4,
    /// The path is none: empty, or with an empty part.
    BadPath = 5,
    /// The node has no disk.
    NoDisk = 6,
    /// Whoever asked has ended, or its node has gone down.
    Stopped = 7,
}

impl fmt::Display for FileReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileReason::NotFound => "there is no such file",
            FileReason::NotOpen => "it is not open: it was closed, or its node has been down since",
            FileReason::Full => "the disk is full",
            FileReason::Io => "the disk failed (EIO)",
            FileReason::OutOfRange => "it reaches beyond the end of the file",
            FileReason::BadPath => {
                "this is no path: write parts with `/` between them, like `mail/outbox`"
            }
            FileReason::NoDisk => "the node has no disk",
            FileReason::Stopped => "whoever asked has ended",
        })
    }
}
