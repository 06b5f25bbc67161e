//! Copies of one datum: faults that take what was stored hurt at most so many of them.

use netsplit::trace::DiskFault;
use netsplit::{Context, ExitReason, Fault, Faults, Scenario, millis, secs};
use std::collections::BTreeSet;

const SECTORS: u64 = 8;
const SECTOR: usize = 512;

/// Holds a copy: numbered sectors. Notes where it is hurt, looks again and again, and makes it good.
async fn holder(ctx: Context, own: &'static str) -> Result<(), ExitReason> {
    let sector = |nth: u64| vec![nth as u8 + 1; SECTOR];
    let file = ctx
        .files()
        .create("copy/data")
        .await
        .map_err(ExitReason::error)?;
    let mut was_held = false;
    ctx.observe("held", |held: &mut BTreeSet<&str>| {
        was_held = held.contains(own)
    });
    loop {
        let mut is_hurt = file
            .len()
            .await
            .is_ok_and(|len| len < SECTORS * SECTOR as u64);
        let whole: Vec<u8> = (0..SECTORS).flat_map(sector).collect();
        let found = file.read_at(0, whole.len()).await;
        is_hurt |= found.is_ok_and(|found| found != whole);
        if was_held && is_hurt {
            ctx.observe("hurt", |hurt: &mut BTreeSet<&str>| {
                hurt.insert(own);
            });
        }
        for nth in 0..SECTORS {
            let written = file.write_at(nth * SECTOR as u64, &sector(nth)).await;
            written.map_err(ExitReason::error)?;
        }
        file.sync().await.map_err(ExitReason::error)?;
        let synced = ctx.files().sync_directory("copy").await;
        synced.map_err(ExitReason::error)?;
        was_held = true;
        ctx.observe("held", |held: &mut BTreeSet<&str>| {
            held.insert(own);
        });
        ctx.sleep(millis(100)).await;
    }
}

const HOLDERS: [&str; 4] = ["a", "b", "c", "d"];

fn holders(faults: Faults) -> Scenario {
    let scenario = Scenario::new("holders")
        .faults(faults)
        .horizon(secs(6))
        .quiet(secs(1));
    let scenario = HOLDERS.into_iter().fold(scenario, |scenario, own| {
        scenario.node(own, move |ctx| holder(ctx, own))
    });
    scenario.finally("it ends", |_| true)
}

/// Which copies were hurt in each of these runs.
fn hurt(faults: &Faults, seeds: u64) -> Vec<BTreeSet<&'static str>> {
    let scenario = holders(faults.clone()).finally("noted", |view| {
        let hurt = view.observed::<BTreeSet<&'static str>>("hurt");
        Err::<(), String>(format!("{:?}", hurt.cloned().unwrap_or_default()))
    });
    let noted = |seed| {
        let outcome = scenario.run(seed).expect("it can be run");
        let detail = outcome.violation.expect("always").detail;
        let names = HOLDERS.into_iter();
        names
            .filter(|name| detail.contains(&format!("\"{name}\"")))
            .collect()
    };
    (0..seeds).map(noted).collect()
}

fn destroying() -> Faults {
    Faults::calm()
        .disk(DiskFault::Rot, 0.05)
        .disk(DiskFault::Misdirect, 0.02)
        .crash(secs(2), millis(50))
        .zombie(secs(4), millis(500))
        .roll_back_disks(secs(4), millis(500), millis(50))
        .wipe_disks(secs(4), millis(50))
}

#[test]
fn no_more_copies_are_hurt_than_the_budget_says_and_each_in_some_seed() {
    let copies = HOLDERS.map(|own| (own, "copy/data"));
    for (most, faults) in [
        (1, destroying().copies(1, copies)),
        (2, destroying().copies(2, HOLDERS.map(|own| (own, "copy")))),
        (1, destroying().copies(1, copies).swarm()),
    ] {
        let all = hurt(&faults, 40);
        assert!(all.iter().all(|hurt| hurt.len() <= most), "{all:?}");
        let at_all: BTreeSet<&str> = all.iter().flatten().copied().collect();
        assert_eq!(at_all, HOLDERS.into(), "{all:?}");
    }
    let none = hurt(&destroying().copies(0, copies), 20);
    assert!(none.iter().all(BTreeSet::is_empty), "{none:?}");
    let without = hurt(&destroying(), 20);
    assert!(without.iter().all(|hurt| hurt.len() > 2), "{without:?}");
}

#[test]
fn a_budget_binds_what_is_planned_by_hand_as_well() {
    let all_at_once = HOLDERS.into_iter().fold(Faults::calm(), |faults, own| {
        faults.at(secs(2), Fault::wipe_disk(own, millis(100)))
    });
    let without = hurt(&all_at_once, 3);
    assert!(without.iter().all(|hurt| hurt.len() == 4), "{without:?}");
    let with = hurt(&all_at_once.copies(2, HOLDERS.map(|own| (own, "copy"))), 10);
    assert!(with.iter().all(|hurt| hurt.len() == 2), "{with:?}");
}
