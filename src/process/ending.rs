//! Waits for the end of a process of the same node that put nothing into a mailbox: those of tasks.

use super::exit::ExitReason;
use super::system::{System, Watch, act, try_with, wants, with};
use super::target::Target;
use super::timer::wait;
use crate::trace::{Event, Pid};
use std::collections::BTreeMap;
use std::task::{Context as TaskContext, Poll};

/// Who waits for an end, and the how-manieth of its waits it is.
pub(crate) type EndKey = (Pid, u32);

/// What is known of an end for which somebody waits.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Whose; none before it was started.
    of: Option<Pid>,
    reason: Option<ExitReason>,
    /// Whether it was asked for, not only prepared.
    asked: bool,
}

/// The wait of a process for the end of another. Dropped, it waits no longer.
#[derive(Debug)]
pub(crate) struct Ending(EndKey);

impl Ending {
    /// A wait of the process that runs, for the end of one that is still to be started.
    pub(crate) fn open() -> Ending {
        let key = act(|system, current| {
            let process = system.process(current.slot)?;
            process.counts += 1;
            let key = (current.pid, process.counts);
            system.endings.insert(key, End::default());
            Some(key)
        });
        Ending(key.flatten().unwrap_or((Pid::NOBODY, 0)))
    }

    /// A wait of the process that runs, for the end of this one.
    pub(crate) fn of(pid: Pid) -> Ending {
        let ending = Ending::open();
        with(|system| system.await_end(ending.0, pid));
        ending
    }

    /// What stands for it where the other is started.
    pub(crate) fn key(&self) -> EndKey {
        self.0
    }

    /// The reason of the end, again and again once it is known; `noproc` where nobody was there.
    pub(crate) fn poll_reason(&self, cx: &TaskContext<'_>) -> Poll<ExitReason> {
        let reason = with(|system| {
            let end = system.endings.get_mut(&self.0)?;
            end.asked = true;
            end.reason.clone()
        });
        match reason {
            Some(reason) => Poll::Ready(reason),
            None => {
                wait(wants::REPLY, cx);
                Poll::Pending
            }
        }
    }

    /// The reason of the end, where that has come.
    pub(crate) fn reason(&self) -> Option<ExitReason> {
        with(|system| system.endings.get(&self.0)?.reason.clone())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (by, number) = self.0;
        let _ = try_with(|system| {
            let of = system.endings.remove(&self.0)?.of?;
            system.forget_watch(of, by, Watch::End(number));
            Some(())
        });
    }
}

/// Ties a process that was just started to one that waits for its end, and may be linked to it.
pub(crate) fn tie(wait: EndKey, started: Pid, linked: bool) {
    with(|system| {
        system.await_end(wait, started);
        if linked {
            system.link_both(wait.0, started);
        }
    });
}

/// Whether who has asked for a process still waits for it: it lives, and has not dropped its wait.
pub(crate) fn is_awaited(wait: EndKey) -> bool {
    with(|system| system.endings.contains_key(&wait))
}

/// The process that runs gives another up: it is no longer linked to it, and kills it. Nothing where none
/// runs, or where that may do nothing any more.
pub(crate) fn abandon(pid: Pid) {
    let _ = try_with(|system| {
        let current = system.current;
        if current.pid != Pid::NOBODY && system.may_call() {
            system.unlink(current, pid);
            system.send_exit(current.pid, Target::Pid(pid), ExitReason::Kill);
        }
    });
}

impl System {
    fn await_end(&mut self, key: EndKey, of: Pid) {
        let watched = self.resolve(Target::Pid(of)).ok();
        let Some(end) = self.endings.get_mut(&key) else {
            return;
        };
        end.of = Some(of);
        let (by, number) = key;
        match watched.and_then(|(_, slot)| self.process(slot)) {
            Some(process) => {
                process.watchers.insert((by, Watch::End(number)));
            }
            None => self.ended(key, &ExitReason::NoProc),
        }
    }

    /// The end has come for which somebody waits.
    pub(crate) fn ended(&mut self, key: EndKey, reason: &ExitReason) {
        if let Some(end) = self.endings.get_mut(&key) {
            end.reason = Some(reason.clone());
        }
        if let Ok(slot) = self.find(key.0) {
            self.came(slot, wants::REPLY);
        }
    }

    /// Links two live processes of one node.
    fn link_both(&mut self, from: Pid, to: Pid) {
        self.kernel.trace.emit(Event::Link { from, to });
        for (own, other) in [(from, to), (to, from)] {
            let slot = self.find(own).ok();
            if let Some(process) = slot.and_then(|slot| self.process(slot)) {
                process.extra().links.insert(other);
            }
        }
    }

    /// Whose ends each process waits for, in the order in which it began to.
    pub(crate) fn awaited_ends(&self) -> BTreeMap<Pid, Vec<Pid>> {
        let asked = |(&(by, number), end): (&EndKey, &End)| {
            let open = end.asked && end.reason.is_none();
            open.then_some((by, number, end.of?))
        };
        let mut all: Vec<(Pid, u32, Pid)> = self.endings.iter().filter_map(asked).collect();
        all.sort_unstable();
        let mut ends = BTreeMap::<Pid, Vec<Pid>>::new();
        for (by, _, of) in all {
            ends.entry(by).or_default().push(of);
        }
        ends
    }
}
