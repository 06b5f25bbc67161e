//! Addresses: where messages go.

use super::blow::Blow;
use super::exit::CallError;
use super::host::{Carries, Packet, Via};
use super::mailbox::Content;
use super::message::{Labeled, Message, decode, encode};
use super::reply::{Asking, ReplyTo};
use super::sys::is_system;
use super::system::{System, act, wants, with};
use super::target::Target;
use crate::choice::Lineage;
use crate::trace::{DeadReason, Event, Limit, MessageId, NodeId, PacketKind, Pid, TextId, emit};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::time::Duration;

/// The address of a process that takes messages of type `M`: a typed [`Pid`], or a name on a node.
///
/// `Copy`, can travel inside messages, and needs no context to send. An address by pid dies with its
/// process; one by name stays good across restarts.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Address<M> {
    target: Target,
    #[serde(skip)]
    message: PhantomData<fn(M)>,
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Address<M> {}

impl<M> PartialEq for Address<M> {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}

impl<M> Eq for Address<M> {}

impl<M> PartialOrd for Address<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for Address<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.target.cmp(&other.target)
    }
}

impl<M> Hash for Address<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.target.hash(state);
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Target::Pid(pid) | Target::Alias(pid, _) => pid.fmt(f),
            Target::Name(node, name) => write!(f, "<{node}:{:x}>", name.as_u64()),
        }
    }
}

impl<M: Message> Address<M> {
    /// The address of a process whose pid came some other way. Messages of another type than the
    /// process takes are dead letters.
    #[must_use]
    pub fn of(pid: Pid) -> Address<M> {
        Address::to(Target::Pid(pid))
    }

    /// Whoever holds `name` on `node`, looked up when each message comes.
    ///
    /// # Panics
    /// Outside a process, or where the cluster has no node of this name.
    #[must_use]
    pub fn named(node: &str, name: &str) -> Address<M> {
        Address::to(Target::named(node, name))
    }

    /// Whoever holds `name` on the node with this id.
    #[must_use]
    pub fn at(node: NodeId, name: &str) -> Address<M> {
        Address::to(Target::at(node, name))
    }

    /// Whoever this is, or holds this name.
    pub(crate) fn to(target: Target) -> Address<M> {
        Address {
            target,
            message: PhantomData,
        }
    }

    /// Where it points.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// The pid, where it is an address by pid.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.target.pid()
    }

    /// The same place, for messages of another type.
    pub(crate) fn retyped<N>(self) -> Address<N> {
        Address {
            target: self.target,
            message: PhantomData,
        }
    }

    /// Sends a message. It never fails: what finds no receiver is a dead letter, with a reason.
    ///
    /// Within a node it is moved into the mailbox at once; to another node it goes over the connection, as
    /// [`PacketKind::Data`].
    ///
    /// # Panics
    /// Outside a process, or where the message does not encode.
    #[inline]
    pub fn send(self, message: M) {
        self.send_as(PacketKind::Data, message);
    }

    /// Sends a message as a packet of this kind: faults can aim at a kind. Within a node it is [`send`].
    ///
    /// [`send`]: Address::send
    ///
    /// # Panics
    /// Outside a process, or where the message does not encode.
    #[inline]
    pub fn send_as(self, kind: PacketKind, message: M) {
        self.send_via(kind, Via::Connection, message);
    }

    #[inline(always)]
    fn send_via(self, kind: PacketKind, via: Via, message: M) {
        if kind == PacketKind::Ack && with(|system| system.strikes) {
            return self.send_if_spared(via, message);
        }
        self.send_now(kind, via, message);
    }

    /// Sends an ack, unless a fault befalls it.
    #[cold]
    fn send_if_spared(self, via: Via, ack: M) {
        let (kind, target) = (PacketKind::Ack, self.target);
        match with(System::befalls_ack) {
            Some(Blow::Lose) => return drop(ack),
            Some(Blow::Repeat) => {
                if let Ok(copy) = decode(Labeled::of::<M>(), &encode(&ack, Vec::new())) {
                    self.send_now(kind, via, copy);
                }
            }
            Some(Blow::Delay(delay)) => {
                let how = (kind, via, Carries::Message);
                let send = move |id, who| fire(target, ack, how, (id, who));
                super::timer::set(target, delay, Box::new(send));
                return;
            }
            Some(Blow::Crash) | None => {}
        }
        self.send_now(kind, via, ack);
    }

    #[inline(always)]
    fn send_now(self, kind: PacketKind, via: Via, message: M) {
        let sent = with(|system| {
            let here = system.current().pid.node();
            if here != self.target.node() {
                let target = system.homed(here, self.target);
                if here != target.node() {
                    return Sent::Abroad(message, system.blank(target));
                }
                return Sent::Slow(message);
            }
            if system.budget <= 1 || system.kernel.trace.wants_detail() {
                return Sent::Slow(message);
            }
            system.budget -= 1;
            let id = system.next_id();
            Sent::Here(system.deliver_local(id.from.node(), self.target, id, message, None))
        });
        match sent {
            Sent::Here(Left::Nothing) => {}
            Sent::Here(Left::Dropped(message)) => drop(message),
            Sent::Slow(message) => send_with_detail(self.target, message, 0),
            Sent::Abroad(message, blank) => {
                hand_over(blank, (kind, via, Carries::Message), &message);
            }
        }
    }

    /// Sends a message as a packet for itself: to another node it can be lost, duplicated, delayed and
    /// overtaken. Within a node it is [`send`].
    ///
    /// [`send`]: Address::send
    ///
    /// # Panics
    /// Outside a process, or where the message does not encode.
    #[inline]
    pub fn send_datagram(self, message: M) {
        self.send_datagram_as(PacketKind::Data, message);
    }

    /// Sends a message as a packet for itself, of this kind: faults can aim at a kind.
    ///
    /// # Panics
    /// Outside a process, or where the message does not encode.
    #[inline]
    pub fn send_datagram_as(self, kind: PacketKind, message: M) {
        self.send_via(kind, Via::Datagram, message);
    }

    /// Asks and waits for the answer, at most for `timeout`.
    ///
    /// # Errors
    /// [`CallError`]: no answer in time, no such process, the server's end, or a call to itself.
    ///
    /// # Panics
    /// Outside a process.
    pub fn call<R: Message>(
        self,
        ask: impl FnOnce(ReplyTo<R>) -> M,
        timeout: Duration,
    ) -> impl Future<Output = Result<R, CallError>> {
        Asking::new(self, ask, Some(timeout))
    }

    /// Asks and waits for the answer, or until the other has ended.
    pub(crate) fn call_for_ever<R: Message>(
        self,
        ask: impl FnOnce(ReplyTo<R>) -> M,
    ) -> impl Future<Output = Result<R, CallError>> {
        Asking::new(self, ask, None)
    }

    /// Whether it lies on another node than the current process.
    pub(crate) fn is_abroad(self) -> bool {
        with(|system| {
            let here = system.current().pid.node();
            system.homed(here, self.target).node() != here
        })
    }
}

/// Sends a local message of which somebody wants details, or which may be the last call of the host; where it
/// is a question, that of the call `asking`.
#[cold]
pub(super) fn send_with_detail<M: Message>(target: Target, message: M, asking: u32) {
    let detail = with(|system| system.kernel.trace.wants_detail());
    let text = if detail { local_detail(&message) } else { None };
    let left = act(|system, current| {
        let here = current.pid.node();
        let (id, target) = (system.next_id(), system.homed(here, target));
        system.asking = asking;
        let left = system.deliver_local(here, target, id, message, text);
        system.asking = 0;
        left
    });
    drop(left);
}

/// What is left of a message after it was sent.
pub(crate) enum Left<M> {
    Nothing,
    /// Nobody took it: it is dropped outside any borrow.
    Dropped(M),
}

/// How far a message has come.
enum Sent<M> {
    /// To a process of this node, or to nobody there.
    Here(Left<M>),
    /// Nowhere yet, since it wants more than the fast way does.
    Slow(M),
    /// It goes to another node, in this packet.
    Abroad(M, Blank),
}

/// A packet to be filled in, but for where it goes, and whether a log or a digest wants more than its bytes.
pub(crate) struct Blank {
    packet: Box<Packet>,
    detail: bool,
}

/// The text and, where payloads are digested, the bytes of a local message.
#[cold]
pub(crate) fn local_detail<M: Message>(message: &M) -> Option<String> {
    if with(|system| system.kernel.trace.wants_payloads()) {
        let bytes = encode(message, Vec::new());
        with(|system| system.kernel.trace.payload(&bytes));
    }
    with(|system| system.kernel.trace.logs()).then(|| format!("{message:?}"))
}

/// How a packet goes, and as what.
pub(crate) type How = (PacketKind, Via, Carries);

/// A message, encoded, in a packet that has no sender yet; and its text, where a log wants it.
#[inline]
fn pack<M: Message>(blank: Blank, how: How, message: &M) -> (Box<Packet>, Option<String>) {
    let Blank { mut packet, detail } = blank;
    let text = if detail {
        Some(format!("{message:?}"))
    } else {
        None
    };
    packet.label = Labeled::of::<M>();
    (packet.kind, packet.via, packet.what) = how;
    packet.bytes = encode(message, std::mem::take(&mut packet.bytes));
    (packet, text)
}

/// Encodes a message and hands it to the host, as the current process's next packet.
#[inline(never)]
pub(crate) fn hand_over<M: Message>(blank: Blank, how: How, message: &M) {
    let (mut packet, text) = pack(blank, how, message);
    let _ = act(|system, current| {
        packet.id = system.next_id();
        if let Some(task) = system.kernel.tasks.get(current.slot) {
            packet.who = task.lineage;
            system.hand_over(packet, text);
        }
    });
}

/// Sends a message when a timer fires: no process is polled then, and its setter may have ended.
pub(crate) fn fire<M: Message>(to: Target, message: M, how: How, (id, who): (MessageId, Lineage)) {
    let node = id.from.node();
    let to = with(|system| system.homed(node, to));
    if to.node() == node {
        let detail = with(|system| system.kernel.trace.wants_detail());
        let text = if detail { local_detail(&message) } else { None };
        let left = with(|system| system.deliver_local(node, to, id, message, text));
        drop(left);
    } else {
        let (mut packet, text) = pack(with(|system| system.blank(to)), how, &message);
        (packet.id, packet.who) = (id, who);
        with(|system| system.hand_over(packet, text));
    }
}

impl System {
    /// A packet to be filled in: one that has served, where there is one.
    #[inline(always)]
    pub(crate) fn blank(&mut self, to: Target) -> Blank {
        let mut packet = self.packets.pop().unwrap_or_default();
        packet.to = to;
        Blank {
            packet,
            detail: self.kernel.trace.wants_detail(),
        }
    }

    /// Notes a packet and gives it to the host.
    pub(crate) fn hand_over(&mut self, packet: Box<Packet>, text: Option<String>) {
        self.kernel
            .trace
            .books
            .sent(packet.id.from.node(), packet.id);
        let text = text.map_or(TextId::NONE, |text| self.kernel.trace.text(|| text));
        let (id, to, kind) = (packet.id, packet.to.node(), packet.kind);
        let (len, bytes) = (
            packet.bytes.len() as u32,
            xxhash_rust::xxh3::xxh3_64(&packet.bytes),
        );
        emit!(
            &mut self.kernel.trace,
            Event::Packet {
                id,
                to,
                kind,
                len,
                bytes,
                text
            }
        );
        if to.index() >= self.nodes.len() {
            // A pid that was made up, or came from another cluster.
            return self.dead_letter(id.from.node(), id, packet.to, DeadReason::NoProc);
        }
        let (host, core) = self.core();
        if host.send(core, packet) {
            self.suspend(id.from, to);
        }
        if self.error.is_some() {
            self.stop_with_error();
        }
    }

    #[cold]
    fn stop_with_error(&mut self) {
        if let Some(reached) = self.error.clone() {
            self.stop(reached);
        }
    }

    /// The node that stands for this one now: another, where that has taken its place.
    pub(crate) fn home(&self, node: NodeId) -> NodeId {
        let state = self.nodes.get(node.index());
        state.and_then(|state| state.moved).unwrap_or(node)
    }

    /// The node that had the name of this one first, in whose place others may have come.
    pub(crate) fn first(&self, node: NodeId) -> NodeId {
        let mut nodes = self.nodes.iter();
        let first = nodes.find(|state| self.moved && state.moved == Some(node));
        first.map_or(node, |state| state.id)
    }

    /// Where a message from `here` to this target goes: a name on another node is looked up at whatever
    /// stands for that now.
    #[inline]
    pub(crate) fn homed(&self, here: NodeId, target: Target) -> Target {
        match target {
            Target::Name(node, name) if self.moved && node != here => {
                Target::Name(self.home(node), name)
            }
            target => target,
        }
    }

    /// The node of this name, for the process that runs: its own, though another has taken its place.
    pub(crate) fn node_named(&self, name: &str) -> Option<NodeId> {
        let node = self.host.node(name)?;
        let own = self.current.pid.node();
        Some(if self.home(own) == node { own } else { node })
    }

    /// The current process has filled the connection to a peer: it is not polled before that takes more.
    #[cold]
    fn suspend(&mut self, pid: Pid, peer: NodeId) {
        let slot = self.current.slot;
        if self.current.pid != pid {
            return;
        }
        let Some((generation, task)) = self.kernel.tasks.entry(slot) else {
            return;
        };
        let held = task
            .data
            .extra
            .as_mut()
            .and_then(|extra| extra.suspended.as_mut());
        let waits = match held {
            Some(held) => std::mem::replace(&mut held.line, true),
            None => task.is_suspended(),
        };
        if !waits {
            self.host
                .wait_until_writable(pid.node(), peer, (slot, generation));
            self.kernel.suspend(slot);
            self.kernel.trace.emit(Event::Suspended { pid, peer });
        }
    }

    /// Puts a message into a mailbox on the current process's node; gives back what nobody took.
    #[inline(always)]
    pub(crate) fn deliver_local<M: Message>(
        &mut self,
        node: NodeId,
        target: Target,
        id: MessageId,
        message: M,
        text: Option<String>,
    ) -> Left<M> {
        self.kernel.trace.books.sent(node, id);
        let text = text.map_or(TextId::NONE, |text| self.kernel.trace.text(|| text));
        let found = match target {
            Target::Pid(to) => self.find(to).map(|slot| (to, slot)),
            Target::Name(..) | Target::Alias(..) => self.resolve(target),
        };
        match found {
            Ok((to, slot)) => {
                emit!(&mut self.kernel.trace, Event::Send { id, to, text });
                self.put(slot, to, id, message)
            }
            Err(why) => {
                let to = target.pid_or_nobody();
                self.kernel.trace.emit(Event::Send { id, to, text });
                self.dead_letter(node, id, target, why);
                Left::Dropped(message)
            }
        }
    }

    /// The process that a target stands for now, with its slot in the kernel.
    #[inline]
    pub(crate) fn resolve(&mut self, target: Target) -> Result<(Pid, u32), DeadReason> {
        let pid = match target {
            Target::Pid(pid) | Target::Alias(pid, _) => pid,
            Target::Name(node, name) => {
                let state = self.nodes.get(node.index()).ok_or(DeadReason::NoName)?;
                state.whereis(name).ok_or(DeadReason::NoName)?
            }
        };
        let slot = self.find(pid)?;
        match self.process(slot) {
            Some(process) if !process.dying => Ok((pid, slot)),
            _ => Err(DeadReason::NoProc),
        }
    }

    /// Puts a message into the mailbox of a live process, and wakes it where it waits for mail.
    #[inline(always)]
    pub(crate) fn put<M: Message>(
        &mut self,
        slot: u32,
        to: Pid,
        id: MessageId,
        message: M,
    ) -> Left<M> {
        let most = self.kernel.bounds.mailbox;
        let Some(mut live) = self.kernel.live(slot) else {
            return Left::Dropped(message);
        };
        let process = &mut live.task.data;
        let why = if process.dying {
            DeadReason::NoProc
        } else if is_system::<M>() {
            return self.put_system(slot, id, message);
        } else if process.bounded {
            return self.put_bounded(slot, to, id, message);
        } else {
            let make = process.receiver.mailbox;
            if let Some(mailbox) = process.mailbox.get_or_insert_with(make).of::<M>() {
                mailbox.0.push_back(Content::Message(id, message));
                process.mail = process.mail.wrapping_add(1);
                let full = mailbox.0.len() > most;
                if process.came(wants::MAIL) {
                    live.wake();
                }
                if full {
                    self.fail(Limit::Mailbox, most as u64);
                }
                return Left::Nothing;
            }
            DeadReason::OtherType
        };
        self.dead_letter(to.node(), id, Target::Pid(to), why);
        Left::Dropped(message)
    }
}
