//! Files of a process's own node: what it may ask of them, and how it waits for that.

use super::context::Context;
use super::message::Message;
use super::system::{Current, System, act, current, try_with, wants, with};
use super::target::Target;
use super::timer::{Alarm, Delayed, wait};
use crate::choice::Lineage;
use crate::kernel::What;
use crate::trace::{FileReason, MessageId, Pid};
use std::future::{pending, poll_fn};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

/// A file that is open, by a number of its node's disk. It means nothing after the node has gone down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// What a process asks of the disk of its node. Paths have `/` between their parts; a directory is there as
/// soon as something lies in it.
#[derive(Debug)]
pub enum FileOp<'a> {
    /// Opens a file; with `create`, makes it where there is none. [`FileAnswer::Opened`].
    Open {
        /// Which.
        path: &'a str,
        /// Whether it is made where there is none.
        create: bool,
        /// Whether nobody else of the node may have it open so at the same time.
        alone: bool,
    },
    /// Gives an open file back.
    Close(FileId),
    /// How long it is, in bytes. [`FileAnswer::Number`].
    Len(FileId),
    /// Fills `into` with what stands from `at` on, all of it.
    ReadAt {
        /// Of which file.
        file: FileId,
        /// From which byte on.
        at: u64,
        /// Where to.
        into: &'a mut [u8],
    },
    /// Writes over what stands from `at` on; the file grows where it must, with zeros in a gap.
    WriteAt {
        /// Into which file.
        file: FileId,
        /// From which byte on.
        at: u64,
        /// What.
        bytes: &'a [u8],
    },
    /// Writes after the end. [`FileAnswer::Number`]: where that was.
    Append {
        /// To which file.
        file: FileId,
        /// What.
        bytes: &'a [u8],
    },
    /// Makes it this long: cut off, or with zeros at its end.
    Truncate {
        /// Which file.
        file: FileId,
        /// How long, in bytes.
        len: u64,
    },
    /// What was written to it is durable when this is done.
    Sync(FileId),
    /// What was made, renamed and removed in a directory is durable when this is done.
    SyncDirectory(&'a str),
    /// Gives it another path; what was there is replaced, at once.
    Rename {
        /// Which.
        from: &'a str,
        /// Its new path.
        to: &'a str,
    },
    /// Removes it; whoever has it open keeps it.
    Remove(&'a str),
    /// What lies in a directory, in order. [`FileAnswer::Names`].
    List(&'a str),
    /// Whether there is such a file. [`FileAnswer::Number`]: 0 or 1.
    Exists(&'a str),
}

/// What a disk answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAnswer {
    /// It is done.
    Done,
    /// The file that was opened.
    Opened(FileId),
    /// A length, a place, or whether.
    Number(u64),
    /// Names, in order.
    Names(Vec<String>),
}

/// What came of an operation, and when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDone {
    /// What came of it.
    pub result: Result<FileAnswer, FileReason>,
    /// How long it takes.
    pub takes: Takes,
}

/// How long an operation on a file takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// So many nanoseconds; 0 where it has taken its time already.
    Nanos(u64),
    /// Until the host says that it goes on ([`Runtime::files_go_on`](super::Runtime::files_go_on)).
    Hangs,
}

/// Why an operation on a file failed: what, on which file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{path}`: {reason}")]
pub struct FileError {
    /// What was asked for.
    pub what: &'static str,
    /// Of which file or directory.
    pub path: String,
    /// Why it was not done.
    pub reason: FileReason,
}

/// Who asks: for the draws that decide how it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAsker {
    /// The process.
    pub pid: Pid,
    /// Its line of descent.
    pub who: Lineage,
    /// The how-manieth operation of that process it is, from 1; 0 for a close, which its system makes for it.
    pub nth: u32,
    /// Whether it goes on before the time of the operation has passed.
    pub is_blocking: bool,
}

/// The files of the node on which the current process runs.
///
/// An operation takes effect when it is first waited for, and its time passes then: whoever drops that
/// wait has done it nevertheless. Nothing is durable before [`File::sync`] has said so, nor is a new name
/// before
/// [`Files::sync_directory`].
///
/// ```
/// use netsplit::{Context, Scenario};
///
/// let scenario = Scenario::new("notes")
///     .client("a", |ctx: Context| async move {
///         let file = ctx.files().create("notes/today").await.unwrap();
///         file.append(b"buy milk").await.unwrap();
///         file.sync().await.unwrap();
///         ctx.files().sync_directory("notes").await.unwrap();
///         assert_eq!(file.read_at(4, 4).await.unwrap(), b"milk");
///     })
///     .finally("ended", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Files(());

/// An open file of the process's node; closed when it is dropped, as it is where its process is killed.
#[derive(Debug)]
pub struct File {
    id: FileId,
    path: String,
    /// Who has opened it.
    opener: Pid,
}

/// A file for libraries that do not wait: its operations return at once, and the time that they take passes
/// where the process waits next. Where the disk hangs, the process is parked there.
///
/// It can be sent to other threads, as some libraries demand, but is used by processes of its node only.
#[derive(Debug)]
pub struct BlockingFile(File);

impl<M: Message> Context<M> {
    /// The files of this node.
    #[must_use]
    pub fn files(&self) -> Files {
        Files(())
    }
}

impl Files {
    /// Opens a file that is there.
    ///
    /// # Errors
    /// [`FileError`]: there is no such file, or the disk failed.
    pub async fn open(self, path: &str) -> Result<File, FileError> {
        let create = false;
        opened(
            path,
            done(
                "open",
                path,
                FileOp::Open {
                    path,
                    create,
                    alone: false,
                },
            )
            .await?,
        )
    }

    /// Opens a file, and makes it where there is none.
    ///
    /// # Errors
    /// [`FileError`]: the disk is full, or failed.
    pub async fn create(self, path: &str) -> Result<File, FileError> {
        let create = true;
        opened(
            path,
            done(
                "create",
                path,
                FileOp::Open {
                    path,
                    create,
                    alone: false,
                },
            )
            .await?,
        )
    }

    /// Whether there is a file of this path.
    ///
    /// # Errors
    /// [`FileError`]: the disk failed.
    pub async fn exists(self, path: &str) -> Result<bool, FileError> {
        let answer = done("look for", path, FileOp::Exists(path)).await?;
        Ok(number(&answer) != 0)
    }

    /// The names in a directory, in order; none where there is no such directory.
    ///
    /// # Errors
    /// [`FileError`]: the disk failed.
    pub async fn list(self, directory: &str) -> Result<Vec<String>, FileError> {
        match done("list", directory, FileOp::List(directory)).await? {
            FileAnswer::Names(names) => Ok(names),
            _ => Ok(Vec::new()),
        }
    }

    /// Gives a file another path, and replaces what was there: after a crash the one or the other is there.
    ///
    /// # Errors
    /// [`FileError`]: there is no such file, or the disk failed.
    pub async fn rename(self, from: &str, to: &str) -> Result<(), FileError> {
        done("rename", from, FileOp::Rename { from, to })
            .await
            .map(drop)
    }

    /// Removes a file. Whoever has it open keeps it.
    ///
    /// # Errors
    /// [`FileError`]: there is no such file, or the disk failed.
    pub async fn remove(self, path: &str) -> Result<(), FileError> {
        done("remove", path, FileOp::Remove(path)).await.map(drop)
    }

    /// What was made, renamed and removed in a directory stays so, whatever comes.
    ///
    /// # Errors
    /// [`FileError`]: the disk failed; what was changed may be gone.
    pub async fn sync_directory(self, directory: &str) -> Result<(), FileError> {
        let op = FileOp::SyncDirectory(directory);
        done("sync", directory, op).await.map(drop)
    }

    /// Opens a file for a library that does not wait, and for nobody else of this node meanwhile; with
    /// `create`, makes it where there is none.
    ///
    /// # Errors
    /// [`FileError`]: there is no such file, it is locked, the disk is full, or failed.
    pub fn open_blocking(self, path: &str, create: bool) -> Result<BlockingFile, FileError> {
        let answer = done_now(
            "open",
            path,
            FileOp::Open {
                path,
                create,
                alone: true,
            },
        )?;
        opened(path, answer).map(BlockingFile)
    }
}

impl Files {
    /// As [`Files::rename`], for a library that does not wait.
    ///
    /// # Errors
    /// As there.
    pub fn rename_blocking(self, from: &str, to: &str) -> Result<(), FileError> {
        done_now("rename", from, FileOp::Rename { from, to }).map(drop)
    }

    /// As [`Files::sync_directory`], for a library that does not wait.
    ///
    /// # Errors
    /// As there.
    pub fn sync_directory_blocking(self, directory: &str) -> Result<(), FileError> {
        let op = FileOp::SyncDirectory(directory);
        done_now("sync", directory, op).map(drop)
    }
}

impl File {
    /// Its path, as it was when it was opened.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How long it is, in bytes.
    ///
    /// # Errors
    /// [`FileError`]: the disk failed.
    pub async fn len(&self) -> Result<u64, FileError> {
        let answer = done("measure", &self.path, FileOp::Len(self.id)).await?;
        Ok(number(&answer))
    }

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// As [`File::len`].
    pub async fn is_empty(&self) -> Result<bool, FileError> {
        Ok(self.len().await? == 0)
    }

    /// The `len` bytes from `at` on.
    ///
    /// # Errors
    /// [`FileError`]: it is shorter, or the disk failed.
    pub async fn read_at(&self, at: u64, len: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; len];
        let (file, into) = (self.id, &mut bytes[..]);
        done("read", &self.path, FileOp::ReadAt { file, at, into }).await?;
        Ok(bytes)
    }

    /// Writes over what stands from `at` on.
    ///
    /// # Errors
    /// [`FileError`]: the disk is full, or failed.
    pub async fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), FileError> {
        let file = self.id;
        let op = FileOp::WriteAt { file, at, bytes };
        done("write", &self.path, op).await.map(drop)
    }

    /// Writes after its end; where that was.
    ///
    /// # Errors
    /// As [`File::write_at`].
    pub async fn append(&self, bytes: &[u8]) -> Result<u64, FileError> {
        let file = self.id;
        let answer = done("append to", &self.path, FileOp::Append { file, bytes }).await?;
        Ok(number(&answer))
    }

    /// Makes it `len` bytes long: cut off, or with zeros at its end.
    ///
    /// # Errors
    /// As [`File::write_at`].
    pub async fn truncate(&self, len: u64) -> Result<(), FileError> {
        let file = self.id;
        let op = FileOp::Truncate { file, len };
        done("truncate", &self.path, op).await.map(drop)
    }

    /// What was written stays, whatever comes.
    ///
    /// # Errors
    /// [`FileError`]: the disk failed. What was written since the last sync may be gone then, though it
    /// can still be read, and a further sync may say that all is well: begin anew from what is known to
    /// be there.
    pub async fn sync(&self) -> Result<(), FileError> {
        done("sync", &self.path, FileOp::Sync(self.id))
            .await
            .map(drop)
    }

    /// The same file, for a library that does not wait.
    #[must_use]
    pub fn blocking(self) -> BlockingFile {
        BlockingFile(self)
    }
}

impl BlockingFile {
    /// As [`File::len`].
    ///
    /// # Errors
    /// As there.
    pub fn len(&self) -> Result<u64, FileError> {
        let answer = done_now("measure", &self.0.path, FileOp::Len(self.0.id))?;
        Ok(number(&answer))
    }

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// As [`File::len`].
    pub fn is_empty(&self) -> Result<bool, FileError> {
        Ok(self.len()? == 0)
    }

    /// Fills `into` with what stands from `at` on.
    ///
    /// # Errors
    /// As [`File::read_at`].
    pub fn read_at(&self, at: u64, into: &mut [u8]) -> Result<(), FileError> {
        let file = self.0.id;
        done_now("read", &self.0.path, FileOp::ReadAt { file, at, into }).map(drop)
    }

    /// As [`File::write_at`].
    ///
    /// # Errors
    /// As there.
    pub fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), FileError> {
        let file = self.0.id;
        done_now("write", &self.0.path, FileOp::WriteAt { file, at, bytes }).map(drop)
    }

    /// As [`File::truncate`].
    ///
    /// # Errors
    /// As there.
    pub fn truncate(&self, len: u64) -> Result<(), FileError> {
        let file = self.0.id;
        done_now("truncate", &self.0.path, FileOp::Truncate { file, len }).map(drop)
    }

    /// As [`File::sync`].
    ///
    /// # Errors
    /// As there.
    pub fn sync(&self) -> Result<(), FileError> {
        done_now("sync", &self.0.path, FileOp::Sync(self.0.id)).map(drop)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Of a process that was killed, too: its system closes what it has left open.
        try_with(|system| {
            system.close_file(self.opener, self.id);
            Some(())
        });
    }
}

fn opened(path: &str, answer: FileAnswer) -> Result<File, FileError> {
    match answer {
        FileAnswer::Opened(id) => Ok(File {
            id,
            path: path.to_owned(),
            opener: current().pid,
        }),
        _ => Err(FileError {
            what: "open",
            path: path.to_owned(),
            reason: FileReason::NotOpen,
        }),
    }
}

fn number(answer: &FileAnswer) -> u64 {
    match answer {
        FileAnswer::Number(number) => *number,
        _ => 0,
    }
}

/// Asks, and waits until it is done.
async fn done(what: &'static str, path: &str, op: FileOp<'_>) -> Result<FileAnswer, FileError> {
    let Some(FileDone { result, takes }) = act(|system, _| system.file(op, false)) else {
        // It has ended, or its node has.
        return pending().await;
    };
    match takes {
        Takes::Nanos(0) => {}
        Takes::Nanos(nanos) => {
            let mut alarm = Alarm::new(Duration::from_nanos(nanos));
            let over = |cx: &mut TaskContext<'_>| match alarm.poll_over(cx) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
            poll_fn(over).await;
        }
        Takes::Hangs => {
            let since = with(|system| system.files_freed());
            poll_fn(|cx| {
                if with(|system| system.files_freed()) != since {
                    return Poll::Ready(());
                }
                wait(wants::DISK, cx);
                Poll::Pending
            })
            .await;
        }
    }
    result.map_err(|reason| failed(what, path, reason))
}

/// Asks; the time that it takes passes at the process's next wait.
fn done_now(what: &'static str, path: &str, op: FileOp<'_>) -> Result<FileAnswer, FileError> {
    let done = act(|system, _| {
        let done = system.file(op, true);
        system.owed_ns = match done.takes {
            Takes::Nanos(nanos) => system.owed_ns.saturating_add(nanos),
            Takes::Hangs => HANGS,
        };
        done.result
    });
    let result = done.unwrap_or(Err(FileReason::Stopped));
    result.map_err(|reason| failed(what, path, reason))
}

#[cold]
fn failed(what: &'static str, path: &str, reason: FileReason) -> FileError {
    FileError {
        what,
        path: path.to_owned(),
        reason,
    }
}

/// What a process has asked of its disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// How many operations.
    asked: u32,
    /// How often its disk went on after it had hung.
    freed: u32,
}

/// What a process owes that is parked until its disk goes on.
const HANGS: u64 = u64::MAX;

impl System {
    /// The current process asks the disk of its node.
    fn file(&mut self, op: FileOp<'_>, is_blocking: bool) -> FileDone {
        let Current { slot, pid, .. } = self.current;
        let mut asker = FileAsker {
            pid,
            who: Lineage::RUN,
            nth: 0,
            is_blocking,
        };
        if let Some(task) = self.kernel.tasks.get_mut(slot) {
            let extra = task.data.extra();
            extra.files.asked = extra.files.asked.wrapping_add(1);
            (asker.who, asker.nth) = (task.lineage, task.data.extra().files.asked);
        }
        let (host, core) = self.core();
        host.file(core, asker, op)
    }

    fn close_file(&mut self, of: Pid, file: FileId) {
        let asker = FileAsker {
            pid: of,
            who: Lineage::RUN,
            nth: 0,
            is_blocking: true,
        };
        let (host, core) = self.core();
        let _ = host.file(core, asker, FileOp::Close(file));
    }

    /// How often the disk has gone on for the current process.
    fn files_freed(&mut self) -> u32 {
        let slot = self.current.slot;
        let extra = self
            .process(slot)
            .and_then(|process| process.extra.as_ref());
        extra.map_or(0, |extra| extra.files.freed)
    }

    /// The process that was polled owes time to its disk: it is not polled before that has passed.
    #[cold]
    pub(crate) fn pay_disk(&mut self, slot: u32, pid: Pid) {
        let owed_ns = std::mem::take(&mut self.owed_ns);
        let at = self.kernel.now().plus_nanos(owed_ns);
        let Some(task) = self
            .kernel
            .tasks
            .get_mut(slot)
            .filter(|task| task.data.pid == pid)
        else {
            return;
        };
        let (who, was_suspended) = (task.lineage, task.is_suspended());
        let held = task.data.extra().suspended.get_or_insert_default();
        held.line |= was_suspended && held.rooms.is_empty();
        held.disk = true;
        self.kernel.suspend(slot);
        if owed_ns == HANGS {
            return;
        }
        let (index, _) = self.delayed.insert(Delayed {
            to: Target::Pid(pid),
            at,
            key: None,
            id: MessageId::new(pid, 0),
            who,
            nth: 0,
            send: Box::new(move |_, _| with(|system| system.disk_is_done(pid))),
        });
        let nth = self.count(slot).unwrap_or(0);
        let key = self.arm_timer(slot, at, nth, What::process(index));
        if let Some(delayed) = self.delayed.get_mut(index) {
            (delayed.key, delayed.nth) = (key, nth);
        }
        if let Some(process) = self.process(slot) {
            process.extra().delayed.push(index);
        }
    }

    /// The time that a process owed to its disk is over.
    fn disk_is_done(&mut self, pid: Pid) {
        let Ok(slot) = self.find(pid) else { return };
        let extra = self
            .process(slot)
            .and_then(|process| process.extra.as_mut());
        if let Some(held) = extra.and_then(|extra| extra.suspended.as_mut()) {
            held.disk = false;
            self.free(slot);
        }
    }

    /// A disk that hung goes on: what this process has asked of it is done.
    pub(crate) fn files_go_on(&mut self, pid: Pid) {
        let Ok(slot) = self.find(pid) else { return };
        if let Some(process) = self.process(slot) {
            let freed = &mut process.extra().files.freed;
            *freed = freed.wrapping_add(1);
        }
        self.came(slot, wants::DISK);
        self.disk_is_done(pid);
    }
}
