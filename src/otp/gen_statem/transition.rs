//! What callbacks of a state machine give back: where it goes, and what is to happen on the way.

use super::queue::{Setting, Timer};
use super::{Event, GenStatem};
use crate::process::ExitReason;
use std::fmt;
use std::time::Duration;

/// How a machine begins: the state that its `init` leads to.
pub struct Initial<S: GenStatem> {
    pub(super) state: S::State,
    pub(super) actions: Actions<S>,
}

/// What a machine does after an event.
///
/// What is chained to it happens in one order, however it is written: the enter call, inserted events,
/// postponed ones, timeouts of zero. Answers come before all that, as a handler gives them itself.
pub struct Transition<S: GenStatem> {
    pub(super) to: To<S::State>,
    pub(super) actions: Actions<S>,
}

/// Where a transition leads.
pub(super) enum To<T> {
    Keep,
    Next(T),
    Repeat,
    Stop(ExitReason),
}

/// What follows an enter call: it can set timeouts, and stop. It cannot change the state, postpone or insert.
pub struct Entered<S: GenStatem> {
    pub(super) stop: Option<ExitReason>,
    pub(super) actions: Actions<S>,
}

/// What is to happen beside a change of state.
pub(super) struct Actions<S: GenStatem> {
    pub(super) postponed: Option<Event<S>>,
    pub(super) inserted: Vec<S::Internal>,
    pub(super) settings: Vec<Setting<S::Name>>,
}

impl<S: GenStatem> Actions<S> {
    fn none() -> Actions<S> {
        Actions {
            postponed: None,
            inserted: Vec::new(),
            settings: Vec::new(),
        }
    }
}

macro_rules! timeouts {
    ($type:ident) => {
        impl<S: GenStatem> $type<S> {
            /// [`Event::StateTimeout`] comes after so long, unless the state changes before. Set again, it
            /// restarts.
            #[must_use]
            pub fn state_timeout(self, after: Duration) -> Self {
                self.setting(Setting::Set(Timer::State, after))
            }

            /// [`Event::EventTimeout`] comes after so long, unless any event comes before.
            #[must_use]
            pub fn event_timeout(self, after: Duration) -> Self {
                self.setting(Setting::Set(Timer::Event, after))
            }

            /// [`Event::Timeout`] with this name comes after so long, whatever the state is then. Set again,
            /// it restarts.
            #[must_use]
            pub fn timeout(self, name: S::Name, after: Duration) -> Self {
                self.setting(Setting::Set(Timer::Named(name), after))
            }

            /// Cancels the state timeout, where one is set.
            #[must_use]
            pub fn cancel_state_timeout(self) -> Self {
                self.setting(Setting::Cancel(Timer::State))
            }

            /// Cancels the timeout of this name, where one is set.
            #[must_use]
            pub fn cancel_timeout(self, name: S::Name) -> Self {
                self.setting(Setting::Cancel(Timer::Named(name)))
            }

            fn setting(mut self, setting: Setting<S::Name>) -> Self {
                self.actions.settings.push(setting);
                self
            }
        }
    };
}

timeouts!(Initial);
timeouts!(Transition);
timeouts!(Entered);

impl<S: GenStatem> Initial<S> {
    /// It begins in this state.
    #[must_use]
    pub fn state(state: S::State) -> Initial<S> {
        Initial {
            state,
            actions: Actions::none(),
        }
    }

    /// Inserts an event: it comes before anything in the mailbox, several in the order of the calls.
    #[must_use]
    pub fn next_event(mut self, event: S::Internal) -> Initial<S> {
        self.actions.inserted.push(event);
        self
    }
}

impl<S: GenStatem> Transition<S> {
    fn new(to: To<S::State>) -> Transition<S> {
        Transition {
            to,
            actions: Actions::none(),
        }
    }

    /// Stays in its state.
    #[must_use]
    pub fn keep() -> Transition<S> {
        Transition::new(To::Keep)
    }

    /// Goes to a state. One that is equal to the old takes its place, and is no change of state: no enter
    /// call, nothing tried again, and the state timeout lives on.
    #[must_use]
    pub fn next(state: S::State) -> Transition<S> {
        Transition::new(To::Next(state))
    }

    /// Stays in its state and enters it again, without trying postponed events again.
    #[must_use]
    pub fn repeat() -> Transition<S> {
        Transition::new(To::Repeat)
    }

    /// Runs `terminate`, and ends with this reason. Whatever is chained to it does not happen.
    #[must_use]
    pub fn stop(reason: ExitReason) -> Transition<S> {
        Transition::new(To::Stop(reason))
    }

    /// Puts the event off that is being handled, and so is given back: it is tried again when the state has
    /// changed. As long as it is put off, a message counts as unread.
    #[must_use]
    pub fn postpone(mut self, event: Event<S>) -> Transition<S> {
        self.actions.postponed = Some(event);
        self
    }

    /// Inserts an event: it comes before all that waits, several in the order of the calls.
    #[must_use]
    pub fn next_event(mut self, event: S::Internal) -> Transition<S> {
        self.actions.inserted.push(event);
        self
    }
}

impl<S: GenStatem> Entered<S> {
    /// Nothing more.
    #[must_use]
    pub fn done() -> Entered<S> {
        Entered {
            stop: None,
            actions: Actions::none(),
        }
    }

    /// Runs `terminate`, and ends with this reason. Whatever is chained to it does not happen.
    #[must_use]
    pub fn stop(reason: ExitReason) -> Entered<S> {
        Entered {
            stop: Some(reason),
            actions: Actions::none(),
        }
    }
}

impl<S: GenStatem> fmt::Debug for Initial<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "state {:?}{:?}", self.state, self.actions)
    }
}

impl<S: GenStatem> fmt::Debug for Transition<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Keep => f.write_str("keep")?,
            To::Next(state) => write!(f, "next {state:?}")?,
            To::Repeat => f.write_str("repeat")?,
            To::Stop(reason) => write!(f, "stop: {reason}")?,
        }
        self.actions.fmt(f)
    }
}

impl<S: GenStatem> fmt::Debug for Entered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stop {
            None => f.write_str("done")?,
            Some(reason) => write!(f, "stop: {reason}")?,
        }
        self.actions.fmt(f)
    }
}

impl<S: GenStatem> fmt::Debug for Actions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(event) = &self.postponed {
            write!(f, ", postpone {event:?}")?;
        }
        for event in &self.inserted {
            write!(f, ", next event {event:?}")?;
        }
        for setting in &self.settings {
            write!(f, ", {setting:?}")?;
        }
        Ok(())
    }
}
