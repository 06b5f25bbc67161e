//! A state machine with the states a, b and c that does as it is told: the same as `machine.erl`.

use netsplit::{
    Context, Entered, Event, ExitReason, GenStatem, Initial, Refusal, ReplyTo, StateMachine,
    Transition, millis,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The states; c takes what the others put off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    A,
    B,
    C,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::A => "a",
            State::B => "b",
            State::C => "c",
        })
    }
}

/// Something to do beside a change of state. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Action {
    Insert(char),
    StateTimeout(u64),
    EventTimeout(u64),
    Timeout(char, u64),
    CancelStateTimeout,
    CancelTimeout(char),
}

/// What a machine is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Say(String),
    /// Only state c takes this one.
    ForC(String),
    /// And this one.
    Get(ReplyTo<u64>),
    Go(State, Vec<Action>),
    Keep(Vec<Action>),
    Repeat(Vec<Action>),
    Work(u64),
    Stop(ExitReason),
}

pub(super) struct Machine;

/// A machine that begins in state a, with these actions.
pub(super) fn machine(actions: &[Action]) -> StateMachine<Machine> {
    StateMachine::with(actions.to_vec())
}

fn does(transition: Transition<Machine>, actions: Vec<Action>) -> Transition<Machine> {
    let act = |transition: Transition<Machine>, action| match action {
        Action::Insert(word) => transition.next_event(word),
        Action::StateTimeout(time) => transition.state_timeout(millis(time)),
        Action::EventTimeout(time) => transition.event_timeout(millis(time)),
        Action::Timeout(name, time) => transition.timeout(name, millis(time)),
        Action::CancelStateTimeout => transition.cancel_state_timeout(),
        Action::CancelTimeout(name) => transition.cancel_timeout(name),
    };
    actions.into_iter().fold(transition, act)
}

fn begins(initial: Initial<Machine>, actions: Vec<Action>) -> Initial<Machine> {
    let act = |initial: Initial<Machine>, action| match action {
        Action::Insert(word) => initial.next_event(word),
        Action::StateTimeout(time) => initial.state_timeout(millis(time)),
        Action::EventTimeout(time) => initial.event_timeout(millis(time)),
        Action::Timeout(name, time) => initial.timeout(name, millis(time)),
        Action::CancelStateTimeout => initial.cancel_state_timeout(),
        Action::CancelTimeout(name) => initial.cancel_timeout(name),
    };
    actions.into_iter().fold(initial, act)
}

impl GenStatem for Machine {
    type Args = Vec<Action>;
    type Message = Ask;
    type Internal = char;
    type State = State;
    type Name = char;

    async fn init(
        actions: Vec<Action>,
        ctx: &mut Context<Ask>,
    ) -> Result<(Machine, Initial<Machine>), Refusal> {
        ctx.trap_exit(true);
        Ok((Machine, begins(Initial::state(State::A), actions)))
    }

    async fn enter(
        &mut self,
        old: &State,
        state: &State,
        ctx: &mut Context<Ask>,
    ) -> Entered<Machine> {
        say!(ctx, "enter {state} from {old}");
        Entered::done()
    }

    async fn handle(
        &mut self,
        event: Event<Machine>,
        state: &State,
        ctx: &mut Context<Ask>,
    ) -> Transition<Machine> {
        match event {
            Event::Internal(word) => say!(ctx, "{state}: inserted {word}"),
            Event::EventTimeout => say!(ctx, "{state}: event timeout"),
            Event::StateTimeout => say!(ctx, "{state}: state timeout"),
            Event::Timeout(name) => say!(ctx, "{state}: timeout {name}"),
            Event::Info(info) => say!(ctx, "{state}: {info:?}"),
            Event::External(ask) => return told(ask, *state, ctx).await,
        }
        Transition::keep()
    }

    async fn terminate(&mut self, reason: &ExitReason, state: &State, ctx: &mut Context<Ask>) {
        say!(ctx, "{state}: terminate {reason}");
    }
}

async fn told(ask: Ask, state: State, ctx: &mut Context<Ask>) -> Transition<Machine> {
    match ask {
        Ask::Say(word) => say!(ctx, "{state}: {word}"),
        Ask::ForC(ref word) if state != State::C => {
            say!(ctx, "{state}: not yet {word}");
            return Transition::keep().postpone(Event::External(ask));
        }
        Ask::ForC(word) => say!(ctx, "c: {word}"),
        Ask::Get(_) if state != State::C => {
            say!(ctx, "{state}: not yet get");
            return Transition::keep().postpone(Event::External(ask));
        }
        Ask::Get(from) => {
            say!(ctx, "c: get");
            from.reply(7);
        }
        Ask::Go(next, actions) => {
            say!(ctx, "{state}: go {next}");
            return does(Transition::next(next), actions);
        }
        Ask::Keep(actions) => {
            say!(ctx, "{state}: keep");
            return does(Transition::keep(), actions);
        }
        Ask::Repeat(actions) => {
            say!(ctx, "{state}: repeat");
            return does(Transition::repeat(), actions);
        }
        Ask::Work(time) => ctx.sleep(millis(time)).await,
        Ask::Stop(reason) => return Transition::stop(reason),
    }
    Transition::keep()
}
