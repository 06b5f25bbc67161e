//! Timers: sleeping, waiting with a timeout, and messages sent after a while.

use super::address::Address;
use super::host::{Carries, Via};
use super::message::Message;
use super::system::{Current, Remains, System, act, current, try_with, wants};
use super::target::Target;
use crate::choice::{Class, Kind, Lineage, Shape, Site};
use crate::kernel::{Drawn, Due, Key, Time, What, nanos};
use crate::trace::{Event, MessageId, NodeId, PacketKind, Pid};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

/// A message that a timer will send.
pub(crate) struct Delayed {
    pub(super) to: Target,
    /// When it was to fire; it may be later.
    pub(super) at: Time,
    pub(super) key: Option<Key>,
    /// The message's id: who set the timer, and that process's count.
    pub(super) id: MessageId,
    pub(super) who: Lineage,
    /// The how-manieth timer of that process.
    pub(super) nth: u32,
    pub(super) send: Send,
}

pub(crate) type Send = Box<dyn FnOnce(MessageId, Lineage)>;

/// A timer that was set: for cancelling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerRef {
    index: u32,
    generation: u16,
    key: Option<Key>,
}

impl System {
    /// Arms a timer of the process in this slot: the `nth` of what it counts.
    pub(crate) fn arm_timer(&mut self, slot: u32, at: Time, nth: u32, what: What) -> Option<Key> {
        let task = self.kernel.tasks.get(slot)?;
        let (who, pid) = (task.lineage, task.data.pid);
        self.kernel.trace.emit(Event::TimerSet {
            pid,
            at_ns: at.as_nanos(),
        });
        let drawn = Drawn {
            from: at,
            site: Site::new(Kind::Lateness, who, u64::from(nth)),
            shape: Shape::UpTo(self.host.most_late_ns()),
            class: Class::Timer,
            receiver: pid.node().index() as u32,
        };
        match self.kernel.arm_drawn(&drawn, Due { who, nth, what }) {
            Ok(key) => Some(key),
            Err(reached) => {
                self.stop(reached);
                None
            }
        }
    }

    /// Arms a timer that wakes the current process.
    pub(crate) fn arm_wake(&mut self, current: Current, after: Duration) -> Option<Key> {
        let at = self.moment(current, after);
        let nth = self.count(current.slot)?;
        self.arm_timer(current.slot, at, nth, What::wake(current.slot))
    }

    /// Counts one more of what tells a process's timers, calls and monitors apart.
    pub(crate) fn count(&mut self, slot: u32) -> Option<u32> {
        let process = self.process(slot)?;
        process.counts += 1;
        Some(process.counts)
    }

    /// The moment when the clock of the current process's node will have moved by so much.
    #[inline]
    pub(crate) fn moment(&self, current: Current, after: Duration) -> Time {
        let now = self.kernel.now();
        if self.drifts {
            now.plus_nanos(self.host.real_ns(current.pid.node(), nanos(after)))
        } else {
            now + after
        }
    }

    /// Whether the node on which this timer was set is paused: then it fires when the node goes on.
    #[cold]
    pub(crate) fn is_late(&mut self, index: u32) -> bool {
        let from = self.delayed.get(index).map(|delayed| delayed.id.from);
        let node = from.map(|from| &mut self.nodes[from.node().index()]);
        match node.filter(|node| node.paused) {
            Some(node) => {
                node.late.push(index);
                true
            }
            None => false,
        }
    }

    /// A node goes on that was paused: the timers that were due meanwhile fire now. Only a simulator pauses a
    /// node in the midst of what others do.
    #[cfg(feature = "sim")]
    pub(crate) fn fire_late(&mut self, node: NodeId) {
        for index in std::mem::take(&mut self.nodes[node.index()].late) {
            let Some(delayed) = self.delayed.get(index) else {
                continue;
            };
            let (who, nth, what) = (delayed.who, delayed.nth, What::process(index));
            let key = self.kernel.arm(self.kernel.now(), Due { who, nth, what });
            match key {
                Ok(key) => {
                    if let Some(delayed) = self.delayed.get_mut(index) {
                        delayed.key = Some(key);
                    }
                }
                Err(reached) => self.stop(reached),
            }
        }
    }

    /// Takes a timer off the agenda; whether it was still to come.
    pub(crate) fn disarm(&mut self, pid: Pid, key: Key) -> bool {
        let was_armed = self.kernel.disarm(key).is_some();
        if was_armed {
            self.kernel.trace.emit(Event::TimerCancelled { pid });
        }
        was_armed
    }

    /// The timer with this number is due: what it has to send is taken out, for sending outside.
    pub(crate) fn take_delayed(&mut self, index: u32) -> Option<(Send, MessageId, Lineage)> {
        let delayed = self.delayed.remove(index)?;
        self.kernel.trace.emit(Event::TimerFired {
            pid: delayed.id.from,
        });
        if let Target::Pid(pid) = delayed.to {
            self.forget_delayed(pid, index);
        }
        Some((delayed.send, delayed.id, delayed.who))
    }

    /// Timers die with the node on which they were set.
    pub(crate) fn drop_delayed_of(&mut self, node: NodeId) {
        let of = self
            .delayed
            .iter()
            .filter(|(_, d)| d.id.from.node() == node);
        for index in of.map(|(index, _)| index).collect::<Vec<_>>() {
            self.drop_delayed(index);
        }
    }

    /// When these messages will be sent.
    #[cfg(feature = "sim")]
    pub(crate) fn due_of(&self, delayed: &[u32]) -> Vec<Time> {
        let due = delayed.iter().filter_map(|index| self.delayed.get(*index));
        due.map(|delayed| delayed.at).collect()
    }

    fn forget_delayed(&mut self, pid: Pid, index: u32) {
        if let Ok(slot) = self.find(pid)
            && let Some(extra) = self.process(slot).and_then(|p| p.extra.as_mut())
        {
            extra.delayed.retain(|i| *i != index);
        }
    }

    /// At the end of a run.
    pub(crate) fn drop_all_delayed(&mut self) {
        let all = self.delayed.drain();
        self.graveyard.extend(all.map(Remains::Delayed));
    }

    /// Cancels a message that a timer would have sent.
    pub(crate) fn drop_delayed(&mut self, index: u32) -> Option<Duration> {
        let delayed = self.delayed.remove(index)?;
        let from = delayed.id.from;
        let was_armed = delayed.key.is_some_and(|key| self.disarm(from, key));
        let left = delayed.at.since(self.kernel.now());
        self.graveyard.push(Remains::Delayed(delayed));
        was_armed.then_some(left)
    }
}

/// Sends `message` to `to` after a while.
pub(crate) fn send_after<M: Message>(to: Address<M>, message: M, after: Duration) -> TimerRef {
    let target = to.target();
    set(
        target,
        after,
        Box::new(move |id, who| {
            let how = (PacketKind::Data, Via::Connection, Carries::Message);
            super::address::fire(target, message, how, (id, who));
        }),
    )
}

/// Sets a timer of the current process that calls `send` after a while; it dies with `target`.
pub(crate) fn set(target: Target, after: Duration, send: Send) -> TimerRef {
    let nothing = TimerRef {
        index: u32::MAX,
        generation: 0,
        key: None,
    };
    let set = act(|system, current| {
        let id = system.next_id();
        let who = system
            .kernel
            .tasks
            .get(current.slot)
            .map_or(Lineage::RUN, |t| t.lineage);
        let at = system.moment(current, after);
        let delayed = Delayed {
            to: target,
            at,
            key: None,
            id,
            who,
            nth: 0,
            send,
        };
        let receiver = match target {
            Target::Pid(pid) if pid.node() == current.pid.node() => {
                let Ok((_, slot)) = system.resolve(target) else {
                    // It has died with the process.
                    system.graveyard.push(Remains::Delayed(delayed));
                    return nothing;
                };
                Some(slot)
            }
            _ => None,
        };
        let (index, generation) = system.delayed.insert(delayed);
        let nth = system.count(current.slot).unwrap_or(0);
        let key = system.arm_timer(current.slot, at, nth, What::process(index));
        if let Some(delayed) = system.delayed.get_mut(index) {
            (delayed.key, delayed.nth) = (key, nth);
        }
        if let Some(process) = receiver.and_then(|slot| system.process(slot)) {
            process.extra().delayed.push(index);
        }
        TimerRef {
            index,
            generation,
            key,
        }
    });
    set.unwrap_or(nothing)
}

/// Cancels a timer: the time that was left, or nothing where it has fired or was cancelled before.
pub(crate) fn cancel(timer: TimerRef) -> Option<Duration> {
    act(|system, _| {
        system.delayed.find(timer.index, timer.generation)?;
        if let Some(Target::Pid(pid)) = system.delayed.get(timer.index).map(|d| d.to) {
            system.forget_delayed(pid, timer.index);
        }
        system.drop_delayed(timer.index)
    })?
}

/// The time that a timer has left.
pub(crate) fn left(timer: TimerRef) -> Option<Duration> {
    act(|system, _| {
        let at = system.delayed.find(timer.index, timer.generation)?.at;
        let is_armed = system.kernel.is_armed(timer.key?);
        is_armed.then(|| at.since(system.kernel.now()))
    })?
}

/// A timer that wakes the process which polls it; cancelled when it is dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    after: Duration,
    state: AlarmState,
}

#[derive(Debug)]
enum AlarmState {
    New,
    Set(Pid, Key),
    Over,
}

impl Alarm {
    pub(crate) fn new(after: Duration) -> Alarm {
        Alarm {
            after,
            state: AlarmState::New,
        }
    }

    /// Whether it has gone off; sets it at the first call.
    pub(crate) fn poll_over(&mut self, cx: &TaskContext<'_>) -> bool {
        match self.state {
            AlarmState::Over => return true,
            AlarmState::New => {
                let set = act(|system, current| {
                    let key = system.arm_wake(current, self.after)?;
                    Some((current.pid, key))
                });
                if let Some(Some((pid, key))) = set {
                    self.state = AlarmState::Set(pid, key);
                }
            }
            AlarmState::Set(_, key) => {
                if !super::system::with(|system| system.kernel.is_armed(key)) {
                    self.state = AlarmState::Over;
                    return true;
                }
            }
        }
        wait(wants::TIME, cx);
        false
    }
}

impl Drop for Alarm {
    #[inline]
    fn drop(&mut self) {
        if let AlarmState::Set(pid, key) = self.state {
            let _ = try_with(|system| system.disarm(pid, key));
        }
    }
}

/// Registers that the current process waits for events of these sorts.
pub(crate) fn wait(sorts: u8, cx: &TaskContext<'_>) {
    let foreign = if sorts == 0 || crate::kernel::is_own(cx.waker()) {
        None
    } else {
        Some(cx.waker().clone())
    };
    let current = current();
    super::system::with(|system| {
        let Some(task) = system.kernel.tasks.get_mut(current.slot) else {
            return;
        };
        task.waits = true;
        task.data.wants |= sorts;
        if let Some(waker) = foreign {
            task.data.extra().wait_with(waker);
        }
    });
}

/// Waits for a while.
#[derive(Debug)]
pub(crate) struct Sleep(pub(crate) Alarm);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        if self.0.poll_over(cx) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
