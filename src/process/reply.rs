//! Calls: a question with a one-use place for its answer.

use super::address::{Address, local_detail};
use super::distribution::Signal;
use super::exit::{CallError, ExitReason};
use super::host::{Carries, Packet, Via};
use super::message::{Message, decode};
use super::system::{Deliver, Extra, Remains, System, Watch, act, current, try_with, wants, with};
use super::target::Target;
use super::timer::{Alarm, wait};
use crate::kernel::Time;
use crate::trace::{DeadReason, Event, Fate, MessageId, NodeId, PacketKind, Pid};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

/// A typed, one-use place for an answer. It may travel inside a message, and anybody who holds it may
/// answer. It stands for the caller only while the call waits: a late answer is dropped, and counted.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ReplyTo<R> {
    to: Pid,
    alias: u32,
    #[serde(skip)]
    answer: PhantomData<fn(R)>,
}

impl<R> fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyTo({}:{})", self.to, self.alias)
    }
}

/// A call of a process that still waits for its answer.
pub(crate) struct Alias {
    id: u32,
    /// Whom it asks; none before the process that is to answer was started.
    to: Option<Target>,
    since: Time,
    /// Holds an `Option<R>`.
    cell: Box<dyn Any>,
    pub(crate) arrived: Option<MessageId>,
    failed: Option<ExitReason>,
    deliver: Deliver,
}

impl Alias {
    /// Whom it asks and since when, where the answer has not come.
    pub(crate) fn unanswered(&self) -> Option<(Option<Target>, Time)> {
        (self.arrived.is_none() && self.failed.is_none()).then_some((self.to, self.since))
    }
}

impl<R: Message> ReplyTo<R> {
    /// Who waits for the answer.
    #[must_use]
    pub fn caller(&self) -> Pid {
        self.to
    }

    /// Answers.
    ///
    /// # Panics
    /// Outside a process.
    pub fn reply(self, answer: R) {
        let here = current().pid.node();
        if self.to.node() == here {
            self.reply_local(answer)
        } else {
            self.reply_remote(&answer)
        }
    }

    fn reply_local(self, answer: R) {
        let detail = with(|system| system.kernel.trace.wants_detail());
        let text = if detail { local_detail(&answer) } else { None };
        let left = act(|system, current| {
            let id = system.next_id();
            let text = system.kernel.trace.text(|| text.unwrap_or_default());
            system.kernel.trace.books.sent(current.pid.node(), id);
            system.kernel.trace.emit(Event::Reply {
                id,
                to: self.to,
                text,
            });
            system.put_answer(self.to, self.alias, id, answer)
        });
        drop(left);
    }

    fn reply_remote(self, answer: &R) {
        let to = Target::Alias(self.to, self.alias);
        let (blank, watched) = with(|system| {
            let own = system.process(system.current.slot);
            let watch = (self.to, Watch::Call(self.alias));
            let watched = own.is_some_and(|process| process.watchers.remove(watch));
            (system.blank(to), watched)
        });
        let how = (PacketKind::Reply, Via::Connection, Carries::Answer(watched));
        super::address::hand_over(blank, how, answer);
    }
}

impl Extra {
    /// The calls that wait for an answer from this node.
    pub(crate) fn calls_to(&self, node: NodeId) -> SmallVec<[u32; 2]> {
        let waits = |alias: &&Alias| {
            let asks_it = alias.to.is_some_and(|to| to.node() == node);
            asks_it && alias.arrived.is_none() && alias.failed.is_none()
        };
        self.aliases.iter().filter(waits).map(|a| a.id).collect()
    }
}

impl System {
    /// Puts an answer into the place that waits for it; gives back one that came too late.
    fn put_answer<R: Message>(
        &mut self,
        to: Pid,
        alias: u32,
        id: MessageId,
        answer: R,
    ) -> Option<R> {
        let place = self.find(to).ok().and_then(|slot| {
            let extra = self.process(slot)?.extra.as_mut()?;
            let alias = extra
                .aliases
                .iter_mut()
                .find(|a| a.id == alias && a.arrived.is_none() && a.failed.is_none())?;
            let cell = alias.cell.downcast_mut::<Option<R>>()?;
            alias.arrived = Some(id);
            Some((slot, cell))
        });
        let Some((slot, cell)) = place else {
            self.kernel.trace.emit(Event::Stale { id, to });
            self.kernel.trace.books.ended(to.node(), id, Fate::Stale);
            return Some(answer);
        };
        *cell = Some(answer);
        self.came(slot, wants::REPLY);
        None
    }

    /// The process that a call waits for was not there when it was made: now it is.
    fn name_callee(&mut self, caller: Pid, alias: u32, callee: Pid) {
        let slot = self.find(caller).ok();
        let extra = slot.and_then(|slot| self.process(slot)?.extra.as_mut());
        let aliases = extra.into_iter().flat_map(|extra| &mut extra.aliases);
        for place in aliases.filter(|place| place.id == alias) {
            place.to = Some(Target::Pid(callee));
        }
    }

    /// The server that a call waits for has ended.
    pub(crate) fn fail_alias(&mut self, slot: u32, alias: u32, reason: ExitReason) {
        let Some(extra) = self.process(slot).and_then(|p| p.extra.as_mut()) else {
            return;
        };
        if let Some(alias) = extra.aliases.iter_mut().find(|a| a.id == alias) {
            alias.failed = Some(reason);
            self.came(slot, wants::REPLY);
        }
    }

    /// Tells the node that was asked that a call no longer waits.
    fn end_call(&mut self, by: Pid, alias: u32) {
        let Ok(slot) = self.find(by) else { return };
        let extra = self.process(slot).and_then(|p| p.extra.as_ref());
        let of = extra.and_then(|extra| extra.aliases.iter().find(|a| a.id == alias)?.to);
        if let Some(of) = of.filter(|of| of.node() != by.node()) {
            self.signal(by, of, &Signal::CallOver { by, alias, of });
        }
    }

    /// Where the bytes of an answer go, if somebody still waits for it.
    pub(crate) fn answer_taker(&mut self, to: Pid, alias: u32) -> Option<Deliver> {
        let slot = self.find(to).ok()?;
        let extra = self.process(slot)?.extra.as_ref()?;
        extra
            .aliases
            .iter()
            .find(|a| a.id == alias)
            .map(|a| a.deliver)
    }
}

fn deliver_answer<R: Message>(to: Pid, alias: u32, packet: &Packet) {
    let answer = decode::<R>(packet.label, &packet.bytes);
    with(|system| match answer {
        Ok(answer) => match system.put_answer(to, alias, packet.id, answer) {
            Some(late) => system.graveyard.push(Remains::Value(Box::new(late))),
            // A third party has answered, while the caller still watches the one that it asked.
            None if packet.what == Carries::Answer(false) => system.end_call(to, alias),
            None => {}
        },
        Err(why) => system.dead_letter(to.node(), packet.id, to.as_u64(), why),
    });
}

/// The wait of one call; ends its alias, its timer and its monitor when it is dropped.
struct Call<R> {
    caller: Pid,
    alias: u32,
    server: Option<Pid>,
    /// Another node was asked, and neither its answer nor its end is known.
    asks_abroad: bool,
    /// Absent where it waits for ever.
    alarm: Option<Alarm>,
    answer: PhantomData<fn() -> R>,
}

impl<R: Message> Call<R> {
    /// Opens a place for the answer.
    fn open(to: Option<Target>, timeout: Option<Duration>) -> Option<Call<R>> {
        let (caller, alias) = act(|system, current| {
            let since = system.kernel.now();
            let process = system.process(current.slot)?;
            process.counts += 1;
            let id = process.counts;
            let extra = process.extra();
            let spare = extra.spare.take().filter(|cell| cell.is::<Option<R>>());
            let cell = spare.unwrap_or_else(|| Box::new(None::<R>));
            let deliver = deliver_answer::<R>;
            extra.aliases.push(Alias {
                id,
                to,
                since,
                cell,
                arrived: None,
                failed: None,
                deliver,
            });
            Some((current.pid, id))
        })??;
        let alarm = timeout.map(Alarm::new);
        Some(Call {
            caller,
            alias,
            server: None,
            asks_abroad: false,
            alarm,
            answer: PhantomData,
        })
    }

    /// Watches the server, where it lives on this node: its end is the call's. One on another node is
    /// watched when the question comes there.
    fn watch(&mut self, target: Target) -> Result<(), CallError> {
        let watched = act(|system, current| {
            let pid = match target {
                Target::Pid(pid) => pid,
                Target::Name(node, _) if node != current.pid.node() => return Ok(None),
                Target::Name(node, name) => system.nodes[node.index()]
                    .whereis(name)
                    .ok_or(CallError::NoProc)?,
                Target::Alias(pid, _) => pid,
            };
            if pid == current.pid {
                return Err(CallError::CallingSelf);
            }
            if pid.node() != current.pid.node() {
                return Ok(None);
            }
            let (_, slot) = system
                .resolve(Target::Pid(pid))
                .map_err(|_: DeadReason| CallError::NoProc)?;
            if let Some(process) = system.process(slot) {
                process
                    .watchers
                    .insert((current.pid, Watch::Call(self.alias)));
            }
            Ok(Some(pid))
        });
        self.server = watched.unwrap_or(Ok(None))?;
        Ok(())
    }
}

impl<R: Message> Future for Call<R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let (caller, alias) = (self.caller, self.alias);
        let got = with(|system| {
            let slot = system.find(caller).ok()?;
            let process = system.process(slot)?;
            let extra = process.extra.as_mut()?;
            let alias = extra.aliases.iter_mut().find(|a| a.id == alias)?;
            let to_node = alias.to.map_or(caller.node(), Target::node);
            let asks_abroad = to_node != caller.node();
            if let Some(id) = alias.arrived.take() {
                let answer = alias.cell.downcast_mut::<Option<R>>()?.take()?;
                system.kernel.trace.emit(Event::Receive { id, by: caller });
                system.kernel.trace.books.received(caller.node(), id);
                return Some(Ok(answer));
            }
            alias.failed.take().map(|reason| {
                Err(match reason {
                    ExitReason::NoProc => CallError::NoProc,
                    ExitReason::NoConnection if asks_abroad => CallError::NodeDown(to_node),
                    reason => CallError::Exit(reason),
                })
            })
        });
        if let Some(result) = got {
            self.asks_abroad = false;
            return Poll::Ready(result);
        }
        if self.alarm.as_mut().is_some_and(|alarm| alarm.poll_over(cx)) {
            return Poll::Ready(Err(CallError::Timeout));
        }
        wait(wants::REPLY, cx);
        Poll::Pending
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        let (caller, id) = (self.caller, self.alias);
        let left = try_with(|system| {
            if self.asks_abroad && system.budget > 0 {
                system.end_call(caller, id);
            }
            if let Some(server) = self.server
                && let Ok(slot) = system.find(server)
                && let Some(process) = system.process(slot)
            {
                process.watchers.remove((caller, Watch::Call(id)));
            }
            let slot = system.find(caller).ok()?;
            let extra = system.process(slot)?.extra.as_mut()?;
            let index = extra.aliases.iter().position(|a| a.id == id)?;
            let mut alias = extra.aliases.remove(index);
            let unread = alias.arrived.take();
            if unread.is_none() {
                // The cell is empty: the next call with the same type of answer uses it again.
                extra.spare = Some(alias.cell);
                return None;
            }
            if let Some(id) = unread {
                system.kernel.trace.emit(Event::Unread { id, by: caller });
                system
                    .kernel
                    .trace
                    .books
                    .ended(caller.node(), id, Fate::Unread);
            }
            Some(alias.cell)
        });
        drop(left);
    }
}

/// Sends a question that `ask` makes of a place for its answer, and waits for the answer.
pub(crate) async fn call_with<M: Message, R: Message>(
    to: Address<M>,
    ask: impl FnOnce(ReplyTo<R>) -> M,
    timeout: Option<Duration>,
) -> Result<R, CallError> {
    let (target, blank) = with(|system| {
        let here = system.current().pid.node();
        let target = system.homed(here, to.target());
        let is_abroad = target.node() != here;
        (target, is_abroad.then(|| system.blank(target)))
    });
    let Some(mut call) = Call::<R>::open(Some(target), timeout) else {
        return std::future::pending().await;
    };
    let reply_to = ReplyTo {
        to: call.caller,
        alias: call.alias,
        answer: PhantomData,
    };
    call.watch(target)?;
    let question = ask(reply_to);
    if let Some(blank) = blank {
        let what = Carries::Question(call.alias);
        let how = (PacketKind::Data, Via::Connection, what);
        super::address::hand_over(blank, how, &question);
        call.asks_abroad = true;
    } else {
        to.send(question);
    }
    call.await
}

/// Starts a process with a place for its first answer, and waits for that answer or the process's end.
pub(crate) async fn started_by<R: Message>(
    start: impl FnOnce(ReplyTo<R>) -> Option<Pid>,
    timeout: Option<Duration>,
) -> Result<R, CallError> {
    let Some(mut call) = Call::<R>::open(None, timeout) else {
        return std::future::pending().await;
    };
    let reply_to = ReplyTo {
        to: call.caller,
        alias: call.alias,
        answer: PhantomData,
    };
    if let Some(pid) = start(reply_to) {
        with(|system| system.name_callee(call.caller, call.alias, pid));
        call.watch(Target::Pid(pid))?;
    }
    call.await
}
