//! Calls: a question with a one-use place for its answer.

use super::address::{Address, Left, local_detail};
use super::alias::abandon;
use super::exit::CallError;
use super::host::{Carries, Via};
use super::message::Message;
use super::system::{System, Watch, act, wants, with};
use super::target::Target;
use super::timer::wait;
use crate::trace::{Event, PacketKind, Pid, TextId, emit};
use serde::{Deserialize, Serialize};
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
        let replied = with(|system| {
            let here = system.current().pid.node();
            if self.to.node() != here {
                return Replied::Abroad(answer);
            }
            if system.budget <= 1 || system.kernel.trace.wants_detail() {
                return Replied::Slow(answer);
            }
            system.budget -= 1;
            Replied::Here(system.reply_here(self.to, self.alias, answer, TextId::NONE))
        });
        match replied {
            Replied::Here(left) => drop(left),
            Replied::Slow(answer) => self.reply_with_detail(answer),
            Replied::Abroad(answer) => self.reply_remote(&answer),
        }
    }

    /// Gives an answer of which somebody wants details, or which may be the last call of the host.
    #[cold]
    fn reply_with_detail(self, answer: R) {
        let detail = with(|system| system.kernel.trace.wants_detail());
        let text = if detail { local_detail(&answer) } else { None };
        let left = act(|system, _| {
            let text = system.kernel.trace.text(|| text.unwrap_or_default());
            system.reply_here(self.to, self.alias, answer, text)
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

/// How far an answer has come.
enum Replied<R> {
    /// To a call of this node; or it came too late.
    Here(Option<R>),
    /// Nowhere yet, since it wants more than the fast way does.
    Slow(R),
    /// It goes to another node.
    Abroad(R),
}

impl System {
    /// Puts an answer of the current process into the place on this node that waits for it.
    #[inline(always)]
    fn reply_here<R: Message>(
        &mut self,
        to: Pid,
        alias: u32,
        answer: R,
        text: TextId,
    ) -> Option<R> {
        let id = self.next_id();
        self.kernel.trace.books.sent(id.from.node(), id);
        emit!(&mut self.kernel.trace, Event::Reply { id, to, text });
        self.put_answer(to, alias, id, answer)
    }
}

/// The wait of one call; ends its alias, its timer and its watch of the server when it is dropped.
#[derive(Debug)]
pub(crate) struct Call<R> {
    caller: Pid,
    /// 0 where it is over, or was never made.
    alias: u32,
    /// Another node was asked, and neither its answer nor its end is known.
    asks_abroad: bool,
    answer: PhantomData<fn() -> R>,
}

impl<R: Message> Call<R> {
    /// One that is not made yet.
    const fn new() -> Call<R> {
        Call {
            caller: Pid::NOBODY,
            alias: 0,
            asks_abroad: false,
            answer: PhantomData,
        }
    }

    fn reply_to(&self) -> ReplyTo<R> {
        ReplyTo {
            to: self.caller,
            alias: self.alias,
            answer: PhantomData,
        }
    }

    /// Opens a place for the answer of `to`: how the question goes. Nothing where the process is fenced off.
    #[inline(always)]
    fn open(&mut self, to: Target, timeout: Option<Duration>) -> Result<Option<Goes>, CallError> {
        let opened = act(|system, current| {
            let target = system.homed(current.pid.node(), to);
            let server = system.callee(current.pid, target)?;
            let timeout = system.timeout(current, timeout);
            let alias = system.open_call::<R>(current, Some(target), server, timeout);
            self.caller = current.pid;
            self.alias = alias.unwrap_or(0);
            Ok(alias.map(|_| match server {
                Some(server) if !system.kernel.trace.wants_detail() => Goes::Here(server),
                Some(_) => Goes::Slowly,
                None => Goes::Abroad(target),
            }))
        });
        opened.unwrap_or(Ok(None))
    }
}

/// How a question goes.
enum Goes {
    /// To this process of this node.
    Here(Pid),
    /// To one of this node, and somebody wants details.
    Slowly,
    /// To another node.
    Abroad(Target),
}

impl<R: Message> Future for Call<R> {
    type Output = Result<R, CallError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if self.alias == 0 {
            return Poll::Pending;
        }
        let own = crate::kernel::is_own(cx.waker());
        let (caller, alias) = (self.caller, self.alias);
        match with(|system| system.take_answer::<R>(caller, alias, own)) {
            // Its place stays until it is dropped, which tells the other node.
            Some(Err(CallError::Timeout)) => Poll::Ready(Err(CallError::Timeout)),
            Some(result) => {
                self.alias = 0;
                Poll::Ready(result)
            }
            None => {
                if !own {
                    wait(wants::REPLY | wants::TIME, cx);
                }
                Poll::Pending
            }
        }
    }
}

impl<R> Drop for Call<R> {
    #[inline]
    fn drop(&mut self) {
        if self.alias != 0 {
            abandon(self.caller, self.alias, self.asks_abroad);
        }
    }
}

/// A question and the wait for its answer. The question is asked when it is first polled.
pub(crate) struct Asking<M, R, F> {
    to: Address<M>,
    /// Absent where it waits for ever.
    timeout: Option<Duration>,
    /// Makes the question of a place for its answer.
    ask: Option<F>,
    call: Call<R>,
}

// Nothing in it is ever polled in its place.
impl<M, R, F> Unpin for Asking<M, R, F> {}

impl<M: Message, R: Message, F: FnOnce(ReplyTo<R>) -> M> Asking<M, R, F> {
    pub(crate) fn new(to: Address<M>, ask: F, timeout: Option<Duration>) -> Asking<M, R, F> {
        Asking {
            to,
            timeout,
            ask: Some(ask),
            call: Call::new(),
        }
    }

    /// Asks: whether the process already waits for the answer, which only an `own` waker is known to want.
    #[inline(always)]
    fn ask(&mut self, ask: F, own: bool) -> Result<bool, CallError> {
        let Some(goes) = self.call.open(self.to.target(), self.timeout)? else {
            return Ok(true);
        };
        let question = ask(self.call.reply_to());
        let (caller, alias) = (self.call.caller, self.call.alias);
        match goes {
            Goes::Here(server) => {
                let (left, waits) = with(|system| {
                    if !system.may_call() {
                        return (Left::Dropped(question), false);
                    }
                    let id = system.next_id();
                    let node = id.from.node();
                    system.asking = alias;
                    let left = system.deliver_local(node, Target::Pid(server), id, question, None);
                    system.asking = 0;
                    (left, own && system.waits_for_answer(caller, alias))
                });
                drop(left);
                return Ok(waits);
            }
            Goes::Slowly => super::address::send_with_detail(self.to.target(), question, alias),
            Goes::Abroad(target) => {
                let how = (PacketKind::Data, Via::Connection, Carries::Question(alias));
                let blank = with(|system| system.blank(target));
                super::address::hand_over(blank, how, &question);
                self.call.asks_abroad = true;
            }
        }
        Ok(false)
    }
}

impl<M: Message, R: Message, F: FnOnce(ReplyTo<R>) -> M> Future for Asking<M, R, F> {
    type Output = Result<R, CallError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if let Some(ask) = self.ask.take() {
            match self.ask(ask, crate::kernel::is_own(cx.waker())) {
                Ok(true) => return Poll::Pending,
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Pin::new(&mut self.call).poll(cx)
    }
}

/// Starts a process with a place for its first answer: the wait for that answer, or the process's end.
pub(crate) fn started_by<R: Message>(
    start: impl FnOnce(ReplyTo<R>) -> Option<Pid>,
    timeout: Option<Duration>,
) -> Result<Call<R>, CallError> {
    let mut call = Call::<R>::new();
    let opened = act(|system, current| {
        let timeout = system.timeout(current, timeout);
        let alias = system.open_call::<R>(current, None, None, timeout)?;
        Some((current.pid, alias))
    });
    let Some(Some((caller, alias))) = opened else {
        return Ok(call);
    };
    (call.caller, call.alias) = (caller, alias);
    if let Some(pid) = start(call.reply_to()) {
        with(|system| {
            system.callee(caller, Target::Pid(pid))?;
            system.name_callee(caller, alias, pid);
            Ok(())
        })?;
    }
    Ok(call)
}
