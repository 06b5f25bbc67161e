//! Signals: exits, links, monitors, names, and the end of a process.

use super::address::Target;
use super::exit::ExitReason;
use super::few::Few;
use super::mailbox::{AnyMailbox, Info, MonitorRef, down};
use super::system::{Current, Extra, Remains, System, Watch};
use crate::trace::{Event, Fate, Name, Pid};

/// Why a name could not be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Another process holds it.
    #[error("the name `{name}` is taken by {holder}")]
    Taken {
        /// The name.
        name: String,
        /// Who holds it.
        holder: Pid,
    },
    /// The process has a name already: one name a process.
    #[error("this process has a name already, so it cannot be `{0}` too")]
    Named(String),
}

impl System {
    /// The end of a process whose body is gone or in the graveyard: in OTP's order, names first.
    pub(crate) fn finish(&mut self, slot: u32, reason: ExitReason) {
        let Some(mut task) = self.kernel.tasks.remove(slot) else {
            return;
        };
        if let Some(body) = task.body.take() {
            self.graveyard.push(Remains::Body(body));
        }
        let pid = task.data.pid;
        let node = pid.node();
        let mut extra = task.data.extra.take();
        if let Some(name) = extra.as_mut().and_then(|extra| extra.name.take()) {
            self.nodes[node.index()].free_name(name);
            self.kernel.trace.emit(Event::Unnamed { pid, name });
        }
        let text = self.reason_text(&reason);
        self.kernel.trace.emit(Event::Exit {
            pid,
            reason: reason.code(),
            text,
        });
        self.nodes[node.index()].free_pid(pid);
        self.leave_unread(pid, task.data.mailbox.take());
        if task.data.root && !reason.is_clean() {
            self.ended_roots.push((pid, reason.clone()));
        }
        if let Some(extra) = extra.as_mut() {
            self.finish_extra(pid, extra, &reason);
        }
        for (watcher, watch) in task.data.watchers.take() {
            self.tell_end(watcher, watch, pid, &reason);
        }
        if let Some(extra) = extra
            && !extra.is_plain()
        {
            self.graveyard.push(Remains::Extra(extra));
        }
    }

    fn finish_extra(&mut self, pid: Pid, extra: &mut Extra, reason: &ExitReason) {
        for id in extra.aliases.iter().filter_map(|alias| alias.arrived) {
            self.kernel.trace.emit(Event::Unread { id, by: pid });
            let node = pid.node();
            self.kernel.trace.books.ended(node, id, Fate::Unread);
        }
        for index in extra.delayed.drain(..) {
            self.drop_delayed(index);
        }
        for monitor in extra.monitors.take() {
            self.unwatch(pid, monitor);
        }
        for link in extra.links.take() {
            self.forget_link(link, pid);
            self.exit_signal(pid, link, reason.clone());
        }
    }

    /// What a process that ends has not read.
    pub(crate) fn leave_unread(&mut self, pid: Pid, mailbox: Option<Box<dyn AnyMailbox>>) {
        let Some(mailbox) = mailbox.filter(|mailbox| mailbox.len() > 0) else {
            return;
        };
        let trace = &mut self.kernel.trace;
        mailbox.ids(&mut |id| {
            trace.emit(Event::Unread { id, by: pid });
            trace.books.ended(pid.node(), id, Fate::Unread);
        });
        self.graveyard.push(Remains::Mailbox(mailbox));
    }

    /// The reason of the exit signal that has reached a process, where one has.
    pub(crate) fn doom_of(&self, pid: Pid) -> Option<ExitReason> {
        let mut dying = self.dying.iter();
        dying
            .find(|(_, doomed, _)| *doomed == pid)
            .map(|(.., reason)| reason.clone())
    }

    fn tell_end(&mut self, watcher: Pid, watch: Watch, of: Pid, reason: &ExitReason) {
        let Ok(slot) = self.find(watcher) else { return };
        match watch {
            Watch::Monitor(number) => {
                let monitor = MonitorRef { of, number };
                if let Some(process) = self.process(slot) {
                    process.extra().monitors.remove(monitor);
                }
                self.down(slot, watcher, monitor, reason.clone());
            }
            Watch::Call(alias) => self.fail_alias(slot, alias, reason.clone()),
        }
    }

    /// A `Down` into a mailbox.
    pub(crate) fn down(&mut self, slot: u32, to: Pid, monitor: MonitorRef, reason: ExitReason) {
        self.kernel.trace.emit(Event::Down {
            to,
            of: monitor.of,
            reason: reason.code(),
        });
        self.inform(slot, down(monitor, reason));
    }

    fn forget_link(&mut self, of: Pid, to: Pid) {
        if let Ok(slot) = self.find(of)
            && let Some(extra) = self.process(slot).and_then(|p| p.extra.as_mut())
        {
            extra.links.remove(to);
        }
    }

    /// Removes a monitor from the watched process's list.
    pub(crate) fn unwatch(&mut self, watcher: Pid, monitor: MonitorRef) {
        if let Ok(slot) = self.find(monitor.of)
            && let Some(process) = self.process(slot)
        {
            process
                .watchers
                .remove((watcher, Watch::Monitor(monitor.number)));
        }
    }

    /// An exit signal as it comes along a link, or from one who asks to exit.
    pub(crate) fn exit_signal(&mut self, from: Pid, to: Pid, reason: ExitReason) {
        let Ok(slot) = self.find(to) else { return };
        let Some(process) = self.process(slot) else {
            return;
        };
        if process.dying {
            return;
        }
        let trap = process.trap;
        if !trap && reason == ExitReason::Normal && from != to {
            return;
        }
        self.kernel.trace.emit(Event::ExitSignal {
            from,
            to,
            reason: reason.code(),
        });
        if trap {
            self.inform(slot, Info::Exit { from, reason });
        } else {
            self.doom(slot, to, reason);
        }
    }

    /// Marks a process as one that ends before anything else steps.
    pub(crate) fn doom(&mut self, slot: u32, pid: Pid, reason: ExitReason) {
        if let Some(process) = self.process(slot)
            && !process.dying
        {
            process.dying = true;
            self.dying.push((slot, pid, reason));
        }
    }

    /// `exit(pid, reason)`: a `kill` cannot be trapped.
    pub(crate) fn send_exit(&mut self, from: Pid, to: Pid, reason: ExitReason) {
        if reason != ExitReason::Kill {
            return self.exit_signal(from, to, reason);
        }
        let Ok(slot) = self.find(to) else { return };
        if self.process(slot).is_some_and(|process| !process.dying) {
            self.kernel.trace.emit(Event::ExitSignal {
                from,
                to,
                reason: reason.code(),
            });
            self.doom(slot, to, ExitReason::Killed);
        }
    }

    /// Links the current process to another.
    pub(crate) fn link(&mut self, current: Current, to: Pid) {
        let from = current.pid;
        if from == to {
            return;
        }
        self.kernel.trace.emit(Event::Link { from, to });
        if to.node() != from.node() {
            // Connections between nodes are what carries links; where there is none, it is lost.
            return self.exit_signal(to, from, ExitReason::NoConnection);
        }
        let Ok((_, slot)) = self.resolve(Target::Pid(to)) else {
            return self.exit_signal(to, from, ExitReason::NoProc);
        };
        if let Some(process) = self.process(slot)
            && !process.extra().links.insert(from)
        {
            return;
        }
        if let Some(process) = self.process(current.slot) {
            process.extra().links.insert(to);
        }
    }

    /// Unlinks the current process from another.
    pub(crate) fn unlink(&mut self, current: Current, to: Pid) {
        self.kernel.trace.emit(Event::Unlink {
            from: current.pid,
            to,
        });
        self.forget_link(to, current.pid);
        self.forget_link(current.pid, to);
    }

    /// Monitors another process on behalf of the current one.
    pub(crate) fn monitor(&mut self, current: Current, of: Pid) -> MonitorRef {
        let by = current.pid;
        self.kernel.trace.emit(Event::Monitor { by, of });
        let number = match self.process(current.slot) {
            Some(process) => {
                process.counts += 1;
                process.counts
            }
            None => 0,
        };
        let monitor = MonitorRef { of, number };
        let reason = if of.node() != by.node() {
            ExitReason::NoConnection
        } else if let Ok((_, slot)) = self.resolve(Target::Pid(of)) {
            if let Some(process) = self.process(slot) {
                process.watchers.insert((by, Watch::Monitor(number)));
            }
            if let Some(process) = self.process(current.slot) {
                process.extra().monitors.insert(monitor);
            }
            return monitor;
        } else {
            ExitReason::NoProc
        };
        self.down(current.slot, by, monitor, reason);
        monitor
    }

    /// Ends a monitor; with `flush`, what it has already put into the mailbox goes too.
    pub(crate) fn demonitor(&mut self, current: Current, monitor: MonitorRef, flush: bool) {
        self.kernel.trace.emit(Event::Demonitor {
            by: current.pid,
            of: monitor.of,
        });
        self.unwatch(current.pid, monitor);
        let Some(process) = self.process(current.slot) else {
            return;
        };
        process.extra().monitors.remove(monitor);
        if flush && let Some(mailbox) = process.mailbox.as_mut() {
            let flushed = mailbox.flush_down(monitor).is_some();
            process.mail -= u32::from(flushed);
        }
    }

    /// Gives the current process a name on its node.
    pub(crate) fn register(&mut self, current: Current, text: &str) -> Result<(), NameError> {
        let name = Name::new(text);
        let node = current.pid.node();
        if let Some(holder) = self.nodes[node.index()].whereis(name) {
            return Err(NameError::Taken {
                name: text.to_owned(),
                holder,
            });
        }
        let Some(process) = self.process(current.slot) else {
            return Ok(());
        };
        if process.extra().name.is_some() {
            return Err(NameError::Named(text.to_owned()));
        }
        process.extra().name = Some(name);
        self.nodes[node.index()].set_name(name, current.pid);
        self.names.entry(name).or_insert_with(|| text.into());
        self.kernel.trace.name(name, text);
        self.kernel.trace.emit(Event::Named {
            pid: current.pid,
            name,
        });
        Ok(())
    }

    /// Gives the current process's name back.
    pub(crate) fn unregister(&mut self, current: Current) {
        let Some(name) = self
            .process(current.slot)
            .and_then(|p| p.extra().name.take())
        else {
            return;
        };
        self.nodes[current.pid.node().index()].free_name(name);
        self.kernel.trace.emit(Event::Unnamed {
            pid: current.pid,
            name,
        });
    }

    /// Ends every process that an exit signal has reached, and those that fall with them.
    pub(crate) fn settle(&mut self) {
        let mut next = 0;
        while let Some((slot, pid, reason)) = self.dying.get(next).cloned() {
            next += 1;
            if self.process(slot).is_some_and(|process| process.pid == pid) {
                self.finish(slot, reason);
            }
        }
        self.dying.clear();
    }

    /// A node goes down at once: every process is gone, and nobody hears of it.
    pub(crate) fn crash_node(&mut self, index: usize, call: u32) {
        let state = &self.nodes[index];
        if !state.up {
            return;
        }
        let (node, incarnation) = (state.id, state.incarnation());
        let slots = state.tasks();
        self.kernel.trace.emit(Event::Crash {
            node,
            incarnation,
            call,
        });
        for slot in slots {
            if let Some(process) = self.process(slot) {
                process.root = false;
                process.watchers = Few::default();
                if let Some(extra) = process.extra.as_mut() {
                    extra.links = Few::default();
                }
            }
            self.finish(slot, ExitReason::Killed);
        }
        self.drop_delayed_of(node);
        self.nodes[index].up = false;
        self.nodes[index].fuse = u64::MAX;
    }
}
