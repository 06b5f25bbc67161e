//! All mail lives in the supervisor.
//!
//! An office takes letters, keeps each until its reader has acknowledged it, and hands it over again when the
//! reader comes back. The reader may crash as it likes: "nothing is lost, as long as the supervisor doesn't
//! crash". The supervisor crashes too, with its machine at the latest, and with it goes all mail for which
//! its senders had been told that it is kept.
//!
//! What lives in memory is kept by nobody. Either it goes to a disk before the sender is told, or the sender
//! keeps it itself, and is told only when the letter has been read: then every crash between the two is the
//! sender's to notice. That is the sound form here. A letter may be read twice.

use netsplit::otp::process;
use netsplit::{
    Address, Context, ExitReason, Faults, Flow, GenServer, Info, Refusal, ReplyTo, Scenario,
    Server, Supervisor, View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

type Letter = u32;

const LETTERS: Letter = 50;
const READ: &str = "every letter that its sender gave away is read";

/// When a sender is told that it can forget its letter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    WhenKept,
    WhenRead,
}

#[derive(Debug, Serialize, Deserialize)]
enum ToOffice {
    Post(Letter, ReplyTo<()>),
    /// The reader has read this letter.
    Ack(Letter),
}

/// The letters that were not acknowledged, and who waits to hear that they are.
struct Office {
    told: Told,
    letters: BTreeMap<Letter, Option<ReplyTo<()>>>,
}

impl Office {
    /// Hands the first letter over, once more after a while if need be.
    fn hand_over(&self, ctx: &Context<ToOffice>) -> Flow {
        match self.letters.first_key_value() {
            Some((letter, _)) => {
                Address::at(ctx.node(), "reader").send(*letter);
                Flow::NextWithin(millis(100))
            }
            None => Flow::Next,
        }
    }
}

impl GenServer for Office {
    type Args = Told;
    type Message = ToOffice;

    async fn init(told: Told, _: &mut Context<ToOffice>) -> Result<Office, Refusal> {
        let letters = BTreeMap::new();
        Ok(Office { told, letters })
    }

    async fn handle(&mut self, message: ToOffice, ctx: &mut Context<ToOffice>) -> Flow {
        match message {
            ToOffice::Post(letter, answer) if self.told == Told::WhenKept => {
                answer.reply(());
                self.letters.insert(letter, None);
            }
            ToOffice::Post(letter, answer) => {
                self.letters.insert(letter, Some(answer));
            }
            ToOffice::Ack(letter) => {
                if let Some(Some(answer)) = self.letters.remove(&letter) {
                    answer.reply(());
                }
            }
        }
        self.hand_over(ctx)
    }

    async fn handle_info(&mut self, _: Info, ctx: &mut Context<ToOffice>) -> Flow {
        self.hand_over(ctx)
    }
}

/// Reads letters. Some are too much for it, the first time.
async fn reader(ctx: Context<Letter>) -> Result<(), ExitReason> {
    ctx.register("reader").map_err(ExitReason::error)?;
    let office = Address::at(ctx.node(), "office");
    loop {
        let letter = ctx.receive_message().await;
        ctx.sleep(millis(20)).await;
        assert!(ctx.random_below(20) > 0, "a letter that is too much");
        ctx.observe("read", |read: &mut BTreeSet<Letter>| {
            read.insert(letter);
        });
        office.send(ToOffice::Ack(letter));
    }
}

fn tree(told: Told) -> Supervisor {
    Supervisor::one_for_one()
        .intensity(50, secs(1))
        .child(child("office", move || {
            Server::<Office>::with(told).name("office")
        }))
        .child(child("reader", || process(reader)))
}

async fn sender(ctx: Context) {
    let office = Address::named("post", "office");
    for letter in 1..=LETTERS {
        let post = |answer| ToOffice::Post(letter, answer);
        while office.call(post, secs(1)).await.is_err() {
            ctx.sleep(millis(100)).await;
        }
        ctx.observe("given away", |given: &mut BTreeSet<Letter>| {
            given.insert(letter);
        });
        ctx.sleep(millis(10)).await;
    }
}

fn what_was_given_away_is_read(view: &View) -> Result<(), String> {
    let letters = |key| {
        view.observed::<BTreeSet<Letter>>(key)
            .cloned()
            .unwrap_or_default()
    };
    let (given, read) = (letters("given away"), letters("read"));
    match given.difference(&read).next() {
        Some(letter) => Err(format!("letter {letter} was given away, and nobody has it")),
        None if given.len() < LETTERS as usize => Err(format!("{} were given away", given.len())),
        None => Ok(()),
    }
}

fn scenario(name: &str, told: Told) -> Scenario {
    Scenario::new(name)
        .node("post", move |ctx| tree(told).run(ctx))
        .client("sender", sender)
        .finally(READ, what_was_given_away_is_read)
}

/// The broken form: the machine of the supervisor crashes now and then.
pub(crate) fn as_built() -> Scenario {
    scenario("supe/supervisor_dies", Told::WhenKept)
        .summary("mail that lives in its supervisor dies with it")
        .faults(Faults::calm().crash(secs(5), millis(500)))
        .broken(READ)
}

/// The sound form, under every fault.
pub(crate) fn sender_keeps() -> Scenario {
    scenario("supe/sender_keeps", Told::WhenRead)
        .summary("the same office answers when a letter is read: until then its sender keeps it")
        .faults(crate::notify::storm())
}
