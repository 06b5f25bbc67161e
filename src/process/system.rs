//! The state of a run as processes see it, in a thread-local while the run steps.
//!
//! No code of a user runs while it is borrowed: futures are taken out to be polled, and what is to be
//! dropped goes to a graveyard first.

use super::alias::Alias;
use super::bound::{Bounded, Suspended};
use super::ending::{End, EndKey};
use super::exit::ExitReason;
use super::few::Few;
use super::files::Asked;
use super::host::{Core, Host, Packet};
use super::mailbox::{AnyMailbox, Info, MonitorRef};
use super::node::NodeState;
use super::spares::Spares;
use super::sys::Behaviour;
use super::timer::Delayed;
use crate::choice::{Choice, Lineage, Stream};
use crate::kernel::{
    Beat, Body, Bounds, GroupId, Kernel, Reached, Slab, TaskData, Time, quiet_panics,
};
use crate::trace::{
    DeadReason, Event, Limit, MessageId, Name, Names, NodeId, Pid, TextId, Trace, set_names,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

/// Decodes a packet and gives it to a process: its pid, and its slot or its call's alias.
pub(crate) type Deliver = fn(Pid, u32, &Packet);

/// How bytes become a message in a mailbox of the right type: one static table a message type.
pub(crate) struct Receiver {
    pub(crate) mailbox: fn() -> Box<dyn AnyMailbox>,
    /// Whether a mailbox is of that type.
    pub(crate) fits: fn(&dyn AnyMailbox) -> bool,
    pub(crate) deliver: Deliver,
}

/// What a process waits for; an event of that sort wakes it.
pub(crate) mod wants {
    pub(crate) const MAIL: u8 = 1;
    pub(crate) const REPLY: u8 = 2;
    pub(crate) const TIME: u8 = 4;
    pub(crate) const DISK: u8 = 8;
}

/// A process, beside its future.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) receiver: &'static Receiver,
    pub(crate) mailbox: Option<Box<dyn AnyMailbox>>,
    pub(crate) extra: Option<Box<Extra>>,
    /// Those who monitor it or wait for its answer, and how they want to hear of its end.
    pub(crate) watchers: Few<(Pid, Watch)>,
    /// An exit signal that it will not survive: the reason is in the system's list.
    pub(crate) dying: bool,
    /// What comes into its mailbox is counted: it has a bound.
    pub(crate) bounded: bool,
    /// Who started it; nobody, where it is a node's first process.
    #[cfg(feature = "sim")]
    pub(crate) parent: Pid,
    pub(crate) trap: bool,
    pub(crate) wants: u8,
    /// How much is in the mailbox.
    pub(crate) mail: u32,
    pub(crate) sent: u32,
    pub(crate) counts: u32,
}

/// What few processes have.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) children: u32,
    pub(crate) links: Few<Pid>,
    /// Monitors that this process holds.
    pub(crate) monitors: Few<MonitorRef>,
    pub(crate) name: Option<Name>,
    /// Its calls, in the order of their ids.
    pub(crate) aliases: Vec<Alias>,
    /// Whether it stands in the system's list of those with calls that are not settled.
    pub(crate) unsettled: bool,
    /// Messages that timers will send to it.
    pub(crate) delayed: SmallVec<[u32; 1]>,
    /// Messages that it has taken, and put off.
    pub(crate) postponed: VecDeque<MessageId>,
    pub(crate) stream: Option<Box<Stream>>,
    pub(crate) behaviour: Option<Rc<dyn Behaviour>>,
    /// How many steps it has passed that it names, where faults look for them.
    pub(crate) steps: u32,
    /// How many acks it has sent, where faults look for them.
    pub(crate) acks: u32,
    /// Whether it keeps mail until that is acked: faults of mail may befall it.
    pub(crate) keeps_mail: bool,
    /// A fault ends it as it takes its so-manieth message from now on; 0: none does.
    pub(crate) strike: u32,
    pub(crate) files: Asked,
    /// What a mailbox with a bound keeps beside its queue.
    pub(crate) bounded: Option<Box<Bounded>>,
    /// What it waits for, where that is room in mailboxes.
    pub(crate) suspended: Option<Box<Suspended>>,
    /// Wakers of combinators, in which it waits for what its `wants` says.
    pub(crate) foreign: Vec<Waker>,
}

impl Extra {
    /// Keeps a combinator's waker until something comes. One that waits again and again is kept about once.
    pub(crate) fn wait_with(&mut self, waker: Waker) {
        if self.foreign.len() == self.foreign.capacity() {
            let known = std::mem::take(&mut self.foreign);
            for waker in known {
                if !self.foreign.iter().any(|other| other.will_wake(&waker)) {
                    self.foreign.push(waker);
                }
            }
        }
        self.foreign.push(waker);
    }
}

impl Extra {
    /// Whether dropping it runs no code of a user's.
    pub(crate) fn is_plain(&self) -> bool {
        self.aliases.iter().all(Alias::is_plain)
            && self.behaviour.is_none()
            && self.foreign.is_empty()
    }
}

/// How a watcher wants to hear of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watch {
    /// A `Down` in its mailbox.
    Monitor(u32),
    /// Its call of this alias fails.
    Call(u32),
    /// A `Down` in its mailbox: it has monitored the name that was held.
    Name(u32),
    /// Its wait of this number is over. Within a node only.
    End(u32),
}

impl TaskData for Process {
    type Output = ExitReason;

    fn pid(&self) -> Pid {
        self.pid
    }
}

impl Process {
    /// Whether it keeps mail: see [`Context::keeps_mail`](super::Context::keeps_mail).
    #[cfg(feature = "sim")]
    pub(crate) fn keeps_mail(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.keeps_mail)
    }

    /// Something of sort `what` came for it: whether it waits for that. Then it waits for nothing more.
    #[inline(always)]
    pub(crate) fn came(&mut self, what: u8) -> bool {
        let wanted = self.wants & what != 0;
        if wanted {
            self.wants = 0;
        }
        wanted
    }

    /// Puts something into its mailbox, whatever that takes.
    pub(crate) fn put_in(&mut self, put: impl FnOnce(&mut dyn AnyMailbox)) {
        self.mail += 1;
        let make = self.receiver.mailbox;
        put(&mut **self.mailbox.get_or_insert_with(make));
    }

    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}

/// The process that is polled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) slot: u32,
    pub(crate) pid: Pid,
    /// How many messages it has sent: kept here while it is polled.
    pub(crate) sent: u32,
}

impl Current {
    /// Nobody: no poll runs.
    pub(crate) const NONE: Current = Current {
        slot: u32::MAX,
        pid: Pid::NOBODY,
        sent: 0,
    };
    /// One that has ended, while what it left is dropped.
    pub(crate) const ENDED: Current = Current {
        slot: u32::MAX - 1,
        pid: Pid::NOBODY,
        sent: 0,
    };
}

/// What must be dropped outside any borrow.
#[allow(dead_code, reason = "kept only to be dropped")]
pub(crate) enum Remains {
    Body(Body<ExitReason>),
    Mailbox(Box<dyn AnyMailbox>),
    Extra(Box<Extra>),
    Delayed(Delayed),
    Value(Box<dyn Any>),
}

pub(crate) struct System {
    pub(crate) kernel: Kernel<Process>,
    pub(crate) nodes: Vec<NodeState>,
    pub(crate) host: Box<dyn Host>,
    pub(crate) current: Current,
    /// The current poll crashes its node with its so-manieth call of the host from now; 0 where it is
    /// fenced off, or no poll runs.
    pub(crate) budget: u64,
    /// The node whose fuse burnt down in the current poll, and after how many calls.
    pub(crate) tripped: Option<NodeId>,
    /// Whether any node's fuse was ever lit.
    pub(crate) fuses: bool,
    /// Whether any node was paused.
    pub(crate) pauses: bool,
    /// Whether any node has taken another's place.
    pub(crate) moved: bool,
    /// Whether any node's clock runs otherwise than the run's.
    pub(crate) drifts: bool,
    /// Whether faults may befall processes where they pass.
    pub(crate) strikes: bool,
    /// Processes that a fault holds up.
    pub(crate) held_up: BTreeSet<Pid>,
    /// Processes that have unlinked one of another node, which has not confirmed it, and the number of that.
    pub(crate) unlinking: FxHashMap<(Pid, Pid), u32>,
    /// Ends for which processes wait otherwise than by their mailboxes.
    pub(crate) endings: FxHashMap<EndKey, End>,
    pub(crate) dying: Vec<(u32, Pid, ExitReason)>,
    /// The slots of processes with calls whose timers are not set, and whose servers do not know of them.
    pub(crate) unsettled: Vec<u32>,
    pub(crate) graveyard: Vec<Remains>,
    /// The wakers of others that are to be called before the next poll.
    pub(crate) others: Vec<Waker>,
    pub(crate) delayed: Slab<Delayed>,
    pub(crate) board: FxHashMap<String, Box<dyn Any>>,
    /// What processes have counted, by key: outside the world, as the board.
    pub(crate) counters: FxHashMap<String, u64>,
    /// The texts of all names that were ever taken.
    pub(crate) names: FxHashMap<Name, Box<str>>,
    /// Packets that have served, for use again.
    #[allow(
        clippy::vec_box,
        reason = "a packet passes many hands, as one word, and its box serves again"
    )]
    pub(crate) packets: Vec<Box<Packet>>,
    pub(crate) spares: Spares,
    /// The call whose question is being put into a mailbox; 0 where what is put there is none.
    pub(crate) asking: u32,
    /// How many nanoseconds the process that is polled owes to its disk.
    pub(crate) owed_ns: u64,
    pub(crate) error: Option<Reached>,
    pub(crate) beat: Option<Arc<Beat>>,
    /// Root processes that ended by a panic or an error: their node, and the reason.
    pub(crate) ended_roots: Vec<(Pid, ExitReason)>,
}

thread_local! {
    // Never dropped, so that an access checks no state of the thread: a run takes its system out itself.
    static SYSTEM: ManuallyDrop<RefCell<Option<Box<System>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// Puts a run's state, and the names of its nodes, into the thread-local for as long as `code` runs.
pub(crate) fn install<R>(
    system: &mut Option<Box<System>>,
    names: &Names,
    code: impl FnOnce() -> R,
) -> R {
    struct Restore<'a> {
        own: &'a mut Option<Box<System>>,
        before: Option<Box<System>>,
        names: Option<Names>,
        epoch: u32,
    }
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            crate::kernel::Epoch::pause(self.epoch);
            set_names(self.names.take());
            let before = self.before.take();
            *self.own = SYSTEM.with(|slot| std::mem::replace(&mut *slot.borrow_mut(), before));
        }
    }
    quiet_panics();
    let epoch = system
        .as_ref()
        .map_or(0, |system| system.kernel.epoch.resume());
    let before = SYSTEM.with(|slot| std::mem::replace(&mut *slot.borrow_mut(), system.take()));
    let restore = Restore {
        own: system,
        before,
        names: set_names(Some(names.clone())),
        epoch,
    };
    let result = code();
    drop(restore);
    result
}

const ADVICE: &str = "this must be called by a process while it runs: \
    inside `node(…)`, `client(…)`, `spawn(…)` or a GenServer, not in a property or in plain test code";

/// Borrows the state of the run on this thread.
///
/// # Panics
/// Outside a run, with advice.
#[inline(always)]
pub(crate) fn with<R>(code: impl FnOnce(&mut System) -> R) -> R {
    SYSTEM.with(|slot| match slot.borrow_mut().as_mut() {
        Some(system) => code(system),
        None => panic!("{ADVICE}"),
    })
}

/// A call of the host by the current process: counted, and not made where the process is fenced off.
///
/// # Panics
/// Outside a poll, with advice.
#[inline]
pub(crate) fn act<R>(code: impl FnOnce(&mut System, Current) -> R) -> Option<R> {
    with(|system| {
        if system.may_call() {
            Some(code(system, system.current))
        } else {
            None
        }
    })
}

/// The process that is polled.
///
/// # Panics
/// Outside a poll, with advice.
#[inline]
pub(crate) fn current() -> Current {
    with(|system| system.current())
}

/// Whether some of our own cleaning up should still be done: not in a run's last moments.
pub(crate) fn try_with<R>(code: impl FnOnce(&mut System) -> R) -> Option<R> {
    SYSTEM
        .try_with(|slot| Some(code(slot.try_borrow_mut().ok()?.as_mut()?)))
        .ok()?
}

impl System {
    pub(crate) fn new(choice: Choice, trace: Trace, bounds: Bounds, host: Box<dyn Host>) -> System {
        let strikes = host.strikes();
        System {
            kernel: Kernel::new(choice, trace, bounds),
            nodes: Vec::new(),
            host,
            current: Current::NONE,
            budget: 0,
            tripped: None,
            fuses: false,
            pauses: false,
            moved: false,
            strikes,
            held_up: BTreeSet::new(),
            drifts: false,
            unlinking: FxHashMap::default(),
            endings: FxHashMap::default(),
            dying: Vec::new(),
            unsettled: Vec::new(),
            graveyard: Vec::new(),
            others: Vec::new(),
            delayed: Slab::default(),
            board: FxHashMap::default(),
            counters: FxHashMap::default(),
            names: FxHashMap::default(),
            packets: Vec::new(),
            spares: Spares::default(),
            asking: 0,
            owed_ns: 0,
            error: None,
            beat: None,
            ended_roots: Vec::new(),
        }
    }

    /// The process that is polled.
    #[inline]
    pub(crate) fn current(&self) -> Current {
        assert!(self.current.slot != Current::NONE.slot, "{ADVICE}");
        self.current
    }

    /// Whether the current process may make a call of the host; counts it.
    #[inline(always)]
    pub(crate) fn may_call(&mut self) -> bool {
        if self.budget > 1 {
            self.budget -= 1;
            return true;
        }
        self.out_of_calls();
        false
    }

    #[cold]
    fn out_of_calls(&mut self) {
        let current = self.current();
        if self.budget == 1 {
            self.budget = 0;
            self.tripped = Some(current.pid.node());
        }
    }

    /// Adds a node; it is down until it boots.
    pub(crate) fn add_node(&mut self, name: &str) -> NodeId {
        let lineage = self.kernel.choice.node(name);
        self.push_node(lineage)
    }

    pub(crate) fn push_node(&mut self, lineage: Lineage) -> NodeId {
        let id = NodeId::new(self.nodes.len());
        self.nodes.push(NodeState::new(id, lineage));
        self.kernel.trace.books.open(self.nodes.len());
        id
    }

    pub(crate) fn core(&mut self) -> (&mut dyn Host, Core<'_>) {
        let core = Core {
            kernel: &mut self.kernel,
            nodes: &mut self.nodes,
            error: &mut self.error,
            packets: &mut self.packets,
        };
        (&mut *self.host, core)
    }

    /// Virtual time, as the clock of this node has it.
    #[inline]
    pub(crate) fn now_on(&self, node: NodeId) -> Time {
        let now = self.kernel.now();
        if self.drifts {
            self.host.node_time(node, now)
        } else {
            now
        }
    }

    #[inline]
    pub(crate) fn process(&mut self, slot: u32) -> Option<&mut Process> {
        Some(&mut self.kernel.tasks.get_mut(slot)?.data)
    }

    /// The kernel's slot of a live process that no exit signal has reached.
    #[inline]
    pub(crate) fn find(&mut self, pid: Pid) -> Result<u32, DeadReason> {
        let node = self
            .nodes
            .get(pid.node().index())
            .ok_or(DeadReason::NoProc)?;
        node.find(pid)
    }

    pub(crate) fn fail(&mut self, limit: Limit, most: u64) {
        if self.error.is_none() {
            let reached = self.kernel.reached(limit, most);
            self.stop(reached);
        }
    }

    /// A bound was reached: the run ends before its next step, and what the current poll still asks of
    /// the host does not happen, so that a loop without an `.await` fills no queue any further.
    #[cold]
    pub(crate) fn stop(&mut self, reached: Reached) {
        self.error.get_or_insert(reached);
        self.budget = 0;
    }

    /// Makes room for a process: a task without a body, with a pid, not yet awake.
    pub(crate) fn reserve(
        &mut self,
        node: NodeId,
        lineage: Lineage,
        parent: Pid,
        receiver: &'static Receiver,
    ) -> (u32, Pid) {
        let most = self.kernel.bounds.processes.min(Pid::SLOTS as usize);
        if self.nodes[node.index()].processes() >= most {
            self.fail(Limit::Processes, most as u64);
        }
        let group: GroupId = self.nodes[node.index()].group;
        let process = Process {
            pid: Pid::NOBODY,
            receiver,
            mailbox: self.spares.mailbox(receiver),
            extra: None,
            watchers: Few::default(),
            dying: false,
            bounded: false,
            #[cfg(feature = "sim")]
            parent,
            trap: false,
            wants: 0,
            mail: 0,
            sent: 0,
            counts: 0,
        };
        let (slot, _) = self.kernel.insert(lineage, group, process);
        let pid = self.nodes[node.index()].give_pid(slot);
        if let Some(process) = self.process(slot) {
            process.pid = pid;
        }
        if parent == Pid::NOBODY {
            self.nodes[node.index()].root = pid;
        }
        self.kernel.trace.emit(Event::Spawn { pid, parent });
        (slot, pid)
    }

    /// Gives a reserved process its future, and wakes it for the first time.
    pub(crate) fn fill(&mut self, slot: u32, body: Body<ExitReason>) {
        if let Some(task) = self.kernel.tasks.get_mut(slot) {
            task.body = Some(body);
        }
        self.kernel.wake(slot);
    }

    /// Something of sort `what` came for a process: wakes it where it waits for that.
    #[inline]
    pub(crate) fn came(&mut self, slot: u32, what: u8) {
        if let Some(mut live) = self.kernel.live(slot)
            && live.task.data.came(what)
        {
            live.wake();
        }
    }

    /// The next message id of the current process.
    #[inline(always)]
    pub(crate) fn next_id(&mut self) -> MessageId {
        self.current.sent = self.current.sent.wrapping_add(1);
        MessageId::new(self.current.pid, self.current.sent)
    }

    /// Puts something that the system tells into a process's mailbox.
    pub(crate) fn inform(&mut self, slot: u32, info: Info) {
        self.put_in(slot, |mailbox| mailbox.push_info(info));
    }

    /// Puts something into a process's mailbox, whatever that takes, and wakes it where it waits for mail.
    pub(crate) fn put_in(&mut self, slot: u32, put: impl FnOnce(&mut dyn AnyMailbox)) {
        let Some(process) = self.process(slot) else {
            return;
        };
        process.put_in(put);
        self.came(slot, wants::MAIL);
    }

    /// The text of a reason, where a log is kept.
    pub(crate) fn reason_text(&mut self, reason: &ExitReason) -> TextId {
        match reason.detail() {
            Some(detail) => self.kernel.trace.text(|| detail.to_owned()),
            None => TextId::NONE,
        }
    }
}
