//! Services that call each other, and wait for the answer.
//!
//! Who signs up is told of to the account service, which POSTs to billing, waits until billing has opened
//! an account there, and answers. When the bank declines a payment it tells billing, which POSTs to the
//! account service, waits until that has suspended the user, and answers. A service takes one request at
//! a time, so that no two of them get into each other's way. Each of the two is right.
//!
//! But if somebody signs up while a payment is declined, each service waits for the answer of the other,
//! and neither looks at what the other asks. It takes a time-out to go on, and then both have failed; the
//! log says "time-out", twice, and not why.
//!
//! The cure: no service waits. It passes the request on together with the place where the answer goes,
//! and whoever does the last part of the work answers.

use super::storm;
use netsplit::sim::print_ring;
use netsplit::{Address, Context, ExitReason, Message, ReplyTo, Scenario, View, millis, secs};
use serde::{Deserialize, Serialize};
use std::time::Duration;

type User = u32;

#[derive(Debug, Serialize, Deserialize)]
enum ToAccounts {
    /// From a visitor: somebody signs up. Billing has its part in it.
    SignUp(User, ReplyTo<()>),
    /// From billing: this user does not pay.
    Suspend(User, ReplyTo<()>),
}

#[derive(Debug, Serialize, Deserialize)]
enum ToBilling {
    /// From the account service: somebody has signed up.
    Open(User, ReplyTo<()>),
    /// From the bank: a payment was declined. The account service has its part in it.
    Declined(User, ReplyTo<()>),
}

/// How a service has another do its part of a request.
#[derive(Clone, Copy)]
enum Manner {
    /// It calls, waits for the answer, and then answers its own caller.
    Wait,
    /// It hands over the place for the answer, and is done with it.
    PassOn,
}

const ACCOUNTS: &str = "accounts";
const BILLING: &str = "billing";
const TIMEOUT: Duration = secs(5);
const REQUESTS: u32 = 5;
const NO_RING: &str = "nobody waits in a ring";
const ANSWERED: &str = "every request is answered";

impl Manner {
    async fn ask<M: Message>(
        self,
        service: Address<M>,
        request: impl FnOnce(ReplyTo<()>) -> M,
        answer: ReplyTo<()>,
    ) {
        match self {
            Manner::Wait => {
                if service.call(request, TIMEOUT).await.is_ok() {
                    answer.reply(());
                }
            }
            Manner::PassOn => service.send(request(answer)),
        }
    }
}

async fn accounts(ctx: Context<ToAccounts>, manner: Manner) -> Result<(), ExitReason> {
    ctx.register(ACCOUNTS).map_err(ExitReason::error)?;
    let billing = Address::named(BILLING, BILLING);
    loop {
        match ctx.receive_message().await {
            ToAccounts::SignUp(user, answer) => {
                let open = |answer| ToBilling::Open(user, answer);
                manner.ask(billing, open, answer).await;
            }
            ToAccounts::Suspend(_, answer) => answer.reply(()),
        }
    }
}

async fn billing(ctx: Context<ToBilling>, manner: Manner) -> Result<(), ExitReason> {
    ctx.register(BILLING).map_err(ExitReason::error)?;
    let accounts = Address::named(ACCOUNTS, ACCOUNTS);
    loop {
        match ctx.receive_message().await {
            ToBilling::Declined(user, answer) => {
                let suspend = |answer| ToAccounts::Suspend(user, answer);
                manner.ask(accounts, suspend, answer).await;
            }
            ToBilling::Open(_, answer) => answer.reply(()),
        }
    }
}

/// Makes its requests one after the other, each again until it is answered.
async fn client<M: Message>(ctx: Context, service: &str, request: fn(User, ReplyTo<()>) -> M) {
    let service = Address::named(service, service);
    for user in 1..=REQUESTS {
        ctx.sleep(millis(50 + ctx.random_below(100))).await;
        let request = |answer| request(user, answer);
        while service.call(request, TIMEOUT).await.is_err() {}
        ctx.count("answered");
    }
}

fn nobody_waits_in_a_ring(view: &View) -> Result<(), String> {
    let Some(ring) = view.call_cycle() else {
        return Ok(());
    };
    let waiting = view.waiting().into_iter();
    let in_it = waiting.filter(|waiting| ring.contains(&waiting.pid));
    let lines: Vec<String> = in_it.map(|waiting| waiting.to_string()).collect();
    Err(format!("{}\n{}", print_ring(&ring), lines.join("\n")))
}

fn scenario(name: &str, manner: Manner) -> Scenario {
    Scenario::new(name)
        .node(ACCOUNTS, move |ctx| accounts(ctx, manner))
        .node(BILLING, move |ctx| billing(ctx, manner))
        .client("visitor", |ctx| client(ctx, ACCOUNTS, ToAccounts::SignUp))
        .client("bank", |ctx| client(ctx, BILLING, ToBilling::Declined))
        .always(NO_RING, nobody_waits_in_a_ring)
        .finally(ANSWERED, |view| {
            view.counter("answered") == u64::from(2 * REQUESTS)
        })
}

/// The broken form. It needs no fault.
pub(crate) fn waiting() -> Scenario {
    scenario("notify/waiting", Manner::Wait)
        .summary("two services that POST to each other and wait: each for the answer of the other")
        .broken(NO_RING)
}

/// The sound form, under every fault.
pub(crate) fn passing_on() -> Scenario {
    scenario("notify/passing_on", Manner::PassOn)
        .summary("the same services pass the place for the answer on: nobody waits in a ring")
        .faults(storm())
}
