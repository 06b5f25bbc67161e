//! A supervisor at work.

use super::super::desk::{Desk, Kind};
use super::super::start::{Birth, Refusal, StartError};
use super::child::ChildSpec;
use super::children::{Child, Children, State};
use super::request::{Again, ChildError, Request, ToSupervisor};
use super::stop::stop;
use super::window::Window;
use super::{
    AutoShutdown, BackOff, Supervisor, again_message, begun, check_child, process_of, told,
};
use crate::process::{Context, ExitReason, Info, Received};
use crate::trace::{Pid, Restart, Strategy, Supervision};
use std::rc::Rc;

const KIND: Kind<Children> = Kind {
    name: "Supervisor",
    text: Children::text,
    #[cfg(feature = "sim")]
    children: |children| children.infos().into_iter().map(Into::into).collect(),
};

/// What a supervisor does next.
enum Then {
    /// Takes the next thing out of its mailbox.
    Waits,
    /// Starts this child, and those that go with it.
    Starts(u32),
    /// Stops those that go with this child, and starts them all, now or after a wait.
    Restarts(u32),
}

/// A supervisor while it runs. Where a function fails, it is with the reason for which the supervisor ends.
struct Running {
    strategy: Strategy,
    auto_shutdown: AutoShutdown,
    back_off: Option<BackOff>,
    window: Window,
    /// Seen from outside, too: never borrowed across an await.
    children: Rc<Desk<Children>>,
}

/// The process of a supervisor.
pub(super) async fn serve(
    supervisor: Supervisor,
    mut ctx: Context<ToSupervisor>,
    mut birth: Birth,
) -> ExitReason {
    ctx.trap_exit(true);
    let parent = birth.parent;
    let begun = birth.state(&mut ctx, async |ctx| {
        Running::begin(supervisor, ctx, parent).await
    });
    let mut running = match begun.await {
        Ok(running) => running,
        Err(reason) => return reason,
    };
    birth.done();
    let reason = loop {
        let then = match running.children.receive(&ctx).await {
            Received::Message(ToSupervisor(request)) => running.asked(&ctx, request).await,
            Received::Info(Info::Exit { from, reason }) if birth.is_parent(from) => Err(reason),
            Received::Info(Info::Exit { from, reason }) => running.exited(&ctx, from, &reason),
            Received::Info(_) => Ok(Then::Waits),
        };
        match then {
            Ok(Then::Waits) => {}
            // Awaited here, and not further down: a restart is quick.
            Ok(Then::Starts(number)) if !running.is_group() => {
                if running.start(&ctx, number, false).await.is_err() {
                    running.later(&ctx, number, true);
                }
            }
            Ok(Then::Starts(number)) => running.start_group(&ctx, number).await,
            Ok(Then::Restarts(number)) => running.restart_group(&ctx, number).await,
            Err(reason) => break reason,
        }
    };
    running.stop_from(&ctx, 0).await;
    reason
}

impl Running {
    /// Starts all children; where one does not start, stops those that did.
    async fn begin(
        supervisor: Supervisor,
        ctx: &mut Context<ToSupervisor>,
        parent: Option<Pid>,
    ) -> Result<Running, Refusal> {
        let running = Running {
            strategy: supervisor.strategy,
            auto_shutdown: supervisor.auto_shutdown,
            back_off: supervisor.back_off,
            window: Window::new(supervisor.intensity, supervisor.period),
            children: Rc::new(Desk::new(ctx, KIND, parent, Children::default())),
        };
        ctx.expose(running.children.clone());
        ctx.tell(Supervision::Begins {
            strategy: supervisor.strategy,
            intensity: supervisor.intensity,
            period_ns: crate::kernel::nanos(supervisor.period),
        });
        for spec in supervisor.children {
            let id = spec.id.clone();
            if let Err(error) = running.start_new(ctx, spec, false).await {
                running.stop_from(ctx, 0).await;
                let reason = format!("failed_to_start_child({id}, {error})");
                return Err(Refusal::Stop(ExitReason::ShutdownWith(reason)));
            }
        }
        Ok(running)
    }

    /// Adds a child, and starts it. One that does not start is not kept, nor is one that is temporary and
    /// ignores the start.
    async fn start_new(
        &self,
        ctx: &Context<ToSupervisor>,
        spec: ChildSpec,
        by_hand: bool,
    ) -> Result<Option<Pid>, StartError> {
        let temporary = spec.restart == Restart::Temporary;
        let number = self.children.borrow_mut().add(spec);
        let started = self.start(ctx, number, by_hand).await;
        match started {
            Ok(Some(_)) => {}
            Ok(None) if !temporary => {}
            Ok(None) | Err(_) => self.children.borrow_mut().remove(number),
        }
        started
    }

    /// Starts a child; none where it ignores the start. Where it fails it stays without a process.
    async fn start(
        &self,
        ctx: &Context<ToSupervisor>,
        number: u32,
        by_hand: bool,
    ) -> Result<Option<Pid>, StartError> {
        let begin = match self.children.borrow().get(number) {
            // It may have been started by hand while others of its group waited.
            Some(Child { life, .. }) if life.pid().is_some() => return Ok(life.pid()),
            Some(Child { spec, .. }) => {
                ctx.tell_start(number, spec.restart, by_hand, &spec.id);
                spec.start.clone()
            }
            None => return Ok(None),
        };
        let started = process_of(begun(ctx, |ctx| begin(ctx)).await);
        ctx.tell(told(number, &started));
        let now = ctx.now();
        let begin = |child: &mut Child| match started {
            Ok(Some(pid)) => child.life.begin(pid, now),
            Ok(None) | Err(_) => child.life.set(State::Down),
        };
        self.children.borrow_mut().change(number, begin);
        started
    }

    // ---- ends of children

    /// A process has ended that is linked to the supervisor: a child, or one that never was.
    fn exited(
        &mut self,
        ctx: &Context<ToSupervisor>,
        pid: Pid,
        reason: &ExitReason,
    ) -> Result<Then, ExitReason> {
        let Some(number) = self.children.borrow().by_pid(pid) else {
            return Ok(Then::Waits);
        };
        let now = ctx.now();
        let ended = self.children.borrow_mut().change(number, |child| {
            child.life.ended(now, self.back_off);
            (child.spec.restart, child.spec.significant)
        });
        let Some((restart, significant)) = ended else {
            return Ok(Then::Waits);
        };
        let again = match restart {
            Restart::Permanent => true,
            Restart::Transient => !reason.is_clean(),
            Restart::Temporary => false,
        };
        if again {
            return self.restart(ctx, number);
        }
        ctx.tell(Supervision::Ended { child: number });
        if restart == Restart::Temporary {
            self.children.borrow_mut().remove(number);
        }
        self.shuts_down(ctx, significant)
    }

    /// Whether the end of a child is the supervisor's.
    fn shuts_down(
        &self,
        ctx: &Context<ToSupervisor>,
        significant: bool,
    ) -> Result<Then, ExitReason> {
        let over = match self.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => significant,
            AutoShutdown::AllSignificant => {
                significant
                    && !self
                        .children
                        .borrow()
                        .any_significant(self.group_waits_from())
            }
        };
        if over {
            ctx.tell(Supervision::ShutsDown);
            return Err(ExitReason::Shutdown);
        }
        Ok(Then::Waits)
    }

    /// From which child on all will be started after a wait. (Where one is tried again at once those after it
    /// do not count as children to come, as in OTP.)
    fn group_waits_from(&self) -> u32 {
        let first = self.children.borrow().first_restarting();
        match (self.back_off.and(first), self.strategy) {
            (Some(_), Strategy::OneForAll) => 0,
            (Some(first), Strategy::RestForOne) => first,
            _ => u32::MAX,
        }
    }

    /// Counts a restart of a child.
    fn restart(&mut self, ctx: &Context<ToSupervisor>, number: u32) -> Result<Then, ExitReason> {
        let (now, child) = (ctx.now(), number);
        let clock_ns = now.as_nanos();
        if !self.window.count(now) {
            ctx.tell(Supervision::GivesUp { child, clock_ns });
            return Err(ExitReason::Shutdown);
        }
        ctx.tell(Supervision::Restarts { child, clock_ns });
        let count = |child: &mut Child| child.life.restarts += 1;
        self.children.borrow_mut().change(number, count);
        if self.is_group() || self.back_off.is_some() {
            Ok(Then::Restarts(number))
        } else {
            Ok(Then::Starts(number))
        }
    }

    /// Whether children are restarted together with others.
    fn is_group(&self) -> bool {
        matches!(self.strategy, Strategy::OneForAll | Strategy::RestForOne)
    }

    /// The first of those that are restarted together with this child.
    fn first_of_group(&self, number: u32) -> u32 {
        match self.strategy {
            Strategy::OneForAll => 0,
            _ => number,
        }
    }

    /// Stops those that go with a child whose restart was counted, and starts them, now or after a wait.
    async fn restart_group(&self, ctx: &Context<ToSupervisor>, number: u32) {
        if self.is_group() {
            self.stop_from(ctx, self.first_of_group(number)).await;
        }
        if self.back_off.is_some() {
            self.later(ctx, number, false);
        } else {
            self.start_group(ctx, number).await;
        }
    }

    /// Starts a child and those that go with it, in order; where one fails, it will be tried again.
    async fn start_group(&self, ctx: &Context<ToSupervisor>, number: u32) {
        let first = self.first_of_group(number);
        let group = self.children.borrow().numbers_from(first);
        for number in group {
            if self.start(ctx, number, false).await.is_err() {
                return self.later(ctx, number, true);
            }
        }
    }

    /// Tries a child again, through the supervisor's own mailbox: it answers others meanwhile.
    fn later(&self, ctx: &Context<ToSupervisor>, number: u32, counts: bool) {
        let again = |again| ToSupervisor(Request::Again(again));
        self.children.borrow_mut().change(number, |child| {
            again_message(ctx, &mut child.life, self.back_off, (number, counts), again);
        });
    }

    /// Stops the children from this one on, in reverse. Those that are temporary are dropped.
    async fn stop_from(&self, ctx: &Context<ToSupervisor>, number: u32) {
        let numbers = self.children.borrow().numbers_from(number);
        for number in numbers.into_iter().rev() {
            self.stop(ctx, number, false).await;
        }
    }

    /// Stops a child, where it runs. One that is temporary is dropped.
    async fn stop(&self, ctx: &Context<ToSupervisor>, number: u32, by_hand: bool) {
        let Some((life, how, restart)) = self.children.borrow().get(number).map(|child| {
            let spec = &child.spec;
            (child.life.state, spec.shutdown, spec.restart)
        }) else {
            return;
        };
        if let State::Up(pid) = life {
            ctx.tell(Supervision::Stops {
                child: number,
                pid,
                by_hand,
            });
            stop(ctx, pid, how).await;
        }
        let mut children = self.children.borrow_mut();
        match restart {
            Restart::Temporary => children.remove(number),
            Restart::Permanent | Restart::Transient => {
                children.change(number, |child| child.life.set(State::Down));
            }
        }
    }

    // ---- requests

    async fn asked(
        &mut self,
        ctx: &Context<ToSupervisor>,
        request: Request,
    ) -> Result<Then, ExitReason> {
        match request {
            Request::Start(spec, reply_to) => reply_to.reply(self.start_child(ctx, spec).await),
            Request::Restart(id, reply_to) => reply_to.reply(self.restart_child(ctx, &id).await),
            Request::Terminate(id, reply_to) => {
                let number = self.children.borrow().by_id(&id).map(|(number, _)| number);
                if let Some(number) = number {
                    self.stop(ctx, number, true).await;
                }
                reply_to.reply(number.map(|_| ()).ok_or(ChildError::NotFound));
            }
            Request::Delete(id, reply_to) => reply_to.reply(self.delete_child(ctx, &id)),
            Request::Which(reply_to) => reply_to.reply(self.children.borrow().infos()),
            Request::Count(reply_to) => {
                let is_alive = |pid| ctx.is_alive(pid);
                reply_to.reply(self.children.borrow().count(is_alive));
            }
            Request::Again(again) => return self.again(ctx, again),
        }
        Ok(Then::Waits)
    }

    async fn start_child(
        &self,
        ctx: &Context<ToSupervisor>,
        spec: ChildSpec,
    ) -> Result<Option<Pid>, ChildError> {
        check_child(&spec, self.auto_shutdown).map_err(ChildError::Spec)?;
        if let Some((_, child)) = self.children.borrow().by_id(spec.id()) {
            return Err(match child.life.state {
                State::Up(pid) => ChildError::AlreadyStarted(pid),
                State::Down | State::Restarting => ChildError::AlreadyPresent,
            });
        }
        self.start_new(ctx, spec, true)
            .await
            .map_err(ChildError::Start)
    }

    async fn restart_child(
        &self,
        ctx: &Context<ToSupervisor>,
        id: &str,
    ) -> Result<Option<Pid>, ChildError> {
        let number = self.without_process(id)?;
        self.start(ctx, number, true)
            .await
            .map_err(ChildError::Start)
    }

    fn delete_child(&self, ctx: &Context<ToSupervisor>, id: &str) -> Result<(), ChildError> {
        let number = self.without_process(id)?;
        ctx.tell(Supervision::Deletes { child: number });
        self.children.borrow_mut().remove(number);
        Ok(())
    }

    /// The number of a child that has no process and will get none by itself.
    fn without_process(&self, id: &str) -> Result<u32, ChildError> {
        let children = self.children.borrow();
        let (number, child) = children.by_id(id).ok_or(ChildError::NotFound)?;
        match child.life.state {
            State::Down => Ok(number),
            State::Restarting => Err(ChildError::Restarting),
            State::Up(_) => Err(ChildError::Running),
        }
    }

    /// A child is to be tried again, unless it was started or stopped meanwhile.
    fn again(&mut self, ctx: &Context<ToSupervisor>, again: Again) -> Result<Then, ExitReason> {
        let life = |child: &Child| (child.life.state, child.life.epoch);
        let now = self.children.borrow().get(again.child).map(life);
        if now != Some((State::Restarting, again.epoch)) {
            return Ok(Then::Waits);
        }
        if again.counts {
            return self.restart(ctx, again.child);
        }
        Ok(Then::Starts(again.child))
    }
}
