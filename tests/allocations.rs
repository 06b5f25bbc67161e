//! What a run asks of the heap: nothing for a message, a wake, a draw or a timer in steady state, and
//! nothing that stays after it.
//!
//! This binary counts allocations, for each thread by itself. A run of N things is compared with one of
//! 2N: what only the beginning needs falls out.
#![allow(
    unsafe_code,
    reason = "a global allocator cannot be without: it counts, and hands on"
)]

use netsplit::mail::queue::{Broker, Queue, QueueSettings};
use netsplit::mail::{Batch, Draft, Outbox, Store, StoreError, Table};
use netsplit::{Address, Context, Outcome, ReplyTo, Scenario, micros, millis, secs};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::RangeInclusive;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

/// A block came or grew (`bytes` more), or went (`bytes` less).
fn note(allocations: u64, bytes: i64) {
    // A thread that is ending has no counters any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + allocations));
    let _ = LIVE_BYTES.try_with(|live| live.set(live.get() + bytes));
}

// SAFETY: each call is handed to the system's allocator as it came, and its answer handed back; the
// counters are plain thread-locals without a destructor, so counting allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: as above; `block` came from `alloc` or `realloc`, so from the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `code` makes on this thread.
fn allocations_of(code: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    code();
    ALLOCATIONS.get() - before
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let outcome = scenario.run(seed).expect("a good scenario");
    assert!(outcome.is_ok(), "{outcome:?}");
    outcome
}

/// Enough that one allocation each cannot hide in the slack.
const N: u64 = 5_000;
/// What may grow with a run, and by doubling only: the digest's checkpoints.
const SLACK: u64 = 4;

/// How many allocations N more of the things in a scenario cost.
fn cost_of_more(scenario: impl Fn(u64) -> Scenario) -> u64 {
    let scenario = |n| {
        scenario(n)
            .finally("it ended", |_| true)
            .horizon(secs(100_000))
    };
    let [once, twice] = [N, 2 * N].map(scenario);
    // The first runs fill what lives as long as the thread: tags of message types, the watchdog's beat.
    let steps = [&once, &twice].map(|scenario| run(scenario, 7).steps);
    assert!(steps[1] >= steps[0] + N, "{steps:?}: too little happens");
    let count = |scenario| allocations_of(|| drop(run(scenario, 7)));
    let [once, twice] = [&once, &twice].map(count);
    twice.saturating_sub(once)
}

#[track_caller]
fn costs_nothing(scenario: impl Fn(u64) -> Scenario) {
    let more = cost_of_more(scenario);
    assert!(more <= SLACK, "{more} allocations for {N} more");
}

#[test]
fn the_counter_counts() {
    let count = allocations_of(|| drop((Box::new(7), vec![0; 100])));
    assert_eq!(count, 2);
    let boxes = |n| {
        Scenario::new("boxes").client("home", move |ctx: Context| async move {
            for number in 0..n {
                drop(std::hint::black_box(Box::new(number)));
                ctx.yield_now().await;
            }
        })
    };
    assert!((N..N + SLACK).contains(&cost_of_more(boxes)));
}

#[test]
fn a_local_message_allocates_nothing() {
    costs_nothing(|n| {
        Scenario::new("local").client("home", move |ctx: Context<u64>| async move {
            let me = ctx.address();
            let other = ctx.spawn(move |other: Context<u64>| async move {
                loop {
                    me.send(other.receive_message().await + 1);
                }
            });
            for number in 0..n {
                other.send(number);
                assert_eq!(ctx.receive().await.message(), Some(number + 1));
            }
        })
    });
}

#[test]
fn a_wake_allocates_nothing() {
    costs_nothing(|n| {
        Scenario::new("wake").client("home", move |ctx: Context| async move {
            for _ in 0..n {
                ctx.yield_now().await;
            }
        })
    });
}

#[test]
fn a_draw_allocates_nothing() {
    costs_nothing(|n| {
        Scenario::new("draw").client("home", move |ctx: Context| async move {
            for _ in 0..n {
                assert!(ctx.random_below(10) < 10);
                ctx.yield_now().await;
            }
        })
    });
}

#[test]
fn a_timer_that_fires_allocates_nothing() {
    costs_nothing(|n| {
        Scenario::new("sleep").client("home", move |ctx: Context| async move {
            for number in 0..n {
                ctx.sleep(micros(number * 7 % 10_000 + 1)).await;
            }
        })
    });
}

#[test]
fn a_timeout_that_is_cancelled_allocates_nothing() {
    costs_nothing(|n| {
        Scenario::new("timeout").client("home", move |ctx: Context<u64>| async move {
            let me = ctx.address();
            let other = ctx.spawn(move |other: Context<u64>| async move {
                loop {
                    me.send(other.receive_message().await);
                }
            });
            for number in 0..n {
                other.send(number);
                assert!(ctx.receive_within(secs(1)).await.is_some());
            }
        })
    });
}

#[test]
fn a_datagram_round_trip_allocates_nothing() {
    costs_nothing(|n| {
        Scenario::new("datagram")
            .node("server", |ctx: Context<(u64, Address<u64>)>| async move {
                ctx.register("server").expect("a free name");
                loop {
                    let (number, from) = ctx.receive_message().await;
                    from.send(number + 1);
                }
            })
            .client("client", move |ctx: Context<u64>| async move {
                ctx.sleep(millis(1)).await;
                let server = Address::named("server", "server");
                for number in 0..n {
                    server.send((number, ctx.address()));
                    assert_eq!(ctx.receive_message().await, number + 1);
                }
            })
    });
}

async fn next_number(ctx: Context<(u64, ReplyTo<u64>)>) {
    ctx.register("next").expect("a free name");
    loop {
        let (number, reply_to) = ctx.receive_message().await;
        reply_to.reply(number + 1);
    }
}

#[test]
fn a_call_within_a_node_allocates_nothing() {
    costs_nothing(|n| {
        Scenario::new("call").client("home", move |ctx: Context| async move {
            let server = ctx.spawn(next_number);
            for number in 0..n {
                let answer = server.call(|reply_to| (number, reply_to), secs(1)).await;
                assert_eq!(answer, Ok(number + 1));
            }
        })
    });
}

#[test]
fn a_call_across_nodes_allocates_nothing() {
    costs_nothing(|n| {
        Scenario::new("far_call")
            .node("server", next_number)
            .client("client", move |ctx: Context| async move {
                ctx.sleep(millis(1)).await;
                let server = Address::<(u64, ReplyTo<u64>)>::named("server", "next");
                for number in 0..n {
                    let answer = server.call(|reply_to| (number, reply_to), secs(1)).await;
                    assert_eq!(answer, Ok(number + 1));
                }
            })
    });
}

#[test]
fn a_message_sent_later_costs_the_box_that_keeps_it() {
    let more = cost_of_more(|n| {
        Scenario::new("later").client("home", move |ctx: Context<u64>| async move {
            for number in 0..n {
                ctx.send_after(ctx.address(), number, micros(10));
                assert_eq!(ctx.receive_message().await, number);
            }
        })
    });
    assert!((N..=N + SLACK).contains(&more), "{more} for {N}");
}

#[test]
fn a_process_costs_its_future_and_its_mailbox() {
    let more = cost_of_more(|n| {
        Scenario::new("spawn").client("home", move |ctx: Context| async move {
            for number in 0..n {
                let child = ctx.spawn(|child: Context<u64>| async move {
                    child.receive_message().await;
                });
                child.send(number);
                ctx.yield_now().await;
            }
        })
    });
    // The future, the mailbox, its queue, and the list in which its remains wait to be dropped.
    assert!(more <= 4 * N + 2 * SLACK, "{more} for {N}");
}

/// Five hosts, fifty requests and their answers, as the workload W7 of the benches.
fn small_cluster() -> Scenario {
    let mut scenario = Scenario::new("small_cluster");
    for host in 0..5u64 {
        let work = move |ctx: Context<(u64, ReplyTo<u64>)>| async move {
            ctx.spawn(move |asker: Context| async move {
                asker.sleep(millis(1)).await;
                let next = ["h0", "h1", "h2", "h3", "h4"][(host as usize + 1) % 5];
                let server = Address::<(u64, ReplyTo<u64>)>::named(next, "next");
                for number in 0..10 {
                    let answer = server.call(|reply_to| (number, reply_to), secs(1)).await;
                    assert_eq!(answer, Ok(number + 1));
                    asker.observe("answers", |answers: &mut u64| *answers += 1);
                }
            });
            next_number(ctx).await;
        };
        scenario = scenario.node(&format!("h{host}"), work);
    }
    scenario
        .finally("all are answered", |view| {
            view.observed("answers") == Some(&50u64)
        })
        .horizon(secs(10))
}

#[test]
fn memory_stays_flat_over_many_seeds() {
    // Without optimization a seed takes 2 ms, so fewer must do there.
    let seeds = if cfg!(debug_assertions) {
        2_000
    } else {
        100_000
    };
    let scenario = small_cluster();
    let live_after = |seeds: std::ops::Range<u64>| {
        seeds.for_each(|seed| drop(run(&scenario, seed)));
        LIVE_BYTES.get()
    };
    let warm = live_after(0..200);
    let half = live_after(200..seeds / 2);
    let whole = live_after(seeds / 2..seeds);
    assert_eq!(
        (half, whole),
        (warm, warm),
        "live bytes after 200, half, all seeds"
    );
}

/// A store that keeps nothing: what mail holds in memory is what is live then. Nothing may be read from it.
#[derive(Debug)]
struct Nowhere;

impl Store for Nowhere {
    fn get(&self, _: Table, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn scan(
        &self,
        _: Table,
        _: RangeInclusive<&[u8]>,
        _: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        Ok(())
    }

    fn len(&self, _: Table) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// What one more of these holds in memory, in bytes, on the average of N.
fn bytes_of_one_more(scenario: Scenario) -> i64 {
    let scenario = scenario.finally("it ended", |_| true).horizon(secs(1_000));
    let outcome = run(&scenario, 7);
    let live = |name| outcome.counters.get(name).copied().unwrap_or(0) as i64;
    (live("more") - live("some")) / N as i64
}

fn note_live(ctx: &Context, name: &'static str) {
    ctx.count_by(
        name,
        u64::try_from(LIVE_BYTES.get()).expect("more than nothing is live"),
    );
}

/// What the check of each run knows of a letter that is not done with; tables grow by doubling.
const CHECKED: i64 = 100;

#[test]
fn a_broker_holds_nothing_in_memory_for_a_letter_that_waits_behind_its_window() {
    let waiting = |window| {
        Scenario::new("waiting").client("home", move |ctx: Context| async move {
            let broker = Broker::new("broker", |_| Ok(Nowhere)).window(window);
            let broker = broker.start(&ctx).await.expect("a broker");
            let jobs = Queue::<[u8; 16]>::new(broker, "jobs");
            jobs.declare(QueueSettings::new()).await.expect("a queue");
            for name in ["some", "more"] {
                for _ in 0..N {
                    jobs.publish(&[7; 16]).await.expect("room");
                }
                note_live(&ctx, name);
            }
        })
    };
    let behind = bytes_of_one_more(waiting(100));
    assert!(behind <= CHECKED, "{behind} bytes a letter");
    let within = bytes_of_one_more(waiting(1 << 20));
    assert!(
        (behind + 48..behind + 120).contains(&within),
        "{within} bytes a letter, {behind} behind"
    );
}

#[test]
fn an_outbox_holds_a_few_hundred_bytes_for_a_letter_that_is_not_acked() {
    let scenario = Scenario::new("kept")
        .node(
            "b",
            |ctx: Context| async move { ctx.sleep(secs(100)).await },
        )
        .client("a", move |ctx: Context| async move {
            let outbox = Outbox::new("outbox", |_| Ok(Nowhere));
            let outbox = outbox.window(1).start(&ctx).await.expect("an outbox");
            for name in ["some", "more"] {
                for _ in 0..N {
                    let draft = Draft::to(("b", "nobody")).key(7);
                    outbox.post(draft, &[7_u8; 16]).await.expect("room");
                }
                note_live(&ctx, name);
            }
        });
    let bytes = bytes_of_one_more(scenario);
    assert!((100..400).contains(&bytes), "{bytes} bytes a letter");
}
