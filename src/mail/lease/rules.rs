//! The rules of leases, as a state that takes commands: no process, no future, no clock.
//!
//! A command changes the state, puts what must be stored into the [`Turn`]'s batch, and adds effects: they,
//! and the answer that the command gives, count only once the batch is committed. So many commands can share
//! one commit.

use super::fate::{AcquireError, DeclareError, LeaseCounts, LeaseError, ResourceInfo};
use super::fence::Fencing;
use super::settings::LeaseSettings;
use super::stored::{self, StoredPlace};
use super::wire::Grant;
use crate::mail::store::{Batch, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// Who waits for a place, or holds one: counted in the order in which they came.
pub(super) type Ticket = u64;

/// Commands that share a commit, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// The monotonic clock, in nanoseconds.
    pub(super) now: u64,
    /// What must be stored before any effect.
    pub(super) batch: Batch,
    pub(super) effects: Vec<Effect>,
}

/// What follows from a command, once it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// This one has a place now.
    Granted(Ticket, Grant),
    /// This one waits no more, and holds nothing.
    Over(Ticket),
}

/// A place that is held, or may be.
#[derive(Clone, Copy, Debug)]
struct Held {
    token: u64,
    by: Ticket,
    /// From this moment on nobody believes that it is held.
    until: u64,
}

/// One resource.
#[derive(Debug)]
struct Known {
    name: String,
    settings: LeaseSettings,
    /// The last token that was granted.
    last: u64,
    held: BTreeMap<u32, Held>,
    /// Places that were held and are free, and the first of those that never were.
    free: BTreeSet<u32>,
    fresh: u32,
    waiting: BTreeSet<Ticket>,
}

impl Known {
    /// The least place that is free.
    fn take_free(&mut self) -> Option<u32> {
        if let Some(place) = self.free.pop_first() {
            return Some(place);
        }
        let place = self.fresh;
        (place < self.settings.places).then(|| {
            self.fresh += 1;
            place
        })
    }
}

/// What a ticket is for.
#[derive(Clone, Copy, Debug)]
struct Seat {
    resource: u32,
    /// The place that it holds; none where it waits.
    place: Option<u32>,
}

/// All resources.
#[derive(Debug, Default)]
pub(super) struct State {
    resources: Vec<Known>,
    by_name: BTreeMap<String, u32>,
    seats: BTreeMap<Ticket, Seat>,
    tickets_before: Ticket,
    /// When leases end: moment, resource and place.
    ends: BTreeSet<(u64, u32, u32)>,
    pub(super) counts: LeaseCounts,
}

impl State {
    /// The state as a store has it. What was held may be held still: for as long as a lease is from now on,
    /// since nobody knows how long it was before.
    pub(super) fn open(store: &dyn Store, turn: &mut Turn) -> Result<State, StoreError> {
        stored::check_version(store, &mut turn.batch)?;
        let mut state = State::default();
        for (name, settings) in stored::resources(store)? {
            let resource = state.add(name, settings);
            for stored in stored::places(store, resource)? {
                state.restore(resource, stored, turn.now);
            }
        }
        Ok(state)
    }

    fn add(&mut self, name: String, settings: LeaseSettings) -> u32 {
        let resource = self.resources.len() as u32;
        self.by_name.insert(name.clone(), resource);
        self.resources.push(Known {
            name,
            settings,
            last: 0,
            held: BTreeMap::new(),
            free: BTreeSet::new(),
            fresh: 0,
            waiting: BTreeSet::new(),
        });
        resource
    }

    /// Takes in a place that was stored: they come in their order.
    fn restore(&mut self, resource: u32, stored: StoredPlace, now: u64) {
        let StoredPlace {
            place,
            token,
            is_held,
        } = stored;
        let by = self.ticket();
        let known = &mut self.resources[resource as usize];
        known.last = known.last.max(token);
        known.fresh = place + 1;
        if !is_held {
            known.free.insert(place);
            return;
        }
        let until = now.saturating_add(known.settings.ttl_ns);
        known.held.insert(place, Held { token, by, until });
        self.ends.insert((until, resource, place));
        let place = Some(place);
        self.seats.insert(by, Seat { resource, place });
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets_before += 1;
        self.tickets_before
    }

    /// Declares a resource; the same declaration again changes nothing.
    pub(super) fn declare(
        &mut self,
        name: &str,
        settings: LeaseSettings,
        turn: &mut Turn,
    ) -> Result<(), DeclareError> {
        if let Some(resource) = self.by_name.get(name) {
            let has = self.resources[*resource as usize].settings;
            if has == settings {
                return Ok(());
            }
            let name = name.to_owned();
            return Err(DeclareError::OtherSettings { name, has });
        }
        if let Some(flaw) = settings.flaw() {
            return Err(flaw);
        }
        let resource = self.add(name.to_owned(), settings);
        stored::put_resource(&mut turn.batch, resource, name, settings);
        Ok(())
    }

    /// Asks for a place: the ticket of whoever waits for it now, or holds it already.
    pub(super) fn acquire(
        &mut self,
        name: &str,
        waits: bool,
        turn: &mut Turn,
    ) -> Result<Ticket, AcquireError> {
        self.expire(turn);
        let Some(resource) = self.by_name.get(name).copied() else {
            return Err(AcquireError::NoSuchResource(name.to_owned()));
        };
        let known = &self.resources[resource as usize];
        let is_free = !known.free.is_empty() || known.fresh < known.settings.places;
        if !is_free && !waits {
            return Err(AcquireError::Taken(name.to_owned()));
        }
        let ticket = self.ticket();
        let place = None;
        self.seats.insert(ticket, Seat { resource, place });
        self.resources[resource as usize].waiting.insert(ticket);
        self.grant(resource, turn);
        Ok(ticket)
    }

    /// Grants what is free to those who have waited longest.
    fn grant(&mut self, resource: u32, turn: &mut Turn) {
        let known = &mut self.resources[resource as usize];
        while !known.waiting.is_empty()
            && let Some(place) = known.take_free()
            && let Some(by) = known.waiting.pop_first()
        {
            known.last += 1;
            let token = known.last;
            let until = turn.now.saturating_add(known.settings.ttl_ns);
            known.held.insert(place, Held { token, by, until });
            self.ends.insert((until, resource, place));
            if let Some(seat) = self.seats.get_mut(&by) {
                seat.place = Some(place);
            }
            self.counts.granted += 1;
            let is_held = true;
            let stored = StoredPlace {
                place,
                token,
                is_held,
            };
            stored::put_place(&mut turn.batch, resource, stored);
            let grant = Grant {
                fencing: Fencing {
                    resource: known.name.clone(),
                    place,
                    token,
                },
                trusted_ns: known.settings.trusted_ns(),
            };
            turn.effects.push(Effect::Granted(by, grant));
        }
    }

    /// A place is free for certain: it goes to whoever waits.
    fn free(&mut self, resource: u32, place: u32, turn: &mut Turn) {
        let known = &mut self.resources[resource as usize];
        let Some(held) = known.held.remove(&place) else {
            return;
        };
        known.free.insert(place);
        self.ends.remove(&(held.until, resource, place));
        self.seats.remove(&held.by);
        let stored = StoredPlace {
            place,
            token: held.token,
            is_held: false,
        };
        stored::put_place(&mut turn.batch, resource, stored);
        turn.effects.push(Effect::Over(held.by));
        self.grant(resource, turn);
    }

    /// Where a lease is held that was granted with this token, and by whom.
    fn find(&mut self, fencing: &Fencing, turn: &mut Turn) -> Result<(u32, Held), LeaseError> {
        self.expire(turn);
        let held = self.by_name.get(&fencing.resource).and_then(|resource| {
            let held = self.resources[*resource as usize]
                .held
                .get(&fencing.place)?;
            (held.token == fencing.token).then_some((*resource, *held))
        });
        if held.is_none() {
            self.counts.not_held += 1;
        }
        held.ok_or(LeaseError::NotHeld)
    }

    /// Renews a lease from now on: the ticket of its holder.
    ///
    /// It is stored, though it changes nothing there: a process whose store is another's by now must not
    /// renew what that one is about to grant.
    pub(super) fn renew(
        &mut self,
        fencing: &Fencing,
        turn: &mut Turn,
    ) -> Result<Ticket, LeaseError> {
        let (resource, held) = self.find(fencing, turn)?;
        let known = &mut self.resources[resource as usize];
        let (place, token) = (fencing.place, held.token);
        let until = turn.now.saturating_add(known.settings.ttl_ns);
        self.ends.remove(&(held.until, resource, place));
        self.ends.insert((until, resource, place));
        known.held.insert(place, Held { until, ..held });
        let is_held = true;
        let stored = StoredPlace {
            place,
            token,
            is_held,
        };
        stored::put_place(&mut turn.batch, resource, stored);
        self.counts.renewed += 1;
        Ok(held.by)
    }

    /// Its holder gives a lease back.
    pub(super) fn release(&mut self, fencing: &Fencing, turn: &mut Turn) -> Result<(), LeaseError> {
        let (resource, _) = self.find(fencing, turn)?;
        self.counts.released += 1;
        self.free(resource, fencing.place, turn);
        Ok(())
    }

    /// Whoever has this ticket wants no place any more, nor counts on one.
    pub(super) fn leave(&mut self, ticket: Ticket, turn: &mut Turn) {
        self.expire(turn);
        match self.seats.get(&ticket).copied() {
            Some(Seat {
                resource,
                place: Some(place),
            }) => {
                self.counts.released += 1;
                self.free(resource, place, turn);
            }
            _ => self.stop_waiting(ticket, turn),
        }
    }

    /// Nobody hears of whoever has this ticket any more. It waits no longer; a place that it holds is free
    /// only where it has ended for certain, and else when its lease is over.
    pub(super) fn gone(&mut self, ticket: Ticket, has_ended: bool, turn: &mut Turn) {
        self.expire(turn);
        match self.seats.get(&ticket).copied() {
            Some(Seat {
                resource,
                place: Some(place),
            }) => {
                if has_ended {
                    self.counts.bereaved += 1;
                    self.free(resource, place, turn);
                }
            }
            _ => self.stop_waiting(ticket, turn),
        }
    }

    fn stop_waiting(&mut self, ticket: Ticket, turn: &mut Turn) {
        if let Some(seat) = self.seats.remove(&ticket) {
            let known = &mut self.resources[seat.resource as usize];
            known.waiting.remove(&ticket);
            self.counts.left += 1;
            turn.effects.push(Effect::Over(ticket));
        }
    }

    /// Time has passed: what is over by now is free.
    pub(super) fn expire(&mut self, turn: &mut Turn) {
        while let Some((until, resource, place)) = self.ends.first().copied()
            && until <= turn.now
        {
            self.counts.expired += 1;
            self.free(resource, place, turn);
        }
    }

    /// When the next lease is over.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.ends.first().map(|(until, ..)| *until)
    }

    /// How it stands with a resource.
    pub(super) fn info(&self, name: &str) -> Option<ResourceInfo> {
        let known = &self.resources[*self.by_name.get(name)? as usize];
        Some(ResourceInfo {
            settings: known.settings,
            held: known.held.len() as u32,
            waiting: known.waiting.len() as u64,
            last_token: known.last,
        })
    }
}

#[cfg(test)]
mod tests;
