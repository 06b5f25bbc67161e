//! Starting processes.

use super::address::Address;
use super::context::Context;
use super::exit::{ExitReason, IntoExit};
use super::host::{Carries, Packet};
use super::mailbox::{AnyMailbox, Mailbox, MonitorRef};
use super::message::{Message, decode};
use super::sys::Request;
use super::system::{Current, Receiver, act, with};
use super::target::Target;
use crate::choice::Lineage;
use crate::kernel::{Body, run_user};
use crate::trace::{DeadReason, NodeId, Pid};
use pin_project::pin_project;
use std::any::Any;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// A process's future, whose result becomes an exit reason: no larger than the future itself.
#[pin_project]
struct Running<F>(#[pin] F);

impl<F: Future<Output: IntoExit>> Future for Running<F> {
    type Output = ExitReason;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<ExitReason> {
        self.project().0.poll(cx).map(IntoExit::into_exit)
    }
}

struct ReceiverOf<M>(PhantomData<M>);

impl<M: Message> ReceiverOf<M> {
    const TABLE: Receiver = Receiver {
        mailbox: empty_mailbox::<M>,
        fits: fits::<M>,
        deliver: deliver::<M>,
    };
}

fn empty_mailbox<M: Message>() -> Box<dyn AnyMailbox> {
    Box::new(Mailbox::<M>::new())
}

fn fits<M: Message>(mailbox: &dyn AnyMailbox) -> bool {
    (mailbox as &dyn Any).is::<Mailbox<M>>()
}

/// Decodes a packet and puts its message into a mailbox.
fn deliver<M: Message>(to: Pid, slot: u32, packet: &Packet) {
    match decode::<M>(packet.label, &packet.bytes) {
        Ok(message) => drop(with(|system| {
            if let Carries::Question(alias) = packet.what {
                system.asking = alias;
            }
            let left = system.put(slot, to, packet.id, message);
            system.asking = 0;
            left
        })),
        Err(why) => deliver_other(to, slot, packet, why),
    }
}

/// A packet that does not decode to what the mailbox takes: it may be a system message.
#[cold]
#[inline(never)]
fn deliver_other(to: Pid, slot: u32, packet: &Packet, why: DeadReason) {
    match decode::<Request>(packet.label, &packet.bytes) {
        Ok(request) => drop(with(|system| system.put(slot, to, packet.id, request))),
        Err(_) => with(|system| system.dead_letter(to.node(), packet.id, Target::Pid(to), why)),
    }
}

/// How a new process is tied to the one that starts it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tie {
    None,
    Link,
    Monitor,
}

/// A process that is not filled in yet; given up where its function panics.
struct Reserved(Option<u32>);

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            with(|system| system.finish(slot, ExitReason::Killed));
        }
    }
}

/// Starts a process from the current one.
pub(crate) fn spawn<M, F>(
    tie: Tie,
    process: impl FnOnce(Context<M>) -> F,
) -> (Address<M>, Option<MonitorRef>)
where
    M: Message,
    F: Future<Output: IntoExit> + 'static,
{
    let reserved = act(|system, current| {
        let task = system.kernel.tasks.get_mut(current.slot)?;
        let extra = task.data.extra();
        extra.children += 1;
        let (parent, nth) = (task.lineage, task.data.extra().children);
        let lineage = system.kernel.choice.child(parent, nth);
        let node = current.pid.node();
        let receiver = &ReceiverOf::<M>::TABLE;
        let (slot, pid) = system.reserve(node, lineage, current.pid, receiver);
        let monitor = match tie {
            Tie::None => None,
            Tie::Link => {
                system.lend_extra(slot);
                system.link(current, pid);
                None
            }
            Tie::Monitor => Some(system.monitor_pid(current, pid)),
        };
        Some((slot, pid, monitor))
    });
    let Some((slot, pid, monitor)) = reserved.flatten() else {
        return (Address::of(Pid::NOBODY), None);
    };
    let mut guard = Reserved(Some(slot));
    let body: Body<ExitReason> = Box::pin(Running(process(Context::new(pid))));
    guard.0 = None;
    with(|system| system.fill(slot, body));
    (Address::of(pid), monitor)
}

/// Starts the first process of a node that has just booted.
pub(crate) fn spawn_root<M, F>(
    node: NodeId,
    lineage: Lineage,
    process: impl FnOnce(Context<M>) -> F,
) -> Pid
where
    M: Message,
    F: Future<Output: IntoExit> + 'static,
{
    let receiver = &ReceiverOf::<M>::TABLE;
    let (slot, pid) = with(|system| {
        let (slot, pid) = system.reserve(node, lineage, Pid::NOBODY, receiver);
        system.current = Current { slot, pid, sent: 0 };
        system.budget = u64::MAX;
        (slot, pid)
    });
    let made = run_user(|| -> Body<ExitReason> { Box::pin(Running(process(Context::new(pid)))) });
    with(|system| {
        let sent = system.current.sent;
        if let Some(process) = system.process(slot) {
            process.sent = sent;
        }
        system.current = Current::NONE;
        system.budget = 0;
        match made {
            Ok(body) => system.fill(slot, body),
            Err(panicked) => system.finish(slot, panicked.into()),
        }
    });
    pid
}
