//! Histories as data, written by hand: good ones, and for each thing that can go wrong some in which it does.
//!
//! A history is a text, a thing to a line: `b3 delivered` is of letter 3 of origin `b`. Line `n` happens in
//! step `n` at `n` seconds. Drawn histories, and what changes of them are found, stand in `mutations`.

mod mutations;

use super::*;
use crate::trace::{Entry, Pid, WhyDead};

fn letter(name: &str) -> LetterId {
    let (origin, number) = name.split_at(1);
    LetterId {
        origin: Name::new(origin),
        number: number.parse().expect("a number"),
    }
}

fn what(words: &[&str]) -> Mailed {
    match words {
        ["accepted"] => Mailed::accepted(0),
        ["accepted", key] => Mailed::accepted(key.parse().expect("a key")),
        ["sent"] => Mailed::Sent,
        ["delivered"] => Mailed::Delivered,
        ["effected"] => Mailed::Effected,
        ["consumed"] => Mailed::Consumed,
        ["repeated"] => Mailed::Repeated,
        ["acked"] => Mailed::Acked,
        ["stale"] => Mailed::StaleAck,
        ["returned"] => Mailed::Returned,
        ["dead"] => Mailed::Dead(WhyDead::TooOften),
        other => panic!("no such thing: {other:?}"),
    }
}

fn moment(second: u64) -> Moment {
    Moment {
        at: seconds(second),
        step: second,
    }
}

fn seconds(second: u64) -> Time {
    Time::from_nanos(second * 1_000_000_000)
}

/// Takes in a history, and says how long it is.
fn told(history: &str) -> (Delivery, u64) {
    let mut delivery = Delivery::default();
    let mut count = 0;
    for line in history.lines().map(str::trim).filter(|l| !l.is_empty()) {
        count += 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "quiet" => delivery.quiet(seconds(count)),
            name => delivery.tell(moment(count), letter(name), what(&words[1..])),
        }
    }
    (delivery, count)
}

/// All of it is good, and a long time later nothing is missing.
fn good(history: &str) {
    let (delivery, count) = told(history);
    assert_eq!(delivery.complaint(), None, "{history}");
    let now = seconds(count + 1_000);
    assert_eq!(delivery.unfinished(now, Duration::from_secs(1)), None);
    assert_eq!(delivery.waiting(), 0);
}

/// This is wrong with this letter, at this line.
fn wrong(history: &str, name: &str, line: u64, mishap: Mishap) {
    let (delivery, _) = told(history);
    let complaint = delivery.complaint().expect("something is wrong");
    assert_eq!(
        (complaint.letter, complaint.when, complaint.mishap),
        (letter(name), moment(line), mishap),
        "{history}"
    );
}

/// Nothing that was done is wrong, and so many seconds after its end this letter has got no further since
/// this line, for ten seconds or more.
fn missing(quiet: u64, history: &str, (name, line): (&str, u64), mishap: Mishap) {
    let (delivery, count) = told(history);
    assert_eq!(delivery.complaint(), None, "{history}");
    let within = Duration::from_secs(10);
    let missing = delivery.unfinished(seconds(count + quiet), within);
    let missing = missing.expect("something is missing");
    assert_eq!(
        (missing.letter, missing.when, missing.mishap),
        (letter(name), moment(line), mishap),
        "{history}"
    );
}

const ONE: &str = "a1 accepted 5\n a1 sent\n a1 delivered\n a1 effected\n a1 acked\n";

#[test]
fn a_letter_that_goes_its_way_is_good() {
    good("");
    good(ONE);
    good("a1 accepted\n a1 sent\n a1 delivered\n a1 consumed\n a1 acked");
    good("a1 accepted\n a1 sent\n a1 dead");
}

#[test]
fn what_retries_and_reboots_bring_about_is_good() {
    // Sent, delivered and acknowledged more than once; the receiver knows it.
    good(&format!(
        "{ONE} a1 sent\n a1 repeated\n a1 acked\n a1 stale"
    ));
    good(
        "a1 accepted 5\n a1 sent\n a1 sent\n a1 delivered\n a1 effected\n a1 repeated\n a1 stale\n a1 acked",
    );
    // A crash between a commit and its telling: what was accepted is told again, an effect is recognised.
    good(
        "a1 accepted\n a1 accepted\n a1 sent\n a1 delivered\n a1 repeated\n a1 acked\n a1 accepted",
    );
    // Handed out again, as a queue may, and given back.
    good(
        "a1 accepted\n a1 delivered\n a1 returned\n a1 delivered\n a1 consumed\n a1 delivered\n \
         a1 consumed\n a1 acked\n a1 stale",
    );
    // Refused before anything was promised.
    good("a1 dead\n a2 stale");
}

#[test]
fn only_letters_of_one_origin_and_key_keep_an_order() {
    let two = |first: &str, second: &str| {
        good(&format!(
            "{first}\n {second}\n b2 effected\n a1 effected\n b2 acked\n a1 acked"
        ));
    };
    two("a1 accepted 5", "b2 accepted 5");
    let two = |first: &str, second: &str| {
        good(&format!(
            "a1 accepted{first}\n a2 accepted{second}\n a2 effected\n a1 effected\n a1 acked\n a2 acked"
        ));
    };
    two("", "");
    two(" 5", " 6");
    two(" 5", "");
}

#[test]
fn a_letter_that_was_set_aside_stands_in_nobodys_way_and_may_still_have_one_effect() {
    let set_aside = "a1 accepted 5\n a2 accepted 5\n a1 delivered\n a1 dead\n a2 effected\n a2 acked\n \
                     a1 effected\n";
    good(set_aside);
    let twice = format!("{set_aside} a1 effected");
    wrong(&twice, "a1", 8, Mishap::DuplicatedEffect(None));
}

#[test]
fn a_second_effect_is_found() {
    let open = "a1 accepted\n a1 effected\n a1 sent\n a1 effected";
    wrong(open, "a1", 4, Mishap::DuplicatedEffect(Some(moment(2))));
    let done = format!("{ONE} a1 effected");
    wrong(&done, "a1", 6, Mishap::DuplicatedEffect(None));
    let recognised = "a1 accepted\n a1 delivered\n a1 repeated\n a1 effected";
    wrong(
        recognised,
        "a1",
        4,
        Mishap::DuplicatedEffect(Some(moment(3))),
    );
    let consumed = "a1 accepted\n a1 consumed\n a1 effected";
    wrong(consumed, "a1", 3, Mishap::DuplicatedEffect(Some(moment(2))));
}

#[test]
fn an_effect_out_of_order_is_found() {
    let three = "a1 accepted 5\n a2 accepted 5\n a3 accepted 5\n";
    let late = format!("{three} a1 effected\n a3 effected\n a2 effected");
    wrong(&late, "a2", 6, Mishap::Reordered(3, moment(5)));
    // Also where the later one has long been forgotten by its sender.
    let late = format!("{three} a2 effected\n a2 acked\n a1 effected");
    wrong(&late, "a1", 6, Mishap::Reordered(2, moment(4)));
    // The order is that of acceptance, whatever the numbers.
    let numbers = "a2 accepted 5\n a1 accepted 5\n a1 effected\n a2 effected";
    wrong(numbers, "a2", 4, Mishap::Reordered(1, moment(3)));
    good("a2 accepted 5\n a1 accepted 5\n a2 effected\n a1 effected\n a1 acked\n a2 acked");
    // An effect that nobody told of has its place unknown.
    good(&format!(
        "{three} a2 effected\n a1 repeated\n a3 effected\n a1 acked\n a2 acked\n a3 acked"
    ));
}

#[test]
fn a_letter_from_nowhere_is_found() {
    for what in ["delivered", "effected", "consumed", "repeated", "acked"] {
        wrong(&format!("{ONE} a2 {what}"), "a2", 6, Mishap::FromNowhere);
        wrong(&format!("{ONE} b1 {what}"), "b1", 6, Mishap::FromNowhere);
    }
}

#[test]
fn a_letter_that_was_sent_is_from_somewhere_and_nothing_is_promised_of_it() {
    // A crash came between the commit and its telling.
    good("a1 sent\n a1 delivered\n a1 effected\n a1 acked");
    good("a1 sent\n a1 delivered");
    good(
        "a1 sent\n a1 effected\n a1 accepted 5\n a2 accepted 5\n a2 effected\n a2 acked\n a1 acked",
    );
    // What never is, is not for it either.
    let twice = "a1 sent\n a1 effected\n a1 effected";
    wrong(twice, "a1", 3, Mishap::DuplicatedEffect(Some(moment(2))));
    wrong("a1 sent\n a1 acked", "a1", 2, Mishap::AckedWithoutEffect);
    // Told after all, it is promised from then on, and has its order.
    missing(
        10,
        "a1 sent\n a1 accepted",
        ("a1", 1),
        Mishap::Lost(moment(2)),
    );
    let two = "a1 sent\n a1 accepted 5\n a2 accepted 5\n a2 effected\n a1 effected";
    wrong(two, "a1", 5, Mishap::Reordered(2, moment(4)));
}

#[test]
fn an_ack_without_an_effect_is_found() {
    let of_one = "a1 accepted\n a1 sent\n a1 delivered\n a1 acked";
    wrong(of_one, "a1", 4, Mishap::AckedWithoutEffect);
    let of_another = "a1 accepted\n a2 accepted\n a1 delivered\n a1 effected\n a1 acked\n a2 acked";
    wrong(of_another, "a2", 6, Mishap::AckedWithoutEffect);
}

#[test]
fn a_letter_that_nobody_sees_to_is_lost() {
    missing(10, "a1 accepted", ("a1", 1), Mishap::Lost(moment(1)));
    let gone = "a1 accepted\n a1 sent\n a1 sent\n a1 delivered\n a1 returned";
    missing(10, gone, ("a1", 4), Mishap::Lost(moment(5)));
    // The one that has waited longest.
    let two = "a1 accepted\n a2 accepted\n a1 sent";
    missing(10, two, ("a2", 2), Mishap::Lost(moment(2)));
}

#[test]
fn a_letter_that_gets_no_further_is_stuck() {
    let poison = format!(
        "a1 accepted\n{}",
        " a1 delivered\n a1 returned\n".repeat(10)
    );
    missing(9, &poison, ("a1", 2), Mishap::Stuck(moment(21)));
    missing(10, &poison, ("a1", 2), Mishap::Lost(moment(21)));
    // Its sender has not heard of its effect, and tries on.
    let unheard = format!("a1 accepted\n a1 effected\n{}", " a1 sent\n".repeat(20));
    missing(9, &unheard, ("a1", 2), Mishap::Stuck(moment(22)));
    // It does not try on: it may have heard, and a crash came before it told.
    let (delivery, count) = told(&unheard);
    let within = Duration::from_secs(10);
    assert_eq!(delivery.unfinished(seconds(count + 10), within), None);
    assert_eq!(delivery.waiting(), 0);
}

#[test]
fn nothing_is_late_before_its_time_nor_before_faults_have_been_over_for_so_long() {
    let (delivery, _) = told("a1 accepted\n a1 sent");
    let late = |delivery: &Delivery, now, within| {
        let late = delivery.unfinished(seconds(now), Duration::from_secs(within));
        late.is_some()
    };
    assert!(!late(&delivery, 11, 10), "it went on at 2 s");
    assert!(late(&delivery, 12, 10));
    assert!(!late(&delivery, 9, 10), "the run is younger than that");
    let (delivery, _) = told("a1 accepted\n a1 sent\n b1 accepted\n b1 dead\n quiet");
    assert!(!late(&delivery, 14, 10), "faults were over at 5 s");
    assert!(late(&delivery, 15, 10));
}

#[test]
fn a_complaint_says_which_letter_what_and_when() {
    let says = |history: &str| {
        let (mut delivery, count) = told(history);
        delivery.name(Name::new("a"), "orders");
        let within = Duration::from_secs(1);
        let complaint = delivery.complaint().cloned();
        let complaint = complaint
            .or_else(|| delivery.unfinished(seconds(count), within))
            .or_else(|| delivery.unfinished(seconds(count + 1), within));
        let complaint = Misdelivery {
            origin: Some("orders".to_owned()),
            ..complaint.expect("something is wrong")
        };
        complaint.to_string()
    };
    let said = [
        "a7 accepted 42\n a7 effected\n a7 effected",
        "a7 accepted\n a7 effected\n a7 acked\n a7 effected",
        "a7 accepted 42\n a8 accepted 42\n a8 effected\n a7 effected",
        "a7 delivered",
        "a7 accepted\n a7 acked",
        "a7 accepted\n a7 sent",
        "a7 accepted\n a7 effected\n a7 sent",
    ];
    let expected = [
        "letter 7 of \"orders\", key 2a, accepted at 1.000 s (step 1): it has a second effect at 3.000 s \
         (step 3); it had the first at 2.000 s (step 2)",
        "letter 7 of \"orders\": it has a second effect at 4.000 s (step 4); it had the first before it was \
         acknowledged",
        "letter 7 of \"orders\", key 2a, accepted at 1.000 s (step 1): it has its effect at 4.000 s (step \
         4), after letter 8, which was accepted after it and had its effect at 3.000 s (step 3)",
        "letter 7 of \"orders\": somebody has it at 1.000 s (step 1), and it was neither accepted nor sent",
        "letter 7 of \"orders\", accepted at 1.000 s (step 1): its sender takes an ack and forgets it at \
         2.000 s (step 2), and it has had no effect",
        "letter 7 of \"orders\", accepted at 1.000 s (step 1): it is lost: no effect, not set aside, and \
         nobody has done anything about it since 2.000 s (step 2)",
        "letter 7 of \"orders\", accepted at 1.000 s (step 1): it is stuck: it went on at 2.000 s (step \
         2) for the last time, and what was told of it last, at 3.000 s (step 3), got it no further",
    ];
    assert_eq!(said.map(says), expected);
}

#[test]
fn a_log_is_judged_as_a_history_is_and_knows_the_names() {
    let mut log = Log::default();
    let of = letter("a1");
    log.name(of.origin, "orders");
    let mut tell = |step: u64, what| {
        log.push(Entry {
            at_ns: step,
            step,
            event: Event::Mail {
                by: Pid::NOBODY,
                letter: of,
                attempt: 1,
                what,
            },
        });
        delivery(&log)
    };
    assert_eq!(tell(1, Mailed::accepted(0)), Ok(()));
    let complaint = tell(2, Mailed::Acked).expect_err("it is forgotten");
    assert_eq!(complaint.mishap, Mishap::AckedWithoutEffect);
    assert_eq!(complaint.origin.as_deref(), Some("orders"));
}

#[test]
fn what_is_kept_grows_with_the_letters_in_flight_and_not_with_those_that_are_done() {
    let mut delivery = Delivery::default();
    let name = letter("a0").origin;
    let of = |number| LetterId {
        origin: name,
        number,
    };
    let mut most = 0;
    for number in 0..100_000 {
        delivery.tell(moment(number), of(number), Mailed::accepted(number % 7 + 1));
        if let Some(done) = u64::checked_sub(number, 10) {
            delivery.tell(moment(number), of(done), Mailed::Effected);
            // One of them waits for ever.
            if done != 70_000 {
                delivery.tell(moment(number), of(done), Mailed::Acked);
            }
        }
        most = most.max(delivery.origin(name).entries());
    }
    assert_eq!(delivery.complaint(), None);
    assert!(most <= 11 + 7 + 5, "{most} entries");
    delivery.tell(moment(100_000), of(4_711), Mailed::Effected);
    let complaint = delivery.complaint().expect("it had an effect long ago");
    assert_eq!(complaint.mishap, Mishap::DuplicatedEffect(None));
}

#[test]
fn keys_are_forgotten_with_the_last_letter_that_may_still_have_an_effect() {
    for end in ["effected", "consumed", "repeated", "dead"] {
        let history = format!("a1 accepted 5\n a2 accepted 5\n a1 {end}\n a2 {end}");
        let (mut delivery, _) = told(&history);
        assert_eq!(delivery.complaint(), None, "{end}");
        let origin = delivery.origin(letter("a1").origin);
        assert_eq!(origin.keys(), 0, "{end}");
    }
}
