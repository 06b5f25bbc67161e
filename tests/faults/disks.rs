//! Faults of disks: full, slow, hanging, aimed at one operation, rolled back, wiped.

use crate::chaos;
use crate::removal::deviations;
use crate::world::holds;
use netsplit::choice::{Edit, Kind};
use netsplit::explore::{SHRINK_TRIES, Strategy, shrink};
use netsplit::sim::{DiskTrouble, Planned};
use netsplit::trace::{DiskFault, Event, FileReason};
use netsplit::{
    Chance, Context, ExitReason, Fault, Faults, Keep, Outcome, Scenario, Sim, millis, secs,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the diary has told, with milliseconds.
type Told = Vec<(u64, String)>;

fn tell(ctx: &Context, line: String) {
    let at = (ctx.now().as_nanos() / 1_000_000, line);
    ctx.observe("told", |told: &mut Told| told.push(at));
}

/// Each 100 ms writes one byte more into its diary and syncs it, and tells how that went; and goes over the
/// first byte. At its boot it tells how much it finds.
async fn diary(ctx: Context) -> Result<(), ExitReason> {
    let _ = ctx.spawn(async |ctx: Context| {
        loop {
            ctx.sleep(millis(100)).await;
            tell(&ctx, "another lives".to_owned());
        }
    });
    let files = ctx.files();
    let file = files.create("diary").await.map_err(ExitReason::error)?;
    tell(&ctx, format!("finds {}", file.len().await.unwrap_or(999)));
    loop {
        ctx.sleep(millis(100)).await;
        let from = ctx.now();
        let wrote = file.append(b"x").await;
        if let Err(error) = &wrote {
            tell(&ctx, format!("append: {}", error.reason));
        }
        if file.write_at(0, b"x").await.is_err() {
            tell(&ctx, "cannot write over".to_owned());
        }
        if let Err(error) = file.sync().await {
            tell(&ctx, format!("sync: {}", error.reason));
        }
        let _ = files.sync_directory("").await;
        let took = (ctx.now() - from).as_millis();
        if wrote.is_ok() {
            tell(&ctx, format!("wrote in {took} ms"));
        }
    }
}

fn cluster() -> Scenario {
    Scenario::new("diary")
        .node("desk", diary)
        .horizon(secs(8))
        .quiet(secs(2))
}

/// What the diary tells where this befalls it after so long: planned, and in a script.
fn both_ways(at: Duration, fault: &Fault<String>, check: fn(&Told)) {
    let planned = Faults::calm().at(at, fault.clone());
    holds(
        cluster()
            .faults(planned)
            .finally("as it should be", move |view| {
                check(view.observed("told").expect("something"));
                true
            }),
    );
    let fault = fault.clone();
    holds(cluster().script(move |sim: &mut Sim<'_, '_>| {
        sim.run_for(at);
        sim.apply(fault.clone()).expect("a fault that makes sense");
        sim.run_for(secs(6) - at);
        sim.quiet();
        sim.run_for(secs(2));
        check(&sim.observed("told").expect("something"));
    }));
}

fn times(told: &Told, what: &str) -> Vec<u64> {
    let lines = told.iter().filter(|(_, line)| line.starts_with(what));
    lines.map(|(at, _)| *at).collect()
}

/// How long each write took, of those that were done in this window.
fn took(told: &Told, window: std::ops::Range<u64>) -> Vec<u64> {
    let lines = told.iter().filter(|(at, _)| window.contains(at));
    let took = lines.filter_map(|(_, line)| line.strip_prefix("wrote in ")?.strip_suffix(" ms"));
    took.map(|ms| ms.parse().expect("a number")).collect()
}

/// How much each boot has found.
fn found(told: &Told) -> Vec<u64> {
    let found = told
        .iter()
        .filter_map(|(_, line)| line.strip_prefix("finds "));
    found
        .map(|bytes| bytes.parse().expect("a number"))
        .collect()
}

#[test]
fn nothing_more_goes_into_a_full_disk_and_what_is_there_can_be_written_over() {
    both_ways(millis(1_050), &Fault::full_disk("desk", secs(2)), |told| {
        let refused = times(told, "append: the disk is full");
        assert!(refused.len() > 15, "{told:?}");
        assert!(
            refused.iter().all(|at| (1_050..3_060).contains(at)),
            "{told:?}"
        );
        assert_eq!(times(told, "cannot"), [0; 0], "{told:?}");
        assert!(took(told, 3_060..6_000).len() > 25, "{told:?}");
    });
}

#[test]
fn everything_takes_so_many_times_as_long_on_a_slow_disk() {
    let slow = Fault::slow_disk("desk", 100, secs(2));
    both_ways(millis(1_050), &slow, |told| {
        let (before, during) = (took(told, 0..1_000), took(told, 1_200..3_000));
        assert!(before.iter().all(|ms| *ms < 5), "{told:?}");
        assert!(
            !during.is_empty() && during.iter().all(|ms| *ms > 20),
            "{told:?}"
        );
        let after = took(told, 3_600..8_000);
        assert!(
            after.len() > 30 && after.iter().all(|ms| *ms < 5),
            "{told:?}"
        );
    });
}

#[test]
fn who_asks_a_disk_that_hangs_waits_until_it_goes_on_and_others_live_meanwhile() {
    both_ways(millis(1_050), &Fault::hang_disk("desk", secs(2)), |told| {
        assert_eq!(took(told, 1_150..3_050), [0; 0], "{told:?}");
        assert!(took(told, 3_050..3_060)[0] > 1_800, "{told:?}");
        let others = times(told, "another").into_iter();
        assert!(others.filter(|at| (1_150..3_000).contains(at)).count() > 16);
        assert!(took(told, 3_060..8_000).len() > 40, "{told:?}");
    });
}

#[test]
fn a_hang_that_is_longer_than_the_faults_ends_with_them() {
    both_ways(millis(1_050), &Fault::hang_disk("desk", secs(60)), |told| {
        assert_eq!(took(told, 1_150..6_000), [0; 0], "{told:?}");
        assert!(took(told, 6_000..8_000).len() > 15, "{told:?}");
    });
}

#[test]
fn two_troubles_of_one_disk_end_each_at_its_own_time() {
    let faults = Faults::calm()
        .at(secs(1), Fault::hang_disk("desk", secs(3)))
        .at(secs(2), Fault::hang_disk("desk", secs(1)))
        .at(millis(3_500), Fault::full_disk("desk", secs(1)));
    holds(cluster().faults(faults).finally("as it should be", |view| {
        let told: &Told = view.observed("told").expect("something");
        assert_eq!(took(told, 1_150..4_000), [0; 0], "{told:?}");
        let refused = times(told, "append: the disk is full");
        assert!(
            refused.iter().all(|at| (4_000..4_510).contains(at)),
            "{told:?}"
        );
        refused.len() > 2
    }));
}

#[test]
fn a_fault_that_is_aimed_hits_the_operation_that_is_counted_and_no_other() {
    let third = Fault::file("desk", "diary", DiskFault::SyncError, 3);
    both_ways(millis(1_050), &third, |told| {
        let failed = times(told, "sync: the disk failed");
        assert!(
            matches!(failed[..], [at] if (1_280..1_400).contains(&at)),
            "{told:?}"
        );
    });
    let other = Fault::file("desk", "letters", DiskFault::SyncError, 1);
    both_ways(millis(1_050), &other, |told| {
        assert_eq!(times(told, "sync"), [0; 0], "{told:?}");
    });
    let first = Fault::disk("desk", DiskFault::WriteError, 1);
    both_ways(millis(1_050), &first, |told| {
        let failed = times(told, "append: the disk failed");
        assert!(matches!(failed[..], [at] if at < 1_160), "{told:?}");
    });
}

#[test]
fn what_waits_for_an_operation_when_the_faults_stop_does_not_come() {
    let faults = Faults::calm().at(secs(1), Fault::disk("desk", DiskFault::SyncError, 100));
    let scenario = cluster().faults(faults).horizon(secs(30)).quiet(secs(26));
    holds(scenario.finally("as it should be", |view| {
        let told: &Told = view.observed("told").expect("something");
        times(told, "sync").is_empty() && took(told, 0..30_000).len() > 200
    }));
}

#[test]
fn a_disk_that_is_rolled_back_is_as_it_was_when_that_began() {
    let back = Fault::roll_back_disk("desk", secs(2), millis(500));
    both_ways(millis(1_050), &back, |told| {
        let [0, found] = found(told)[..] else {
            panic!("{told:?}")
        };
        let before = took(told, 0..1_050).len() as u64;
        assert!((before..=before + 1).contains(&found), "{told:?}");
        let boots = times(told, "finds");
        assert!((3_550..3_560).contains(&boots[1]), "{told:?}");
    });
}

#[test]
fn a_disk_is_not_rolled_back_any_more_when_the_faults_have_stopped() {
    let back = Fault::roll_back_disk("desk", secs(60), millis(500));
    both_ways(millis(1_050), &back, |told| {
        assert_eq!(found(told), [0], "{told:?}");
    });
}

#[test]
fn a_disk_that_is_wiped_is_empty_at_the_next_boot() {
    let wipe = Fault::wipe_disk("desk", millis(500));
    both_ways(millis(1_050), &wipe, |told| {
        assert_eq!(found(told), [0, 0], "{told:?}");
        let boots = times(told, "finds");
        assert!((1_550..1_560).contains(&boots[1]), "{told:?}");
    });
}

#[test]
fn what_befalls_a_disk_outlasts_the_node_and_befalls_it_while_that_is_down() {
    let faults = Faults::calm()
        .at(secs(1), Fault::full_disk("desk", secs(3)))
        .at(secs(2), Fault::crash("desk", millis(100)))
        .at(millis(4_550), Fault::crash("desk", millis(1_000)))
        .at(secs(5), Fault::wipe_disk("desk", millis(1)));
    holds(cluster().faults(faults).finally("as it should be", |view| {
        let told: &Told = view.observed("told").expect("something");
        let full = times(told, "append: the disk is full");
        assert!(
            full.iter().any(|at| (2_100..4_000).contains(at)),
            "{told:?}"
        );
        assert!(full.iter().all(|at| *at < 4_010), "{told:?}");
        let found = found(told);
        assert!(
            found.len() == 3 && found[1] > 5 && found[2] == 0,
            "{told:?}"
        );
        true
    }));
}

#[test]
fn a_script_fills_slows_hangs_mends_remembers_rolls_back_and_wipes() {
    holds(cluster().script(|sim: &mut Sim<'_, '_>| {
        let told = |sim: &Sim<'_, '_>| sim.observed::<Told>("told").expect("something");
        sim.run_for(millis(1_050));
        sim.fill_disk("desk");
        sim.run_for(secs(1));
        sim.mend_disk("desk");
        let full = times(&told(sim), "append: the disk is full").len();
        sim.run_for(secs(1));
        assert!(full > 8 && times(&told(sim), "append").len() == full);
        sim.slow_disk("desk", 100);
        sim.run_for(secs(1));
        assert!(took(&told(sim), 3_300..4_050).iter().all(|ms| *ms > 20));
        sim.hang_disk("desk");
        sim.run_for(secs(1));
        assert_eq!(took(&told(sim), 4_600..5_050), [0; 0]);
        sim.mend_disk("desk");
        sim.run_for(secs(1));
        assert!(took(&told(sim), 5_100..6_050).iter().all(|ms| *ms < 5));
        sim.remember_disk("desk");
        let now = took(&told(sim), 0..10_000).len() as u64;
        sim.run_for(secs(1));
        sim.mend_disk("desk");
        assert!(sim.is_up("desk"));
        sim.roll_back_disk("desk");
        assert!(!sim.is_up("desk"));
        sim.boot("desk");
        sim.run_for(secs(1));
        let back = *found(&told(sim)).last().expect("a boot");
        assert!((now..=now + 1).contains(&back), "{now} {back}");
        sim.wipe_disk("desk");
        sim.boot("desk");
        sim.run_for(secs(1));
        assert_eq!(found(&told(sim)).last(), Some(&0));
        let nobody = Fault::wipe_disk("nobody", secs(1));
        let error = sim.apply(nobody).expect_err("no such node").to_string();
        assert!(error.contains("`nobody`"), "{error}");
    }));
}

#[test]
fn a_node_that_is_written_off_leaves_its_disk_with_what_befalls_it_to_the_one_in_its_place() {
    let faults = Faults::calm()
        .at(secs(1), Fault::full_disk("desk", secs(3)))
        .at(secs(2), Fault::zombie("desk", secs(1)));
    let scenario = cluster().faults(faults).finally("as it should be", |view| {
        let told: &Told = view.observed("told").expect("something");
        let found = found(told);
        assert!(found.len() == 2 && found[1] > 5, "{told:?}");
        assert!(
            !times(told, "append: the node has no disk").is_empty(),
            "{told:?}"
        );
        let full = times(told, "append: the disk is full");
        assert!(
            full.iter().any(|at| (2_100..4_000).contains(at)),
            "{told:?}"
        );
        full.iter().all(|at| *at < 4_010)
    });
    holds(scenario);
    // Whoever still runs where the disk has gone finds none.
    let opens = |ctx: Context| async move {
        loop {
            let reason = ctx
                .files()
                .create("a")
                .await
                .err()
                .map(|error| error.reason);
            ctx.observe("reasons", |all: &mut BTreeMap<_, _>| {
                let all: &mut BTreeMap<netsplit::Pid, Option<FileReason>> = all;
                all.insert(ctx.pid(), reason);
            });
            ctx.sleep(millis(100)).await;
        }
    };
    let faults = Faults::calm().at(secs(2), Fault::zombie("desk", secs(1)));
    let scenario = Scenario::new("opens").node("desk", opens).faults(faults);
    holds(
        scenario
            .horizon(secs(4))
            .finally("as it should be", |view| {
                let reasons: &BTreeMap<netsplit::Pid, Option<FileReason>> =
                    view.observed("reasons").expect("some");
                let reasons: Vec<_> = reasons.values().copied().collect();
                reasons == [Some(FileReason::NoDisk), None]
            }),
    );
}

// ---- drawn

/// All that can befall disks, often.
fn often() -> Faults {
    Faults::calm()
        .disk(DiskFault::ReadError, 0.1)
        .disk(DiskFault::WriteError, 0.05)
        .disk(DiskFault::SyncError, 0.05)
        .disk(DiskFault::Rot, 0.1)
        .disk(DiskFault::Misdirect, 0.05)
        .stall_disks(0.05, millis(50))
        .fill_disks(secs(3), millis(500))
        .slow_disks(secs(3), 20, millis(500))
        .hang_disks(secs(3), millis(200))
        .roll_back_disks(secs(3), millis(800), millis(100))
        .wipe_disks(secs(4), millis(100))
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    chaos::run(scenario, seed, true)
}

/// What the plan of a run has for disks, by name.
fn planned(outcome: &Outcome) -> impl Iterator<Item = &'static str> {
    outcome.plan.faults().iter().map(|one| match &one.fault {
        Fault::Disk { what, .. } => match what {
            DiskTrouble::Full { .. } => "full",
            DiskTrouble::Slow { times, .. } => {
                assert!((2..=20).contains(times));
                "slow"
            }
            DiskTrouble::Hang { .. } => "hang",
            DiskTrouble::RollBack { .. } => "roll back",
            DiskTrouble::Wipe { .. } => "wipe",
            DiskTrouble::Operation { .. } => "operation",
        },
        _ => "other",
    })
}

#[test]
fn all_that_is_drawn_comes_and_a_spared_node_is_spared_it() {
    let scenario = cluster().finally("it ends", |_| true);
    let mut drawn = BTreeSet::new();
    for seed in 0..20 {
        drawn.extend(planned(&run(&scenario.clone().faults(often()), seed)));
        let spared = run(&scenario.clone().faults(often().spare("desk")), seed);
        let log = spared.log.as_ref().expect("a log");
        let struck = |event: Event| matches!(event, Event::DiskStruck { .. });
        assert!(!log.entries().iter().any(|entry| struck(entry.event)));
        assert_eq!(spared.plan.faults(), []);
    }
    assert_eq!(drawn, ["full", "hang", "roll back", "slow", "wipe"].into());
}

#[test]
fn every_drawn_one_is_on_the_tape_and_can_be_taken_away_by_itself() {
    let scenario = cluster().faults(often()).finally("it ends", |_| true);
    let of_plan = [
        Kind::DiskFull,
        Kind::DiskSlow,
        Kind::DiskHang,
        Kind::RollBack,
        Kind::Wipe,
    ];
    let mut gone = BTreeSet::new();
    for seed in 0..4 {
        let first = run(&scenario, seed);
        let tape = deviations(&scenario, &first);
        let again = scenario.run_with(Chance::Tape(tape.clone()), Keep::default());
        assert_eq!(again.expect("it runs").digest, first.digest, "seed {seed}");
        for index in 0..tape.edits.len() {
            let mut less = tape.clone();
            let edit: Edit = less.edits.remove(index);
            if !of_plan.contains(&edit.kind) {
                continue;
            }
            let outcome = scenario.run_with(Chance::Tape(less), Keep::default());
            let outcome = outcome.expect("it runs");
            assert_ne!(outcome.digest, first.digest, "without {edit}");
            let (all, left) = (first.plan.faults(), outcome.plan.faults());
            let missing: Vec<&Planned> = all.iter().filter(|one| !left.contains(one)).collect();
            assert_eq!((missing.len(), all.len() - left.len()), (1, 1));
            gone.insert(edit.kind);
        }
    }
    assert_eq!(gone.len(), of_plan.len(), "{gone:?}");
}

#[test]
fn a_failure_shrinks_to_the_one_fault_of_a_disk_that_makes_it() {
    let faults = Faults::chaos().with_disks().wipe_disks(secs(20), secs(1));
    let scenario = cluster()
        .faults(faults)
        .always("the diary is never empty again", |view| {
            let told = view.observed::<Told>("told");
            told.is_none_or(|told| !matches!(found(told)[..], [_, .., 0]))
        });
    let fails = |seed: &u64| scenario.run(*seed).expect("it runs").violation.is_some();
    let seed = (0..400).find(fails).expect("a seed that fails");
    let shrunk = shrink(&scenario, seed, Strategy::Time, SHRINK_TRIES).expect("less");
    assert!(shrunk.tape.edits.len() <= 4, "{}", shrunk.tape);
    assert!(shrunk.tape.edits.iter().any(|edit| edit.kind == Kind::Wipe));
    let mut edits = shrunk.tape.edits.iter();
    assert!(edits.all(|edit| !edit.note.is_empty()), "{}", shrunk.tape);
}

#[test]
fn with_disks_chaos_has_more_and_takes_nothing_that_was_synced() {
    /// Counts what it has synced, and complains at a boot that finds less.
    async fn keeper(ctx: Context) -> Result<(), ExitReason> {
        let files = ctx.files();
        let mut known = 0;
        ctx.observe("synced", |synced: &mut u64| known = *synced);
        let opened = async {
            let file = files.create("kept").await?;
            file.len().await
        };
        let Ok(mut len) = opened.await else {
            return Err(ExitReason::Normal);
        };
        ctx.observe("lost", |lost: &mut bool| *lost |= len < known);
        loop {
            ctx.sleep(millis(100)).await;
            let wrote = async {
                let file = files.create("kept").await?;
                let at = file.append(b"x").await?;
                for _ in 0..10 {
                    file.read_at(at, 1).await?;
                }
                file.sync().await?;
                files.sync_directory("").await?;
                Ok::<u64, netsplit::process::FileError>(at + 1)
            };
            match wrote.await {
                // A sync that has failed is not made good by another: this one writes its file no more.
                Err(error) if error.what == "sync" => return Err(ExitReason::error(error)),
                Err(_) => {}
                Ok(synced) if synced < len => {
                    ctx.observe("lost", |lost: &mut bool| *lost = true);
                }
                Ok(synced) => {
                    len = synced;
                    ctx.observe("synced", |most: &mut u64| *most = synced);
                }
            }
        }
    }
    let scenario = Scenario::new("keeper")
        .node("desk", keeper)
        .faults(Faults::chaos().with_disks())
        .horizon(secs(40))
        .quiet(secs(10))
        .never("something is lost", |view| {
            view.observed("lost") == Some(&true)
        });
    let mut struck = BTreeSet::new();
    for seed in 0..40 {
        let outcome = run(&scenario, seed);
        let again = scenario.run(seed).expect("it runs");
        assert_eq!(again.digest, outcome.digest, "seed {seed}");
        let log = outcome.log.as_ref().expect("a log");
        struck.extend(log.entries().iter().filter_map(|entry| match entry.event {
            Event::DiskStruck { fault, .. } => Some(fault.text()),
            _ => None,
        }));
        struck.extend(planned(&outcome).filter(|what| *what != "other"));
    }
    let all = [
        "full",
        "hang",
        "read error",
        "slow",
        "stall",
        "sync error",
        "write error",
    ];
    assert_eq!(struck, all.into());
}

// ---- bad input

#[test]
fn what_makes_no_sense_is_refused_with_what_and_what_to_do() {
    let refused = |faults: Faults| {
        let scenario = cluster().faults(faults).finally("it ends", |_| true);
        scenario
            .validate()
            .expect_err("it makes no sense")
            .to_string()
    };
    let at = |fault| refused(Faults::calm().at(secs(1), fault));
    for (said, wanted) in [
        (at(Fault::slow_disk("desk", 0, secs(1))), "counts from 1"),
        (at(Fault::disk("desk", DiskFault::Rot, 0)), "counts from 1"),
        (at(Fault::full_disk("desk", secs(0))), "longer than 0"),
        (
            at(Fault::roll_back_disk("desk", secs(0), secs(1))),
            "longer than 0",
        ),
        (
            at(Fault::file("desk", "a//b", DiskFault::Rot, 1)),
            "no path of a file",
        ),
        (at(Fault::wipe_disk("chair", secs(1))), "`chair`"),
        (refused(Faults::calm().disk(DiskFault::Rot, 2.0)), "bit rot"),
        (refused(Faults::calm().stall_disks(0.1, secs(0))), "stall"),
        (
            refused(Faults::calm().slow_disks(secs(1), 1, secs(1))),
            "2 at least",
        ),
        (
            refused(Faults::calm().fill_disks(secs(1), secs(0))),
            "fill a disk",
        ),
        (
            refused(Faults::calm().copies(0, [("chair", "a")])),
            "`chair`",
        ),
        (
            refused(Faults::calm().copies(1, [("desk", "a")])),
            "none is spared",
        ),
        (
            refused(Faults::calm().copies(0, [("desk", "../a")])),
            "no path",
        ),
        (
            refused(Faults::calm().copies(0, [("desk", "a"), ("desk", "a")])),
            "twice",
        ),
    ] {
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn a_profile_says_what_befalls_disks() {
    let copies = [("desk", "a"), ("desk", "b")];
    assert_eq!(
        often().copies(1, copies).to_string(),
        "read error on 10 % of disk operations, write error on 5 % of disk operations, \
         sync error on 5 % of disk operations, bit rot on 10 % of disk operations, \
         misdirected write on 5 % of disk operations, stall on 5 % of disk operations, up to 50ms, \
         fill a disk every 3s for 500ms, slow a disk every 3s for 500ms, up to 20 times as long, \
         hang a disk every 3s for 200ms, roll back a disk every 3s by 800ms, down for 100ms, \
         wipe a disk every 4s for 100ms, hurting at most 1 of desk:a, desk:b"
    );
}
