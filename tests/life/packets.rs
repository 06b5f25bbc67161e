//! Packets as they go over a wire, and bytes that are none: two runtimes in one hand, without any wire.

use super::bank::{business, people, tree};
use netsplit::choice::Choice;
use netsplit::process::{Core, Host, Packet, Runtime};
use netsplit::trace::{Broken, NodeId, Totals, Trace};
use netsplit::{Address, Bounds, Context, Time};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// What is sent, as bytes.
type Sent = Rc<RefCell<Vec<Vec<u8>>>>;

/// A host that keeps what is sent.
struct Tap(Sent);

impl Host for Tap {
    fn send(&mut self, _: Core<'_>, packet: Box<Packet>) -> bool {
        self.0.borrow_mut().push(packet.to_bytes());
        false
    }
    fn wait_until_writable(&mut self, _: NodeId, _: NodeId, _: (u32, u16)) {}
    fn connect(&mut self, _: Core<'_>, _: NodeId, _: NodeId) {}
    fn disconnect(&mut self, _: Core<'_>, _: NodeId, _: NodeId) -> Option<Broken> {
        None
    }
    fn peers(&self, _: NodeId) -> Vec<NodeId> {
        Vec::new()
    }
    fn wall_ns(&self, _: NodeId, now: Time) -> u64 {
        now.as_nanos()
    }
    fn node(&self, name: &str) -> Option<NodeId> {
        let index = ["bank", "town"].iter().position(|known| *known == name);
        index.map(NodeId::new)
    }
}

fn runtime() -> (Runtime, Sent) {
    let names = vec!["bank".to_owned(), "town".to_owned()].into();
    let (sent, bounds) = (Sent::default(), Bounds::default());
    let host = Box::new(Tap(sent.clone()));
    let runtime = Runtime::new(names, Choice::seeded(1), Trace::new(), bounds, host);
    (runtime, sent)
}

fn bank() -> (Runtime, Sent) {
    let (mut runtime, sent) = runtime();
    let booted = runtime.boot(NodeId::new(0), |ctx| tree().run(ctx));
    booted.expect("it is down");
    (runtime, sent)
}

/// Lets a bank and a town talk until neither has anything to do; gives all that went to the bank, and the
/// books of both.
fn talk<F>(town: impl FnOnce(Context<super::bank::Town>) -> F) -> (Vec<Vec<u8>>, [Totals; 2])
where
    F: Future<Output = ()> + 'static,
{
    let mut both = [bank(), runtime()];
    both[1].0.boot(NodeId::new(1), town).expect("it is down");
    let mut to_bank = Vec::new();
    let mut now = Time::ZERO;
    loop {
        for (runtime, _) in &mut both {
            let _ = runtime.run(now).expect("no bound is reached");
        }
        let [bank, town] = &mut both;
        let (from_bank, from_town) = (bank.1.take(), town.1.take());
        let is_quiet = from_bank.is_empty() && from_town.is_empty();
        for (receiver, bytes) in [(&mut bank.0, &from_town), (&mut town.0, &from_bank)] {
            for bytes in bytes {
                let packet = Packet::from_bytes(bytes).expect("a packet");
                assert_eq!(packet.to_bytes(), *bytes);
                receiver.take_in(Box::new(packet)).expect("a known node");
            }
        }
        to_bank.extend(from_town);
        if is_quiet {
            let next = both.iter().filter_map(|(runtime, _)| runtime.next_at());
            let Some(next) = next.min() else { break };
            now = next;
        }
    }
    let books = both.map(|(mut runtime, _)| runtime.core().1.trace().books.totals());
    (to_bank, books)
}

#[test]
fn what_two_runtimes_send_each_other_has_a_fate_in_the_books_of_one_of_them() {
    for books in [talk(business).1, talk(people).1] {
        let sum = |of: fn(&Totals) -> u64| -> u64 { books.iter().map(of).sum() };
        let received = sum(|totals| totals.received);
        let otherwise = sum(|totals| totals.unread + totals.stale + totals.dead);
        assert_eq!(sum(|totals| totals.sent), received + otherwise);
        assert!(received > 10);
    }
}

#[test]
fn a_message_of_another_type_is_told_by_its_tag() {
    let stranger = |_: Context<super::bank::Town>| async {
        Address::<u64>::named("bank", "vault").send(5);
    };
    let (_, [bank, _]) = talk(stranger);
    assert_eq!(bank.other_type, 1);
}

#[test]
fn a_packet_of_an_unknown_node_is_given_back() {
    let to = Address::<u64>::at(NodeId::new(2), "vault").target();
    let (mut bank, _) = bank();
    for to in [to, Packet::default().to] {
        let packet = Packet {
            to,
            ..Packet::default()
        };
        assert_eq!(bank.take_in(Box::new(packet)).map_err(|p| p.to), Err(to));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A peer that talks nonsense ends no runtime: what is no packet is refused, what is one finds nobody.
    #[test]
    fn bytes_gone_wrong_end_no_runtime(
        wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 20..60)
    ) {
        let (bytes, _) = talk(people);
        let (mut bank, _) = bank();
        for (mut bytes, (index, byte)) in bytes.into_iter().zip(wrong) {
            let index = index.index(bytes.len());
            bytes[index] = byte;
            if let Ok(packet) = Packet::from_bytes(&bytes) {
                let _ = bank.take_in(Box::new(packet));
                let _ = bank.run(Time::ZERO).expect("it goes on");
            }
        }
    }
}
