//! Rules 12 and 13: in which order a state machine takes its events, and what a change of state is. Each
//! line of what is expected was seen of Erlang's `gen_statem` too, unless a test says otherwise.

use super::{events, nothing_comes, one_node};
use netsplit::trace::Event as Happened;
use netsplit::{
    Address, Context, Entered, Event, ExitReason, GenStatem, Info, Initial, Refusal, ReplyTo,
    StateMachine, Transition, millis, secs,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    A,
    B,
    /// One that carries data.
    C(u32),
}

use State::{A, B, C};

/// What a machine under test does in a callback.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    Next(State),
    Repeat,
    Stop(ExitReason),
    Postpone,
    Insert(&'static str),
    StateTimeout(u64),
    EventTimeout(u64),
    Timeout(char, u64),
    CancelState,
    Cancel(char),
    /// Works for so many milliseconds.
    Sleep(u64),
    Panic,
}

/// What it does in which state with which event; `enter` is the enter call of that state.
pub(crate) type Script = fn(&State, &str) -> Vec<Do>;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Do(String),
    /// Answered in state `b`; postponed in any other.
    Answer(ReplyTo<u32>),
}

/// What its init gives back.
pub(crate) type Init = fn() -> Result<Initial<Probe>, Refusal>;

/// How a machine under test is started.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) told: Address<String>,
    pub(crate) script: Script,
    pub(crate) trap: bool,
    pub(crate) init: Init,
}

pub(crate) struct Probe {
    plan: Plan,
    /// How many lines.
    pub(crate) told: u32,
}

impl Probe {
    fn tell(&mut self, line: String) {
        self.told += 1;
        self.plan.told.send(line);
    }
}

impl GenStatem for Probe {
    type Args = Plan;
    type Message = Ask;
    type Internal = &'static str;
    type State = State;
    type Name = char;

    async fn init(plan: Plan, ctx: &mut Context<Ask>) -> Result<(Probe, Initial<Probe>), Refusal> {
        ctx.trap_exit(plan.trap);
        let initial = (plan.init)()?;
        Ok((Probe { plan, told: 0 }, initial))
    }

    async fn handle(
        &mut self,
        event: Event<Probe>,
        state: &State,
        ctx: &mut Context<Ask>,
    ) -> Transition<Probe> {
        let text = match &event {
            Event::External(Ask::Do(text)) => text.clone(),
            Event::External(Ask::Answer(_)) => "answer".to_owned(),
            Event::Internal(text) => (*text).to_owned(),
            Event::Info(Info::Exit { reason, .. }) => format!("exit {reason}"),
            Event::Info(other) => format!("{other:?}"),
            Event::StateTimeout => "state timeout".to_owned(),
            Event::EventTimeout => "event timeout".to_owned(),
            Event::Timeout(name) => format!("timeout {name}"),
        };
        self.tell(format!("{state:?}: {text}"));
        let event = match event {
            Event::External(Ask::Answer(reply_to)) if *state == B => {
                reply_to.reply(7);
                return Transition::next(A);
            }
            event => event,
        };
        let script = (self.plan.script)(state, &text);
        let mut transition = Transition::keep();
        let mut postpones = false;
        for step in script {
            transition = match step {
                Do::Next(state) => {
                    assert!(format!("{transition:?}") == "keep", "a script moves first");
                    Transition::next(state)
                }
                Do::Repeat => Transition::repeat(),
                Do::Stop(reason) => return Transition::stop(reason),
                Do::Postpone => {
                    postpones = true;
                    transition
                }
                Do::Insert(event) => transition.next_event(event),
                Do::StateTimeout(ms) => transition.state_timeout(millis(ms)),
                Do::EventTimeout(ms) => transition.event_timeout(millis(ms)),
                Do::Timeout(name, ms) => transition.timeout(name, millis(ms)),
                Do::CancelState => transition.cancel_state_timeout(),
                Do::Cancel(name) => transition.cancel_timeout(name),
                Do::Sleep(ms) => {
                    ctx.sleep(millis(ms)).await;
                    transition
                }
                Do::Panic => panic!("as told"),
            };
        }
        if postpones {
            transition = transition.postpone(event);
        }
        transition
    }

    async fn enter(&mut self, old: &State, state: &State, _: &mut Context<Ask>) -> Entered<Probe> {
        self.tell(format!("{old:?} -> {state:?}"));
        let mut entered = Entered::done();
        for step in (self.plan.script)(state, "enter") {
            entered = match step {
                Do::StateTimeout(ms) => entered.state_timeout(millis(ms)),
                Do::Timeout(name, ms) => entered.timeout(name, millis(ms)),
                Do::Stop(reason) => return Entered::stop(reason),
                Do::Panic => panic!("as told"),
                other => unreachable!("an enter call cannot {other:?}"),
            };
        }
        entered
    }

    async fn terminate(&mut self, reason: &ExitReason, state: &State, _: &mut Context<Ask>) {
        self.tell(format!("terminate {reason} in {state:?}"));
    }
}

pub(crate) fn plan(told: Address<String>, script: Script) -> Plan {
    Plan {
        told,
        script,
        trap: false,
        init: || Ok(Initial::state(A)),
    }
}

pub(crate) async fn start(ctx: &Context<String>, plan: Plan) -> Address<Ask> {
    let started = StateMachine::<Probe>::with(plan).start(ctx).await;
    started.expect("its init is fine")
}

/// Lines that the machine told, as many as are expected.
pub(crate) async fn expect(ctx: &Context<String>, lines: &[&str]) {
    for line in lines {
        assert_eq!(ctx.receive_message().await, *line);
    }
}

/// Sends `messages` to a machine, and expects what it tells after its first enter call, and no more.
pub(crate) fn tells(
    script: Script,
    messages: &'static [&'static str],
    lines: &'static [&'static str],
) {
    tells_from(|| Ok(Initial::state(A)), script, messages, lines);
}

pub(crate) fn tells_from(
    init: Init,
    script: Script,
    messages: &'static [&'static str],
    lines: &'static [&'static str],
) {
    one_node(async move |ctx: &Context<String>| {
        let plan = Plan {
            init,
            ..plan(ctx.address(), script)
        };
        let machine = start(ctx, plan).await;
        for message in messages {
            machine.send(Ask::Do((*message).to_owned()));
        }
        expect(ctx, &["A -> A"]).await;
        expect(ctx, lines).await;
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_12_a_change_brings_the_enter_call_inserted_events_postponed_ones_zero_timeouts_then_mail() {
    let script: Script = |state, event| match (state, event) {
        (A, "p1" | "p2") => vec![Do::Postpone],
        (A, "go") => vec![
            Do::Next(B),
            Do::StateTimeout(0),
            Do::Timeout('n', 0),
            Do::Insert("i1"),
            Do::Insert("i2"),
        ],
        _ => vec![],
    };
    tells(
        script,
        &["p1", "p2", "go", "other"],
        &[
            "A: p1",
            "A: p2",
            "A: go",
            "A -> B",
            "B: i1",
            "B: i2",
            "B: p1",
            "B: p2",
            "B: state timeout",
            "B: timeout n",
            "B: other",
        ],
    );
}

#[test]
fn otp_12_an_answer_comes_before_the_enter_call() {
    let script: Script = |_, event| match event {
        "go" => vec![Do::Next(B)],
        _ => vec![],
    };
    let outcomes = one_node(async move |ctx: &Context<String>| {
        let machine = start(ctx, plan(ctx.address(), script)).await;
        machine.send(Ask::Do("go".to_owned()));
        assert_eq!(machine.call(Ask::Answer, secs(1)).await, Ok(7));
        expect(ctx, &["A -> A", "A: go", "A -> B", "B: answer", "B -> A"]).await;
    });
    for outcome in outcomes {
        let sent = events(&outcome)
            .filter(|e| matches!(e, Happened::Send { .. } | Happened::Reply { .. }));
        let sent: Vec<bool> = sent.map(|e| matches!(e, Happened::Reply { .. })).collect();
        // The answers of the start and of the call; after the latter, only the enter call's line is sent.
        let answers: Vec<usize> = (0..sent.len()).filter(|index| sent[*index]).collect();
        assert_eq!(answers[1], sent.len() - 2, "{sent:?}");
    }
}

#[test]
fn otp_12_what_is_postponed_again_comes_before_what_was_not_tried_yet() {
    let script: Script = |state, event| match (state, event) {
        (A, "p1" | "p2" | "p3") | (B, "p1") => vec![Do::Postpone],
        (A, "go") => vec![Do::Next(B)],
        (B, "p2") => vec![Do::Next(C(0)), Do::Insert("i")],
        _ => vec![],
    };
    tells(
        script,
        &["p1", "p2", "p3", "go", "other"],
        &[
            "A: p1",
            "A: p2",
            "A: p3",
            "A: go",
            "A -> B",
            "B: p1",
            "B: p2",
            "B -> C(0)",
            "C(0): i",
            "C(0): p1",
            "C(0): p3",
            "C(0): other",
        ],
    );
}

#[test]
fn otp_12_an_event_that_changes_the_state_and_is_postponed_is_tried_again_last() {
    let script: Script = |state, event| match (state, event) {
        (A, "p") => vec![Do::Postpone],
        (A, "go") => vec![Do::Next(B), Do::Postpone],
        _ => vec![],
    };
    tells(
        script,
        &["p", "go", "other"],
        &["A: p", "A: go", "A -> B", "B: p", "B: go", "B: other"],
    );
}

#[test]
fn otp_12_an_inserted_event_of_an_inserted_event_comes_before_its_siblings() {
    let script: Script = |_, event| match event {
        "go" => vec![Do::Insert("i1"), Do::Insert("i2")],
        "i1" => vec![Do::Insert("j1"), Do::Insert("j2")],
        _ => vec![],
    };
    tells(
        script,
        &["go", "other"],
        &["A: go", "A: i1", "A: j1", "A: j2", "A: i2", "A: other"],
    );
}

#[test]
fn otp_12_a_zero_event_timeout_comes_before_the_mailbox_and_any_event_cancels_it() {
    tells(
        |_, event| match event {
            "go" => vec![Do::EventTimeout(0), Do::Sleep(5)],
            _ => vec![],
        },
        &["go", "other"],
        &["A: go", "A: event timeout", "A: other"],
    );
    tells(
        |_, event| match event {
            "go" => vec![Do::StateTimeout(0), Do::EventTimeout(0)],
            _ => vec![],
        },
        &["go", "other"],
        &["A: go", "A: state timeout", "A: other"],
    );
    tells(
        |_, event| match event {
            "go" => vec![Do::EventTimeout(0), Do::Insert("i")],
            _ => vec![],
        },
        &["go", "other"],
        &["A: go", "A: i", "A: other"],
    );
}

#[test]
fn otp_12_zero_timeouts_come_in_the_order_in_which_they_were_set() {
    tells(
        |_, event| match event {
            "go" => vec![
                Do::EventTimeout(0),
                Do::Timeout('n', 0),
                Do::StateTimeout(0),
                Do::Timeout('m', 0),
            ],
            _ => vec![],
        },
        &["go", "other"],
        &[
            "A: go",
            "A: event timeout",
            "A: timeout n",
            "A: state timeout",
            "A: timeout m",
            "A: other",
        ],
    );
    // Set again, a timeout goes behind the others.
    tells(
        |state, event| match (state, event) {
            (_, "go") => vec![
                Do::Timeout('n', 0),
                Do::Timeout('m', 0),
                Do::Timeout('n', 0),
            ],
            (A, "timeout m") => vec![Do::Next(B), Do::Timeout('m', 0)],
            _ => vec![],
        },
        &["go"],
        &[
            "A: go",
            "A: timeout m",
            "A -> B",
            "B: timeout n",
            "B: timeout m",
        ],
    );
}
