//! Scripted tests: a function that drives a run, step by step.

use super::disk_fault::DiskTrouble;
use super::fault::Fault;
use super::faults::{FaultError, checked};
use super::plan::GRACE;
use super::run::{Boot, Node, Run, Still};
use super::view::{Unreadable, View};
use crate::choice::{Kind, Lineage, Shape, Site, Stream, valid_name};
use crate::kernel::Time;
use crate::net::{Cut, PacketFault};
use crate::process::{self, Context, IntoExit, Message, with};
use crate::trace::NodeId;
use std::any::Any;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

/// A script, as a scenario keeps it.
pub(crate) type Script = Arc<dyn Fn(&mut Sim<'_, '_>) + Send + Sync>;

/// For as long as one likes.
const EVER: Duration = Duration::MAX;

/// A run in the hands of a script: boots nodes, lets time pass, applies faults, looks into servers.
///
/// A script is ordinary code between the steps of the run: it asserts with `assert!`, and its panic fails
/// the seed, with the same report as a property. Get one with [`Scenario::script`](super::Scenario::script).
///
/// ```
/// use netsplit::{Address, Context, Scenario, check, secs};
///
/// fn counter(ctx: Context<u64>) -> impl Future<Output = ()> {
///     async move {
///         ctx.register("counter").expect("a free name");
///         loop {
///             let add = ctx.receive_message().await;
///             ctx.observe("sum", |sum: &mut u64| *sum += add);
///         }
///     }
/// }
///
/// check(Scenario::new("a partition delays").script(|sim| {
///     sim.node("a", counter);
///     sim.client("b", |ctx: Context| async move {
///         ctx.sleep(secs(1)).await;
///         Address::<u64>::named("a", "counter").send(1);
///     });
///     sim.partition(["a"], ["b"]);
///     sim.run_for(secs(5));
///     assert_eq!(sim.observed("sum"), None::<u64>);
///     sim.heal();
///     assert!(sim.run_until(secs(1), |view| view.observed("sum") == Some(&1u64)));
/// }));
/// ```
#[derive(Debug)]
pub struct Sim<'r, 'a> {
    run: &'r mut Run<'a>,
    stream: Option<Stream>,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("nodes", &self.names)
            .finish_non_exhaustive()
    }
}

impl<'r, 'a> Sim<'r, 'a> {
    pub(super) fn new(run: &'r mut Run<'a>) -> Sim<'r, 'a> {
        Sim { run, stream: None }
    }

    // ---- nodes

    /// A node more, which boots this process now, and at each boot from then on.
    ///
    /// # Panics
    /// Where the name does not do, or another node has it.
    #[track_caller]
    pub fn node<M, F>(&mut self, name: &str, boot: impl Fn(Context<M>) -> F + Send + Sync + 'static)
    where
        M: Message,
        F: Future<Output: IntoExit> + 'static,
    {
        self.add(name, false, boot);
    }

    /// A client more: a node whose panic fails the run.
    ///
    /// # Panics
    /// Where the name does not do, or another node has it.
    #[track_caller]
    pub fn client<M, F>(
        &mut self,
        name: &str,
        work: impl Fn(Context<M>) -> F + Send + Sync + 'static,
    ) where
        M: Message,
        F: Future<Output: IntoExit> + 'static,
    {
        self.add(name, true, work);
    }

    fn add<M, F>(
        &mut self,
        name: &str,
        client: bool,
        boot: impl Fn(Context<M>) -> F + Send + Sync + 'static,
    ) where
        M: Message,
        F: Future<Output: IntoExit> + 'static,
    {
        assert!(
            valid_name(name),
            "`{name}` cannot name a node: see `Scenario::node`"
        );
        assert!(
            find(name).is_none(),
            "two nodes are named `{name}`: every node needs a name of its own"
        );
        let boot: Boot = Arc::new(move |node| process::boot(node, &boot));
        let id = with(|system| {
            let id = system.add_node(name);
            let owner = system.nodes[id.index()].lineage;
            let (world, _) = system.world();
            world.add_machine(None, owner);
            Arc::make_mut(&mut world.ids).insert(name.to_owned(), id);
            id
        });
        self.run.more.push(Node {
            name: name.to_owned(),
            client,
            spared: client,
            boot,
        });
        self.run.name(name.to_owned());
        self.run.boot(id);
        self.over();
    }

    /// Boots a node that is down; one that is up stays as it is.
    ///
    /// # Panics
    /// Where the cluster has no such node.
    #[track_caller]
    pub fn boot(&mut self, node: &str) {
        let id = named(node);
        if !self.is_up(node) {
            self.run.boot(id);
            self.run.tell_news();
        }
        self.over();
    }

    // ---- time

    /// Lets so much virtual time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now() + time;
        self.run.go(until, None);
        self.over();
        self.pass(until);
    }

    /// Lets time pass until `is_so` says true after a step, but for `most` at most; whether it did.
    pub fn run_until(&mut self, most: Duration, mut is_so: impl FnMut(&View) -> bool) -> bool {
        let until = self.now() + most;
        let mut looks = || View::looking(|view| is_so(view));
        if looks() {
            return true;
        }
        let still = self.run.go(until, Some(&mut looks));
        self.over();
        if still != Still::So {
            self.pass(until);
        }
        still == Still::So
    }

    /// Nothing happens any more up to a moment: it is that moment now.
    fn pass(&mut self, until: Time) {
        with(|system| system.kernel.pass(until));
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        with(|system| system.kernel.now())
    }

    /// A violated property, or a run that cannot go on, ends the script here.
    fn over(&self) {
        if self.run.is_over() {
            resume_unwind(Box::new("the run is over"));
        }
    }

    // ---- faults

    /// Applies a fault now. Where its node is not in the state for it, nothing happens, and the trace says
    /// so.
    ///
    /// # Errors
    /// [`FaultError`], where it names a node that is not there, or makes no sense.
    pub fn apply(&mut self, fault: Fault<String>) -> Result<(), FaultError> {
        checked(&fault)?;
        let resolved = fault.map(|name| {
            find(name).ok_or_else(|| FaultError::Node {
                fault: Box::new(fault.clone()),
                node: name.clone(),
            })
        })?;
        self.run.inject(resolved);
        self.over();
        Ok(())
    }

    #[track_caller]
    fn must(&mut self, fault: Fault<String>) {
        if let Err(error) = self.apply(fault) {
            panic!("{error}");
        }
    }

    /// Crashes a node between two steps. It stays down until it is booted.
    ///
    /// # Panics
    /// Where the cluster has no such node; so do all that follow.
    #[track_caller]
    pub fn crash(&mut self, node: &str) {
        self.must(Fault::Crash {
            node: node.to_owned(),
            call: 0,
            down_for: None,
        });
    }

    /// Takes the power from a machine: its peers hear nothing of it. It stays down until it is booted.
    #[track_caller]
    pub fn power_cut(&mut self, node: &str) {
        self.must(Fault::PowerCut {
            node: node.to_owned(),
            down_for: None,
        });
    }

    /// Asks a node to stop; after 5 s it is killed. It stays down until it is booted.
    #[track_caller]
    pub fn stop(&mut self, node: &str) {
        self.must(Fault::Stop {
            node: node.to_owned(),
            grace: GRACE,
            down_for: None,
        });
    }

    /// Pauses a node until it is resumed.
    #[track_caller]
    pub fn pause(&mut self, node: &str) {
        self.must(Fault::pause(node, EVER));
    }

    /// Ends what [`Sim::pause`] began; nothing where the node is not paused.
    ///
    /// # Panics
    /// Where the cluster has no such node.
    #[track_caller]
    pub fn resume(&mut self, node: &str) {
        let id = named(node);
        self.end(|fault| matches!(fault, Fault::Pause { node, .. } if *node == id));
    }

    /// Makes a node slow until it goes down: each of its steps costs so much; 0 makes it fast again.
    #[track_caller]
    pub fn slow(&mut self, node: &str, step: Duration) {
        self.must(Fault::slow(node, step, EVER));
    }

    /// Writes a node off: a new incarnation boots in its place, while the old one runs on, cut off until
    /// [`Sim::heal`].
    #[track_caller]
    pub fn zombie(&mut self, node: &str) {
        self.must(Fault::zombie(node, EVER));
    }

    /// Cuts the network between two sets of nodes, until it is healed. Nodes in neither reach both.
    ///
    /// # Panics
    /// Where the cluster has no node of such a name, or there are not two nodes to be cut apart.
    #[track_caller]
    pub fn partition<'n>(
        &mut self,
        a: impl IntoIterator<Item = &'n str>,
        b: impl IntoIterator<Item = &'n str>,
    ) {
        self.must(Fault::cut(Cut::between(a, b), EVER));
    }

    /// Cuts the network in one direction, until it is healed.
    #[track_caller]
    pub fn partition_one_way<'n>(
        &mut self,
        from: impl IntoIterator<Item = &'n str>,
        to: impl IntoIterator<Item = &'n str>,
    ) {
        self.must(Fault::cut(Cut::one_way(from, to), EVER));
    }

    /// Cuts one node off from all others, until it is healed.
    ///
    /// # Panics
    /// Where the cluster has no such node, or no other.
    #[track_caller]
    pub fn isolate(&mut self, node: &str) {
        let names = self.run.names.clone();
        let others = names
            .iter()
            .map(String::as_str)
            .filter(|name| *name != node);
        self.partition([node], others);
    }

    /// Mends every cut.
    pub fn heal(&mut self) {
        self.end(|fault| matches!(fault, Fault::Cut { .. } | Fault::Zombie { .. }));
    }

    /// Breaks the connection between two nodes, if there is one.
    #[track_caller]
    pub fn break_connection(&mut self, a: &str, b: &str) {
        self.must(Fault::break_connection(a, b));
    }

    /// Kills the process that holds this name on a node, if one does. What else can befall a process goes
    /// through [`Sim::apply`].
    ///
    /// # Panics
    /// Where the cluster has no such node.
    #[track_caller]
    pub fn kill(&mut self, node: &str, name: &str) {
        self.must(Fault::kill(node, name));
    }

    /// Fills the disk of a node, until [`Sim::mend_disk`]: nothing more goes in. What else can befall a disk
    /// goes through [`Sim::apply`].
    ///
    /// # Panics
    /// Where the cluster has no such node; so do those that follow about disks.
    #[track_caller]
    pub fn fill_disk(&mut self, node: &str) {
        self.must(Fault::full_disk(node, EVER));
    }

    /// Lets everything take so many times as long on the disk of a node, until [`Sim::mend_disk`].
    #[track_caller]
    pub fn slow_disk(&mut self, node: &str, times: u32) {
        self.must(Fault::slow_disk(node, times, EVER));
    }

    /// Lets the disk of a node hang, until [`Sim::mend_disk`].
    #[track_caller]
    pub fn hang_disk(&mut self, node: &str) {
        self.must(Fault::hang_disk(node, EVER));
    }

    /// The disk of a node is neither full nor slow any more, and what hung goes on.
    #[track_caller]
    pub fn mend_disk(&mut self, node: &str) {
        self.end_of_disk(node, |what| !matches!(what, DiskTrouble::RollBack { .. }));
    }

    /// Remembers the disk of a node as it is now, for [`Sim::roll_back_disk`].
    #[track_caller]
    pub fn remember_disk(&mut self, node: &str) {
        self.must(Fault::Disk {
            node: node.to_owned(),
            what: DiskTrouble::RollBack {
                age: EVER,
                down_for: None,
            },
        });
    }

    /// Takes the power from a machine, and makes its disk what [`Sim::remember_disk`] has remembered; nothing
    /// where nothing is. It stays down until it is booted.
    #[track_caller]
    pub fn roll_back_disk(&mut self, node: &str) {
        self.end_of_disk(node, |what| matches!(what, DiskTrouble::RollBack { .. }));
    }

    /// Takes the power from a machine, and empties its disk. It stays down until it is booted.
    #[track_caller]
    pub fn wipe_disk(&mut self, node: &str) {
        self.must(Fault::Disk {
            node: node.to_owned(),
            what: DiskTrouble::Wipe { down_for: None },
        });
    }

    #[track_caller]
    fn end_of_disk(&mut self, node: &str, which: impl Fn(&DiskTrouble) -> bool) {
        let id = named(node);
        self.end(|fault| matches!(fault, Fault::Disk { node, what } if *node == id && which(what)));
    }

    /// Steps the wall clock of a node forward.
    #[track_caller]
    pub fn clock_forward(&mut self, node: &str, by: Duration) {
        self.must(Fault::clock_forward(node, by));
    }

    /// Steps the wall clock of a node back.
    #[track_caller]
    pub fn clock_back(&mut self, node: &str, by: Duration) {
        self.must(Fault::clock_back(node, by));
    }

    /// Lets the clock of a node drift from now on, by so many parts in a million; too slow where negative.
    ///
    /// # Panics
    /// Where the cluster has no such node, or it is a million or more, either way.
    #[track_caller]
    pub fn drift(&mut self, node: &str, parts_per_million: i32) {
        self.must(Fault::drift(node, parts_per_million));
    }

    /// From now on this befalls packets, until [`Sim::release`].
    ///
    /// # Panics
    /// Where it makes no sense, its window is over, or it names a node that is not there.
    #[track_caller]
    pub fn packets(&mut self, fault: &PacketFault) {
        let rule = fault.rule(find);
        match rule.and_then(|rule| fault.after(self.now()).map(|()| rule)) {
            Ok(rule) => with(|system| system.world().0.network.add_rule(rule)),
            Err(error) => panic!("{error}"),
        }
    }

    /// No fault aimed at packets is left, and what was held comes now.
    pub fn release(&mut self) {
        with(|system| {
            let (world, mut core) = system.world();
            world.network.set_rules(Vec::new());
            world.release_held(&mut core);
        });
    }

    /// All faults stop, those of the scenario's profile too, and everything is healed: nodes that were to
    /// reboot do so now.
    pub fn quiet(&mut self) {
        self.run.quiet();
        self.run.tell_news();
        self.over();
    }

    fn end(&mut self, which: impl Fn(&Fault) -> bool) {
        let active = with(|system| system.active_faults());
        for (number, _) in active.iter().filter(|(_, fault)| which(fault)) {
            self.run.end_fault(*number);
        }
        self.run.tell_news();
        self.over();
    }

    // ---- looking

    /// Looks at the run as a property does.
    pub fn view<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        View::looking(look)
    }

    /// Whether a node is up.
    ///
    /// # Panics
    /// Where the cluster has no such node.
    #[must_use]
    #[track_caller]
    pub fn is_up(&self, node: &str) -> bool {
        let id = named(node);
        with(|system| system.nodes[id.index()].up)
    }

    /// What processes have noted under `key`.
    ///
    /// # Panics
    /// Where it is of another type.
    #[must_use]
    pub fn observed<T: Any + Clone>(&self, key: &str) -> Option<T> {
        View::looking(|view| view.observed::<T>(key).cloned())
    }

    /// Reads the state of the server that holds `name` on `node`, between its messages.
    ///
    /// # Errors
    /// [`Unreadable`]: while a handler of it is suspended a read answers `Busy`.
    ///
    /// # Panics
    /// Where the cluster has no such node.
    #[track_caller]
    pub fn server<S: 'static, R>(
        &self,
        node: &str,
        name: &str,
        read: impl FnOnce(&S) -> R,
    ) -> Result<R, Unreadable> {
        View::looking(|view| view.server(node, name, read))
    }

    /// A random number below `n`, of the script's own: from the seed.
    ///
    /// # Panics
    /// Where `n` is 0.
    pub fn random_below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "there is no number below 0 to draw");
        let bits = with(|system| {
            let choice = &mut system.kernel.choice;
            let stream = self
                .stream
                .get_or_insert_with(|| choice.stream(Lineage::RUN));
            let (nth, bits) = stream.draw();
            choice.draw(
                Site::new(Kind::Program, Lineage::RUN, nth),
                Shape::Bits(bits),
            )
        });
        ((u128::from(bits) * u128::from(n)) >> 64) as u64
    }
}

fn find(name: &str) -> Option<NodeId> {
    with(|system| system.host.node(name))
}

#[track_caller]
fn named(name: &str) -> NodeId {
    match find(name) {
        Some(id) => id,
        None => panic!("the cluster has no node named `{name}`"),
    }
}
