//! Calls: a question with a one-use place for its answer.

use super::address::{Address, Blank, Left, local_detail};
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

    /// The call that waits for it: no other of that process has this number.
    pub(crate) fn call(&self) -> (Pid, u32) {
        (self.to, self.alias)
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
///
/// In whole words: a future is moved right after it was made, and what is written in parts and then read as a
/// whole waits for its parts.
#[derive(Debug)]
pub(crate) struct Call<R> {
    caller: Pid,
    /// Its alias; 0 where it is over, or was never made.
    alias: u64,
    answer: PhantomData<fn() -> R>,
}

/// How a question goes, or why it does not.
enum Opened {
    /// To a process of this node.
    Here,
    /// To one of this node, and somebody wants details.
    Slowly,
    /// To another node.
    Abroad,
    /// There is nobody to ask.
    Nobody,
    /// The process asks itself.
    Itself,
    /// Not at all: the process is fenced off.
    Fenced,
}

impl<R: Message> Call<R> {
    /// One that is not made yet.
    const fn new() -> Call<R> {
        Call {
            caller: Pid::NOBODY,
            alias: 0,
            answer: PhantomData,
        }
    }

    fn reply_to(&self) -> ReplyTo<R> {
        ReplyTo {
            to: self.caller,
            alias: self.alias as u32,
            answer: PhantomData,
        }
    }

    /// Opens a place for the answer of `to`: how the question goes, and to whom on this node.
    #[inline(always)]
    fn open(&mut self, to: Target, timeout: Option<Duration>) -> (Opened, Pid) {
        with(|system| {
            if !system.may_call() {
                return (Opened::Fenced, Pid::NOBODY);
            }
            let current = system.current;
            let target = system.homed(current.pid.node(), to);
            let server = match system.callee(current.pid, target) {
                Ok(server) => server,
                Err(CallError::CallingSelf) => return (Opened::Itself, Pid::NOBODY),
                Err(_) => return (Opened::Nobody, Pid::NOBODY),
            };
            let timeout = system.timeout(current, timeout);
            let Some(alias) = system.open_call::<R>(current, Some(target), server, timeout) else {
                return (Opened::Fenced, Pid::NOBODY);
            };
            self.caller = current.pid;
            self.alias = u64::from(alias);
            match server {
                Some(server) if !system.kernel.trace.wants_detail() => (Opened::Here, server),
                Some(server) => (Opened::Slowly, server),
                None => (Opened::Abroad, Pid::NOBODY),
            }
        })
    }

    /// Why there is no answer; nothing where it may still come.
    #[cold]
    fn unanswered(&mut self, cx: &TaskContext<'_>) -> Poll<CallError> {
        let own = crate::kernel::is_own(cx.waker());
        let (caller, alias) = (self.caller, self.alias as u32);
        match with(|system| system.unanswered(caller, alias, own)) {
            Some(error) => {
                // Where its time is over its place stays until it is dropped, which tells the other node.
                if error != CallError::Timeout {
                    self.alias = 0;
                }
                Poll::Ready(error)
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

impl<R: Message> Future for Call<R> {
    type Output = Result<R, CallError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if self.alias == 0 {
            return Poll::Pending;
        }
        let (caller, alias) = (self.caller, self.alias as u32);
        match with(|system| system.take_answer::<R>(caller, alias)) {
            Some(answer) => {
                self.alias = 0;
                Poll::Ready(Ok(answer))
            }
            None => self.unanswered(cx).map(Err),
        }
    }
}

impl<R> Drop for Call<R> {
    #[inline]
    fn drop(&mut self) {
        if self.alias != 0 {
            abandon(self.caller, self.alias as u32);
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
        let (opened, server) = self.call.open(self.to.target(), self.timeout);
        match opened {
            Opened::Nobody => return Err(CallError::NoProc),
            Opened::Itself => return Err(CallError::CallingSelf),
            Opened::Fenced => return Ok(true),
            Opened::Here | Opened::Slowly | Opened::Abroad => {}
        }
        let mut question = Some(ask(self.call.reply_to()));
        let (caller, alias) = (self.call.caller, self.call.alias as u32);
        if let Opened::Here = opened {
            let waits = with(|system| {
                // The question is read as late as can be, since it was just written, in parts.
                system.may_call() && {
                    system.send_question(server, alias, &mut question);
                    own && system.waits_for_answer(caller, alias)
                }
            });
            drop(question);
            return Ok(waits);
        }
        if let Some(question) = question {
            self.ask_slowly(opened, question);
        }
        Ok(false)
    }

    #[inline(never)]
    fn ask_slowly(&mut self, opened: Opened, question: M) {
        let alias = self.call.alias as u32;
        if let Opened::Abroad = opened {
            let blank = with(|system| system.blank_question(self.call.caller, alias));
            let how = (PacketKind::Data, Via::Connection, Carries::Question(alias));
            if let Some(blank) = blank {
                super::address::hand_over(blank, how, &question);
            }
        } else {
            super::address::send_with_detail(self.to.target(), question, alias);
        }
    }
}

impl System {
    /// Sends a question within a node; what nobody took stays.
    #[inline(always)]
    fn send_question<M: Message>(&mut self, server: Pid, alias: u32, question: &mut Option<M>) {
        let id = self.next_id();
        let (node, to) = (id.from.node(), Target::Pid(server));
        self.asking = alias;
        if let Some(message) = question.take()
            && let Left::Dropped(message) = self.deliver_local(node, to, id, message, None)
        {
            *question = Some(message);
        }
        self.asking = 0;
    }

    /// A packet for the question of a call of the current process to another node, which from now on is
    /// told where the call waits no longer.
    fn blank_question(&mut self, caller: Pid, alias: u32) -> Option<Blank> {
        let to = self.asks_abroad(caller, alias)?;
        Some(self.blank(to))
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
    (call.caller, call.alias) = (caller, u64::from(alias));
    if let Some(pid) = start(call.reply_to()) {
        with(|system| {
            system.callee(caller, Target::Pid(pid))?;
            system.name_callee(caller, alias, pid);
            Ok(())
        })?;
    }
    Ok(call)
}
