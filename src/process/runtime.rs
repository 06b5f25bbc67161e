//! The inward half of the seam: the processes of a host's nodes, and what the host tells them.
//!
//! A host makes a [`Runtime`], boots nodes in it, hands packets in, says which connections came up or were
//! lost, and lets it run up to a moment of the host's clock. It does nothing by itself: it has no thread, no
//! clock and no socket. The simulator drives its runs through the same functions.

use super::context::Context;
use super::exit::{ExitReason, IntoExit};
use super::host::{Core, Host, Packet};
use super::message::Message;
use super::spawn::spawn_root;
use super::step::{StepError, Stepped, bury, step, take_in};
use super::system::{Remains, System, install, with};
use super::waiting::Waiting;
use crate::choice::{Choice, Lineage};
use crate::kernel::{Beat, Bounds, Reached, Time};
use crate::trace::{Broken, Event, Limit, Name, Names, NodeId, Pid, Trace};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The processes of one node, or of several, with what they run on: driven by a host, on one thread.
///
/// `names` are those of all nodes of the cluster, this host's and its peers', in an order on which all hosts
/// agree, since pids hold a node's place in it. A node is down until it is booted; a peer stays so, and is
/// reached through [`Host::send`]. `choice` answers the draws (the order in which ready processes step, what
/// programs draw) as in a simulation; what it was asked and when depends on a real host's clock, so there a
/// seed does not repeat a run.
///
/// A host that goes on for ever sets no bound to the steps: [`Bounds::steps`] counts those of all time.
///
/// ```
/// use netsplit::choice::Choice;
/// use netsplit::process::{Core, Host, Packet, Runtime};
/// use netsplit::trace::{Broken, NodeId, Trace};
/// use netsplit::{Bounds, Context, Time, millis};
///
/// /// A host with one node and no peers.
/// struct Alone;
///
/// impl Host for Alone {
///     fn send(&mut self, _: Core<'_>, _: Box<Packet>) -> bool { false }
///     fn wait_until_writable(&mut self, _: NodeId, _: NodeId, _: (u32, u16)) {}
///     fn connect(&mut self, _: Core<'_>, _: NodeId, _: NodeId) {}
///     fn disconnect(&mut self, _: Core<'_>, _: NodeId, _: NodeId) -> Option<Broken> { None }
///     fn peers(&self, _: NodeId) -> Vec<NodeId> { Vec::new() }
///     fn wall_ns(&self, _: NodeId, now: Time) -> u64 { now.as_nanos() }
///     fn node(&self, name: &str) -> Option<NodeId> { (name == "only").then(|| NodeId::new(0)) }
/// }
///
/// let names = vec!["only".to_owned()].into();
/// let (choice, bounds) = (Choice::seeded(7), Bounds::default());
/// let mut runtime = Runtime::new(names, choice, Trace::new(), bounds, Box::new(Alone));
/// runtime.boot(NodeId::new(0), |ctx: Context| async move {
///     ctx.sleep(millis(5)).await;
///     ctx.observe("awake at", |at: &mut Option<Time>| *at = Some(ctx.now()));
/// })?;
/// runtime.run(Time::ZERO)?;
/// // Now the host waits until then, and for packets.
/// let next = runtime.next_at().expect("a timer");
/// runtime.run(next)?;
/// assert_eq!(runtime.observed("awake at"), Some(&Some(Time::ZERO + millis(5))));
/// assert_eq!(runtime.next_at(), None);
/// # Ok::<(), netsplit::process::StepError>(())
/// ```
pub struct Runtime {
    /// Absent while it stands in the thread-local, and once it was taken down.
    system: Option<Box<System>>,
    names: Names,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Runtime");
        text.field("names", &self.names).finish_non_exhaustive()
    }
}

impl Runtime {
    /// A runtime at time zero, with these nodes, of which none has booted.
    ///
    /// # Panics
    /// Where there are more than 16,384 names.
    #[must_use]
    pub fn new(
        names: Names,
        choice: Choice,
        trace: Trace,
        bounds: Bounds,
        host: Box<dyn Host>,
    ) -> Runtime {
        let mut system = System::new(choice, trace, bounds, host);
        for name in names.iter() {
            system.add_node(name);
        }
        Runtime {
            system: Some(Box::new(system)),
            names,
        }
    }

    /// A node boots: its first process is started, with the node's next incarnation. It is polled when the
    /// runtime runs.
    ///
    /// # Errors
    /// [`StepError::Reached`] after 4,096 incarnations.
    ///
    /// # Panics
    /// Where there is no such node, or it is up.
    pub fn boot<M, F>(
        &mut self,
        node: NodeId,
        process: impl FnOnce(Context<M>) -> F,
    ) -> Result<Pid, StepError>
    where
        M: Message,
        F: Future<Output: IntoExit> + 'static,
    {
        self.enter(|| Ok(boot(node, process)?))
    }

    /// A packet has come for a node of this host. Time does not move: a host that has let some pass runs up
    /// to now before.
    ///
    /// # Errors
    /// The packet, where it is from or for a node that none of the names stands for.
    pub fn take_in(&mut self, packet: Box<Packet>) -> Result<(), Box<Packet>> {
        let is_known = |node: NodeId| node.index() < self.names.len();
        if !is_known(packet.id.from.node()) || !is_known(packet.to.node()) {
            return Err(packet);
        }
        self.enter(|| take_in(packet));
        Ok(())
    }

    /// A node of this host has a connection to a peer: its listeners hear of it.
    ///
    /// # Panics
    /// Where there is no such node; so do all that follow.
    pub fn node_up(&mut self, node: NodeId, peer: NodeId) {
        self.tell((node, peer, None));
    }

    /// A node of this host has lost its connection to a peer, or could not set one up: its links, monitors
    /// and calls across it break, and its listeners hear of it.
    pub fn node_down(&mut self, node: NodeId, peer: NodeId, why: Broken) {
        self.tell((node, peer, Some(why)));
    }

    fn tell(&mut self, news: News) {
        self.enter(|| {
            tell([news]);
            bury();
        });
    }

    /// Does all that is due up to a moment, which it is then: each step is at the moment at which it became
    /// due, so what the host was late for does not shift what comes after it. A moment that is over already
    /// stands for now.
    ///
    /// Gives the first processes that have ended meanwhile, with their reasons: by a failure, or because
    /// their node was asked to stop. Their nodes stay up until they are halted.
    ///
    /// # Errors
    /// [`StepError`] where it cannot go on; it must not be run again.
    pub fn run(&mut self, until: Time) -> Result<Vec<(Pid, ExitReason)>, StepError> {
        self.enter(|| {
            let mut ended = Vec::new();
            loop {
                match step(until, true)? {
                    Stepped::Quiet(_) => break,
                    Stepped::RootEnded => {
                        ended.append(&mut with(|system| std::mem::take(&mut system.ended_roots)));
                    }
                    Stepped::Polled | Stepped::Host(_) | Stepped::Tripped(_) => {}
                }
            }
            with(|system| system.kernel.pass(until));
            Ok(ended)
        })
    }

    /// A disk that hung goes on: what this process has asked of it
    /// ([`Takes::Hangs`](super::Takes::Hangs)) is done.
    pub fn files_go_on(&mut self, pid: Pid) {
        self.enter(|| with(|system| system.files_go_on(pid)));
    }

    /// When it has something to do next: now, where a process is ready; never, where nothing is to come but
    /// from outside.
    #[must_use]
    pub fn next_at(&self) -> Option<Time> {
        self.system.as_ref()?.kernel.next_at()
    }

    /// Asks a node to stop: its first process is asked to exit with `shutdown`. When it has ended,
    /// [`Runtime::run`] tells so.
    pub fn stop(&mut self, node: NodeId) {
        self.enter(|| ask_to_stop(node));
    }

    /// A node goes down at once: its processes are gone, and what they would still send is discarded. It may
    /// boot again. Its connections are the host's to close.
    pub fn halt(&mut self, node: NodeId) {
        self.enter(|| {
            with(|system| {
                let incarnation = system.nodes[node.index()].incarnation();
                system.node_ends(node.index(), Event::Halt { node, incarnation });
            });
            bury();
        });
    }

    /// The host, and what it may use of the core: its clock, its draws, its agenda and trace, and to release
    /// those who wait for a connection.
    #[must_use]
    pub fn core(&mut self) -> (&mut dyn Host, Core<'_>) {
        self.system().core()
    }

    /// What processes have noted on the board under this key, where it has this type.
    #[must_use]
    pub fn observed<T: Any>(&self, key: &str) -> Option<&T> {
        self.system.as_ref()?.board.get(key)?.downcast_ref()
    }

    /// Who holds a name on a node of this host.
    #[must_use]
    pub fn whereis(&self, node: NodeId, name: &str) -> Option<Pid> {
        let state = self.system.as_ref()?.nodes.get(node.index())?;
        state.whereis(Name::new(name))
    }

    /// What each live process waits for, in the order of nodes and pids.
    #[must_use]
    pub fn waiting(&mut self) -> Vec<Waiting> {
        self.system().waiting()
    }

    /// Processes of this host that wait for each other's answers in a ring, the least pid first.
    #[must_use]
    pub fn call_ring(&mut self) -> Option<Vec<Pid>> {
        self.system().call_ring()
    }

    /// From now on the watchdog looks at its polls: it names a process whose poll does not return.
    pub fn watch(&mut self, beat: Arc<Beat>) {
        self.system().beat = Some(beat);
    }

    /// Runs `code` with this runtime as the thread's own.
    pub(crate) fn enter<R>(&mut self, code: impl FnOnce() -> R) -> R {
        install(&mut self.system, &self.names, code)
    }

    fn system(&mut self) -> &mut System {
        match &mut self.system {
            Some(system) => system,
            None => unreachable!("a runtime is whole where nothing of it runs"),
        }
    }

    /// Ends it: drops all processes, and gives the draws back. To drop the runtime ends it too.
    #[must_use]
    pub fn retire(mut self) -> Choice {
        match self.take_down() {
            Some(choice) => choice,
            None => unreachable!("a runtime is taken down once"),
        }
    }

    fn take_down(&mut self) -> Option<Choice> {
        self.system.as_ref()?;
        self.enter(|| {
            with(System::empty);
            bury();
        });
        Some(self.system.take()?.kernel.retire())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.take_down();
    }
}

/// A node of the runtime that has been entered boots.
pub(crate) fn boot<M, F>(
    node: NodeId,
    process: impl FnOnce(Context<M>) -> F,
) -> Result<Pid, Reached>
where
    M: Message,
    F: Future<Output: IntoExit> + 'static,
{
    let lineage = with(|system| system.boot(node))?;
    let pid = spawn_root(node, lineage, process);
    bury();
    Ok(pid)
}

/// What processes of a node are to hear of its connection to another: up, or down and why.
pub(crate) type News = (NodeId, NodeId, Option<Broken>);

/// Processes hear of connections that came up or were lost.
pub(crate) fn tell(news: impl IntoIterator<Item = News>) {
    with(|system| {
        for (node, peer, why) in news {
            match why {
                None => system.node_up(node, peer),
                Some(why) => system.node_down(node, peer, why),
            }
        }
    });
}

/// A node's first process is asked to exit, and is among those that ended when it has.
pub(crate) fn ask_to_stop(node: NodeId) {
    with(|system| {
        system.kernel.trace.emit(Event::Stopping { node });
        let state = &mut system.nodes[node.index()];
        state.stopping = true;
        let root = state.root;
        if system.find(root).is_ok() {
            system.exit_signal(Pid::NOBODY, root, ExitReason::Shutdown);
            system.settle();
        } else {
            system.ended_roots.push((root, ExitReason::Normal));
        }
    });
    bury();
}

impl System {
    /// Begins a node's next incarnation: the lineage of its first process.
    fn boot(&mut self, node: NodeId) -> Result<Lineage, Reached> {
        let state = &self.nodes[node.index()];
        assert!(!state.up, "{node} is up: it boots when it is down");
        let (lineage, incarnation) = (state.lineage, state.boots);
        if incarnation >= Pid::INCARNATIONS {
            let most = u64::from(Pid::INCARNATIONS);
            return Err(self.kernel.reached(Limit::Incarnations, most));
        }
        let boot = self.kernel.choice.boot(lineage, incarnation);
        let group = self.kernel.group(boot);
        self.nodes[node.index()].boot(group);
        self.kernel.trace.emit(Event::Boot { node, incarnation });
        Ok(boot)
    }

    /// Puts everything that code of users has made into the graveyard.
    fn empty(&mut self) {
        for task in self.kernel.tasks.drain() {
            self.graveyard.extend(task.body.map(Remains::Body));
            self.graveyard
                .extend(task.data.mailbox.map(Remains::Mailbox));
            self.graveyard.extend(task.data.extra.map(Remains::Extra));
        }
        self.drop_all_delayed();
    }
}
