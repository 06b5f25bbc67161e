//! Signals from one process to another of the same node arrive in the order in which they were sent:
//! messages, exits and downs among one another, under every drawn order of steps.

use netsplit::{Context, ExitReason, Faults, Info, Received, Scenario, Time, View, millis, secs};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What a sender does next.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Send,
    SendByName,
    Exit,
    SendLater,
    Yield,
    Sleep,
}

/// By sender: the numbers that came, in the order in which they came.
type Heard = BTreeMap<u64, Vec<u64>>;

/// Told at a sender's end, by its monitor and by its link.
const ENDS: [u64; 2] = [u64::MAX - 1, u64::MAX];

async fn sender(ctx: Context, who: u64, receiver: netsplit::Address<(u64, u64)>, deeds: Vec<Deed>) {
    let pid = receiver.pid().expect("an address by pid");
    let mut numbers = 0..;
    let mut next = || numbers.next().expect("a number");
    for deed in deeds {
        match deed {
            Deed::Send => receiver.send((who, next())),
            Deed::SendByName => netsplit::Address::named("home", "receiver").send((who, next())),
            Deed::Exit => ctx.send_exit(pid, ExitReason::error(format!("{who} {}", next()))),
            // In a process of its own: nothing is promised between it and this one.
            Deed::SendLater => drop(ctx.send_after(receiver, (who + 1_000, 0), millis(1))),
            Deed::Yield => ctx.yield_now().await,
            Deed::Sleep => ctx.sleep(millis(1)).await,
        }
    }
}

fn note(heard: &mut Heard, received: Received<(u64, u64)>, senders: &[netsplit::Pid]) {
    let index = |pid| senders.iter().position(|sender| *sender == pid);
    match received {
        Received::Message((who, number)) => heard.entry(who).or_default().push(number),
        Received::Info(Info::Exit { from, reason }) => {
            let who = index(from).expect("a sender") as u64;
            let number = match reason {
                ExitReason::Error(text) => {
                    let (said, number) = text.split_once(' ').expect("who and number");
                    assert_eq!(said, who.to_string());
                    number.parse().expect("a number")
                }
                _ => ENDS[1],
            };
            heard.entry(who).or_default().push(number);
        }
        Received::Info(Info::Down { of, .. }) => {
            let who = of.pid().and_then(index).expect("a sender") as u64;
            heard.entry(who).or_default().push(ENDS[0]);
        }
        Received::Info(other) => panic!("{other:?}"),
    }
}

fn scenario(all: Vec<Vec<Deed>>, selective: bool) -> Scenario {
    let expected = all.clone();
    Scenario::new("order")
        .node("home", move |ctx: Context<(u64, u64)>| {
            let all = all.clone();
            async move {
                ctx.register("receiver").expect("a free name");
                ctx.trap_exit(true);
                let (mut senders, me) = (Vec::new(), ctx.address());
                for (who, deeds) in (0..).zip(all) {
                    let start = move |ctx| sender(ctx, who, me, deeds);
                    let pid = ctx.spawn_link(start).pid().expect("an address by pid");
                    let _ = ctx.monitor(pid);
                    senders.push(pid);
                }
                if selective {
                    // Let it pile up, then take single messages out of the middle first.
                    ctx.sleep(millis(40)).await;
                    let wanted = ctx.receive_where(|(who, _)| *who == u64::MAX);
                    let nothing = ctx.sleep(millis(1));
                    futures::future::select(std::pin::pin!(wanted), std::pin::pin!(nothing)).await;
                }
                while let Some(received) = ctx.receive_within(millis(100)).await {
                    ctx.observe("heard", |heard: &mut Heard| note(heard, received, &senders));
                }
            }
        })
        .finally("every pair has its order", move |view| {
            in_order(view, &expected)
        })
        .horizon(secs(10))
}

fn in_order(view: &View, all: &[Vec<Deed>]) -> Result<(), String> {
    assert!(view.now() > Time::ZERO);
    let heard = view.observed::<Heard>("heard").ok_or("nothing was heard")?;
    for (who, deeds) in (0..).zip(all) {
        let numbered = |deed: &&Deed| matches!(deed, Deed::Send | Deed::SendByName | Deed::Exit);
        let sent = deeds.iter().filter(numbered).count() as u64;
        let heard = heard.get(&who).ok_or(format!("nothing of {who}"))?;
        let (numbers, ends) = heard.split_at(heard.len().saturating_sub(2));
        let mut ends = ends.to_vec();
        ends.sort_unstable();
        if !numbers.iter().copied().eq(0..sent) || ends != ENDS {
            return Err(format!("of {who}, who sent {sent}: {heard:?}"));
        }
    }
    Ok(())
}

fn deeds() -> impl Strategy<Value = Vec<Vec<Deed>>> {
    let deed = prop_oneof![
        4 => Just(Deed::Send),
        2 => Just(Deed::SendByName),
        2 => Just(Deed::Exit),
        1 => Just(Deed::SendLater),
        2 => Just(Deed::Yield),
        1 => Just(Deed::Sleep),
    ];
    prop::collection::vec(prop::collection::vec(deed, 0..30), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn signals_of_a_pair_arrive_in_the_order_in_which_they_were_sent(
        all in deeds(), selective in any::<bool>(), slow in any::<bool>(), seed in any::<u64>(),
    ) {
        let slow = if slow { 1.0 } else { 0.0 };
        let faults = Faults::calm().slow(slow, millis(1)).late_timers(millis(1));
        let scenario = scenario(all, selective).faults(faults);
        for seed in [seed, !seed] {
            let outcome = scenario.run(seed).expect("a good scenario");
            prop_assert!(outcome.is_ok(), "{:?} {:?}", outcome.violation, outcome.error);
        }
    }
}

#[test]
fn senders_are_interleaved_in_more_than_one_way() {
    let all = vec![vec![Deed::Send, Deed::Yield, Deed::Send]; 3];
    let scenario = scenario(all, false);
    let run = |seed| scenario.run(seed).expect("a good scenario").digest;
    let mut digests: Vec<_> = (0..100).map(run).collect();
    digests.sort();
    digests.dedup();
    assert!(digests.len() > 50, "{}", digests.len());
}
