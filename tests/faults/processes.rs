//! Faults of processes: one is killed, crashes at a message or at a step that it names, has its mailbox
//! flooded; its init fails or hangs, its terminate hangs.

use crate::chaos;
use crate::removal::deviations;
use crate::world::{holds, without_effect};
use netsplit::choice::{Edit, Kind};
use netsplit::explore::{SHRINK_TRIES, Strategy, shrink};
use netsplit::report::Failure;
use netsplit::sim::Planned;
use netsplit::trace::Event;
use netsplit::{
    Address, Bounds, Chance, Context, ExitReason, Fault, Faults, Flow, GenServer, Info, Keep,
    Outcome, Refusal, Scenario, Server, Sim, Supervisor, child, millis, secs,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// What the till has told, with milliseconds.
type Told = Vec<(u64, String)>;

fn tell(ctx: &Context<u64>, line: String) {
    let at = (ctx.now().as_nanos() / 1_000_000, line);
    ctx.observe("told", |told: &mut Told| told.push(at));
}

/// A server that tells what befalls it.
struct Till;

impl GenServer for Till {
    type Args = ();
    type Message = u64;

    async fn init((): (), ctx: &mut Context<u64>) -> Result<Till, Refusal> {
        ctx.trap_exit(true);
        tell(ctx, "up".to_owned());
        Ok(Till)
    }

    async fn handle(&mut self, number: u64, ctx: &mut Context<u64>) -> Flow {
        tell(ctx, format!("writes {number}"));
        ctx.step("written").await;
        tell(ctx, format!("answers {number}"));
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<u64>) -> Flow {
        if info == Info::Noise {
            ctx.count("noise");
        }
        Flow::Next
    }

    async fn terminate(&mut self, reason: &ExitReason, ctx: &mut Context<u64>) {
        tell(ctx, format!("ends {reason}"));
    }
}

async fn shop(ctx: Context<netsplit::otp::ToSupervisor>) -> ExitReason {
    let till = || Server::<Till>::with(()).name("till");
    let tree = Supervisor::one_for_one()
        .name("tree")
        .intensity(1000, secs(1));
    tree.child(child("till", till)).run(ctx).await
}

/// Sends the till a number every 100 ms.
async fn customer(ctx: Context) {
    for number in 0.. {
        ctx.sleep(millis(100)).await;
        Address::<u64>::named("shop", "till").send(number);
    }
}

/// A shop for eight seconds, the last two of them quiet.
fn cluster() -> Scenario {
    Scenario::new("shop")
        .node("shop", shop)
        .client("customer", customer)
        .horizon(secs(8))
        .quiet(secs(2))
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let keep = Keep {
        log: true,
        draws: true,
        payloads: false,
    };
    let outcome = scenario.run_with(Chance::Seed(seed), keep);
    let outcome = outcome.expect("a scenario that can be run");
    assert!(
        outcome.is_ok(),
        "{:?} {:?}",
        outcome.violation,
        outcome.error
    );
    outcome
}

/// What the till tells where this befalls it after so long: planned, and in a script.
fn both_ways(at: Duration, fault: &Fault<String>, check: fn(&Told)) {
    let planned = Faults::calm().at(at, fault.clone());
    holds(
        cluster()
            .faults(planned)
            .finally("as it should be", move |view| {
                check(view.observed("told").expect("something"));
                true
            }),
    );
    let fault = fault.clone();
    holds(cluster().script(move |sim: &mut Sim<'_, '_>| {
        sim.run_for(at);
        sim.apply(fault.clone()).expect("a fault that makes sense");
        sim.run_for(secs(6) - at);
        sim.quiet();
        sim.run_for(secs(2));
        check(&sim.observed("told").expect("something"));
    }));
}

fn times(told: &Told, what: &str) -> Vec<u64> {
    let lines = told.iter().filter(|(_, line)| line.starts_with(what));
    lines.map(|(at, _)| *at).collect()
}

/// The numbers of the lines `writes 3` or `answers 3`, after so many milliseconds.
fn numbers(told: &Told, what: &str, from_ms: u64) -> Vec<u64> {
    let lines = told.iter().filter(|(at, _)| *at >= from_ms);
    let numbers = lines.filter_map(|(_, line)| line.strip_prefix(what)?.trim().parse().ok());
    numbers.collect()
}

/// The numbers that are missing in a row.
fn missing(numbers: &[u64]) -> Vec<u64> {
    let all = numbers[0]..=numbers[numbers.len() - 1];
    all.filter(|number| !numbers.contains(number)).collect()
}

#[test]
fn a_killed_process_ends_without_its_terminate_and_its_supervisor_starts_it_again() {
    both_ways(millis(1_050), &Fault::kill("shop", "till"), |told| {
        assert_eq!(times(told, "up"), [0, 1_050], "{told:?}");
        assert_eq!(times(told, "ends"), [0; 0], "{told:?}");
        assert!(numbers(told, "answers", 7_000).len() > 5, "{told:?}");
    });
}

#[test]
fn by_hand_the_first_process_of_a_node_can_be_killed() {
    both_ways(millis(1_050), &Fault::kill("shop", "tree"), |told| {
        assert_eq!(times(told, "up"), [0], "{told:?}");
        assert_eq!(
            times(told, "ends killed"),
            [1_050],
            "its parent has died: {told:?}"
        );
        assert_eq!(numbers(told, "writes", 1_051), [0; 0], "{told:?}");
    });
}

#[test]
fn a_process_crashes_at_the_message_that_is_counted_before_it_does_anything_with_it() {
    let crash = Fault::crash_at_message("shop", "till", 3);
    both_ways(millis(1_050), &crash, |told| {
        let written = numbers(told, "writes", 0);
        // Ten have come, two come yet.
        assert_eq!(missing(&written), [12], "{told:?}");
        assert_eq!(written, numbers(told, "answers", 0));
        let up = times(told, "up");
        assert!(up.len() == 2 && (1_300..1_320).contains(&up[1]), "{told:?}");
        assert_eq!(times(told, "ends"), [0; 0], "{told:?}");
    });
}

#[test]
fn a_message_at_which_a_process_crashes_counts_as_received() {
    let crash = Fault::crash_at_message("shop", "till", 3);
    let faults = Faults::calm().at(millis(1_050), crash);
    let outcome = run(&cluster().faults(faults).finally("it ends", |_| true), 1);
    let log = outcome.log.as_ref().expect("a log");
    let events: Vec<Event> = log.entries().iter().map(|entry| entry.event).collect();
    let struck = events
        .iter()
        .position(|event| matches!(event, Event::Struck { .. }));
    let struck = struck.expect("it is struck");
    assert!(matches!(events[struck - 1], Event::Receive { .. }));
    assert_eq!((outcome.books.unread, outcome.books.dead), (0, 0));
}

#[test]
fn a_process_that_selects_its_messages_crashes_at_one_too() {
    let selects = |ctx: Context<u64>| async move {
        ctx.register("till").expect("a free name");
        loop {
            let number = ctx.receive_where(|number| number % 2 == 0).await;
            tell(&ctx, format!("takes {number}"));
        }
    };
    let crash = Fault::crash_at_message("shop", "till", 2);
    let scenario = Scenario::new("selects")
        .node("shop", selects)
        .client("customer", customer)
        .faults(Faults::calm().at(millis(450), crash))
        .horizon(secs(2))
        .finally("it crashed", |view| {
            let told: &Told = view.observed("told").expect("something");
            numbers(told, "takes", 0) == [0, 2, 4]
        });
    holds(scenario);
}

#[test]
fn a_process_crashes_between_two_steps_that_it_names() {
    let crash = Fault::crash_at_step("shop", "written", 2);
    both_ways(millis(1_050), &crash, |told| {
        let (written, answered) = (numbers(told, "writes", 0), numbers(told, "answers", 0));
        assert_eq!(missing(&written), [0; 0], "{told:?}");
        assert_eq!(missing(&answered), [11], "{told:?}");
        assert_eq!(times(told, "up").len(), 2, "{told:?}");
    });
    both_ways(
        millis(1_050),
        &Fault::crash_at_step("shop", "read", 1),
        |told| {
            assert_eq!(
                times(told, "up"),
                [0],
                "nobody passes a step of this name: {told:?}"
            );
        },
    );
}

#[test]
fn two_crashes_that_wait_for_the_same_step_count_its_passes_each() {
    let step = |nth| Fault::crash_at_step("shop", "written", nth);
    let faults = Faults::calm()
        .at(millis(1_050), step(4))
        .at(millis(1_060), step(2));
    holds(cluster().faults(faults).finally("both hit", |view| {
        missing(&numbers(
            view.observed("told").expect("something"),
            "answers",
            0,
        )) == [11, 13]
    }));
}

#[test]
fn two_crashes_at_the_same_pass_of_a_step_are_one_crash() {
    let step = || Fault::crash_at_step("shop", "written", 2);
    let faults = Faults::calm()
        .at(millis(1_050), step())
        .at(millis(1_060), step());
    holds(cluster().faults(faults).finally("it went on", |view| {
        let told: &Told = view.observed("told").expect("something");
        missing(&numbers(told, "answers", 0)) == [11]
    }));
}

#[test]
fn an_init_that_fails_is_tried_again_by_the_supervisor() {
    let faults = Faults::calm()
        .at(secs(1), Fault::fail_init("shop", "till"))
        .at(millis(1_050), Fault::kill("shop", "till"));
    let scenario = cluster().faults(faults).finally("it is up again", |view| {
        let told: &Told = view.observed("told").expect("something");
        times(told, "up") == [0, 1_050] && numbers(told, "answers", 7_000).len() > 5
    });
    for seed in 0..4 {
        let outcome = run(&scenario, seed);
        let log = outcome.log.as_ref().expect("a log");
        let exits = log.entries().iter().filter_map(|entry| match entry.event {
            Event::Exit { text, .. } => log.text(text),
            _ => None,
        });
        assert_eq!(exits.collect::<Vec<_>>(), ["a fault: its init fails"]);
    }
}

#[test]
fn an_init_fails_that_comes_with_the_first_boot() {
    let faults = Faults::calm().at(secs(0), Fault::fail_init("shop", "till"));
    holds(
        cluster()
            .faults(faults)
            .finally("the tree has never come up", |view| {
                view.observed::<Told>("told").is_none()
            }),
    );
}

#[test]
fn an_init_hangs_for_as_long_as_it_is_said_to_and_holds_its_name_meanwhile() {
    let faults = Faults::calm().at(secs(0), Fault::hang_init("shop", "till", secs(2)));
    holds(cluster().faults(faults).finally("it is up late", |view| {
        let told: &Told = view.observed("told").expect("something");
        // What came meanwhile waited.
        times(told, "up") == [2_000] && numbers(told, "answers", 0)[0] == 0
    }));
}

#[test]
fn what_hangs_goes_on_when_the_faults_stop() {
    let faults = Faults::calm().at(secs(0), Fault::hang_init("shop", "till", secs(60)));
    holds(cluster().faults(faults).finally("it is up", |view| {
        times(view.observed("told").expect("something"), "up") == [6_000]
    }));
    let waiting = cluster().script(|sim| {
        sim.run_for(millis(500));
        sim.apply(Fault::fail_init("shop", "till"))
            .expect("a fault");
        sim.apply(Fault::crash_at_message("shop", "till", 1_000))
            .expect("a fault");
        sim.run_for(millis(500));
        sim.quiet();
        sim.kill("shop", "till");
        sim.run_for(secs(1));
        let told: Told = sim.observed("told").expect("something");
        assert_eq!(times(&told, "up"), [0, 1_000], "what waited waits no more");
    });
    holds(waiting);
}

#[test]
fn a_terminate_hangs_before_it_runs_and_its_supervisor_kills_it_where_that_is_too_long() {
    let stop = Fault::stop("shop", secs(20), secs(20));
    let stopped = |hangs: Duration| {
        Faults::calm()
            .at(millis(500), Fault::slow_terminate("shop", "till", hangs))
            .at(millis(550), stop.clone())
    };
    holds(
        cluster()
            .faults(stopped(secs(2)))
            .finally("it ends late", |view| {
                let told: &Told = view.observed("told").expect("something");
                times(told, "ends shutdown") == [2_550]
            }),
    );
    let too_long = cluster().faults(stopped(secs(9))).horizon(secs(40));
    holds(too_long.finally("it is killed", |view| {
        let told: &Told = view.observed("told").expect("something");
        let written = times(told, "writes");
        times(told, "ends").is_empty() && !written.iter().any(|at| (551..20_000).contains(at))
    }));
}

#[test]
fn a_flood_is_taken_in_order_with_what_else_comes() {
    let flood = Fault::flood("shop", "till", 1_000);
    let faults = Faults::calm().at(millis(1_050), flood);
    let scenario = cluster().faults(faults).finally("all was taken", |view| {
        let told: &Told = view.observed("told").expect("something");
        view.counter("noise") == 1_000 && missing(&numbers(told, "answers", 0)).is_empty()
    });
    holds(scenario.clone());
    let little = Bounds {
        mailbox: 999,
        ..Bounds::default()
    };
    let outcome = scenario.bounds(little).run(1).expect("it runs");
    let error = outcome.error.expect("the bound is reached").to_string();
    assert!(error.contains("999"), "{error}");
}

#[test]
fn where_nobody_is_there_to_hit_it_is_a_fault_without_effect() {
    let faults = Faults::calm()
        .at(secs(1), Fault::kill("shop", "nobody"))
        .at(secs(2), Fault::flood("customer", "till", 5))
        .at(secs(3), Fault::crash("shop", secs(2)))
        .at(secs(4), Fault::crash_at_message("shop", "till", 1));
    let outcome = run(&cluster().faults(faults).finally("it ends", |_| true), 1);
    assert_eq!(
        without_effect(&outcome),
        [
            "nobody on shop is killed",
            "till on customer is flooded with 5 messages",
            "till on shop crashes at its next message number 1",
        ]
    );
    // The customer's node has no process but its first.
    let drawn = Faults::calm().kill_processes(secs(1));
    let alone = Scenario::new("alone")
        .node("a", |ctx: Context| async move { ctx.sleep(secs(60)).await })
        .faults(drawn)
        .finally("it ends", |_| true);
    let outcome = run(&alone, 1);
    let planned = outcome.plan.faults().len();
    assert!(planned > 10 && without_effect(&outcome).len() == planned);
}

#[test]
fn what_waits_for_a_process_waits_for_it_over_a_reboot() {
    let faults = Faults::calm()
        .at(millis(900), Fault::hang_init("shop", "till", millis(700)))
        .at(secs(1), Fault::crash("shop", secs(1)));
    holds(cluster().faults(faults).finally("it hangs then", |view| {
        times(view.observed("told").expect("something"), "up") == [0, 2_700]
    }));
}

// ---- drawn

/// Everything that can befall a process, often.
fn often() -> Faults {
    Faults::calm()
        .kill_processes(secs(2))
        .crash_at_messages(secs(2), 4)
        .flood(secs(4), 50)
        .crash_at_steps(0.05)
        .fail_inits(0.1)
        .hang_inits(0.2, millis(500))
        .slow_terminates(0.5, secs(2))
        .stop(secs(3), millis(100))
}

fn struck(outcome: &Outcome) -> impl Iterator<Item = (netsplit::Pid, &str)> {
    let log = outcome.log.as_ref().expect("a log");
    log.entries().iter().filter_map(|entry| match entry.event {
        Event::Struck { pid, text, .. } => Some((pid, log.text(text).expect("a text"))),
        _ => None,
    })
}

#[test]
fn a_failure_names_the_process_that_a_drawn_fault_befell_and_the_faults_without_effect() {
    // Nobody starts the till again: the first kill befalls it, and there is nobody for a second.
    let scenario = Scenario::new("shop")
        .node("shop", |ctx: Context| async move {
            ctx.spawn(|ctx: Context| async move {
                ctx.register("till").expect("a free name");
                ctx.sleep(secs(60)).await;
            });
            ctx.sleep(secs(60)).await;
        })
        .faults(Faults::calm().kill_processes(secs(2)))
        .finally("it never ends", |_| false);
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let outcome = scenario.run_with(Chance::Seed(1), keep);
    let outcome = outcome.expect("a scenario that can be run");
    let failure = Failure::new("shop", &outcome, 0, String::new()).expect("it fails");
    let faults = failure.faults.iter();
    let faults: Vec<&str> = faults
        .filter_map(|line| line.split_once(": "))
        .map(|(_, what)| what)
        .collect();
    assert_eq!(faults[0], "<shop.1.0> till on shop is killed");
    let later = |what: &&str| {
        what.starts_with("a process (drawn: ")
            && what.ends_with(" on shop is killed, without effect")
    };
    assert!(
        faults.len() > 3 && faults[1..].iter().all(later),
        "{faults:?}"
    );
}

#[test]
fn drawn_ones_of_every_kind_come_and_spare_first_processes_and_clients() {
    let scenario = cluster().faults(often()).finally("it ends", |_| true);
    let mut kinds = BTreeSet::new();
    for seed in 0..20 {
        let outcome = run(&scenario, seed);
        for (pid, text) in struck(&outcome) {
            assert!(
                pid.node() == netsplit::NodeId::new(0) && pid.slot() > 0,
                "{pid}: {text}"
            );
            kinds.insert(text.split(' ').take(3).collect::<Vec<_>>().join(" "));
        }
        let log = outcome.log.as_ref().expect("a log");
        for entry in log.entries() {
            if let Event::ExitSignal { from, to, reason } = entry.event
                && from == netsplit::Pid::NOBODY
                && reason == netsplit::trace::Reason::Kill
            {
                assert!(to.slot() > 0, "{to}");
                kinds.insert("is killed".to_owned());
            }
        }
        if outcome
            .counters
            .get("noise")
            .is_some_and(|noise| *noise > 0)
        {
            kinds.insert("is flooded".to_owned());
        }
    }
    let all = [
        "is flooded",
        "is killed",
        "it crashes at",
        "its init fails",
        "its init hangs",
        "its terminate hangs",
    ];
    assert_eq!(kinds, all.map(str::to_owned).into());
}

#[test]
fn a_spared_node_is_spared_all_of_it() {
    let faults = often().spare("shop");
    let scenario = cluster().faults(faults).finally("it ends", |_| true);
    for seed in 0..4 {
        let outcome = run(&scenario, seed);
        assert_eq!(
            (struck(&outcome).count(), outcome.plan.faults().len()),
            (0, 0)
        );
    }
}

#[test]
fn every_drawn_one_is_on_the_tape_and_can_be_taken_away_by_itself() {
    let scenario = cluster().faults(often()).finally("it ends", |_| true);
    let of_plan = [Kind::Kill, Kind::CrashAtMessage, Kind::Flood];
    let passing = [
        Kind::CrashAtStep,
        Kind::InitFails,
        Kind::InitHangs,
        Kind::SlowTerminate,
    ];
    let mut gone = BTreeSet::new();
    for seed in 0..6 {
        let first = run(&scenario, seed);
        let tape = deviations(&scenario, &first);
        let again = scenario.run_with(Chance::Tape(tape.clone()), Keep::default());
        assert_eq!(again.expect("it runs").digest, first.digest, "seed {seed}");
        for index in 0..tape.edits.len() {
            let mut less = tape.clone();
            let edit: Edit = less.edits.remove(index);
            if !of_plan.contains(&edit.kind) && !passing.contains(&edit.kind) {
                continue;
            }
            let outcome = scenario.run_with(Chance::Tape(less), Keep::default());
            let outcome = outcome.expect("it runs");
            assert_ne!(outcome.digest, first.digest, "without {edit}");
            let (all, left) = (first.plan.faults(), outcome.plan.faults());
            let missing: Vec<&Planned> = all.iter().filter(|one| !left.contains(one)).collect();
            let expected = usize::from(of_plan.contains(&edit.kind));
            assert_eq!(
                (missing.len(), all.len() - left.len()),
                (expected, expected)
            );
            gone.insert(edit.kind);
        }
    }
    assert_eq!(gone.len(), of_plan.len() + passing.len(), "{gone:?}");
}

#[test]
fn a_failure_shrinks_to_the_one_fault_of_a_process_that_makes_it() {
    let scenario = cluster().faults(Faults::chaos().with_processes()).always(
        "what is written is answered",
        |view| {
            let Some(told) = view.observed::<Told>("told") else {
                return true;
            };
            let (written, answered) = (numbers(told, "writes", 0), numbers(told, "answers", 0));
            written.len() <= answered.len() + 1
        },
    );
    let fails = |seed: &u64| scenario.run(*seed).expect("it runs").violation.is_some();
    let seed = (0..400).find(fails).expect("a seed that fails");
    let shrunk = shrink(&scenario, seed, Strategy::Time, SHRINK_TRIES).expect("less");
    assert!(shrunk.tape.edits.len() <= 3, "{}", shrunk.tape);
    let mut edits = shrunk.tape.edits.iter();
    assert!(edits.all(|edit| !edit.note.is_empty()), "{}", shrunk.tape);
}

#[test]
fn with_processes_chaos_has_more_and_a_supervised_tree_stands_it() {
    let scenario = cluster()
        .faults(Faults::chaos().with_processes())
        .horizon(secs(40))
        .quiet(secs(10))
        .finally("the till answers", |view| {
            let told: &Told = view.observed("told").expect("something");
            !numbers(told, "answers", 38_000).is_empty()
        });
    let mut struck_at_all = 0;
    for seed in 0..40 {
        let outcome = run(&scenario, seed);
        struck_at_all += struck(&outcome).count();
        let again = chaos::run(&scenario, seed, false);
        assert_eq!(
            again.digest, outcome.digest,
            "seed {seed}, with or without a log"
        );
    }
    assert!(struck_at_all > 20, "{struck_at_all}");
}

#[test]
fn a_profile_says_what_befalls_processes() {
    assert_eq!(
        often().to_string(),
        "stop every 3s for 100ms, kill a process every 2s, \
         crash a process every 2s at its next message, up to number 4, \
         flood a mailbox every 4s with up to 50, 5 % of steps crash, 10 % of inits fail, \
         20 % of inits hang, up to 500ms, 50 % of terminates hang, up to 2s"
    );
    let chaos = Faults::chaos().with_processes().to_string();
    assert!(chaos.contains("kill a process every 10s") && chaos.ends_with("as a swarm"));
}
