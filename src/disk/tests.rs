//! The disk as its user sees it: operations, names, syncs, faults. What a crash may leave is in `crashes`.

mod crashes;
mod faults;

use super::*;
use crate::choice::{Base, Choice, Distribution, Edit, Kind, Lineage, Tape};
use crate::kernel::time::Time;
use crate::trace::FileReason::{self, BadPath, Full, NotFound, NotOpen, OutOfRange};
use std::time::Duration;

/// A disk, the chance that it draws from, and who asks it.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) disk: Disk,
    pub(super) choice: Choice,
    pub(super) asker: Asker,
}

impl Bench {
    pub(super) fn with(choice: Choice, settings: Settings) -> Bench {
        Bench {
            disk: Disk::new(settings).unwrap(),
            choice,
            asker: Asker {
                now: Time::ZERO,
                who: Lineage::node("a").boot(0),
                nth: 0,
                is_blocking: true,
            },
        }
    }

    pub(super) fn seeded(seed: u64) -> Bench {
        Bench::with(Choice::seeded(seed), Settings::default())
    }

    pub(super) fn calm() -> Bench {
        Bench::with(taped(Vec::new()), Settings::default())
    }

    pub(super) fn ask(&mut self) -> (&mut Disk, &mut Choice, Asker) {
        self.asker.nth += 1;
        (&mut self.disk, &mut self.choice, self.asker)
    }

    pub(super) fn open(&mut self, path: &str) -> FileHandle {
        let (disk, choice, asker) = self.ask();
        disk.open(choice, &asker, path, true).result.unwrap()
    }

    pub(super) fn find(&mut self, path: &str) -> Result<FileHandle, FileReason> {
        let (disk, choice, asker) = self.ask();
        disk.open(choice, &asker, path, false).result
    }

    pub(super) fn write(&mut self, file: FileHandle, at: u64, bytes: &[u8]) -> Served<()> {
        let (disk, choice, asker) = self.ask();
        disk.write_at(choice, &asker, file, at, bytes)
    }

    pub(super) fn append(&mut self, file: FileHandle, bytes: &[u8]) -> Served<u64> {
        let (disk, choice, asker) = self.ask();
        disk.append(choice, &asker, file, bytes)
    }

    pub(super) fn read(
        &mut self,
        file: FileHandle,
        at: u64,
        len: usize,
    ) -> Result<Vec<u8>, FileReason> {
        let mut bytes = vec![0; len];
        let (disk, choice, asker) = self.ask();
        let served = disk.read_at(choice, &asker, file, at, &mut bytes);
        served.result.map(|()| bytes)
    }

    pub(super) fn truncate(&mut self, file: FileHandle, len: u64) -> Served<()> {
        let (disk, choice, asker) = self.ask();
        disk.truncate(choice, &asker, file, len)
    }

    pub(super) fn sync(&mut self, file: FileHandle) -> Served<()> {
        let (disk, choice, asker) = self.ask();
        disk.sync(choice, &asker, file)
    }

    pub(super) fn sync_directory(&mut self, directory: &str) -> Served<()> {
        let (disk, choice, asker) = self.ask();
        disk.sync_directory(choice, &asker, directory)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), FileReason> {
        let (disk, choice, asker) = self.ask();
        disk.rename(choice, &asker, from, to).result
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<(), FileReason> {
        let (disk, choice, asker) = self.ask();
        disk.remove(choice, &asker, path).result
    }

    pub(super) fn list(&mut self, directory: &str) -> Vec<String> {
        let (disk, choice, asker) = self.ask();
        disk.list(choice, &asker, directory).result.unwrap()
    }

    pub(super) fn exists(&mut self, path: &str) -> bool {
        let (disk, choice, asker) = self.ask();
        disk.exists(choice, &asker, path).result.unwrap()
    }

    pub(super) fn crash(&mut self) -> Lost {
        let boot = Lineage::node("a").boot(0);
        self.disk.crash(&mut self.choice, self.asker.now, boot)
    }

    /// A file of which all is durable.
    pub(super) fn durable(&mut self, path: &str, bytes: &[u8]) -> FileHandle {
        let file = self.open(path);
        self.append(file, bytes).result.unwrap();
        self.sync(file).result.unwrap();
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        self.sync_directory(directory).result.unwrap();
        file
    }
}

/// A calm run but for these draws, as (kind, who, nth, outcome).
pub(super) fn taped(edits: Vec<(Kind, &str, u64, u64)>) -> Choice {
    let edit = |(kind, who, nth, outcome): (Kind, &str, u64, u64)| Edit {
        kind,
        who: who.to_owned(),
        nth,
        outcome,
        note: String::new(),
    };
    Choice::taped(&Tape {
        scenario: "disk".to_owned(),
        seed: 1,
        base: Base::Calm,
        edits: edits.into_iter().map(edit).collect(),
    })
}

#[test]
fn what_was_written_is_read() {
    let mut bench = Bench::seeded(1);
    let file = bench.open("a");
    assert_eq!(bench.append(file, b"hello").result, Ok(0));
    assert_eq!(bench.append(file, b" world").result, Ok(5));
    assert_eq!(bench.write(file, 0, b"J").result, Ok(()));
    assert_eq!(bench.read(file, 0, 11).unwrap(), b"Jello world");
    assert_eq!(bench.read(file, 6, 5).unwrap(), b"world");
    assert_eq!(bench.disk.len(bench.asker.now, file), Ok(11));
    assert_eq!(bench.disk.contents("a"), Some(&b"Jello world"[..]));
}

#[test]
fn a_gap_and_a_longer_file_read_as_zeros() {
    let mut bench = Bench::seeded(1);
    let file = bench.open("a");
    bench.write(file, 3, b"x").result.unwrap();
    bench.truncate(file, 6).result.unwrap();
    assert_eq!(bench.read(file, 0, 6).unwrap(), b"\0\0\0x\0\0");
    bench.truncate(file, 2).result.unwrap();
    bench.truncate(file, 4).result.unwrap();
    assert_eq!(bench.read(file, 0, 4).unwrap(), b"\0\0\0\0");
}

#[test]
fn a_read_behind_the_end_is_out_of_range() {
    let mut bench = Bench::seeded(1);
    let file = bench.open("a");
    bench.append(file, b"abc").result.unwrap();
    assert_eq!(bench.read(file, 3, 0), Ok(Vec::new()));
    assert_eq!(bench.read(file, 2, 2), Err(OutOfRange));
    assert_eq!(bench.read(file, u64::MAX, 1), Err(OutOfRange));
}

#[test]
fn a_file_that_is_not_there_is_not_found() {
    let mut bench = Bench::seeded(1);
    assert_eq!(bench.find("a"), Err(NotFound));
    assert_eq!(bench.rename("a", "b"), Err(NotFound));
    assert_eq!(bench.remove("a"), Err(NotFound));
    assert!(!bench.exists("a") && bench.list("").is_empty());
}

#[test]
fn what_is_no_path_of_a_file_is_refused() {
    let mut bench = Bench::seeded(1);
    bench.open("mail/out");
    for path in [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        "a b",
        "..",
        "a/./b",
        "mail",
        "mail/out/x",
    ] {
        let (disk, choice, asker) = bench.ask();
        let result = disk.open(choice, &asker, path, true).result;
        assert_eq!(result, Err(BadPath), "{path}");
        assert_eq!(bench.rename("mail/out", path), Err(BadPath), "{path}");
    }
    assert_eq!(bench.sync_directory("a//b").result, Err(BadPath));
    assert_eq!(bench.disk.paths().collect::<Vec<_>>(), ["mail/out"]);
}

#[test]
fn a_directory_is_what_lies_in_it() {
    let mut bench = Bench::seeded(1);
    for path in ["mail/out", "mail/in/2", "mail/in/1", "mail-old", "z"] {
        bench.open(path);
    }
    assert_eq!(bench.list(""), ["mail-old", "mail/", "z"]);
    assert_eq!(bench.list("mail"), ["in/", "out"]);
    assert_eq!(bench.list("mail/in"), ["1", "2"]);
    bench.remove("mail/in/1").unwrap();
    bench.remove("mail/in/2").unwrap();
    assert_eq!(bench.list("mail"), ["out"]);
    assert!(!bench.exists("mail/in"));
}

#[test]
fn a_removed_file_stays_for_those_who_have_it_open() {
    let mut bench = Bench::seeded(1);
    let file = bench.open("a");
    bench.append(file, b"old").result.unwrap();
    bench.remove("a").unwrap();
    let other = bench.open("a");
    bench.append(other, b"other").result.unwrap();
    assert_eq!(bench.append(file, b"er").result, Ok(3));
    assert_eq!(bench.read(file, 0, 5).unwrap(), b"older");
    assert_eq!(bench.disk.used(), 10);
    assert!(bench.disk.close(file));
    assert_eq!(bench.disk.used(), 5);
    assert_eq!(bench.read(file, 0, 1), Err(NotOpen));
    assert!(!bench.disk.close(file));
}

#[test]
fn a_rename_replaces_and_who_has_the_file_open_keeps_it() {
    let mut bench = Bench::seeded(1);
    let (new, old) = (bench.open("a.new"), bench.open("a"));
    bench.append(new, b"new").result.unwrap();
    bench.append(old, b"old").result.unwrap();
    bench.rename("a.new", "a").unwrap();
    assert_eq!(bench.disk.contents("a"), Some(&b"new"[..]));
    assert_eq!(bench.disk.contents("a.new"), None);
    assert_eq!(bench.read(old, 0, 3).unwrap(), b"old");
    bench.append(new, b"er").result.unwrap();
    assert_eq!(bench.disk.contents("a"), Some(&b"newer"[..]));
    assert_eq!(bench.rename("a", "a"), Ok(()));
}

#[test]
fn a_full_disk_takes_what_does_not_grow() {
    let settings = Settings {
        capacity: 10,
        ..Settings::default()
    };
    let mut bench = Bench::with(Choice::seeded(1), settings);
    let file = bench.open("a");
    bench.append(file, b"12345678").result.unwrap();
    assert_eq!(bench.append(file, b"abc").result, Err(Full));
    assert_eq!(bench.write(file, u64::MAX, b"abc").result, Err(Full));
    assert_eq!(bench.truncate(file, 11).result, Err(Full));
    assert_eq!(bench.disk.len(bench.asker.now, file), Ok(8));
    assert_eq!(bench.write(file, 6, b"abcd").result, Ok(()));
    bench.truncate(file, 3).result.unwrap();
    assert_eq!(bench.disk.used(), 3);
    let full = Condition {
        is_full: true,
        ..Condition::default()
    };
    bench.disk.set_condition(Time::ZERO, full);
    assert_eq!(bench.append(file, b"x").result, Err(Full));
    assert_eq!(bench.write(file, 0, b"xyz").result, Ok(()));
    let (disk, choice, asker) = bench.ask();
    let other = disk.open(choice, &asker, "b", true).result;
    assert_eq!(other, Err(Full));
}

#[test]
fn a_crash_closes_all_files() {
    let mut bench = Bench::seeded(1);
    let file = bench.durable("a", b"x");
    bench.crash();
    assert_eq!(bench.read(file, 0, 1), Err(NotOpen));
    let again = bench.find("a").unwrap();
    assert_ne!(again, file);
    assert_eq!(bench.read(again, 0, 1).unwrap(), b"x");
    bench.disk.close_all();
    assert_eq!(bench.sync(again).result, Err(NotOpen));
}

#[test]
fn a_sync_that_answered_survives_every_crash() {
    for seed in 0..300 {
        let mut bench = Bench::seeded(seed);
        let file = bench.durable("mail/out", &[7; 3000]);
        bench.write(file, 100, &[8; 1000]).result.unwrap();
        bench.sync(file).result.unwrap();
        let kept = bench.disk.contents("mail/out").unwrap().to_vec();
        bench.append(file, &[9; 5000]).result.unwrap();
        bench.crash();
        let left = bench.disk.contents("mail/out").unwrap();
        assert_eq!(left[..kept.len()], kept[..], "seed {seed}");
    }
}

#[test]
fn a_sync_counts_when_its_time_is_over_and_not_before() {
    let lost = |after_ns: u64| {
        let keeps_nothing = vec![(Kind::CrashKeeps, "a#0:a", 0, 1)];
        let mut bench = Bench::with(taped(keeps_nothing), Settings::default());
        let file = bench.durable("a", b"1");
        bench.append(file, b"2").result.unwrap();
        bench.asker.is_blocking = false;
        let takes_ns = bench.sync(file).takes_ns.unwrap();
        bench.append(file, b"3").result.unwrap();
        bench.asker.now = Time::from_nanos(takes_ns - 1 + after_ns);
        bench.crash();
        bench.disk.contents("a").unwrap().to_vec()
    };
    assert_eq!(lost(0), b"1");
    assert_eq!(lost(1), b"12");
}

#[test]
fn a_name_is_durable_when_its_directory_is_synced() {
    let nothing = || vec![(Kind::CrashKeeps, "a#0", 0, 1)];
    let mut bench = Bench::with(taped(nothing()), Settings::default());
    let file = bench.open("mail/out");
    bench.append(file, b"x").result.unwrap();
    bench.sync(file).result.unwrap();
    bench.sync_directory("").result.unwrap();
    assert_eq!(bench.crash().entries, 1);
    assert!(!bench.exists("mail/out"));

    let mut bench = Bench::with(taped(nothing()), Settings::default());
    let file = bench.durable("mail/out", b"x");
    bench.remove("mail/out").unwrap();
    bench.disk.close(file);
    assert_eq!(bench.disk.used(), 0);
    assert_eq!(bench.crash().entries, 1);
    assert_eq!(bench.disk.contents("mail/out"), Some(&b"x"[..]));
    assert_eq!(bench.disk.used(), 1);
}

#[test]
fn what_changes_in_a_directory_while_its_sync_is_under_way_is_not_durable_by_that() {
    let nothing = vec![(Kind::CrashKeeps, "a#0", 0, 1)];
    let mut bench = Bench::with(taped(nothing), Settings::default());
    bench.open("1");
    bench.asker.is_blocking = false;
    let takes_ns = bench.sync_directory("").takes_ns.unwrap();
    bench.open("2");
    bench.asker.now = Time::from_nanos(takes_ns);
    bench.crash();
    assert_eq!(bench.disk.paths().collect::<Vec<_>>(), ["1"]);
}

#[test]
fn a_sync_under_way_is_not_about_the_file_that_takes_the_place_of_its_own() {
    let nothing = vec![(Kind::CrashKeeps, "a#0:b", 0, 1)];
    let mut bench = Bench::with(taped(nothing), Settings::default());
    let file = bench.open("a");
    bench.append(file, b"x").result.unwrap();
    bench.asker.is_blocking = false;
    let takes_ns = bench.sync(file).takes_ns.unwrap();
    bench.asker.is_blocking = true;
    bench.disk.close(file);
    bench.remove("a").unwrap();
    bench.sync_directory("").result.unwrap();
    let file = bench.open("b");
    bench.sync_directory("").result.unwrap();
    bench.append(file, b"y").result.unwrap();
    bench.asker.now = Time::from_nanos(takes_ns);
    bench.crash();
    assert_eq!(bench.disk.contents("b"), Some(&b""[..]));
}

#[test]
fn the_same_draws_give_the_same_crash() {
    let run = |seed| {
        let mut bench = Bench::seeded(seed);
        for path in ["a", "b/c", "b/d"] {
            let file = bench.open(path);
            for n in 0..10 {
                bench
                    .write(file, u64::from(n) * 300, &[n; 700])
                    .result
                    .unwrap();
            }
        }
        bench.rename("a", "b/a").unwrap();
        (bench.crash(), bench.disk.snapshot())
    };
    assert_eq!(run(3), run(3));
    let distinct = (0..20).map(run).collect::<Vec<_>>();
    assert!(distinct.iter().any(|other| *other != distinct[0]));
}

#[test]
fn an_operation_takes_its_latency_times_the_slowness_of_its_disk() {
    let settings = Settings {
        read: Distribution::Constant(Duration::from_nanos(7)),
        ..Settings::default()
    };
    let mut bench = Bench::with(Choice::seeded(1), settings);
    let file = bench.open("a");
    let mut takes_ns = |condition| {
        bench.disk.set_condition(Time::ZERO, condition);
        let (disk, choice, asker) = bench.ask();
        disk.read_at(choice, &asker, file, 0, &mut []).takes_ns
    };
    let condition = Condition::default();
    assert_eq!(takes_ns(condition), Some(7));
    let slowness = 5;
    assert_eq!(
        takes_ns(Condition {
            slowness,
            ..condition
        }),
        Some(35)
    );
    let hangs = true;
    assert_eq!(takes_ns(Condition { hangs, ..condition }), None);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for sector in [0, 500, 1 << 17] {
        let settings = Settings {
            sector,
            ..Settings::default()
        };
        assert_eq!(
            Disk::new(settings).unwrap_err(),
            SettingsError::Sector(sector)
        );
    }
    let settings = Settings {
        sync: Distribution::uniform(Duration::from_secs(2), Duration::from_secs(1)),
        ..Settings::default()
    };
    assert!(Disk::new(settings).is_err());
}

#[test]
fn what_waits_too_long_for_a_sync_is_written_back() {
    let settings = Settings {
        unsynced_changes: 10,
        ..Settings::default()
    };
    let keeps_nothing = vec![(Kind::CrashKeeps, "a#0:a", 0, 1)];
    let mut bench = Bench::with(taped(keeps_nothing), settings);
    let file = bench.durable("a", &[]);
    for n in 0..11 {
        bench.append(file, &[n]).result.unwrap();
    }
    bench.crash();
    assert_eq!(bench.disk.contents("a"), Some(&[0, 1, 2, 3, 4, 5][..]));
}
