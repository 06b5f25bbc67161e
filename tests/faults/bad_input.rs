//! What makes no sense is refused, with what is wrong, where, and what to do; what only comes at the
//! wrong moment is a fault without effect, and a line in the trace.

use crate::world::{at_end, holds, members, without_effect};
use netsplit::net::RuleError;
use netsplit::sim::FaultError;
use netsplit::{
    Cut, Fault, Faults, PacketFault, PacketKind, Scenario, ScenarioError, Sim, millis, secs,
};
use std::time::Duration;

fn two() -> Scenario {
    members(&["a", "b"], secs(8))
}

/// Why a scenario with these faults cannot be run.
fn refused(faults: Faults) -> String {
    let scenario = two().finally("it ends", |_| true).faults(faults.clone());
    let error = scenario.validate().expect_err("a reason");
    let said = error.to_string();
    assert_eq!(
        scenario.run(1).expect_err("the same reason").to_string(),
        said
    );
    match error {
        ScenarioError::Faults(error) => assert_eq!(said, format!("its faults: {error}")),
        ScenarioError::SparedNode(_) => {}
        other => panic!("{other}"),
    }
    said
}

/// A fault by hand that is refused in a plan and, for the same reason, in a script.
fn refused_by_hand(fault: &Fault<String>) -> String {
    let said = refused(Faults::calm().at(secs(1), fault.clone()));
    let (fault, reason) = (fault.clone(), said.clone());
    holds(two().script(move |sim| {
        let error = sim.apply(fault.clone()).expect_err("a reason");
        assert_eq!(format!("its faults: {error}"), reason);
        sim.run_for(secs(1));
        assert!(sim.is_up("b"), "nothing has happened");
    }));
    said
}

#[test]
fn a_node_that_is_not_there_is_refused_by_its_name_and_that_of_the_fault() {
    let none = || Duration::from_secs(1);
    let no_z = |fault: &str| {
        format!("its faults: `{fault}` names the node `z`, which the cluster does not have")
    };
    let faults = [
        (Fault::crash("z", none()), "z crashes, down for 1s"),
        (
            Fault::power_cut("z", none()),
            "z loses its power, down for 1s",
        ),
        (
            Fault::stop("z", none(), none()),
            "z is asked to stop within 1s, down for 1s",
        ),
        (Fault::pause("z", none()), "z is paused for 1s"),
        (
            Fault::slow("z", none(), none()),
            "z is slow, 1s a step, for 1s",
        ),
        (
            Fault::zombie("z", none()),
            "z is written off and runs on, cut off for 1s",
        ),
        (
            Fault::cut(Cut::between(["a"], ["b", "z"]), none()),
            "cut a | b, z for 1s",
        ),
        (
            Fault::cut(Cut::one_way(["z"], ["b"]), none()),
            "cut z -> b for 1s",
        ),
        (
            Fault::break_connection("a", "z"),
            "the connection of a and z breaks",
        ),
        (
            Fault::clock_forward("z", none()),
            "the wall clock of z steps forward by 1s",
        ),
        (
            Fault::drift("z", 7),
            "the clock of z is 7 parts in a million too fast",
        ),
        (Fault::kill("z", "till"), "till on z is killed"),
    ];
    for (fault, text) in faults {
        assert_eq!(refused_by_hand(&fault), no_z(text));
    }
    let packets = [
        (PacketFault::hold().from("z"), "hold from z"),
        (PacketFault::hold().to("z"), "hold to z"),
    ];
    for (fault, text) in packets {
        assert_eq!(refused(Faults::calm().packets(fault)), no_z(text));
    }
    let said = refused(Faults::calm().crash(secs(1), secs(1)).spare("z"));
    assert_eq!(
        said,
        "its faults spare the node `z`, which the scenario does not have"
    );
}

#[test]
fn a_fault_that_can_mean_nothing_is_refused() {
    let no_time = "ends when it begins: it must last longer than 0";
    let no_sides = "has nothing between which it could lie: name two nodes, one on each side";
    let drift = "is more than a clock can drift: give it less than a million parts in a million";
    let nothing = "does nothing: it counts from 1";
    let one = || Cut::between(["a"], ["b"]);
    let cases = [
        (Fault::pause("b", secs(0)), "b is paused for 0ns", no_time),
        (
            Fault::slow("b", secs(1), secs(0)),
            "b is slow, 1s a step, for 0ns",
            no_time,
        ),
        (
            Fault::zombie("b", secs(0)),
            "b is written off and runs on, cut off for 0ns",
            no_time,
        ),
        (Fault::cut(one(), secs(0)), "cut a | b for 0ns", no_time),
        (
            Fault::cut(Cut::between(["a"], []), secs(1)),
            "cut a |  for 1s",
            no_sides,
        ),
        (
            Fault::cut(Cut::between([], ["a"]), secs(1)),
            "cut  | a for 1s",
            no_sides,
        ),
        (
            Fault::cut(Cut::one_way(["a"], ["a", "a"]), secs(1)),
            "cut a -> a for 1s",
            no_sides,
        ),
        (
            Fault::break_connection("a", "a"),
            "the connection of a and a breaks",
            no_sides,
        ),
        (
            Fault::flap(one(), Duration::from_nanos(999_999), secs(1)),
            "cut a | b for 1s, flapping every 999.999µs",
            "flaps too fast: give it a period of at least 1ms",
        ),
        (
            Fault::clock_back("b", secs(0)),
            "the wall clock of b steps forward by 0ns",
            "changes nothing: let it step by more than 0",
        ),
        (
            Fault::drift("b", -1_000_000),
            "the clock of b is 1000000 parts in a million too slow",
            drift,
        ),
        (
            Fault::drift("b", 1_000_000),
            "the clock of b is 1000000 parts in a million too fast",
            drift,
        ),
        (
            Fault::flood("b", "till", 0),
            "till on b is flooded with 0 messages",
            nothing,
        ),
        (
            Fault::crash_at_message("b", "till", 0),
            "till on b crashes at its next message number 0",
            nothing,
        ),
        (
            Fault::crash_at_step("b", "written", 0),
            "the next step `written` number 0 on b crashes its process",
            nothing,
        ),
        (
            Fault::hang_init("b", "till", secs(0)),
            "the next init of till on b hangs for 0ns",
            no_time,
        ),
        (
            Fault::slow_terminate("b", "till", secs(0)),
            "the next terminate of till on b hangs for 0ns",
            no_time,
        ),
    ];
    for (fault, text, wrong) in cases {
        assert_eq!(
            refused_by_hand(&fault),
            format!("its faults: `{text}` {wrong}")
        );
        let error = Faults::calm()
            .at(secs(1), fault)
            .check()
            .expect_err("a reason");
        assert_eq!(error.to_string(), format!("`{text}` {wrong}"));
    }
    for fine in [
        Fault::drift("b", 999_999),
        Fault::drift("b", -999_999),
        Fault::drift("b", 0),
    ] {
        assert_eq!(Faults::calm().at(secs(1), fine).check(), Ok(()));
    }
}

#[test]
fn a_rate_or_a_duration_of_a_profile_that_makes_no_sense_is_refused() {
    let rate = |what: &str, rate: &str| {
        format!(
            "its faults: the rate of `{what}`: a rate must lie between 0 and 1, and this one is {rate}"
        )
    };
    let zero = |what: &str| {
        format!(
            "its faults: the duration of `{what}` must be longer than 0: leave it out where it \
             should never come"
        )
    };
    let none = |what: &str| {
        format!(
            "its faults: the number of `{what}` must be at least 1: leave it out where it should \
             never come"
        )
    };
    let (no, one) = (secs(0), secs(1));
    let calm = Faults::calm;
    let cases = [
        (calm().lose(1.5), rate("lose", "1.5")),
        (calm().lose(-0.1), rate("lose", "-0.1")),
        (calm().lose_kind(PacketKind::Ack, 2.0), rate("lose", "2")),
        (calm().duplicate(f64::NAN), rate("duplicate", "NaN")),
        (calm().duplicate_kind(PacketKind::Ack, 1.01), rate("duplicate", "1.01")),
        (calm().reorder(f64::INFINITY, one), rate("reorder", "inf")),
        (calm().slow(7.0, one), rate("slow", "7")),
        (calm().reorder(0.1, no), zero("reorder")),
        (calm().slow(0.1, no), zero("slow")),
        (calm().crash(no, one), zero("crash")),
        (calm().power_cut(no, one), zero("cut the power")),
        (calm().stop(no, one), zero("stop")),
        (calm().pause(no, one), zero("pause")),
        (calm().pause(one, no), zero("pause")),
        (calm().zombie(no, one), zero("write off")),
        (calm().zombie(one, no), zero("write off")),
        (calm().partition(no, one), zero("cut the network")),
        (calm().partition(one, no), zero("cut the network")),
        (calm().break_connections(no), zero("break a connection")),
        (calm().step_clocks(no, one), zero("step a clock")),
        (calm().step_clocks(one, no), zero("step a clock")),
        (calm().kill_processes(no), zero("kill a process")),
        (calm().crash_at_messages(no, 1), zero("crash a process")),
        (calm().flood(no, 1), zero("flood a mailbox")),
        (calm().crash_at_messages(one, 0), none("crash_at_messages")),
        (calm().flood(one, 0), none("flood")),
        (calm().crash_at_steps(1.5), rate("crash_at_steps", "1.5")),
        (calm().fail_inits(-0.5), rate("fail_inits", "-0.5")),
        (calm().hang_inits(2.0, one), rate("hang_inits", "2")),
        (calm().hang_inits(0.1, no), zero("hang_inits")),
        (calm().slow_terminates(2.0, one), rate("slow_terminates", "2")),
        (calm().slow_terminates(0.1, no), zero("slow_terminates")),
        (
            calm().drift(1_000_000),
            "its faults: clocks that drift by up to 1000000 parts in a million: give them less than \
             a million"
                .to_owned(),
        ),
    ];
    for (faults, said) in cases {
        assert_eq!(refused(faults.clone()), said);
        let error = faults.check().expect_err("the same reason");
        assert_eq!(format!("its faults: {error}"), said);
    }
    // Down for no time: it reboots at once.
    assert_eq!(
        calm()
            .crash(one, no)
            .power_cut(one, no)
            .stop(one, no)
            .check(),
        Ok(())
    );
    assert_eq!(calm().late_timers(no).drift(0).lose(0.0).check(), Ok(()));
}

#[test]
fn the_longest_durations_and_greatest_numbers_are_taken_as_they_are() {
    let (one, most) = (secs(1), Duration::MAX);
    let faults = Faults::calm()
        .crash(one, most)
        .pause(most, one)
        .zombie(one, most)
        .partition(one, most)
        .step_clocks(one, most)
        .reorder(0.5, most)
        .crash_calls(u64::MAX)
        .drift(999_999)
        .crash_at_messages(one, u32::MAX)
        .hang_inits(1.0, most)
        .slow_terminates(1.0, most)
        .at(one, Fault::crash_at_message("a", "a", u32::MAX))
        .at(one, Fault::hang_init("a", "a", most))
        .at(one, Fault::pause("a", most))
        .at(one, Fault::stop("b", most, most))
        .at(one, Fault::clock_forward("b", most))
        .at(one, Fault::clock_back("b", most))
        .packets(
            PacketFault::delay(0.5, most)
                .during(one..most)
                .nth(u64::MAX),
        );
    for seed in 0..20 {
        let scenario = two().faults(faults.clone()).finally("it ends", |_| true);
        let outcome = scenario.run(seed).expect("a scenario that can be run");
        assert!(outcome.is_ok(), "{:?}", outcome.error);
    }
}

#[test]
fn a_fault_aimed_at_no_packet_is_refused() {
    let hold = PacketFault::hold;
    let cases = [
        (
            PacketFault::lose(1.5),
            "the rate of `lose 150 %`: a rate must lie between 0 and 1, and this one is 1.5",
        ),
        (
            PacketFault::duplicate(-1.0).kind(PacketKind::Ack),
            "the rate of `duplicate -100 % of kind ack`: a rate must lie between 0 and 1, and this one is -1",
        ),
        (
            PacketFault::delay(2.0, secs(1)),
            "the rate of `delay 200 % by up to 1s`: a rate must lie between 0 and 1, and this one is 2",
        ),
        (
            PacketFault::delay(0.5, secs(0)),
            "the delay of `delay 50 % by up to 0ns` must be longer than 0",
        ),
        (
            hold().during(secs(5)..secs(2)),
            "the window of `hold between 5s and 2s` holds no moment: it must end after it begins",
        ),
        (
            hold().during(secs(2)..secs(2)),
            "the window of `hold between 2s and 2s` holds no moment: it must end after it begins",
        ),
        (
            hold().nth(0),
            "`hold, number 0 of them`: packets are counted from 1",
        ),
        (
            PacketFault::never_answer().kind(PacketKind::Data),
            "`never answer of kind data`: answers are of kind reply, and of no other",
        ),
        (
            hold().from("a").to("a"),
            "`hold from a to a`: what a node sends to itself is no packet, so no fault can befall it",
        ),
    ];
    for (fault, said) in cases {
        let error = fault.check().expect_err("a reason");
        assert_eq!(error.to_string(), said);
        let faults = Faults::calm().packets(fault.clone());
        assert_eq!(faults.check(), Err(FaultError::Packets(error)));
        assert_eq!(refused(faults), format!("its faults: {said}"));
        let outcome = two()
            .script(move |sim| sim.packets(&fault))
            .run(1)
            .expect("it runs");
        let violation = outcome.violation.expect("a panic of the script");
        assert!(violation.detail.contains(said), "{}", violation.detail);
    }
    assert_eq!(
        PacketFault::never_answer().kind(PacketKind::Reply).check(),
        Ok(())
    );
}

#[test]
fn what_would_begin_when_faults_have_stopped_is_refused() {
    // Eight seconds, of which the last two are quiet.
    let late = |at| refused(Faults::calm().at(at, Fault::pause("b", secs(1))));
    let said =
        "its faults: `b is paused for 1s` would begin at 6s, and faults stop at 6s: see `quiet(…)`";
    assert_eq!(late(secs(6)), said);
    let in_time = Faults::calm().at(millis(5_999), Fault::pause("b", secs(1)));
    let scenario = two().faults(in_time).finally("it ends", |_| true);
    assert_eq!(scenario.validate(), Ok(()));
    let fault = PacketFault::hold().during(secs(6)..secs(7));
    let said = "its faults: the window of `hold between 6s and 7s` begins when faults have stopped, at 6s: \
                see `quiet(…)`";
    assert_eq!(refused(Faults::calm().packets(fault.clone())), said);
    assert_eq!(fault.check(), Ok(()), "by itself it makes sense");
    let planned = two()
        .faults(Faults::calm().packets(fault))
        .finally("it ends", |_| true);
    let error = planned.validate().expect_err("a reason");
    let ScenarioError::Faults(FaultError::Packets(RuleError::TooLate { end, .. })) = error else {
        panic!("{error}")
    };
    assert_eq!(end, secs(6));
    let script = two().script(|sim| {
        sim.run_for(secs(3));
        sim.packets(&PacketFault::hold().during(secs(1)..secs(3)));
    });
    let detail = script
        .run(1)
        .expect("it runs")
        .violation
        .expect("a panic")
        .detail;
    let said = "the window of `hold between 1s and 3s` is over: it is 3.000 s already";
    assert!(detail.contains(said), "{detail}");
}

#[test]
fn the_verbs_of_a_script_panic_with_the_same_words() {
    type Verb = fn(&mut Sim<'_, '_>);
    let cases: [(Verb, &str); 8] = [
        (
            |sim| sim.crash("z"),
            "`z crashes, down for good` names the node `z`, which the cluster",
        ),
        (
            |sim| sim.partition(["a"], ["z"]),
            "`cut a | z until it is ended` names the node `z`",
        ),
        (
            |sim| sim.partition(["a"], []),
            "has nothing between which it could lie: name two nodes",
        ),
        (
            |sim| sim.slow("z", secs(1)),
            "`z is slow, 1s a step, until it is ended` names the node `z`",
        ),
        (
            |sim| sim.drift("a", -1_000_000),
            "is more than a clock can drift",
        ),
        (
            |sim| sim.clock_back("a", secs(0)),
            "changes nothing: let it step by more than 0",
        ),
        (|sim| sim.resume("z"), "the cluster has no node named `z`"),
        (|sim| sim.boot("z"), "the cluster has no node named `z`"),
    ];
    for (verb, said) in cases {
        let outcome = two().script(verb).run(1).expect("it runs");
        let detail = outcome.violation.expect("a panic of the script").detail;
        assert!(detail.contains(said), "{detail}");
    }
}

#[test]
fn a_fault_that_comes_at_the_wrong_moment_has_no_effect_and_the_trace_says_so() {
    let down = Fault::Crash {
        node: "b".to_owned(),
        call: 0,
        down_for: None,
    };
    let pause = || Fault::pause("b", secs(4));
    let second = || secs(1);
    let befalls_b = || {
        vec![
            Fault::stop("b", second(), second()),
            Fault::pause("b", second()),
            Fault::slow("b", second(), second()),
            Fault::zombie("b", second()),
        ]
    };
    let ends_b = vec![
        Fault::crash("b", second()),
        Fault::crash_at_call("b", 3, second()),
        Fault::power_cut("b", second()),
    ];
    let cases = [
        // To a node that is down, nothing can be done.
        (down, [ends_b, befalls_b()].concat()),
        (pause(), befalls_b()),
        // The old one still runs.
        (
            Fault::zombie("b", secs(4)),
            vec![Fault::zombie("b", second())],
        ),
        // They have none: the cut was there before the first beat.
        (
            Fault::cut(Cut::between(["a"], ["b"]), secs(4)),
            vec![Fault::break_connection("a", "b")],
        ),
    ];
    for (before, after) in cases {
        for fault in after {
            let faults = Faults::calm()
                .at(secs(0), before.clone())
                .at(secs(1), fault.clone());
            let planned = two().faults(faults);
            let (_, outcome) = at_end::<Vec<crate::world::Heard>>(planned, "heard", 1);
            assert_eq!(without_effect(&outcome), [fault.to_string()], "{before}");
            let (before, text) = (before.clone(), fault.to_string());
            let script = two().script(move |sim| {
                sim.apply(before.clone()).expect("a fault that makes sense");
                sim.run_for(secs(1));
                assert_eq!(sim.apply(fault.clone()), Ok(()));
                sim.run_for(secs(1));
            });
            let (_, outcome) = at_end::<Vec<crate::world::Heard>>(script, "heard", 1);
            assert_eq!(without_effect(&outcome), [text]);
        }
    }
    // Asked to stop, b needs a while: meanwhile it cannot be asked again.
    let faults = Faults::calm()
        .at(millis(999), Fault::stop("s", secs(3), secs(1)))
        .at(secs(2), Fault::stop("s", secs(1), secs(1)));
    let stops = two().node("s", |ctx: netsplit::Context| async move {
        ctx.trap_exit(true);
        ctx.sleep(secs(20)).await;
    });
    let (_, outcome) = at_end::<Vec<crate::world::Heard>>(stops.faults(faults), "heard", 1);
    let text = "s is asked to stop within 1s, down for 1s";
    assert_eq!(without_effect(&outcome), [text]);
    let log = outcome.log.as_ref().expect("a log");
    let lines = netsplit::report::trace::lines(log, &outcome.names);
    let line = format!("a fault without effect: {text}");
    assert!(
        lines.iter().any(|other| other.ends_with(&line)),
        "{lines:?}"
    );
}

#[test]
fn a_strategy_that_does_not_exist_is_a_typed_error_with_those_that_do() {
    // That it ends the command with code 2 is a test of the command line.
    let error = "wlk"
        .parse::<netsplit::explore::Strategy>()
        .expect_err("a reason");
    let said = "there is no strategy `wlk`: write one of time, walk, pos, pct, swarm";
    assert_eq!(error.to_string(), said);
}
