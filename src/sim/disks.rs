//! The disks of a cluster's machines: what processes ask of them, and what a crash leaves.

use super::disk_fault::DiskTrouble;
use super::fault::Fault;
use super::nemesis::crashed;
use super::run::Run;
use super::world::World;
use crate::choice::Lineage;
use crate::disk::{
    Aimed, Asker, Condition, Disk, DiskFaults, FileHandle, Lost, Served, Settings, Snapshot,
};
use crate::kernel::{Time, nanos};
use crate::net::Leaves;
use crate::process::{Core, FileAnswer, FileAsker, FileDone, FileId, FileOp, System, Takes, with};
use crate::trace::{Event, FileReason, NodeId, Pid};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The disks of all machines, made when they are first used.
#[derive(Default)]
pub(crate) struct Disks {
    settings: Settings,
    faults: DiskFaults,
    /// The machines that no fault befalls.
    spared: Vec<NodeId>,
    /// Files, or directories, that no fault hurts.
    spared_files: Vec<(NodeId, String)>,
    /// The machines whose disk another has now.
    without: Vec<NodeId>,
    disks: Vec<Option<Box<Own>>>,
    /// Disks as they were when a fault began that will make them so again.
    remembered: BTreeMap<u32, Snapshot>,
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
            ..Disks::default()
        }
    }

    /// No fault that is drawn befalls the disk of this machine, nor does a crash take anything from it.
    pub(crate) fn spare(&mut self, node: NodeId) {
        if !self.spared.contains(&node) {
            self.spared.push(node);
        }
    }

    /// No fault hurts what is stored of this file of a machine, or of any in this directory.
    pub(crate) fn spare_file(&mut self, node: NodeId, path: String) {
        self.spared_files.push((node, path));
    }

    /// From now on no more faults: what hung goes on. Who has waited for that.
    pub(crate) fn quiet(&mut self, now: Time) -> Vec<Pid> {
        self.faults = DiskFaults::default();
        self.remembered.clear();
        let mut freed = Vec::new();
        for own in self.disks.iter_mut().flatten() {
            own.disk.heal(now);
            freed.extend(std::mem::take(&mut own.hung));
        }
        freed
    }

    /// From now on a disk is so. Who has waited for it to go on, where it does.
    fn set_condition(&mut self, node: NodeId, now: Time, condition: Condition) -> BTreeSet<Pid> {
        let Some(own) = self.of(node) else {
            return BTreeSet::new();
        };
        own.disk.set_condition(now, condition);
        match condition.hangs {
            true => BTreeSet::new(),
            false => std::mem::take(&mut own.hung),
        }
    }

    fn of(&mut self, node: NodeId) -> Option<&mut Own> {
        let index = node.index();
        if self.without.contains(&node) {
            return None;
        }
        if self.disks.len() <= index {
            self.disks.resize_with(index + 1, || None);
        }
        let place = &mut self.disks[index];
        if place.is_none() {
            let mut disk = Disk::new(self.settings.clone()).ok()?;
            if !self.spared.contains(&node) {
                disk.set_faults(self.faults.clone());
            }
            let spared = self.spared_files.iter().filter(|(on, _)| *on == node);
            spared.for_each(|(_, path)| disk.spare(path));
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
        let spared = self.spared_files.iter_mut().filter(|(on, _)| *on == from);
        spared.for_each(|(on, _)| *on = to);
        let handed = self.disks.get_mut(from.index()).and_then(Option::take);
        if let Some(handed) = handed {
            self.of(to);
            self.disks[to.index()] = Some(handed);
        }
        self.without.push(from);
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
            tell_lost(core, node, lost);
        }
    }

    /// The disk of a machine that is down is as it was then.
    fn roll_back(&mut self, core: &mut Core<'_>, node: NodeId, snapshot: &Snapshot) {
        if let Some(own) = self.disks.used(node) {
            let lost = own.disk.roll_back(snapshot);
            tell_lost(core, node, lost);
        }
    }
}

/// The trace says what a disk has lost, if anything.
fn tell_lost(core: &mut Core<'_>, node: NodeId, lost: Lost) {
    let Lost { files, entries } = lost;
    if files > 0 || entries > 0 {
        core.trace().emit(Event::DiskLost {
            node,
            files,
            entries,
        });
    }
}

impl Run<'_> {
    /// Something befalls the disk of a node.
    pub(super) fn trouble_disk(&mut self, number: u32, node: NodeId, what: &DiskTrouble) {
        match what {
            DiskTrouble::Full { .. } | DiskTrouble::Slow { .. } | DiskTrouble::Hang { .. } => {
                with(|system| system.set_disk(node));
            }
            DiskTrouble::Operation { fault, path, nth } => with(|system| {
                if let Some(own) = system.world().0.disks.of(node) {
                    own.disk.aim(Aimed {
                        fault: *fault,
                        path: path.clone(),
                        nth: u64::from(*nth),
                    });
                }
            }),
            DiskTrouble::RollBack { .. } => with(|system| {
                let disks = &mut system.world().0.disks;
                let snapshot = disks.of(node).map(|own| own.disk.snapshot());
                disks
                    .remembered
                    .insert(number, snapshot.unwrap_or_default());
            }),
            DiskTrouble::Wipe { down_for } => {
                self.lose_disk(node, &Snapshot::default(), *down_for);
            }
        }
    }

    /// What befell the disk of a node is over.
    pub(super) fn trouble_over(&mut self, number: u32, node: NodeId, what: &DiskTrouble) {
        let DiskTrouble::RollBack { down_for, .. } = what else {
            return with(|system| system.set_disk(node));
        };
        let then = with(|system| system.world().0.disks.remembered.remove(&number));
        if let Some(then) = then {
            self.lose_disk(node, &then, *down_for);
        }
    }

    /// A machine loses its power, and when it is back its disk is as it was then.
    fn lose_disk(&mut self, node: NodeId, then: &Snapshot, down_for: Option<Duration>) {
        let down_ns = down_for.map_or(u64::MAX, nanos);
        self.go_down(node, crashed(node), Leaves::Silently, down_ns);
        with(|system| {
            let (world, mut core) = system.world();
            world.roll_back(&mut core, node, then);
        });
    }
}

impl System {
    /// The disk of a node is as the faults make it that are not over.
    fn set_disk(&mut self, node: NodeId) {
        let mut condition = Condition::default();
        for (_, fault) in self.active_faults() {
            let Fault::Disk { node: of, what } = fault else {
                continue;
            };
            match what {
                _ if of != node => {}
                DiskTrouble::Full { .. } => condition.is_full = true,
                DiskTrouble::Slow { times, .. } => condition.slowness = times,
                DiskTrouble::Hang { .. } => condition.hangs = true,
                _ => {}
            }
        }
        let (world, core) = self.world();
        let freed = world.disks.set_condition(node, core.now(), condition);
        freed.into_iter().for_each(|pid| self.files_go_on(pid));
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
            FileOp::Len(file) => at_once(disk.len(by.now, handle(file)).map(FileAnswer::Number)),
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
