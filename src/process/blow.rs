//! Faults that strike a process where it is: at a message, at a step that it names, before its `init` or its
//! `terminate`.
//!
//! Who decides on them is the host, which is asked only where such faults are possible at all.

use super::context::Context;
use super::exit::ExitReason;
use super::message::Message;
use super::system::{System, with};
use super::timer::Alarm;
use crate::choice::Lineage;
use crate::kernel::nanos;
use crate::trace::{Event, Pid};
use std::future::{pending, poll_fn};
use std::task::Poll;
use std::time::Duration;

/// What a process passes where a fault can befall it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment<'a> {
    /// A step that it names itself ([`Context::step`]): its name, and the how-manieth of this process.
    Step(&'a str, u32),
    /// It is about to run its `init`, started under this name.
    Init(Option<&'a str>),
    /// It is about to run its `terminate`, started under this name.
    Terminate(Option<&'a str>),
    /// It is about to send an ack, as [`PacketKind::Ack`](crate::PacketKind::Ack): its how-manieth.
    Ack(u32),
}

/// Who passes what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passing<'a> {
    /// The process.
    pub pid: Pid,
    /// The same, for draws.
    pub who: Lineage,
    /// Whether nobody on its node would start it again: it is the node's first process, or passes while that
    /// is in its own `init`.
    pub is_alone: bool,
    /// What it passes.
    pub moment: Moment<'a>,
}

/// What befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It ends with an error: what it was about to do does not happen.
    Crash,
    /// It goes on so much later. Of an ack: that comes so much later, and its sender goes on.
    Delay(Duration),
    /// Its ack is lost.
    Lose,
    /// Its ack is sent twice.
    Repeat,
}

impl<M: Message> Context<M> {
    /// Names a step of this process, between two that it makes: a fault can crash it here
    /// (`Fault::crash_at_step`, `Faults::crash_at_steps`), and then this never returns. Nothing else happens,
    /// and where a run has no such faults it costs no more than a look.
    ///
    /// ```
    /// # use netsplit::{Context, Fault, Faults, Scenario, millis, secs};
    /// let scenario = Scenario::new("between a write and its answer")
    ///     .node("shop", |ctx: Context| async move {
    ///         ctx.sleep(secs(2)).await;
    ///         ctx.count("written");
    ///         ctx.step("written").await;
    ///         ctx.count("answered");
    ///     })
    ///     .faults(Faults::calm().at(secs(1), Fault::crash_at_step("shop", "written", 1)))
    ///     .finally("it was written", |view| view.counter("written") == 1)
    ///     .finally("and not answered", |view| view.counter("answered") == 0);
    /// assert!(scenario.run(7).unwrap().is_ok());
    /// ```
    pub async fn step(&self, name: &str) {
        if self.may_be_struck() && with(|system| system.crashes_at_step(name)) {
            pending().await
        }
    }

    /// Whether faults may befall processes where they pass.
    #[inline]
    pub(crate) fn may_be_struck(&self) -> bool {
        with(|system| {
            system.own_slot(self.pid());
            system.strikes
        })
    }

    /// Passes a moment at which a fault can befall this process; waits where it is held up, until the faults
    /// stop at most.
    ///
    /// # Errors
    /// The reason with which it is to end.
    pub(crate) async fn pass(&self, moment: Moment<'_>) -> Result<(), ExitReason> {
        match with(|system| system.befalls(moment)) {
            None | Some(Blow::Lose | Blow::Repeat) => Ok(()),
            Some(Blow::Crash) => Err(crash(moment)),
            Some(Blow::Delay(delay)) => {
                Box::pin(self.held_up(delay)).await;
                Ok(())
            }
        }
    }

    /// Notes that this process begins or ends the `init` of a behaviour: it matters of a node's first one.
    pub(crate) fn in_init(&self, begins: bool) {
        with(|system| {
            system.own_slot(self.pid());
            let node = &mut system.nodes[self.node().index()];
            if node.is_root(self.pid()) {
                node.starting = begins;
            }
        });
    }

    async fn held_up(&self, delay: Duration) {
        let pid = self.pid();
        with(|system| system.held_up.insert(pid));
        let mut alarm = Alarm::new(delay);
        poll_fn(|cx| {
            let is_let_go = with(|system| !system.held_up.contains(&pid));
            if is_let_go || alarm.poll_over(cx) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        with(|system| system.held_up.remove(&pid));
    }
}

/// The reason of a process that a fault ends where it passes.
fn crash(moment: Moment<'_>) -> ExitReason {
    match moment {
        Moment::Step(name, _) => ExitReason::error(format_args!("a fault at its step `{name}`")),
        Moment::Init(_) => ExitReason::error("a fault: its init fails"),
        Moment::Terminate(_) => ExitReason::error("a fault at its terminate"),
        Moment::Ack(_) => ExitReason::error("a fault at its ack"),
    }
}

impl System {
    /// What befalls the current process here. No call of the host, so that it moves no crash inside a poll.
    fn befalls(&mut self, moment: Moment<'_>) -> Option<Blow> {
        // What happens after its end, or a crash, has not happened.
        if self.budget == 0 {
            return None;
        }
        let (slot, pid) = (self.current.slot, self.current.pid);
        let task = self.kernel.tasks.get_mut(slot)?;
        let who = task.lineage;
        let node = &self.nodes[pid.node().index()];
        let is_alone = node.is_root(pid) || node.starting;
        let passing = Passing {
            pid,
            who,
            is_alone,
            moment,
        };
        let (host, core) = self.core();
        let blow = host.befalls(core, &passing)?;
        self.tell_blow(pid, moment, blow);
        Some(blow)
    }

    fn tell_blow(&mut self, pid: Pid, moment: Moment<'_>, blow: Blow) {
        let for_ns = match blow {
            Blow::Delay(delay) => nanos(delay),
            _ => 0,
        };
        let text = self.kernel.trace.text(|| match (moment, blow) {
            (Moment::Step(name, _), _) => format!("it crashes at its step `{name}`"),
            (Moment::Init(_), Blow::Delay(delay)) => format!("its init hangs for {delay:?}"),
            (Moment::Init(_), _) => "its init fails".to_owned(),
            (Moment::Terminate(_), Blow::Delay(delay)) => {
                format!("its terminate hangs for {delay:?}")
            }
            (Moment::Terminate(_), _) => "it ends without its terminate".to_owned(),
            (Moment::Ack(nth), Blow::Delay(delay)) => format!("its ack {nth} is {delay:?} late"),
            (Moment::Ack(nth), Blow::Repeat) => format!("its ack {nth} is sent twice"),
            (Moment::Ack(nth), _) => format!("its ack {nth} is lost"),
        });
        self.kernel.trace.emit(Event::Struck { pid, for_ns, text });
    }

    /// Whether a fault ends the current process at a step that it names.
    #[cold]
    fn crashes_at_step(&mut self, name: &str) -> bool {
        let Some(process) = self.process(self.current.slot) else {
            return false;
        };
        let extra = process.extra();
        extra.steps += 1;
        let moment = Moment::Step(name, extra.steps);
        let crashes = self.befalls(moment) == Some(Blow::Crash);
        if crashes {
            self.crash_current(crash(moment));
        }
        crashes
    }

    /// What befalls the ack that the current process is about to send.
    #[cold]
    pub(super) fn befalls_ack(&mut self) -> Option<Blow> {
        let process = self.process(self.current.slot)?;
        let extra = process.extra();
        extra.acks += 1;
        let moment = Moment::Ack(extra.acks);
        self.befalls(moment)
    }

    /// Whether a fault ends the current process at the message that it has just taken.
    #[cold]
    pub(super) fn is_struck(&mut self) -> bool {
        let (slot, pid) = (self.current.slot, self.current.pid);
        let extra = self
            .process(slot)
            .and_then(|process| process.extra.as_mut());
        let Some(strike) = extra.map(|extra| &mut extra.strike).filter(|n| **n > 0) else {
            return false;
        };
        *strike -= 1;
        if *strike > 0 || self.budget == 0 {
            return false;
        }
        let text = self
            .kernel
            .trace
            .text(|| "it crashes at this message".to_owned());
        let for_ns = 0;
        self.kernel.trace.emit(Event::Struck { pid, for_ns, text });
        self.crash_current(ExitReason::error("a fault at a message"));
        true
    }

    /// The current process ends with this poll, of which nothing happens any more.
    fn crash_current(&mut self, reason: ExitReason) {
        let current = self.current;
        self.doom(current.slot, current.pid, reason);
        self.fence_the_doomed(current);
    }

    /// No fault strikes any more: who was held up goes on.
    #[cfg(feature = "sim")]
    pub(crate) fn no_more_blows(&mut self) {
        if !std::mem::take(&mut self.strikes) {
            return;
        }
        for node in 0..self.nodes.len() {
            for slot in self.nodes[node].tasks() {
                if let Some(extra) = self.process(slot).and_then(|p| p.extra.as_mut()) {
                    extra.strike = 0;
                }
            }
        }
        for pid in std::mem::take(&mut self.held_up) {
            if let Ok(slot) = self.find(pid) {
                self.came(slot, super::system::wants::TIME);
            }
        }
    }
}
