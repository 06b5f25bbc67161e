//! No silent limit: each bound ends the run with its number, and an event says so; a poll that does not
//! return is named.

use netsplit::sim::{Chance, Keep};
use netsplit::{
    Address, Bounds, Context, Distribution, Event, GenStatem, Initial, Network, Never, Outcome,
    Path, Refusal, RunError, Scenario, StateMachine, Transition, millis, report, secs,
};
use std::process::Command;

fn run(scenario: Scenario, bounds: Bounds) -> Outcome {
    let scenario = scenario.bounds(bounds).finally("it ended", |_| true);
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let run = scenario.run_with(Chance::Seed(7), keep);
    run.expect("a good scenario")
}

/// The run reached this bound: the error says so, and so does its last event.
#[track_caller]
fn reaches(scenario: Scenario, bounds: Bounds, most: u64, what: &str) {
    let outcome = run(scenario, bounds);
    let Some(RunError::Bound(reached)) = &outcome.error else {
        panic!("no bound was reached: {outcome:?}");
    };
    assert_eq!(
        (reached.most, reached.limit.to_string()),
        (most, what.to_owned())
    );
    let text = outcome
        .error
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        text.contains(&format!("its bound of {most} {what}")),
        "{text}"
    );
    let log = outcome.log.as_ref().expect("a log");
    let lines = report::trace::lines(log, &outcome.names);
    let said = format!("the run reaches its bound of {most} {what}");
    let count = lines.iter().filter(|line| line.ends_with(&said)).count();
    assert_eq!(count, 1, "{lines:#?}");
}

fn home<F: Future<Output = ()> + 'static>(
    process: impl Fn(Context<u64>) -> F + Send + Sync + 'static,
) -> Scenario {
    Scenario::new("bounds").client("home", process)
}

#[test]
fn a_run_has_so_many_steps_at_most() {
    let bounds = Bounds {
        steps: 1_000,
        ..Bounds::default()
    };
    let scenario = home(|ctx| async move {
        loop {
            ctx.sleep(millis(1)).await;
        }
    });
    reaches(scenario, bounds, 1_000, "steps in one run");
}

#[test]
fn a_loop_that_never_waits_ends_at_the_steps_of_one_instant() {
    let bounds = Bounds {
        steps_at_once: 1_000,
        ..Bounds::default()
    };
    let scenario = home(|ctx| async move {
        loop {
            ctx.yield_now().await;
        }
    });
    let what = "steps within one instant of virtual time";
    reaches(scenario, bounds, 1_000, what);
}

#[test]
fn two_processes_that_never_let_time_move_end_at_the_steps_of_one_instant() {
    let bounds = Bounds {
        steps_at_once: 1_000,
        ..Bounds::default()
    };
    let scenario = home(|ctx| async move {
        let me = ctx.address();
        let other = ctx.spawn(move |other: Context<u64>| async move {
            loop {
                me.send(other.receive_message().await);
            }
        });
        loop {
            other.send(0);
            ctx.receive_message().await;
        }
    });
    let what = "steps within one instant of virtual time";
    reaches(scenario, bounds, 1_000, what);
}

#[test]
fn steps_of_different_instants_do_not_add_up_to_one_instant() {
    let bounds = Bounds {
        steps_at_once: 20,
        ..Bounds::default()
    };
    let scenario = home(|ctx| async move {
        for _ in 0..1_000 {
            ctx.sleep(millis(1)).await;
        }
    });
    assert_eq!(run(scenario, bounds).error, None);
}

fn small_mailbox() -> Bounds {
    Bounds {
        mailbox: 10,
        ..Bounds::default()
    }
}

#[test]
fn a_mailbox_holds_so_many_messages_at_most() {
    let fill = |count| {
        home(move |ctx| async move {
            (0..count).for_each(|number| ctx.address().send(number));
        })
    };
    assert_eq!(run(fill(10), small_mailbox()).error, None);
    reaches(fill(11), small_mailbox(), 10, "messages in one mailbox");
    reaches(fill(1_000), small_mailbox(), 10, "messages in one mailbox");
}

/// Puts off all that comes.
struct Later;

impl GenStatem for Later {
    type Args = ();
    type Message = u64;
    type State = ();
    type Internal = Never;
    type Name = Never;

    async fn init((): (), _: &mut Context<u64>) -> Result<(Later, Initial<Later>), Refusal> {
        Ok((Later, Initial::state(())))
    }

    async fn handle(
        &mut self,
        event: Event<Later>,
        (): &(),
        _: &mut Context<u64>,
    ) -> Transition<Later> {
        Transition::keep().postpone(event)
    }
}

#[test]
fn a_machine_has_postponed_so_many_messages_at_most() {
    let fill = |count| {
        home(move |ctx| async move {
            let later = StateMachine::<Later>::with(()).start(&ctx).await;
            let later = later.expect("its init is fine");
            for number in 0..count {
                later.send(number);
                ctx.sleep(millis(1)).await;
            }
        })
    };
    assert_eq!(run(fill(10), small_mailbox()).error, None);
    reaches(fill(11), small_mailbox(), 10, "messages in one mailbox");
}

#[test]
fn packets_fill_a_mailbox_whose_process_never_steps_again() {
    let scenario = Scenario::new("bounds")
        .network(Network::new(Path::new(Distribution::Constant(millis(5)))))
        .client("home", |ctx: Context<u64>| async move {
            ctx.register("home").expect("a free name");
            ctx.work(secs(3_600)).await;
        })
        .client("away", |ctx: Context| async move {
            ctx.sleep(millis(1)).await;
            for number in 0..20u64 {
                Address::named("home", "home").send(number);
            }
        });
    reaches(scenario, small_mailbox(), 10, "messages in one mailbox");
}

#[test]
fn a_node_has_so_many_processes_at_most() {
    let bounds = Bounds {
        processes: 10,
        ..Bounds::default()
    };
    let bear = |children, waits: bool| {
        home(move |ctx| async move {
            for _ in 0..children {
                ctx.spawn(|child: Context<u64>| async move {
                    child.receive_message().await;
                });
                if waits {
                    ctx.yield_now().await;
                }
            }
        })
    };
    assert_eq!(run(bear(9, true), bounds.clone()).error, None);
    for waits in [false, true] {
        let scenario = bear(1_000, waits);
        reaches(scenario, bounds.clone(), 10, "processes on one node");
    }
}

#[test]
fn so_many_timers_and_packets_wait_at_most() {
    let bounds = Bounds {
        agenda: 10,
        ..Bounds::default()
    };
    let what = "timers and packets waiting at once";
    let timers = home(|ctx| async move {
        for number in 0..1_000 {
            ctx.send_after(ctx.address(), number, secs(1));
        }
    });
    reaches(timers, bounds.clone(), 10, what);
    let packets = home(|_| async move {
        for number in 0..1_000u64 {
            Address::named("away", "nobody").send_datagram(number);
        }
    });
    let packets = packets.client("away", |_: Context| async {});
    reaches(packets, bounds.clone(), 10, what);
    let sleepers = home(|ctx| async move {
        for _ in 0..1_000 {
            ctx.spawn(|child: Context| async move { child.sleep(secs(1)).await });
        }
    });
    reaches(sleepers, bounds, 10, what);
}

#[test]
fn a_run_below_its_bounds_ends_as_ever() {
    let scenario = home(|ctx| async move { ctx.sleep(secs(1)).await });
    assert_eq!(run(scenario, Bounds::default()).error, None);
}

const CHILD: &str = "NETSPLIT_TEST_CHILD";

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a process that blocks in real time is what the watchdog is for"
)]
fn a_poll_that_does_not_return_is_named_on_standard_error() {
    if std::env::var_os(CHILD).is_some() {
        let bounds = Bounds {
            poll: millis(200),
            ..Bounds::default()
        };
        let scenario = home(|ctx| async move {
            ctx.sleep(millis(1)).await;
            ctx.spawn(|_: Context| async { std::thread::sleep(millis(700)) });
        });
        assert_eq!(run(scenario, bounds).error, None);
        return;
    }
    let this = "a_poll_that_does_not_return_is_named_on_standard_error";
    let binary = std::env::current_exe().expect("this program");
    let child = Command::new(binary)
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .output();
    let child = child.expect("another process");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    let named = "netsplit: bounds, seed 7: the process in slot 1 of node `home` has not returned";
    assert_eq!(said.matches(named).count(), 1, "{said}");
}
