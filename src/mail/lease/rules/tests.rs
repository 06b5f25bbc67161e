//! The rules beside a naive model of them: one list of all that was ever asked for, searched for everything.
//! And the promise itself, between clocks that are wrong, messages that come late and processes that end.

use super::*;
use crate::mail::MemoryStore;
use proptest::prelude::*;
use std::time::Duration;

const RESOURCES: [&str; 3] = ["lock", "limiter", "short"];

fn settings(resource: usize) -> LeaseSettings {
    match resource {
        0 => LeaseSettings::new(Duration::from_nanos(40)).drift(0),
        1 => LeaseSettings::new(Duration::from_nanos(30)).places(3),
        _ => LeaseSettings::new(Duration::from_nanos(5))
            .drift(0)
            .places(2),
    }
}

#[derive(Clone, Debug)]
enum Command {
    Acquire {
        resource: usize,
        waits: bool,
    },
    Leave(usize),
    Gone(usize, bool),
    Renew(usize),
    Release(usize),
    Forge {
        place: u32,
        token: u64,
    },
    /// Perhaps nobody looks at the time before the next command.
    Wait(u64, bool),
    /// With what was not committed: the last command has not been.
    Crash {
        lost: bool,
    },
}

/// One wish, for ever.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    ticket: Option<Ticket>,
    resource: usize,
    waits: bool,
    /// Place, token and end; for ever, also when it is over.
    got: Option<(u32, u64, u64)>,
    holds: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    now: u64,
    asked: Vec<Asked>,
    granted: Vec<(Ticket, usize, u32, u64)>,
    over: Vec<Ticket>,
}

impl Model {
    fn holders(&self, resource: usize) -> impl Iterator<Item = &Asked> {
        self.asked
            .iter()
            .filter(move |asked| asked.resource == resource && asked.holds)
    }

    fn free_place(&self, resource: usize) -> Option<u32> {
        (0..settings(resource).places).find(|place| {
            self.holders(resource)
                .all(|asked| asked.got.is_none_or(|(held, ..)| held != *place))
        })
    }

    fn last_token(&self, resource: usize) -> u64 {
        let of_it = self.asked.iter().filter(|asked| asked.resource == resource);
        of_it
            .filter_map(|asked| Some(asked.got?.1))
            .max()
            .unwrap_or(0)
    }

    /// What is over ends, in its order; and what is free goes to who has waited longest.
    fn settle(&mut self) {
        loop {
            for resource in 0..RESOURCES.len() {
                self.grant(resource);
            }
            let over = |asked: &&mut Asked| {
                asked.holds && asked.got.is_some_and(|(.., until)| until <= self.now)
            };
            let first = self.asked.iter_mut().filter(over).min_by_key(|asked| {
                asked
                    .got
                    .map(|(place, _, until)| (until, asked.resource, place))
            });
            let Some(first) = first else { return };
            first.holds = false;
            self.over.extend(first.ticket);
        }
    }

    fn grant(&mut self, resource: usize) {
        while let Some(place) = self.free_place(resource) {
            let token = self.last_token(resource) + 1;
            let first = self
                .asked
                .iter_mut()
                .find(|asked| asked.resource == resource && asked.waits);
            let Some(first) = first else { return };
            let until = self.now + settings(resource).ttl_ns;
            (first.waits, first.holds, first.got) = (false, true, Some((place, token, until)));
            self.granted
                .push((first.ticket.unwrap(), resource, place, token));
        }
    }

    fn end(&mut self, nth: usize) {
        let asked = &mut self.asked[nth];
        (asked.waits, asked.holds) = (false, false);
        self.over.extend(asked.ticket);
    }

    fn holder(&self, resource: usize, place: u32, token: u64) -> Option<usize> {
        self.asked.iter().position(|asked| {
            asked.resource == resource
                && asked.holds
                && asked
                    .got
                    .is_some_and(|(at, with, _)| (at, with) == (place, token))
        })
    }
}

/// The rules at work on a store, and the model beside them.
struct Both {
    store: MemoryStore,
    state: State,
    turn: Turn,
    model: Model,
    /// The model before the last command.
    before: Model,
}

impl Both {
    fn new() -> Both {
        let (mut store, mut turn) = (MemoryStore::new(), Turn::default());
        let mut state = State::open(&store, &mut turn).unwrap();
        for (resource, name) in RESOURCES.iter().enumerate() {
            state.declare(name, settings(resource), &mut turn).unwrap();
        }
        store.commit(&turn.batch).unwrap();
        turn.batch.clear();
        Both {
            store,
            state,
            turn,
            model: Model::default(),
            before: Model::default(),
        }
    }

    fn apply(&mut self, command: &Command) {
        if let Command::Crash { lost } = command {
            return self.crash(*lost);
        }
        self.store.commit(&self.turn.batch).unwrap();
        self.turn.batch.clear();
        self.before = self.model.clone();
        let (state, turn, model) = (&mut self.state, &mut self.turn, &mut self.model);
        let ticket = |nth: usize| {
            model
                .asked
                .iter()
                .rev()
                .nth(nth)
                .and_then(|asked| asked.ticket)
        };
        match *command {
            Command::Acquire { resource, waits } => {
                model.settle();
                let is_refused = !waits && model.free_place(resource).is_none();
                let got = state.acquire(RESOURCES[resource], waits, turn);
                assert_eq!(got.is_err(), is_refused, "acquired");
                if let Ok(ticket) = got {
                    assert!(model.asked.iter().all(|asked| asked.ticket != Some(ticket)));
                    model.asked.push(Asked {
                        ticket: Some(ticket),
                        resource,
                        waits: true,
                        got: None,
                        holds: false,
                    });
                }
            }
            Command::Leave(nth) => {
                if let Some(ticket) = ticket(nth) {
                    state.leave(ticket, turn);
                    model.settle();
                    let nth = model.asked.len() - 1 - nth;
                    if model.asked[nth].waits || model.asked[nth].holds {
                        model.end(nth);
                    }
                }
            }
            Command::Gone(nth, has_ended) => {
                if let Some(ticket) = ticket(nth) {
                    state.gone(ticket, has_ended, turn);
                    model.settle();
                    let nth = model.asked.len() - 1 - nth;
                    if model.asked[nth].waits || model.asked[nth].holds && has_ended {
                        model.end(nth);
                    }
                }
            }
            Command::Renew(nth) => {
                if let Some((resource, place, token)) = self.nth_got(nth) {
                    self.renew(resource, place, token);
                }
            }
            Command::Release(nth) => {
                if let Some((resource, place, token)) = self.nth_got(nth) {
                    self.release(resource, place, token);
                }
            }
            Command::Forge { place, token } => {
                self.renew(1, place, token);
                self.release(1, place, token);
            }
            Command::Wait(time, looks) => {
                turn.now += time;
                model.now += time;
                if !looks {
                    return;
                }
                state.expire(turn);
            }
            Command::Crash { .. } => {}
        }
        self.state.expire(&mut self.turn);
        self.model.settle();
        self.compare();
    }

    fn nth_got(&self, nth: usize) -> Option<(usize, u32, u64)> {
        let got = self.model.asked.iter().rev().filter_map(|asked| {
            let (place, token, _) = asked.got?;
            Some((asked.resource, place, token))
        });
        got.take(nth + 1).last()
    }

    fn renew(&mut self, resource: usize, place: u32, token: u64) {
        let renewed = self
            .state
            .renew(&fencing(resource, place, token), &mut self.turn);
        self.model.settle();
        let holder = self.model.holder(resource, place, token);
        assert_eq!(renewed.is_ok(), holder.is_some(), "renewed");
        let (Ok(ticket), Some(nth)) = (renewed, holder) else {
            return;
        };
        let until = self.model.now + settings(resource).ttl_ns;
        let asked = &mut self.model.asked[nth];
        assert_eq!(*asked.ticket.get_or_insert(ticket), ticket, "whose it is");
        asked.got = Some((place, token, until));
    }

    fn release(&mut self, resource: usize, place: u32, token: u64) {
        let released = self
            .state
            .release(&fencing(resource, place, token), &mut self.turn);
        self.model.settle();
        let holder = self.model.holder(resource, place, token);
        assert_eq!(released.is_ok(), holder.is_some(), "released");
        if let Some(nth) = holder {
            self.model.end(nth);
        }
    }

    fn crash(&mut self, lost: bool) {
        if lost {
            self.model = self.before.clone();
            self.model.now = self.turn.now;
        } else {
            self.store.commit(&self.turn.batch).unwrap();
        }
        self.turn.batch.clear();
        self.state = State::open(&self.store, &mut self.turn).unwrap();
        let now = self.model.now;
        for asked in &mut self.model.asked {
            (asked.ticket, asked.waits) = (None, false);
            if let (true, Some((.., until))) = (asked.holds, &mut asked.got) {
                *until = now + settings(asked.resource).ttl_ns;
            }
        }
        self.before = self.model.clone();
        self.compare();
    }

    fn compare(&mut self) {
        let (mut granted, mut over) = (Vec::new(), Vec::new());
        for effect in self.turn.effects.drain(..) {
            match effect {
                Effect::Granted(ticket, grant) => {
                    let Fencing {
                        resource,
                        place,
                        token,
                    } = grant.fencing;
                    let resource = RESOURCES.iter().position(|name| *name == resource).unwrap();
                    assert_eq!(grant.trusted_ns, settings(resource).trusted_ns());
                    granted.push((ticket, resource, place, token));
                }
                Effect::Over(ticket) => over.push(ticket),
            }
        }
        // Of different resources there is no order; and who held before a crash may have no ticket here.
        let by_resource = |granted: &mut Vec<(Ticket, usize, u32, u64)>| {
            granted.sort_by_key(|(_, resource, ..)| *resource);
        };
        by_resource(&mut granted);
        by_resource(&mut self.model.granted);
        assert_eq!(granted, std::mem::take(&mut self.model.granted), "granted");
        let of_model = std::mem::take(&mut self.model.over);
        assert!(
            of_model.iter().all(|ticket| over.contains(ticket)),
            "{of_model:?} of {over:?} are over"
        );
        for (resource, name) in RESOURCES.iter().enumerate() {
            let of_it = || {
                self.model
                    .asked
                    .iter()
                    .filter(|asked| asked.resource == resource)
            };
            let expected = ResourceInfo {
                settings: settings(resource),
                held: of_it().filter(|asked| asked.holds).count() as u32,
                waiting: of_it().filter(|asked| asked.waits).count() as u64,
                last_token: self.model.last_token(resource),
            };
            assert_eq!(self.state.info(name), Some(expected), "{name}");
        }
        let ends = self.model.asked.iter().filter(|asked| asked.holds);
        let next = ends.filter_map(|asked| Some(asked.got?.2)).min();
        assert_eq!(self.state.next_end(), next, "the next end");
    }
}

fn fencing(resource: usize, place: u32, token: u64) -> Fencing {
    Fencing {
        resource: RESOURCES[resource].to_owned(),
        place,
        token,
    }
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        9 => (0..RESOURCES.len(), prop::bool::weighted(0.7))
            .prop_map(|(resource, waits)| Command::Acquire { resource, waits }),
        2 => (0..6_usize).prop_map(Command::Leave),
        3 => (0..6_usize, any::<bool>()).prop_map(|(nth, has_ended)| Command::Gone(nth, has_ended)),
        5 => (0..6_usize).prop_map(Command::Renew),
        4 => (0..6_usize).prop_map(Command::Release),
        1 => (0..4_u32, 0..20_u64).prop_map(|(place, token)| Command::Forge { place, token }),
        4 => (1..30_u64, any::<bool>()).prop_map(|(time, looks)| Command::Wait(time, looks)),
        2 => any::<bool>().prop_map(|lost| Command::Crash { lost }),
    ]
}

/// How wrong clocks are, in parts in a million.
const DRIFT: u32 = 100_000;
const MILLION: u64 = 1_000_000;

/// What a clock that is wrong by so much shows.
fn shows(real: u64, drift: i32) -> u64 {
    real * MILLION.saturating_add_signed(i64::from(drift)) / MILLION
}

/// A holder with its own clock, and what is on its way between it and the leases.
#[derive(Clone, Debug)]
struct Holder {
    drift: i32,
    lives: bool,
    /// When it asked, by its clock.
    asked: u64,
    ticket: Option<Ticket>,
    /// On its way to it.
    answer: Option<Grant>,
    renewal: Option<u64>,
    /// What it holds, as it believes, and until when, by its clock.
    believes: Option<(Grant, u64)>,
    /// Its end is not known as yet.
    unheard: bool,
}

#[derive(Clone, Debug)]
enum Happens {
    Passes(u64),
    Asks(usize),
    Hears(usize),
    Renews(usize),
    HearsOfRenewal(usize),
    Releases(usize),
    Dies(usize),
    /// Its end comes to be known.
    Down(usize),
    /// The way to it is lost.
    CutOff(usize),
    Reboots,
}

/// Two places, six processes, and leases that crash.
struct World {
    real: u64,
    drift: i32,
    settings: LeaseSettings,
    store: MemoryStore,
    state: State,
    turn: Turn,
    holders: Vec<Holder>,
    granted: u64,
}

impl World {
    fn new(drifts: &[i32]) -> World {
        let (mut store, mut turn) = (MemoryStore::new(), Turn::default());
        let settings = LeaseSettings::new(Duration::from_nanos(1_000))
            .places(2)
            .drift(DRIFT);
        let mut state = State::open(&store, &mut turn).unwrap();
        state.declare("limiter", settings, &mut turn).unwrap();
        store.commit(&turn.batch).unwrap();
        turn.batch.clear();
        let holder = |drift: &i32| Holder {
            drift: *drift,
            lives: true,
            asked: 0,
            ticket: None,
            answer: None,
            renewal: None,
            believes: None,
            unheard: false,
        };
        World {
            real: 0,
            drift: drifts[0],
            settings,
            store,
            state,
            turn,
            holders: drifts[1..].iter().map(holder).collect(),
            granted: 0,
        }
    }

    fn happens(&mut self, what: &Happens) {
        self.turn.now = shows(self.real, self.drift);
        let (state, turn, real) = (&mut self.state, &mut self.turn, self.real);
        match *what {
            Happens::Passes(time) => self.real += time,
            Happens::Asks(nth) => {
                let holder = &mut self.holders[nth];
                if holder.lives && holder.believes.is_none() && holder.ticket.is_none() {
                    (holder.asked, holder.answer) = (shows(real, holder.drift), None);
                    holder.ticket = state.acquire("limiter", true, turn).ok();
                }
            }
            Happens::Hears(nth) => {
                let holder = &mut self.holders[nth];
                if let (true, Some(grant)) = (holder.lives, holder.answer.take()) {
                    let until = holder.asked + grant.trusted_ns;
                    holder.believes = Some((grant, until));
                }
            }
            Happens::Renews(nth) => {
                let holder = &mut self.holders[nth];
                if let (true, Some((grant, _))) = (holder.lives, &holder.believes) {
                    let asked = shows(real, holder.drift);
                    let renewed = state.renew(&grant.fencing, turn);
                    holder.renewal = renewed.is_ok().then_some(asked);
                    holder.ticket = renewed.ok();
                }
            }
            Happens::HearsOfRenewal(nth) => {
                let holder = &mut self.holders[nth];
                if let (Some(asked), Some((grant, until))) =
                    (holder.renewal.take(), &mut holder.believes)
                {
                    *until = asked + grant.trusted_ns;
                }
            }
            Happens::Releases(nth) => {
                let holder = &mut self.holders[nth];
                if let (true, Some((grant, _))) = (holder.lives, holder.believes.take()) {
                    holder.ticket = None;
                    let _ = state.release(&grant.fencing, turn);
                }
            }
            Happens::Dies(nth) => {
                let holder = &mut self.holders[nth];
                (holder.lives, holder.unheard) = (false, true);
                (holder.believes, holder.answer, holder.renewal) = (None, None, None);
            }
            Happens::Down(nth) | Happens::CutOff(nth) => {
                let has_ended = matches!(what, Happens::Down(_));
                let holder = &mut self.holders[nth];
                if let Some(ticket) = holder.ticket
                    && (!has_ended || holder.unheard)
                {
                    state.gone(ticket, has_ended, turn);
                }
                if holder.unheard && has_ended {
                    // Another process in its place.
                    (holder.lives, holder.unheard, holder.ticket) = (true, false, None);
                }
            }
            Happens::Reboots => {
                *state = State::open(&self.store, turn).unwrap();
                // Whoever waited has heard of it. Who holds has a ticket that nobody knows.
                for holder in &mut self.holders {
                    holder.ticket = None;
                }
            }
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.turn.now = shows(self.real, self.drift);
        self.state.expire(&mut self.turn);
        self.store.commit(&self.turn.batch).unwrap();
        self.turn.batch.clear();
        for effect in self.turn.effects.drain(..) {
            let (ticket, grant) = match effect {
                Effect::Granted(ticket, grant) => (ticket, Some(grant)),
                Effect::Over(ticket) => (ticket, None),
            };
            self.granted += u64::from(grant.is_some());
            if let Some(holder) = self
                .holders
                .iter_mut()
                .find(|holder| holder.ticket == Some(ticket))
            {
                match grant {
                    Some(grant) => holder.answer = holder.lives.then_some(grant),
                    None => holder.ticket = None,
                }
            }
        }
        let mut held = Vec::new();
        for holder in &mut self.holders {
            if let Some((grant, until)) = &holder.believes {
                if shows(self.real, holder.drift) < *until {
                    held.push(grant.fencing.place);
                } else {
                    holder.believes = None;
                }
            }
        }
        let all = held.len();
        held.sort_unstable();
        held.dedup();
        assert_eq!(held.len(), all, "two hold one place");
        assert!(all <= self.settings.places as usize, "{all} hold");
    }
}

fn happens() -> impl Strategy<Value = Happens> {
    let who = || 0..6_usize;
    prop_oneof![
        6 => (1..700_u64).prop_map(Happens::Passes),
        4 => who().prop_map(Happens::Asks),
        6 => who().prop_map(Happens::Hears),
        4 => who().prop_map(Happens::Renews),
        4 => who().prop_map(Happens::HearsOfRenewal),
        1 => who().prop_map(Happens::Releases),
        1 => who().prop_map(Happens::Dies),
        1 => who().prop_map(Happens::Down),
        1 => who().prop_map(Happens::CutOff),
        1 => Just(Happens::Reboots),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn lease_every_rule_is_that_of_the_naive_model(commands in prop::collection::vec(command(), 1..80)) {
        let mut both = Both::new();
        commands.iter().for_each(|command| both.apply(command));
    }

    #[test]
    fn lease_no_place_is_held_by_two_as_long_as_clocks_are_no_more_wrong_than_was_said(
        drifts in prop::collection::vec(prop_oneof![
            Just(DRIFT as i32), Just(-(DRIFT as i32)), -(DRIFT as i32)..=DRIFT as i32,
        ], 7),
        all in prop::collection::vec(happens(), 1..200),
    ) {
        let mut world = World::new(&drifts);
        all.iter().for_each(|what| world.happens(what));
    }
}
