//! How processes wait for the disk of their node: a runtime in one hand, and a disk that takes as long as
//! it is told, or hangs.

use netsplit::choice::Choice;
use netsplit::process::{
    Core, FileAnswer, FileAsker, FileDone, FileId, FileOp, Host, Packet, Runtime, Takes, Wait,
};
use netsplit::trace::{Broken, FileReason, NodeId, Pid, Trace};
use netsplit::{Bounds, Context, Info, Time, millis};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A host with one file, whose operations all take the same time.
struct Drawer {
    takes: Rc<Cell<Takes>>,
    bytes: Vec<u8>,
}

impl Drawer {
    fn answer(&mut self, op: FileOp<'_>) -> Result<FileAnswer, FileReason> {
        match op {
            FileOp::Open { path: "note", .. } => Ok(FileAnswer::Opened(FileId(1))),
            FileOp::Open { .. } => Err(FileReason::NotFound),
            FileOp::Append { bytes, .. } => {
                let at = self.bytes.len() as u64;
                self.bytes.extend(bytes);
                Ok(FileAnswer::Number(at))
            }
            FileOp::WriteAt { at, bytes, .. } => {
                let (at, end) = (at as usize, at as usize + bytes.len());
                self.bytes.resize(end.max(self.bytes.len()), 0);
                self.bytes[at..end].copy_from_slice(bytes);
                Ok(FileAnswer::Done)
            }
            FileOp::ReadAt { at, into, .. } => {
                let (at, end) = (at as usize, at as usize + into.len());
                let found = self.bytes.get(at..end).ok_or(FileReason::OutOfRange)?;
                into.copy_from_slice(found);
                Ok(FileAnswer::Done)
            }
            _ => Ok(FileAnswer::Done),
        }
    }
}

impl Host for Drawer {
    fn send(&mut self, _: Core<'_>, _: Box<Packet>) -> bool {
        false
    }
    fn wait_until_writable(&mut self, _: NodeId, _: NodeId, _: (u32, u16)) {}
    fn connect(&mut self, _: Core<'_>, _: NodeId, _: NodeId) {}
    fn disconnect(&mut self, _: Core<'_>, _: NodeId, _: NodeId) -> Option<Broken> {
        None
    }
    fn peers(&self, _: NodeId) -> Vec<NodeId> {
        Vec::new()
    }
    fn wall_ns(&self, _: NodeId, now: Time) -> u64 {
        now.as_nanos()
    }
    fn node(&self, _: &str) -> Option<NodeId> {
        Some(NodeId::new(0))
    }
    fn file(&mut self, _: Core<'_>, asker: FileAsker, op: FileOp<'_>) -> FileDone {
        assert_eq!(asker.nth == 0, matches!(op, FileOp::Close(_)));
        FileDone {
            result: self.answer(op),
            takes: self.takes.get(),
        }
    }
}

/// What a process does, and when, in milliseconds, it has said what.
struct Told {
    runtime: Runtime,
    takes: Rc<Cell<Takes>>,
    pid: Pid,
}

type Said = BTreeMap<String, u64>;

/// Says a line on the board, with the time.
fn say(ctx: &Context, line: &str) {
    let (line, now) = (line.to_owned(), ctx.now().as_nanos() / 1_000_000);
    ctx.observe("said", move |said: &mut Said| {
        said.insert(line, now);
    });
}

impl Told {
    fn new<F: Future<Output = ()> + 'static>(
        takes: Takes,
        process: impl FnOnce(Context) -> F,
    ) -> Told {
        let names = vec!["house".to_owned()].into();
        let takes = Rc::new(Cell::new(takes));
        let host = Box::new(Drawer {
            takes: takes.clone(),
            bytes: Vec::new(),
        });
        let bounds = Bounds::default();
        let mut runtime = Runtime::new(names, Choice::seeded(1), Trace::new(), bounds, host);
        let pid = runtime.boot(NodeId::new(0), process).expect("it is down");
        Told {
            runtime,
            takes,
            pid,
        }
    }

    /// What was said by this moment.
    fn until(&mut self, milliseconds: u64) -> Vec<(String, u64)> {
        let until = Time::ZERO + millis(milliseconds);
        let _ = self.runtime.run(until).expect("no bound is reached");
        let said = self.runtime.observed::<Said>("said");
        said.into_iter()
            .flatten()
            .map(|(l, t)| (l.clone(), *t))
            .collect()
    }

    /// What the first process waits for.
    fn waits(&mut self) -> Vec<Wait> {
        let mut waiting = self.runtime.waiting().into_iter();
        waiting
            .find(|waiting| waiting.pid == self.pid)
            .expect("it lives")
            .waits
    }
}

fn said(lines: &[(&str, u64)]) -> Vec<(String, u64)> {
    lines
        .iter()
        .map(|(line, at)| ((*line).to_owned(), *at))
        .collect()
}

const FIVE: Takes = Takes::Nanos(5_000_000);

#[test]
fn an_operation_takes_its_time_and_others_go_on_meanwhile() {
    let mut told = Told::new(FIVE, async |ctx: Context| {
        let _ = ctx.spawn(async |ctx: Context| {
            ctx.sleep(millis(3)).await;
            say(&ctx, "another");
        });
        let file = ctx.files().open("note").await.expect("a file");
        say(&ctx, "open");
        assert_eq!(file.append(b"hello").await, Ok(0));
        assert_eq!(file.read_at(1, 3).await, Ok(b"ell".to_vec()));
        say(&ctx, "read");
    });
    let lines = [("another", 3), ("open", 5), ("read", 15)];
    assert_eq!(told.until(100), said(&lines));
}

#[test]
fn what_a_library_asks_that_does_not_wait_is_paid_where_its_process_waits_next() {
    let mut told = Told::new(FIVE, async |ctx: Context| {
        let file = ctx.files().open_blocking("note", false).expect("a file");
        file.write_at(0, b"hello").expect("written");
        file.sync().expect("synced");
        say(&ctx, "at once");
        ctx.sleep(millis(0)).await;
        say(&ctx, "after the disk");
        let mut bytes = [0; 5];
        file.read_at(0, &mut bytes).expect("read");
        assert_eq!(&bytes, b"hello");
        ctx.sleep(millis(7)).await;
        say(&ctx, "the longer of both");
    });
    assert_eq!(told.until(14), said(&[("at once", 0)]));
    assert_eq!(told.waits(), [Wait::Disk]);
    let lines = [
        ("after the disk", 15),
        ("at once", 0),
        ("the longer of both", 22),
    ];
    assert_eq!(told.until(100), said(&lines));
}

#[test]
fn a_process_whose_disk_hangs_waits_until_it_goes_on_whether_it_wanted_to_wait_or_not() {
    for blocking in [false, true] {
        let process = match blocking {
            false => |ctx: Context| -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
                Box::pin(async move {
                    let _ = ctx.files().open("note").await;
                    say(&ctx, "open");
                })
            },
            true => |ctx: Context| -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
                Box::pin(async move {
                    let _ = ctx.files().open_blocking("note", false);
                    ctx.sleep(millis(1)).await;
                    say(&ctx, "open");
                })
            },
        };
        let mut told = Told::new(Takes::Hangs, process);
        assert_eq!(told.until(50), said(&[]));
        assert_eq!(told.waits(), [Wait::Disk]);
        told.takes.set(Takes::Nanos(0));
        let pid = told.pid;
        told.runtime.files_go_on(pid);
        assert_eq!(told.until(60), said(&[("open", 50)]));
    }
}

#[test]
fn a_process_that_ends_while_it_waits_for_its_disk_is_gone_at_once() {
    let mut told = Told::new(Takes::Hangs, async |ctx: Context| {
        let child = ctx.spawn(async |ctx: Context| {
            let _ = ctx.files().open_blocking("note", false);
            ctx.sleep(millis(1)).await;
            say(&ctx, "never");
        });
        ctx.sleep(millis(10)).await;
        let child = child.pid().expect("by pid");
        let monitor = ctx.monitor(child);
        ctx.send_exit(child, netsplit::ExitReason::Kill);
        let is_it = |info: &Info| matches!(info, Info::Down { monitor: m, .. } if *m == monitor);
        ctx.receive_info(is_it).await;
        say(&ctx, "gone");
    });
    assert_eq!(told.until(20), said(&[("gone", 10)]));
}

#[test]
fn an_error_says_what_failed_on_which_file_and_why() {
    let mut told = Told::new(Takes::Nanos(0), async |ctx: Context| {
        let error = ctx.files().open("diary").await.expect_err("no such file");
        assert_eq!(error.to_string(), "open `diary`: there is no such file");
        let file = ctx.files().open("note").await.expect("a file");
        let error = file.read_at(0, 1).await.expect_err("too short");
        assert_eq!(error.reason, FileReason::OutOfRange);
        say(&ctx, "told");
    });
    assert_eq!(told.until(1), said(&[("told", 0)]));
}
