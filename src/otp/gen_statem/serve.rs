//! A state machine at work: takes event after event, and does what its callbacks say.

use super::super::caught::{Caught, noted};
use super::super::desk::{Desk, Kind};
use super::super::start::Birth;
use super::queue::{Next, Order, Queue, Timer, Turn};
use super::transition::{Actions, To};
use super::{Event, GenStatem, Initial, Machine, Transition};
use crate::process::{Content, Context, ExitReason, Info, Received, TimerRef};
use crate::trace::MessageId;
use std::convert::Infallible;
use std::rc::Rc;

/// An event, and its id where it is a message.
struct Taken<S: GenStatem> {
    event: Event<S>,
    id: Option<MessageId>,
}

impl<S: GenStatem> From<Event<S>> for Taken<S> {
    fn from(event: Event<S>) -> Taken<S> {
        Taken { event, id: None }
    }
}

impl<S: GenStatem> From<Timer<S::Name>> for Event<S> {
    fn from(timer: Timer<S::Name>) -> Event<S> {
        match timer {
            Timer::Event => Event::EventTimeout,
            Timer::State => Event::StateTimeout,
            Timer::Named(name) => Event::Timeout(name),
        }
    }
}

/// What a transition has done to the state.
struct Moved<T> {
    changes: bool,
    /// The old state, where the new one is to be entered.
    enters_from: Option<T>,
}

/// A machine at work.
struct Serving<S: GenStatem> {
    ctx: Context<S::Message>,
    desk: Rc<Desk<Machine<S>>>,
    queue: Queue<Taken<S>, S::Name, TimerRef>,
    birth: Birth,
}

/// The life of a machine; gives the reason of its end.
pub(super) async fn run<S: GenStatem>(
    args: S::Args,
    mut ctx: Context<S::Message>,
    mut birth: Birth,
) -> ExitReason {
    let made = birth
        .state(&mut ctx, async |ctx| S::init(args, ctx).await)
        .await;
    let (data, Initial { state, actions }) = match made {
        Ok(made) => made,
        Err(reason) => return reason,
    };
    let kind = Kind {
        name: "GenStatem",
        text: |machine: &Machine<S>| machine.data.format_status(&machine.state),
        #[cfg(feature = "sim")]
        children: |_| Vec::new(),
    };
    let machine = Machine { data, state };
    let desk = Rc::new(Desk::new(&ctx, kind, birth.parent, machine));
    ctx.expose(desk.clone());
    birth.done();
    let mut serving = Serving {
        ctx,
        desk,
        queue: Queue::new(),
        birth,
    };
    let Err(reason) = serving.serve(actions).await;
    serving.terminate(reason).await
}

#[allow(
    clippy::await_holding_refcell_ref,
    reason = "a machine is busy while a callback waits: reads say so"
)]
impl<S: GenStatem> Serving<S> {
    /// Takes events until there is a reason to end.
    async fn serve(&mut self, first: Actions<S>) -> Result<Infallible, ExitReason> {
        let state = self.desk.borrow().state.clone();
        let begins = Moved {
            changes: true,
            enters_from: Some(state),
        };
        self.settle(begins, first, None).await?;
        loop {
            let Taken { event, id } = self.next().await?;
            let (moved, actions) = self.handle(event).await?;
            self.settle(moved, actions, id).await?;
        }
    }

    /// The next event: one that comes before the mailbox, or the oldest in that.
    async fn next(&mut self) -> Result<Taken<S>, ExitReason> {
        match self.queue.next() {
            Some(Next::Event(taken)) => {
                if let Some(id) = taken.id {
                    self.ctx.take_postponed(id);
                }
                return Ok(taken);
            }
            Some(Next::Timeout(timer)) => return Ok(Event::from(timer).into()),
            None => {}
        }
        loop {
            let taken = match self.desk.receive_content(&self.ctx).await {
                Content::Message(id, message) => Taken {
                    event: Event::External(message),
                    id: Some(id),
                },
                Content::Timer(number) => match self.queue.fired(number) {
                    Some(timer) => Event::from(timer).into(),
                    None => continue,
                },
                content => self.told(content.into())?.into(),
            };
            let order = self.queue.came();
            self.obey(order);
            return Ok(taken);
        }
    }

    /// What the system tells, as an event; an exit of the parent is the machine's end.
    fn told(&self, received: Received<S::Message>) -> Result<Event<S>, ExitReason> {
        match received {
            Received::Info(Info::Exit { from, reason }) if self.birth.is_parent(from) => {
                Err(reason)
            }
            Received::Info(info) => Ok(Event::Info(info)),
            Received::Message(message) => Ok(Event::External(message)),
        }
    }

    /// Lets the handler take an event, and goes where it says.
    async fn handle(
        &mut self,
        event: Event<S>,
    ) -> Result<(Moved<S::State>, Actions<S>), ExitReason> {
        self.desk.traces(&self.ctx, format_args!("takes {event:?}"));
        let mut machine = self.desk.borrow_mut();
        let (Machine { data, state }, ctx) = (&mut *machine, &mut self.ctx);
        let handled = Caught(async {
            let Transition { to, actions } = data.handle(event, state, ctx).await;
            Ok((moved::<S>(ctx, state, to)?, actions))
        });
        let handled = handled.await;
        handled.unwrap_or_else(|panicked| Err(noted(&self.ctx, panicked)))
    }

    /// Makes the enter call, and does what the callbacks have asked for.
    async fn settle(
        &mut self,
        moved: Moved<S::State>,
        mut actions: Actions<S>,
        id: Option<MessageId>,
    ) -> Result<(), ExitReason> {
        if let Some(old) = moved.enters_from {
            let mut machine = self.desk.borrow_mut();
            let Machine { data, state } = &mut *machine;
            let entered = Caught(data.enter(&old, state, &mut self.ctx)).await;
            let entered = entered.map_err(|panicked| noted(&self.ctx, panicked))?;
            if let Some(reason) = entered.stop {
                return Err(reason);
            }
            actions.settings.extend(entered.actions.settings);
        }
        if let (Some(_), Some(id)) = (&actions.postponed, id) {
            self.ctx.postpone(id);
        }
        let inserted = actions.inserted.into_iter().map(Event::Internal);
        let orders = self.queue.turn(Turn {
            changes: moved.changes,
            postponed: actions.postponed.map(|event| Taken { event, id }),
            inserted: inserted.map(Taken::from).collect(),
            settings: actions.settings,
        });
        self.obey(orders);
        Ok(())
    }

    /// Starts and cancels timers.
    fn obey(&mut self, orders: impl IntoIterator<Item = Order<S::Name, TimerRef>>) {
        for order in orders {
            match order {
                Order::Stop(handle) => {
                    self.ctx.cancel_timer(handle);
                }
                Order::Start {
                    timer,
                    number,
                    after,
                } => {
                    let handle = self.ctx.start_timer(number, after);
                    self.queue.started(timer, number, handle);
                }
            }
        }
    }

    async fn terminate(&mut self, reason: ExitReason) -> ExitReason {
        if let Err(struck) = self.birth.ends(&self.ctx).await {
            return struck;
        }
        let mut machine = self.desk.borrow_mut();
        let Machine { data, state } = &mut *machine;
        match Caught(data.terminate(&reason, state, &mut self.ctx)).await {
            Ok(()) => reason,
            Err(panicked) => noted(&self.ctx, panicked),
        }
    }
}

/// Goes where a transition leads.
fn moved<S: GenStatem>(
    ctx: &Context<S::Message>,
    state: &mut S::State,
    to: To<S::State>,
) -> Result<Moved<S::State>, ExitReason> {
    let (changes, enters_from) = match to {
        To::Keep => (false, None),
        To::Repeat => (false, Some(state.clone())),
        To::Next(next) => {
            let old = std::mem::replace(state, next);
            let changes = *state != old;
            if changes {
                ctx.note(format_args!("{old:?} -> {state:?}"));
            }
            (changes, changes.then_some(old))
        }
        To::Stop(reason) => return Err(reason),
    };
    Ok(Moved {
        changes,
        enters_from,
    })
}
