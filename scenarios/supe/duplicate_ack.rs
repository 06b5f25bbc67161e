//! An acknowledgement that does not say what it acknowledges.
//!
//! The parent hands its child the oldest letter and keeps a copy. When the child has read the letter it
//! says `Ack`; the parent then drops the oldest letter and hands over the next. When the child has
//! crashed and comes back, it says `Ready`, and gets the oldest letter again. It looks as if nothing could
//! be lost.
//!
//! But an `Ack` carries no id. A second one (here the network duplicates a packet, or one from before a
//! crash arrives after the letter was handed over again) drops a letter that the child has been handed
//! and has not read yet. If the child crashes now, nobody has that letter any more.

use netsplit::{
    Address, Context, Faults, Flow, GenServer, PacketKind, Refusal, Scenario, Server, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

type Letter = u32;

#[derive(Debug, Serialize, Deserialize)]
enum ToParent {
    /// Somebody has a letter for the child.
    Post(Letter),
    /// The child is up, and can be reached here.
    Ready(Address<Letter>),
    /// The child has read its letter.
    Ack,
}

struct Parent {
    letters: VecDeque<Letter>,
    child: Option<Address<Letter>>,
}

impl Parent {
    fn hand_over_oldest(&self) {
        if let (Some(child), Some(letter)) = (self.child, self.letters.front()) {
            child.send_datagram(*letter);
        }
    }
}

impl GenServer for Parent {
    type Args = ();
    type Message = ToParent;

    async fn init((): (), _: &mut Context<ToParent>) -> Result<Parent, Refusal> {
        Ok(Parent {
            letters: VecDeque::new(),
            child: None,
        })
    }

    async fn handle(&mut self, message: ToParent, ctx: &mut Context<ToParent>) -> Flow {
        match message {
            ToParent::Post(letter) => {
                self.letters.push_back(letter);
                if self.letters.len() == 1 {
                    self.hand_over_oldest();
                }
            }
            ToParent::Ready(child) => {
                self.child = Some(child);
                self.hand_over_oldest();
            }
            ToParent::Ack => {
                if let Some(letter) = self.letters.pop_front() {
                    ctx.observe("dropped", |dropped: &mut BTreeSet<Letter>| {
                        dropped.insert(letter);
                    });
                }
                self.hand_over_oldest();
            }
        }
        Flow::Next
    }
}

async fn child(ctx: Context<Letter>) {
    let parent = Address::named("parent", "parent");
    parent.send_datagram(ToParent::Ready(ctx.address()));
    loop {
        let letter = ctx.receive_message().await;
        ctx.sleep(millis(20)).await;
        ctx.observe("read", |read: &mut BTreeSet<Letter>| {
            read.insert(letter);
        });
        parent.send_datagram_as(PacketKind::Ack, ToParent::Ack);
    }
}

async fn customer(ctx: Context) {
    for letter in 1..=50 {
        Address::named("parent", "parent").send_datagram(ToParent::Post(letter));
        ctx.sleep(millis(30)).await;
    }
}

/// The scenario.
pub(crate) fn scenario() -> Scenario {
    Scenario::new("supe/duplicate_ack")
        .summary("an ack without an id: a second one acknowledges a letter that nobody has read")
        .broken("no letter is lost")
        .node("parent", |ctx| {
            Server::<Parent>::with(()).name("parent").run(ctx)
        })
        .node("child", child)
        .client("customer", customer)
        .faults(
            Faults::calm()
                .duplicate_kind(PacketKind::Ack, 0.05)
                .crash(secs(2), millis(200))
                .spare("parent"),
        )
        .always("no letter is lost", |view| {
            if view.is_up("child") {
                return Ok(());
            }
            // Now only the parent has letters: one that it has dropped must have been read.
            let dropped = view
                .observed::<BTreeSet<Letter>>("dropped")
                .into_iter()
                .flatten();
            let read = view.observed::<BTreeSet<Letter>>("read");
            match dropped
                .into_iter()
                .find(|letter| !read.is_some_and(|read| read.contains(letter)))
            {
                Some(letter) => Err(format!(
                    "nobody has letter {letter} any more, and it was never read"
                )),
                None => Ok(()),
            }
        })
        .horizon(secs(4))
}
