//! A call over datagrams: a question, an answer, and a client that does not wait for ever.
//!
//! Birrell and Nelson, "Implementing Remote Procedure Calls" (1984), section 3.2: an answer carries the
//! identifier of its call, so that the caller can tell the answer of this call from a late one of an
//! earlier call.
//!
//! A client that asks one question at a time is easily thought to need none: whatever the server says is
//! the answer to the question that is open. But a call that timed out is over for the client only. Its
//! answer is still on its way, and the next call takes it.

use super::{complain, no_complaint, receive_wanted};
use netsplit::{Address, Context, ExitReason, Faults, Scenario, millis, secs};
use serde::{Deserialize, Serialize};

/// How a client knows the answer that it waits for; the server sends it back as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Tag {
    /// By who sends it: there is one server.
    FromTheServer,
    /// By the call that it belongs to: this client's how-manieth.
    OfCall(u64),
}

#[derive(Debug, Serialize, Deserialize)]
struct Question {
    tag: Tag,
    number: u64,
    reply_to: Address<Answer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    tag: Tag,
    square: u64,
}

const EXACT: &str = "a call returns the answer to its own question";

async fn server(ctx: Context<Question>) -> Result<(), ExitReason> {
    ctx.register("server").map_err(ExitReason::error)?;
    loop {
        let question = ctx.receive_message().await;
        question.reply_to.send_datagram(Answer {
            tag: question.tag,
            square: question.number * question.number,
        });
    }
}

async fn client(ctx: Context<Answer>, tag_of: fn(u64) -> Tag) {
    let server = Address::named("server", "server");
    for number in 1..=50 {
        let tag = tag_of(number);
        server.send_datagram(Question {
            tag,
            number,
            reply_to: ctx.address(),
        });
        let Some(answer) = receive_wanted(&ctx, millis(50), |answer| answer.tag == tag).await
        else {
            continue;
        };
        if answer.square == number * number {
            ctx.observe("answered", |answered: &mut u32| *answered += 1);
        } else {
            let told = format!("the square of {number} was told as {}", answer.square);
            complain(&ctx, EXACT, told);
        }
    }
}

fn scenario(name: &str, tag_of: fn(u64) -> Tag) -> Scenario {
    Scenario::new(name)
        .node("server", server)
        .client("client", move |ctx| client(ctx, tag_of))
        .faults(
            Faults::calm()
                .lose(0.02)
                .duplicate(0.01)
                .reorder(0.05, millis(200)),
        )
        .always(EXACT, |view| no_complaint(view, EXACT))
        .finally("most calls are answered", |view| {
            view.observed::<u32>("answered") > Some(&25)
        })
        .horizon(secs(4))
}

/// The broken form.
pub(crate) fn late_reply() -> Scenario {
    scenario("protocols/call_late_reply", |_| Tag::FromTheServer)
        .summary("an answer without its call's id: a late one is taken for that of the next call")
        .broken(EXACT)
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    scenario("protocols/call_sound", Tag::OfCall)
        .summary("the same calls with an id in each answer: late ones are dropped")
}
