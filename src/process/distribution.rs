//! Distribution: links, monitors and exits between nodes, as signals over their connections; and what a
//! node hears when a connection comes up or is lost.

use super::exit::ExitReason;
use super::host::{Carries, Packet, Via};
use super::mailbox::{Info, MonitorRef};
use super::message::{Labeled, encode};
use super::system::{Current, Process, System, Watch};
use super::target::Target;
use crate::choice::Lineage;
use crate::kernel::Task;
use crate::trace::{Broken, DeadReason, Event, MessageId, Name, NodeId, PacketKind, Pid};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What processes of two nodes tell one another besides messages.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Signal {
    /// A link begins.
    Link { from: Pid, to: Pid },
    /// It ends. The other end confirms it, by this number.
    Unlink { from: Pid, to: Pid, number: u32 },
    /// One end of a link has ended.
    LinkExit {
        from: Pid,
        to: Pid,
        reason: ExitReason,
    },
    /// Somebody asks a process to exit.
    Exit {
        from: Pid,
        to: Pid,
        reason: ExitReason,
    },
    /// A monitor begins.
    Monitor { by: Pid, of: Pid, number: u32 },
    /// It ends.
    Demonitor { by: Pid, of: Pid, number: u32 },
    /// It fires.
    Down {
        to: Pid,
        of: Pid,
        number: u32,
        reason: ExitReason,
    },
    /// The process that a call waits for has ended, or was not there.
    CallDown {
        to: Pid,
        alias: u32,
        reason: ExitReason,
    },
    /// A call waits no longer.
    CallOver { by: Pid, alias: u32, of: Target },
    /// An unlink has come to the other end.
    Unlinked { from: Pid, to: Pid, number: u32 },
    /// A monitor of whoever holds a name begins.
    MonitorName { by: Pid, name: Name, number: u32 },
    /// It ends.
    DemonitorName { by: Pid, number: u32 },
    /// Somebody asks whoever holds a name to exit.
    ExitName {
        from: Pid,
        name: Name,
        reason: ExitReason,
    },
    /// The question of a call was dropped: the mailbox was full.
    CallRefused { to: Pid, alias: u32 },
}

impl fmt::Debug for Signal {
    /// As a line of the trace says it, of which the sender and the node are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signal::Link { to, .. } => write!(f, "link with {to}"),
            Signal::Unlink { to, .. } => write!(f, "unlink from {to}"),
            Signal::LinkExit { to, reason, .. } => write!(f, "exit, linked with {to}: {reason}"),
            Signal::Exit { to, reason, .. } => write!(f, "exit of {to}: {reason}"),
            Signal::Monitor { of, .. } => write!(f, "monitor {of}"),
            Signal::Demonitor { of, .. } => write!(f, "no longer monitor {of}"),
            Signal::Down { of, reason, .. } => write!(f, "{of} is down: {reason}"),
            Signal::CallDown { reason, .. } => write!(f, "the call fails: {reason}"),
            Signal::CallOver { .. } => f.write_str("the call waits no longer"),
            Signal::Unlinked { to, .. } => write!(f, "unlinked from {to}"),
            Signal::MonitorName { .. } => f.write_str("monitor a name"),
            Signal::DemonitorName { .. } => f.write_str("no longer monitor a name"),
            Signal::ExitName { reason, .. } => write!(f, "exit of a name: {reason}"),
            Signal::CallRefused { .. } => f.write_str("the call fails: the mailbox is full"),
        }
    }
}

/// Who sends a signal: its pid, its lineage, and how much it has sent.
#[derive(Clone, Copy)]
pub(crate) struct Voice {
    pid: Pid,
    who: Lineage,
    sent: u32,
}

impl Voice {
    /// The voice of a process that has ended.
    pub(crate) fn last(task: &Task<Process>) -> Voice {
        Voice {
            pid: task.data.pid,
            who: task.lineage,
            sent: task.data.sent,
        }
    }
}

impl System {
    /// Sends a signal on behalf of a live process, or of its node where it has none.
    pub(crate) fn signal(&mut self, from: Pid, to: Target, signal: &Signal) {
        if self.current.pid == from {
            self.current.sent = self.current.sent.wrapping_add(1);
            let sent = self.current.sent;
            let task = self.kernel.tasks.get(self.current.slot);
            let who = task.map_or(Lineage::RUN, |task| task.lineage);
            let id = MessageId::new(from, sent);
            return self.post(id, who, to, signal);
        }
        let task = match self.find(from) {
            Ok(slot) => self.kernel.tasks.get_mut(slot),
            Err(_) => None,
        };
        match task {
            Some(task) => {
                task.data.sent = task.data.sent.wrapping_add(1);
                let (id, who) = (MessageId::new(from, task.data.sent), task.lineage);
                self.post(id, who, to, signal);
            }
            None => self.node_signal(from.node(), to, signal),
        }
    }

    /// Sends a signal on behalf of a process that has just ended.
    pub(crate) fn last_signal(&mut self, voice: &mut Voice, to: Target, signal: &Signal) {
        voice.sent = voice.sent.wrapping_add(1);
        let id = MessageId::new(voice.pid, voice.sent);
        self.post(id, voice.who, to, signal);
    }

    /// Sends a signal on behalf of a node: of a process that is not there.
    pub(crate) fn node_signal(&mut self, node: NodeId, to: Target, signal: &Signal) {
        // A pid in a signal that has come may be made up.
        let Some(state) = self.nodes.get_mut(node.index()) else {
            return;
        };
        state.sent = state.sent.wrapping_add(1);
        let id = MessageId::new(Pid::of_node(node, state.incarnation()), state.sent);
        // Children are counted from 1, so this is nobody else's lineage.
        let boot = self.kernel.choice.boot(state.lineage, state.incarnation());
        let who = self.kernel.choice.child(boot, 0);
        self.post(id, who, to, signal);
    }

    fn post(&mut self, id: MessageId, who: Lineage, to: Target, signal: &Signal) {
        if !self.nodes[id.from.node().index()].up {
            return;
        }
        let text = self.kernel.trace.logs().then(|| format!("{signal:?}"));
        let mut packet = self.packets.pop().unwrap_or_default();
        let bytes = encode(signal, std::mem::take(&mut packet.bytes));
        *packet = Packet {
            id,
            who,
            to,
            kind: PacketKind::Signal,
            via: Via::Connection,
            what: Carries::Signal,
            label: Labeled::of::<Signal>(),
            bytes,
        };
        self.hand_over(packet, text);
    }

    /// A signal has come from another node.
    pub(crate) fn take_signal(&mut self, packet: &Packet) {
        let node = packet.to.node();
        let Ok(signal) = postcard::from_bytes::<Signal>(&packet.bytes) else {
            return self.dead_letter(node, packet.id, packet.to, DeadReason::Undecodable);
        };
        self.kernel.trace.books.received(node, packet.id);
        match signal {
            Signal::Link { from, to } => self.link_from(from, to),
            Signal::Unlink { from, to, number } => self.unlink_from(from, to, number),
            Signal::Unlinked { from, to, number } => {
                if self.unlinking.get(&(to, from)) == Some(&number) {
                    self.unlinking.remove(&(to, from));
                }
            }
            Signal::LinkExit { from, to, reason } => {
                if self.forget_link(to, from) {
                    self.exit_signal(from, to, reason);
                }
            }
            Signal::Exit { from, to, reason } => self.ask_to_exit(from, to, reason),
            Signal::Monitor { by, of, number } => self.monitor_from(by, of, number),
            Signal::Demonitor { by, of, number } => {
                self.unwatch(by, MonitorRef::new(number, Target::Pid(of)));
            }
            Signal::MonitorName { by, name, number } => {
                self.monitor_name_from(by, Target::Name(node, name), number);
            }
            Signal::DemonitorName { by, number } => self.demonitor_name_from(by, node, number),
            Signal::ExitName { from, name, reason } => {
                if let Ok((to, _)) = self.resolve(Target::Name(node, name)) {
                    self.ask_to_exit(from, to, reason);
                }
            }
            Signal::Down {
                to,
                of,
                number,
                reason,
            } => self.down_from(to, number, of, reason),
            Signal::CallDown { to, alias, reason } => {
                if let Ok(slot) = self.find(to) {
                    self.fail_alias(slot, alias, reason);
                }
            }
            Signal::CallRefused { to, alias } => {
                if let Ok(slot) = self.find(to) {
                    self.refuse_alias(slot, alias);
                }
            }
            Signal::CallOver { by, alias, of } => {
                if let Ok((_, slot)) = self.resolve(of)
                    && let Some(process) = self.process(slot)
                {
                    process.watchers.remove((by, Watch::Call(alias)));
                }
            }
        }
    }

    /// The current process ends its end of a link to another node. As in OTP, until the other end confirms
    /// that, a link that comes from there is one that the unlink ends: it was sent before.
    pub(crate) fn unlink_abroad(&mut self, current: Current, to: Pid) {
        let from = current.pid;
        if let Some(process) = self.process(current.slot) {
            process.counts += 1;
            let number = process.counts;
            self.unlinking.insert((from, to), number);
            self.signal(from, Target::Pid(to), &Signal::Unlink { from, to, number });
        }
    }

    fn unlink_from(&mut self, from: Pid, to: Pid, number: u32) {
        self.forget_link(to, from);
        let confirmed = Signal::Unlinked {
            from: to,
            to: from,
            number,
        };
        self.signal(to, Target::Pid(from), &confirmed);
    }

    fn link_from(&mut self, from: Pid, to: Pid) {
        if self.unlinking.contains_key(&(to, from)) {
            return;
        }
        match self.resolve(Target::Pid(to)) {
            Ok((_, slot)) => {
                if let Some(process) = self.process(slot) {
                    process.extra().links.insert(from);
                }
            }
            Err(_) => {
                let reason = ExitReason::NoProc;
                let exit = Signal::LinkExit {
                    from: to,
                    to: from,
                    reason,
                };
                self.node_signal(to.node(), Target::Pid(from), &exit);
            }
        }
    }

    /// The question of a call has come for the process in this slot, or for nobody.
    pub(crate) fn question_came(&mut self, caller: Pid, alias: u32, to: Result<u32, Pid>) {
        match to {
            Ok(slot) => {
                if let Some(process) = self.process(slot) {
                    process.watchers.insert((caller, Watch::Call(alias)));
                }
            }
            Err(nobody) => {
                let down = Signal::CallDown {
                    to: caller,
                    alias,
                    reason: ExitReason::NoProc,
                };
                self.node_signal(nobody.node(), Target::Pid(caller), &down);
            }
        }
    }

    // ---- connections

    /// A node has a connection to a peer.
    pub(crate) fn node_up(&mut self, node: NodeId, peer: NodeId) {
        self.kernel.trace.emit(Event::NodeUp { node, peer });
        self.tell_listeners(node, peer, &Info::NodeUp(peer), true);
    }

    /// A node has lost its connection to a peer, or could not set one up: what lay across it breaks.
    pub(crate) fn node_down(&mut self, node: NodeId, peer: NodeId, why: Broken) {
        self.disconnected(node, peer, why);
        self.settle();
    }

    /// A node closes its connection to a peer. What its processes begin from now on, in the same step too,
    /// belongs to the next one.
    pub(crate) fn disconnect(&mut self, node: NodeId, peer: NodeId) {
        if peer == node {
            return;
        }
        let (host, core) = self.core();
        if let Some(why) = host.disconnect(core, node, peer) {
            self.disconnected(node, peer, why);
        }
    }

    fn disconnected(&mut self, node: NodeId, peer: NodeId, why: Broken) {
        self.kernel.trace.emit(Event::NodeDown { node, peer, why });
        if !self.nodes[node.index()].up {
            return;
        }
        self.unlinking
            .retain(|(own, other), _| (own.node(), other.node()) != (node, peer));
        let monitored = &mut self.nodes[node.index()].monitored;
        monitored.retain(|(by, _), _| by.node() != peer);
        for slot in self.nodes[node.index()].tasks() {
            self.part(slot, peer);
        }
        let was_up = matches!(why, Broken::Closed | Broken::Silent | Broken::Replaced);
        self.tell_listeners(node, peer, &Info::NodeDown(peer), was_up);
    }

    /// What one process has with processes of a lost peer.
    fn part(&mut self, slot: u32, peer: NodeId) {
        let Some(process) = self.process(slot) else {
            return;
        };
        let pid = process.pid;
        process
            .watchers
            .take_if(|(watcher, _)| watcher.node() == peer);
        let Some(extra) = process.extra.as_mut() else {
            return;
        };
        let links = extra.links.take_if(|other| other.node() == peer);
        let monitors = extra
            .monitors
            .take_if(|monitor| monitor.of().node() == peer);
        let calls = extra.calls_to(peer);
        for link in links {
            self.exit_signal(link, pid, ExitReason::NoConnection);
        }
        for monitor in monitors {
            let of = monitor.of().pid().unwrap_or(Pid::of_node(peer, 0));
            self.down(slot, pid, monitor, of, ExitReason::NoConnection);
        }
        for alias in calls {
            self.fail_alias(slot, alias, ExitReason::NoConnection);
        }
    }

    /// Tells those who listen to the connections of a node: to all, where it is told to all, or to one.
    fn tell_listeners(&mut self, node: NodeId, peer: NodeId, info: &Info, to_all: bool) {
        let down = matches!(info, Info::NodeDown(_));
        let listeners = std::mem::take(&mut self.nodes[node.index()].listeners);
        let mut stay = Vec::with_capacity(listeners.len());
        for (pid, of) in listeners {
            let Ok(slot) = self.find(pid) else { continue };
            let hears = match of {
                None => to_all,
                Some(of) => down && of == peer,
            };
            if hears {
                self.inform(slot, info.clone());
            }
            if of.is_none() || !hears {
                stay.push((pid, of));
            }
        }
        let state = &mut self.nodes[node.index()];
        stay.append(&mut state.listeners);
        state.listeners = stay;
    }

    /// The current process hears of all connections of its node from now on, or no more.
    pub(crate) fn monitor_nodes(&mut self, current: Current, listen: bool) {
        let state = &mut self.nodes[current.pid.node().index()];
        state
            .listeners
            .retain(|other| *other != (current.pid, None));
        if listen {
            state.listen(current.pid, None);
        }
    }

    /// The current process hears once when the connection to a node is lost; where there is none, one is
    /// set up.
    pub(crate) fn monitor_node(&mut self, current: Current, peer: NodeId) {
        let node = current.pid.node();
        if peer == node {
            return;
        }
        self.nodes[node.index()].listen(current.pid, Some(peer));
        let (host, core) = self.core();
        host.connect(core, node, peer);
    }
}
