//! A host for life: one node on tokio, the real clock, TCP and files.
//!
//! It proves the seam, and does no more than that asks for. A connection is set up by the first who sends;
//! where it breaks, what was under way is lost. A datagram goes the same way as all else. There is no tick: a
//! peer that falls silent without closing its socket is not noticed.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this host reads the real clocks: it is what a simulation stands for"
)]

use super::shelf::Shelf;
use super::wire::{self, Event};
use futures::StreamExt;
use futures::channel::mpsc;
use netsplit::choice::Choice;
use netsplit::process::{Core, FileAsker, FileDone, FileOp, Host, Packet, Runtime, Takes};
use netsplit::trace::{Broken, Names, Trace};
use netsplit::{Bounds, Context, ExitReason, IntoExit, Message, NodeId, Time};
use std::any::Any;
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, timeout_at};

/// Where each node was last to be found.
pub(crate) type Directory = Rc<RefCell<Vec<SocketAddr>>>;

/// A sender waits while more than this is under way to its peer, and goes on when half of it is free.
pub(crate) const BUFFER: usize = 64 << 10;
/// What a node has to do with one peer.
#[derive(Default)]
struct Peer {
    number: u32,
    /// Absent where there is no connection, and none is set up.
    frames: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// What is sent while it is set up.
    held: Option<mpsc::UnboundedReceiver<Vec<u8>>>,
    queued: usize,
    waiting: Vec<(u32, u16)>,
    /// It has asked for a connection while there was one: as soon as this node notices that that is closed.
    asks: bool,
}

/// The outward half: what the node's processes ask for.
struct Wires {
    own: NodeId,
    names: Names,
    directory: Directory,
    peers: Vec<Peer>,
    events: mpsc::Sender<Event>,
    born: Duration,
    shelf: Shelf,
}

impl Peer {
    fn is_up(&self) -> bool {
        self.frames.is_some() && self.held.is_none()
    }

    fn release(&mut self, core: &mut Core<'_>) {
        self.waiting.drain(..).for_each(|task| core.release(task));
    }
}

impl Wires {
    fn of(host: &mut dyn Host) -> &mut Wires {
        let host = host as &mut dyn Any;
        host.downcast_mut().expect("the host of this runtime")
    }

    fn dial(&mut self, to: NodeId) -> &mut Peer {
        let peer = &mut self.peers[to.index()];
        if peer.frames.is_none() {
            peer.number += 1;
            let (frames, held) = mpsc::unbounded();
            (peer.frames, peer.held) = (Some(frames), Some(held));
            let address = self.directory.borrow()[to.index()];
            let events = self.events.clone();
            spawn_local(wire::dial(self.own, to, address, peer.number, events));
        }
        peer
    }

    /// A connection is there: what was held goes first.
    fn open(&mut self, to: NodeId, stream: TcpStream) {
        let peer = &mut self.peers[to.index()];
        let outgoing = peer.held.take().unwrap_or_else(|| {
            let (frames, outgoing) = mpsc::unbounded();
            peer.frames = Some(frames);
            outgoing
        });
        stream.set_nodelay(true).expect("a socket of ours");
        let (read, write) = stream.into_split();
        let (number, events) = (peer.number, self.events.clone());
        spawn_local(wire::read(read, to, number, events.clone()));
        spawn_local(wire::write(write, outgoing, to, number, events));
    }

    /// There is no connection any more, nor is one set up: what there was.
    fn close(&mut self, to: NodeId, core: &mut Core<'_>) -> Peer {
        let peer = &mut self.peers[to.index()];
        let number = peer.number + 1;
        let closed = Peer {
            number,
            ..Peer::default()
        };
        let mut before = std::mem::replace(peer, closed);
        before.release(core);
        before
    }

    fn is(&self, peer: NodeId, number: u32) -> bool {
        self.peers[peer.index()].number == number
    }
}

impl Host for Wires {
    fn send(&mut self, _: Core<'_>, packet: Box<Packet>) -> bool {
        let bytes = packet.to_bytes();
        let mut frame = (bytes.len() as u32).to_be_bytes().to_vec();
        frame.extend(bytes);
        let peer = self.dial(packet.to.node());
        peer.queued += frame.len();
        let frames = peer.frames.as_ref().expect("it dials");
        let _ = frames.unbounded_send(frame);
        peer.queued > BUFFER
    }

    fn wait_until_writable(&mut self, _: NodeId, to: NodeId, task: (u32, u16)) {
        self.peers[to.index()].waiting.push(task);
    }

    fn connect(&mut self, _: Core<'_>, _: NodeId, to: NodeId) {
        self.dial(to);
    }

    fn disconnect(&mut self, mut core: Core<'_>, _: NodeId, to: NodeId) -> Option<Broken> {
        let before = self.close(to, &mut core);
        before.frames.is_some().then_some(Broken::Closed)
    }

    fn peers(&self, _: NodeId) -> Vec<NodeId> {
        let nodes = (0..self.peers.len()).map(NodeId::new);
        nodes
            .filter(|node| self.peers[node.index()].is_up())
            .collect()
    }

    fn wall_ns(&self, _: NodeId, now: Time) -> u64 {
        self.born.as_nanos() as u64 + now.as_nanos()
    }

    fn node(&self, name: &str) -> Option<NodeId> {
        let index = self.names.iter().position(|known| known == name);
        index.map(NodeId::new)
    }

    fn file(&mut self, _: Core<'_>, _: FileAsker, op: FileOp<'_>) -> FileDone {
        FileDone {
            result: self.shelf.answer(op),
            takes: Takes::Nanos(0),
        }
    }
}

/// A node that lives: its processes, and what it hears from outside.
pub(crate) struct Life {
    own: NodeId,
    names: Names,
    pub(crate) runtime: Runtime,
    directory: Directory,
    events: mpsc::Receiver<Event>,
    to_events: mpsc::Sender<Event>,
    began: Instant,
    door: Option<JoinHandle<()>>,
    stopping: bool,
    /// How its first processes have ended.
    pub(crate) ended: Vec<ExitReason>,
}

impl Life {
    /// A node that has not booted.
    pub(crate) fn new(own: usize, names: &Names, directory: &Directory) -> Life {
        let own = NodeId::new(own);
        let (to_events, events) = mpsc::channel(64);
        let born = SystemTime::now().duration_since(UNIX_EPOCH);
        let born = born.expect("it is later than 1970");
        let wires = Wires {
            own,
            names: names.clone(),
            directory: directory.clone(),
            peers: names.iter().map(|_| Peer::default()).collect(),
            events: to_events.clone(),
            born,
            shelf: Shelf::new(),
        };
        let bounds = Bounds {
            steps: u64::MAX,
            ..Bounds::default()
        };
        let choice = Choice::seeded(born.subsec_nanos().into());
        let runtime = Runtime::new(names.clone(), choice, Trace::new(), bounds, Box::new(wires));
        Life {
            own,
            names: names.clone(),
            runtime,
            directory: directory.clone(),
            events,
            to_events,
            began: Instant::now(),
            door: None,
            stopping: false,
            ended: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> String {
        self.names[self.own.index()].clone()
    }

    /// Boots the node: from now on others find it.
    pub(crate) async fn boot<M: Message, F>(&mut self, process: impl FnOnce(Context<M>) -> F)
    where
        F: Future<Output: IntoExit> + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let nodes = self.directory.borrow().len();
        self.directory.borrow_mut()[self.own.index()] = listener.local_addr().expect("bound");
        self.door = Some(spawn_local(wire::accept(
            listener,
            nodes,
            self.to_events.clone(),
        )));
        self.run();
        self.runtime.boot(self.own, process).expect("it is down");
        self.run();
    }

    /// Waits for what comes next, from outside or by time, and does it. To drop it half-way loses nothing.
    pub(crate) async fn turn(&mut self) {
        let event = match self.runtime.next_at() {
            Some(at) => {
                let at = self.began + (at - Time::ZERO);
                timeout_at(at, self.events.next()).await.ok().flatten()
            }
            None => self.events.next().await,
        };
        self.run();
        if let Some(event) = event {
            self.take(event);
            self.run();
        }
    }

    /// Asks the node to stop; it goes down when its first process has ended.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        self.runtime.stop(self.own);
        self.run();
    }

    /// The node goes down at once.
    pub(crate) fn crash(&mut self) {
        self.runtime.halt(self.own);
        self.stopping = false;
        self.door.take().expect("it is up").abort();
        let (host, mut core) = self.runtime.core();
        let wires = Wires::of(host);
        wires.shelf.close();
        for peer in (0..wires.peers.len()).map(NodeId::new) {
            wires.close(peer, &mut core);
        }
    }

    fn run(&mut self) {
        let now = Time::from_nanos(self.began.elapsed().as_nanos() as u64);
        let ended = self.runtime.run(now).expect("no bound is reached");
        let is_over = self.stopping && !ended.is_empty();
        self.ended
            .extend(ended.into_iter().map(|(_, reason)| reason));
        if is_over {
            self.crash();
        }
    }

    fn take(&mut self, event: Event) {
        let wires = Wires::of(self.runtime.core().0);
        match event {
            Event::Dialled(peer, number, _) if !wires.is(peer, number) => {}
            Event::Dialled(peer, _, None) => self.lost(peer, Broken::Refused),
            Event::Dialled(peer, _, Some(stream)) => {
                wires.open(peer, stream);
                self.runtime.node_up(self.own, peer);
            }
            Event::Knock(peer, stream) => self.knock(peer, stream),
            Event::Frame(peer, number, frame) if wires.is(peer, number) => {
                wires.peers[peer.index()].asks = false;
                match Packet::from_bytes(&frame) {
                    Ok(packet) if (packet.id.from.node(), packet.to.node()) == (peer, self.own) => {
                        let taken = self.runtime.take_in(Box::new(packet));
                        taken.expect("both nodes are known");
                    }
                    _ => self.lost(peer, Broken::Closed),
                }
            }
            Event::Written(peer, number, bytes) if wires.is(peer, number) => {
                let (host, mut core) = self.runtime.core();
                let peer = &mut Wires::of(host).peers[peer.index()];
                peer.queued -= bytes;
                if peer.queued <= BUFFER / 2 {
                    peer.release(&mut core);
                }
            }
            Event::Closed(peer, number) if wires.is(peer, number) => {
                self.lost(peer, Broken::Closed);
            }
            Event::Frame(..) | Event::Written(..) | Event::Closed(..) => {}
        }
    }

    /// A peer dials this node; or asks to be dialled, where it is the greater of the two.
    fn knock(&mut self, from: NodeId, stream: TcpStream) {
        let wires = Wires::of(self.runtime.core().0);
        let peer = &mut wires.peers[from.index()];
        if self.own < from {
            peer.asks = peer.is_up();
            wires.dial(from);
            return;
        }
        peer.number += 1;
        if peer.is_up() {
            self.lost(from, Broken::Replaced);
        }
        Wires::of(self.runtime.core().0).open(from, stream);
        self.runtime.node_up(self.own, from);
    }

    fn lost(&mut self, peer: NodeId, why: Broken) {
        let (host, mut core) = self.runtime.core();
        let wires = Wires::of(host);
        if wires.close(peer, &mut core).asks {
            wires.dial(peer);
        }
        self.runtime.node_down(self.own, peer, why);
    }
}
