//! The disks of a cluster's machines: what processes ask of them, and what a crash leaves.

use super::world::World;
use crate::choice::Lineage;
use crate::disk::{Asker, Condition, Disk, DiskFaults, FileHandle, Served, Settings};
use crate::kernel::Time;
use crate::process::{Core, FileAnswer, FileAsker, FileDone, FileId, FileOp, Takes};
use crate::trace::{Event, FileReason, NodeId, Pid};
use std::collections::{BTreeMap, BTreeSet};

/// The disks of all machines, made when they are first used.
#[derive(Default)]
pub(crate) struct Disks {
    settings: Settings,
    faults: DiskFaults,
    /// The machines that no fault befalls.
    spared: Vec<NodeId>,
    disks: Vec<Option<Box<Own>>>,
}

/// The disk of one machine.
struct Own {
    disk: Disk,
    /// Files that one process has for itself: by their handle.
    locked: BTreeMap<u64, String>,
    /// Who waits for it while it hangs.
    hung: BTreeSet<Pid>,
}

impl Disks {
    pub(crate) fn new(settings: Settings, faults: DiskFaults) -> Disks {
        Disks {
            settings,
            faults,
            spared: Vec::new(),
            disks: Vec::new(),
        }
    }

    /// No fault that is drawn befalls the disk of this machine, nor does a crash take anything from it.
    pub(crate) fn spare(&mut self, node: NodeId) {
        if !self.spared.contains(&node) {
            self.spared.push(node);
        }
    }

    /// From now on no more faults: what hung goes on. Who has waited for that.
    pub(crate) fn quiet(&mut self, now: Time) -> Vec<Pid> {
        self.faults = DiskFaults::default();
        let mut freed = Vec::new();
        for own in self.disks.iter_mut().flatten() {
            own.disk.set_faults(DiskFaults::default());
            own.disk.set_condition(now, Condition::default());
            freed.extend(std::mem::take(&mut own.hung));
        }
        freed
    }

    fn of(&mut self, node: NodeId) -> Option<&mut Own> {
        let index = node.index();
        if self.disks.len() <= index {
            self.disks.resize_with(index + 1, || None);
        }
        let place = &mut self.disks[index];
        if place.is_none() {
            let mut disk = Disk::new(self.settings.clone()).ok()?;
            if !self.spared.contains(&node) {
                disk.set_faults(self.faults.clone());
            }
            *place = Some(Box::new(Own {
                disk,
                locked: BTreeMap::new(),
                hung: BTreeSet::new(),
            }));
        }
        place.as_deref_mut()
    }

    /// The disk of a machine, where it was ever used.
    fn used(&mut self, node: NodeId) -> Option<&mut Own> {
        self.disks.get_mut(node.index())?.as_deref_mut()
    }

    /// The disk goes to the machine that takes another's place: what the old one still asks of it fails.
    pub(crate) fn hand_over(&mut self, from: NodeId, to: NodeId) {
        self.close(from);
        let handed = self.disks.get_mut(from.index()).and_then(Option::take);
        if let Some(handed) = handed {
            self.of(to);
            self.disks[to.index()] = Some(handed);
        }
    }

    /// A node has ended in order: its files are closed, and nothing is lost.
    pub(crate) fn close(&mut self, node: NodeId) {
        if let Some(own) = self.used(node) {
            own.disk.close_all();
            own.locked.clear();
            own.hung.clear();
        }
    }
}

impl World {
    /// A process asks for something of the disk of its machine.
    pub(super) fn ask_disk(
        &mut self,
        mut core: Core<'_>,
        asker: FileAsker,
        op: FileOp<'_>,
    ) -> FileDone {
        let node = asker.pid.node();
        let Some(own) = self.disks.of(node) else {
            return FileDone {
                result: Err(FileReason::NoDisk),
                takes: Takes::Nanos(0),
            };
        };
        let by = Asker {
            now: core.now(),
            who: asker.who,
            nth: u64::from(asker.nth),
            is_blocking: asker.is_blocking,
        };
        let Served {
            result,
            takes_ns,
            befell,
        } = own.serve(&mut core, &by, op);
        if let Some(fault) = befell {
            let pid = asker.pid;
            core.trace().emit(Event::DiskStruck { pid, fault });
        }
        let takes = match takes_ns {
            Some(nanos) => Takes::Nanos(nanos),
            None => {
                own.hung.insert(asker.pid);
                Takes::Hangs
            }
        };
        FileDone { result, takes }
    }

    /// A machine goes down at once: what was not synced is there or not, as is drawn.
    pub(super) fn crash_disk(&mut self, core: &mut Core<'_>, node: NodeId, boot: Lineage) {
        if self.disks.spared.contains(&node) {
            return self.disks.close(node);
        }
        let now = core.now();
        if let Some(own) = self.disks.used(node) {
            own.locked.clear();
            own.hung.clear();
            let lost = own.disk.crash(core.choice(), now, boot);
            if lost.files > 0 || lost.entries > 0 {
                core.trace().emit(Event::DiskLost {
                    node,
                    files: lost.files,
                    entries: lost.entries,
                });
            }
        }
    }
}

impl Own {
    fn serve(&mut self, core: &mut Core<'_>, by: &Asker, op: FileOp<'_>) -> Served<FileAnswer> {
        let (disk, choice) = (&mut self.disk, core.choice());
        let handle = |file: FileId| FileHandle::from_u64(file.0);
        match op {
            FileOp::Open {
                path,
                create,
                alone,
            } => {
                if alone && self.locked.values().any(|locked| locked == path) {
                    return at_once(Err(FileReason::Locked));
                }
                let opened = disk.open(choice, by, path, create);
                if let (true, Ok(handle)) = (alone, opened.result) {
                    self.locked.insert(handle.as_u64(), path.to_owned());
                }
                map(opened, |handle| FileAnswer::Opened(FileId(handle.as_u64())))
            }
            FileOp::Close(file) => {
                self.locked.remove(&file.0);
                let closed = disk.close(handle(file));
                at_once(
                    closed
                        .then_some(FileAnswer::Done)
                        .ok_or(FileReason::NotOpen),
                )
            }
            FileOp::Len(file) => at_once(disk.len(handle(file)).map(FileAnswer::Number)),
            FileOp::ReadAt { file, at, into } => {
                done(disk.read_at(choice, by, handle(file), at, into))
            }
            FileOp::WriteAt { file, at, bytes } => {
                done(disk.write_at(choice, by, handle(file), at, bytes))
            }
            FileOp::Append { file, bytes } => map(
                disk.append(choice, by, handle(file), bytes),
                FileAnswer::Number,
            ),
            FileOp::Truncate { file, len } => done(disk.truncate(choice, by, handle(file), len)),
            FileOp::Sync(file) => done(disk.sync(choice, by, handle(file))),
            FileOp::SyncDirectory(path) => done(disk.sync_directory(choice, by, path)),
            FileOp::Rename { from, to } => done(disk.rename(choice, by, from, to)),
            FileOp::Remove(path) => done(disk.remove(choice, by, path)),
            FileOp::List(path) => map(disk.list(choice, by, path), FileAnswer::Names),
            FileOp::Exists(path) => map(disk.exists(choice, by, path), |is_there| {
                FileAnswer::Number(u64::from(is_there))
            }),
        }
    }
}

fn map<T>(served: Served<T>, answer: impl FnOnce(T) -> FileAnswer) -> Served<FileAnswer> {
    Served {
        result: served.result.map(answer),
        takes_ns: served.takes_ns,
        befell: served.befell,
    }
}

fn done(served: Served<()>) -> Served<FileAnswer> {
    map(served, |()| FileAnswer::Done)
}

/// What asks nothing of the disk itself.
fn at_once(result: Result<FileAnswer, FileReason>) -> Served<FileAnswer> {
    Served {
        result,
        takes_ns: Some(0),
        befell: None,
    }
}
