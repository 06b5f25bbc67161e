//! The code of `docs/guide/names.md`.

use super::pages::NAMES;
use netsplit::otp::process;
use netsplit::{
    Address, CallError, Context, ExitReason, Info, Received, Registry, RegistryRef, ReplyTo,
    Scenario, Supervisor, check, child, millis, secs,
};

type Add = (u64, ReplyTo<u64>);

/// Adds one to what it is sent, until it is asked to add to 13.
async fn adder(ctx: Context<Add>) {
    ctx.register("adder").expect("its holder before has ended");
    loop {
        let (number, reply_to) = ctx.receive_message().await;
        assert!(number != 13, "thirteen is too much");
        reply_to.reply(number + 1);
    }
}

#[test]
fn a_name_may_stand_where_a_pid_may() {
    let scenario = Scenario::new("names").node("b", |ctx: Context| async move {
        loop {
            let (_, _monitor) = ctx.spawn_monitor(adder); // again and again
            ctx.receive_info(|info| matches!(info, Info::Down { .. }))
                .await;
        }
    });
    let scenario = scenario.client("a", |ctx: Context| async move {
        let adder = Address::<Add>::named("b", "adder"); // good across restarts: a pid would not be
        while adder.call(|to| (1, to), secs(1)).await != Ok(2) {
            ctx.sleep(millis(10)).await; // it has not begun yet
        }
        let monitor = ctx.monitor(("b", "adder"));
        let asked = adder.call(|to| (13, to), secs(1)).await;
        let reason = ExitReason::Panic("thirteen is too much".to_owned());
        assert_eq!(asked, Err(CallError::Exit(reason.clone())));
        let down = Info::Down {
            monitor,
            of: ("b", "adder").into(), // what was monitored
            reason,
        };
        assert_eq!(ctx.receive().await, Received::Info(down));
        assert_eq!(adder.call(|to| (2, to), secs(1)).await, Ok(3)); // it is another process
        ctx.send_exit(("b", "adder"), ExitReason::Kill);
        ctx.count("done");
    });
    check(scenario.finally("done", |view| view.counter("done") == 1));
}

/// A room, found by its name, with so many seats.
async fn room(ctx: Context<String>, name: &'static str, seats: u32) {
    let rooms = RegistryRef::<String, u32>::named("rooms"); // `Copy`; good across restarts
    let registered = rooms.register(name.to_owned(), seats);
    registered.expect("the room of before has ended, so its key is free");
    loop {
        let said = ctx.receive_message().await;
        assert!(said != "fire", "a bug");
        ctx.count(name);
    }
}

async fn guest(ctx: Context) {
    let rooms = RegistryRef::<String, u32>::named("rooms");
    let lobby = rooms.address::<String>("lobby".to_owned());
    ctx.sleep(millis(1)).await;
    lobby.send("hello".to_owned());
    lobby.send("fire".to_owned()); // ends it, and its supervisor starts another
    ctx.sleep(millis(1)).await;
    lobby.send("hello".to_owned()); // looked up each time: this goes to the other
    let all = rooms.entries(); // in the order of their keys
    let seats: Vec<(&str, u32)> = all.iter().map(|(k, _, n)| (k.as_str(), *n)).collect();
    assert_eq!(seats, [("attic", 2), ("lobby", 20)]);
    assert!(rooms.lookup(&"cellar".to_owned()).is_empty());
    ctx.count("done");
}

#[test]
fn a_registry_finds_processes_by_key() {
    let scenario = Scenario::new("rooms").node("house", |ctx| {
        Supervisor::one_for_one()
            .child(child("rooms", || Registry::<String, u32>::unique("rooms")))
            .child(child("lobby", || process(|ctx| room(ctx, "lobby", 20))))
            .child(child("attic", || process(|ctx| room(ctx, "attic", 2))))
            .child(child("guest", || process(guest)).temporary())
            .run(ctx)
    });
    check(scenario.horizon(secs(1)).finally("done", |view| {
        view.counter("done") == 1 && view.counter("lobby") == 2
    }));
}

#[test]
fn the_page_shows_the_code_that_is_tested() {
    NAMES.is_held_by(&[include_str!("names.rs")]);
}
