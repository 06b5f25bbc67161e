//! What a process can do: its view of itself and of the world.

use super::address::Address;
use super::exit::{ExitReason, IntoExit};
use super::mailbox::MonitorRef;
use super::message::Message;
use super::signal::NameError;
use super::spawn::{Tie, spawn};
use super::sys::Behaviour;
use super::system::{System, act, with};
use super::target::Target;
use super::timer::{Alarm, Sleep, TimerRef, cancel, left, send_after, wait};
use crate::choice::{Kind, Shape, Site, Stream};
use crate::kernel::Time;
use crate::trace::{Event, Name, NodeId, Pid};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The message type of a process that takes no messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Never {}

/// A process's own view: its mailbox of messages `M`, its links, its timers, its randomness.
///
/// It belongs to one process and is used while that process runs.
pub struct Context<M = Never> {
    pid: Pid,
    message: PhantomData<fn(M)>,
}

impl<M> fmt::Debug for Context<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.pid)
    }
}

impl<M: Message> Context<M> {
    pub(crate) fn new(pid: Pid) -> Context<M> {
        Context {
            pid,
            message: PhantomData,
        }
    }

    /// This process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The address of this process.
    #[must_use]
    pub fn address(&self) -> Address<M> {
        Address::of(self.pid)
    }

    /// The node on which this process runs.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.pid.node()
    }

    /// This process is a behaviour from now on: properties read its state.
    pub(crate) fn expose(&self, behaviour: Rc<dyn Behaviour>) {
        let _ = act(|system, current| {
            if let Some(process) = system.process(current.slot) {
                process.extra().behaviour = Some(behaviour);
            }
        });
    }

    /// A timer that wakes this process after a while.
    pub(crate) fn alarm(&self, after: Duration) -> Alarm {
        Alarm::new(after)
    }

    // ---- other processes

    /// Starts a process on this node.
    ///
    /// ```
    /// # use netsplit::{Context, Scenario, secs};
    /// # let scenario = Scenario::new("doubler").client("a", |ctx: Context| async move {
    /// let doubler = ctx.spawn(|child: Context<(u64, netsplit::ReplyTo<u64>)>| async move {
    ///     let (number, reply_to) = child.receive_message().await;
    ///     reply_to.reply(2 * number);
    /// });
    /// assert_eq!(doubler.call(|reply_to| (21, reply_to), secs(1)).await, Ok(42));
    /// # }).finally("ended", |_| true);
    /// # assert!(scenario.run(7).unwrap().is_ok());
    /// ```
    pub fn spawn<N: Message, F>(&self, process: impl FnOnce(Context<N>) -> F) -> Address<N>
    where
        F: Future<Output: IntoExit> + 'static,
    {
        spawn(Tie::None, process).0
    }

    /// Starts a process that is linked to this one from its beginning.
    pub fn spawn_link<N: Message, F>(&self, process: impl FnOnce(Context<N>) -> F) -> Address<N>
    where
        F: Future<Output: IntoExit> + 'static,
    {
        spawn(Tie::Link, process).0
    }

    /// Starts a process that this one monitors from its beginning.
    pub fn spawn_monitor<N: Message, F>(
        &self,
        process: impl FnOnce(Context<N>) -> F,
    ) -> (Address<N>, MonitorRef)
    where
        F: Future<Output: IntoExit> + 'static,
    {
        let (address, monitor) = spawn(Tie::Monitor, process);
        (
            address,
            monitor.unwrap_or(MonitorRef::new(0, Target::Pid(Pid::NOBODY))),
        )
    }

    /// Links this process to another; a pair has one link at most. Linking a dead process brings an exit
    /// signal `noproc`; the loss of the connection to another node, or of the try to set it up,
    /// `noconnection`.
    pub fn link(&self, pid: Pid) {
        let _ = act(|system, current| system.link(current, pid));
    }

    /// Removes a link. What the link has already put into the mailbox stays there.
    pub fn unlink(&self, pid: Pid) {
        let _ = act(|system, current| system.unlink(current, pid));
    }

    /// Monitors another process: brings one [`Info::Down`], which tells what was monitored. Monitors stack.
    ///
    /// By name it is whoever holds that when the monitor comes to the name's node, for as long as that
    /// process lives; `noproc` where nobody does.
    ///
    /// [`Info::Down`]: super::Info::Down
    #[must_use]
    pub fn monitor(&self, of: impl Into<Target>) -> MonitorRef {
        let of = of.into();
        let monitor = act(|system, current| system.monitor(current, of));
        monitor.unwrap_or(MonitorRef::new(0, of))
    }

    /// Ends a monitor. With `flush`, a `Down` that it has already put into the mailbox is removed too.
    pub fn demonitor(&self, monitor: MonitorRef, flush: bool) {
        let _ = act(|system, current| system.demonitor(current, monitor, flush));
    }

    /// From now on exit signals come as [`Info::Exit`] instead of ending this process, or again not.
    ///
    /// [`Info::Exit`]: super::Info::Exit
    pub fn trap_exit(&self, trap: bool) {
        let _ = act(|system, current| {
            if let Some(process) = system.process(current.slot) {
                process.trap = trap;
            }
        });
    }

    /// Sends an exit signal to a process, or to whoever holds a name when it comes there.
    /// [`ExitReason::Kill`] cannot be trapped.
    ///
    /// Sent to itself, a process that does not trap it ends with this step, and nothing that it still
    /// sends is sent.
    pub fn send_exit(&self, to: impl Into<Target>, reason: ExitReason) {
        let to = to.into();
        let _ = act(|system, current| {
            system.send_exit(current.pid, to, reason);
            system.fence_the_doomed(current);
        });
    }

    /// Ends this process with this reason. Never returns. No `terminate` of a behaviour runs.
    pub async fn exit(&self, reason: ExitReason) -> Infallible {
        let _ = act(|system, current| {
            system.doom(current.slot, current.pid, reason);
            system.fence_the_doomed(current);
        });
        std::future::pending().await
    }

    /// Whether a process of this node is alive, or anybody holds a name on it. Of another node's it is not
    /// known: there it says no.
    #[must_use]
    pub fn is_alive(&self, of: impl Into<Target>) -> bool {
        let of = of.into();
        let is_here = of.node() == self.node();
        is_here && with(|system| system.resolve(of).is_ok())
    }

    // ---- nodes

    /// Hears of all connections of this node from now on, as [`Info::NodeUp`] and [`Info::NodeDown`]; or no
    /// more.
    ///
    /// [`Info::NodeUp`]: super::Info::NodeUp
    /// [`Info::NodeDown`]: super::Info::NodeDown
    pub fn monitor_nodes(&self, listen: bool) {
        let _ = act(|system, current| system.monitor_nodes(current, listen));
    }

    /// Hears once, as [`Info::NodeDown`], when the connection to a node is lost. Where there is none, one
    /// is set up, and its failure is told in the same way.
    ///
    /// [`Info::NodeDown`]: super::Info::NodeDown
    pub fn monitor_node(&self, node: NodeId) {
        let _ = act(|system, current| system.monitor_node(current, node));
    }

    /// Sets up a connection to a node, where there is none: [`Context::monitor_nodes`] tells when it is
    /// there. Sending does the same.
    pub fn connect(&self, node: NodeId) {
        let _ = act(|system, current| {
            let own = current.pid.node();
            let (host, core) = system.core();
            if node != own {
                host.connect(core, own, node);
            }
        });
    }

    /// Closes the connection to a node, where there is one. What was sent before still arrives.
    pub fn disconnect(&self, node: NodeId) {
        let _ = act(|system, current| {
            system.disconnect(current.pid.node(), node);
            system.fence_the_doomed(current);
        });
    }

    /// The nodes to which this one has a connection, in their order, as far as it knows.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        let mut peers = with(|system| system.host.peers(self.pid.node()));
        peers.sort_unstable();
        peers
    }

    /// The node of this name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        with(|system| system.node_named(name))
    }

    // ---- names

    /// Takes a name on this node. It is given back on every way out.
    ///
    /// # Errors
    /// Where another process holds it, or this one has a name already.
    pub fn register(&self, name: &str) -> Result<(), NameError> {
        act(|system, current| system.register(current, name)).unwrap_or(Ok(()))
    }

    /// Gives the name of this process back.
    pub fn unregister(&self) {
        let _ = act(System::unregister);
    }

    /// Who holds a name on this node.
    #[must_use]
    pub fn whereis(&self, name: &str) -> Option<Pid> {
        let node = self.node().index();
        with(|system| system.nodes[node].whereis(Name::new(name)))
    }

    // ---- time

    /// Virtual time, as this node's clock has it: it never goes back, and drifts where a fault makes it.
    #[must_use]
    pub fn now(&self) -> Time {
        with(|system| system.now_on(self.pid.node()))
    }

    /// Wall time on this node, since 1970: it may step, forward and back.
    #[must_use]
    pub fn wall_clock(&self) -> Duration {
        with(|system| {
            Duration::from_nanos(system.host.wall_ns(self.pid.node(), system.kernel.now()))
        })
    }

    /// Waits for a while of virtual time.
    pub async fn sleep(&self, duration: Duration) {
        Sleep(Alarm::new(duration)).await;
    }

    /// Works for a while: this node steps nothing else until it is over.
    pub async fn work(&self, duration: Duration) {
        let _ = act(|system, current| {
            let until = system.kernel.now() + duration;
            let node = current.pid.node();
            system.kernel.trace.emit(Event::Busy {
                node,
                until_ns: until.as_nanos(),
            });
            let group = system.nodes[node.index()].group;
            if let Err(reached) = system.kernel.stall_until(group, until) {
                system.stop(reached);
            }
        });
        self.yield_now().await;
    }

    /// Lets every other process that is ready step first, as far as the drawn order allows.
    pub async fn yield_now(&self) {
        let mut yielded = false;
        poll_fn(|cx| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            wait(0, cx);
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Sends `message` to `to` after a while. A timer to a pid dies with that process; a timer to a name
    /// looks the name up when it fires.
    pub fn send_after<N: Message>(&self, to: Address<N>, message: N, after: Duration) -> TimerRef {
        send_after(to, message, after)
    }

    /// Cancels a timer: the time that was left, and then it never fires; or nothing, and then its message
    /// may already be there.
    pub fn cancel_timer(&self, timer: TimerRef) -> Option<Duration> {
        cancel(timer)
    }

    /// The time that a timer has left; nothing where it has fired or was cancelled.
    #[must_use]
    pub fn read_timer(&self, timer: TimerRef) -> Option<Duration> {
        left(timer)
    }

    // ---- chance, and what observers see

    /// 64 random bits of this process's own: from the seed, and never calmed.
    #[must_use]
    pub fn random(&self) -> u64 {
        act(|system, current| {
            let task = system.kernel.tasks.get_mut(current.slot)?;
            let (who, choice) = (task.lineage, &mut system.kernel.choice);
            let stream: &mut Stream = task
                .data
                .extra()
                .stream
                .get_or_insert_with(|| Box::new(choice.stream(who)));
            let (nth, bits) = stream.draw();
            Some(choice.draw(Site::new(Kind::Program, who, nth), Shape::Bits(bits)))
        })
        .flatten()
        .unwrap_or(0)
    }

    /// A random number below `n`.
    ///
    /// # Panics
    /// Where `n` is 0.
    #[must_use]
    pub fn random_below(&self, n: u64) -> u64 {
        assert!(n > 0, "there is no number below 0 to draw");
        ((u128::from(self.random()) * u128::from(n)) >> 64) as u64
    }

    /// Writes a line into the log of the run. No digest and no property sees it.
    pub fn note(&self, text: impl fmt::Display) {
        let logs = with(|system| system.current().pid != Pid::NOBODY && system.kernel.trace.logs());
        let text = if logs { text.to_string() } else { return };
        // No call of the host: it would count towards a crash inside this poll only where a log is kept.
        with(|system| {
            if system.budget > 0 {
                system.kernel.trace.note(system.current.pid, || text);
            }
        });
    }

    /// Counts one under `key`, for coverage: see [`Context::count_by`].
    pub fn count(&self, key: &str) {
        self.count_by(key, 1);
    }

    /// Adds to the counter `key`, which begins at 0 and stays at the greatest `u64`. Counters lie outside
    /// the simulated world: crashes leave them alone, nothing in the world can read them, and counting
    /// changes no run. Properties read them, an outcome keeps them, and a sweep adds them up.
    pub fn count_by(&self, key: &str, by: u64) {
        with(|system| {
            system.current();
            // No call of the host, so that counting moves no crash inside a poll.
            if system.budget == 0 {
                return;
            }
            match system.counters.get_mut(key) {
                Some(count) => *count = count.saturating_add(by),
                None => drop(system.counters.insert(key.to_owned(), by)),
            }
        });
    }

    /// Notes something on the observers' board, for properties to read. The board lies outside the
    /// simulated world: crashes leave it alone, and nothing in the world can read it. A note counts among
    /// the calls of the host at which a crash inside a poll can fall: what a crashed process has not done,
    /// it has not noted either.
    ///
    /// The value under `key` begins as its default; one key holds one type.
    ///
    /// # Panics
    /// Where `key` holds a value of another type.
    pub fn observe<T: Any + Default>(&self, key: &str, note: impl FnOnce(&mut T)) {
        let taken = act(|system, _| system.board.remove(key));
        let Some(entry) = taken else { return };
        let mut entry = entry.unwrap_or_else(|| Box::new(T::default()));
        let Some(value) = entry.downcast_mut::<T>() else {
            panic!(
                "the board holds `{key}` with another type than {}",
                std::any::type_name::<T>()
            );
        };
        note(value);
        with(|system| system.board.insert(key.to_owned(), entry));
    }
}
