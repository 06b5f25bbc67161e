//! The nemesis: who applies faults to a run, and ends them.

use super::fault::Fault;
use super::plan::Planned;
use super::run::Run;
use super::world::{Down, Due, SITE_END, SITE_REBOOT};
use crate::choice::Lineage;
use crate::kernel::{Time, nanos};
use crate::net::{Cut, Leaves};
use crate::process::{NodeState, System, ask_to_stop, bury, with};
use crate::trace::{Event, NodeId, TextId, set_names};
use std::sync::Arc;
use std::time::Duration;

impl Run<'_> {
    /// A fault that was not planned begins now: its number.
    pub(super) fn inject(&mut self, fault: Fault) -> u32 {
        // After those that are planned by hand.
        let nth = self.cluster.by_hand.len() as u32 + self.injected;
        self.injected += 1;
        let number = with(|system| {
            let at = system.kernel.now();
            let site = (Lineage::RUN, nth);
            system.world().0.plan.push(Planned { at, fault, site })
        });
        self.begin_fault(number);
        self.tell_news();
        number
    }

    /// A fault begins. Where its node is not in the state for it, the trace says so and nothing happens.
    pub(super) fn begin_fault(&mut self, number: u32) {
        let fault = with(|system| {
            let fault = system.world().0.plan.faults()[number as usize]
                .fault
                .clone();
            fault.map(|node| Ok::<_, std::convert::Infallible>(system.home(*node)))
        });
        let Ok(fault) = fault;
        self.note(&fault, |text| Event::Fault { number, text });
        let node = fault.node();
        if let Some(node) = node
            && !self.has_effect(node, &fault)
        {
            return self.note(&fault, |text| Event::NoEffect { number, node, text });
        }
        if fault.lasts().is_some() {
            with(|system| system.world().0.active.insert(number));
        }
        self.apply(number, &fault);
        if let Some(lasts) = fault.lasts() {
            with(|system| system.arm_after(lasts, number, Due::Over(number)));
        }
    }

    fn note(&self, fault: &Fault, event: impl Fn(TextId) -> Event) {
        with(|system| {
            let logs = system.kernel.trace.logs();
            let told = logs.then(|| system.fault_in_words(fault));
            let text = system.kernel.trace.text(|| told.unwrap_or_default());
            system.kernel.trace.emit(event(text));
        });
    }

    fn has_effect(&self, node: NodeId, fault: &Fault) -> bool {
        with(|system| {
            let state = &system.nodes[node.index()];
            let (is_up, runs) = (state.up, state.up && !state.paused);
            match fault {
                Fault::Crash { .. } | Fault::PowerCut { .. } => is_up,
                Fault::Stop { .. } => runs && !state.stopping,
                Fault::Pause { .. } | Fault::Slow { .. } => runs,
                // One at a time: the old one must have ended before its successor is written off.
                Fault::Zombie { .. } => {
                    let mut others = system.nodes.iter();
                    runs && !others.any(|other| other.up && other.moved == Some(node))
                }
                Fault::Break { a, b } => {
                    let (a, b) = (*a, *b);
                    let (world, _) = system.world();
                    world.is_connected(a, b)
                }
                Fault::ClockStep { .. } | Fault::Drift { .. } | Fault::Cut { .. } => true,
                Fault::Disk { .. } => true,
                Fault::Process { what, .. } => {
                    let victim = what.victim();
                    victim.is_none_or(|who| system.victim(node, who).is_some())
                }
            }
        })
    }

    fn apply(&mut self, number: u32, fault: &Fault) {
        match *fault {
            Fault::Crash {
                node,
                call,
                down_for,
            } => {
                with(|system| {
                    let down_ns = down_for.map_or(u64::MAX, nanos);
                    system.goes_down(node, call as u32, down_ns);
                    if call > 0 {
                        system.nodes[node.index()].fuse = call;
                        system.fuses = true;
                    }
                });
                if call == 0 {
                    self.crash(node);
                }
            }
            Fault::PowerCut { node, down_for } => {
                let how = crashed(node);
                self.go_down(
                    node,
                    how,
                    Leaves::Silently,
                    down_for.map_or(u64::MAX, nanos),
                );
            }
            Fault::Stop {
                node,
                grace,
                down_for,
            } => self.stop(node, grace, down_for.map_or(u64::MAX, nanos)),
            Fault::Pause { node, .. } => self.pause(node),
            Fault::Slow { node, step, .. } => with(|system| {
                let group = system.nodes[node.index()].group;
                system.kernel.set_step_cost(group, nanos(step));
            }),
            Fault::Zombie { node, .. } => self.write_off(number, node),
            Fault::Cut { ref cut, flap, .. } => {
                self.cut(number, cut.clone());
                if let Some(period) = flap {
                    with(|system| system.arm_after(period, number, Due::Flap(number)));
                }
            }
            Fault::Break { a, b } => with(|system| {
                let (world, mut core) = system.world();
                world.break_connection(&mut core, a, b);
            }),
            Fault::ClockStep { node, by_ns } => with(|system| {
                system.world().0.clocks[node.index()].step(by_ns);
            }),
            Fault::Drift { node, ppb } => self.drift(node, ppb),
            Fault::Process { node, ref what } => {
                with(|system| {
                    system.strike(node, what);
                    system.settle();
                });
                bury();
            }
            Fault::Disk { node, ref what } => self.trouble_disk(number, node, what),
        }
    }

    /// A fault that lasts is over, unless it was before.
    pub(super) fn end_fault(&mut self, number: u32) {
        let fault = with(|system| {
            let (world, _) = system.world();
            let was_active = world.active.remove(&number);
            was_active.then(|| world.plan.faults()[number as usize].fault.clone())
        });
        let Some(fault) = fault else { return };
        self.note(&fault, |text| Event::FaultOver { number, text });
        match fault {
            Fault::Pause { node, .. } => self.resume(with(|system| system.home(node))),
            Fault::Slow { node, .. } => with(|system| {
                // As slow as another fault still makes it; and so is the machine whose place it took.
                let node = system.home(node);
                let cost = nanos(system.slowed(node).unwrap_or_default());
                let same = |other: NodeId| system.home(other) == node;
                let groups = system.nodes.iter().filter(|n| same(n.id)).map(|n| n.group);
                for group in groups.collect::<Vec<_>>() {
                    system.kernel.set_step_cost(group, cost);
                }
            }),
            Fault::Cut { .. } | Fault::Zombie { .. } => self.mend(number),
            Fault::Disk { node, ref what } => {
                let node = with(|system| system.home(node));
                self.trouble_over(number, node, what);
            }
            _ => {}
        }
    }

    /// A cut that flaps heals, or comes again.
    pub(super) fn flap(&mut self, number: u32) {
        let planned = with(|system| {
            let (world, _) = system.world();
            let fault = world.plan.faults()[number as usize].fault.clone();
            let is_active = world.active.contains(&number);
            let is_cut = world.network.cuts().contains(&number);
            if let (true, Fault::Cut { cut, flap, .. }) = (is_active, fault) {
                system.arm_after(flap?, number, Due::Flap(number));
                Some((cut, is_cut))
            } else {
                None
            }
        });
        match planned {
            Some((_, true)) => self.mend(number),
            Some((cut, false)) => self.cut(number, cut),
            None => {}
        }
    }

    fn cut(&mut self, number: u32, mut cut: Cut) {
        with(|system| {
            for old in &system.nodes {
                if let Some(newer) = old.moved {
                    cut.join(old.id, newer);
                    cut.join(newer, old.id);
                }
            }
            let (world, mut core) = system.world();
            world.network.cut(number, cut);
            world.roads_changed(&mut core);
        });
    }

    fn mend(&mut self, number: u32) {
        with(|system| {
            let (world, mut core) = system.world();
            if world.network.mend(number) {
                world.roads_changed(&mut core);
            }
        });
    }

    /// A node goes down, and will reboot: as was armed.
    pub(super) fn crash(&mut self, node: NodeId) {
        let Down { call, down_ns, .. } = with(|system| system.world().0.downs[node.index()]);
        let how = move |incarnation| Event::Crash {
            node,
            incarnation,
            call,
        };
        self.go_down(node, how, Leaves::Abruptly, down_ns);
    }

    pub(super) fn go_down(
        &mut self,
        node: NodeId,
        how: impl Fn(u32) -> Event,
        leaves: Leaves,
        down_ns: u64,
    ) {
        with(|system| {
            let state = &system.nodes[node.index()];
            if !state.up {
                return;
            }
            let boot = state.lineage.boot(state.incarnation());
            let event = how(state.incarnation());
            // Another boots in the place of a node that was written off.
            let reboots = down_ns < u64::MAX && state.moved.is_none();
            system.node_ends(node.index(), event);
            system.forget_faults(node);
            let (world, mut core) = system.world();
            match leaves {
                Leaves::Orderly => world.disks.close(node),
                Leaves::Abruptly | Leaves::Silently => world.crash_disk(&mut core, node, boot),
            }
            world.leave(&mut core, node, leaves);
            if reboots {
                let at = core.now().plus_nanos(down_ns);
                world.downs[node.index()].reboot = Some(at);
                core.arm(at, boot, SITE_REBOOT, Due::Reboot(node).number());
            }
        });
        bury();
        self.tell_news();
    }

    /// The time has come for a node to reboot, unless it did already.
    pub(super) fn reboot(&mut self, node: NodeId) {
        let is_time = with(|system| {
            let now = system.kernel.now();
            system.world().0.downs[node.index()].reboot == Some(now)
                && !system.nodes[node.index()].up
        });
        if is_time {
            self.boot(node);
        }
    }

    // ---- stops

    fn stop(&mut self, node: NodeId, grace: Duration, down_ns: u64) {
        with(|system| {
            system.goes_down(node, 0, down_ns);
            let state = &system.nodes[node.index()];
            let boot = state.lineage.boot(state.incarnation());
            let at = system.kernel.now() + grace;
            state_grace(system, node, at, boot);
        });
        ask_to_stop(node);
    }

    /// The first process of a node that was to stop has ended.
    pub(super) fn halt(&mut self, node: NodeId) {
        let Down { down_ns, .. } = with(|system| system.world().0.downs[node.index()]);
        let how = |incarnation| Event::Halt { node, incarnation };
        self.go_down(node, how, Leaves::Orderly, down_ns);
    }

    /// A node had time to stop, and has not.
    pub(super) fn grace_over(&mut self, node: NodeId) {
        let is_late = with(|system| {
            let now = system.kernel.now();
            let is_time = system.world().0.downs[node.index()].grace == Some(now);
            let state = &system.nodes[node.index()];
            state.up && state.stopping && is_time
        });
        if is_late {
            self.crash(node);
        }
    }

    // ---- pauses

    fn pause(&mut self, node: NodeId) {
        with(|system| {
            let state = &mut system.nodes[node.index()];
            state.paused = true;
            let group = state.group;
            system.pauses = true;
            system.kernel.stall(group);
            let (world, mut core) = system.world();
            world.set_paused(&mut core, node, true);
        });
    }

    pub(super) fn resume(&mut self, node: NodeId) {
        with(|system| {
            let state = &mut system.nodes[node.index()];
            if !state.paused {
                return;
            }
            state.paused = false;
            let group = state.group;
            system.kernel.resume(group);
            let (world, mut core) = system.world();
            world.set_paused(&mut core, node, false);
            world.unpark(&mut core, node);
            system.fire_late(node);
        });
    }

    // ---- nodes that are written off

    /// A new incarnation of a node boots in its place; the old one runs on, cut off from all others.
    fn write_off(&mut self, number: u32, old: NodeId) {
        let name = self.names[old.index()].clone();
        let newer = with(|system| {
            let newer = system.add_twin(old);
            let others: Vec<NodeId> = system
                .nodes
                .iter()
                .map(|n| n.id)
                .filter(|n| *n != old)
                .collect();
            // Not the name, for which the old one draws: the boot that comes now.
            let state = &system.nodes[newer.index()];
            let owner = state.lineage.boot(state.boots);
            let (world, mut core) = system.world();
            world.add_machine(Some(old), owner);
            world.disks.hand_over(old, newer);
            world.blows.moved(old, newer);
            world
                .network
                .set_machine(old, |machine| machine.outdated = true);
            Arc::make_mut(&mut world.ids).insert(name.clone(), newer);
            world.network.join_cuts(old, newer);
            world.network.cut(number, Cut::between([old], others));
            world.roads_changed(&mut core);
            let clock = world.clocks[old.index()];
            world.clocks[newer.index()] = clock;
            system
                .kernel
                .trace
                .emit(Event::Outdated { node: old, newer });
            newer
        });
        self.more.push(self.node(old).clone());
        self.name(name);
        self.boot(newer);
    }

    /// One more node has a name.
    pub(super) fn name(&mut self, name: String) {
        self.names = self.names.iter().cloned().chain([name]).collect();
        set_names(Some(self.names.clone()));
    }

    // ---- clocks

    fn drift(&mut self, node: NodeId, ppb: i64) {
        with(|system| {
            system.drifts = true;
            let now = system.kernel.now();
            system.world().0.clocks[node.index()].set_drift(now, ppb);
        });
    }

    // ---- the end of faults

    /// Faults stop, and all is healed: cuts are mended, what was paused or slow goes on, what is to reboot
    /// boots, what was written off ends, clocks no longer drift.
    pub(super) fn quiet(&mut self) {
        self.is_quiet = true;
        let active = with(|system| {
            system.kernel.trace.emit(Event::Quiet);
            let (world, mut core) = system.world();
            world.quiet(&mut core);
            let now = core.now();
            let freed = world.disks.quiet(now);
            let active = world.active.clone();
            freed.into_iter().for_each(|pid| system.files_go_on(pid));
            system.no_more_blows();
            active
        });
        active.into_iter().for_each(|number| self.end_fault(number));
        let nodes = with(|system| system.nodes.len());
        for node in (0..nodes).map(NodeId::new) {
            let (is_old, boots) = with(|system| {
                let now = system.kernel.now();
                let drifts = system.drifts;
                let state = &mut system.nodes[node.index()];
                state.fuse = u64::MAX;
                let (group, is_old, is_up) = (state.group, state.moved.is_some(), state.up);
                system.kernel.set_step_cost(group, 0);
                let (world, _) = system.world();
                if drifts {
                    world.clocks[node.index()].set_drift(now, 0);
                }
                let boots = !is_up && world.downs[node.index()].reboot.take().is_some();
                (is_old && is_up, boots)
            });
            if is_old {
                self.go_down(node, crashed(node), Leaves::Abruptly, u64::MAX);
            } else if boots {
                self.boot(node);
            }
        }
    }
}

impl System {
    /// When a node goes down next: at which of its calls of the host, and for how long.
    fn goes_down(&mut self, node: NodeId, call: u32, down_ns: u64) {
        let down = &mut self.world().0.downs[node.index()];
        (down.call, down.down_ns) = (call, down_ns);
    }

    /// Adds a node that takes another's place beside it: the next incarnation of the same name.
    fn add_twin(&mut self, old: NodeId) -> NodeId {
        let (lineage, boots) = {
            let before = &self.nodes[old.index()];
            (before.lineage, before.boots)
        };
        let id = self.push_node(lineage);
        self.nodes[id.index()].boots = boots;
        // Whoever was replaced before goes there, too.
        let replaced = |node: &&mut NodeState| node.id == old || node.moved == Some(old);
        for node in self.nodes.iter_mut().filter(replaced) {
            node.moved = Some(id);
        }
        self.moved = true;
        id
    }

    /// The faults that have begun and are not over, of nodes by what stands for them now.
    pub(super) fn active_faults(&mut self) -> Vec<(u32, Fault)> {
        let (world, _) = self.world();
        let faults = world.active.iter().map(|number| {
            let planned = &world.plan.faults()[*number as usize];
            (*number, planned.fault.clone())
        });
        let mut faults: Vec<(u32, Fault)> = faults.collect();
        for (_, fault) in &mut faults {
            let Ok(of_home) = fault.map(|node| Ok::<_, std::convert::Infallible>(self.home(*node)));
            *fault = of_home;
        }
        faults
    }

    /// Comes back to a fault after a while, if ever. Its site is the fault's own: by its number those that
    /// come before it would move it.
    fn arm_after(&mut self, after: Duration, number: u32, due: Due) {
        let (world, mut core) = self.world();
        let (who, nth) = world.plan.faults()[number as usize].site;
        let at = core.now() + after;
        if at < Time::MAX {
            core.arm(at, who, SITE_END | nth, due.number());
        }
    }

    /// How slow the last of the faults makes a node that are not over.
    fn slowed(&mut self, slow: NodeId) -> Option<Duration> {
        let latest_first = self.active_faults().into_iter().rev();
        let mut steps = latest_first.filter_map(|(_, fault)| match fault {
            Fault::Slow { node, step, .. } if node == slow => Some(step),
            _ => None,
        });
        steps.next()
    }

    /// A node that goes down is neither paused nor slow any more.
    fn forget_faults(&mut self, down: NodeId) {
        for (number, fault) in self.active_faults() {
            if let Fault::Pause { node, .. } | Fault::Slow { node, .. } = fault
                && node == down
            {
                self.world().0.active.remove(&number);
            }
        }
    }
}

pub(super) fn crashed(node: NodeId) -> impl Fn(u32) -> Event {
    move |incarnation| Event::Crash {
        node,
        incarnation,
        call: 0,
    }
}

fn state_grace(system: &mut System, node: NodeId, at: Time, boot: Lineage) {
    let (world, mut core) = system.world();
    world.downs[node.index()].grace = Some(at);
    core.arm(at, boot, SITE_END, Due::GraceOver(node).number());
}
