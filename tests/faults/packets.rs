//! Faults aimed at packets: by kind, path, node, window and number.

use crate::world::{Via, at_end, holds};
use netsplit::{
    Address, CallError, Context, Faults, PacketFault, PacketKind, ReplyTo, Scenario, Sim, Time,
    millis, secs,
};
use serde::{Deserialize, Serialize};

/// What a and b send to s and to t: sixty of each, every 10 ms, of each kind in turn, first over the
/// connection and then as a datagram.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Letter {
    from: String,
    to: String,
    number: u64,
    connected: bool,
}

impl Letter {
    fn kind(&self) -> PacketKind {
        PacketKind::ALL[self.number as usize % PacketKind::COUNT]
    }

    fn sent_ms(&self) -> u64 {
        self.number * 10
    }
}

/// A letter, and the millisecond at which it came.
type Came = (Letter, u64);

const LETTERS: u64 = 60;

async fn sender(ctx: Context, from: &'static str) {
    for number in 0..LETTERS {
        for (to, via) in [
            ("s", Via::Connection),
            ("s", Via::Datagram),
            ("t", Via::Connection),
            ("t", Via::Datagram),
        ] {
            let (from, connected) = (from.to_owned(), via == Via::Connection);
            let letter = Letter {
                from,
                to: to.to_owned(),
                number,
                connected,
            };
            let (kind, to) = (letter.kind(), Address::<Letter>::named(to, "box"));
            match via {
                Via::Connection => to.send_as(kind, letter),
                Via::Datagram => to.send_datagram_as(kind, letter),
            }
        }
        ctx.sleep(millis(10)).await;
    }
}

async fn receiver(ctx: Context<Letter>) {
    ctx.register("box").expect("a free name");
    loop {
        let letter = ctx.receive_message().await;
        let at_ms = ctx.now().as_nanos() / 1_000_000;
        ctx.observe("came", |came: &mut Vec<Came>| came.push((letter, at_ms)));
    }
}

fn mail() -> Scenario {
    Scenario::new("mail")
        .node("s", receiver)
        .node("t", receiver)
        .client("a", |ctx| sender(ctx, "a"))
        .client("b", |ctx| sender(ctx, "b"))
        .horizon(secs(3))
        .quiet(secs(0))
}

/// What comes under a fault: the same, whether a plan or a script brings it.
fn under(fault: &PacketFault, seed: u64) -> Vec<Came> {
    let planned = mail().faults(Faults::calm().packets(fault.clone()));
    let (planned, _) = at_end::<Vec<Came>>(planned, "came", seed);
    let fault = fault.clone();
    let script = mail().script(move |sim| {
        sim.packets(&fault);
        sim.run_for(secs(3));
    });
    let (scripted, _) = at_end::<Vec<Came>>(script, "came", seed);
    assert_eq!(planned, scripted);
    planned
}

/// All letters of all paths.
fn all() -> impl Iterator<Item = Letter> {
    let paths = ["a", "b"]
        .into_iter()
        .flat_map(|from| ["s", "t"].map(|to| (from, to)));
    let ways = paths.flat_map(|path| [(path, true), (path, false)]);
    ways.flat_map(|((from, to), connected)| {
        (0..LETTERS).map(move |number| Letter {
            from: from.to_owned(),
            to: to.to_owned(),
            number,
            connected,
        })
    })
}

/// When each copy of a letter came.
fn moments(came: &[Came], letter: &Letter) -> Vec<u64> {
    let copies = came.iter().filter(|(other, _)| other == letter);
    copies.map(|(_, at_ms)| *at_ms).collect()
}

/// A way to aim, and whether it hits a letter.
type Aim = (fn(PacketFault) -> PacketFault, fn(&Letter) -> bool);

/// Every way to aim.
fn aims() -> Vec<Aim> {
    vec![
        (|fault| fault, |_| true),
        (
            |fault| fault.kind(PacketKind::Ack),
            |letter| letter.kind() == PacketKind::Ack,
        ),
        (|fault| fault.from("a"), |letter| letter.from == "a"),
        (|fault| fault.to("t"), |letter| letter.to == "t"),
        (
            |fault| fault.from("b").to("s"),
            |letter| letter.from == "b" && letter.to == "s",
        ),
        (
            |fault| fault.during(millis(95)..millis(205)),
            |letter| (100..=200).contains(&letter.sent_ms()),
        ),
        (
            |fault| {
                fault
                    .from("a")
                    .kind(PacketKind::Data)
                    .during(millis(55)..secs(9))
            },
            |letter| letter.from == "a" && letter.kind() == PacketKind::Data && letter.number > 5,
        ),
        (
            // The 1st and 2nd are letter 1, over the connection and as a datagram; so letter 7 is the 3rd.
            |fault| fault.from("a").to("s").kind(PacketKind::Ack).nth(4),
            |letter| {
                letter.from == "a" && letter.to == "s" && letter.number == 7 && !letter.connected
            },
        ),
    ]
}

#[test]
fn datagrams_at_which_a_loss_is_aimed_are_lost_and_no_others() {
    for (aim, is_hit) in aims() {
        let fault = aim(PacketFault::lose(1.0));
        let came = under(&fault, 1);
        for letter in all().filter(|letter| !letter.connected) {
            let copies = usize::from(!is_hit(&letter));
            assert_eq!(moments(&came, &letter).len(), copies, "{fault}: {letter:?}");
        }
    }
}

#[test]
fn on_a_connection_a_lost_packet_comes_later_and_holds_up_what_is_behind_it() {
    let fault = PacketFault::lose(1.0)
        .from("a")
        .to("s")
        .kind(PacketKind::Ack)
        .nth(3);
    let came = under(&fault, 1);
    let path = |from: &str| {
        let from = from.to_owned();
        let letters = came
            .iter()
            .filter(move |(letter, _)| letter.connected && letter.to == "s" && letter.from == from);
        letters.map(|(letter, at_ms)| (letter.number, at_ms - letter.sent_ms()))
    };
    assert!(
        path("a").map(|(number, _)| number).eq(0..LETTERS),
        "in order, none missing"
    );
    let late: Vec<u64> = path("a")
        .filter(|(_, ms)| *ms > 100)
        .map(|(number, _)| number)
        .collect();
    assert_eq!(late.first(), Some(&7));
    let sent_again_ms = path("a").find(|(number, _)| *number == 7).map(|(_, ms)| ms);
    assert!((200..=211).contains(&sent_again_ms.expect("letter 7")));
    assert!(
        path("b").all(|(_, ms)| ms <= 40),
        "the set-up, and the latency"
    );
}

#[test]
fn datagrams_at_which_a_duplicate_is_aimed_come_twice_and_connections_know_better() {
    for (aim, is_hit) in aims() {
        let fault = aim(PacketFault::duplicate(1.0));
        let came = under(&fault, 2);
        for letter in all() {
            let copies = 1 + usize::from(!letter.connected && is_hit(&letter));
            assert_eq!(moments(&came, &letter).len(), copies, "{fault}: {letter:?}");
        }
    }
}

#[test]
fn what_is_delayed_is_overtaken_unless_it_is_on_a_connection() {
    for (aim, is_hit) in aims() {
        let fault = aim(PacketFault::delay(1.0, millis(300)));
        let came = under(&fault, 3);
        let mut most_ms = 0;
        for letter in all().filter(|letter| !letter.connected) {
            let [at_ms] = moments(&came, &letter)[..] else {
                panic!("{fault}: {letter:?}")
            };
            let took_ms = at_ms - letter.sent_ms();
            assert!(
                took_ms <= if is_hit(&letter) { 310 } else { 10 },
                "{fault}: {letter:?}"
            );
            most_ms = most_ms.max(took_ms);
        }
        assert!(most_ms > 20, "{fault}: {most_ms}");
        let connected = came
            .iter()
            .filter(|(letter, _)| letter.connected && letter.to == "t");
        let (a, b): (Vec<&Came>, Vec<&Came>) =
            connected.partition(|(letter, _)| letter.from == "a");
        for path in [a, b] {
            assert!(
                path.iter().map(|(letter, _)| letter.number).eq(0..LETTERS),
                "{fault}"
            );
        }
    }
}

#[test]
fn what_is_held_comes_at_once_when_its_window_ends() {
    let fault = PacketFault::hold()
        .from("a")
        .during(millis(95)..millis(405));
    let came = under(&fault, 4);
    for letter in all() {
        let [at_ms] = moments(&came, &letter)[..] else {
            panic!("{letter:?}")
        };
        match letter.from.as_str() {
            "a" if (10..=40).contains(&letter.number) => {
                assert!((405..=414).contains(&at_ms), "{letter:?} at {at_ms} ms");
            }
            "b" => assert!(at_ms <= letter.sent_ms() + 40, "{letter:?} at {at_ms} ms"),
            _ => {}
        }
    }
    let mut paths = [true, false].map(|connected| {
        let held = came.iter().filter(move |(letter, _)| {
            letter.connected == connected && letter.from == "a" && letter.to == "s"
        });
        held.map(|(letter, _)| letter.number).collect::<Vec<u64>>()
    });
    assert!(
        paths[0].is_sorted(),
        "over a connection they keep their order"
    );
    assert!(!paths[1].is_sorted(), "datagrams do not");
    paths[1].sort_unstable();
    assert_eq!(paths[1], (0..LETTERS).collect::<Vec<u64>>());
}

fn came(sim: &Sim<'_, '_>, from: &str) -> usize {
    let came: Vec<Came> = sim.observed("came").unwrap_or_default();
    came.iter()
        .filter(|(letter, _)| letter.from == from)
        .count()
}

#[test]
fn a_script_holds_packets_and_releases_them() {
    let each = 4 * LETTERS as usize;
    holds(mail().script(move |sim| {
        sim.packets(&PacketFault::hold().from("a"));
        sim.run_for(secs(5));
        assert_eq!((came(sim, "a"), came(sim, "b")), (0, each));
        sim.release();
        sim.run_for(millis(1));
        assert_eq!(came(sim, "a"), each);
        sim.run_for(secs(5));
        assert_eq!(came(sim, "a"), each);
    }));
}

#[test]
fn a_share_is_a_share_of_what_is_aimed_at() {
    let lost = |came: &[Came], from: &str| {
        let letters = all().filter(|letter| !letter.connected && letter.from == from);
        letters
            .filter(|letter| moments(came, letter).is_empty())
            .count()
    };
    let (mut of_a, mut of_b) = (0, 0);
    for seed in 0..20 {
        let came = under(&PacketFault::lose(0.25).from("a"), seed);
        of_a += lost(&came, "a");
        of_b += lost(&came, "b");
    }
    // 2,400 datagrams: 600 are expected to be lost, give or take four deviations.
    assert!((515..=685).contains(&of_a), "{of_a}");
    assert_eq!(of_b, 0);
}

#[test]
fn several_faults_aimed_at_one_packet_all_befall_it() {
    let faults = Faults::calm()
        .packets(PacketFault::duplicate(1.0).from("a").to("s"))
        .packets(PacketFault::delay(1.0, millis(300)).from("a").to("s"))
        .packets(PacketFault::lose(1.0).from("a").kind(PacketKind::Ack));
    let (came, _) = at_end::<Vec<Came>>(mail().faults(faults), "came", 1);
    let mut most_ms = 0;
    for letter in all().filter(|letter| !letter.connected && letter.from == "a") {
        let moments = moments(&came, &letter);
        let copies = match (letter.kind(), letter.to.as_str()) {
            (PacketKind::Ack, _) => 0,
            (_, "s") => 2,
            _ => 1,
        };
        assert_eq!(moments.len(), copies, "{letter:?}");
        most_ms = moments
            .iter()
            .map(|at_ms| at_ms - letter.sent_ms())
            .fold(most_ms, u64::max);
    }
    assert!(most_ms > 20);
}

type Question = (u64, ReplyTo<u64>);

async fn oracle(ctx: Context<Question>) {
    ctx.register("oracle").expect("a free name");
    loop {
        let (number, reply_to) = ctx.receive_message().await;
        ctx.count("asked");
        reply_to.reply(number);
    }
}

/// What came of a call: who called, when, and the answer.
type Called = (&'static str, Time, Result<u64, CallError>);

async fn asks(ctx: Context, name: &'static str) {
    for number in 0..5 {
        let oracle = Address::<Question>::named("s", "oracle");
        let answer = oracle.call(|to| (number, to), millis(500)).await;
        let called = (name, ctx.now(), answer);
        ctx.observe("called", |all: &mut Vec<Called>| all.push(called));
        ctx.sleep(millis(400)).await;
    }
}

#[test]
fn a_call_that_is_never_answered_waits_until_its_timeout() {
    let questions = || {
        Scenario::new("questions")
            .node("s", oracle)
            .client("a", |ctx| asks(ctx, "a"))
            .client("b", |ctx| asks(ctx, "b"))
            .horizon(secs(8))
            .quiet(secs(0))
    };
    // Answers to a, in the first second.
    let fault = PacketFault::never_answer().to("a").during(secs(0)..secs(1));
    let expected = |called: &[Called]| {
        let answers = |name| {
            let called = called.iter().filter(move |called| called.0 == name);
            called.map(|called| called.2.clone()).collect::<Vec<_>>()
        };
        assert_eq!(answers("b"), (0..5).map(Ok).collect::<Vec<_>>());
        let never = || Err(CallError::Timeout);
        assert_eq!(answers("a"), [never(), never(), Ok(2), Ok(3), Ok(4)]);
        let first = called
            .iter()
            .find(|called| called.0 == "a")
            .expect("a call");
        assert_eq!(first.1, Time::ZERO + millis(500), "nothing says so before");
    };
    let planned = questions().faults(Faults::calm().packets(fault));
    let (called, outcome) = at_end::<Vec<Called>>(planned, "called", 1);
    expected(&called);
    assert_eq!(
        outcome.counters["asked"], 10,
        "the server has had every question"
    );
    let script = questions().script(|sim| {
        sim.packets(&PacketFault::never_answer().to("a"));
        sim.run_for(secs(1));
        sim.release();
        sim.run_for(secs(7));
    });
    let (called, _) = at_end::<Vec<Called>>(script, "called", 1);
    expected(&called);
}
