//! Rules 1 to 11 where nodes crash and reboot: a crash falls between two steps or at any call of the host.

use super::{across, all_seeds, dead_letters, ends_with, idle, next_down, next_exit, pid, start};
use netsplit::trace::DeadReason;
use netsplit::{
    Address, CallError, Context, ExitReason, Fault, Faults, Flow, GenServer, Keep, Outcome, Pid,
    Refusal, ReplyTo, Scenario, Server, check, millis, secs,
};

/// Runs `process` as the client of a scenario under these faults.
fn under<M: netsplit::Message>(
    faults: Faults,
    scenario: Scenario,
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) -> Vec<Outcome> {
    let scenario = ends_with(scenario, process).faults(faults);
    all_seeds(&scenario.horizon(secs(100)), Keep::default())
}

/// The node `far` crashes every two seconds or so, between two steps or at one of its next eight calls of
/// the host.
fn crashes() -> Faults {
    Faults::calm().crash(secs(2), millis(300))
}

/// A node whose process, named `echo`, answers with its pid.
fn echo() -> Scenario {
    Scenario::new("echo").node("far", |ctx: Context<ReplyTo<Pid>>| async move {
        ctx.register("echo").expect("a free name");
        loop {
            ctx.receive_message().await.reply(ctx.pid());
        }
    })
}

async fn ask(to: Address<ReplyTo<Pid>>) -> Result<Pid, CallError> {
    to.call(|reply_to| reply_to, secs(1)).await
}

/// Asks by name until somebody else than `but` answers.
async fn who_answers(ctx: &Context, but: Option<Pid>) -> Pid {
    loop {
        match ask(Address::named("far", "echo")).await {
            Ok(pid) if Some(pid) != but => return pid,
            _ => ctx.sleep(millis(10)).await,
        }
    }
}

#[test]
fn otp_03_and_05_a_pid_of_an_earlier_incarnation_is_dead_across_nodes() {
    let scenario = ends_with(echo(), async |ctx: &Context| {
        ctx.trap_exit(true);
        let old = who_answers(ctx, None).await;
        let new = who_answers(ctx, Some(old)).await;
        assert!(new.incarnation() > old.incarnation());
        Address::<u64>::of(old).send(1);
        ctx.link(old);
        let _monitor = ctx.monitor(old);
        let told = (next_exit(ctx).await, next_down(ctx).await);
        // It may have crashed again meanwhile; mostly it has not.
        if told != ((old, ExitReason::NoConnection), ExitReason::NoConnection) {
            assert_eq!(told, ((old, ExitReason::NoProc), ExitReason::NoProc));
            ctx.count("noproc");
        }
    });
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let outcomes = all_seeds(&scenario.faults(crashes()).horizon(secs(100)), keep);
    let told = outcomes
        .iter()
        .filter(|o| o.counters.contains_key("noproc"));
    assert!(told.count() > 150);
    let dead = outcomes
        .iter()
        .filter(|outcome| dead_letters(outcome).contains(&DeadReason::OldIncarnation));
    assert!(dead.count() > 150);
}

#[test]
fn otp_03_and_05_a_crash_gives_noconnection_and_a_node_that_is_down_does_too() {
    let scenario = echo().script(|sim| {
        sim.run_for(secs(1));
        sim.crash("far");
        sim.run_for(secs(10));
        assert_eq!(sim.view(|view| view.counter("done")), 1);
    });
    check(scenario.client("client", |ctx: Context| async move {
        ctx.trap_exit(true);
        let far = who_answers(&ctx, None).await;
        for _ in 0..2 {
            ctx.link(far);
            let _monitor = ctx.monitor(far);
            assert_eq!(next_exit(&ctx).await, (far, ExitReason::NoConnection));
            assert_eq!(next_down(&ctx).await, ExitReason::NoConnection);
            ctx.sleep(secs(1)).await;
        }
        // Unlinking what is gone is nothing.
        ctx.unlink(far);
        assert_eq!(ctx.receive_within(secs(5)).await, None);
        ctx.count("done");
    }));
}

#[test]
fn otp_01_a_crash_inside_a_step_keeps_what_was_sent_before_it_and_nothing_after() {
    const SENDS: u64 = 5;
    type Sent = (Pid, u64, u64);
    let scenario = Scenario::new("prefix").node("far", |ctx: Context| async move {
        for batch in 0.. {
            ctx.sleep(millis(50)).await;
            for n in 0..SENDS {
                Address::<Sent>::named("client", "client").send((ctx.pid(), batch, n));
            }
        }
    });
    let outcomes = under(crashes(), scenario, async |ctx: &Context<Sent>| {
        let mut before: Option<Sent> = None;
        while let Some(received) = ctx.receive_within(secs(2)).await {
            let Some((from, batch, n)) = received.message() else {
                continue;
            };
            let goes_on = match before {
                Some((pid, b, last)) if pid == from && last + 1 < SENDS => (b, last + 1),
                Some((pid, b, _)) if pid == from => (b + 1, 0),
                // What a new incarnation sends begins at its beginning.
                _ => (0, 0),
            };
            if let Some((pid, _, last)) = before
                && pid != from
                && last + 1 < SENDS
            {
                ctx.count("cut");
            }
            assert_eq!((batch, n), goes_on, "after {before:?}");
            before = Some((from, batch, n));
            if ctx.now() > netsplit::Time::ZERO + secs(8) {
                return;
            }
        }
    });
    let cut: u64 = outcomes.iter().filter_map(|o| o.counters.get("cut")).sum();
    assert!(cut > 0, "{cut}");
}

#[test]
fn otp_08_a_call_ends_in_its_answer_or_in_node_down_where_the_server_crashes() {
    let outcomes = under(crashes(), echo(), async |ctx: &Context| {
        let mut downs = 0;
        while downs < 2 {
            let echo = Address::named("far", "echo");
            match echo.call(|to: ReplyTo<Pid>| to, secs(100)).await {
                Ok(_) => ctx.count("answered"),
                Err(CallError::NodeDown(node)) => {
                    assert_eq!(Some(node), ctx.node_named("far"));
                    downs += 1;
                }
                // It boots, and nobody has the name yet.
                Err(CallError::NoProc) => {}
                Err(other) => panic!("{other}"),
            }
            ctx.sleep(millis(20)).await;
        }
    });
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.counters.contains_key("answered"))
    );
}

/// A server that counts its callbacks, and answers.
struct Counted;

impl GenServer for Counted {
    type Args = ();
    type Message = ReplyTo<u32>;

    async fn init(_: (), ctx: &mut Context<ReplyTo<u32>>) -> Result<Counted, Refusal> {
        ctx.trap_exit(true);
        ctx.count("begun");
        for n in 0..4 {
            // A call of the host, at which a crash can fall.
            ctx.observe("init", |at: &mut u32| *at = n);
            ctx.sleep(millis(100)).await;
        }
        ctx.count("initialised");
        Ok(Counted)
    }

    async fn handle(&mut self, reply_to: ReplyTo<u32>, ctx: &mut Context<ReplyTo<u32>>) -> Flow {
        reply_to.reply(ctx.pid().incarnation());
        Flow::Next
    }

    async fn terminate(&mut self, _: &ExitReason, ctx: &mut Context<ReplyTo<u32>>) {
        ctx.count("terminated");
    }
}

/// A node that starts the server, named `server`; no name may be left from before.
fn serves(name: &str) -> Scenario {
    Scenario::new(name).node("far", |ctx: Context| async move {
        if ctx.whereis("server").is_some() {
            ctx.count("taken");
        }
        let server = Server::<Counted>::with(()).name("server");
        server.start_link(&ctx).await.expect("its init is fine");
        idle(ctx).await;
    })
}

#[test]
fn otp_09_terminate_never_runs_on_a_crash() {
    let outcomes = under(crashes(), serves("terminate"), async |ctx: &Context| {
        for _ in 0..100 {
            let server = Address::<ReplyTo<u32>>::named("far", "server");
            let _ = server.call(|to| to, secs(1)).await;
            ctx.sleep(millis(100)).await;
        }
    });
    for outcome in outcomes {
        assert!(!outcome.counters.contains_key("terminated"));
        assert!(outcome.counters["begun"] > 1, "it has crashed");
    }
}

#[test]
fn otp_11_a_crash_during_an_init_leaves_nothing_behind_and_the_next_boot_begins_again() {
    // At each of its first calls of the host in turn.
    for call in 1..=20 {
        let crash = Fault::crash_at_call("far", call, millis(500));
        let faults = Faults::calm().at(netsplit::micros(1), crash);
        let outcomes = under(faults, serves("init"), async |ctx: &Context| {
            let server = Address::<ReplyTo<u32>>::named("far", "server");
            let mut seen = Vec::new();
            while seen.last() != Some(&Ok(1)) && seen.len() < 100 {
                seen.push(server.call(|to| to, secs(10)).await);
                ctx.sleep(millis(50)).await;
            }
            assert_eq!(seen.pop(), Some(Ok(1)), "{seen:?}");
            for answer in seen {
                let node = ctx.node_named("far").expect("a node");
                let allowed = [
                    Ok(0),
                    Err(CallError::NodeDown(node)),
                    Err(CallError::NoProc),
                ];
                assert!(allowed.contains(&answer), "{answer:?}");
            }
        });
        for outcome in outcomes {
            assert!(!outcome.counters.contains_key("taken"));
            assert_eq!(outcome.counters.get("begun"), Some(&2));
        }
    }
}

/// A real host does not know either: to ask the other node takes a message.
#[test]
fn no_process_of_another_node_is_known_to_be_alive() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = start::<u64>().await;
        assert!(!ctx.is_alive(pid(far)));
        let near = ctx.spawn(idle::<u64>);
        assert!(ctx.is_alive(pid(near)));
    });
}
