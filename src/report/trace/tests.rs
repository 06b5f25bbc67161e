//! The legend of the trace and what is printed cannot drift apart.

use super::*;
use crate::trace::DiskFault;
use crate::trace::{Broken, DeadReason, Limit, Name, PacketKind, Restart, Strategy, WhyDead};

const LEGEND: &str = include_str!("../../../docs/TRACE.md");

/// One number for each sort of event, without a gap: a new sort does not compile before it is here.
fn sort(event: &Event) -> usize {
    match event {
        Event::Clock { .. } => 0,
        Event::Boot { .. } => 1,
        Event::Crash { .. } => 2,
        Event::Spawn { .. } => 3,
        Event::Step { .. } => 4,
        Event::Exit { .. } => 5,
        Event::Send { .. } => 6,
        Event::Reply { .. } => 7,
        Event::Packet { .. } => 8,
        Event::Lost { .. } => 9,
        Event::Duplicated { .. } => 10,
        Event::Delayed { .. } => 11,
        Event::Arrive { .. } => 12,
        Event::Receive { .. } => 13,
        Event::Unread { .. } => 14,
        Event::Stale { .. } => 15,
        Event::DeadLetter { .. } => 16,
        Event::Link { .. } => 17,
        Event::Unlink { .. } => 18,
        Event::Monitor { .. } => 19,
        Event::Demonitor { .. } => 20,
        Event::ExitSignal { .. } => 21,
        Event::Down { .. } => 22,
        Event::TimerSet { .. } => 23,
        Event::TimerFired { .. } => 24,
        Event::TimerCancelled { .. } => 25,
        Event::Named { .. } => 26,
        Event::Unnamed { .. } => 27,
        Event::Busy { .. } => 28,
        Event::Bound { .. } => 29,
        Event::Note { .. } => 30,
        Event::NodeUp { .. } => 31,
        Event::NodeDown { .. } => 32,
        Event::Suspended { .. } => 33,
        Event::Released { .. } => 34,
        Event::Fault { .. } => 35,
        Event::FaultOver { .. } => 36,
        Event::NoEffect { .. } => 37,
        Event::Stopping { .. } => 38,
        Event::Halt { .. } => 39,
        Event::Outdated { .. } => 40,
        Event::Quiet => 41,
        Event::MonitorName { .. } => 52,
        Event::Supervision { what, .. } => match what {
            Supervision::Begins { .. } => 42,
            Supervision::Starts { .. } => 43,
            Supervision::Started { .. } => 44,
            Supervision::NotStarted { .. } => 45,
            Supervision::Stops { .. } => 46,
            Supervision::Ended { .. } => 47,
            Supervision::Restarts { .. } => 48,
            Supervision::GivesUp { .. } => 49,
            Supervision::ShutsDown => 50,
            Supervision::Waits { .. } => 51,
            Supervision::Deletes { .. } => 60,
        },
        Event::Postponed { .. } => 53,
        Event::Held { .. } => 54,
        Event::Admitted { .. } => 55,
        Event::Refused { .. } => 56,
        Event::Overloaded { .. } => 57,
        Event::Relieved { .. } => 58,
        Event::Struck { .. } => 59,
        Event::DiskStruck { .. } => 71,
        Event::DiskLost { .. } => 72,
        Event::Mail { what, .. } => match what {
            Mailed::Accepted { .. } => 61,
            Mailed::Sent => 62,
            Mailed::Delivered => 63,
            Mailed::Effected => 64,
            Mailed::Consumed => 65,
            Mailed::Repeated => 66,
            Mailed::Acked => 67,
            Mailed::StaleAck => 68,
            Mailed::Returned => 69,
            Mailed::Dead(_) => 70,
        },
    }
}

const SORTS: usize = 73;

/// An example of each thing that a supervisor does.
fn supervision(by: Pid, pid: Pid, id: TextId) -> impl Iterator<Item = Event> {
    let (child, clock_ns) = (1, 0);
    let not_started = |ignored| Supervision::NotStarted { child, ignored };
    let starts = |by_hand| Supervision::Starts {
        child,
        restart: Restart::Transient,
        by_hand,
        id,
    };
    let stops = |by_hand| Supervision::Stops {
        child,
        pid,
        by_hand,
    };
    let all = [
        Supervision::Begins {
            strategy: Strategy::OneForAll,
            intensity: 3,
            period_ns: 5_000_000_000,
        },
        starts(false),
        starts(true),
        Supervision::Started { child, pid },
        not_started(true),
        not_started(false),
        stops(true),
        stops(false),
        Supervision::Deletes { child },
        Supervision::Ended { child },
        Supervision::Restarts { child, clock_ns },
        Supervision::Waits {
            child,
            for_ns: 150_000_000,
        },
        Supervision::GivesUp { child, clock_ns },
        Supervision::ShutsDown,
    ];
    all.into_iter()
        .map(move |what| Event::Supervision { by, what })
}

fn names() -> Names {
    vec!["shop".to_owned(), "bank".to_owned()].into()
}

/// An example of each thing that becomes of a letter.
fn mail(by: Pid, origin: Name) -> impl Iterator<Item = Event> {
    let tells = move |attempt, what| Event::Mail {
        by,
        letter: LetterId { origin, number: 7 },
        attempt,
        what,
    };
    let dead = [
        WhyDead::Rejected,
        WhyDead::TooOften,
        WhyDead::Expired,
        WhyDead::Overflow,
        WhyDead::Nobody,
        WhyDead::TooLarge,
        WhyDead::Unreadable,
    ];
    let attempted = [
        Mailed::Sent,
        Mailed::Delivered,
        Mailed::Effected,
        Mailed::Consumed,
        Mailed::Repeated,
        Mailed::Acked,
        Mailed::StaleAck,
        Mailed::Returned,
    ];
    let accepted = [0, 0x2a].map(|key| tells(0, Mailed::accepted(key)));
    let attempted = attempted.into_iter().chain(dead.map(Mailed::Dead));
    accepted
        .into_iter()
        .chain(attempted.map(move |what| tells(2, what)))
}

/// A log with an example of each sort of event, and of each form that its line can take.
fn examples() -> Log {
    let (shop, bank) = (NodeId::new(0), NodeId::new(1));
    let pid = |node, slot| Pid::new(node, 0, slot, 0);
    let (root, till, account) = (pid(shop, 0), pid(shop, 1), pid(bank, 0));
    let id = |from, nth| MessageId::new(from, nth);
    let mut log = Log::default();
    let (pay, paid) = (log.intern("Pay(5)".into()), log.intern("Ok(5)".into()));
    let (empty, note) = (log.intern("it is empty".into()), log.intern("hello".into()));
    let cut = log.intern("cut bank | shop for 8s".into());
    let crash = log.intern("bank crashes, down for good".into());
    let hangs = log.intern("its init hangs for 2s".into());
    let (till_name, gone) = (Name::new("till"), Name::new("gone"));
    log.name(till_name, "till");
    log.name(gone, "gone");
    let (local, packet, answer) = (id(root, 1), id(till, 1), id(till, 2));
    let copy = packet.duplicate();
    let (node, to, text) = (bank, bank, pay);
    let events = [
        Event::Clock {
            now_ns: 1_000_217_311,
            steps: 4,
        },
        Event::Boot {
            node: shop,
            incarnation: 0,
        },
        Event::Boot {
            node: shop,
            incarnation: 1,
        },
        Event::Crash {
            node: bank,
            incarnation: 0,
            call: 0,
        },
        Event::Crash {
            node: bank,
            incarnation: 0,
            call: 3,
        },
        Event::Spawn {
            pid: root,
            parent: Pid::NOBODY,
        },
        Event::Spawn {
            pid: till,
            parent: root,
        },
        Event::Step { pid: root },
        Event::Named {
            pid: till,
            name: till_name,
        },
        Event::Send {
            id: local,
            to: till,
            text,
        },
        Event::Send {
            id: local,
            to: Pid::NOBODY,
            text,
        },
        Event::DeadLetter {
            id: local,
            to: gone.as_u64(),
            why: DeadReason::NoName,
        },
        Event::Receive {
            id: local,
            by: till,
        },
        Event::Packet {
            id: packet,
            to,
            kind: PacketKind::Data,
            len: 7,
            bytes: 0,
            text,
        },
        Event::Lost { id: packet, to },
        Event::Duplicated { id: copy, to },
        Event::Delayed {
            id: packet,
            to,
            by_ns: 42_100_000,
        },
        Event::Arrive { id: packet, node },
        Event::Arrive { id: copy, node },
        Event::DeadLetter {
            id: packet,
            to: account.as_u64(),
            why: DeadReason::NodeDown,
        },
        Event::Reply {
            id: answer,
            to: root,
            text: paid,
        },
        Event::Stale {
            id: answer,
            to: root,
        },
        Event::Postponed {
            id: local,
            by: till,
        },
        Event::Unread {
            id: answer,
            by: root,
        },
        Event::Link {
            from: root,
            to: till,
        },
        Event::Unlink {
            from: root,
            to: till,
        },
        Event::Monitor { by: root, of: till },
        Event::Demonitor { by: root, of: till },
        Event::MonitorName {
            by: root,
            node: bank,
            name: till_name,
        },
        Event::Demonitor {
            by: root,
            of: Pid::of_node(bank, 0),
        },
        Event::ExitSignal {
            from: till,
            to: root,
            reason: Reason::Error,
        },
        Event::Down {
            to: root,
            of: till,
            reason: Reason::Killed,
        },
        Event::Down {
            to: root,
            of: Pid::of_node(bank, 0),
            reason: Reason::NoProc,
        },
        Event::TimerSet {
            pid: root,
            at_ns: 2_000_000_000,
        },
        Event::TimerFired { pid: root },
        Event::TimerCancelled { pid: root },
        Event::Unnamed {
            pid: till,
            name: till_name,
        },
        Event::Exit {
            pid: till,
            reason: Reason::Normal,
            text: TextId::NONE,
        },
        Event::Exit {
            pid: till,
            reason: Reason::Error,
            text: empty,
        },
        Event::Exit {
            pid: till,
            reason: Reason::ShutdownWith,
            text: empty,
        },
        Event::Busy {
            node: bank,
            until_ns: 1_500_000_000,
        },
        Event::Bound {
            limit: Limit::Mailbox,
            most: 1_000_000,
        },
        Event::Note {
            pid: root,
            text: note,
        },
        Event::NodeUp {
            node: shop,
            peer: bank,
        },
        Event::Suspended {
            pid: till,
            peer: bank,
        },
        Event::Released { pid: till },
        Event::Held {
            pid: root,
            of: till,
        },
        Event::Admitted {
            pid: root,
            of: till,
        },
        Event::Refused {
            from: root,
            to: till,
        },
        Event::DeadLetter {
            id: local,
            to: till.as_u64(),
            why: DeadReason::MailboxFull,
        },
        Event::Overloaded { pid: till, len: 8 },
        Event::Relieved { pid: till, len: 4 },
        Event::Fault {
            number: 0,
            text: cut,
        },
        Event::FaultOver {
            number: 0,
            text: cut,
        },
        Event::Struck {
            pid: till,
            for_ns: 2_000_000_000,
            text: hangs,
        },
        Event::DiskStruck {
            pid: till,
            fault: DiskFault::SyncError,
        },
        Event::DiskLost {
            node: bank,
            files: 2,
            entries: 1,
        },
        Event::NoEffect {
            number: 1,
            node: bank,
            text: crash,
        },
        Event::Stopping { node: bank },
        Event::Halt {
            node: bank,
            incarnation: 1,
        },
        Event::Outdated {
            node: bank,
            newer: shop,
        },
        Event::Quiet,
    ];
    let reasons = [
        Broken::Closed,
        Broken::Silent,
        Broken::Replaced,
        Broken::Refused,
        Broken::NoAnswer,
    ];
    let downs = reasons.map(|why| Event::NodeDown {
        node: shop,
        peer: bank,
        why,
    });
    let ledger = log.intern("ledger".into());
    let orders = Name::new("orders");
    log.name(orders, "orders");
    let events = events
        .into_iter()
        .chain(downs)
        .chain(supervision(root, till, ledger))
        .chain(mail(root, orders));
    for (step, event) in (1..).zip(events) {
        let at_ns = 1_000_217_311;
        log.push(Entry { at_ns, step, event });
    }
    log
}

/// What stands in the line behind its columns.
fn said(line: &str) -> &str {
    line.rsplit("  ").next().unwrap_or(line)
}

#[test]
fn every_line_stands_in_the_legend() {
    let log = examples();
    let mut seen = [false; SORTS];
    for (index, entry) in log.entries().iter().enumerate() {
        let line = line(&log, &names(), index).expect("an entry");
        let what = said(&line);
        let example = format!("`{what}`");
        assert!(
            LEGEND.contains(&example),
            "docs/TRACE.md has no example {example} for {:?}",
            entry.event
        );
        seen[sort(&entry.event)] = true;
    }
    assert!(seen.iter().all(|seen| *seen), "{seen:?}");
}

#[test]
fn a_letter_of_an_origin_without_a_text_has_its_number() {
    let mut log = Log::default();
    let event = mail(Pid::NOBODY, Name::new("orders")).next().expect("one");
    log.push(Entry {
        at_ns: 0,
        step: 1,
        event,
    });
    let line = line(&log, &names(), 0).expect("an entry");
    let number = Name::new("orders").as_u64();
    assert_eq!(said(&line), format!("accepts letter 7 of {number:016x}"));
}

#[test]
fn lines_leave_out_the_clock_and_the_steps_and_stand_in_columns() {
    let log = examples();
    let all = lines(&log, &names());
    assert_eq!(all.len(), log.entries().len() - 2);
    assert_eq!(all[0], "  1.000217 s       2  shop  -                boots");
    let named = "  1.000217 s       9  shop  <shop.1.0> till  takes the name \"till\"";
    assert!(all.iter().any(|line| line == named), "{all:#?}");
    let starts: Vec<usize> = all
        .iter()
        .map(|line| line.len() - said(line).len())
        .collect();
    assert!(starts.iter().all(|start| *start == starts[0]), "{all:#?}");
}

#[test]
fn a_tail_is_the_end_of_all_lines() {
    let log = examples();
    let (all, tail) = (lines(&log, &names()), tail(&log, &names(), 3));
    assert_eq!(tail.len(), 3);
    let last = |lines: &[String]| {
        lines
            .iter()
            .rev()
            .take(3)
            .map(|l| said(l).to_owned())
            .collect()
    };
    let (all, tail): (Vec<String>, Vec<String>) = (last(&all), last(&tail));
    assert_eq!(all, tail);
    assert!(super::tail(&log, &names(), 0).is_empty());
}

#[test]
fn a_long_text_of_many_lines_fits_a_line() {
    let text = clipped(&format!("a\nb\t{}", "é".repeat(1_000)));
    assert!(
        text.starts_with("a\\nb\\té") && text.ends_with("é…"),
        "{text}"
    );
    assert_eq!(text.chars().count(), TEXT_MOST + 3);
}

#[test]
fn names_are_set_only_while_lines_are_made() {
    let _ = lines(&examples(), &names());
    assert_eq!(NodeId::new(0).to_string(), "n0");
}
