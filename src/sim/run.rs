//! One run: the cluster booted, stepped to its horizon, looked at, and taken down.

use super::disks::Disks;
use super::faults::Rates;
use super::observe::{Observation, Observer};
use super::outcome::{Outcome, RunError, Violation, print_pid};
use super::plan::{Plan, Planned};
use super::property::Property;
use super::script::{Script, Sim};
use super::tracing::listening;
use super::waits::Waits;
use super::watch::Watch;
use super::world::{Due, World};
use crate::check::{Delivery, Supervisors};
use crate::choice::{Choice, Chooser, Lineage, Oracle, Tape};
use crate::disk;
use crate::kernel::{Beat, Bounds, Reached, Time, run_user};
use crate::net::{Connections, Model, Settings};
use crate::process::{ExitReason, Runtime, StepError, Stepped, System, bury, step, tell, with};
use crate::trace::{Fate, Names, NodeId, Pid, Trace};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Boots a node: starts its first process.
pub(crate) type Boot = Arc<dyn Fn(NodeId) -> Result<Pid, Reached> + Send + Sync>;

/// A node, as it is declared.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client: bool,
    /// Drawn faults leave it alone.
    pub(crate) spared: bool,
    pub(crate) boot: Boot,
}

/// Who answers the draws of a run.
#[derive(Debug)]
pub enum Chance {
    /// A seed.
    Seed(u64),
    /// A tape.
    Tape(Tape),
    /// An oracle of one's own, over a seed.
    Oracle(u64, Box<dyn Oracle>),
    /// A seed, and one who chooses what comes next.
    Chooser(u64, Box<dyn Chooser>),
}

/// What is kept of a run besides its digest and its books. Nothing of it changes the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Every event, with texts.
    pub log: bool,
    /// Every draw.
    pub draws: bool,
    /// A second digest, over local payloads.
    pub payloads: bool,
}

/// What all runs of a scenario share.
pub(crate) struct Cluster {
    pub(crate) scenario: String,
    pub(crate) names: Names,
    pub(crate) ids: Arc<FxHashMap<String, NodeId>>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) model: Model,
    pub(crate) settings: Settings,
    pub(crate) disk: disk::Settings,
    pub(crate) budgets: Vec<disk::Budget>,
    pub(crate) rates: Rates,
    pub(crate) by_hand: Vec<Planned>,
    pub(crate) calm: bool,
    pub(crate) properties: Vec<Property>,
    pub(crate) script: Option<Script>,
    pub(crate) horizon: Time,
    pub(crate) faults_end: Time,
    pub(crate) bounds: Bounds,
}

/// A run while it is made.
pub(crate) struct Run<'a> {
    pub(super) cluster: &'a Cluster,
    /// The nodes that are not the cluster's: added by a script, or in another's place.
    pub(super) more: Vec<Node>,
    pub(super) names: Names,
    /// How many faults were not planned.
    pub(super) injected: u32,
    /// Faults have stopped: what is still planned does not begin.
    pub(super) is_quiet: bool,
    supervisors: Rc<RefCell<Supervisors>>,
    delivery: Rc<RefCell<Delivery>>,
    watch: Watch<'a>,
    violation: Option<Violation>,
    error: Option<RunError>,
    /// Who waits for a moment of the run.
    observer: Option<&'a mut Observer>,
}

/// Why a run stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Still {
    /// The moment has come that was asked for; `true`: and there is nothing after it either.
    Quiet(bool),
    /// What was asked for is so.
    So,
    /// It is over: a property is violated, or it cannot go on.
    Over,
}

thread_local! {
    static BEAT: RefCell<Option<Arc<Beat>>> = const { RefCell::new(None) };
}

/// The property that supervisors keep OTP's rules.
const SUPERVISION: &str = "supervision";

/// The property that mail keeps its promises.
const DELIVERY: &str = "mail is delivered";

/// The property that a script's own assertions stand for.
pub(crate) const SCRIPT: &str = "the script runs to its end";

impl Cluster {
    /// Makes one run.
    pub(crate) fn run(&self, chance: Chance, keep: Keep) -> Outcome {
        self.observed_run(chance, keep, None)
    }

    /// The cluster as it is at a moment of a run; and when the run ended, where that was before. Nothing
    /// where two runs of one chance differ.
    pub(crate) fn observe(&self, chance: impl Fn() -> Chance, at: Time) -> Option<Observation> {
        let mut observer = Observer::new(at);
        let first = self.observed_run(chance(), Keep::default(), Some(&mut observer));
        observer.again();
        let second = self.observed_run(chance(), Keep::default(), Some(&mut observer));
        let cut_short = first.violation.is_some() || first.error.is_some();
        let end = match self.script.is_some() || cut_short {
            true => first.at,
            false => self.horizon,
        };
        let mut snapshot = observer.seen().filter(|_| first.digest == second.digest)?;
        let ended = (end < at).then_some(end);
        snapshot.at = end.min(at);
        Some(Observation { snapshot, ended })
    }

    fn observed_run(&self, chance: Chance, keep: Keep, observer: Option<&mut Observer>) -> Outcome {
        let choice = match chance {
            Chance::Seed(seed) => Choice::seeded(seed),
            Chance::Tape(tape) => Choice::taped(&tape),
            Chance::Oracle(seed, oracle) => Choice::answered_by(seed, oracle),
            Chance::Chooser(seed, chooser) => Choice::chosen_by(seed, chooser),
        };
        let mut choice = if keep.draws || keep.log {
            choice.recorded(keep.draws)
        } else {
            choice
        };
        let seed = choice.seed();
        let supervisors = Rc::<RefCell<Supervisors>>::default();
        let mut trace = Trace::new();
        trace.watched_by(Box::new(supervisors.clone()));
        let delivery = Rc::<RefCell<Delivery>>::default();
        trace.mail_watched_by(Box::new(delivery.clone()));
        if keep.log {
            trace.keep_log();
        }
        if keep.payloads {
            trace.digest_payloads();
        }
        let mut rates = self.rates.clone();
        rates.draw(&mut choice);
        let mut model = self.model.clone();
        model.set_faults(rates.packets.clone());
        let connections = Connections::new(self.settings);
        let disk_faults = rates.disks.operations.clone();
        let mut world = World::new(
            model,
            connections,
            rates,
            self.ids.clone(),
            self.nodes.len(),
            Disks::new(self.disk.clone(), disk_faults),
        );
        world.delivery = delivery.clone();
        let (names, bounds) = (self.names.clone(), self.bounds.clone());
        let mut runtime = Runtime::new(names, choice, trace, bounds, Box::new(world));
        runtime.watch(self.beat(seed));
        let outcome = runtime.enter(|| {
            let make = || {
                let mut run = Run {
                    cluster: self,
                    more: Vec::new(),
                    names: self.names.clone(),
                    injected: 0,
                    is_quiet: false,
                    supervisors,
                    delivery,
                    watch: Watch::new(&self.properties, healed(self.calm, self.faults_end)),
                    violation: None,
                    error: None,
                    observer,
                };
                run.drive();
                run.conclude(seed)
            };
            if keep.log {
                listening(with(|system| system.kernel.epoch.number()), make)
            } else {
                make()
            }
        });
        let (draws, lineages, drift) = runtime.retire().finish();
        Outcome {
            draws,
            lineages,
            drift,
            ..outcome
        }
    }

    fn beat(&self, seed: u64) -> Arc<Beat> {
        BEAT.with(|slot| {
            let mut slot = slot.borrow_mut();
            let beat = match slot.take().filter(|beat| beat.is_of(&self.scenario)) {
                Some(beat) => beat,
                None => Beat::new(&self.scenario, self.names.clone(), self.bounds.poll),
            };
            beat.seed(seed);
            slot.insert(beat).clone()
        })
    }
}

impl Run<'_> {
    fn drive(&mut self) {
        self.plan();
        for index in 0..self.cluster.nodes.len() {
            self.boot(NodeId::new(index));
        }
        match &self.cluster.script {
            None => {
                let horizon = self.cluster.horizon;
                if let Still::Quiet(true) = self.go(horizon, None) {
                    self.error = unknown_wait();
                }
                // The clock stands where something happened last.
                with(|system| system.world().0.nothing_before = horizon);
            }
            Some(script) => {
                let ended = run_user(|| script(&mut Sim::new(self)));
                if let Err(panicked) = ended
                    && !self.is_over()
                {
                    let place = panicked.place.unwrap_or_default();
                    let detail = format!("{}\n{place}", panicked.message);
                    self.violation = Some(Violation::now(SCRIPT, detail));
                }
            }
        }
        self.look();
        with(|system| system.kernel.trace.show_rest());
        if !self.is_over() {
            let violation = self.roots_ended().or_else(|| self.broken_rule());
            let violation = violation.or_else(|| self.watch.at_end());
            self.violation = violation;
        }
    }

    /// Lets the observer look, where there is one.
    fn look(&mut self) {
        if let Some(observer) = &mut self.observer {
            observer.look();
        }
    }

    /// Whether a property is violated, or the run cannot go on.
    pub(super) fn is_over(&self) -> bool {
        self.violation.is_some() || self.error.is_some()
    }

    /// Does what comes next, up to `until`, or until something is so that is looked at after each step.
    pub(super) fn go(&mut self, until: Time, mut is_so: Option<&mut dyn FnMut() -> bool>) -> Still {
        while !self.is_over() {
            let many = is_so.is_none() && self.watch.is_idle() && self.observer.is_none();
            self.look();
            match step(until, many) {
                Err(error) => self.error = Some(step_error(error)),
                Ok(Stepped::Quiet(over)) => return Still::Quiet(over),
                Ok(Stepped::Host(number)) => self.host_event(Due::of(number)),
                Ok(Stepped::Tripped(node)) => self.crash(node),
                Ok(Stepped::RootEnded) => self.violation = self.roots_ended(),
                Ok(Stepped::Polled) => {}
            }
            if self.violation.is_none() {
                let wrong = self.broken_rule();
                self.violation = wrong.or_else(|| self.watch.after_step());
            }
            if let Some(is_so) = &mut is_so
                && !self.is_over()
                && is_so()
            {
                return Still::So;
            }
        }
        Still::Over
    }

    /// Draws the faults, and puts them on the agenda.
    fn plan(&mut self) {
        let cluster = self.cluster;
        let first = with(|system| {
            let nodes = system.nodes.iter().zip(&cluster.nodes);
            let servers = nodes
                .filter(|(_, node)| !node.spared)
                .map(|(s, _)| (s.id, s.lineage));
            let servers: Vec<_> = servers.collect();
            let all = system.nodes.iter().map(|node| (node.id, node.lineage));
            let all: Vec<_> = all.collect();
            let (world, mut core) = system.world();
            for budget in &cluster.budgets {
                for (on, path) in budget.spared(core.choice()) {
                    let node = all.iter().find(|(_, lineage)| *lineage == on);
                    if let Some((node, _)) = node {
                        world.disks.spare_file(*node, path);
                    }
                }
            }
            let (rates, end) = (&world.rates, cluster.faults_end);
            let plan = Plan::draw(core.choice(), rates, &cluster.by_hand, &servers, end);
            let strikes = rates.strike() || !core.choice().is_seeded();
            let mut first = Vec::new();
            for (index, planned) in plan.faults().iter().enumerate() {
                if planned.at == Time::ZERO && planned.fault.waits() {
                    first.push(index as u32);
                    continue;
                }
                let number = Due::Planned(index as u32).number();
                let (who, nth) = planned.site;
                core.arm(planned.at, who, nth, number);
            }
            if !cluster.calm && cluster.script.is_none() {
                core.arm(end, Lineage::RUN, u32::MAX, Due::Quiet.number());
            }
            world.plan = plan;
            system.strikes |= strikes;
            first
        });
        // Before anything boots, so that it hits what starts first.
        first
            .into_iter()
            .for_each(|number| self.begin_fault(number));
    }

    fn host_event(&mut self, due: Due) {
        match due {
            Due::Packet(_) | Due::Head(_) => {}
            Due::Late(end) => with(|system| {
                let (world, mut core) = system.world();
                world.late(&mut core, end);
            }),
            Due::Planned(_) if self.is_quiet => {}
            Due::Planned(number) => self.begin_fault(number),
            Due::Over(number) => self.end_fault(number),
            Due::Flap(number) => self.flap(number),
            Due::Reboot(node) => self.reboot(node),
            Due::GraceOver(node) => self.grace_over(node),
            Due::Quiet => self.quiet(),
        }
        self.tell_news();
    }

    /// Processes hear of connections that came up or were lost.
    pub(super) fn tell_news(&mut self) {
        loop {
            let news = with(|system| std::mem::take(&mut system.world().0.news));
            if news.is_empty() {
                break;
            }
            tell(news);
        }
        bury();
    }

    /// What a node is made of.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        let own = self.cluster.nodes.len();
        match id.index().checked_sub(own) {
            None => &self.cluster.nodes[id.index()],
            Some(more) => &self.more[more],
        }
    }

    /// A node comes up, with a new incarnation.
    pub(super) fn boot(&mut self, node: NodeId) {
        with(|system| {
            let (world, mut core) = system.world();
            world.downs[node.index()].reboot = None;
            world.come(&mut core, node);
        });
        let Node { boot, spared, .. } = self.node(node);
        let spared = *spared;
        if spared {
            with(|system| {
                let (world, _) = system.world();
                world.blows.spare(node);
                world.disks.spare(node);
            });
        }
        match boot(node) {
            Ok(_) if spared => {}
            Ok(_) => with(|system| {
                let state = &system.nodes[node.index()];
                let (group, boot) = (state.group, state.lineage.boot(state.incarnation()));
                let (world, mut core) = system.world();
                let cost_ns = world.step_cost_ns(core.choice(), boot);
                system.kernel.set_step_cost(group, cost_ns);
            }),
            Err(reached) => self.error = Some(RunError::Bound(reached)),
        }
    }

    /// First processes have ended: a node that was to stop goes down, and a panic of a client fails the
    /// run.
    fn roots_ended(&mut self) -> Option<Violation> {
        let ended = with(|system| std::mem::take(&mut system.ended_roots));
        let mut violation = None;
        for (pid, reason) in ended {
            let node = pid.node();
            if with(|system| system.nodes[node.index()].stopping) {
                self.halt(node);
            }
            match reason {
                ExitReason::Panic(message) if self.node(node).client && violation.is_none() => {
                    let detail = format!("{pid}: {message}");
                    violation = Some(Violation::now("no client panics", detail));
                }
                _ => {}
            }
        }
        violation
    }

    /// What every run is checked for, whatever its scenario looks at.
    fn broken_rule(&self) -> Option<Violation> {
        self.wrong_supervisor().or_else(|| self.misdelivery())
    }

    /// Mail that has not kept a promise.
    fn misdelivery(&self) -> Option<Violation> {
        let delivery = self.delivery.borrow();
        delivery.complaint().map(|complaint| Violation {
            property: DELIVERY.to_owned(),
            detail: complaint.to_string(),
            at: complaint.when.at,
            step: complaint.when.step,
            waits: Waits::default(),
        })
    }

    /// A supervisor that has not kept OTP's rules.
    fn wrong_supervisor(&self) -> Option<Violation> {
        let supervisors = self.supervisors.borrow();
        supervisors.complaint().map(|complaint| Violation {
            property: SUPERVISION.to_owned(),
            detail: complaint.to_string(),
            at: complaint.at,
            step: complaint.step,
            waits: Waits::default(),
        })
    }

    /// Closes the books, takes the cluster down, and gathers what is kept.
    fn conclude(self, seed: u64) -> Outcome {
        let Run {
            names,
            watch,
            violation,
            mut error,
            ..
        } = self;
        let reached = watch.reached();
        with(|system| {
            let books = system.close_books();
            if let Err(unbalanced) = books {
                error = Some(RunError::Books(unbalanced));
            }
            let trace = &mut system.kernel.trace;
            let (digest, payloads) = (trace.digest(), trace.payload_digest());
            let (events, checkpoints) = (trace.events(), trace.checkpoints().to_vec());
            let (books, log) = (trace.books.totals(), trace.take_log());
            let (steps, at) = (system.kernel.steps(), system.kernel.now());
            let plan = std::mem::take(&mut system.world().0.plan);
            let counters = std::mem::take(&mut system.counters);
            Outcome {
                seed,
                digest,
                payloads,
                steps,
                events,
                at,
                violation,
                reached,
                counters: counters.into_iter().collect(),
                error,
                books,
                checkpoints,
                plan,
                names,
                log,
                draws: Vec::new(),
                lineages: Default::default(),
                drift: Vec::new(),
            }
        })
    }
}

/// From when on progress is due: where the faults stop, or the beginning where there are none at all.
pub(crate) fn healed(calm: bool, faults_end: Time) -> Time {
    if calm { Time::ZERO } else { faults_end }
}

fn step_error(error: StepError) -> RunError {
    match error {
        StepError::Reached(Reached { limit, most }) => RunError::Bound(Reached { limit, most }),
        StepError::OutsideWake(pid) => RunError::OutsideWake {
            pid: print_pid(pid),
        },
    }
}

fn unknown_wait() -> Option<RunError> {
    let pid = with(System::unknown_wait)?;
    Some(RunError::UnknownWait {
        pid: print_pid(pid),
    })
}

impl System {
    /// A process that waits for nothing that netsplit knows, when nothing more will happen.
    fn unknown_wait(&mut self) -> Option<Pid> {
        let mut tasks = self.kernel.tasks.iter();
        tasks
            .find(|(_, task)| !task.waits && !task.is_suspended() && task.body.is_some())
            .map(|(_, task)| task.data.pid)
    }

    /// Gives every copy that is still on its way its fate, and balances the books.
    fn close_books(&mut self) -> Result<crate::trace::Totals, crate::trace::BooksError> {
        let books = &mut self.kernel.trace.books;
        for (_, task) in self.kernel.tasks.iter() {
            let node = task.data.pid.node();
            if let Some(mailbox) = task.data.mailbox.as_ref() {
                mailbox.ids(&mut |id| books.ended(node, id, Fate::InFlight));
            }
            let extra = task.data.extra.iter();
            let aliases = extra.clone().flat_map(|extra| &extra.aliases);
            let postponed = extra.flat_map(|extra| &extra.postponed).copied();
            for id in aliases.filter_map(|alias| alias.arrived()).chain(postponed) {
                books.ended(node, id, Fate::InFlight);
            }
        }
        for packet in World::of(&mut *self.host).drain_packets() {
            books.ended(packet.to.node(), packet.id, Fate::InFlight);
        }
        books.balance()
    }
}
