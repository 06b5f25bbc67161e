//! Law 4: calm is zero, a tape is a base and edits, and it replays to the same run.

use netsplit::choice::{Base, Drift, DriftKind, Edit, Kind, Tape, TapeError};
use netsplit::trace::Event;
use netsplit::{
    Address, Chance, Context, Distribution, Faults, Keep, Network, Outcome, PacketKind, Path,
    Received, ReplyTo, Scenario, millis, secs,
};
use proptest::prelude::*;

const KEEP: Keep = Keep {
    log: true,
    draws: true,
    payloads: true,
};

fn chaos() -> Faults {
    Faults::calm()
        .lose(0.1)
        .duplicate(0.1)
        .reorder(0.1, millis(50))
        .crash(secs(1), millis(100))
        .slow(0.3, millis(1))
        .late_timers(millis(5))
}

/// Two servers that pass a number on, and a client that asks them, under these faults.
fn relay(faults: Faults) -> Scenario {
    let server = |next: &'static str| {
        move |ctx: Context<(u64, ReplyTo<u64>)>| async move {
            ctx.register("relay").expect("a free name");
            loop {
                let (number, reply_to) = ctx.receive_message().await;
                let id = ctx.random_below(10);
                let rest = number.saturating_sub(id);
                if rest == 0 {
                    reply_to.reply(id);
                } else {
                    Address::named(next, "relay").send((rest, reply_to));
                }
            }
        }
    };
    Scenario::new("tape/relay")
        .node("one", server("two"))
        .node("two", server("one"))
        .client("client", |ctx: Context| async move {
            let one = Address::<(u64, ReplyTo<u64>)>::named("one", "relay");
            loop {
                let number = ctx.random_below(40);
                let _ = one.call(|reply_to| (number, reply_to), millis(50)).await;
                ctx.sleep(millis(ctx.random_below(20))).await;
            }
        })
        .faults(faults)
        .finally("it ended", |_| true)
        .horizon(secs(1))
}

/// Nodes that gossip with timers, children and acks.
fn gossip(faults: Faults) -> Scenario {
    let mut scenario = Scenario::new("tape/gossip");
    for (me, you) in [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")] {
        scenario = scenario.node(me, move |ctx: Context<u64>| async move {
            ctx.register("gossip").expect("a free name");
            loop {
                let word = match ctx.receive_within(millis(30)).await {
                    Some(Received::Message(word)) => word / 2,
                    _ => ctx.random_below(64),
                };
                if word > 0 {
                    ctx.spawn(move |child: Context| async move {
                        child.sleep(millis(word % 8)).await;
                        Address::named(you, "gossip").send_datagram_as(PacketKind::Ack, word);
                    });
                }
            }
        });
    }
    let slow = Path::new(Distribution::Exponential {
        min: millis(2),
        mean: millis(4),
    });
    scenario
        .network(Network::default().path("a", "b", slow))
        .faults(faults)
        .finally("it ended", |_| true)
        .horizon(secs(1))
}

fn scenarios(faults: &Faults) -> [Scenario; 2] {
    [relay(faults.clone()), gossip(faults.clone())]
}

fn tape(scenario: &Scenario, seed: u64, base: Base, edits: Vec<Edit>) -> Tape {
    Tape {
        scenario: scenario.name().to_owned(),
        seed,
        base,
        edits,
    }
}

fn play(scenario: &Scenario, tape: Tape) -> Outcome {
    scenario.run_with(Chance::Tape(tape), KEEP).unwrap()
}

fn all_draws(outcome: &Outcome) -> Vec<Edit> {
    let draws = outcome.draws.iter();
    draws.map(|draw| draw.edit(&outcome.lineages)).collect()
}

// --- The same run -----------------------------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn a_tape_of_all_draws_replays_to_the_same_digest(seed: u64, which in 0..2_usize) {
        let scenario = &scenarios(&chaos())[which];
        let first = scenario.run_with(Chance::Seed(seed), KEEP).unwrap();
        prop_assert!(first.draws.len() > 50);
        for base in [Base::Calm, Base::Seed] {
            let written = tape(scenario, seed, base, all_draws(&first)).to_string();
            let again = play(scenario, written.parse().unwrap());
            prop_assert_eq!(&again.drift, &[]);
            prop_assert_eq!(again.digest, first.digest);
            prop_assert_eq!(again.payloads, first.payloads);
            prop_assert_eq!(&again.draws, &first.draws);
        }
    }

    #[test]
    fn a_tape_over_the_seed_without_edits_is_the_run_of_the_seed(seed: u64, which in 0..2_usize) {
        let scenario = &scenarios(&chaos())[which];
        let plain = scenario.run(seed).unwrap();
        let taped = play(scenario, tape(scenario, seed, Base::Seed, Vec::new()));
        prop_assert_eq!(taped.digest, plain.digest);
        prop_assert_eq!(taped.events, plain.events);
        prop_assert_eq!(taped.books, plain.books);
    }

    #[test]
    fn a_calm_tape_has_no_fault_whatever_the_profile(seed: u64, which in 0..2_usize) {
        let faulty = &scenarios(&chaos())[which];
        let calm = play(faulty, tape(faulty, seed, Base::Calm, Vec::new()));
        let log = calm.log.as_ref().expect("the log was kept");
        for entry in log.entries() {
            let fault = matches!(
                entry.event,
                Event::Lost { .. } | Event::Duplicated { .. } | Event::Delayed { .. }
                    | Event::Crash { .. } | Event::Busy { .. }
            );
            prop_assert!(!fault, "{entry:?}");
        }
        prop_assert!(calm.plan.faults().is_empty());
        // The least latency: of what comes at all, all comes 1 ms (from a to b in the gossip 2 ms) later;
        // only what waits for its connection to be set up, as calls do, comes later.
        let mut connected = std::collections::BTreeSet::new();
        let mut left = rustc_hash::FxHashMap::default();
        let mut arrived = 0;
        for entry in log.entries() {
            match entry.event {
                Event::NodeUp { node, peer } => {
                    connected.insert((node, peer));
                }
                Event::Packet { id, to, .. } => {
                    let waits = which == 0 && !connected.contains(&(id.from.node(), to));
                    left.insert(id, (entry.at_ns, to, waits));
                }
                Event::Arrive { id, .. } => {
                    let (at_ns, to, waited) = left[&id];
                    let slow = which == 1 && id.from.node().index() == 0 && to.index() == 1;
                    let least_ns = if slow { 2_000_000 } else { 1_000_000 };
                    let took_ns = entry.at_ns - at_ns;
                    prop_assert!(took_ns == least_ns || waited && took_ns == 3 * least_ns);
                    arrived += 1;
                }
                _ => {}
            }
        }
        prop_assert!(arrived > 20, "{arrived}");
        // And the profile is nothing that a calm tape can see.
        let peaceful = &scenarios(&Faults::calm())[which];
        let peace = play(peaceful, tape(peaceful, seed, Base::Calm, Vec::new()));
        let adversary = |outcome: &Outcome| outcome.draws.iter().any(|draw| {
            draw.site.kind != Kind::Program && draw.outcome != 0
        });
        prop_assert!(!adversary(&calm) && !adversary(&peace));
    }
}

#[test]
fn the_programs_own_draws_stay_the_seeds_on_a_calm_tape() {
    let scenario = relay(chaos());
    let calm = play(&scenario, tape(&scenario, 5, Base::Calm, Vec::new()));
    let own = calm
        .draws
        .iter()
        .filter(|draw| draw.site.kind == Kind::Program);
    let own: Vec<_> = own.collect();
    assert!(own.len() > 20, "{}", own.len());
    assert!(own.iter().all(|draw| draw.outcome == draw.seeded));
    let other = play(&scenario, tape(&scenario, 6, Base::Calm, Vec::new()));
    assert_ne!(calm.digest, other.digest);
}

// --- The text ---------------------------------------------------------------------------------

fn a_tape() -> impl Strategy<Value = Tape> {
    let edit = (
        prop::sample::select(Kind::ALL),
        "[a-qs-zA-Z0-9][a-zA-Z0-9_.-]{0,63}(#[0-9]{1,4}(/[0-9]{1,9}){0,6})?",
        any::<u64>(),
        any::<u64>(),
        "(\\S([^\\p{C}\\n\\r\u{2028}\u{2029}\u{85}]{0,40}\\S)?)?",
    );
    let edits = prop::collection::vec(edit, 0..20).prop_map(|edits| {
        let mut seen = std::collections::BTreeSet::new();
        let edits = edits
            .into_iter()
            .map(|(kind, who, nth, outcome, note)| Edit {
                kind,
                who,
                nth,
                outcome,
                note,
            });
        edits
            .filter(|edit| seen.insert(edit.site()))
            .collect::<Vec<_>>()
    });
    let base = prop::sample::select(vec![Base::Seed, Base::Calm]);
    ("[a-z]{1,9}(/[a-z_]{1,9}){0,2}", any::<u64>(), base, edits).prop_map(
        |(scenario, seed, base, edits)| Tape {
            scenario,
            seed,
            base,
            edits,
        },
    )
}

proptest! {
    #[test]
    fn any_tape_reads_back_from_its_text(tape in a_tape()) {
        prop_assert_eq!(tape.to_string().parse::<Tape>(), Ok(tape));
    }

    #[test]
    fn a_tape_cut_off_anywhere_is_refused_where_it_ends(tape in a_tape(), at: prop::sample::Index) {
        let text = tape.to_string();
        let lines: Vec<&str> = text.lines().collect();
        let kept = at.index(lines.len());
        let cut: String = lines[..kept].iter().map(|line| format!("{line}\n")).collect();
        match cut.parse::<Tape>() {
            Err(TapeError::CutOff { line, .. }) => prop_assert_eq!(line, kept + 1),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn a_garbled_line_is_named_with_its_number(tape in a_tape(), at: prop::sample::Index) {
        let text = tape.to_string();
        let mut lines: Vec<&str> = text.lines().collect();
        let line = at.index(lines.len());
        lines[line] = "%%% no such line";
        let garbled = lines.join("\n");
        match garbled.parse::<Tape>() {
            Err(TapeError::Head(text)) => prop_assert!(line == 0 && text == "%%% no such line"),
            Err(TapeError::Garbled { line: at, text, .. }) => {
                prop_assert_eq!((at, text.as_str()), (line + 1, "%%% no such line"));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn no_text_at_all_makes_the_reader_panic(text in "(netsplit tape 1\n)?\\PC{0,80}") {
        let _ = text.parse::<Tape>();
    }
}

const SAMPLE: &str = "netsplit tape 1\nscenario supe/x\nseed 311\nbase calm\nedits 2\n\
    duplicate worker#0 4 = 1    -- the ack of letter 3\ncrash parent 2 = 204000000\nend\n";

#[test]
fn each_mistake_in_a_tape_is_named_with_its_line() {
    let sample = |from: &str, to: &str| SAMPLE.replacen(from, to, 1).parse::<Tape>();
    let cases = [
        (
            "netsplit tape 1",
            "netsplit tape 2",
            "line 1: this is no tape",
        ),
        ("scenario supe/x", "scenario ", "line 2: `scenario ` is not"),
        ("seed 311", "seed -1", "line 3: `seed -1` is not"),
        (
            "seed 311",
            "seed 18446744073709551616",
            "line 3: `seed 18446744073709551616` is not",
        ),
        ("base calm", "base storm", "line 4: `base storm` is not"),
        ("edits 2", "edits two", "line 5: `edits two` is not"),
        (
            "edits 2",
            "edits 1",
            "line 7: `crash parent 2 = 204000000` is not `end`",
        ),
        ("edits 2", "edits 3", "line 8: `end` is not an edit"),
        (
            "duplicate",
            "duplicates",
            "line 6: `duplicates worker#0 4 = 1",
        ),
        ("worker#0", "worker#x", "line 6: `duplicate worker#x 4 = 1"),
        ("4 = 1", "4 1", "line 6: "),
        ("4 = 1", "4 = 1 2", "line 6: "),
        ("4 = 1", "four = 1", "line 6: "),
        (
            "crash parent 2",
            "duplicate worker#0 4",
            "sets a draw that an earlier line sets already",
        ),
        ("end\n", "end\nend\n", "line 9: `end` is not part of a tape"),
        (
            "end\n",
            "",
            "line 8: the tape is cut off: `end` should stand here",
        ),
    ];
    assert_eq!(SAMPLE.parse::<Tape>().unwrap().edits.len(), 2);
    for (from, to, said) in cases {
        assert!(SAMPLE.contains(from), "{from}");
        let error = sample(from, to).expect_err(to).to_string();
        assert!(error.contains(said), "{to}: {error}");
        assert!(error.starts_with("line "), "{to}: {error}");
    }
}

#[test]
fn a_draw_is_the_same_draw_however_it_is_written() {
    let twice = SAMPLE.replace("crash parent 2", "duplicate worker#00 4");
    let error = twice.parse::<Tape>().expect_err("worker#00 is worker#0");
    assert!(matches!(error, TapeError::Twice { line: 7, .. }), "{error}");
}

#[test]
fn the_tape_of_another_scenario_is_refused_with_both_names() {
    let tape: Tape = SAMPLE.parse().unwrap();
    assert_eq!(tape.of("supe/x"), Ok(()));
    let error = tape.of("supe/y").expect_err("another name");
    let (found, wanted) = ("supe/x".to_owned(), "supe/y".to_owned());
    assert_eq!(error, TapeError::OtherScenario { found, wanted });
}

// --- Drift ------------------------------------------------------------------------------------

fn edit(text: &str) -> Edit {
    text.parse().expect("an edit")
}

#[test]
fn edits_that_do_not_fit_the_run_are_reported_as_drift_and_the_others_are_not() {
    let scenario = relay(Faults::calm());
    let edits: Vec<Edit> = [
        "latency client#0 1 = 18446744073709551615",
        "lose client#0 999999 = 1",
        "lose nobody#0 1 = 1",
        "lose client#0 5 = 9",
        "latency client#0 3 = 1000",
        "downtime one 0 = 5",
    ]
    .map(edit)
    .into();
    let first = play(&scenario, tape(&scenario, 3, Base::Calm, edits.clone()));
    let drift = |index: usize, kind| Drift {
        edit: edits[index].clone(),
        kind,
    };
    assert_eq!(
        first.drift,
        [
            drift(0, DriftKind::OutOfBounds(9_000_000)),
            drift(1, DriftKind::NeverAsked),
            drift(2, DriftKind::NeverAsked),
            drift(3, DriftKind::OutOfBounds(8)),
            drift(5, DriftKind::NeverAsked),
        ]
    );
    let said = first.drift[0].to_string();
    assert!(said.contains("now end at 9000000"), "{said}");
    let outcome = |nth| {
        first.draws.iter().find(|draw| {
            draw.site.kind == Kind::Latency
                && draw.site.nth == nth
                && first.lineages.text(draw.site.who) == "client#0"
        })
    };
    assert_eq!(
        outcome(1).expect("asked").outcome,
        9_000_000,
        "cut to what makes sense"
    );
    assert_eq!(outcome(3).expect("asked").outcome, 1000);
}

#[test]
fn a_tape_makes_a_fault_happen_that_the_profile_does_not_have() {
    let scenario = gossip(Faults::calm());
    let edits = [
        "lose a#0/1 1 = 1",
        "crash b 0 = 500000001",
        "crash-at-call b 0 = 1",
    ];
    let outcome = play(
        &scenario,
        tape(&scenario, 3, Base::Calm, edits.map(edit).into()),
    );
    assert_eq!(outcome.drift, []);
    let log = outcome.log.expect("the log was kept");
    let count =
        |wanted: fn(&Event) -> bool| log.entries().iter().filter(|e| wanted(&e.event)).count();
    assert_eq!(count(|event| matches!(event, Event::Lost { .. })), 1);
    assert_eq!(
        count(|event| matches!(event, Event::Crash { call: 1, .. })),
        1
    );
}
