//! Plans and profiles as they print.

use netsplit::trace::DiskFault;
use netsplit::{Context, Cut, Fault, Faults, PacketFault, PacketKind, Scenario, millis, secs};

/// Every fault of nodes, connections, clocks, processes and disks, a second apart.
fn by_hand() -> Faults {
    let for_good = Fault::Crash {
        node: "c".to_owned(),
        call: 0,
        down_for: None,
    };
    let all = [
        Fault::crash("a", millis(300)),
        Fault::crash_at_call("a", 3, millis(300)),
        for_good,
        Fault::power_cut("a", secs(2)),
        Fault::stop("b", secs(5), secs(1)),
        Fault::pause("a", secs(3)),
        Fault::slow("b", millis(10), secs(4)),
        Fault::zombie("b", secs(10)),
        Fault::cut(Cut::between(["a"], ["b", "c"]), secs(5)),
        Fault::cut(Cut::one_way(["c"], ["a"]), secs(1)),
        Fault::flap(Cut::between(["a", "b"], ["c"]), millis(200), secs(2)),
        Fault::break_connection("a", "b"),
        Fault::clock_forward("a", secs(3_600)),
        Fault::clock_back("b", millis(1_500)),
        Fault::drift("a", 200),
        Fault::drift("b", -35),
        Fault::kill("a", "till"),
        Fault::crash_at_message("a", "till", 3),
        Fault::flood("b", "till", 1_000),
        Fault::crash_at_step("b", "written", 2),
        Fault::fail_init("c", "till"),
        Fault::hang_init("c", "till", secs(2)),
        Fault::slow_terminate("c", "till", millis(1_500)),
        Fault::full_disk("a", secs(2)),
        Fault::slow_disk("a", 10, millis(500)),
        Fault::hang_disk("b", secs(1)),
        Fault::disk("b", DiskFault::ReadError, 7),
        Fault::file("b", "mail/outbox.redb", DiskFault::SyncError, 2),
        Fault::roll_back_disk("a", secs(1), millis(300)),
        Fault::wipe_disk("c", secs(1)),
    ];
    let timed = (1..).map(secs).zip(all);
    timed.fold(Faults::calm(), |faults, (at, fault)| faults.at(at, fault))
}

/// A text with a line for each part of a list.
fn lines(faults: &Faults) -> String {
    faults.to_string().replace(", at ", ",\nat ")
}

#[test]
fn every_fault_by_hand() {
    insta::assert_snapshot!("by_hand", lines(&by_hand()));
}

#[test]
fn the_plan_of_a_run() {
    let sleeps = |ctx: Context| async move { ctx.sleep(secs(100)).await };
    let names = ["a", "b", "c"];
    let scenario = names.iter().fold(Scenario::new("plan"), |scenario, name| {
        scenario.node(name, sleeps)
    });
    let scenario = scenario.faults(by_hand()).finally("it ends", |_| true);
    let outcome = scenario.run(1).expect("a scenario that can be run");
    // Outside a run ids print as numbers.
    insta::assert_snapshot!("plan", outcome.plan);
    assert_eq!(
        netsplit::sim::Plan::default().to_string(),
        "no faults of nodes"
    );
}

#[test]
fn every_fault_aimed_at_packets() {
    let all = [
        PacketFault::lose(0.29),
        PacketFault::lose(1.0).from("c").nth(3),
        PacketFault::duplicate(0.05)
            .kind(PacketKind::Ack)
            .from("b")
            .to("a"),
        PacketFault::delay(0.5, millis(100)).during(secs(2)..secs(5)),
        PacketFault::hold().to("c").during(secs(2)..secs(5)),
        PacketFault::never_answer().to("a"),
    ];
    let texts = all.iter().map(ToString::to_string);
    insta::assert_snapshot!("packets", texts.collect::<Vec<String>>().join("\n"));
    let faults = all.into_iter().fold(Faults::calm(), Faults::packets);
    insta::assert_snapshot!("packets_in_a_profile", faults);
}

#[test]
fn profiles() {
    assert_eq!(Faults::calm().to_string(), "calm");
    assert_eq!(Faults::default(), Faults::calm());
    insta::assert_snapshot!("chaos", Faults::chaos());
    insta::assert_snapshot!("chaos_with_disks", Faults::chaos().with_disks());
    let own = Faults::calm()
        .lose_kind(PacketKind::Ack, 0.07)
        .lose_kind(PacketKind::Reply, 0.001)
        .duplicate(0.29)
        .crash(secs(10), millis(500))
        .spare("a")
        .spare("b")
        .at(secs(1), Fault::pause("a", secs(1)));
    insta::assert_snapshot!("own", own);
}
