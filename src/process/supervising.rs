//! What a supervisor does as a process: starts and stops others, waits for their ends, and tells of it.

use super::context::{Context, Never};
use super::exit::ExitReason;
use super::mailbox::{Content, MonitorRef};
use super::message::Message;
use super::system::{wants, with};
use super::timer::{Alarm, wait};
use crate::trace::{Event, Pid, Restart, Supervision};
use rustc_hash::FxHashSet;
use std::future::poll_fn;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

impl<M: Message> Context<M> {
    /// The same process, whatever messages it takes: for what needs none.
    pub(crate) fn untyped(&self) -> Context<Never> {
        Context::new(self.pid())
    }

    /// Notes what this process does as a supervisor. No call of the host.
    pub(crate) fn tell(&self, what: Supervision) {
        with(|system| {
            if system.budget > 0 {
                let by = system.current.pid;
                system.kernel.trace.emit(Event::Supervision { by, what });
            }
        });
    }

    /// Notes that this process, as a supervisor, starts a child.
    pub(crate) fn tell_start(&self, child: u32, restart: Restart, by_hand: bool, id: &str) {
        let id = with(|system| system.kernel.trace.text(|| id.to_owned()));
        self.tell(Supervision::Starts {
            child,
            restart,
            by_hand,
            id,
        });
    }

    /// Kills a process that is linked to this one, which hears of it by the monitor alone.
    pub(crate) fn give_up(&self, pid: Pid) -> MonitorRef {
        let monitor = self.monitor(pid);
        self.unlink(pid);
        self.send_exit(pid, ExitReason::Kill);
        monitor
    }

    /// Whether a monitor has fired. Whatever messages this context is said to take: a supervisor's children
    /// are started with one that knows none.
    pub(crate) fn poll_down(&self, monitor: MonitorRef, cx: &TaskContext<'_>) -> Poll<()> {
        let slot = with(|system| system.own_slot(self.pid()));
        if with(|system| system.flush_down(slot, monitor)).is_some() {
            return Poll::Ready(());
        }
        wait(wants::MAIL, cx);
        Poll::Pending
    }

    /// Waits until all these monitors have fired, at most for `timeout` where there is one; those that have
    /// are taken out.
    pub(crate) async fn downs_of(
        &self,
        monitors: &mut FxHashSet<MonitorRef>,
        timeout: Option<Duration>,
    ) {
        let mut alarm = timeout.map(Alarm::new);
        poll_fn(|cx| {
            while !monitors.is_empty() {
                let mut fired = |content: &Content<M>| {
                    let monitor = content.fired();
                    monitor.is_some_and(|monitor| monitors.remove(&monitor))
                };
                if self.poll_select(cx, &mut fired).is_ready() {
                    continue;
                }
                let over = alarm.as_mut().is_some_and(|alarm| alarm.poll_over(cx));
                return if over { Poll::Ready(()) } else { Poll::Pending };
            }
            Poll::Ready(())
        })
        .await;
    }
}
