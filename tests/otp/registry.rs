//! Rule 23, the part with keys: registries.

use super::{
    all_seeds, clean_runs, dead_letters, dead_pid, ends_as_told, error, next_down, next_exit,
    nothing_comes, one_node, settle,
};
use netsplit::otp::{process, sys};
use netsplit::trace::DeadReason;
use netsplit::{
    Address, CallError, Context, ExitReason, Fault, Faults, Info, Keep, Pid, Registry,
    RegistryError, RegistryEvent, RegistryRef, ReplyTo, Scenario, StartError, Supervisor, child,
    millis, secs,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

type Rooms = RegistryRef<String, u32>;

fn key(text: &str) -> String {
    text.to_owned()
}

async fn unique<M: netsplit::Message>(ctx: &Context<M>) -> Rooms {
    let registry = Registry::unique("rooms").start_link(ctx).await;
    registry.expect("a free name")
}

async fn duplicate<M: netsplit::Message>(ctx: &Context<M>) -> Rooms {
    let registry = Registry::duplicate("rooms").start_link(ctx).await;
    registry.expect("a free name")
}

/// A process that is registered under these keys, with their numbers, and ends for the reason it is sent.
async fn holder<M: netsplit::Message>(ctx: &Context<M>, keys: &'static [&'static str]) -> Pid {
    let child = ctx.spawn(move |own: Context<ExitReason>| async move {
        for (key, n) in keys.iter().zip(0..) {
            let registered = Rooms::named("rooms").register((*key).to_owned(), n);
            registered.expect("a free key");
        }
        ends_as_told(own).await
    });
    settle(ctx).await;
    child.pid().unwrap()
}

#[test]
fn otp_23_a_unique_key_has_one_holder_and_an_error_names_it() {
    one_node(async |ctx: &Context| {
        let rooms = unique(ctx).await;
        let holder = holder(ctx, &["hall"]).await;
        let taken = Err(RegistryError::AlreadyRegistered { holder });
        assert_eq!(rooms.register(key("hall"), 7), taken);
        assert_eq!(rooms.lookup(&key("hall")), [(holder, 0)]);
        assert_eq!(rooms.whereis(&key("hall")), Some(holder));
        // Any number of other keys, but none twice.
        assert_eq!(rooms.register(key("cellar"), 7), Ok(()));
        assert_eq!(rooms.register(key("attic"), 8), Ok(()));
        let holder = ctx.pid();
        let taken = Err(RegistryError::AlreadyRegistered { holder });
        assert_eq!(rooms.register(key("attic"), 9), taken);
        assert_eq!(rooms.lookup(&key("attic")), [(holder, 8)]);
    });
}

#[test]
fn otp_23_a_duplicate_key_has_many_holders_the_oldest_first() {
    one_node(async |ctx: &Context| {
        let rooms = duplicate(ctx).await;
        let first = holder(ctx, &["hall", "hall"]).await;
        let second = holder(ctx, &["hall"]).await;
        rooms.register(key("hall"), 7).expect("it runs");
        let expected = [(first, 0), (first, 1), (second, 0), (ctx.pid(), 7)];
        assert_eq!(rooms.lookup(&key("hall")), expected);
        assert_eq!(rooms.whereis(&key("hall")), Some(first));
        assert_eq!(rooms.keys(first), ["hall", "hall"]);
        ctx.send_exit(first, ExitReason::Kill);
        assert_eq!(rooms.lookup(&key("hall")), expected[2..]);
        assert_eq!(rooms.whereis(&key("hall")), Some(second));
    });
}

#[test]
fn otp_23_entries_vanish_with_their_process_before_anyone_is_told_of_its_end() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let rooms = unique(ctx).await;
        for way in 0..7 {
            let (child, _monitor) = ctx.spawn_monitor(move |own: Context<()>| async move {
                own.trap_exit(way == 6);
                rooms.register(key("hall"), way).expect("free again");
                rooms.register(key("cellar"), way).expect("free again");
                own.receive_message().await;
                match way {
                    0 => return ExitReason::Normal,
                    1 => return error("x"),
                    2 => panic!("on purpose"),
                    3 => own.link(dead_pid(&own).await),
                    _ => {}
                }
                own.receive().await;
                ExitReason::Shutdown
            });
            let pid = child.pid().unwrap();
            ctx.link(pid);
            settle(ctx).await;
            assert_eq!(rooms.lookup(&key("hall")), [(pid, way)]);
            child.send(());
            match way {
                4 => ctx.send_exit(pid, ExitReason::Kill),
                5 => ctx.send_exit(pid, error("asked to")),
                6 => ctx.send_exit(pid, ExitReason::Shutdown),
                _ => {}
            }
            if (4..6).contains(&way) {
                assert_eq!(rooms.count(), 0, "whom an exit signal has reached is gone");
            }
            // Whichever comes first of the two.
            let told = ctx.receive_info(|_| true).await;
            assert!(matches!(told, Info::Exit { .. } | Info::Down { .. }));
            let seen = (rooms.lookup(&key("hall")), rooms.keys(pid), rooms.entries());
            assert_eq!(seen, (vec![], vec![], vec![]), "way out {way}");
            // Free, though the registry's process may not have stepped since.
            rooms.register(key("hall"), 99).expect("free");
            rooms.unregister(&key("hall"));
            ctx.receive_info(|_| true).await;
        }
    });
}

#[test]
fn otp_23_whoever_waits_for_the_answer_of_one_that_ends_finds_its_keys_free() {
    one_node(async |ctx: &Context| {
        let rooms = unique(ctx).await;
        let child = ctx.spawn(move |own: Context<ReplyTo<()>>| async move {
            rooms.register(key("hall"), 1).expect("free");
            own.receive_message().await;
        });
        settle(ctx).await;
        let asked = child.call(|to| to, secs(1)).await;
        assert_eq!(asked, Err(CallError::Exit(ExitReason::Normal)));
        assert_eq!(rooms.register(key("hall"), 2), Ok(()));
    });
}

#[test]
fn otp_23_unregister_takes_out_ones_own_entries_under_a_key_and_no_other() {
    one_node(async |ctx: &Context| {
        let rooms = duplicate(ctx).await;
        let other = holder(ctx, &["hall"]).await;
        for n in [1, 2] {
            rooms.register(key("hall"), n).expect("it runs");
        }
        rooms.register(key("attic"), 3).expect("it runs");
        rooms.unregister(&key("cellar"));
        rooms.unregister(&key("hall"));
        rooms.unregister(&key("hall"));
        let rest = [(key("attic"), ctx.pid(), 3), (key("hall"), other, 0)];
        assert_eq!(rooms.entries(), rest);
    });
}

#[test]
fn otp_23_a_value_is_changed_by_its_process_alone() {
    one_node(async |ctx: &Context| {
        let rooms = unique(ctx).await;
        let other = holder(ctx, &["hall"]).await;
        let no = Err(RegistryError::NotRegistered);
        assert_eq!(rooms.update_value(&key("hall"), |n| n + 1), no);
        assert_eq!(rooms.update_value(&key("cellar"), |n| n + 1), no);
        assert_eq!(rooms.lookup(&key("hall")), [(other, 0)]);
        rooms.register(key("attic"), 3).expect("free");
        // It may use the registry meanwhile.
        let update = |n: &u32| n + rooms.count() as u32;
        assert_eq!(rooms.update_value(&key("attic"), update), Ok(()));
        assert_eq!(rooms.lookup(&key("attic")), [(ctx.pid(), 5)]);
    });
}

#[test]
fn otp_23_all_entries_come_in_the_order_of_keys_and_registrations() {
    one_node(async |ctx: &Context| {
        let rooms = duplicate(ctx).await;
        let first = holder(ctx, &["c", "a"]).await;
        let second = holder(ctx, &["b", "a", "c"]).await;
        let entry = |name: &str, pid, n| (key(name), pid, n);
        let all = [
            entry("a", first, 1),
            entry("a", second, 1),
            entry("b", second, 0),
            entry("c", first, 0),
            entry("c", second, 2),
        ];
        assert_eq!(rooms.entries(), all);
        assert_eq!(rooms.count(), 5);
        assert_eq!(rooms.keys(second), ["a", "b", "c"]);
        assert_eq!(rooms.keys(ctx.pid()), [""; 0]);
        ctx.send_exit(first, ExitReason::Kill);
        assert_eq!((rooms.count(), rooms.keys(first)), (3, vec![]));
    });
}

#[test]
fn otp_23_a_message_goes_to_all_under_a_key_once_an_entry() {
    one_node(async |ctx: &Context<(Pid, u64)>| {
        let topics = Registry::<u32>::duplicate("topics").start_link(ctx).await;
        let (topics, told) = (topics.expect("a free name"), ctx.address());
        let start = |times: u32| {
            let child = ctx.spawn(move |own: Context<u64>| async move {
                for _ in 0..times {
                    topics.register(5, ()).expect("it runs");
                }
                loop {
                    told.send((own.pid(), own.receive_message().await));
                }
            });
            child.pid().unwrap()
        };
        let children = [start(1), start(2), start(0)];
        settle(ctx).await;
        assert_eq!(topics.dispatch(&5, 7u64), 3);
        assert_eq!(topics.dispatch(&6, 7u64), 0);
        let mut came = BTreeMap::<Pid, u64>::new();
        for _ in 0..3 {
            let (who, number) = ctx.receive_message().await;
            assert_eq!(number, 7);
            *came.entry(who).or_default() += 1;
        }
        let counts = children.map(|child| came.get(&child).copied());
        assert_eq!(counts, [Some(1), Some(2), None]);
        nothing_comes(ctx).await;
    });
}

// ---- addresses by key

#[test]
fn otp_23_an_address_by_key_stays_good_across_restarts_of_who_is_under_it() {
    async fn adder(own: Context<(u64, ReplyTo<u64>)>) {
        let rooms = Rooms::named("rooms");
        rooms
            .register(key("adder"), 0)
            .expect("its last life is over");
        loop {
            let (number, reply_to) = own.receive_message().await;
            assert!(number != 13, "thirteen is too much");
            reply_to.reply(number + 1);
        }
    }
    let tree = || {
        Supervisor::one_for_one()
            .intensity(10, secs(5))
            .child(child("rooms", || Registry::<String, u32>::unique("rooms")))
            .child(child("adder", || process(adder)))
            .child(child("user", || process(user)).temporary())
    };
    async fn user(ctx: Context) {
        let adder = Rooms::named("rooms").address::<(u64, ReplyTo<u64>)>(key("adder"));
        let mut pids = Vec::new();
        for life in 1..=3 {
            settle(&ctx).await;
            assert_eq!(adder.call(|to| (life, to), secs(1)).await, Ok(life + 1));
            pids.extend(adder.pid());
            let monitor = ctx.monitor(&adder);
            let reason = ExitReason::Panic("thirteen is too much".to_owned());
            let asked = adder.clone().call(|to| (13, to), secs(1)).await;
            assert_eq!(asked, Err(CallError::Exit(reason.clone())));
            assert_eq!(monitor.of().pid(), pids.last().copied());
            assert_eq!(next_down(&ctx).await, reason);
        }
        pids.dedup();
        assert_eq!(pids.len(), 3);
        ctx.observe("ended", |ended: &mut bool| *ended = true);
    }
    let scenario = Scenario::new("by key").node("house", move |ctx| tree().run(ctx));
    let scenario = scenario.finally("the user comes to its end", |view| {
        view.observed("ended") == Some(&true)
    });
    all_seeds(&scenario.horizon(secs(60)));
}

#[test]
fn otp_23_what_is_sent_to_a_key_that_nobody_is_under_is_a_dead_letter() {
    let outcomes = one_node(async |ctx: &Context| {
        let rooms = unique(ctx).await;
        let nobody = rooms.address::<ReplyTo<u64>>(key("hall"));
        assert_eq!(nobody.pid(), None);
        assert_eq!(nobody.call(|to| to, secs(1)).await, Err(CallError::NoProc));
        rooms.address::<u64>(key("hall")).send(7);
        let _monitor = ctx.monitor(&nobody);
        assert_eq!(next_down(ctx).await, ExitReason::NoProc);
        ctx.send_exit(&nobody, ExitReason::Kill);
        rooms.register(key("own"), 0).expect("free");
        let own = rooms.address::<ReplyTo<u64>>(key("own"));
        assert_eq!(
            own.call(|to| to, secs(1)).await,
            Err(CallError::CallingSelf)
        );
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [DeadReason::NoProc]);
    }
}

// ---- the registry's process

#[test]
fn otp_23_a_registry_whose_name_is_taken_does_not_start() {
    one_node(async |ctx: &Context| {
        ctx.register("rooms").expect("a free name");
        let started = Registry::<u32>::unique("rooms").start_link(ctx).await;
        assert_eq!(started.err(), Some(StartError::AlreadyStarted(ctx.pid())));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_23_a_registry_that_does_not_run_has_no_entries_and_takes_none() {
    one_node(async |ctx: &Context| {
        let rooms = Rooms::named("rooms");
        let no = Err(RegistryError::NotRunning);
        assert_eq!(rooms.register(key("hall"), 1), no);
        assert_eq!(rooms.update_value(&key("hall"), |n| *n), no);
        rooms.unregister(&key("hall"));
        let seen = (rooms.lookup(&key("hall")), rooms.entries(), rooms.count());
        assert_eq!(seen, (vec![], vec![], 0));
        let reason: ExitReason = RegistryError::NotRunning.into();
        assert_eq!(reason, error("the registry does not run on this node"));
        // A name of a process that is none is no registry either: it has exposed nothing.
        ctx.register("rooms").expect("a free name");
        assert_eq!(rooms.register(key("hall"), 1), no);
    });
}

#[test]
fn otp_23_who_is_registered_ends_with_the_registry_unless_it_traps_exits() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let rooms = unique(ctx).await;
        let child = holder(ctx, &["hall"]).await;
        let left = holder(ctx, &["cellar"]).await;
        let _monitor = ctx.monitor(child);
        rooms.register(key("attic"), 1).expect("free");
        rooms.register(key("shed"), 1).expect("free");
        rooms.unregister(&key("shed"));
        let leaves = ctx.spawn(move |own: Context| async move {
            rooms.register(key("gate"), 1).expect("free");
            rooms.unregister(&key("gate"));
            own.sleep(secs(10)).await;
        });
        settle(ctx).await;
        let registry = ctx.whereis("rooms").unwrap();
        ctx.send_exit(registry, ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        assert_eq!(next_exit(ctx).await, (registry, ExitReason::Killed));
        // Who has unregistered itself is no longer linked.
        assert!(!ctx.is_alive(left) && ctx.is_alive(leaves));
        // It begins anew, empty, and the handle is as good as before.
        assert_eq!(
            rooms.register(key("attic"), 1),
            Err(RegistryError::NotRunning)
        );
        unique(ctx).await;
        assert_eq!(rooms.count(), 0);
        assert_eq!(rooms.register(key("attic"), 2), Ok(()));
        assert_eq!(rooms.entries(), [(key("attic"), ctx.pid(), 2)]);
    });
}

#[test]
fn otp_23_a_registry_ends_with_its_starter_though_that_was_registered_and_is_not_any_more() {
    one_node(async |ctx: &Context| {
        let starter = ctx.spawn(|own: Context<ExitReason>| async move {
            let rooms = unique(&own).await;
            rooms.register(key("hall"), 1).expect("free");
            rooms.unregister(&key("hall"));
            ends_as_told(own).await
        });
        settle(ctx).await;
        assert!(ctx.whereis("rooms").is_some());
        starter.send(ExitReason::Normal);
        settle(ctx).await;
        assert_eq!(ctx.whereis("rooms"), None);
    });
}

#[test]
fn otp_23_an_exit_signal_of_one_that_lives_takes_nothing_out() {
    one_node(async |ctx: &Context| {
        let rooms = unique(ctx).await;
        let child = ctx.spawn(move |own: Context| async move {
            rooms.register(key("hall"), 1).expect("free");
            own.send_exit("rooms", ExitReason::Normal);
            own.send_exit("rooms", error("x"));
            own.sleep(secs(1)).await;
        });
        settle(ctx).await;
        let entry = (key("hall"), child.pid().unwrap(), 1);
        assert_eq!(rooms.entries(), [entry]);
    });
}

#[test]
fn otp_26_a_process_that_has_ended_itself_is_not_registered_any_more() {
    one_node(async |ctx: &Context<ToDoor>| {
        ctx.register("door").expect("a free name");
        let registry = Registry::unique("rooms").listener("door", ToDoor::Rooms);
        let rooms = registry.start_link(ctx).await.expect("a free name");
        let (_, _monitor) = ctx.spawn_monitor(move |own: Context| async move {
            own.send_exit(own.pid(), error("x"));
            assert_eq!(rooms.register(key("hall"), 1), Ok(()), "it does not happen");
            assert_eq!(rooms.count(), 0);
        });
        assert_eq!(next_down(ctx).await, error("x"));
        assert_eq!(rooms.count(), 0);
        // The first that listeners hear of the key.
        rooms.register(key("hall"), 2).expect("free");
        let ToDoor::Rooms(told) = ctx.receive_message().await;
        assert!(matches!(told, RegistryEvent::Registered { value: 2, .. }));
    });
}

#[test]
#[should_panic(expected = "`rooms` is no registry with keys and values of these types")]
fn a_registry_of_other_types_is_refused_with_its_name() {
    one_node(async |ctx: &Context| {
        unique(ctx).await;
        let _none = RegistryRef::<u64>::named("rooms").count();
    });
}

#[test]
fn the_status_of_a_registry_shows_its_entries_and_a_suspended_one_is_as_exact() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let rooms = unique(ctx).await;
        let child = holder(ctx, &["hall", "cellar"]).await;
        let registry = Address::<netsplit::Never>::at(ctx.node(), "rooms");
        let status = sys::status(registry, secs(1)).await.expect("it runs");
        let entries = format!("Unique keys: [(\"cellar\", {child}, 1), (\"hall\", {child}, 0)]");
        assert_eq!(
            (status.state, status.behaviour.as_str()),
            (entries, "GenServer")
        );
        sys::suspend(registry, secs(1)).await.expect("it runs");
        ctx.send_exit(child, ExitReason::Kill);
        settle(ctx).await;
        assert_eq!(rooms.register(key("hall"), 1), Ok(()));
        assert_eq!(rooms.entries(), [(key("hall"), ctx.pid(), 1)]);
        sys::resume(registry, secs(1)).await.expect("it runs");
        settle(ctx).await;
        assert_eq!(rooms.entries(), [(key("hall"), ctx.pid(), 1)]);
    });
}

// ---- listeners

#[derive(Debug, Serialize, Deserialize)]
enum ToDoor {
    Rooms(RegistryEvent<String, u32>),
}

#[test]
fn otp_23_listeners_are_told_of_each_registration_and_its_end_in_their_order() {
    one_node(async |ctx: &Context<ToDoor>| {
        ctx.register("door").expect("a free name");
        let registry = Registry::unique("rooms").listener("door", ToDoor::Rooms);
        let rooms = registry.start_link(ctx).await.expect("a free name");
        let told = async || {
            let ToDoor::Rooms(event) = ctx.receive_message().await;
            event
        };
        let registered = |name: &str, pid, value| RegistryEvent::Registered {
            key: key(name),
            pid,
            value,
        };
        let unregistered = |name: &str, pid| RegistryEvent::Unregistered {
            key: key(name),
            pid,
        };
        let child = holder(ctx, &["hall", "cellar"]).await;
        assert_eq!(told().await, registered("hall", child, 0));
        assert_eq!(told().await, registered("cellar", child, 1));
        rooms.register(key("attic"), 5).expect("free");
        rooms.unregister(&key("attic"));
        assert_eq!(told().await, registered("attic", ctx.pid(), 5));
        assert_eq!(told().await, unregistered("attic", ctx.pid()));
        ctx.send_exit(child, ExitReason::Kill);
        // Taken over before the registry's process has heard of it: the order is that of the key.
        rooms.register(key("hall"), 6).expect("free");
        assert_eq!(told().await, unregistered("hall", child));
        assert_eq!(told().await, registered("hall", ctx.pid(), 6));
        assert_eq!(told().await, unregistered("cellar", child));
        nothing_comes(ctx).await;
    });
}

// ---- any interleaving

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Deed {
    Register(u8),
    Unregister(u8),
    Update(u8),
    End,
    Panic,
    Kill,
    Rest,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0..4u8).prop_map(Deed::Register),
        2 => (0..4u8).prop_map(Deed::Unregister),
        1 => (0..4u8).prop_map(Deed::Update),
        1 => Just(Deed::End),
        1 => Just(Deed::Panic),
        2 => Just(Deed::Kill),
        2 => Just(Deed::Rest),
    ]
}

type Keys = RegistryRef<u8, u64>;
type Event = RegistryEvent<u8, u64>;

/// Does what it is told; what an answer contradicts is a panic of the client, who reads the board.
async fn worker(own: Context<Deed>) {
    let keys = Keys::named("keys");
    loop {
        match own.receive_message().await {
            Deed::Register(key) => match keys.register(key, 0) {
                Err(RegistryError::AlreadyRegistered { holder }) => {
                    let held = own.is_alive(holder) && keys.whereis(&key) == Some(holder);
                    own.count(if held { "taken" } else { "wrong" });
                }
                other => {
                    let held = keys.keys(own.pid()).contains(&key);
                    own.count(if other.is_ok() && held {
                        "registered"
                    } else {
                        "wrong"
                    });
                }
            },
            Deed::Unregister(key) => {
                keys.unregister(&key);
                if keys.keys(own.pid()).contains(&key) {
                    own.count("wrong");
                }
            }
            Deed::Update(key) => drop(keys.update_value(&key, |value| value + 1)),
            Deed::End => return,
            Deed::Panic => panic!("on purpose"),
            Deed::Kill => own.send_exit(own.pid(), ExitReason::Kill),
            Deed::Rest => own.yield_now().await,
        }
    }
}

/// What holds at any moment of a registry.
fn check(ctx: &Context<Event>, unique: bool) {
    let keys = Keys::named("keys");
    let entries = keys.entries();
    assert_eq!(entries.len(), keys.count());
    for (key, pid, value) in &entries {
        assert!(ctx.is_alive(*pid), "{pid} has ended, and is under {key}");
        assert!(keys.lookup(key).contains(&(*pid, *value)));
        assert!(keys.keys(*pid).contains(key));
    }
    let mut of_keys: Vec<u8> = entries.iter().map(|(key, ..)| *key).collect();
    assert!(of_keys.is_sorted());
    of_keys.dedup();
    assert!(!unique || of_keys.len() == entries.len(), "{entries:?}");
}

/// Takes in what the listener was told: what each process has, by key.
fn listen(held: &mut BTreeMap<(u8, Pid), u32>, event: Event, unique: bool) {
    match event {
        Event::Registered { key, pid, .. } => {
            let others = held.iter().any(|((k, _), n)| *k == key && *n > 0);
            assert!(!unique || !others, "{key} had a holder when {pid} took it");
            *held.entry((key, pid)).or_default() += 1;
        }
        Event::Unregistered { key, pid } => {
            let count = held.get_mut(&(key, pid)).expect("it was registered");
            *count = count.checked_sub(1).expect("so often");
        }
    }
}

fn interleaved(unique: bool, deeds: Vec<(u8, Deed)>) -> Scenario {
    Scenario::new("interleaved")
        .client("a", move |ctx: Context<Event>| {
            let deeds = deeds.clone();
            async move {
                ctx.register("listener").expect("a free name");
                let registry = match unique {
                    true => Registry::<u8, u64>::unique("keys"),
                    false => Registry::duplicate("keys"),
                };
                let registry = registry.listener("listener", |event: Event| event);
                registry.start_link(&ctx).await.expect("a free name");
                let mut workers = vec![ctx.spawn(worker); 3];
                for (who, deed) in deeds {
                    let place = &mut workers[usize::from(who)];
                    if !ctx.is_alive(*place) {
                        *place = ctx.spawn(worker);
                    }
                    match deed {
                        Deed::Kill if who == 0 => ctx.send_exit(*place, ExitReason::Kill),
                        deed => place.send(deed),
                    }
                    check(&ctx, unique);
                    ctx.yield_now().await;
                    check(&ctx, unique);
                }
                settle(&ctx).await;
                for worker in workers {
                    ctx.send_exit(worker, ExitReason::Kill);
                }
                assert_eq!(Keys::named("keys").count(), 0);
                let mut held = BTreeMap::new();
                while let Some(received) = ctx.receive_within(millis(1)).await {
                    listen(&mut held, received.message().expect("an event"), unique);
                }
                assert!(
                    held.into_values().all(|count| count == 0),
                    "all were told gone"
                );
                ctx.count("ended");
            }
        })
        .finally("it comes to its end, and no answer was wrong", |view| {
            view.counter("ended") == 1 && view.counter("wrong") == 0
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn otp_23_no_entry_outlives_its_process_and_a_unique_key_has_one_holder_whatever_the_order(
        unique: bool,
        deeds in prop::collection::vec((0..3u8, deed()), 1..40),
    ) {
        clean_runs(&interleaved(unique, deeds), 8, Keep::default());
    }
}

#[test]
fn otp_23_a_crash_at_any_call_leaves_no_entry_and_the_next_boot_begins_anew() {
    async fn clerk(own: Context) {
        let rooms = Rooms::named("rooms");
        for name in ["hall", "cellar", "attic"] {
            rooms.register(key(name), 0).expect("nobody has it");
            rooms.unregister(&key("hall"));
            own.yield_now().await;
        }
        own.count("registered");
        own.receive().await;
    }
    for call in 1..30 {
        let crash = Fault::crash_at_call("house", call, millis(10));
        let scenario = Scenario::new("crash").node("house", |ctx| {
            Supervisor::one_for_one()
                .child(child("rooms", || Registry::<String, u32>::unique("rooms")))
                .child(child("clerk", || process(clerk)))
                .run(ctx)
        });
        let scenario = scenario.faults(Faults::calm().at(std::time::Duration::ZERO, crash));
        let scenario = scenario.finally("it is registered in the end", |view| {
            view.counter("registered") >= 1
        });
        clean_runs(&scenario.horizon(secs(5)), 2, Keep::default());
    }
}
