//! How state machines begin and end: rules 9, 11 and 27 for them, and what becomes of what they postponed.

use super::gen_statem::State::{self, A, B};
use super::gen_statem::{Ask, Do, Init, Plan, Probe, Script, expect, plan, start};
use super::{error, events, next_down, next_exit, nothing_comes, one_node, settle, with_client};
use netsplit::trace::Event as Happened;
use netsplit::{
    Address, CallError, Context, ExitReason, Initial, Outcome, Pid, Refusal, Scenario, StartError,
    StateMachine, Time, millis, secs,
};

fn told(text: &str) -> Ask {
    Ask::Do(text.to_owned())
}

/// A way to end a machine.
type End = fn(&Context<String>, Address<Ask>);

/// Postpones every `p` and every question in state `a`.
const POSTPONES: Script = |state, event| match (state, event) {
    (A, "p" | "answer") => vec![Do::Postpone],
    (A, "go") => vec![Do::Next(B)],
    (_, "stop") => vec![Do::Stop(error("told to"))],
    _ => vec![],
};

#[test]
fn otp_11_init_gives_the_first_state_and_what_is_to_happen_there() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan {
            init: || Ok(Initial::state(B).next_event("i").state_timeout(millis(0))),
            ..plan(ctx.address(), |_, _| vec![])
        };
        let machine = StateMachine::<Probe>::with(plan)
            .name("machine")
            .start(ctx)
            .await;
        let machine = machine.expect("its init is fine");
        assert_eq!(ctx.whereis("machine"), machine.pid());
        machine.send(told("mail"));
        expect(ctx, &["B -> B", "B: i", "B: state timeout", "B: mail"]).await;
    });
}

#[test]
fn otp_11_the_starter_does_not_wait_for_the_first_enter_call() {
    one_node(async |ctx: &Context<String>| {
        let script: Script = |_, event| match event {
            "enter" => vec![Do::Stop(error("in the enter call"))],
            _ => vec![],
        };
        start(ctx, plan(ctx.address(), script)).await;
        let told = ["A -> A", "terminate error: in the enter call in A"];
        expect(ctx, &told).await;
    });
}

#[test]
fn otp_11_a_failed_init_leaves_nothing_behind() {
    one_node(async |ctx: &Context<String>| {
        let failed: [(Init, StartError); 3] = [
            (|| Err(error("no").into()), StartError::Failed(error("no"))),
            (|| Err(Refusal::Ignore), StartError::Ignored),
            (
                || panic!("no"),
                StartError::Failed(ExitReason::Panic("no".to_owned())),
            ),
        ];
        for (init, why) in failed {
            let plan = Plan {
                init,
                ..plan(ctx.address(), |_, _| vec![])
            };
            let machine = StateMachine::<Probe>::with(plan).name("machine");
            assert_eq!(machine.start(ctx).await, Err(why));
            assert_eq!(ctx.whereis("machine"), None);
        }
        ctx.register("machine").expect("a free name");
        let second = StateMachine::<Probe>::with(plan(ctx.address(), |_, _| vec![]));
        let second = second.name("machine").start(ctx).await;
        assert_eq!(second, Err(StartError::AlreadyStarted(ctx.pid())));
    });
}

#[test]
fn otp_09_terminate_runs_on_a_stop_and_sees_reason_and_state() {
    one_node(async |ctx: &Context<String>| {
        let machine = start(ctx, plan(ctx.address(), POSTPONES)).await;
        let _monitor = ctx.monitor(machine.pid().unwrap());
        machine.send(told("go"));
        machine.send(told("stop"));
        let end = [
            "A -> A",
            "A: go",
            "A -> B",
            "B: stop",
            "terminate error: told to in B",
        ];
        expect(ctx, &end).await;
        assert_eq!(next_down(ctx).await, error("told to"));
    });
}

#[test]
fn otp_09_a_stop_in_an_enter_call_ends_in_the_new_state() {
    one_node(async |ctx: &Context<String>| {
        let script: Script = |state, event| match (state, event) {
            (A, "go") => vec![Do::Next(B)],
            (B, "enter") => vec![Do::Stop(error("not here"))],
            _ => vec![],
        };
        let machine = start(ctx, plan(ctx.address(), script)).await;
        machine.send(told("go"));
        let end = [
            "A -> A",
            "A: go",
            "A -> B",
            "terminate error: not here in B",
        ];
        expect(ctx, &end).await;
    });
}

#[test]
fn otp_09_and_27_terminate_runs_on_a_panic_of_a_callback_and_sees_the_state_as_it_left_it() {
    one_node(async |ctx: &Context<String>| {
        let handler: Script = |_, event| match event {
            "go" => vec![Do::Panic],
            _ => vec![],
        };
        // OTP shows the old state after an enter call that failed.
        let enter: Script = |state, event| match (state, event) {
            (A, "go") => vec![Do::Next(B)],
            (B, "enter") => vec![Do::Panic],
            _ => vec![],
        };
        let ends: [(Script, &[&str]); 2] = [
            (
                handler,
                &["A -> A", "A: go", "terminate panic: as told in A"],
            ),
            (
                enter,
                &["A -> A", "A: go", "A -> B", "terminate panic: as told in B"],
            ),
        ];
        for (script, end) in ends {
            let machine = start(ctx, plan(ctx.address(), script)).await;
            let _monitor = ctx.monitor(machine.pid().unwrap());
            machine.send(told("go"));
            expect(ctx, end).await;
            assert_eq!(
                next_down(ctx).await,
                ExitReason::Panic("as told".to_owned())
            );
        }
    });
}

#[test]
fn otp_09_exits_reach_a_machine_as_they_reach_a_server() {
    one_node(async |ctx: &Context<String>| {
        let plan = Plan {
            trap: true,
            ..plan(ctx.address(), |_, _| vec![])
        };
        ctx.trap_exit(true);
        let machine = StateMachine::<Probe>::with(plan.clone());
        let machine = machine.start_link(ctx).await.expect("its init is fine");
        let pid = machine.pid().unwrap();
        ctx.spawn(move |other: Context| async move { other.send_exit(pid, error("another's")) });
        expect(ctx, &["A -> A", "A: exit error: another's"]).await;
        // What is in the mailbox before the parent's exit is handled before it.
        machine.send(told("before"));
        ctx.send_exit(pid, ExitReason::Shutdown);
        machine.send(told("behind"));
        expect(ctx, &["A: before", "terminate shutdown in A"]).await;
        assert_eq!(next_exit(ctx).await, (pid, ExitReason::Shutdown));
        let killed = start(ctx, plan).await.pid().unwrap();
        expect(ctx, &["A -> A"]).await;
        ctx.send_exit(killed, ExitReason::Kill);
        nothing_comes(ctx).await;
    });
}

#[test]
fn a_postponed_question_is_answered_when_its_time_has_come() {
    one_node(async |ctx: &Context<String>| {
        let machine = start(ctx, plan(ctx.address(), POSTPONES)).await;
        ctx.send_after(machine, told("go"), millis(10));
        assert_eq!(machine.call(Ask::Answer, secs(1)).await, Ok(7));
        assert_eq!(ctx.now(), Time::ZERO + millis(10));
    });
}

#[test]
fn what_a_machine_has_postponed_is_unread_at_its_end_once_and_its_callers_get_the_reason() {
    let outcomes = one_node(async |ctx: &Context<String>| {
        let ways: [End; 3] = [
            |_, machine| machine.send(told("stop")),
            |ctx, machine| ctx.send_exit(machine.pid().unwrap(), error("told to")),
            // It is tried again, postponed once more, and then unread all the same.
            |_, machine| {
                machine.send(told("retry"));
                machine.send(told("stop"));
            },
        ];
        let script: Script = |state, event| match (state, event) {
            (A, "retry") => vec![Do::Next(State::C(0))],
            (State::C(_), "p" | "answer") => vec![Do::Postpone],
            (state, event) => POSTPONES(state, event),
        };
        for end in ways {
            let machine = start(ctx, plan(ctx.address(), script)).await;
            machine.send(told("p"));
            machine.send(told("p"));
            let ends_soon = async {
                settle(ctx).await;
                end(ctx, machine);
            };
            let answer = futures::join!(machine.call(Ask::Answer, secs(1)), ends_soon).0;
            assert_eq!(answer, Err(CallError::Exit(error("told to"))));
        }
    });
    for outcome in outcomes {
        let is_unread = |event: &Happened| match event {
            Happened::Unread { by, .. } => Some(by) != client(&outcome).as_ref(),
            _ => false,
        };
        // Two messages and a question of each machine.
        assert_eq!(events(&outcome).filter(is_unread).count(), 9);
    }
}

/// The first process that a run has started.
fn client(outcome: &Outcome) -> Option<Pid> {
    let pid = |event| match event {
        Happened::Spawn { pid, .. } => Some(pid),
        _ => None,
    };
    events(outcome).find_map(pid)
}

#[test]
fn what_is_postponed_when_a_run_ends_is_in_flight() {
    let scenario = Scenario::new("postponed for good").node("home", |ctx: Context| async move {
        let told = ctx.spawn(super::idle::<String>);
        let plan = plan(told, POSTPONES);
        let machine = StateMachine::<Probe>::with(plan).start(&ctx).await?;
        machine.send(Ask::Do("p".to_owned()));
        super::idle(ctx).await;
        Ok::<(), ExitReason>(())
    });
    for outcome in with_client(scenario, async |ctx: &Context| settle(ctx).await) {
        assert_eq!((outcome.books.in_flight, outcome.books.unread), (1, 0));
    }
}

#[test]
fn properties_read_data_and_state_of_a_machine_between_its_events() {
    let scenario = Scenario::new("looked at").node("home", |ctx: Context| async move {
        let lines = ctx.spawn(super::idle::<String>);
        let plan = plan(lines, POSTPONES);
        let machine = StateMachine::<Probe>::with(plan).name("machine");
        machine.start(&ctx).await?.send(told("go"));
        super::idle(ctx).await;
        Ok::<(), ExitReason>(())
    });
    let scenario = scenario.finally("it is in b, and has told three lines", |view| {
        let read = |probe: &Probe, state: &State| (probe.told, state.clone());
        view.state_machine("home", "machine", read) == Ok((3, B))
    });
    with_client(scenario, async |ctx: &Context| settle(ctx).await);
}
