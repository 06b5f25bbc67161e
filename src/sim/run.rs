//! One run: the cluster booted, stepped to its horizon, looked at, and taken down.

use super::faults::{Rates, WINDOW_NS};
use super::outcome::{Outcome, RunError, Violation, print_pid};
use super::plan::{Fault, Plan};
use super::property::Property;
use super::watch::Watch;
use super::world::{Due, World};
use crate::choice::{Choice, Chooser, Lineage, Oracle, Tape};
use crate::kernel::{Beat, Bounds, Reached, Time, nanos};
use crate::net::Model;
use crate::process::{ExitReason, Remains, StepError, Stepped, System, bury, install, step, with};
use crate::trace::{Event, Fate, Limit, Names, NodeId, Pid, Trace, set_names};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::sync::Arc;

/// What a node boots: spawns its first process.
pub(crate) type Boot = Arc<dyn Fn(NodeId, Lineage) -> Pid + Send + Sync>;

/// A node, as it is declared.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) client: bool,
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
    /// Which nodes do not crash and are not slow.
    pub(crate) spared: Vec<bool>,
    pub(crate) model: Model,
    pub(crate) rates: Rates,
    pub(crate) calm: bool,
    pub(crate) properties: Vec<Property>,
    pub(crate) horizon: Time,
    pub(crate) faults_end: Time,
    pub(crate) bounds: Bounds,
}

/// How a run ended.
#[derive(Default)]
struct End {
    violation: Option<Violation>,
    error: Option<RunError>,
}

thread_local! {
    static BEAT: RefCell<Option<Arc<Beat>>> = const { RefCell::new(None) };
}

impl Cluster {
    /// Makes one run.
    pub(crate) fn run(&self, chance: Chance, keep: Keep) -> Outcome {
        let choice = match chance {
            Chance::Seed(seed) => Choice::seeded(seed),
            Chance::Tape(tape) => Choice::taped(&tape),
            Chance::Oracle(seed, oracle) => Choice::answered_by(seed, oracle),
            Chance::Chooser(seed, chooser) => Choice::chosen_by(seed, chooser),
        };
        let choice = if keep.draws || keep.log {
            choice.recorded(keep.draws)
        } else {
            choice
        };
        let seed = choice.seed();
        let mut trace = Trace::new();
        if keep.log {
            trace.keep_log();
        }
        if keep.payloads {
            trace.digest_payloads();
        }
        let world = World::new(self.model.clone(), self.rates.clone(), self.ids.clone());
        let mut system = System::new(choice, trace, self.bounds.clone(), Box::new(world));
        system.beat = Some(self.beat(seed));
        for node in &self.nodes {
            system.add_node(&node.name);
        }
        let before = set_names(Some(self.names.clone()));
        let (system, outcome) = install(Box::new(system), || {
            let mut watch = Watch::new(&self.properties, self.healed());
            let end = self.drive(&mut watch);
            self.conclude(seed, end, watch.reached())
        });
        set_names(before);
        let (draws, lineages, drift) = system.kernel.retire().finish();
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

    /// From when on progress is due.
    fn healed(&self) -> Time {
        healed(self.calm, self.faults_end)
    }

    fn drive(&self, watch: &mut Watch<'_>) -> End {
        self.plan();
        for index in 0..self.nodes.len() {
            if let Err(error) = self.boot(NodeId::new(index)) {
                return End {
                    error: Some(error),
                    ..End::default()
                };
            }
        }
        let mut end = End::default();
        loop {
            match self.advance(watch.is_idle()) {
                Err(error) => {
                    end.error = Some(error);
                    return end;
                }
                Ok(Stepped::Quiet(over)) => {
                    end.error = over.then(unknown_wait).flatten();
                    break;
                }
                Ok(Stepped::RootEnded) => end.violation = self.client_panic(),
                Ok(_) => {}
            }
            if end.violation.is_none() {
                end.violation = watch.after_step();
            }
            if end.violation.is_some() {
                return end;
            }
        }
        if end.error.is_none() {
            end.violation = self.client_panic().or_else(|| watch.at_end());
        }
        end
    }

    /// Does the next thing; with `many`, as many polls in a row as there are.
    #[inline]
    fn advance(&self, many: bool) -> Result<Stepped, RunError> {
        let stepped = step(self.horizon, many).map_err(step_error)?;
        match stepped {
            Stepped::Host(number) => self.host_event(Due::of(number))?,
            Stepped::Tripped(node) => self.crash(node),
            Stepped::Polled | Stepped::RootEnded | Stepped::Quiet(_) => {}
        }
        Ok(stepped)
    }

    /// Draws the node faults, and puts them on the agenda.
    fn plan(&self) {
        with(|system| {
            let nodes = system.nodes.iter().zip(&self.spared);
            let servers = nodes
                .filter(|(_, spared)| !**spared)
                .map(|(s, _)| (s.id, s.lineage));
            let servers: Vec<_> = servers.collect();
            let (world, mut core) = system.world();
            let plan = Plan::draw(core.choice(), &world.rates, &servers, self.faults_end);
            for (index, planned) in plan.faults().iter().enumerate() {
                let number = Due::Planned(index as u32).number();
                // Addressed by node and window: one fault less shifts no other.
                let node = Lineage::node(&self.names[planned.node.index()]);
                let window = planned.at.as_nanos() / WINDOW_NS;
                core.arm(planned.at, node, window as u32, number);
            }
            if !self.calm {
                core.arm(self.faults_end, Lineage::RUN, u32::MAX, Due::Quiet.number());
            }
            world.plan = plan;
        });
    }

    fn host_event(&self, due: Due) -> Result<(), RunError> {
        match due {
            Due::Packet(_) => {}
            Due::Planned(index) => self.fault(index as usize),
            Due::Reboot(node) => self.boot(node)?,
            Due::Quiet => with(|system| {
                system.world().0.quiet();
                for index in 0..system.nodes.len() {
                    system.nodes[index].disarm();
                    let group = system.nodes[index].group;
                    system.kernel.set_step_cost(group, 0);
                }
            }),
        }
        Ok(())
    }

    /// A planned fault is due.
    fn fault(&self, index: usize) {
        let at_once = with(|system| {
            let planned = system.world().0.plan.faults()[index];
            let Fault::Crash { call, down_for } = planned.fault;
            let node = &mut system.nodes[planned.node.index()];
            if !node.up {
                return None;
            }
            node.arm_crash(call, nanos(down_for));
            system.fuses = true;
            (call == 0).then_some(planned.node)
        });
        if let Some(node) = at_once {
            self.crash(node);
        }
    }

    /// A node goes down, and will reboot.
    fn crash(&self, node: NodeId) {
        with(|system| {
            let state = &system.nodes[node.index()];
            let (call, down_ns) = state.crash_armed();
            let boot = state.lineage.boot(state.incarnation());
            system.crash_node(node.index(), call);
            let (world, mut core) = system.world();
            world.schedule_reboot(&mut core, node, boot, down_ns);
        });
        bury();
    }

    /// A node comes up, with a new incarnation.
    fn boot(&self, node: NodeId) -> Result<(), RunError> {
        let lineage = with(|system| {
            let (lineage, boots) = {
                let state = &system.nodes[node.index()];
                (state.lineage, state.boots)
            };
            if boots >= Pid::INCARNATIONS {
                let most = u64::from(Pid::INCARNATIONS);
                return Err(system.kernel.reached(Limit::Incarnations, most));
            }
            let boot = system.kernel.choice.boot(lineage, boots);
            let group = system.kernel.group(boot);
            if !self.spared[node.index()] {
                let (world, mut core) = system.world();
                let cost = world.step_cost_ns(core.choice(), boot);
                system.kernel.set_step_cost(group, cost);
            }
            system.nodes[node.index()].boot(group);
            system.kernel.trace.emit(Event::Boot {
                node,
                incarnation: boots,
            });
            Ok(boot)
        });
        let lineage = lineage.map_err(RunError::Bound)?;
        (self.nodes[node.index()].boot)(node, lineage);
        bury();
        Ok(())
    }

    /// A panic of a client fails the run.
    fn client_panic(&self) -> Option<Violation> {
        let ended = with(|system| std::mem::take(&mut system.ended_roots));
        ended.into_iter().find_map(|(pid, reason)| match reason {
            ExitReason::Panic(message) if self.nodes[pid.node().index()].client => Some(
                Violation::now("no client panics", format!("{pid}: {message}")),
            ),
            _ => None,
        })
    }

    /// Closes the books, takes the cluster down, and gathers what is kept.
    fn conclude(&self, seed: u64, end: End, reached: Vec<String>) -> Outcome {
        let End {
            violation,
            mut error,
        } = end;
        let outcome = with(|system| {
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
                names: self.names.clone(),
                log,
                draws: Vec::new(),
                lineages: Default::default(),
                drift: Vec::new(),
            }
        });
        with(System::take_down);
        bury();
        outcome
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
    /// Gives every copy that is still on its way its fate, and balances the books.
    fn close_books(&mut self) -> Result<crate::trace::Totals, crate::trace::BooksError> {
        let books = &mut self.kernel.trace.books;
        for (_, task) in self.kernel.tasks.iter() {
            let node = task.data.pid.node();
            if let Some(mailbox) = task.data.mailbox.as_ref() {
                mailbox.ids(&mut |id| books.ended(node, id, Fate::InFlight));
            }
            let aliases = task.data.extra.iter().flat_map(|extra| &extra.aliases);
            for id in aliases.filter_map(|alias| alias.arrived) {
                books.ended(node, id, Fate::InFlight);
            }
        }
        for packet in World::of(&mut *self.host).drain_packets() {
            books.ended(packet.to.node(), packet.id, Fate::InFlight);
        }
        books.balance()
    }

    /// Puts everything that code of users has made into the graveyard.
    fn take_down(&mut self) {
        for task in self.kernel.tasks.drain() {
            self.graveyard.extend(task.body.map(Remains::Body));
            self.graveyard
                .extend(task.data.mailbox.map(Remains::Mailbox));
            self.graveyard.extend(task.data.extra.map(Remains::Extra));
        }
        self.drop_all_delayed();
    }
}
