//! More crashes than are allowed: give up, tell a human, keep the mail.
//!
//! A reader hands each letter to a mailer on another machine, and crashes when that does not answer. Its
//! parent restarts it, counts its crashes (a number that goes up with each and down again after a while), and
//! gives up when there are too many: it sends a notice to a human, and the letters that it has wait for them.
//!
//! As built, two things are lost. The notice is sent once, whether or not anybody gets it. And mail that
//! nobody handles is acknowledged by itself: while there was a reader that was a convenience, after the
//! parent has given up it is the end of each letter that still comes.
//!
//! Built right, the office that keeps the mail stands beside the supervisor of the reader, and hears by a
//! monitor when that gives up. It tells the human until they have heard, keeps whatever comes, and when they
//! say so has the reader started again.

use netsplit::otp::process;
use netsplit::{
    Address, Context, ExitReason, Faults, Flow, GenServer, Info, MonitorRef, Refusal, ReplyTo,
    Restart, Scenario, Server, Supervisor, SupervisorRef, View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

type Letter = u32;

const LETTERS: Letter = 60;
const CRASHES: u32 = 5;
const DURATION: Duration = secs(5);
const NOT_LOST: &str = "every letter is read, or kept for a human";
const NOTICED: &str = "a human knows when it is given up";

// ---- the mailer, and the reader that needs it

async fn mailer(ctx: Context<(Letter, ReplyTo<()>)>) -> Result<(), ExitReason> {
    ctx.register("mailer").map_err(ExitReason::error)?;
    loop {
        let (letter, answer) = ctx.receive_message().await;
        ctx.observe("read", |read: &mut BTreeSet<Letter>| {
            read.insert(letter);
        });
        answer.reply(());
    }
}

/// Hands letters to the mailer, and dies of it where there is none.
async fn reader(ctx: Context<(Letter, Address<ToOffice>)>) -> Result<(), ExitReason> {
    ctx.register("reader").map_err(ExitReason::error)?;
    let mailer = Address::<(Letter, ReplyTo<()>)>::named("mailer", "mailer");
    loop {
        let (letter, office) = ctx.receive_message().await;
        let sent = mailer.call(|answer| (letter, answer), millis(500)).await;
        let () = sent?;
        office.send(ToOffice::Ack(letter));
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum ToOffice {
    Post(Letter, ReplyTo<()>),
    Ack(Letter),
    /// A crash was long ago.
    Forget,
    /// A human has mended what was broken.
    Resume,
}

fn hand_over(letters: &BTreeSet<Letter>, ctx: &Context<ToOffice>) {
    if let Some(letter) = letters.first() {
        Address::at(ctx.node(), "reader").send((*letter, ctx.address()));
    }
}

fn note_kept(ctx: &Context<ToOffice>, letters: &BTreeSet<Letter>) {
    ctx.observe("kept", |kept: &mut BTreeSet<Letter>| {
        kept.clone_from(letters)
    });
}

// ---- as built

/// A parent that counts the crashes of its child.
struct Parent {
    letters: BTreeSet<Letter>,
    crashes: u32,
    gave_up: bool,
}

impl Parent {
    fn start(ctx: &Context<ToOffice>) {
        let (_, _monitor) = ctx.spawn_monitor(reader);
    }
}

impl GenServer for Parent {
    type Args = ();
    type Message = ToOffice;

    async fn init((): (), ctx: &mut Context<ToOffice>) -> Result<Parent, Refusal> {
        Parent::start(ctx);
        Ok(Parent {
            letters: BTreeSet::new(),
            crashes: 0,
            gave_up: false,
        })
    }

    async fn handle(&mut self, message: ToOffice, ctx: &mut Context<ToOffice>) -> Flow {
        match message {
            // Nobody handles it: it is acknowledged by itself.
            ToOffice::Post(_, answer) if self.gave_up => answer.reply(()),
            ToOffice::Post(letter, answer) => {
                answer.reply(());
                self.letters.insert(letter);
                hand_over(&self.letters, ctx);
            }
            ToOffice::Ack(letter) => {
                self.letters.remove(&letter);
                hand_over(&self.letters, ctx);
            }
            ToOffice::Forget => self.crashes -= 1,
            ToOffice::Resume => {}
        }
        note_kept(ctx, &self.letters);
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<ToOffice>) -> Flow {
        if let Info::Down { .. } = info {
            self.crashes += 1;
            ctx.send_after(ctx.address(), ToOffice::Forget, DURATION);
            if self.crashes > CRASHES {
                self.gave_up = true;
                ctx.count("given up");
                Address::named("human", "human").send_datagram(Notice(None));
            } else {
                Parent::start(ctx);
                hand_over(&self.letters, ctx);
            }
        }
        Flow::Next
    }
}

// ---- built right

/// The office beside the supervisor of the reader.
struct Office {
    letters: BTreeSet<Letter>,
    readers: Option<MonitorRef>,
}

fn tree() -> Supervisor {
    Supervisor::one_for_one()
        .name("tree")
        .child(child("readers", readers).restart(Restart::Transient))
        .child(child("office", || {
            Server::<Office>::with(()).name("office")
        }))
}

fn readers() -> Supervisor {
    Supervisor::one_for_one()
        .name("readers")
        .intensity(CRASHES, DURATION)
        .child(child("reader", || process(reader)))
}

impl Office {
    /// Hears when the supervisor of the reader gives up.
    fn watch(&mut self, ctx: &Context<ToOffice>) {
        let readers = ctx.whereis("readers").map(|readers| ctx.monitor(readers));
        self.readers = readers;
    }

    /// Tells a human, again and again until they have heard.
    async fn tell_human(&self, ctx: &Context<ToOffice>) {
        ctx.count("given up");
        let (office, human) = (ctx.address(), Address::named("human", "human"));
        ctx.spawn(move |ctx: Context| async move {
            let notice = |answer| Notice(Some((office, answer)));
            while human.call(notice, secs(1)).await.is_err() {
                ctx.sleep(millis(500)).await;
            }
        });
    }
}

impl GenServer for Office {
    type Args = ();
    type Message = ToOffice;

    async fn init((): (), ctx: &mut Context<ToOffice>) -> Result<Office, Refusal> {
        let mut office = Office {
            letters: BTreeSet::new(),
            readers: None,
        };
        office.watch(ctx);
        Ok(office)
    }

    async fn handle(&mut self, message: ToOffice, ctx: &mut Context<ToOffice>) -> Flow {
        match message {
            ToOffice::Post(letter, answer) => {
                answer.reply(());
                self.letters.insert(letter);
            }
            ToOffice::Ack(letter) => {
                self.letters.remove(&letter);
            }
            ToOffice::Forget => {}
            ToOffice::Resume => {
                let tree = SupervisorRef::at(ctx.node(), "tree");
                if tree.restart_child("readers").await.is_ok() {
                    self.watch(ctx);
                }
            }
        }
        note_kept(ctx, &self.letters);
        hand_over(&self.letters, ctx);
        Flow::NextWithin(millis(500))
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<ToOffice>) -> Flow {
        if let Info::Down { monitor, .. } = info
            && self.readers == Some(monitor)
        {
            self.tell_human(ctx).await;
        }
        hand_over(&self.letters, ctx);
        Flow::NextWithin(millis(500))
    }
}

// ---- people

/// It was given up; with an office that waits for an answer, and can be told to go on.
#[derive(Debug, Serialize, Deserialize)]
struct Notice(Option<(Address<ToOffice>, ReplyTo<()>)>);

async fn human(ctx: Context<Notice>) -> Result<(), ExitReason> {
    ctx.register("human").map_err(ExitReason::error)?;
    loop {
        let Notice(office) = ctx.receive_message().await;
        ctx.count("noticed");
        if let Some((office, answer)) = office {
            answer.reply(());
            ctx.sleep(secs(3)).await;
            office.send(ToOffice::Resume);
        }
    }
}

async fn sender(ctx: Context) {
    let office = Address::named("post", "office");
    for letter in 1..=LETTERS {
        let post = |answer| ToOffice::Post(letter, answer);
        while office.call(post, secs(1)).await.is_err() {
            ctx.sleep(millis(100)).await;
        }
        ctx.observe("posted", |posted: &mut BTreeSet<Letter>| {
            posted.insert(letter);
        });
        ctx.sleep(millis(300)).await;
    }
}

// ---- the scenarios

fn nothing_is_lost(view: &View) -> Result<(), String> {
    let none = BTreeSet::new();
    let letters = |key| view.observed::<BTreeSet<Letter>>(key).unwrap_or(&none);
    let (posted, read, kept) = (letters("posted"), letters("read"), letters("kept"));
    let mut gone = posted.difference(read).filter(|l| !kept.contains(l));
    match gone.next() {
        Some(letter) => Err(format!(
            "letter {letter} was taken, and is neither read nor kept"
        )),
        None => Ok(()),
    }
}

/// The machine of the mailer is often down, and for long; the office's is not.
fn outages() -> Faults {
    Faults::calm()
        .crash(secs(6), secs(3))
        .lose(0.05)
        .spare("post")
}

fn scenario(name: &str) -> Scenario {
    Scenario::new(name)
        .node("mailer", mailer)
        .client("human", human)
        .client("sender", sender)
        .faults(outages())
        .always(NOT_LOST, nothing_is_lost)
        .finally(NOTICED, |view| {
            view.counter("given up") == 0 || view.counter("noticed") > 0
        })
}

/// The broken form.
pub(crate) fn as_built() -> Scenario {
    scenario("supe/excessive_crash")
        .summary("a parent that gives up: mail that nobody handles is acknowledged by itself")
        .node("post", |ctx| {
            Server::<Parent>::with(()).name("office").run(ctx)
        })
        .broken(NOT_LOST)
}

/// The sound form: in the end everything is read.
pub(crate) fn kept_for_a_human() -> Scenario {
    scenario("supe/kept_for_a_human")
        .summary("an office beside the supervisor that gives up keeps the mail, and tells a human")
        .node("post", |ctx| tree().run(ctx))
        .finally("every letter is read in the end", |view| {
            let read = view.observed::<BTreeSet<Letter>>("read");
            read.is_some_and(|read| read.iter().copied().eq(1..=LETTERS))
        })
        .horizon(secs(90))
}
