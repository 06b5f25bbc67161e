//! Which event a state machine takes next: what comes before its mailbox, what it has postponed, and its
//! timeouts. It knows neither processes nor time: what is to be done with timers it gives back as orders.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A timeout of a machine; it has one of each at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer<N> {
    /// Any event cancels it.
    Event,
    /// A change of state cancels it.
    State,
    /// Lives on until it fires, is cancelled or set again.
    Named(N),
}

/// What a callback asks of a timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting<N> {
    Set(Timer<N>, Duration),
    Cancel(Timer<N>),
}

impl<N> Setting<N> {
    fn timer(&self) -> &Timer<N> {
        match self {
            Setting::Set(timer, _) | Setting::Cancel(timer) => timer,
        }
    }
}

/// What the handling of one event leads to, its enter call included.
#[derive(Debug)]
pub(super) struct Turn<E, N> {
    /// The new state is not equal to the old one.
    pub(super) changes: bool,
    /// The event that was handled, where it is postponed.
    pub(super) postponed: Option<E>,
    /// Events that come next, the first one first.
    pub(super) inserted: Vec<E>,
    /// In the order in which they were asked for.
    pub(super) settings: Vec<Setting<N>>,
}

/// What comes before anything in the mailbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<E, N> {
    /// An event that was inserted, or that was postponed and is tried again.
    Event(E),
    /// A timeout of zero.
    Timeout(Timer<N>),
}

/// What is to be done with a timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order<N, H> {
    /// It is to be cancelled. It may have fired: then what it brings is nothing any more.
    Stop(H),
    /// It is to be started; then [`Queue::started`] wants its handle. When it fires, it says its number.
    Start {
        timer: Timer<N>,
        number: u32,
        after: Duration,
    },
}

/// A timer that runs.
#[derive(Debug)]
struct Running<H> {
    number: u32,
    handle: H,
}

/// Events `E`, names of timeouts `N`, and handles `H` for cancelling timers.
#[derive(Debug)]
pub(super) struct Queue<E, N, H> {
    /// Inserted events, and those that are tried again.
    waiting: VecDeque<E>,
    /// The oldest first.
    postponed: VecDeque<E>,
    /// Timeouts of zero, in the order in which they were set.
    zero: VecDeque<Timer<N>>,
    running: BTreeMap<Timer<N>, Running<H>>,
    /// How many timers were ever started.
    timers: u32,
}

impl<E, N: Ord + Clone, H> Queue<E, N, H> {
    pub(super) fn new() -> Queue<E, N, H> {
        Queue {
            waiting: VecDeque::new(),
            postponed: VecDeque::new(),
            zero: VecDeque::new(),
            running: BTreeMap::new(),
            timers: 0,
        }
    }

    /// An event was handled.
    pub(super) fn turn(&mut self, turn: Turn<E, N>) -> Vec<Order<N, H>> {
        let mut orders = Vec::new();
        self.postponed.extend(turn.postponed);
        if turn.changes {
            orders.extend(self.cancel(&Timer::State));
            while let Some(event) = self.postponed.pop_back() {
                self.waiting.push_front(event);
            }
        }
        for event in turn.inserted.into_iter().rev() {
            self.waiting.push_front(event);
        }
        for setting in last_of_each(turn.settings) {
            self.set(setting, &mut orders);
        }
        // What comes next cancels an event timeout: then it need not start.
        if !self.waiting.is_empty() || !self.zero.is_empty() {
            orders.retain(
                |order| !matches!(order, Order::Start { timer, .. } if *timer == Timer::Event),
            );
        }
        orders
    }

    fn set(&mut self, setting: Setting<N>, orders: &mut Vec<Order<N, H>>) {
        orders.extend(self.cancel(setting.timer()));
        match setting {
            Setting::Cancel(_) => {}
            Setting::Set(timer, Duration::ZERO) => self.zero.push_back(timer),
            Setting::Set(timer, after) => {
                self.timers = self.timers.wrapping_add(1);
                let number = self.timers;
                orders.push(Order::Start {
                    timer,
                    number,
                    after,
                });
            }
        }
    }

    fn cancel(&mut self, timer: &Timer<N>) -> Option<Order<N, H>> {
        self.zero.retain(|zero| zero != timer);
        let running = self.running.remove(timer)?;
        Some(Order::Stop(running.handle))
    }

    /// A timer was started, as it was ordered.
    pub(super) fn started(&mut self, timer: Timer<N>, number: u32, handle: H) {
        self.running.insert(timer, Running { number, handle });
    }

    /// Takes out what comes before the mailbox. It is an event, so it cancels an event timeout of zero; one
    /// that runs there is not, since that starts only where nothing comes before the mailbox.
    pub(super) fn next(&mut self) -> Option<Next<E, N>> {
        let event = self.waiting.pop_front().map(Next::Event);
        let next = event.or_else(|| self.zero.pop_front().map(Next::Timeout));
        self.zero.retain(|zero| *zero != Timer::Event);
        next
    }

    /// An event comes out of the mailbox: it cancels an event timeout.
    pub(super) fn came(&mut self) -> Option<Order<N, H>> {
        self.cancel(&Timer::Event)
    }

    /// A timer says that it has fired: which one it is; none where it was cancelled before that was heard.
    pub(super) fn fired(&mut self, number: u32) -> Option<Timer<N>> {
        let mut running = self.running.iter();
        let (timer, _) = running.find(|(_, running)| running.number == number)?;
        let timer = timer.clone();
        self.running.remove(&timer);
        Some(timer)
    }
}

/// Of several settings of one timeout the last counts, where it stands.
fn last_of_each<N: PartialEq>(settings: Vec<Setting<N>>) -> Vec<Setting<N>> {
    let mut last: Vec<Setting<N>> = Vec::with_capacity(settings.len());
    for setting in settings {
        last.retain(|other| other.timer() != setting.timer());
        last.push(setting);
    }
    last
}

#[cfg(test)]
mod tests;
