//! The check of mail in runs: what processes tell of letters is judged while the run goes on, and at its end.
//!
//! That it finds each thing that can go wrong is shown beside it, in `src/check/delivery/tests.rs`.

use netsplit::check::{Misdelivery, Mishap, delivery};
use netsplit::trace::{LetterId, Mailed};
use netsplit::{
    Chance, Context, Fault, Faults, Keep, Outcome, Scenario, Time, Verdict, millis, secs,
};
use std::time::Duration;

/// What is told of letters, each so many milliseconds after the one before.
type Told = &'static [(u64, u64, Mailed)];

const ACCEPTED: Mailed = Mailed::Accepted {
    key: netsplit::trace::OrderKey::NONE,
};

/// A process that tells this of letters, and then waits.
fn tells(told: Told) -> impl Fn(Context) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    move |ctx| {
        Box::pin(async move {
            let origin = ctx.mail_origin("orders");
            for (wait, number, what) in told {
                ctx.sleep(millis(*wait)).await;
                ctx.tell_mail(
                    LetterId {
                        origin,
                        number: *number,
                    },
                    1,
                    *what,
                );
            }
        })
    }
}

fn scenario(told: Told) -> Scenario {
    Scenario::new("told").client("shop", move |ctx| tells(told)(ctx))
}

fn run(scenario: &Scenario) -> Outcome {
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let outcome = scenario.run_with(Chance::Seed(7), keep);
    outcome.expect("it can be run")
}

#[test]
fn a_run_ends_where_mail_breaks_its_promise_and_its_log_says_the_same() {
    let told = &[
        (10, 1, ACCEPTED),
        (10, 1, Mailed::Effected),
        (10, 1, Mailed::Effected),
        (10, 1, Mailed::Acked),
    ];
    let outcome = run(&scenario(told).finally("it ended", |_| true));
    let violation = outcome.violation.expect("it has two effects");
    assert_eq!(violation.property, "mail is delivered");
    assert_eq!(violation.at, Time::ZERO + millis(30));
    let complaint = delivery(&outcome.log.expect("it was kept")).expect_err("it says the same");
    assert!(matches!(
        complaint.mishap,
        Mishap::DuplicatedEffect(Some(_))
    ));
    assert_eq!(violation.detail, complaint.to_string());
    assert_eq!(violation.step, complaint.when.step);
}

#[test]
fn mail_that_keeps_its_promises_violates_nothing() {
    let told = &[
        (10, 1, ACCEPTED),
        (10, 1, Mailed::Effected),
        (10, 1, Mailed::Acked),
    ];
    let scenario = scenario(told)
        .sometimes("a letter waits", |view| view.waiting_letters() == 1)
        .eventually("all mail is through", secs(1), |view| {
            view.now() > Time::ZERO + millis(10) && view.waiting_letters() == 0
        })
        .finally("no letter is lost", |view| {
            view.mail_is_through(Duration::ZERO)
        });
    let outcome = run(&scenario);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.reached, ["a letter waits"]);
}

/// What is said at the end of a run of so many seconds about letters that have waited for ten.
fn at_the_end(told: Told, faults: Faults, seconds: u64) -> Option<String> {
    let scenario = scenario(told)
        .node("bystander", |ctx: Context| async move {
            ctx.sleep(secs(600)).await
        })
        .faults(faults)
        .horizon(secs(seconds))
        .quiet(secs(12))
        .finally("no letter is lost", |view| view.mail_is_through(secs(10)));
    let violation = run(&scenario).violation?;
    assert_eq!(violation.property, "no letter is lost");
    Some(violation.detail)
}

#[test]
fn a_letter_that_was_told_of_last_long_ago_is_lost_at_the_end_of_a_run() {
    let told = &[(5_000, 1, ACCEPTED), (1_000, 1, Mailed::Sent)];
    let said = at_the_end(told, Faults::calm(), 20).expect("it is lost");
    assert!(said.contains("it is lost"), "{said}");
    // The run comes to rest at 6 s, and goes on to its horizon all the same.
    assert_eq!(at_the_end(told, Faults::calm(), 15), None);
}

#[test]
fn a_letter_that_is_tried_up_to_the_end_of_a_run_is_stuck() {
    let told = &[
        (0, 1, ACCEPTED),
        (0, 1, Mailed::Sent),
        (20_000, 1, Mailed::Sent),
    ];
    let said = at_the_end(told, Faults::calm(), 25).expect("it is stuck");
    assert!(said.contains("it is stuck"), "{said}");
}

#[test]
fn faults_excuse_a_letter_for_as_long_as_they_last() {
    let told = &[(0, 1, ACCEPTED)];
    let crash = || Faults::calm().at(secs(1), Fault::crash("bystander", secs(1)));
    // Quiet begins 12 s before the horizon.
    let said = at_the_end(told, crash(), 40).expect("it is lost");
    assert!(said.contains("since 0.000 s"), "{said}");
    let short = scenario(told)
        .node("bystander", |ctx: Context| async move {
            ctx.sleep(secs(600)).await
        })
        .faults(crash())
        .horizon(secs(40))
        .quiet(secs(9))
        .finally("no letter is lost", |view| view.mail_is_through(secs(10)));
    assert_eq!(run(&short).violation, None);
}

#[test]
fn a_misdelivery_is_a_reason_of_a_verdict() {
    let scenario = scenario(&[(0, 1, ACCEPTED)]).finally("asked", |view| {
        let lost: Result<(), Misdelivery> = view.mail_is_through(secs(1));
        let mishap = lost.as_ref().expect_err("it is lost").mishap;
        assert!(matches!(mishap, Mishap::Lost(_)));
        let verdict = Verdict::from(lost);
        assert!(
            matches!(&verdict, Verdict::Violated(why) if why.starts_with("letter 1 of \"orders\""))
        );
        true
    });
    assert_eq!(run(&scenario).violation, None);
}
