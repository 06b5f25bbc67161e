//! What the tests of the OTP contract share, on one node and across nodes.

use netsplit::trace::{DeadReason, Event};
use netsplit::{
    Chance, Context, ExitReason, Info, Keep, Message, Outcome, Pid, Received, Scenario,
};

/// Runs `scenario` under the first so many seeds; every run must be clean.
pub(crate) fn clean_runs(scenario: &Scenario, seeds: u64, keep: Keep) -> Vec<Outcome> {
    let run = |seed| {
        let outcome = scenario
            .run_with(Chance::Seed(seed), keep)
            .unwrap_or_else(|error| panic!("the scenario cannot be run: {error}"));
        if let Some(violation) = &outcome.violation {
            let (property, detail) = (&violation.property, &violation.detail);
            panic!("seed {seed}: violated \"{property}\": {detail}");
        }
        if let Some(error) = &outcome.error {
            panic!("seed {seed}: {error}");
        }
        outcome
    };
    (0..seeds).map(run).collect()
}

/// The events of a run, as its log has them.
pub(crate) fn events(outcome: &Outcome) -> impl Iterator<Item = Event> {
    let log = outcome.log.as_ref().expect("every run here keeps its log");
    log.entries().iter().map(|entry| entry.event)
}

/// Why the dead letters of a run found nobody, in their order.
pub(crate) fn dead_letters(outcome: &Outcome) -> Vec<DeadReason> {
    let why = |event| match event {
        Event::DeadLetter { why, .. } => Some(why),
        _ => None,
    };
    events(outcome).filter_map(why).collect()
}

/// A process that takes everything and does nothing.
pub(crate) async fn idle<M: Message>(ctx: Context<M>) {
    loop {
        ctx.receive().await;
    }
}

/// A process that ends for the reason that it is sent.
pub(crate) async fn ends_as_told(ctx: Context<ExitReason>) -> ExitReason {
    ctx.receive_message().await
}

/// The reason of the next `Down`, whatever else waits in the mailbox.
pub(crate) async fn next_down<M: Message>(ctx: &Context<M>) -> ExitReason {
    match ctx
        .receive_info(|info| matches!(info, Info::Down { .. }))
        .await
    {
        Info::Down { reason, .. } => reason,
        other => unreachable!("{other:?} was not asked for"),
    }
}

/// Sender and reason of the next trapped exit, whatever else waits in the mailbox.
pub(crate) async fn next_exit<M: Message>(ctx: &Context<M>) -> (Pid, ExitReason) {
    match ctx
        .receive_info(|info| matches!(info, Info::Exit { .. }))
        .await
    {
        Info::Exit { from, reason } => (from, reason),
        other => unreachable!("{other:?} was not asked for"),
    }
}

pub(crate) fn error(text: &str) -> ExitReason {
    ExitReason::error(text)
}

/// A line about something received.
pub(crate) fn line<M: Message>(received: &Received<M>) -> String {
    match received {
        Received::Message(message) => format!("{message:?}"),
        Received::Info(Info::Exit { reason, .. }) => format!("exit {reason}"),
        Received::Info(Info::Down { reason, .. }) => format!("down {reason}"),
        Received::Info(other) => format!("{other:?}"),
    }
}
