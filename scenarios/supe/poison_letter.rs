//! A letter that always crashes its reader.
//!
//! An office keeps each letter until its reader has acknowledged it. When the reader crashes, its letter
//! comes back to the head of the box, and is handed to the next reader. That is right for a reader that was
//! killed, and for one that had bad luck. But who has crashed of a letter crashes of it again: the box is
//! stuck, for ever, and whatever lies behind that letter waits. Nothing is lost, nobody is told, and the
//! machine is busy.
//!
//! Built right, the office counts. A letter that has crashed three readers is set aside for a human, and
//! those behind it get on.

use netsplit::{
    Address, Context, Faults, Flow, GenServer, Info, Refusal, ReplyTo, Scenario, Server, View,
    millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

const LETTERS: u32 = 30;
const PROGRESS: &str = "the other letters get on";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Letter {
    number: u32,
    to: String,
}

/// Mails letters, to addresses that have an @.
async fn reader(ctx: Context<Letter>) {
    let office = Address::at(ctx.node(), "office");
    loop {
        let letter = ctx.receive_message().await;
        ctx.sleep(millis(20)).await;
        let (_name, _host) = letter.to.split_once('@').expect("an address");
        note(&ctx, "mailed", letter.number);
        office.send(ToOffice::Ack(letter.number));
    }
}

fn note<M: netsplit::Message>(ctx: &Context<M>, key: &str, number: u32) {
    ctx.observe(key, |letters: &mut BTreeSet<u32>| {
        letters.insert(number);
    });
}

#[derive(Debug, Serialize, Deserialize)]
enum ToOffice {
    Post(Letter, ReplyTo<()>),
    /// The reader is done with this letter.
    Ack(u32),
}

struct Office {
    reader: Address<Letter>,
    letters: VecDeque<Letter>,
    /// How many readers the first letter has crashed.
    crashed: u32,
    /// How many it may crash before it is set aside; without that, any number.
    most: Option<u32>,
}

impl Office {
    fn hand_over(&self) {
        if let Some(letter) = self.letters.front() {
            self.reader.send(letter.clone());
        }
    }

    /// The first letter is done with, and the next one's turn.
    fn next(&mut self) -> Option<Letter> {
        let done = self.letters.pop_front();
        self.crashed = 0;
        self.hand_over();
        done
    }
}

impl GenServer for Office {
    type Args = Option<u32>;
    type Message = ToOffice;

    async fn init(most: Option<u32>, ctx: &mut Context<ToOffice>) -> Result<Office, Refusal> {
        Ok(Office {
            reader: ctx.spawn_monitor(reader).0,
            letters: VecDeque::new(),
            crashed: 0,
            most,
        })
    }

    async fn handle(&mut self, message: ToOffice, _: &mut Context<ToOffice>) -> Flow {
        match message {
            ToOffice::Post(letter, answer) => {
                answer.reply(());
                self.letters.push_back(letter);
                if self.letters.len() == 1 {
                    self.hand_over();
                }
            }
            ToOffice::Ack(number) => {
                if self
                    .letters
                    .front()
                    .is_some_and(|first| first.number == number)
                {
                    self.next();
                }
            }
        }
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<ToOffice>) -> Flow {
        if let Info::Down { .. } = info {
            self.reader = ctx.spawn_monitor(reader).0;
            // Who dies with nothing to read blames no letter.
            self.crashed += u32::from(!self.letters.is_empty());
            match self.most {
                Some(most) if self.crashed >= most => {
                    if let Some(letter) = self.next() {
                        note(ctx, "set aside", letter.number);
                    }
                }
                _ => self.hand_over(),
            }
        }
        Flow::Next
    }
}

/// Now and then somebody forgets the @.
async fn sender(ctx: Context) {
    let office = Address::named("post", "office");
    for number in 1..=LETTERS {
        let is_poison = ctx.random_below(10) == 0;
        if is_poison {
            note(&ctx, "poison", number);
        }
        let to = if is_poison { "ada" } else { "ada@example.org" };
        let letter = Letter {
            number,
            to: to.to_owned(),
        };
        let post = |answer| ToOffice::Post(letter, answer);
        office.call(post, secs(60)).await.expect("an answer");
        ctx.sleep(millis(50)).await;
    }
}

fn letters(view: &View, key: &str) -> BTreeSet<u32> {
    view.observed::<BTreeSet<u32>>(key)
        .cloned()
        .unwrap_or_default()
}

fn the_others_are_mailed(view: &View) -> Result<(), String> {
    let (mailed, poison) = (letters(view, "mailed"), letters(view, "poison"));
    let mut others = (1..=LETTERS).filter(|letter| !poison.contains(letter));
    match others.find(|letter| !mailed.contains(letter)) {
        Some(letter) => Err(format!("letter {letter} waits behind one of {poison:?}")),
        None => Ok(()),
    }
}

fn scenario(name: &str, most: Option<u32>) -> Scenario {
    Scenario::new(name)
        .node("post", move |ctx| {
            Server::<Office>::with(most).name("office").run(ctx)
        })
        .client("sender", sender)
        .finally(PROGRESS, the_others_are_mailed)
        .horizon(secs(20))
}

/// The broken form.
pub(crate) fn as_built() -> Scenario {
    scenario("supe/poison_letter", None)
        .summary("a letter that crashes its reader comes back to the head of the box, for ever")
        .broken(PROGRESS)
}

/// The sound form: now and then a reader is killed, for which its letter can do nothing.
pub(crate) fn set_aside() -> Scenario {
    scenario("supe/poison_set_aside", Some(3))
        .summary("the same office counts how many readers a letter has crashed: after three it is set aside")
        .faults(Faults::calm().kill_processes(secs(2)).lose(0.1))
        .finally("what was set aside is what nobody can read", |view| {
            letters(view, "set aside") == letters(view, "poison")
        })
}
