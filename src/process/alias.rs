//! The places in which answers to calls arrive, and what a call holds elsewhere: its timer, and its place
//! among those who watch its server.

use super::distribution::{Signal, Voice};
use super::exit::{CallError, ExitReason};
use super::host::{Carries, Packet};
use super::message::{Message, decode};
use super::system::{Current, Deliver, Extra, Remains, System, Watch, try_with, wants, with};
use super::target::Target;
use crate::kernel::{Key, Time, What};
use crate::trace::{Event, Fate, MessageId, NodeId, Pid, emit};
use smallvec::SmallVec;
use std::any::Any;
use std::time::Duration;

/// A call of a process, with the place for its answer.
pub(crate) struct Alias {
    id: u32,
    /// Whom it asks; none before the process that is to answer was started.
    to: Option<Target>,
    since: Time,
    stage: Stage,
    timeout: Timeout,
    /// The process of this node that it asks: its end is the call's.
    server: Option<Pid>,
    /// Whether that process knows.
    watched: bool,
    /// Another node was asked, and neither its answer nor its end is known.
    abroad: bool,
    /// Holds an `Option<R>`, empty but where the answer has arrived.
    cell: Box<dyn Any>,
    deliver: Deliver,
}

/// How far a call has come.
enum Stage {
    Waits,
    Arrived(MessageId),
    Failed(ExitReason),
    /// Its question was dropped: the mailbox was full.
    Refused,
    /// It is over, and the next one with the same type of answer uses its place again.
    Over,
}

/// When a call ends without an answer.
#[derive(Clone, Copy)]
pub(super) enum Timeout {
    Never,
    /// At this moment, and no timer is set yet: most calls are answered before time moves.
    At(Time),
    Set(Key),
}

impl Alias {
    /// The id of a place whose call is over: none is greater.
    const NO_CALL: u32 = u32::MAX;

    fn waits(&self) -> bool {
        matches!(self.stage, Stage::Waits)
    }

    /// Whom it asks and since when, where the answer has not come.
    pub(crate) fn unanswered(&self) -> Option<(Option<Target>, Time)> {
        self.waits().then_some((self.to, self.since))
    }

    /// The answer that has come and was not taken.
    pub(crate) fn arrived(&self) -> Option<MessageId> {
        match self.stage {
            Stage::Arrived(id) => Some(id),
            _ => None,
        }
    }

    /// When its timeout is over, where no timer is set for it yet.
    pub(crate) fn unset(&self) -> Option<Time> {
        match self.timeout {
            Timeout::At(at) if self.waits() => Some(at),
            _ => None,
        }
    }

    /// Whether dropping it runs no code of a user's.
    pub(crate) fn is_plain(&self) -> bool {
        self.arrived().is_none()
    }
}

impl Extra {
    /// The calls that wait for an answer from this node.
    pub(crate) fn calls_to(&self, node: NodeId) -> SmallVec<[u32; 2]> {
        let asks_it = |alias: &&Alias| alias.to.is_some_and(|to| to.node() == node);
        let waits = self.aliases.iter().filter(|alias| alias.waits());
        waits.filter(asks_it).map(|alias| alias.id).collect()
    }

    /// Where the call with this id stands. They stand in the order of their ids.
    #[inline(always)]
    fn place(&self, id: u32) -> Option<usize> {
        match &self.aliases[..] {
            [only] => (only.id == id).then_some(0),
            aliases => aliases.binary_search_by_key(&id, |alias| alias.id).ok(),
        }
    }

    #[inline(always)]
    fn alias(&mut self, id: u32) -> Option<&mut Alias> {
        let place = self.place(id)?;
        self.aliases.get_mut(place)
    }

    /// Ends a call whose answer was taken or has not come. The last place stays, for the next call.
    #[inline(always)]
    fn end_alias(&mut self, place: usize) {
        if place + 1 == self.aliases.len() {
            let last = &mut self.aliases[place];
            (last.id, last.stage) = (Alias::NO_CALL, Stage::Over);
        } else {
            drop(self.aliases.remove(place));
        }
    }
}

/// What a call holds elsewhere: its timer, and its place among those who watch its server.
#[derive(Clone, Copy)]
struct Held {
    id: u32,
    timeout: Timeout,
    watches: Option<Pid>,
}

impl Alias {
    #[inline(always)]
    fn held(&self) -> Held {
        Held {
            id: self.id,
            timeout: self.timeout,
            watches: self.server.filter(|_| self.watched),
        }
    }
}

impl System {
    /// Opens a place for the answer to a call of the current process; its number.
    #[inline(always)]
    pub(super) fn open_call<R: Message>(
        &mut self,
        current: Current,
        to: Option<Target>,
        server: Option<Pid>,
        timeout: Timeout,
    ) -> Option<u32> {
        let since = self.kernel.now();
        let process = self.process(current.slot)?;
        process.counts += 1;
        let id = process.counts;
        let extra = process.extra();
        match extra.aliases.last_mut() {
            Some(last) if matches!(last.stage, Stage::Over) && last.cell.is::<Option<R>>() => {
                (last.id, last.to, last.since) = (id, to, since);
                (last.stage, last.timeout) = (Stage::Waits, timeout);
                (last.server, last.watched, last.abroad) = (server, false, false);
            }
            _ => extra.open_alias(Alias {
                id,
                to,
                since,
                stage: Stage::Waits,
                timeout,
                server,
                watched: false,
                abroad: false,
                cell: Box::new(None::<R>),
                deliver: deliver_answer::<R>,
            }),
        }
        if !extra.unsettled {
            self.unsettle(current.slot);
        }
        Some(id)
    }

    #[inline(always)]
    pub(super) fn timeout(&self, current: Current, after: Option<Duration>) -> Timeout {
        after.map_or(Timeout::Never, |after| {
            Timeout::At(self.moment(current, after))
        })
    }

    /// Notes that a process has a call whose timer is not set, and whose server does not know of it.
    fn unsettle(&mut self, slot: u32) {
        if let Some(extra) = self.process(slot).and_then(|p| p.extra.as_mut()) {
            extra.unsettled = true;
            self.unsettled.push(slot);
            self.kernel.unsettled = true;
        }
    }

    /// Sets the timers of calls that are not answered yet, and makes their servers know of them. It is put
    /// off until time moves or a process ends: before that, neither can make a difference.
    pub(crate) fn settle_calls(&mut self) {
        self.kernel.unsettled = false;
        let mut unsettled = std::mem::take(&mut self.unsettled);
        for slot in unsettled.drain(..) {
            // Whoever has got the slot of one that has ended has no unsettled call, or is in the list.
            let Some(extra) = self.process(slot).and_then(|p| p.extra.as_mut()) else {
                continue;
            };
            extra.unsettled = false;
            for place in 0..extra.aliases.len() {
                self.settle_call(slot, place);
            }
        }
        self.unsettled = unsettled;
    }

    fn settle_call(&mut self, slot: u32, place: usize) {
        let Some(process) = self.process(slot) else {
            return;
        };
        let caller = process.pid;
        let alias = process
            .extra
            .as_mut()
            .map(|extra| &mut extra.aliases[place]);
        let Some(alias) = alias.filter(|alias| alias.waits()) else {
            return;
        };
        let (id, unset) = (alias.id, alias.unset());
        let unwatched = alias.server.filter(|_| !alias.watched);
        alias.watched = unwatched.is_some();
        if let Some(server) = unwatched
            && let Ok(slot) = self.find(server)
            && let Some(server) = self.process(slot)
        {
            server.watchers.insert((caller, Watch::Call(id)));
        }
        if let Some(at) = unset {
            let nth = self.count(slot).unwrap_or(0);
            let key = self.arm_timer(slot, at, nth, What::wake(slot));
            if let (Some(key), Some(alias)) = (key, self.alias(slot, id)) {
                alias.timeout = Timeout::Set(key);
            }
        }
    }

    #[inline(always)]
    fn alias(&mut self, slot: u32, id: u32) -> Option<&mut Alias> {
        self.process(slot)?.extra.as_mut()?.alias(id)
    }

    /// Gives up what a call holds elsewhere.
    #[inline(always)]
    fn give_up(&mut self, caller: Pid, held: Held) {
        if let Timeout::Set(key) = held.timeout {
            self.disarm(caller, key);
        }
        if let Some(server) = held.watches {
            self.unwatch_call(caller, held.id, server);
        }
    }

    fn unwatch_call(&mut self, caller: Pid, id: u32, server: Pid) {
        if let Ok(slot) = self.find(server)
            && let Some(process) = self.process(slot)
        {
            process.watchers.remove((caller, Watch::Call(id)));
        }
    }

    /// A process has ended: what its calls hold elsewhere goes, on other nodes too.
    pub(crate) fn give_up_calls(&mut self, voice: &mut Voice, by: Pid, extra: &Extra) {
        let open = |alias: &&Alias| !matches!(alias.stage, Stage::Over);
        for alias in extra.aliases.iter().filter(open) {
            self.give_up(by, alias.held());
            if let Some(of) = alias.to.filter(|_| alias.abroad && alias.waits()) {
                let alias = alias.id;
                self.last_signal(voice, of, &Signal::CallOver { by, alias, of });
            }
        }
    }

    /// Puts an answer into the place that waits for it; gives back one that came too late.
    #[inline(always)]
    pub(super) fn put_answer<R: Message>(
        &mut self,
        to: Pid,
        alias: u32,
        id: MessageId,
        answer: R,
    ) -> Option<R> {
        if let Ok(slot) = self.find(to)
            && let Some(mut live) = self.kernel.live(slot)
            && let Some(extra) = live.task.data.extra.as_mut()
            && let Some(alias) = extra.alias(alias).filter(|alias| alias.waits())
            && let Some(cell) = alias.cell.downcast_mut::<Option<R>>()
        {
            alias.stage = Stage::Arrived(id);
            *cell = Some(answer);
            if live.task.data.came(wants::REPLY) {
                live.wake();
            }
            return None;
        }
        self.stale(to, id);
        Some(answer)
    }

    /// An answer came when nobody waited for it any more.
    #[cold]
    fn stale(&mut self, to: Pid, id: MessageId) {
        self.kernel.trace.emit(Event::Stale { id, to });
        self.kernel.trace.books.ended(to.node(), id, Fate::Stale);
    }

    /// The process that a call waits for was not there when it was made: now it is.
    pub(super) fn name_callee(&mut self, caller: Pid, alias: u32, callee: Pid) {
        let Some(slot) = self.slot_of_caller(caller) else {
            return;
        };
        let process = self.process(slot);
        if let Some(extra) = process.and_then(|process| process.extra.as_mut())
            && let Some(place) = extra.alias(alias)
        {
            (place.to, place.server) = (Some(Target::Pid(callee)), Some(callee));
            if !extra.unsettled {
                self.unsettle(slot);
            }
        }
    }

    /// The server that a call waits for has ended.
    pub(crate) fn fail_alias(&mut self, slot: u32, alias: u32, reason: ExitReason) {
        if let Some(alias) = self.alias(slot, alias).filter(|alias| alias.waits()) {
            alias.stage = Stage::Failed(reason);
            self.came(slot, wants::REPLY);
        }
    }

    /// The question of a call was dropped.
    pub(crate) fn refuse_alias(&mut self, slot: u32, alias: u32) {
        if let Some(alias) = self.alias(slot, alias).filter(|alias| alias.waits()) {
            alias.stage = Stage::Refused;
            self.came(slot, wants::REPLY);
        }
    }

    /// Tells the node that was asked that a call no longer waits.
    pub(super) fn end_call(&mut self, by: Pid, alias: u32) {
        let Ok(slot) = self.find(by) else { return };
        let asked = self.alias(slot, alias).filter(|alias| alias.abroad);
        if let Some(of) = asked.and_then(|alias| alias.to) {
            self.signal(by, of, &Signal::CallOver { by, alias, of });
        }
    }

    /// Where the bytes of an answer go, if somebody still waits for it.
    pub(crate) fn answer_taker(&mut self, to: Pid, alias: u32) -> Option<Deliver> {
        let slot = self.find(to).ok()?;
        Some(self.alias(slot, alias)?.deliver)
    }

    /// The process of this node that a call to this target asks; none where that is on another node: there it
    /// is watched when the question comes.
    #[inline(always)]
    pub(super) fn callee(&mut self, caller: Pid, target: Target) -> Result<Option<Pid>, CallError> {
        if target.node() != caller.node() {
            return Ok(None);
        }
        let pid = match target {
            Target::Pid(pid) | Target::Alias(pid, _) => pid,
            Target::Name(node, name) => self.nodes[node.index()]
                .whereis(name)
                .ok_or(CallError::NoProc)?,
        };
        if pid == caller {
            return Err(CallError::CallingSelf);
        }
        match self.resolve(Target::Pid(pid)) {
            Ok(_) => Ok(Some(pid)),
            Err(_) => Err(CallError::NoProc),
        }
    }

    /// Takes the answer to a call, where it has come; then the call is over.
    #[inline(always)]
    pub(super) fn take_answer<R: Message>(&mut self, caller: Pid, id: u32) -> Option<R> {
        let slot = self.slot_of_caller(caller)?;
        let extra = self.kernel.tasks.get_mut(slot)?.data.extra.as_mut()?;
        let place = extra.place(id)?;
        let alias = extra.aliases.get_mut(place)?;
        let Stage::Arrived(message) = alias.stage else {
            return None;
        };
        let answer = alias.cell.downcast_mut::<Option<R>>()?.take();
        let held = alias.held();
        extra.end_alias(place);
        let trace = &mut self.kernel.trace;
        let (id, by) = (message, caller);
        emit!(trace, Event::Receive { id, by });
        trace.books.received(caller.node(), message);
        self.give_up(caller, held);
        answer
    }

    /// The slot of a process that has a call: mostly it is the current one.
    #[inline(always)]
    fn slot_of_caller(&mut self, caller: Pid) -> Option<u32> {
        if self.current.pid == caller {
            Some(self.current.slot)
        } else {
            self.find(caller).ok()
        }
    }

    /// Why a call gets no answer. Where it may still come and `wait` is set, the process waits for it.
    pub(super) fn unanswered(&mut self, caller: Pid, id: u32, wait: bool) -> Option<CallError> {
        let slot = self.slot_of_caller(caller)?;
        let extra = self.process(slot)?.extra.as_mut()?;
        let place = extra.place(id)?;
        let alias = &mut extra.aliases[place];
        let error = match &alias.stage {
            Stage::Failed(reason) => Some(match (reason, alias.to.map(Target::node)) {
                (ExitReason::NoProc, _) => CallError::NoProc,
                (ExitReason::NoConnection, Some(node)) if node != caller.node() => {
                    CallError::NodeDown(node)
                }
                (reason, _) => CallError::Exit(reason.clone()),
            }),
            Stage::Refused => Some(CallError::MailboxFull),
            Stage::Waits | Stage::Arrived(_) | Stage::Over => None,
        };
        if error.is_some() {
            let held = alias.held();
            extra.end_alias(place);
            self.give_up(caller, held);
            return error;
        }
        if let Timeout::Set(key) = alias.timeout
            && !self.kernel.is_armed(key)
        {
            return Some(CallError::Timeout);
        }
        if wait {
            self.waits_for_answer(caller, id);
        }
        None
    }

    /// Whether the current process waits from now on for the answer to this call, which has not come.
    #[inline(always)]
    pub(super) fn waits_for_answer(&mut self, caller: Pid, id: u32) -> bool {
        let current = self.current;
        if current.pid != caller {
            return false;
        }
        let Some(task) = self.kernel.tasks.get_mut(current.slot) else {
            return false;
        };
        let alias = task.data.extra.as_mut().and_then(|extra| extra.alias(id));
        let Some(alias) = alias.filter(|alias| alias.waits()) else {
            return false;
        };
        let sorts = match alias.timeout {
            Timeout::Never => wants::REPLY,
            Timeout::At(_) | Timeout::Set(_) => wants::REPLY | wants::TIME,
        };
        task.waits = true;
        task.data.wants |= sorts;
        true
    }

    /// Another node is asked from now on: where the question of this call goes.
    pub(super) fn asks_abroad(&mut self, caller: Pid, id: u32) -> Option<Target> {
        let slot = self.slot_of_caller(caller)?;
        let alias = self.alias(slot, id)?;
        alias.abroad = true;
        alias.to
    }
}

impl Extra {
    /// A new place for an answer, instead of one that is over and was for another type.
    #[cold]
    fn open_alias(&mut self, alias: Alias) {
        match self.aliases.last_mut() {
            Some(last) if matches!(last.stage, Stage::Over) => *last = alias,
            _ => self.aliases.push(alias),
        }
    }
}

fn deliver_answer<R: Message>(to: Pid, alias: u32, packet: &Packet) {
    let answer = decode::<R>(packet.label, &packet.bytes);
    with(|system| match answer {
        Ok(answer) => match system.put_answer(to, alias, packet.id, answer) {
            Some(late) => system.graveyard.push(Remains::Value(Box::new(late))),
            // A third party has answered, while the caller still watches the one that it asked.
            None if packet.what == Carries::Answer(false) => system.end_call(to, alias),
            None => {}
        },
        Err(why) => system.dead_letter(to.node(), packet.id, Target::Pid(to), why),
    });
}

/// A call is over whose answer was not taken.
#[cold]
pub(super) fn abandon(caller: Pid, id: u32) {
    let left = try_with(|system| {
        if system.budget > 0 {
            system.end_call(caller, id);
        }
        let slot = system.find(caller).ok()?;
        let extra = system.process(slot)?.extra.as_mut()?;
        let place = extra.place(id)?;
        let (unread, held) = (extra.aliases[place].arrived(), extra.aliases[place].held());
        // What is dropped outside is a place with an answer: dropping that runs code of a user's.
        let left = unread.map(|_| extra.aliases.remove(place));
        if left.is_none() {
            extra.end_alias(place);
        }
        system.give_up(caller, held);
        if let Some(id) = unread {
            let trace = &mut system.kernel.trace;
            trace.emit(Event::Unread { id, by: caller });
            trace.books.ended(caller.node(), id, Fate::Unread);
        }
        left
    });
    drop(left);
}
