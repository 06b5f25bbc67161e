//! The rules beside a naive model of them: one list of letters, searched from end to end for everything.

use super::*;
use crate::mail::MemoryStore;
use proptest::prelude::*;

const QUEUES: [&str; 4] = ["plain.dead", "plain", "odd", "short"];
const LETTER_BYTES: u64 = 8;

fn settings(queue: usize) -> QueueSettings {
    match queue {
        0 => QueueSettings::of_the_dead(),
        1 => QueueSettings::new().delivery_limit(2).priorities(2),
        2 => QueueSettings::new()
            .without_delivery_limit()
            .max_length(3, WhenFull::Refuse)
            .dead_letters(DeadLetters::Discarded)
            .time_to_live(Duration::from_nanos(40)),
        _ => QueueSettings::new()
            .max_length(2, WhenFull::DropHead)
            .priorities(1)
            .dead_letters(DeadLetters::To("plain".to_owned())),
    }
}

#[derive(Clone, Debug)]
enum Command {
    Publish {
        queue: usize,
        priority: u8,
        bytes: u8,
        lives: Option<u64>,
    },
    Consume {
        queue: usize,
        prefetch: u32,
        alone: bool,
    },
    Cancel(usize),
    Begin(usize),
    Settle(usize, Settle),
    Forge(u64, u32),
    Wait(u64),
    Redeliver,
    Crash,
}

#[derive(Clone, Debug)]
struct Letter {
    number: u64,
    queue: usize,
    priority: u8,
    at: u64,
    deadline: u64,
    attempts: u32,
    tries: u32,
    deaths: u8,
    with: Option<Tag>,
    has_begun: bool,
}

#[derive(Clone, Debug)]
struct Taker {
    tag: Tag,
    queue: usize,
    prefetch: u32,
    alone: bool,
    /// When it last had to queue up for a letter.
    since: u64,
}

type Delivered = (Tag, u64, u32);

#[derive(Debug, Default)]
struct Model {
    now: u64,
    next: u64,
    boots: u64,
    takers_before: u64,
    clock: u64,
    letters: Vec<Letter>,
    takers: Vec<Taker>,
    delivered: Vec<Delivered>,
    died: Vec<(u64, WhyDead)>,
    acked: u64,
}

impl Model {
    fn new() -> Model {
        Model {
            next: 1,
            boots: 1,
            ..Model::default()
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn dead_of(queue: usize) -> Option<usize> {
        [None, Some(0), None, Some(1)][queue]
    }

    fn waiting(&self, queue: usize) -> Vec<usize> {
        let waits =
            |at: &usize| self.letters[*at].queue == queue && self.letters[*at].with.is_none();
        let mut found: Vec<usize> = (0..self.letters.len()).filter(waits).collect();
        found.sort_by_key(|at| (u8::MAX - self.letters[*at].priority, self.letters[*at].at));
        found
    }

    fn held_by(&self, tag: Tag) -> usize {
        self.letters
            .iter()
            .filter(|letter| letter.with == Some(tag))
            .count()
    }

    fn die(&mut self, at: usize, why: WhyDead) {
        let mut letter = self.letters.remove(at);
        if letter.deaths == 0 {
            self.died.push((letter.number, why));
        }
        if let Some(dead) = Model::dead_of(letter.queue) {
            letter.at = self.number();
            letter.queue = dead;
            letter.priority = letter.priority.min(settings(dead).priorities);
            letter.deadline = settings(dead)
                .time_to_live_ns
                .map_or(u64::MAX, |most| self.now + most);
            (letter.tries, letter.with, letter.has_begun) = (0, None, false);
            letter.deaths += 1;
            self.letters.push(letter);
        }
    }

    fn is_poison(&self, at: usize) -> bool {
        let most = settings(self.letters[at].queue).delivery_limit;
        most.is_some_and(|most| self.letters[at].tries >= most)
    }

    fn settle_down(&mut self) {
        while (0..QUEUES.len()).rev().any(|queue| self.step(queue)) {}
    }

    /// Lets one thing happen in a queue, where something must.
    fn step(&mut self, queue: usize) -> bool {
        let mut waiting = self.waiting(queue);
        let over = |at: &&usize| self.letters[**at].deadline < self.now;
        let over = waiting
            .iter()
            .filter(over)
            .min_by_key(|at| self.letters[**at].deadline);
        if let Some(at) = over.copied() {
            self.die(at, WhyDead::Expired);
            return true;
        }
        let Some(first) = waiting.first().copied() else {
            return false;
        };
        if self.is_poison(first) {
            self.die(first, WhyDead::TooOften);
            return true;
        }
        let has_room = |taker: &&Taker| {
            taker.queue == queue && self.held_by(taker.tag) < taker.prefetch as usize
        };
        let free = self
            .takers
            .iter()
            .filter(has_room)
            .min_by_key(|taker| taker.since);
        if let Some(tag) = free.map(|taker| taker.tag) {
            let letter = &mut self.letters[first];
            letter.attempts += 1;
            (letter.with, letter.has_begun) = (Some(tag), false);
            self.delivered.push((tag, letter.number, letter.attempts));
            self.queue_up(tag);
            return true;
        }
        if let Some((most, WhenFull::DropHead)) = settings(queue).max_length
            && waiting.len() as u64 > most
        {
            self.die(waiting.remove(0), WhyDead::Overflow);
            return true;
        }
        false
    }

    fn queue_up(&mut self, tag: Tag) {
        self.clock += 1;
        let since = self.clock;
        self.takers
            .iter_mut()
            .filter(|taker| taker.tag == tag)
            .for_each(|taker| taker.since = since);
    }

    fn publish(
        &mut self,
        queue: usize,
        priority: u8,
        bytes: u8,
        lives: Option<u64>,
    ) -> Option<u64> {
        let waiting = self.waiting(queue).len() as u64;
        let is_refused =
            matches!(settings(queue).max_length, Some((most, WhenFull::Refuse)) if waiting >= most);
        if u64::from(bytes) > LETTER_BYTES || lives == Some(0) || is_refused {
            return None;
        }
        let number = self.number();
        let own = lives.map_or(u64::MAX, |lives| self.now + lives - 1);
        let most = settings(queue)
            .time_to_live_ns
            .map_or(u64::MAX, |most| self.now + most);
        self.letters.push(Letter {
            number,
            queue,
            priority: priority.min(settings(queue).priorities),
            at: number,
            deadline: own.min(most),
            attempts: 0,
            tries: 0,
            deaths: 0,
            with: None,
            has_begun: false,
        });
        Some(number)
    }

    fn consume(&mut self, queue: usize, prefetch: u32, alone: bool) -> Option<Tag> {
        let others: Vec<&Taker> = self
            .takers
            .iter()
            .filter(|taker| taker.queue == queue)
            .collect();
        if prefetch == 0 || others.iter().any(|other| other.alone) || alone && !others.is_empty() {
            return None;
        }
        self.takers_before += 1;
        let tag = self.boots << 32 | self.takers_before;
        self.takers.push(Taker {
            tag,
            queue,
            prefetch,
            alone,
            since: 0,
        });
        self.queue_up(tag);
        Some(tag)
    }

    fn cancel(&mut self, tag: Tag) {
        self.takers.retain(|taker| taker.tag != tag);
        let mut held: Vec<(u8, u64, u64)> = self
            .letters
            .iter()
            .filter(|letter| letter.with == Some(tag))
            .map(|letter| (u8::MAX - letter.priority, letter.at, letter.number))
            .collect();
        held.sort_unstable();
        for (_, _, number) in held {
            let at = self
                .letters
                .iter()
                .position(|letter| letter.number == number)
                .unwrap();
            self.letters[at].with = None;
            if self.is_poison(at) {
                self.die(at, WhyDead::TooOften);
            }
        }
    }

    fn held(&self, number: u64, attempt: u32) -> Option<usize> {
        let is_it = |letter: &Letter| {
            letter.number == number && letter.attempts == attempt && letter.with.is_some()
        };
        self.letters.iter().position(is_it)
    }

    fn begin(&mut self, number: u64, attempt: u32) {
        if let Some(at) = self.held(number, attempt)
            && !self.letters[at].has_begun
        {
            self.letters[at].has_begun = true;
            self.letters[at].tries += 1;
        }
    }

    fn settle(&mut self, number: u64, attempt: u32, how: Settle) -> bool {
        if how == Settle::Requeue {
            self.begin(number, attempt);
        }
        let Some(at) = self.held(number, attempt) else {
            return false;
        };
        let tag = self.letters[at].with.unwrap();
        let taker = self.takers.iter().find(|taker| taker.tag == tag).unwrap();
        if self.held_by(tag) == taker.prefetch as usize {
            self.queue_up(tag);
        }
        self.letters[at].with = None;
        match how {
            Settle::Ack => {
                self.letters.remove(at);
                self.acked += 1;
            }
            Settle::Requeue if self.is_poison(at) => self.die(at, WhyDead::TooOften),
            Settle::Requeue if settings(self.letters[at].queue).delivery_limit.is_none() => {
                self.letters[at].at = self.number();
            }
            Settle::Requeue => {}
            Settle::Reject => self.die(at, WhyDead::Rejected),
            Settle::Unreadable => self.die(at, WhyDead::Unreadable),
        }
        true
    }

    /// All that is with somebody goes back, to be given out again; nobody is to blame.
    fn redeliver(&mut self) {
        let is_held = |at: &usize| self.letters[*at].with.is_some();
        let mut held: Vec<usize> = (0..self.letters.len()).filter(is_held).collect();
        held.sort_by_key(|at| {
            let letter = &self.letters[*at];
            (letter.queue, u8::MAX - letter.priority, letter.at)
        });
        for at in held {
            let tag = self.letters[at].with.unwrap();
            let taker = self.takers.iter().find(|taker| taker.tag == tag).unwrap();
            if self.held_by(tag) == taker.prefetch as usize {
                self.queue_up(tag);
            }
            let letter = &mut self.letters[at];
            letter.with = None;
            letter.tries -= u32::from(std::mem::take(&mut letter.has_begun));
        }
    }

    fn crash(&mut self) {
        self.takers.clear();
        (self.boots, self.takers_before) = (self.boots + 1, 0);
        for letter in &mut self.letters {
            (letter.with, letter.has_begun) = (None, false);
        }
    }
}

/// The rules at work on a store, and the model beside them.
struct Both {
    store: MemoryStore,
    state: State,
    turn: Turn,
    bounds: Bounds,
    model: Model,
    /// All deliveries so far, of earlier boots too.
    seen: Vec<Delivered>,
    /// Letters of which it was told that they died.
    died: Vec<(u64, WhyDead)>,
}

impl Both {
    fn new(window: usize) -> Both {
        let bounds = Bounds {
            letter_bytes: LETTER_BYTES,
            ack_timeout_ns: u64::MAX,
            window,
        };
        let (store, mut turn) = (MemoryStore::new(), Turn::default());
        let mut state = State::open(&store, bounds, || Name::new("queues"), &mut turn).unwrap();
        for (queue, name) in QUEUES.iter().enumerate().skip(1) {
            state.declare(name, settings(queue), &mut turn).unwrap();
        }
        let mut both = Both {
            store,
            state,
            turn,
            bounds,
            model: Model::new(),
            seen: Vec::new(),
            died: Vec::new(),
        };
        both.commit();
        both
    }

    /// Commits, as a broker does, until there is no more to be done.
    fn commit(&mut self) {
        loop {
            self.state.seal(&mut self.turn);
            self.store.commit(&self.turn.batch).unwrap();
            self.turn.batch.clear();
            if !self.state.wants_letters() {
                return;
            }
            self.state.fetch(&self.store).unwrap();
            self.state.settle_down(&mut self.turn);
        }
    }

    fn reopen(&mut self) {
        self.state = State::open(
            &self.store,
            self.bounds,
            || Name::new("queues"),
            &mut self.turn,
        )
        .unwrap();
        self.state.tick(&mut self.turn);
        self.model.crash();
    }

    fn apply(&mut self, command: &Command) {
        let nth_seen = |nth: usize| {
            self.seen
                .iter()
                .rev()
                .nth(nth)
                .copied()
                .unwrap_or((0, 0, 0))
        };
        let (state, turn, model) = (&mut self.state, &mut self.turn, &mut self.model);
        match *command {
            Command::Publish {
                queue,
                priority,
                bytes,
                lives,
            } => {
                let deadline = lives.map(|lives| (turn.now + lives).wrapping_sub(1));
                let body = vec![7; usize::from(bytes)];
                let incoming = Incoming {
                    body,
                    priority,
                    deadline,
                };
                // At time 0 no deadline is past.
                let got = state.publish(QUEUES[queue], &incoming, turn);
                assert_eq!(
                    got.ok(),
                    model.publish(queue, priority, bytes, lives),
                    "published"
                );
            }
            Command::Consume {
                queue,
                prefetch,
                alone,
            } => {
                let got = state.consume(QUEUES[queue], prefetch, alone, turn);
                assert_eq!(got.ok(), model.consume(queue, prefetch, alone), "consumes");
            }
            Command::Cancel(nth) => {
                if let Some(tag) = model.takers.get(nth).map(|taker| taker.tag) {
                    state.cancel(tag, turn);
                    model.cancel(tag);
                }
            }
            Command::Begin(nth) => {
                let (_, number, attempt) = nth_seen(nth);
                state.begin(number, attempt, turn);
                model.begin(number, attempt);
            }
            Command::Settle(nth, how) => {
                let (_, number, attempt) = nth_seen(nth);
                let got = state.settle(number, attempt, how, turn);
                assert_eq!(got.is_ok(), model.settle(number, attempt, how), "settled");
            }
            Command::Forge(number, attempt) => {
                let got = state.settle(number, attempt, Settle::Ack, turn);
                assert_eq!(
                    got.is_ok(),
                    model.settle(number, attempt, Settle::Ack),
                    "forged"
                );
            }
            Command::Wait(time) => {
                turn.now += time;
                model.now += time;
                state.tick(turn);
            }
            Command::Redeliver => {
                state.redeliver(turn);
                model.redeliver();
            }
            Command::Crash => self.reopen(),
        }
        self.model.settle_down();
        self.commit();
        self.compare();
    }

    fn compare(&mut self) {
        let mut delivered = Vec::new();
        for effect in self.turn.effects.drain(..) {
            match effect {
                Effect::Deliver { to, record } => {
                    delivered.push((to, record.number, record.attempts))
                }
                Effect::Told {
                    number,
                    attempt: 0,
                    what: Fate::Dead(why),
                } if self.died.contains(&(number, why)) => {}
                Effect::Told {
                    number,
                    what: Fate::Dead(why),
                    ..
                } => self.died.push((number, why)),
                Effect::Told { .. } => {}
            }
        }
        self.seen.extend_from_slice(&delivered);
        let mut expected = std::mem::take(&mut self.model.delivered);
        // Of different queues there is no order.
        delivered.sort_by_key(|(tag, ..)| *tag);
        expected.sort_by_key(|(tag, ..)| *tag);
        assert_eq!(delivered, expected, "delivered");
        for (queue, name) in QUEUES.iter().enumerate() {
            let info = self.state.info(name).unwrap();
            assert_eq!(
                info.waiting,
                self.model.waiting(queue).len() as u64,
                "{name} waits"
            );
            let of_queue = self
                .model
                .letters
                .iter()
                .filter(|letter| letter.queue == queue);
            assert_eq!(
                info.waiting + info.unacked,
                of_queue.count() as u64,
                "{name} has"
            );
            assert!(
                info.indexed <= self.bounds.window as u64,
                "{name}: the index is bounded"
            );
        }
        let letters = self.model.letters.len() as u64;
        assert_eq!(self.store.len(stored::LETTERS), Ok(letters), "records");
        assert_eq!(self.store.len(BODIES), Ok(letters), "bodies");
        let deaths = self
            .model
            .letters
            .iter()
            .map(|letter| u64::from(letter.deaths))
            .sum();
        assert_eq!(self.store.len(DEATHS), Ok(deaths), "deaths");
    }
}

fn command(lives: impl Strategy<Value = Option<u64>>, ttl: bool) -> impl Strategy<Value = Command> {
    let how = prop_oneof![
        4 => Just(Settle::Ack),
        3 => Just(Settle::Requeue),
        1 => Just(Settle::Reject),
        1 => Just(Settle::Unreadable),
    ];
    // The odd queue has a time to live.
    let queue =
        || (0..QUEUES.len()).prop_map(move |queue| if ttl || queue != 2 { queue } else { 1 });
    prop_oneof![
        8 => (queue(), 0..4_u8, 1..10_u8, lives).prop_map(|(queue, priority, bytes, lives)| {
            Command::Publish { queue, priority, bytes, lives }
        }),
        3 => (queue(), 0..4_u32, prop::bool::weighted(0.2)).prop_map(|(queue, prefetch, alone)| {
            Command::Consume { queue, prefetch, alone }
        }),
        1 => (0..4_usize).prop_map(Command::Cancel),
        4 => (0..6_usize).prop_map(Command::Begin),
        9 => (0..6_usize, how).prop_map(|(nth, how)| Command::Settle(nth, how)),
        1 => (0..30_u64, 0..3_u32).prop_map(|(number, attempt)| Command::Forge(number, attempt)),
        2 => (1..30_u64).prop_map(Command::Wait),
        1 => Just(Command::Redeliver),
        1 => Just(Command::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn queue_every_rule_is_that_of_the_naive_model(
        commands in prop::collection::vec(command(prop::option::weighted(0.3, 1..40_u64), true), 1..80),
    ) {
        let mut both = Both::new(1_000);
        commands.iter().for_each(|command| both.apply(command));
        // Letters of different queues may die in another order.
        both.died.sort_unstable();
        both.model.died.sort_unstable();
        prop_assert_eq!(both.died, both.model.died);
    }

    #[test]
    fn queue_letters_that_lie_in_the_store_alone_follow_the_same_rules(
        commands in prop::collection::vec(command(Just(None), false), 1..120),
        window in 1..5_usize,
    ) {
        let mut both = Both::new(window);
        commands.iter().for_each(|command| both.apply(command));
    }
}
