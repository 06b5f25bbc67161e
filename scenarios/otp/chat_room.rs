//! A chat room across nodes, in which nobody's nick is kept by a ghost.
//!
//! The room lives on one node: a registry of nicks, each held by one session, and a supervisor of sessions.
//! Members live on nodes of their own. Who wants to come in asks the supervisor for a session, which takes
//! the nick or fails; what a member says goes to everybody who is in the registry.
//!
//! A session that ends when its member says goodbye is not enough. A member's machine crashes, or its network
//! is cut: nobody says goodbye, the session stays, and holds the nick. When the member comes back its own
//! ghost has its nick, for ever. So a session monitors its member, across nodes: the end of the member, of
//! its node or of the connection is its own end, and with it the entry is gone from the registry, before
//! anybody can find it there.
//!
//! And a member may never hear that it has a session: the connection breaks while it comes in, the answer is
//! lost, and the session monitors, over the next connection, a member who lives and finds its nick taken by
//! itself. So a session to which nobody has spoken soon ends, too.

use netsplit::{
    Address, Context, DynamicSupervisor, DynamicSupervisorRef, ExitReason, Faults, Flow, GenServer,
    Info, Received, Refusal, Registry, RegistryRef, ReplyTo, Scenario, Server, Supervisor, Time,
    View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

const MEMBERS: [&str; 3] = ["ann", "bob", "cat"];
const ALL_HEARD: &str = "in the end every member hears every other";
/// How old the last line that a member has heard of another may be at the end.
const RECENT: Duration = secs(5);

type Nicks = RegistryRef<String, Address<Line>>;

// ---- the room

/// Who wants to come in, and where lines for them go.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Login {
    nick: String,
    member: Address<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
enum ToSession {
    Say(String, ReplyTo<()>),
    Goodbye,
}

/// What somebody says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    from: String,
    text: String,
}

/// When a session ends.
#[derive(Clone, Copy)]
enum Ends {
    /// When its member says goodbye.
    AtGoodbye,
    /// Also when its member is gone, or does not know of it.
    WithItsMember,
}

/// How long a session waits for the first word of its member.
const FIRST_WORD: Duration = secs(2);

struct Session {
    nick: String,
    ends: Ends,
}

impl GenServer for Session {
    type Args = (Login, Ends);
    type Message = ToSession;

    async fn init(
        (login, ends): (Login, Ends),
        ctx: &mut Context<ToSession>,
    ) -> Result<Session, Refusal> {
        let Login { nick, member } = login;
        Nicks::named("nicks").register(nick.clone(), member)?;
        if let Ends::WithItsMember = ends {
            let _ = ctx.monitor(member);
        }
        Ok(Session { nick, ends })
    }

    fn first(&self) -> Flow {
        match self.ends {
            Ends::AtGoodbye => Flow::Next,
            Ends::WithItsMember => Flow::NextWithin(FIRST_WORD),
        }
    }

    async fn handle(&mut self, message: ToSession, _: &mut Context<ToSession>) -> Flow {
        match message {
            ToSession::Say(text, said) => {
                let from = self.nick.clone();
                for (_, _, member) in Nicks::named("nicks").entries() {
                    let (from, text) = (from.clone(), text.clone());
                    member.send(Line { from, text });
                }
                said.reply(());
                Flow::Next
            }
            ToSession::Goodbye => Flow::Stop(ExitReason::Normal),
        }
    }

    async fn handle_info(&mut self, info: Info, _: &mut Context<ToSession>) -> Flow {
        match info {
            Info::Down { .. } | Info::Timeout => Flow::Stop(ExitReason::Shutdown),
            _ => Flow::Next,
        }
    }
}

fn room(ends: Ends) -> Supervisor {
    Supervisor::rest_for_one()
        .child(child("nicks", || {
            Registry::<String, Address<Line>>::unique("nicks")
        }))
        .child(child("sessions", move || {
            DynamicSupervisor::new(move |login| Server::<Session>::with((login, ends)))
                .temporary()
                .name("sessions")
        }))
}

// ---- a member

/// Comes in, says something now and then, goes out and comes in again.
async fn member(ctx: Context<Line>, nick: &'static str) -> ExitReason {
    let sessions = DynamicSupervisorRef::<Login>::named("room", "sessions");
    let mut listener = Listener { nick, ctx };
    loop {
        let login = Login {
            nick: nick.to_owned(),
            member: listener.ctx.address(),
        };
        let session = match sessions.start_child(login).await {
            Ok(Some(session)) => Address::<ToSession>::of(session),
            Ok(None) | Err(_) => {
                listener.listen(millis(300)).await;
                continue;
            }
        };
        for _ in 0..10 {
            let say = |said| ToSession::Say("hello".to_owned(), said);
            if session.call(say, secs(1)).await.is_err() {
                break;
            }
            listener.listen(millis(400)).await;
        }
        session.send(ToSession::Goodbye);
        listener.listen(millis(100)).await;
    }
}

struct Listener {
    nick: &'static str,
    ctx: Context<Line>,
}

impl Listener {
    /// Notes what is heard, for a while.
    async fn listen(&mut self, time: Duration) {
        let until = self.ctx.now() + time;
        while self.ctx.now() < until {
            let left = until.since(self.ctx.now());
            if let Some(Received::Message(line)) = self.ctx.receive_within(left).await {
                let (pair, now) = ((self.nick, line.from), self.ctx.now());
                self.ctx.observe("heard", |heard: &mut Heard| {
                    heard.insert(pair, now);
                });
            }
        }
    }
}

/// Who has last heard whom, and when.
type Heard = BTreeMap<(&'static str, String), Time>;

fn all_hear_all(view: &View) -> Result<(), String> {
    let none = Heard::new();
    let heard = view.observed::<Heard>("heard").unwrap_or(&none);
    for hearer in MEMBERS {
        for from in MEMBERS.iter().filter(|from| **from != hearer) {
            let last = heard.get(&(hearer, (*from).to_owned()));
            if last.is_none_or(|last| view.now().since(*last) > RECENT) {
                return Err(format!("{hearer} hears nothing of {from}"));
            }
        }
    }
    Ok(())
}

fn scenario(name: &str, ends: Ends) -> Scenario {
    let scenario = Scenario::new(name).node("room", move |ctx| room(ends).run(ctx));
    MEMBERS
        .into_iter()
        .fold(scenario, |scenario, nick| {
            scenario.node(nick, move |ctx| member(ctx, nick))
        })
        .finally(ALL_HEARD, all_hear_all)
}

/// The sound form, under every fault.
pub(crate) fn chat_room() -> Scenario {
    scenario("otp/chat_room", Ends::WithItsMember)
        .summary("a chat room across nodes: a nick is free again when its holder is gone")
        .faults(crate::notify::storm())
}

/// The broken form: machines of members crash now and then.
pub(crate) fn ghosts() -> Scenario {
    scenario("otp/ghosts", Ends::AtGoodbye)
        .summary(
            "the same room without monitors: who has crashed finds its nick taken by its own ghost",
        )
        .faults(Faults::calm().crash(secs(10), secs(1)).spare("room"))
        .broken(ALL_HEARD)
}
