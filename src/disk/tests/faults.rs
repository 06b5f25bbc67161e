//! Faults of single operations, snapshots, budgets.

use super::*;
use crate::choice::Rate;
use crate::trace::DiskFault;
use crate::trace::FileReason::Io;

fn aimed(fault: DiskFault, nth: u64) -> Aimed {
    Aimed {
        fault,
        path: Some("a".to_owned()),
        nth,
    }
}

#[test]
fn an_aimed_fault_befalls_the_operation_at_which_it_is_aimed_and_no_other() {
    let mut bench = Bench::seeded(1);
    let (file, other) = (bench.durable("a", b"abc"), bench.durable("b", b"abc"));
    bench.disk.aim(aimed(DiskFault::ReadError, 2));
    for _ in 0..3 {
        assert!(bench.read(other, 0, 3).is_ok());
    }
    let read: Vec<bool> = (0..4).map(|_| bench.read(file, 0, 3).is_err()).collect();
    assert_eq!(read, [false, true, false, false]);
}

#[test]
fn a_write_that_fails_leaves_nothing_or_its_first_half() {
    let mut seen = [0; 2];
    for seed in 0..50 {
        let mut bench = Bench::seeded(seed);
        let file = bench.durable("a", &[1; 2048]);
        bench.disk.aim(aimed(DiskFault::WriteError, 1));
        let served = bench.write(file, 0, &[2; 2048]);
        assert_eq!(
            (served.result, served.befell),
            (Err(Io), Some(DiskFault::WriteError))
        );
        let written = bench.read(file, 0, 2048).unwrap();
        let count = written.iter().filter(|byte| **byte == 2).count();
        assert!(written[..count].iter().all(|byte| *byte == 2) && [0, 1024].contains(&count));
        seen[count / 1024] += 1;
    }
    assert!(seen.iter().all(|times| *times > 10), "{seen:?}");
}

/// What is read after a failed sync, after a second that answers well, and after a crash.
fn after_failed_sync(how: u64) -> [Vec<u8>; 3] {
    let fails = vec![(Kind::DiskError, "a#0", 6, how)];
    let mut bench = Bench::with(taped(fails), Settings::default());
    let file = bench.durable("a", b"old");
    bench.write(file, 0, b"new").result.unwrap();
    assert_eq!(bench.sync(file).result, Err(Io));
    let contents = |bench: &Bench| bench.disk.contents("a").unwrap().to_vec();
    let first = contents(&bench);
    bench.sync(file).result.unwrap();
    let second = contents(&bench);
    bench.crash();
    [first, second, contents(&bench)]
}

#[test]
fn what_a_failed_sync_was_about_is_gone_at_the_next_crash_though_a_later_sync_answers_well() {
    let [first, second, crashed] = after_failed_sync(1);
    assert_eq!([&first[..], &second], [b"new", b"new"]);
    assert_eq!(crashed, b"old");
}

#[test]
fn what_a_failed_sync_was_about_may_be_gone_at_once() {
    assert_eq!(
        after_failed_sync(2),
        ["old"; 3].map(|text| text.as_bytes().to_vec())
    );
}

/// A sync that fails and takes all that is unsynced with it, when its time is over; how long it takes.
fn failing_late() -> (Bench, FileHandle, u64) {
    let draws = vec![
        (Kind::DiskError, "a#0", 6, 2),
        (Kind::DiskLatency, "a#0", 8, 1_000_000),
        (Kind::CrashKeeps, "a#0:a", 0, 1),
    ];
    let mut bench = Bench::with(taped(draws), Settings::default());
    let file = bench.durable("a", b"1");
    bench.append(file, b"2").result.unwrap();
    bench.asker.is_blocking = false;
    let takes_ns = bench.sync(file).takes_ns.unwrap();
    (bench, file, takes_ns)
}

#[test]
fn a_failing_sync_takes_nothing_from_what_was_written_after_a_crash() {
    let (mut bench, _, takes_ns) = failing_late();
    bench.crash();
    let file = bench.find("a").unwrap();
    bench.append(file, b"3").result.unwrap();
    bench.asker.now = Time::from_nanos(takes_ns);
    assert_eq!(bench.read(file, 0, 2).unwrap(), b"13");
}

#[test]
fn a_sync_is_not_about_what_was_written_after_it_began_though_one_before_it_has_failed() {
    let (mut bench, file, takes_ns) = failing_late();
    bench.append(file, b"3").result.unwrap();
    let longer_ns = bench.sync(file).takes_ns.unwrap();
    assert!(longer_ns > takes_ns);
    bench.asker.now = Time::from_nanos(takes_ns);
    bench.append(file, b"4").result.unwrap();
    assert_eq!(bench.disk.contents("a"), Some(&b"14"[..]));
    bench.asker.now = Time::from_nanos(longer_ns);
    bench.crash();
    assert_eq!(bench.disk.contents("a"), Some(&b"1"[..]));
}

#[test]
fn what_is_written_after_a_failed_sync_is_durable_by_the_next() {
    let fails = vec![(Kind::DiskError, "a#0", 6, 1)];
    let mut bench = Bench::with(taped(fails), Settings::default());
    let file = bench.durable("a", &[1; 2048]);
    bench.write(file, 0, &[2; 2048]).result.unwrap();
    assert_eq!(bench.sync(file).result, Err(Io));
    bench.write(file, 512, &[3; 10]).result.unwrap();
    bench.sync(file).result.unwrap();
    bench.crash();
    let left = bench.disk.contents("a").unwrap();
    assert!(
        left[..512]
            .iter()
            .chain(&left[1024..])
            .all(|byte| *byte == 1)
    );
    // A page is written back as a whole.
    assert!(left[512..522].iter().all(|byte| *byte == 3));
    assert!(left[522..1024].iter().all(|byte| *byte == 2));
}

#[test]
fn one_bit_rots_and_stays_rotten() {
    for seed in 0..20 {
        let mut bench = Bench::seeded(seed);
        let file = bench.durable("a", &[0; 1000]);
        bench.disk.aim(aimed(DiskFault::Rot, 1));
        let rotten = bench.read(file, 200, 100).unwrap();
        let ones: u32 = rotten.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(ones, 1);
        bench.crash();
        let left = bench.disk.contents("a").unwrap();
        assert_eq!(left[200..300], rotten[..]);
        assert!(
            left[..200]
                .iter()
                .chain(&left[300..])
                .all(|byte| *byte == 0)
        );
    }
}

#[test]
fn a_misdirected_write_lands_at_another_sector_and_answers_well() {
    let mut strayed = 0;
    for seed in 0..40 {
        let mut bench = Bench::seeded(seed);
        let file = bench.durable("a", &[1; 4096]);
        bench.disk.aim(aimed(DiskFault::Misdirect, 1));
        let served = bench.write(file, 512, &[2; 512]);
        assert_eq!(served.result, Ok(()));
        let bytes = bench.read(file, 0, 4096).unwrap();
        let place = bytes.iter().position(|byte| *byte == 2).unwrap();
        assert_eq!(place % 512, 0);
        assert_eq!(bytes.iter().filter(|byte| **byte == 2).count(), 512);
        assert_eq!(place != 512, served.befell == Some(DiskFault::Misdirect));
        strayed += usize::from(place != 512);
    }
    assert!(strayed > 30, "{strayed}");
}

#[test]
fn a_fault_at_a_rate_befalls_about_as_many() {
    let mut bench = Bench::seeded(5);
    let file = bench.durable("a", &[0; 512]);
    let rate = Rate::new(0.1).unwrap();
    let faults = DiskFaults::default().with(DiskFault::ReadError, rate);
    bench
        .disk
        .set_faults(faults.with(DiskFault::WriteError, rate));
    let fails = (0..2000).filter(|_| bench.read(file, 0, 512).is_err());
    assert!((150..250).contains(&fails.count()));
    let fails = (0..2000).filter(|_| bench.write(file, 0, &[1]).result.is_err());
    assert!((150..250).contains(&fails.count()));
}

#[test]
fn a_stall_is_added_to_the_latency() {
    let mut bench = Bench::calm();
    let file = bench.durable("a", b"abc");
    bench.choice = Choice::seeded(1);
    let stall_ns = 1_000_000_000_000;
    let faults = DiskFaults {
        stall_ns,
        ..DiskFaults::default()
    };
    bench.disk.set_faults(faults);
    assert!(bench.sync(file).takes_ns.unwrap() <= 2_000_000);
    bench.disk.aim(aimed(DiskFault::Stall, 1));
    let served = bench.sync(file);
    assert!(served.takes_ns.unwrap() > 2_000_000 && served.befell == Some(DiskFault::Stall));
}

#[test]
fn what_hangs_is_done_when_the_disk_is_released() {
    let keeps_nothing = || vec![(Kind::CrashKeeps, "a#0:a", 0, 1)];
    for is_released in [false, true] {
        let mut bench = Bench::with(taped(keeps_nothing()), Settings::default());
        let file = bench.durable("a", b"1");
        bench.asker.is_blocking = false;
        bench.append(file, b"2").result.unwrap();
        let hangs = Condition {
            hangs: true,
            ..Condition::default()
        };
        bench.disk.set_condition(Time::ZERO, hangs);
        assert_eq!(bench.sync(file).takes_ns, None);
        bench.asker.now = Time::from_nanos(1 << 40);
        if is_released {
            bench
                .disk
                .set_condition(bench.asker.now, Condition::default());
        }
        bench.crash();
        let kept: &[u8] = if is_released { b"12" } else { b"1" };
        assert_eq!(bench.disk.contents("a"), Some(kept));
    }
}

#[test]
fn a_file_is_as_long_as_a_sync_has_left_it_that_failed_and_is_over() {
    let fails = vec![(Kind::DiskError, "a#0", 6, 2)];
    let mut bench = Bench::with(taped(fails), Settings::default());
    let file = bench.durable("a", b"old");
    bench.asker.is_blocking = false;
    bench.append(file, b" and new").result.unwrap();
    let served = bench.sync(file);
    let over = bench.asker.now.plus_nanos(served.takes_ns.unwrap());
    let before = Time::from_nanos(over.as_nanos() - 1);
    assert_eq!(bench.disk.len(before, file), Ok(11));
    assert_eq!(bench.disk.len(over, file), Ok(3));
}

#[test]
fn after_a_failed_sync_the_disk_holds_of_each_sector_what_a_later_sync_brought_there() {
    const SECTOR: usize = 512;
    for seed in 0..200 {
        let mut bench = Bench::seeded(seed);
        let file = bench.durable("a", &[1; 3000]);
        let mut random = Choice::seeded(seed).stream(Lineage::RUN);
        let mut below = |n: u64| (random.draw().1 % n) as usize;
        // What reads see, what is on the disk, and which sectors wait to come there.
        let (mut seen, mut held) = (vec![1; 3000], vec![1; 3000]);
        let mut dirty = std::collections::BTreeSet::new();
        for turn in 0..12 {
            for _ in 0..below(4) {
                let (at, bytes) = (below(4000), vec![below(250) as u8 + 2; 1 + below(1500)]);
                bench.write(file, at as u64, &bytes).result.unwrap();
                let end = at + bytes.len();
                seen.resize(seen.len().max(end), 0);
                seen[at..end].copy_from_slice(&bytes);
                dirty.extend(at / SECTOR..end.div_ceil(SECTOR));
            }
            if turn == 3 {
                let fails = (Kind::DiskError, "a#0", bench.asker.nth + 1, 1);
                bench.choice = taped(vec![fails]);
                bench.sync(file).result.unwrap_err();
            } else {
                bench.sync(file).result.unwrap();
                if !dirty.is_empty() {
                    held.resize(seen.len(), 0);
                }
                for sector in &dirty {
                    let written = sector * SECTOR..((sector + 1) * SECTOR).min(seen.len());
                    held[written.clone()].copy_from_slice(&seen[written]);
                }
            }
            dirty.clear();
        }
        bench.crash();
        assert_eq!(bench.disk.contents("a").unwrap(), held, "seed {seed}");
    }
}

#[test]
fn a_disk_that_is_rolled_back_is_as_it_was_but_for_what_is_spared() {
    let mut bench = Bench::seeded(1);
    let file = bench.durable("a", b"1");
    bench.durable("ledger/1", b"1");
    let snapshot = bench.disk.snapshot();
    bench.append(file, b"2").result.unwrap();
    bench.durable("b", b"new");
    bench.durable("ledger/2", b"2");
    let mut spared = bench.disk.clone();
    let lost = bench.disk.roll_back(&snapshot);
    assert_eq!((lost.files, lost.entries), (1, 2));
    assert_eq!(bench.disk.snapshot(), snapshot);
    assert_eq!(
        (bench.disk.used(), bench.read(file, 0, 1)),
        (2, Err(NotOpen))
    );
    bench.crash();
    assert_eq!(bench.disk.snapshot(), snapshot);
    spared.spare("ledger");
    spared.roll_back(&snapshot);
    assert_eq!(
        spared.paths().collect::<Vec<_>>(),
        ["a", "ledger/1", "ledger/2"]
    );
    assert_eq!(spared.contents("a"), Some(&b"1"[..]));
    let lost = spared.wipe();
    assert_eq!((lost.files, lost.entries, spared.used()), (0, 1, 2));
    assert_eq!(spared.paths().collect::<Vec<_>>(), ["ledger/1", "ledger/2"]);
    bench.disk.wipe();
    assert_eq!((bench.disk.used(), bench.disk.paths().count()), (0, 0));
}

#[test]
fn what_is_spared_does_not_rot_and_is_not_written_astray() {
    for seed in 0..20 {
        let mut bench = Bench::seeded(seed);
        let file = bench.durable("a", &[1; 4096]);
        bench.disk.spare("a");
        bench.disk.aim(aimed(DiskFault::Rot, 1));
        bench.disk.aim(aimed(DiskFault::Misdirect, 1));
        assert_eq!(bench.read(file, 0, 4096).unwrap(), [1; 4096]);
        bench.write(file, 512, &[2; 10]).result.unwrap();
        assert_eq!(bench.read(file, 512, 10).unwrap(), [2; 10]);
    }
}

#[test]
fn a_budget_spares_all_copies_but_so_many_and_each_in_some_seed() {
    let nodes = ["a", "b", "c"];
    let copies = nodes.map(|node| (Lineage::node(node), "ledger".to_owned()));
    let mut hurt = [0; 3];
    for seed in 0..60 {
        let budget = Budget::new(copies.clone(), 1);
        let spared = budget.spared(&mut Choice::seeded(seed));
        assert_eq!(spared.len(), 2);
        let first = copies.iter().position(|copy| !spared.contains(copy));
        hurt[first.unwrap()] += 1;
    }
    assert!(hurt.iter().all(|times| *times > 5), "{hurt:?}");
    let all = Budget::new(copies.clone(), 3).spared(&mut Choice::seeded(1));
    let none = Budget::new(copies.clone(), 0).spared(&mut Choice::seeded(1));
    assert_eq!((all.len(), none.len()), (0, 3));
}
