//! A queue of letters across a network that loses, duplicates and reorders: the sender repeats its oldest
//! letter until it is acknowledged, drops it, and goes on with the next.
//!
//! Stenning, "A data transfer protocol" (1976): an acknowledgement carries the number of what it
//! acknowledges. (One bit of it is enough where the network keeps the order: Bartlett, Scantlebury and
//! Wilkinson, 1969.)
//!
//! A sender that has one letter on its way at a time is easily thought to need none: an acknowledgement
//! can only mean that letter. But a letter that was repeated too early is acknowledged twice, and the
//! second time the sender drops the letter behind it. If that one is lost, nobody repeats it.

use super::receive_wanted;
use netsplit::{Address, Context, ExitReason, Faults, PacketKind, Scenario, millis, secs};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

type Number = u32;

#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    number: Number,
    sender: Address<Ack>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Ack {
    /// The letter was read.
    Read,
    /// The letter of this number was read.
    ReadNumber(Number),
}

impl Ack {
    /// Whether it is an acknowledgement of the oldest letter of the queue.
    fn is_of(&self, oldest: Number) -> bool {
        match self {
            Ack::Read => true,
            Ack::ReadNumber(number) => *number == oldest,
        }
    }
}

const LETTERS: Number = 30;
const KEPT: &str = "no letter is lost";

async fn sender(ctx: Context<Ack>) {
    let receiver = Address::named("receiver", "receiver");
    let mut queue: VecDeque<Number> = (1..=LETTERS).collect();
    while let Some(&number) = queue.front() {
        let sender = ctx.address();
        receiver.send_datagram(Letter { number, sender });
        let ack = receive_wanted(&ctx, millis(15), |ack: &Ack| ack.is_of(number)).await;
        if ack.is_some() {
            queue.pop_front();
            ctx.observe("dropped", |dropped: &mut Number| *dropped = number);
        }
    }
}

async fn receiver(ctx: Context<Letter>, ack: fn(Number) -> Ack) -> Result<(), ExitReason> {
    ctx.register("receiver").map_err(ExitReason::error)?;
    loop {
        let letter = ctx.receive_message().await;
        ctx.observe("read", |read: &mut BTreeSet<Number>| {
            read.insert(letter.number);
        });
        letter
            .sender
            .send_datagram_as(PacketKind::Ack, ack(letter.number));
    }
}

fn scenario(name: &str, ack: fn(Number) -> Ack) -> Scenario {
    Scenario::new(name)
        .node("receiver", move |ctx| receiver(ctx, ack))
        .client("sender", sender)
        .faults(
            Faults::calm()
                .lose(0.02)
                .duplicate(0.02)
                .reorder(0.02, millis(100)),
        )
        .finally(KEPT, |view| {
            // Nothing is on its way any more: what the sender has dropped was read, or never will be.
            let dropped = *view.observed("dropped").unwrap_or(&0);
            let read = view.observed::<BTreeSet<Number>>("read");
            let lost = (1..=dropped).find(|number| !read.is_some_and(|read| read.contains(number)));
            lost.map_or(Ok(()), |number| Err(format!("nobody read letter {number}")))
        })
        .finally("every letter is sent", |view| {
            view.observed("dropped") == Some(&LETTERS)
        })
        .horizon(secs(5))
}

/// The broken form.
pub(crate) fn duplicate_ack() -> Scenario {
    scenario("protocols/queue_duplicate_ack", |_| Ack::Read)
        .summary("an acknowledgement without a number: a second one drops the letter behind")
        .broken(KEPT)
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    scenario("protocols/queue_sound", Ack::ReadNumber)
        .summary("the same queue with numbered acknowledgements: a second one changes nothing")
}
