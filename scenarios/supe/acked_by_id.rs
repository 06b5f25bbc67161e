//! The same tree, right: an acknowledgement says what it acknowledges.
//!
//! Letters are handed over again until they are acknowledged by their id, so a packet may be lost. An ack
//! of a letter that is not the oldest any more changes nothing, so a packet may come twice or late. The
//! child is addressed by its name, which stays good when it crashes and comes back. A letter may be read
//! twice; none is lost, and none is read that was never posted.

use netsplit::{
    Address, Context, ExitReason, Faults, Flow, GenServer, Info, PacketKind, Refusal, ReplyTo,
    Scenario, Server, View, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

type Letter = u32;

#[derive(Debug, Serialize, Deserialize)]
enum ToParent {
    /// Somebody has a letter for the child; answered when it is kept.
    Post(Letter, ReplyTo<()>),
    /// The child has read this letter.
    Ack(Letter),
}

#[derive(Default)]
struct Parent {
    known: BTreeSet<Letter>,
    letters: VecDeque<Letter>,
}

impl Parent {
    fn hand_over_oldest(&self) -> Flow {
        if let Some(letter) = self.letters.front() {
            Address::named("child", "child").send_datagram(*letter);
        }
        self.wait_for_ack()
    }

    fn wait_for_ack(&self) -> Flow {
        if self.letters.is_empty() {
            Flow::Next
        } else {
            Flow::NextWithin(millis(100))
        }
    }
}

impl GenServer for Parent {
    type Args = ();
    type Message = ToParent;

    async fn init((): (), _: &mut Context<ToParent>) -> Result<Parent, Refusal> {
        Ok(Parent::default())
    }

    async fn handle(&mut self, message: ToParent, _: &mut Context<ToParent>) -> Flow {
        match message {
            ToParent::Post(letter, reply_to) => {
                reply_to.reply(());
                if self.known.insert(letter) {
                    self.letters.push_back(letter);
                    if self.letters.len() == 1 {
                        return self.hand_over_oldest();
                    }
                }
            }
            // A letter is handed over again after a while only, never for an ack that comes twice: else
            // each duplicate would live on for ever, as a letter and its ack in turn.
            ToParent::Ack(letter) => {
                if self.letters.front() == Some(&letter) {
                    self.letters.pop_front();
                    return self.hand_over_oldest();
                }
            }
        }
        self.wait_for_ack()
    }

    async fn handle_info(&mut self, _: Info, _: &mut Context<ToParent>) -> Flow {
        self.hand_over_oldest()
    }
}

async fn child(ctx: Context<Letter>) -> Result<(), ExitReason> {
    ctx.register("child").map_err(ExitReason::error)?;
    let parent = Address::named("parent", "parent");
    loop {
        let letter = ctx.receive_message().await;
        ctx.sleep(millis(5)).await;
        ctx.observe("read", |read: &mut BTreeSet<Letter>| {
            read.insert(letter);
        });
        parent.send_datagram_as(PacketKind::Ack, ToParent::Ack(letter));
    }
}

async fn customer(ctx: Context) {
    let parent = Address::named("parent", "parent");
    for letter in 1..=50 {
        ctx.observe("posted", |posted: &mut BTreeSet<Letter>| {
            posted.insert(letter);
        });
        let post = |reply_to| ToParent::Post(letter, reply_to);
        while parent.call(post, millis(100)).await.is_err() {}
        ctx.sleep(millis(20)).await;
    }
}

fn letters<'a>(view: &'a View, key: &str) -> impl Iterator<Item = &'a Letter> + Clone {
    view.observed::<BTreeSet<Letter>>(key).into_iter().flatten()
}

/// The scenario.
pub(crate) fn scenario() -> Scenario {
    Scenario::new("supe/acked_by_id")
        .summary("the same tree with acks that name their letter: nothing is lost")
        .node("parent", |ctx| {
            Server::<Parent>::with(()).name("parent").run(ctx)
        })
        .node("child", child)
        .client("customer", customer)
        .faults(
            Faults::calm()
                .lose(0.05)
                .duplicate(0.05)
                .reorder(0.05, millis(200))
                .crash(secs(4), millis(300))
                .late_timers(millis(20))
                .spare("parent"),
        )
        .finally("no letter is lost", |view| {
            letters(view, "posted").count() == 50
                && letters(view, "posted").eq(letters(view, "read"))
        })
        .always("no letter comes from nowhere", |view| {
            letters(view, "read").last() <= letters(view, "posted").last()
        })
        .horizon(secs(30))
}
