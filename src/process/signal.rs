//! Signals: exits, links, monitors, names, and the end of a process.

use super::alias::Alias;
use super::distribution::{Signal, Voice};
use super::exit::ExitReason;
use super::few::Few;
use super::mailbox::{AnyMailbox, Info};
use super::system::{Current, Extra, Remains, System};
use super::target::Target;
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
        if self.kernel.unsettled {
            self.settle_calls();
        }
        let Some(mut task) = self.kernel.tasks.remove(slot) else {
            return;
        };
        if let Some(body) = task.body.take() {
            self.graveyard.push(Remains::Body(body));
        }
        let mut voice = Voice::last(&task);
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
        if self.nodes[node.index()].is_root(pid)
            && (!reason.is_clean() || self.nodes[node.index()].stopping)
        {
            self.ended_roots.push((pid, reason.clone()));
        }
        if let Some(extra) = extra.as_mut() {
            self.finish_extra(&mut voice, pid, extra, &reason);
        }
        task.data.watchers.take_each(|(watcher, watch)| {
            if watcher.node() == node {
                self.tell_end(watcher, watch, pid, &reason);
            } else {
                self.tell_end_abroad(&mut voice, watcher, watch, pid, &reason);
            }
        });
        if let Some(extra) = extra {
            if extra.is_plain() {
                self.spares.keep_extra(extra);
            } else {
                self.graveyard.push(Remains::Extra(extra));
            }
        }
    }

    fn finish_extra(
        &mut self,
        voice: &mut Voice,
        pid: Pid,
        extra: &mut Extra,
        reason: &ExitReason,
    ) {
        let answers = extra.aliases.iter().filter_map(Alias::arrived);
        for id in answers.chain(extra.postponed.drain(..)) {
            self.kernel.trace.emit(Event::Unread { id, by: pid });
            let node = pid.node();
            self.kernel.trace.books.ended(node, id, Fate::Unread);
        }
        self.give_up_calls(voice, pid, extra);
        for index in extra.delayed.drain(..) {
            self.drop_delayed(index);
        }
        if let Some(bounded) = extra.bounded.take() {
            self.let_all_go(*bounded, pid);
        }
        extra.monitors.take_each(|monitor| {
            if monitor.of().node() == pid.node() {
                self.unwatch(pid, monitor);
            } else {
                let over = monitor.over(pid);
                self.last_signal(voice, monitor.of(), &over);
            }
        });
        extra.links.take_each(|link| {
            if link.node() == pid.node() {
                self.forget_link(link, pid);
                self.exit_signal(pid, link, reason.clone());
            } else {
                let (from, to, reason) = (pid, link, reason.clone());
                let exit = Signal::LinkExit { from, to, reason };
                self.last_signal(voice, Target::Pid(link), &exit);
            }
        });
    }

    /// What a process that ends has not read.
    pub(crate) fn leave_unread(&mut self, pid: Pid, mailbox: Option<Box<dyn AnyMailbox>>) {
        let Some(mailbox) = mailbox else {
            return;
        };
        if mailbox.len() == 0 {
            return self.spares.keep_mailbox(mailbox);
        }
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

    /// Removes one end of a link; whether it was there.
    pub(crate) fn forget_link(&mut self, of: Pid, to: Pid) -> bool {
        match self.find(of) {
            Ok(slot) => {
                let extra = self.process(slot).and_then(|p| p.extra.as_mut());
                extra.is_some_and(|extra| extra.links.remove(to))
            }
            Err(_) => false,
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

    /// The current process asks another to exit.
    pub(crate) fn send_exit(&mut self, from: Pid, to: Target, reason: ExitReason) {
        let to = self.homed(from.node(), to);
        if to.node() == from.node() {
            let holder = self.resolve(to);
            return holder.map_or((), |(pid, _)| self.ask_to_exit(from, pid, reason));
        }
        let exit = match to {
            Target::Pid(to) | Target::Alias(to, _) => Signal::Exit { from, to, reason },
            Target::Name(_, name) => Signal::ExitName { from, name, reason },
        };
        self.signal(from, to, &exit);
    }

    /// `exit(pid, reason)`, for a process of this node: a `kill` cannot be trapped.
    pub(crate) fn ask_to_exit(&mut self, from: Pid, to: Pid, reason: ExitReason) {
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
            self.unlinking.remove(&(from, to));
            if let Some(process) = self.process(current.slot)
                && process.extra().links.insert(to)
            {
                self.signal(from, Target::Pid(to), &Signal::Link { from, to });
            }
            return;
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
        let from = current.pid;
        let was_linked = self.forget_link(from, to);
        if to.node() == from.node() {
            self.forget_link(to, from);
        } else if was_linked {
            self.unlink_abroad(current, to);
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
    pub(crate) fn node_ends(&mut self, index: usize, how: Event) {
        let state = &mut self.nodes[index];
        let (node, slots) = (state.id, state.tasks());
        (state.up, state.paused, state.stopping) = (false, false, false);
        self.kernel.trace.emit(how);
        self.settle_calls();
        for slot in slots {
            if let Some(process) = self.process(slot) {
                process.watchers = Few::default();
                if let Some(extra) = process.extra.as_mut() {
                    extra.links = Few::default();
                    extra.bounded = None;
                }
            }
            self.finish(slot, ExitReason::Killed);
        }
        self.unlinking.retain(|(own, _), _| own.node() != node);
        self.drop_delayed_of(node);
        self.nodes[index].fuse = u64::MAX;
    }
}
