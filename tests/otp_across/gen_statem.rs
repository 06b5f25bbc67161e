//! A state machine that is called from another node: questions that it postpones, in good and bad weather.

use super::{LONG, all_seeds, ends_with, settle, with_client};
use netsplit::{
    Address, CallError, Context, Event, ExitReason, Faults, GenStatem, Initial, Keep, Never,
    Refusal, ReplyTo, Scenario, StateMachine, Transition, millis, secs, stop,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Open,
    Shut,
    /// Answered when the gate is open: the how-manieth passes.
    Pass(ReplyTo<u64>),
    Stop(ExitReason),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Gate {
    Shut,
    Open,
}

struct Keeper {
    passed: u64,
}

impl GenStatem for Keeper {
    type Args = Gate;
    type Message = Ask;
    type State = Gate;
    type Internal = Never;
    type Name = Never;

    async fn init(gate: Gate, _: &mut Context<Ask>) -> Result<(Keeper, Initial<Keeper>), Refusal> {
        Ok((Keeper { passed: 0 }, Initial::state(gate)))
    }

    async fn handle(
        &mut self,
        event: Event<Keeper>,
        gate: &Gate,
        _: &mut Context<Ask>,
    ) -> Transition<Keeper> {
        match (gate, event) {
            (Gate::Shut, early @ Event::External(Ask::Pass(_))) => {
                Transition::keep().postpone(early)
            }
            (Gate::Open, Event::External(Ask::Pass(reply_to))) => {
                self.passed += 1;
                reply_to.reply(self.passed);
                Transition::keep()
            }
            (_, Event::External(Ask::Open)) => Transition::next(Gate::Open),
            (_, Event::External(Ask::Shut)) => Transition::next(Gate::Shut),
            (_, Event::External(Ask::Stop(reason))) => Transition::stop(reason),
            _ => Transition::keep(),
        }
    }
}

/// The node `far` with a gate that is its first process.
fn far(gate: Gate) -> Scenario {
    Scenario::new("gate").node("far", move |ctx: Context<Ask>| {
        StateMachine::<Keeper>::with(gate).name("gate").run(ctx)
    })
}

fn gate() -> Address<Ask> {
    Address::named("far", "gate")
}

#[test]
fn otp_12_postponed_questions_are_answered_oldest_first_across_nodes() {
    with_client(far(Gate::Shut), async |ctx: &Context| {
        let opens = async {
            settle(ctx).await;
            gate().send(Ask::Open);
        };
        let (one, two, three) = (
            gate().call(Ask::Pass, LONG),
            gate().call(Ask::Pass, LONG),
            gate().call(Ask::Pass, LONG),
        );
        let answers = futures::join!(one, two, three, opens);
        assert_eq!(answers, (Ok(1), Ok(2), Ok(3), ()));
    });
}

#[test]
fn otp_08_callers_that_a_machine_has_postponed_hear_of_its_end_across_nodes() {
    with_client(far(Gate::Shut), async |ctx: &Context| {
        let ends = async {
            settle(ctx).await;
            gate().send(Ask::Stop(ExitReason::Shutdown));
        };
        let (answer, ()) = futures::join!(gate().call(Ask::Pass, LONG), ends);
        assert_eq!(answer, Err(CallError::Exit(ExitReason::Shutdown)));
    });
}

#[test]
fn otp_09_stop_ends_a_machine_by_name_across_nodes() {
    with_client(far(Gate::Open), async |_: &Context| {
        assert_eq!(gate().call(Ask::Pass, LONG).await, Ok(1));
        assert_eq!(stop(gate(), ExitReason::Shutdown, LONG).await, Ok(()));
        let again = stop(gate(), ExitReason::Shutdown, LONG).await;
        assert_eq!(again, Err(CallError::NoProc));
    });
}

#[test]
fn otp_07_an_answer_to_a_postponed_question_that_nobody_waits_for_is_stale_across_nodes() {
    let outcomes = with_client(far(Gate::Shut), async |ctx: &Context| {
        let given_up = gate().call(Ask::Pass, secs(200)).await;
        assert_eq!(given_up, Err(CallError::Timeout));
        gate().send(Ask::Open);
        settle(ctx).await;
    });
    for outcome in outcomes {
        assert_eq!((outcome.books.stale, outcome.books.unread), (1, 0));
    }
}

#[test]
fn otp_07_and_08_under_chaos_each_postponed_question_has_one_fate_and_its_call_one_end() {
    // The books of a run that do not balance are an error of it.
    let scenario = ends_with(far(Gate::Shut), async |ctx: &Context| {
        for _ in 0..10 {
            gate().send(Ask::Open);
            let both = futures::join!(gate().call(Ask::Pass, secs(2)), async {
                ctx.sleep(millis(300)).await;
                gate().send(Ask::Shut);
                gate().call(Ask::Pass, secs(2)).await
            });
            for answer in [both.0, both.1] {
                match answer {
                    Ok(_) => ctx.count("passed"),
                    Err(CallError::Timeout) => ctx.count("waited"),
                    Err(CallError::NodeDown(_) | CallError::NoProc) => ctx.count("gone"),
                    // The node was asked to stop.
                    Err(CallError::Exit(reason)) => assert_eq!(reason, ExitReason::Shutdown),
                    Err(error) => {
                        unreachable!("{error}: the client is no gate, and a gate has no bound")
                    }
                }
            }
        }
    });
    let scenario = scenario.faults(Faults::chaos()).horizon(secs(200));
    let outcomes = all_seeds(&scenario, Keep::default());
    for key in ["passed", "waited", "gone"] {
        let seen = outcomes.iter().filter(|o| o.counters.contains_key(key));
        assert!(seen.count() > 20, "hardly any run has {key}");
    }
    assert!(outcomes.iter().any(|outcome| outcome.books.unread > 0));
}
