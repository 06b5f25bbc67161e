//! A server that does as it is told, and says what becomes of it: the same as `probe.erl`.

use netsplit::{
    Address, CallError, Context, ExitReason, Flow, GenServer, Info, Message, MonitorRef, Pid,
    Refusal, ReplyTo, Server, StartError, millis, secs,
};
use serde::{Deserialize, Serialize};

/// How a probe is started.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) trap: bool,
    pub(super) init: Init,
    pub(super) first: First,
    /// How many milliseconds its `terminate` takes.
    pub(super) slow: u64,
}

impl Plan {
    /// It traps exits.
    pub(super) fn trapping() -> Plan {
        Plan {
            trap: true,
            ..Plan::default()
        }
    }

    pub(super) fn init(init: Init) -> Plan {
        Plan {
            init,
            ..Plan::default()
        }
    }

    pub(super) fn first(first: First) -> Plan {
        Plan {
            first,
            ..Plan::default()
        }
    }

    pub(super) fn slow(self, slow: u64) -> Plan {
        Plan { slow, ..self }
    }
}

/// What its `init` does.
#[derive(Clone, Debug, Default)]
pub(super) enum Init {
    #[default]
    Starts,
    Fails(ExitReason),
    Panics(&'static str),
    Ignores,
    Takes(u64),
}

/// What comes after its `init`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum First {
    #[default]
    Next,
    Continue,
    Within(u64),
}

/// What a probe is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Get(ReplyTo<u64>),
    Ignore(ReplyTo<u64>),
    After(ReplyTo<u64>, u64),
    PassTo(ReplyTo<u64>, Address<ReplyTo<u64>>),
    CallYourself(ReplyTo<u64>),
    Stop(ReplyTo<u64>, ExitReason),
    AnswerAndStop(ReplyTo<u64>, ExitReason),
    Say(String),
    End(ExitReason),
    Panic(String),
    Sleep(u64),
    Continue,
    Within(u64),
    Unlink(Pid),
}

pub(super) struct Probe {
    name: String,
    first: First,
    slow: u64,
}

/// A probe of this name, that is to be started.
pub(super) fn probe(name: &str, plan: Plan) -> Server<Probe> {
    Server::with((name.to_owned(), plan))
}

/// Starts a probe that is monitored and not linked.
pub(super) async fn start(ctx: &Context<impl Message>, plan: Plan) -> (Address<Ask>, MonitorRef) {
    let started = probe("probe", plan).start(ctx).await;
    let server = started.expect("its init is fine");
    (server, ctx.monitor(server.pid().unwrap()))
}

/// What to say of a start that failed.
pub(super) fn failure<T>(started: Result<T, StartError>) -> String {
    match started {
        Err(StartError::Failed(reason)) => reason.to_string(),
        Err(StartError::Timeout) => "timeout".to_owned(),
        Err(other) => other.to_string(),
        Ok(_) => "no failure".to_owned(),
    }
}

/// Asks for at most a second, and says the answer, or why there is none.
pub(super) async fn call(
    ctx: &Context<impl Message>,
    server: Address<Ask>,
    question: impl FnOnce(ReplyTo<u64>) -> Ask,
) {
    match server.call(question, secs(1)).await {
        Ok(answer) => say!(ctx, "answer {answer}"),
        Err(why) => say!(ctx, "no answer: {}", unanswered(why)),
    }
}

/// Why a call had no answer, in Erlang's words.
pub(super) fn unanswered(why: CallError) -> String {
    match why {
        CallError::Timeout => "timeout".to_owned(),
        CallError::CallingSelf => "calling_self".to_owned(),
        other => ExitReason::from(other).to_string(),
    }
}

impl GenServer for Probe {
    type Args = (String, Plan);
    type Message = Ask;

    async fn init((name, plan): (String, Plan), ctx: &mut Context<Ask>) -> Result<Probe, Refusal> {
        ctx.trap_exit(plan.trap);
        say!(ctx, "{name}: init");
        match plan.init {
            Init::Starts => {}
            Init::Fails(reason) => return Err(Refusal::Stop(reason)),
            Init::Panics(text) => panic!("{text}"),
            Init::Ignores => return Err(Refusal::Ignore),
            Init::Takes(time) => {
                ctx.sleep(millis(time)).await;
                say!(ctx, "{name}: init ends");
            }
        }
        if let First::Continue = plan.first {
            ctx.address().send(Ask::Say("message".to_owned()));
        }
        let Plan { first, slow, .. } = plan;
        Ok(Probe { name, first, slow })
    }

    fn first(&self) -> Flow {
        match self.first {
            First::Next => Flow::Next,
            First::Continue => Flow::Continue,
            First::Within(time) => Flow::NextWithin(millis(time)),
        }
    }

    async fn handle_continue(&mut self, ctx: &mut Context<Ask>) -> Flow {
        say!(ctx, "{}: continue", self.name);
        Flow::Next
    }

    async fn handle(&mut self, ask: Ask, ctx: &mut Context<Ask>) -> Flow {
        match ask {
            Ask::Get(from) => from.reply(7),
            Ask::Ignore(_) => {}
            Ask::After(from, time) => {
                ctx.sleep(millis(time)).await;
                from.reply(7);
            }
            Ask::PassTo(from, other) => other.send(from),
            Ask::CallYourself(from) => {
                let own = ctx.address().call(Ask::Get, secs(5)).await;
                let why = unanswered(own.expect_err("it cannot answer"));
                say!(ctx, "{}: no answer: {why}", self.name);
                from.reply(7);
            }
            Ask::Stop(_, reason) | Ask::End(reason) => return Flow::Stop(reason),
            Ask::AnswerAndStop(from, reason) => {
                from.reply(7);
                return Flow::Stop(reason);
            }
            Ask::Say(word) => say!(ctx, "{}: {word}", self.name),
            Ask::Panic(text) => panic!("{text}"),
            Ask::Unlink(other) => ctx.unlink(other),
            Ask::Sleep(time) => ctx.sleep(millis(time)).await,
            Ask::Continue => {
                ctx.address().send(Ask::Say("message".to_owned()));
                return Flow::Continue;
            }
            Ask::Within(time) => return Flow::NextWithin(millis(time)),
        }
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<Ask>) -> Flow {
        match info {
            Info::Exit { reason, .. } => say!(ctx, "{}: exit {reason}", self.name),
            Info::Timeout => say!(ctx, "{}: timeout", self.name),
            Info::Noise => say!(ctx, "{}: noise", self.name),
            other => say!(ctx, "{}: {other:?}", self.name),
        }
        Flow::Next
    }

    async fn terminate(&mut self, reason: &ExitReason, ctx: &mut Context<Ask>) {
        say!(ctx, "{}: terminate {reason}", self.name);
        if self.slow > 0 {
            ctx.sleep(millis(self.slow)).await;
            say!(ctx, "{}: terminate ends", self.name);
        }
    }
}
