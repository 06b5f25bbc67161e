//! Monitors: of a process by its pid, or of whoever holds a name.

use super::distribution::{Signal, Voice};
use super::exit::ExitReason;
use super::mailbox::{Info, MonitorRef, down};
use super::system::{Current, System, Watch};
use super::target::Target;
use crate::trace::{Event, Name, NodeId, Pid};

impl MonitorRef {
    /// What tells another node that this monitor of one of its processes is over.
    pub(crate) fn over(self, by: Pid) -> Signal {
        let number = self.number();
        match self.of() {
            Target::Pid(of) | Target::Alias(of, _) => Signal::Demonitor { by, of, number },
            Target::Name(..) => Signal::DemonitorName { by, number },
        }
    }
}

impl System {
    /// Monitors, on behalf of the current process, another one or whoever holds a name now.
    pub(crate) fn monitor(&mut self, current: Current, of: Target) -> MonitorRef {
        match self.homed(current.pid.node(), of) {
            Target::Pid(pid) | Target::Alias(pid, _) => self.monitor_pid(current, pid),
            Target::Name(node, name) => self.monitor_name(current, node, name),
        }
    }

    /// The next monitor of the current process.
    fn next_monitor(&mut self, current: Current, of: Target) -> MonitorRef {
        let number = match self.process(current.slot) {
            Some(process) => {
                process.counts += 1;
                process.counts
            }
            None => 0,
        };
        MonitorRef::new(number, of)
    }

    pub(crate) fn monitor_pid(&mut self, current: Current, of: Pid) -> MonitorRef {
        let by = current.pid;
        self.kernel.trace.emit(Event::Monitor { by, of });
        let target = Target::Pid(of);
        let monitor = self.next_monitor(current, target);
        let number = monitor.number();
        let abroad = of.node() != by.node();
        let watched = if abroad {
            None
        } else {
            self.resolve(target).ok()
        };
        if !abroad && watched.is_none() {
            self.down(current.slot, by, monitor, of, ExitReason::NoProc);
            return monitor;
        }
        if let Some(process) = self.process(current.slot) {
            process.extra().monitors.insert(monitor);
        }
        match watched.and_then(|(_, slot)| self.process(slot)) {
            Some(process) => {
                process.watchers.insert((by, Watch::Monitor(number)));
            }
            None => self.signal(by, target, &Signal::Monitor { by, of, number }),
        }
        monitor
    }

    fn monitor_name(&mut self, current: Current, node: NodeId, name: Name) -> MonitorRef {
        let by = current.pid;
        self.kernel
            .trace
            .emit(Event::MonitorName { by, node, name });
        let target = Target::Name(node, name);
        let monitor = self.next_monitor(current, target);
        let number = monitor.number();
        if node != by.node() {
            self.signal(by, target, &Signal::MonitorName { by, name, number });
        } else if !self.watch_name(by, number, target) {
            let nobody = self.nobody(node);
            self.down(current.slot, by, monitor, nobody, ExitReason::NoProc);
            return monitor;
        }
        if let Some(process) = self.process(current.slot) {
            process.extra().monitors.insert(monitor);
        }
        monitor
    }

    /// A process is watched by whoever monitors its name; false where nobody holds that.
    fn watch_name(&mut self, by: Pid, number: u32, target: Target) -> bool {
        let Ok((pid, slot)) = self.resolve(target) else {
            return false;
        };
        if let Some(process) = self.process(slot) {
            process.watchers.insert((by, Watch::Name(number)));
        }
        let named = &mut self.nodes[pid.node().index()].monitored;
        named.insert((by, number), pid);
        true
    }

    /// Whose end is told of a name that nobody holds: the node's.
    fn nobody(&self, node: NodeId) -> Pid {
        Pid::of_node(node, self.nodes[node.index()].incarnation())
    }

    /// Ends a monitor; with `flush`, what it has already put into the mailbox goes too.
    pub(crate) fn demonitor(&mut self, current: Current, monitor: MonitorRef, flush: bool) {
        let (by, target) = (current.pid, monitor.of());
        let of = match target {
            Target::Pid(pid) | Target::Alias(pid, _) => pid,
            Target::Name(node, _) => Pid::of_node(node, 0),
        };
        self.kernel.trace.emit(Event::Demonitor { by, of });
        let Some(process) = self.process(current.slot) else {
            return;
        };
        let was_set = process.extra().monitors.remove(monitor);
        if target.node() == by.node() {
            self.unwatch(by, monitor);
        } else if was_set {
            self.signal(by, target, &monitor.over(by));
        }
        if flush {
            self.flush_down(current.slot, monitor);
        }
    }

    /// Takes out of a mailbox what says that a monitor fired.
    pub(crate) fn flush_down(&mut self, slot: u32, monitor: MonitorRef) -> Option<Info> {
        let process = self.process(slot)?;
        let flushed = process.mailbox.as_mut()?.flush_down(monitor)?;
        process.mail -= 1;
        Some(flushed)
    }

    /// Removes a monitor from the watched process's list.
    pub(crate) fn unwatch(&mut self, watcher: Pid, monitor: MonitorRef) {
        match monitor.of() {
            Target::Pid(of) | Target::Alias(of, _) => {
                self.forget_watch(of, watcher, Watch::Monitor(monitor.number()));
            }
            Target::Name(node, _) => self.unwatch_name(node, watcher, monitor.number()),
        }
    }

    fn unwatch_name(&mut self, node: NodeId, watcher: Pid, number: u32) {
        let named = &mut self.nodes[node.index()].monitored;
        if let Some(of) = named.remove(&(watcher, number)) {
            self.forget_watch(of, watcher, Watch::Name(number));
        }
    }

    pub(crate) fn forget_watch(&mut self, of: Pid, watcher: Pid, watch: Watch) {
        if let Ok(slot) = self.find(of)
            && let Some(process) = self.process(slot)
        {
            process.watchers.remove((watcher, watch));
        }
    }

    /// The end of a process, for a watcher on its node.
    pub(crate) fn tell_end(&mut self, watcher: Pid, watch: Watch, of: Pid, reason: &ExitReason) {
        self.forget_name_watch(watcher, watch, of);
        let Ok(slot) = self.find(watcher) else { return };
        match watch {
            Watch::Monitor(number) | Watch::Name(number) => {
                let monitor = self.take_monitor(slot, number, of);
                let monitor = monitor.unwrap_or(MonitorRef::new(number, Target::Pid(of)));
                self.down(slot, watcher, monitor, of, reason.clone());
            }
            Watch::Call(alias) => self.fail_alias(slot, alias, reason.clone()),
            Watch::End(number) => self.ended((watcher, number), reason),
        }
    }

    /// The end of a process, for a watcher on another node.
    pub(crate) fn tell_end_abroad(
        &mut self,
        voice: &mut Voice,
        watcher: Pid,
        watch: Watch,
        of: Pid,
        reason: &ExitReason,
    ) {
        self.forget_name_watch(watcher, watch, of);
        let (to, reason) = (watcher, reason.clone());
        let signal = match watch {
            Watch::Monitor(number) | Watch::Name(number) => Signal::Down {
                to,
                of,
                number,
                reason,
            },
            Watch::Call(alias) => Signal::CallDown { to, alias, reason },
            Watch::End(_) => return,
        };
        self.last_signal(voice, Target::Pid(watcher), &signal);
    }

    fn forget_name_watch(&mut self, watcher: Pid, watch: Watch, of: Pid) {
        if let Watch::Name(number) = watch {
            let node = &mut self.nodes[of.node().index()];
            node.monitored.remove(&(watcher, number));
        }
    }

    /// Takes the monitor of this number out of those that a process holds: mostly one of a pid.
    fn take_monitor(&mut self, slot: u32, number: u32, of: Pid) -> Option<MonitorRef> {
        let monitors = &mut self.process(slot)?.extra.as_mut()?.monitors;
        let by_pid = MonitorRef::new(number, Target::Pid(of));
        if monitors.remove(by_pid) {
            return Some(by_pid);
        }
        monitors.take_one(&MonitorRef::numbered(number))
    }

    /// A `Down` into a mailbox: `of` is who has ended.
    pub(crate) fn down(
        &mut self,
        slot: u32,
        to: Pid,
        monitor: MonitorRef,
        of: Pid,
        reason: ExitReason,
    ) {
        let code = reason.code();
        self.kernel.trace.emit(Event::Down {
            to,
            of,
            reason: code,
        });
        self.inform(slot, down(monitor, reason));
    }

    // ---- from another node

    /// A process of another node monitors one of this node.
    pub(crate) fn monitor_from(&mut self, by: Pid, of: Pid, number: u32) {
        match self.resolve(Target::Pid(of)) {
            Ok((_, slot)) => {
                if let Some(process) = self.process(slot) {
                    process.watchers.insert((by, Watch::Monitor(number)));
                }
            }
            Err(_) => self.nobody_is_watched(by, of, number),
        }
    }

    /// A process of another node monitors whoever holds a name on this one.
    pub(crate) fn monitor_name_from(&mut self, by: Pid, of: Target, number: u32) {
        if !self.watch_name(by, number, of) {
            let nobody = self.nobody(of.node());
            self.nobody_is_watched(by, nobody, number);
        }
    }

    fn nobody_is_watched(&mut self, by: Pid, of: Pid, number: u32) {
        let down = Signal::Down {
            to: by,
            of,
            number,
            reason: ExitReason::NoProc,
        };
        self.node_signal(of.node(), Target::Pid(by), &down);
    }

    /// A process of another node no longer monitors who held a name here.
    pub(crate) fn demonitor_name_from(&mut self, by: Pid, node: NodeId, number: u32) {
        self.unwatch_name(node, by, number);
    }

    /// A monitor of a process on another node fires, unless it was ended meanwhile.
    pub(crate) fn down_from(&mut self, to: Pid, number: u32, of: Pid, reason: ExitReason) {
        if let Ok(slot) = self.find(to)
            && let Some(monitor) = self.take_monitor(slot, number, of)
        {
            self.down(slot, to, monitor, of, reason);
        }
    }
}
