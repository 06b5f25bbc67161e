//! Files of a node on the file system of this machine, in a directory of their own that goes with the node.
//!
//! As the host around it, it proves the seam and does no more than that asks for: each operation is done on
//! this thread when it is asked for, and has taken its time then.

use netsplit::process::{FileAnswer, FileId, FileOp};
use netsplit::trace::FileReason;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Keeps the nodes of all tests of this program apart.
static MADE: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Shelf {
    root: PathBuf,
    open: BTreeMap<u64, Opened>,
    opened: u64,
}

struct Opened {
    file: File,
    path: String,
    alone: bool,
}

impl Shelf {
    pub(crate) fn new() -> Shelf {
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("life-{}-{made}", std::process::id());
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&root).expect("a directory of its own");
        Shelf {
            root,
            open: BTreeMap::new(),
            opened: 0,
        }
    }

    /// The node is down: its system closes what it had open.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }

    pub(crate) fn answer(&mut self, op: FileOp<'_>) -> Result<FileAnswer, FileReason> {
        let at = |path: &str| self.root.join(path);
        match op {
            FileOp::Open {
                path,
                create,
                alone,
            } => return self.open(path, create, alone),
            FileOp::Close(file) => {
                self.open.remove(&file.0).ok_or(FileReason::NotOpen)?;
            }
            FileOp::Len(file) => return Ok(FileAnswer::Number(self.len(file)?)),
            FileOp::ReadAt { file, at, into } => {
                let read = self.file(file)?.read_exact_at(into, at);
                read.map_err(|error| reason(&error))?;
            }
            FileOp::WriteAt { file, at, bytes } => {
                let written = self.file(file)?.write_all_at(bytes, at);
                written.map_err(|error| reason(&error))?;
            }
            FileOp::Append { file, bytes } => {
                let end = self.len(file)?;
                let written = self.file(file)?.write_all_at(bytes, end);
                written.map_err(|error| reason(&error))?;
                return Ok(FileAnswer::Number(end));
            }
            FileOp::Truncate { file, len } => {
                let cut = self.file(file)?.set_len(len);
                cut.map_err(|error| reason(&error))?;
            }
            FileOp::Sync(file) => {
                let synced = self.file(file)?.sync_all();
                synced.map_err(|error| reason(&error))?;
            }
            FileOp::SyncDirectory(path) => {
                let synced = File::open(at(path)).and_then(|directory| directory.sync_all());
                synced.map_err(|error| reason(&error))?;
            }
            FileOp::Rename { from, to } => {
                self.make_directory(to)?;
                fs::rename(at(from), at(to)).map_err(|error| reason(&error))?;
            }
            FileOp::Remove(path) => {
                fs::remove_file(at(path)).map_err(|error| reason(&error))?;
            }
            FileOp::List(path) => return self.list(path),
            FileOp::Exists(path) => {
                return Ok(FileAnswer::Number(u64::from(at(path).is_file())));
            }
        }
        Ok(FileAnswer::Done)
    }

    fn open(&mut self, path: &str, create: bool, alone: bool) -> Result<FileAnswer, FileReason> {
        let mut others = self.open.values();
        if alone && others.any(|other| other.alone && other.path == path) {
            return Err(FileReason::Locked);
        }
        if create {
            self.make_directory(path)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create);
        let file = options.open(self.root.join(path));
        let file = file.map_err(|error| reason(&error))?;
        self.opened += 1;
        let path = path.to_owned();
        self.open.insert(self.opened, Opened { file, path, alone });
        Ok(FileAnswer::Opened(FileId(self.opened)))
    }

    fn file(&self, file: FileId) -> Result<&File, FileReason> {
        let opened = self.open.get(&file.0).ok_or(FileReason::NotOpen)?;
        Ok(&opened.file)
    }

    fn len(&self, file: FileId) -> Result<u64, FileReason> {
        let metadata = self.file(file)?.metadata();
        metadata.map_or_else(|error| Err(reason(&error)), |metadata| Ok(metadata.len()))
    }

    /// A directory is there as soon as something is to lie in it.
    fn make_directory(&self, path: &str) -> Result<(), FileReason> {
        let Some((directory, _)) = path.rsplit_once('/') else {
            return Ok(());
        };
        fs::create_dir_all(self.root.join(directory)).map_err(|error| reason(&error))
    }

    fn list(&self, path: &str) -> Result<FileAnswer, FileReason> {
        let mut names = Vec::new();
        // Nothing lies in a directory that is not there.
        for entry in fs::read_dir(self.root.join(path)).into_iter().flatten() {
            let entry = entry.map_err(|error| reason(&error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_directory = entry.path().is_dir();
            names.push(if is_directory {
                format!("{name}/")
            } else {
                name
            });
        }
        names.sort();
        Ok(FileAnswer::Names(names))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.open.clear();
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn reason(error: &Error) -> FileReason {
    match error.kind() {
        ErrorKind::NotFound => FileReason::NotFound,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FileReason::Full,
        ErrorKind::UnexpectedEof => FileReason::OutOfRange,
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => FileReason::BadPath,
        _ => FileReason::Io,
    }
}
