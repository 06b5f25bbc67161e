//! Histories as data: those of supervisors that keep the rules, and for each rule some that break it.
//!
//! A history is a text, a thing to a line. `a`, `b`, … are children 0, 1, …; `a1`, `a2` are processes of `a`,
//! one after the other; the supervisor is `S`, unless a line names another in front of a colon
//! (`T: begins …`).

use super::{Breach, Complaint, supervision};
use crate::trace::{
    Entry, Event, Log, Name, NodeId, Pid, Reason, Restart, Strategy, Supervision, TextId,
};

/// A history, line by line, as a log.
struct Teller {
    log: Log,
    at_ns: u64,
    /// How far the clock of its node is ahead.
    ahead_ns: u64,
}

fn pid(name: &str) -> Pid {
    let mut letters = name.bytes();
    let (letter, number) = (letters.next().unwrap_or(0), letters.next().unwrap_or(0));
    Pid::new(
        NodeId::new(0),
        0,
        u32::from(letter) * 256 + u32::from(number),
        0,
    )
}

fn child(name: &str) -> u32 {
    u32::from(name.as_bytes()[0].to_ascii_lowercase() - b'a')
}

fn reason(text: Option<&str>) -> Reason {
    match text.unwrap_or("error") {
        "normal" => Reason::Normal,
        "shutdown" => Reason::Shutdown,
        "shutdown(_)" => Reason::ShutdownWith,
        "killed" => Reason::Killed,
        "error" => Reason::Error,
        other => panic!("no such reason: {other}"),
    }
}

fn restart(words: &[&str]) -> Restart {
    match words {
        _ if words.contains(&"temporary") => Restart::Temporary,
        _ if words.contains(&"transient") => Restart::Transient,
        _ => Restart::Permanent,
    }
}

impl Teller {
    fn push(&mut self, event: Event) {
        self.log.push(Entry {
            at_ns: self.at_ns,
            step: self.log.entries().len() as u64,
            event,
        });
    }

    fn exit(&mut self, process: &str, reason: Reason) {
        let (pid, text) = (pid(process), TextId::NONE);
        self.push(Event::Exit { pid, reason, text });
    }

    fn line(&mut self, line: &str) {
        let (by, line) = line.split_once(": ").unwrap_or(("S", line));
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, rest) = (words[0], &words[1..]);
        let who = rest.first().copied().unwrap_or_default();
        let third = rest.get(1).copied();
        let supervisor = pid(by);
        let tells = |what| Event::Supervision {
            by: supervisor,
            what,
        };
        let by_hand = rest.contains(&"by_hand");
        let child_of = |who: &str| child(who);
        match verb {
            "at" => self.at_ns = who.parse::<u64>().expect("milliseconds") * 1_000_000,
            "ahead" => self.ahead_ns = who.parse::<u64>().expect("milliseconds") * 1_000_000,
            "begins" => self.push(tells(Supervision::Begins {
                strategy: match who {
                    "one_for_one" => Strategy::OneForOne,
                    "one_for_all" => Strategy::OneForAll,
                    "rest_for_one" => Strategy::RestForOne,
                    "dynamic" => Strategy::SimpleOneForOne,
                    other => panic!("no such strategy: {other}"),
                },
                intensity: third.expect("an intensity").parse().expect("a number"),
                period_ns: 5_000_000_000,
            })),
            "up" => {
                let process = format!("{who} {}", rest[1..].join(" "));
                self.line(&format!("{by}: starts {process}"));
                self.line(&format!("{by}: spawns {who}"));
                self.line(&format!("{by}: started {who}"));
            }
            "starts" => self.push(tells(Supervision::Starts {
                child: child_of(who),
                restart: restart(rest),
                by_hand,
                id: TextId::NONE,
            })),
            "spawns" => self.push(Event::Spawn {
                pid: pid(who),
                parent: supervisor,
            }),
            "started" => self.push(tells(Supervision::Started {
                child: child_of(who),
                pid: pid(who),
            })),
            "ignores" | "fails" => self.push(tells(Supervision::NotStarted {
                child: child_of(who),
                ignored: verb == "ignores",
            })),
            "stops" => self.push(tells(Supervision::Stops {
                child: child_of(who),
                pid: pid(who),
                by_hand,
            })),
            "stop" => {
                self.line(&format!("{by}: stops {}", rest.join(" ")));
                self.exit(who, Reason::Shutdown);
            }
            "dies" => {
                let reason = reason(third);
                self.exit(who, reason);
                let (from, to) = (pid(who), supervisor);
                self.push(Event::ExitSignal { from, to, reason });
            }
            "exits" => self.exit(who, reason(third)),
            "ended" => self.push(tells(Supervision::Ended {
                child: child_of(who),
            })),
            "restarts" => self.push(tells(Supervision::Restarts {
                child: child_of(who),
                clock_ns: self.at_ns + self.ahead_ns,
            })),
            "waits" => self.push(tells(Supervision::Waits {
                child: child_of(who),
                for_ns: 1,
            })),
            "gives_up" => self.push(tells(Supervision::GivesUp {
                child: child_of(who),
                clock_ns: self.at_ns + self.ahead_ns,
            })),
            "deletes" => self.push(tells(Supervision::Deletes {
                child: child_of(who),
            })),
            "shuts_down" => self.push(tells(Supervision::ShutsDown)),
            "named" => self.push(Event::Named {
                pid: pid(who),
                name: Name::of(7),
            }),
            "unnamed" => self.push(Event::Unnamed {
                pid: pid(who),
                name: Name::of(7),
            }),
            "struck" => {
                let (pid, for_ns, text) = (pid(who), 0, TextId::NONE);
                self.push(Event::Struck { pid, for_ns, text });
            }
            "crash" => self.push(Event::Crash {
                node: NodeId::new(0),
                incarnation: 0,
                call: 0,
            }),
            other => panic!("no such line: {other}"),
        }
    }
}

/// What is said of a history, whose lines may also be parted by commas.
fn judged(history: &str) -> Result<(), Complaint> {
    let mut teller = Teller {
        log: Log::default(),
        at_ns: 0,
        ahead_ns: 0,
    };
    let lines = history.split(['\n', ',']).map(str::trim);
    for line in lines.filter(|line| !line.is_empty()) {
        teller.line(line);
    }
    supervision(&teller.log)
}

/// The ways in which a supervisor begins that has a, b and c.
fn abc(strategy: &str, intensity: u32) -> String {
    format!("begins {strategy} {intensity}, up a1, up b1, up c1,")
}

#[track_caller]
fn is_good(history: &str) {
    if let Err(complaint) = judged(history) {
        panic!("{complaint}\n{history}");
    }
}

#[track_caller]
fn is_bad(history: &str, with: &str, breach: Breach) {
    let complaint = judged(history).err();
    let found = complaint.map(|complaint| complaint.breach);
    assert_eq!(found, Some(breach), "{history}");
    let child = (!with.is_empty()).then(|| child(with));
    assert_eq!(
        complaint.and_then(|complaint| complaint.child),
        child,
        "{history}"
    );
}

#[test]
fn histories_of_one_for_one_that_are_as_they_should_be() {
    let s = abc("one_for_one", 1);
    is_good(&format!(
        "{s} dies b1, restarts b, up b2, stop c1, stop b2, stop a1, exits S shutdown"
    ));
    // Two ends, seen to in their order; the second is one too many.
    is_good(&format!(
        "{s} dies b1, dies a1, restarts b, up b2, gives_up a, stop c1, stop b2, exits S shutdown"
    ));
    // A restart that fails is counted and tried again; meanwhile others are asked for.
    let t = abc("one_for_one", 2);
    is_good(&format!(
        "{t} dies b1, restarts b, starts b, spawns b2, exits b2, fails b, up d1 by_hand,
         restarts b, up b3, stop d1, stop c1, stop b3, stop a1, exits S shutdown"
    ));
    // What it has stopped is dead already; what it stops by hand comes back by hand.
    is_good(&format!(
        "{s} dies c1, stops c1, stop b1, stop a1, exits S normal"
    ));
    is_good(&format!(
        "{s} stop b1 by_hand, up b2 by_hand, stop c1, stop b2, stop a1, exits S"
    ));
    // A wait before a restart, in which another ends.
    let t = abc("one_for_one", 2);
    is_good(&format!(
        "{t} dies b1, restarts b, waits b, dies a1, restarts a, waits a, up b2, up a2"
    ));
    // A supervisor that is killed leaves all to its links.
    is_good(&format!(
        "{s} exits S killed, exits a1 killed, exits b1 killed, exits c1"
    ));
    // Nor does one that a fault crashes do anything more.
    is_good(&format!(
        "{s} struck S, exits S error, exits a1 error, exits b1 error, exits c1"
    ));
    is_bad(&format!("{s} exits S error"), "a", Breach::LeavesRunning);
    // A new child that fails is forgotten, and so is its number.
    is_good(&format!("{s} starts d by_hand, fails d, up e1 by_hand"));
    // One that unlinked itself is not seen to.
    is_good(&format!("{s} exits b1, dies a1, restarts a, up a2"));
}

#[test]
fn histories_of_groups_that_are_as_they_should_be() {
    let s = abc("one_for_all", 2);
    is_good(&format!(
        "{s} dies b1, restarts b, stop c1, stop a1, up a2, up b2, up c2"
    ));
    is_good(&format!(
        "{s} dies b1, restarts b, stop c1, stop a1, up a2, starts b, fails b,
         restarts b, stop a2, up a3, up b2, up c2"
    ));
    // It comes to its end while its group is stopped: no second restart.
    is_good(&format!(
        "{s} dies b1, restarts b, stop c1, dies a1, stops a1, up a2, up b2, up c2"
    ));
    is_good(&format!(
        "{s} dies a1, restarts a, stop c1, stop b1, waits a, up a2, up b2, up c2"
    ));
    is_good(
        "begins one_for_all 1, up a1 temporary, up b1 transient, starts c temporary, ignores c,
         up d1, dies b1 normal, ended b, dies d1, restarts d, stop a1, up b2 transient, up d2",
    );
    let s = abc("rest_for_one", 1);
    is_good(&format!("{s} dies b1, restarts b, stop c1, up b2, up c2"));
    is_good(&format!("{s} dies c1, restarts c, up c2"));
    is_good(&format!(
        "{s} stop b1 by_hand, deletes b, dies a1, restarts a, stop c1, up a2, up c2"
    ));
    // A group waits; a child of it is started by hand; one before it ends, and all wait again.
    let s = abc("rest_for_one", 2);
    is_good(&format!(
        "{s} dies b1, restarts b, stop c1, waits b, up c2 by_hand, dies a1, restarts a, stop c2,
         waits a, up a2, up b2, up c3"
    ));
    is_good(&format!(
        "{s} dies b1, restarts b, stop c1, waits b, up c2 by_hand, up b2, dies c2"
    ));
}

#[test]
fn histories_of_dynamic_and_of_nested_supervisors_that_are_as_they_should_be() {
    let s = "begins dynamic 1, up a1 by_hand, up b1 by_hand, up c1 by_hand,";
    is_good(&format!(
        "{s} stops a1, stops b1, stops c1, exits c1, exits a1, exits b1, exits S normal"
    ));
    is_good(&format!(
        "{s} dies b1, restarts b, up b2, stop a1 by_hand, up d1 by_hand"
    ));
    is_good(&format!(
        "{s} dies b1, restarts b, waits b, up d1 by_hand, up b2"
    ));
    is_good(
        "begins one_for_one 0, starts T, spawns T, T: begins one_for_one 0, T: up b1, T: up c1,
         started T, T: dies b1, T: gives_up b, T: stop c1, exits T shutdown",
    );
    is_good("begins one_for_one 0, up a1, crash, begins one_for_one 0, up a1");
}

#[test]
fn histories_of_starts_and_of_shutdowns_that_are_as_they_should_be() {
    is_good(
        "begins one_for_one 1, up a1, up b1, starts c, fails c, stop b1, stop a1, exits S shutdown(_)",
    );
    is_good("begins one_for_one 1, up a1 transient, up b1, dies a1 normal, ended a, shuts_down, stop b1,
             exits S shutdown");
    is_good("begins one_for_one 0, starts a, spawns a1, named a1, started a1, unnamed a1, dies a1 error,
             gives_up a, exits S shutdown");
    // It had ended before its start was told to be through.
    is_good("begins one_for_one 1, starts a, spawns a1, dies a1, started a1, restarts a, up a2");
    // A helper of a start is nobody's child.
    is_good(
        "begins one_for_one 1, starts a, spawns x1, spawns a1, started a1, dies x1, dies a1, restarts a",
    );
}

#[test]
fn two_incarnations_at_a_time_are_told() {
    let s = abc("one_for_one", 9);
    is_bad(&format!("{s} starts b by_hand"), "b", Breach::Overlaps);
    is_bad(
        &format!("{s} stops b1 by_hand, starts b by_hand"),
        "b",
        Breach::StopsStill,
    );
    is_bad(
        &format!("{s} stops b1 by_hand, up d1 by_hand"),
        "b",
        Breach::StopsStill,
    );
    is_bad(&format!("{s} stops c1, stops b1"), "c", Breach::StopsStill);
    is_bad(
        "begins one_for_one 1, starts a, spawns a1, fails a",
        "a",
        Breach::LeavesBehind,
    );
    is_bad(
        "begins one_for_one 1, starts a, spawns a1, ignores a",
        "a",
        Breach::LeavesBehind,
    );
}

#[test]
fn starts_that_nobody_counted_are_told() {
    let s = abc("one_for_one", 9);
    is_bad(&format!("{s} dies b1, starts b"), "b", Breach::NotDue);
    is_bad(
        &format!("{s} dies b1, restarts b, starts a"),
        "a",
        Breach::Overlaps,
    );
    is_bad(
        &format!("{s} dies b1, restarts b, up b2, up b3"),
        "b",
        Breach::Overlaps,
    );
    is_bad(
        &format!("{s} dies b1, dies a1, restarts b, starts a"),
        "a",
        Breach::StartOrder,
    );
    is_bad(
        &format!("{s} stop b1 by_hand, starts b"),
        "b",
        Breach::NotDue,
    );
    // A child more, once it has begun; one that it had dropped.
    is_bad(
        &format!("{s} dies b1, restarts b, up b2, starts d"),
        "d",
        Breach::NotDue,
    );
    is_bad(
        "begins one_for_one 1, up a1 temporary, dies a1, ended a, starts a by_hand",
        "a",
        Breach::NotDue,
    );
    is_bad("begins one_for_one 1, up a1, waits a", "a", Breach::NotDue);
}

#[test]
fn starts_that_are_mixed_up_are_told() {
    is_bad(
        "begins one_for_one 1, starts a, starts b",
        "a",
        Breach::StartsStill,
    );
    is_bad(
        "begins one_for_one 1, up a1, starts b, stops a1",
        "b",
        Breach::StartsStill,
    );
    is_bad(
        "begins one_for_one 1, starts a, started b1",
        "b",
        Breach::NotStarting,
    );
    is_bad("begins one_for_one 1, fails a", "a", Breach::NotStarting);
}

#[test]
fn groups_that_are_not_restarted_as_they_should_be_are_told() {
    let s = abc("one_for_all", 9);
    is_bad(
        &format!("{s} dies b1, restarts b, stop a1"),
        "a",
        Breach::StopOrder,
    );
    is_bad(
        &format!("{s} dies b1, restarts b, starts b"),
        "b",
        Breach::StartsTooSoon,
    );
    is_bad(
        &format!("{s} dies b1, restarts b, stop c1, starts b"),
        "b",
        Breach::StartsTooSoon,
    );
    is_bad(
        &format!("{s} dies b1, restarts b, stop c1, stop a1, starts b"),
        "b",
        Breach::StartOrder,
    );
    let stopped = format!("{s} dies b1, restarts b, stop c1, stop a1, up a2,");
    is_bad(&format!("{stopped} starts c"), "c", Breach::StartOrder);
    is_bad(
        &format!("{stopped} up b2, dies a2, restarts a"),
        "c",
        Breach::Unfinished,
    );
    is_bad(&format!("{stopped} up d1 by_hand"), "b", Breach::Unfinished);
    is_bad(&format!("{stopped} stop a2"), "b", Breach::Unfinished);
    is_bad(
        &format!("{s} dies b1, restarts b, stop c1, waits b"),
        "b",
        Breach::StartsTooSoon,
    );
    let s = abc("rest_for_one", 9);
    is_bad(
        &format!("{s} dies b1, restarts b, stop a1"),
        "a",
        Breach::StopOrder,
    );
    is_bad(
        &format!("{s} dies b1, restarts b, starts b"),
        "b",
        Breach::StartsTooSoon,
    );
    is_bad(
        &format!("{s} dies b1, restarts b, stop c1, starts c"),
        "c",
        Breach::StartOrder,
    );
    let s = abc("one_for_one", 9);
    is_bad(
        &format!("{s} dies b1, restarts b, stop c1"),
        "b",
        Breach::Unfinished,
    );
    is_bad(
        &format!("{s} dies b1, dies a1, restarts b, restarts a"),
        "b",
        Breach::Unfinished,
    );
}

#[test]
fn restart_types_that_are_not_kept_are_told() {
    let of = |how| format!("begins one_for_one 9, up a1 {how},");
    is_bad(
        &format!("{} dies a1 normal, ended a", of("permanent")),
        "a",
        Breach::Restartable,
    );
    is_bad(
        &format!("{} dies a1 error, ended a", of("transient")),
        "a",
        Breach::Restartable,
    );
    for clean in ["normal", "shutdown", "shutdown(_)"] {
        let transient = of("transient");
        is_bad(
            &format!("{transient} dies a1 {clean}, restarts a"),
            "a",
            Breach::NotRestartable,
        );
        is_good(&format!("{transient} dies a1 {clean}, ended a"));
    }
    for any in ["normal", "error", "killed"] {
        let temporary = of("temporary");
        is_bad(
            &format!("{temporary} dies a1 {any}, restarts a"),
            "a",
            Breach::NotRestartable,
        );
        is_good(&format!("{temporary} dies a1 {any}, ended a"));
    }
    let gives_up = "begins one_for_one 0, up a1 temporary, dies a1, gives_up a";
    is_bad(gives_up, "a", Breach::NotRestartable);
}

#[test]
fn ends_that_are_not_seen_to_in_their_order_are_told() {
    let s = abc("one_for_one", 9);
    is_bad(
        &format!("{s} dies b1, dies a1, restarts a"),
        "a",
        Breach::EndOrder,
    );
    is_bad(&format!("{s} restarts a"), "a", Breach::HasNotEnded);
    is_bad(&format!("{s} ended a"), "a", Breach::HasNotEnded);
    is_bad(
        &format!("{s} dies a1, restarts a, up a2, restarts a"),
        "a",
        Breach::HasNotEnded,
    );
    is_bad(
        &format!("{s} dies b1, gives_up a"),
        "a",
        Breach::HasNotEnded,
    );
    is_bad(&format!("{s} restarts x"), "x", Breach::HasNotEnded);
}

#[test]
fn an_intensity_that_is_not_kept_is_told() {
    let s = "begins one_for_one 2, up a1,";
    let twice = "dies a1, restarts a, up a2, at 100, dies a2, restarts a, up a3,";
    is_good(&format!(
        "{s} {twice} dies a3, gives_up a, exits S shutdown"
    ));
    is_bad(
        &format!("{s} {twice} dies a3, restarts a"),
        "a",
        Breach::TooMany,
    );
    is_bad(
        &format!("{s} dies a1, restarts a, up a2, dies a2, gives_up a"),
        "a",
        Breach::TooFew,
    );
    // Both ends of the period belong to it.
    is_bad(
        &format!("{s} {twice} at 5000, dies a3, restarts a"),
        "a",
        Breach::TooMany,
    );
    is_good(&format!("{s} {twice} at 5001, dies a3, restarts a, up a4"));
    is_bad(
        &format!("{s} {twice} at 5001, dies a3, gives_up a"),
        "a",
        Breach::TooFew,
    );
    // By the clock of its node, which may drift.
    is_good(&format!(
        "{s} {twice} at 4900, ahead 101, dies a3, restarts a, up a4"
    ));
    // A restart that fails counts.
    let fails = "starts a, fails a,";
    is_bad(
        &format!("{s} dies a1, restarts a, {fails} restarts a, {fails} restarts a"),
        "a",
        Breach::TooMany,
    );
    is_bad(
        "begins one_for_one 0, up a1, dies a1, restarts a",
        "a",
        Breach::TooMany,
    );
}

#[test]
fn what_goes_on_after_the_end_is_told() {
    let given_up = "begins one_for_one 0, up a1, up b1, up c1, dies b1, gives_up b,";
    is_good(&format!("{given_up} stop c1, stop a1, exits S shutdown"));
    is_bad(&format!("{given_up} starts b"), "", Breach::IsOver);
    is_bad(&format!("{given_up} starts d by_hand"), "", Breach::IsOver);
    is_bad(
        &format!("{given_up} dies a1, restarts a"),
        "",
        Breach::IsOver,
    );
    is_bad(&format!("{given_up} stop c1 by_hand"), "", Breach::IsOver);
    is_bad(&format!("{given_up} stop a1"), "a", Breach::StopOrder);
    is_bad(
        &format!("{given_up} stop c1, exits S shutdown"),
        "a",
        Breach::LeavesRunning,
    );
    is_bad(
        &format!("{given_up} stop c1, stops a1, exits S shutdown"),
        "a",
        Breach::LeavesRunning,
    );
    is_bad(
        &format!("{given_up} stop c1, stop a1, exits S normal"),
        "",
        Breach::OtherReason,
    );
    let told = abc("one_for_one", 9);
    is_bad(&format!("{told} stop b1"), "b", Breach::StopOrder);
    is_bad(&format!("{told} stop c1, stop a1"), "a", Breach::StopOrder);
    is_bad(
        &format!("{told} stop c1, dies a1, restarts a"),
        "",
        Breach::IsOver,
    );
    is_bad(
        &format!("{told} exits S shutdown"),
        "a",
        Breach::LeavesRunning,
    );
    let failed = "begins one_for_one 9, up a1, up b1, starts c, fails c,";
    is_bad(&format!("{failed} starts d"), "", Breach::IsOver);
    is_bad(&format!("{failed} stop a1"), "a", Breach::StopOrder);
    is_bad(
        &format!("{failed} stop b1, stop a1, exits S shutdown"),
        "",
        Breach::OtherReason,
    );
    is_bad(
        "begins dynamic 9, up a1 by_hand, stops a1, exits S normal",
        "",
        Breach::LeavesRunning,
    );
}

#[test]
fn a_shutdown_without_a_cause_and_a_stop_of_a_stranger_are_told() {
    let s = abc("one_for_one", 9);
    is_bad(&format!("{s} shuts_down"), "", Breach::NobodyEnded);
    is_bad(&format!("{s} deletes b"), "b", Breach::NotItsOwn);
    is_bad(&format!("{s} stops b2"), "b", Breach::NotItsOwn);
    is_bad(
        &format!("{s} stop b1 by_hand, stop b1 by_hand"),
        "b",
        Breach::NotItsOwn,
    );
    let twice =
        "begins one_for_one 1, up a1 transient, dies a1 normal, ended a, up b1 by_hand, shuts_down";
    is_bad(twice, "", Breach::NobodyEnded);
}

#[test]
fn a_name_that_outlives_its_process_is_told() {
    let s = "begins one_for_one 9, starts a, spawns a1, named a1, started a1,";
    is_good(&format!("{s} unnamed a1, dies a1, restarts a, up a2"));
    is_bad(&format!("{s} dies a1"), "a", Breach::KeepsName);
}

#[test]
fn a_child_that_only_says_that_it_has_ended_is_told_when_the_next_one_begins() {
    // An exit signal of its own making: as in OTP, its supervisor believes it.
    let mut teller = Teller {
        log: Log::default(),
        at_ns: 0,
        ahead_ns: 0,
    };
    teller.line("begins one_for_one 9");
    teller.line("up a1");
    teller.push(Event::ExitSignal {
        from: pid("a1"),
        to: pid("S"),
        reason: Reason::Error,
    });
    teller.line("restarts a");
    teller.line("starts a");
    let complaint = supervision(&teller.log).expect_err("two of them");
    assert_eq!(complaint.breach, Breach::Overlaps);
}

#[test]
fn the_first_complaint_stands_and_says_when_who_and_by_which_rule() {
    let history = "begins one_for_one 0, up a1, up b1, at 1500, dies b1, restarts b, restarts a";
    let complaint = judged(history).expect_err("one too many");
    let text = complaint.to_string();
    let expected = "supervisor <n0.21248.0>, child 1, at 1.500 s: it is restarted once more than \
                    the intensity allows (rule 16 of OTP's contract)";
    assert_eq!(text, expected);
    assert_eq!(
        (complaint.at.as_nanos(), complaint.step),
        (1_500_000_000, 9)
    );
}
