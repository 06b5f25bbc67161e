//! The queue of a state machine: its rules one by one, and random scripts against a model that is written
//! from the rules.

use super::*;
use proptest::prelude::*;

type Small = Queue<u32, char, u32>;

fn turn() -> Turn<u32, char> {
    Turn {
        changes: false,
        postponed: None,
        inserted: Vec::new(),
        settings: Vec::new(),
    }
}

fn set(timer: Timer<char>, after_ms: u64) -> Setting<char> {
    Setting::Set(timer, Duration::from_millis(after_ms))
}

/// What comes before the mailbox, until nothing does: no event of these does anything.
fn drain(queue: &mut Small) -> Vec<Next<u32, char>> {
    std::iter::from_fn(|| queue.next()).collect()
}

/// Takes a turn, and starts what is ordered: the handle is the number. Gives back the handles that stop.
fn take(queue: &mut Small, turn: Turn<u32, char>) -> Vec<u32> {
    let mut stopped = Vec::new();
    for order in queue.turn(turn) {
        match order {
            Order::Stop(handle) => stopped.push(handle),
            Order::Start { timer, number, .. } => queue.started(timer, number, number),
        }
    }
    stopped
}

use Next::{Event, Timeout};
use Timer::Named;

#[test]
fn otp_12_after_a_change_come_inserted_events_then_postponed_ones_oldest_first_then_zero_timeouts()
{
    let mut queue = Small::new();
    for postponed in [1, 2] {
        take(
            &mut queue,
            Turn {
                postponed: Some(postponed),
                ..turn()
            },
        );
    }
    assert_eq!(queue.next(), None);
    let change = Turn {
        changes: true,
        inserted: vec![10, 11],
        settings: vec![set(Timer::State, 0), set(Named('n'), 0)],
        ..turn()
    };
    take(&mut queue, change);
    let zero = [Timeout(Timer::State), Timeout(Named('n'))];
    let all = [10, 11, 1, 2].map(Event).into_iter().chain(zero);
    assert_eq!(drain(&mut queue), all.collect::<Vec<_>>());
}

#[test]
fn otp_12_an_event_that_is_postponed_with_a_change_is_the_last_of_those_tried_again() {
    let mut queue = Small::new();
    take(
        &mut queue,
        Turn {
            postponed: Some(1),
            ..turn()
        },
    );
    take(
        &mut queue,
        Turn {
            postponed: Some(2),
            changes: true,
            ..turn()
        },
    );
    assert_eq!(drain(&mut queue), [Event(1), Event(2)]);
}

#[test]
fn otp_12_what_is_postponed_again_comes_before_what_was_not_tried_yet() {
    let mut queue = Small::new();
    for postponed in [1, 2, 3] {
        take(
            &mut queue,
            Turn {
                postponed: Some(postponed),
                ..turn()
            },
        );
    }
    take(
        &mut queue,
        Turn {
            changes: true,
            ..turn()
        },
    );
    assert_eq!(queue.next(), Some(Event(1)));
    take(
        &mut queue,
        Turn {
            postponed: Some(1),
            ..turn()
        },
    );
    assert_eq!(queue.next(), Some(Event(2)));
    take(
        &mut queue,
        Turn {
            changes: true,
            inserted: vec![9],
            ..turn()
        },
    );
    assert_eq!(drain(&mut queue), [Event(9), Event(1), Event(3)]);
}

#[test]
fn otp_12_a_zero_event_timeout_is_cancelled_by_any_event() {
    let comes = |inserted: &[u32], settings: &[Setting<char>]| {
        let mut queue = Small::new();
        let turn = Turn {
            inserted: inserted.to_vec(),
            settings: settings.to_vec(),
            ..turn()
        };
        take(&mut queue, turn);
        drain(&mut queue)
    };
    let (event, state) = (set(Timer::Event, 0), set(Timer::State, 0));
    let is_over = Timeout(Timer::Event);
    assert_eq!(comes(&[], std::slice::from_ref(&event)), [is_over]);
    assert_eq!(comes(&[7], std::slice::from_ref(&event)), [Event(7)]);
    let both = [state.clone(), event.clone()];
    assert_eq!(comes(&[], &both), [Timeout(Timer::State)]);
    let first = [Timeout(Timer::Event), Timeout(Timer::State)];
    assert_eq!(comes(&[], &[event, state]), first);
}

#[test]
fn otp_12_an_event_timeout_that_something_cancels_at_once_is_not_started() {
    for (inserted, zero) in [(vec![7], None), (vec![], Some(set(Named('n'), 0)))] {
        let mut queue = Small::new();
        let settings = zero.into_iter().chain([set(Timer::Event, 5)]).collect();
        assert_eq!(
            queue.turn(Turn {
                inserted,
                settings,
                ..turn()
            }),
            []
        );
    }
}

#[test]
fn otp_13_a_change_cancels_the_state_timeout_and_named_ones_live_on() {
    for after_ms in [0, 5] {
        let mut queue = Small::new();
        let settings = vec![set(Timer::State, after_ms), set(Named('n'), after_ms)];
        take(&mut queue, Turn { settings, ..turn() });
        let stopped = take(
            &mut queue,
            Turn {
                changes: true,
                ..turn()
            },
        );
        if after_ms == 0 {
            assert_eq!(drain(&mut queue), [Timeout(Named('n'))]);
        } else {
            assert_eq!(stopped, [1]);
            assert_eq!(queue.fired(1), None);
            assert_eq!(queue.fired(2), Some(Named('n')));
        }
    }
}

#[test]
fn otp_13_a_state_timeout_that_is_set_with_a_change_is_the_new_states() {
    let mut queue = Small::new();
    take(
        &mut queue,
        Turn {
            settings: vec![set(Timer::State, 5)],
            ..turn()
        },
    );
    let change = Turn {
        changes: true,
        settings: vec![set(Timer::State, 7)],
        ..turn()
    };
    assert_eq!(take(&mut queue, change), [1]);
    assert_eq!(queue.fired(2), Some(Timer::State));
}

#[test]
fn a_timeout_that_is_set_again_restarts() {
    let mut queue = Small::new();
    let twice = || vec![set(Named('n'), 5), set(Named('n'), 9)];
    take(
        &mut queue,
        Turn {
            settings: twice(),
            ..turn()
        },
    );
    let stopped = take(
        &mut queue,
        Turn {
            settings: twice(),
            ..turn()
        },
    );
    assert_eq!(stopped, [1], "of two settings at once only the last starts");
    assert_eq!((queue.fired(1), queue.fired(2)), (None, Some(Named('n'))));
    // What was set to zero again stands behind what was set meanwhile.
    let settings = vec![set(Named('n'), 0), set(Named('m'), 0)];
    take(&mut queue, Turn { settings, ..turn() });
    take(
        &mut queue,
        Turn {
            settings: vec![set(Named('n'), 0)],
            ..turn()
        },
    );
    assert_eq!(
        drain(&mut queue),
        [Timeout(Named('m')), Timeout(Named('n'))]
    );
}

/// What a script can ask for in one turn.
#[derive(Clone, Debug)]
struct Step {
    changes: bool,
    postpones: bool,
    inserts: usize,
    settings: Vec<Setting<char>>,
    /// How long the handler takes, while messages come and timers fire.
    takes_ms: u64,
    /// Messages that come after so many milliseconds of it.
    mail_at_ms: Vec<u64>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let timer = prop_oneof![
        Just(Timer::Event),
        Just(Timer::State),
        Just(Named('a')),
        Just(Named('b'))
    ];
    let setting = (
        timer,
        prop_oneof![Just(None), Just(Some(0)), (1..4u64).prop_map(Some)],
    );
    let setting = setting.prop_map(|(timer, after)| match after {
        Some(after_ms) => set(timer, after_ms),
        None => Setting::Cancel(timer),
    });
    let step = (
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.3),
        prop_oneof![4 => Just(0usize), 1 => 1..3usize],
        prop::collection::vec(setting, 0..4),
        0..4u64,
        prop::collection::vec(0..4u64, 0..3),
    );
    let step = step.prop_map(
        |(changes, postpones, inserts, settings, takes_ms, mail_at_ms)| Step {
            changes,
            postpones,
            inserts,
            settings,
            takes_ms,
            mail_at_ms,
        },
    );
    prop::collection::vec(step, 1..40)
}

/// What a machine takes: an event by its number, or a timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Taken {
    Event(u32),
    Timeout(Timer<char>),
}

/// A world of one machine: its mailbox, its timers, and a clock in milliseconds.
trait Machine {
    /// Something comes into the mailbox.
    fn mail(&mut self, event: u32);
    /// Time moves on by one millisecond, and timers that are due fire.
    fn tick(&mut self);
    /// What the machine takes now, if there is anything.
    fn take(&mut self) -> Option<Taken>;
    /// What it took is handled.
    fn turn(&mut self, handled: Taken, step: &Step, inserted: Vec<u32>);
}

/// Everything that a machine takes under a script, with the time.
fn run(machine: &mut impl Machine, script: &[Step]) -> Vec<(u64, Taken)> {
    let (mut now, mut events, mut taken) = (0, 0, Vec::new());
    let mut event = || {
        events += 1;
        events
    };
    machine.mail(event());
    for step in script {
        let mut idle = 0;
        let got = loop {
            if let Some(got) = machine.take() {
                break got;
            }
            if idle == 5 {
                machine.mail(event());
            }
            idle += 1;
            now += 1;
            machine.tick();
        };
        taken.push((now, got.clone()));
        for ms in 0..=step.takes_ms {
            for _ in step.mail_at_ms.iter().filter(|at| **at == ms) {
                machine.mail(event());
            }
            if ms < step.takes_ms {
                now += 1;
                machine.tick();
            }
        }
        let inserted = (0..step.inserts).map(|_| event()).collect();
        machine.turn(got, step, inserted);
    }
    taken
}

enum Content {
    Event(u32),
    Timer(u32),
}

/// The queue under test, as a machine uses it.
struct Tested {
    queue: Queue<Taken, char, u32>,
    mailbox: VecDeque<Content>,
    /// Number and time left.
    timers: Vec<(u32, u64)>,
}

impl Tested {
    fn obey(&mut self, orders: impl IntoIterator<Item = Order<char, u32>>) {
        for order in orders {
            match order {
                Order::Stop(handle) => self.timers.retain(|(number, _)| *number != handle),
                Order::Start {
                    timer,
                    number,
                    after,
                } => {
                    self.timers.push((number, after.as_millis() as u64));
                    self.queue.started(timer, number, number);
                }
            }
        }
    }
}

impl Machine for Tested {
    fn mail(&mut self, event: u32) {
        self.mailbox.push_back(Content::Event(event));
    }

    fn tick(&mut self) {
        for (number, left) in &mut self.timers {
            *left -= 1;
            if *left == 0 {
                self.mailbox.push_back(Content::Timer(*number));
            }
        }
        self.timers.retain(|(_, left)| *left > 0);
    }

    fn take(&mut self) -> Option<Taken> {
        match self.queue.next() {
            Some(Next::Event(event)) => return Some(event),
            Some(Next::Timeout(timer)) => return Some(Taken::Timeout(timer)),
            None => {}
        }
        loop {
            let taken = match self.mailbox.pop_front()? {
                Content::Event(event) => Taken::Event(event),
                Content::Timer(number) => match self.queue.fired(number) {
                    Some(timer) => Taken::Timeout(timer),
                    None => continue,
                },
            };
            let order = self.queue.came();
            self.obey(order);
            return Some(taken);
        }
    }

    fn turn(&mut self, handled: Taken, step: &Step, inserted: Vec<u32>) {
        let orders = self.queue.turn(Turn {
            changes: step.changes,
            postponed: step.postpones.then_some(handled),
            inserted: inserted.into_iter().map(Taken::Event).collect(),
            settings: step.settings.clone(),
        });
        self.obey(orders);
    }
}

/// Where something stands that a machine of the model has not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Inserted,
    Zero,
    Mailbox,
    Postponed,
}

/// The rules as they are written: one list of everything in its order, and timers by their names; what is
/// cancelled is looked for everywhere and taken away.
#[derive(Default)]
struct Model {
    all: Vec<(Place, Taken)>,
    timers: Vec<(Timer<char>, u64)>,
}

impl Model {
    fn cancel(&mut self, timer: &Timer<char>) {
        self.timers.retain(|(other, _)| other != timer);
        let is_it = |(place, taken): &(Place, Taken)| {
            *place != Place::Postponed
                && *place != Place::Inserted
                && *taken == Taken::Timeout(timer.clone())
        };
        self.all.retain(|entry| !is_it(entry));
    }
}

impl Machine for Model {
    fn mail(&mut self, event: u32) {
        self.all.push((Place::Mailbox, Taken::Event(event)));
    }

    fn tick(&mut self) {
        for (timer, left) in &mut self.timers {
            *left -= 1;
            if *left == 0 {
                self.all
                    .push((Place::Mailbox, Taken::Timeout(timer.clone())));
            }
        }
        self.timers.retain(|(_, left)| *left > 0);
    }

    fn take(&mut self) -> Option<Taken> {
        let places = [Place::Inserted, Place::Zero, Place::Mailbox];
        let first = |place| self.all.iter().position(|(other, _)| *other == place);
        let index = places.into_iter().find_map(first)?;
        let (_, taken) = self.all.remove(index);
        self.cancel(&Timer::Event);
        Some(taken)
    }

    fn turn(&mut self, handled: Taken, step: &Step, inserted: Vec<u32>) {
        if step.postpones {
            self.all.push((Place::Postponed, handled));
        }
        if step.changes {
            self.cancel(&Timer::State);
            // Stable: within a place the order stays. Those tried again come before those that still wait.
            let rank = |place: Place| if place == Place::Postponed { 0 } else { 1 };
            self.all.sort_by_key(|(place, _)| rank(*place));
            for (place, _) in self
                .all
                .iter_mut()
                .filter(|(place, _)| *place == Place::Postponed)
            {
                *place = Place::Inserted;
            }
        }
        let inserted = inserted
            .into_iter()
            .map(|event| (Place::Inserted, Taken::Event(event)));
        self.all.splice(0..0, inserted);
        for setting in &step.settings {
            self.cancel(setting.timer());
            match setting {
                Setting::Set(timer, Duration::ZERO) => {
                    self.all.push((Place::Zero, Taken::Timeout(timer.clone())));
                }
                Setting::Set(timer, after) => {
                    self.timers.push((timer.clone(), after.as_millis() as u64));
                }
                Setting::Cancel(_) => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn the_queue_gives_what_the_rules_say(script in steps()) {
        let mut tested = Tested {
            queue: Queue::new(),
            mailbox: VecDeque::new(),
            timers: Vec::new(),
        };
        prop_assert_eq!(run(&mut tested, &script), run(&mut Model::default(), &script));
    }
}
