//! The code of `docs/guide/properties.md`.

use super::pages::PROPERTIES;
use netsplit::trace::{LetterId, Mailed};
use netsplit::{
    Address, Context, Distribution, ExitReason, Faults, Network, Path, ReplyTo, Scenario, View,
    check, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

#[derive(Debug, Serialize, Deserialize)]
enum ToLock {
    /// Answered when the lock is the caller's.
    Take(ReplyTo<()>),
    GiveBack,
}

async fn lock(ctx: Context<ToLock>) {
    ctx.register("lock").expect("a free name");
    let (mut is_taken, mut waiting) = (false, VecDeque::new());
    loop {
        match ctx.receive_message().await {
            ToLock::Take(caller) if is_taken => {
                ctx.count("had to wait");
                waiting.push_back(caller);
            }
            ToLock::Take(caller) => {
                is_taken = true;
                caller.reply(());
            }
            ToLock::GiveBack => match waiting.pop_front() {
                Some(next) => next.reply(()),
                None => is_taken = false,
            },
        }
    }
}

async fn worker(ctx: Context) -> Result<(), ExitReason> {
    let lock = Address::named("lock", "lock");
    for _ in 0..5 {
        lock.call(ToLock::Take, secs(60)).await?;
        ctx.observe("holders", |holders: &mut u32| *holders += 1);
        ctx.sleep(millis(20)).await;
        ctx.observe("holders", |holders: &mut u32| *holders -= 1);
        ctx.observe("turns", |turns: &mut u32| *turns += 1);
        lock.send(ToLock::GiveBack);
    }
    Ok(())
}

fn noted(view: &View, key: &str) -> u32 {
    view.observed(key).copied().unwrap_or(0)
}

fn scenario() -> Scenario {
    Scenario::new("lock")
        .node("lock", lock)
        .client("a", worker)
        .client("b", worker)
        .faults(Faults::calm().lose(0.1).pause(secs(10), secs(1)))
        .never("two hold the lock", |view| noted(view, "holders") > 1)
        .always("nobody has more turns than it wants", |view| {
            match noted(view, "turns") {
                0..=10 => Ok(()),
                turns => Err(format!("{turns} turns, and ten were wanted")),
            }
        })
        .sometimes("somebody has to wait", |view| {
            view.counter("had to wait") > 0
        })
        .eventually("all turns are had", secs(5), |view| {
            noted(view, "turns") == 10
        })
        .finally("the lock is free", |view| noted(view, "holders") == 0)
        .horizon(secs(60)) // faults stop after three quarters of it: see `quiet(…)`
}

#[test]
fn one_holds_the_lock() {
    check(scenario());
}

/// Answers with a number, after it has asked the other for its own.
async fn clerk(ctx: Context<ReplyTo<u32>>, other: &str) {
    ctx.register("clerk").expect("a free name");
    let other = Address::<ReplyTo<u32>>::named(other, "clerk");
    loop {
        let asked = ctx.receive_message().await;
        let number = other.call(|reply_to| reply_to, secs(90)).await;
        asked.reply(number.unwrap_or(0) + 1);
    }
}

async fn customer(ctx: Context) {
    let till = Address::<ReplyTo<u32>>::named("till", "clerk");
    if till.call(|reply_to| reply_to, secs(90)).await.is_ok() {
        ctx.count("answered");
    }
}

#[test]
fn two_who_wait_for_each_other_are_told() {
    let five_ms = Path::new(Distribution::Constant(millis(5))); // each packet, each way
    let scenario = Scenario::new("ring")
        .network(Network::new(five_ms))
        .node("till", |ctx| clerk(ctx, "stock"))
        .node("stock", |ctx| clerk(ctx, "till"))
        .client("customer", customer)
        .eventually("the customer is answered", secs(2), |view| {
            view.counter("answered") == 1
        });
    let outcome = scenario.run(1).expect("a scenario that can be run");
    let violation = outcome.violation.expect("they do not go on");
    assert_eq!(violation.property, "the customer is answered");
    assert_eq!(violation.waits.to_string(), what_the_page_shows());
}

fn what_the_page_shows() -> &'static str {
    PROPERTIES.blocks("text")[0].trim_end()
}

#[test]
fn what_a_view_shows() {
    let scenario = scenario().finally("all of it", |view| {
        assert!(view.now().as_nanos() <= 60_000_000_000 && view.step() > 50);
        assert!(view.is_up("lock") && view.boots("lock") == 1);
        assert!(view.whereis("lock", "lock").is_some());
        assert_eq!(view.node("lock").index(), 0);
        let waiting = view.waiting();
        assert_eq!(
            waiting[0].to_string(),
            "<lock.0.0> \"lock\"  waits for mail"
        );
        assert_eq!(view.call_cycle(), None);
        let books = view.books();
        books.sent == books.received + books.in_flight
    });
    assert_eq!(scenario.run(1).expect("it can be run").violation, None);
}

/// The block of text on mail that does not keep its promise.
fn what_is_said_of_mail() -> String {
    let blocks = PROPERTIES.blocks("text").into_iter();
    let mut said = blocks.filter(|block| block.starts_with("letter "));
    said.next().expect("a block of text").trim_end().to_owned()
}

/// A shop that sends an order, and a till that takes it down twice: it remembers no id.
async fn shop(ctx: Context) {
    let origin = ctx.mail_origin("orders");
    let order = LetterId { origin, number: 1 };
    ctx.tell_mail(order, 0, Mailed::accepted(0));
    let till = Address::<LetterId>::named("till", "till");
    for attempt in 1..=2 {
        ctx.tell_mail(order, attempt, Mailed::Sent);
        till.send(order);
        ctx.sleep(secs(1)).await;
    }
}

async fn till(ctx: Context<LetterId>) {
    ctx.register("till").expect("a free name");
    loop {
        let order = ctx.receive_message().await;
        ctx.tell_mail(order, 0, Mailed::Delivered);
        ctx.count("sold");
        ctx.tell_mail(order, 0, Mailed::Effected);
    }
}

#[test]
fn an_order_that_is_taken_down_twice_is_told() {
    let five_ms = Path::new(Distribution::Constant(millis(5)));
    let scenario = Scenario::new("orders")
        .network(Network::new(five_ms))
        .node("till", till)
        .client("shop", shop)
        .finally("no letter is lost", |view| view.mail_is_through(secs(10)));
    let outcome = scenario.run(1).expect("a scenario that can be run");
    let violation = outcome.violation.expect("it is sold twice");
    assert_eq!(violation.property, "mail is delivered");
    assert_eq!(violation.detail, what_is_said_of_mail());
}

#[test]
fn the_page_shows_the_code_that_is_tested() {
    PROPERTIES.is_held_by(&[include_str!("properties.rs")]);
}

#[test]
fn the_page_names_every_method_of_a_view() {
    let source = include_str!("../../src/sim/view.rs");
    let methods = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub fn "));
    let names = methods.map(|rest| rest.split(['<', '(']).next().unwrap_or_default());
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        let told = PROPERTIES.text.contains(&format!("`{name}("));
        assert!(told, "{}: no word of `{name}`", PROPERTIES.path);
    }
}
