//! What a crash may leave, against models that keep every state that there ever was and name all outcomes.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Small, so that all outcomes can be named.
const SECTOR: usize = 4;

// --- Files ------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize, usize),
    Truncate(usize),
    Sync,
    FailingSync,
    /// A sync that is done after all steps.
    LateSync,
}

/// A file as it was after each change, and what the disk held before the first.
#[derive(Clone, Debug)]
struct Naive {
    stored: Vec<u8>,
    states: Vec<Vec<u8>>,
    /// What the change to each state but the first wrote.
    written: Vec<std::ops::Range<usize>>,
    /// About how many changes the last sync is that is under way.
    late: usize,
}

impl Naive {
    fn new() -> Naive {
        Naive {
            stored: Vec::new(),
            states: vec![Vec::new()],
            written: Vec::new(),
            late: 0,
        }
    }

    fn live(&self) -> Vec<u8> {
        self.states[self.written.len()].clone()
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let mut live = self.live();
        live.resize(live.len().max(at + bytes.len()), 0);
        live[at..at + bytes.len()].copy_from_slice(bytes);
        self.states.push(live);
        self.written.push(at..at + bytes.len());
    }

    fn truncate(&mut self, len: usize) {
        let mut live = self.live();
        if live.len() == len {
            return;
        }
        live.resize(len, 0);
        self.states.push(live);
        self.written.push(0..0);
    }

    fn sync(&mut self, is_ok: bool) {
        if is_ok {
            let all = self.written.len();
            let newest = |place: usize| self.versions(all, place).pop().unwrap();
            let sectors = (0..all_sectors(self)).map(newest).collect::<Vec<_>>();
            self.stored = assembled(&sectors, self.lengths(all)[0]);
        }
        (self.states, self.written) = (vec![self.live()], Vec::new());
        self.late = 0;
    }

    /// The sync that is under way is over.
    fn settle(&mut self) {
        let late = self.late;
        let mut then = self.clone();
        then.states.truncate(late + 1);
        then.written.truncate(late);
        then.sync(true);
        self.stored = then.stored;
        self.states.drain(..late);
        self.written.drain(..late);
    }

    /// Where the truncations among these changes have cut.
    fn cuts(&self, changes: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        let lens = changes.map(|change| (self.states[change].len(), self.states[change + 1].len()));
        lens.filter(|(before, after)| after < before)
            .map(|(_, after)| after)
    }

    /// What the disk may hold of a sector where the length is that after so many changes; the newest last.
    fn versions(&self, lengths: usize, place: usize) -> Vec<[u8; SECTOR]> {
        let from = place * SECTOR;
        let of = |state: &[u8], cut: Option<usize>| {
            let byte = |at: usize| match state.get(from + at) {
                Some(byte) if cut.is_none_or(|cut| from + at < cut) => *byte,
                _ => 0,
            };
            std::array::from_fn(byte)
        };
        let mut versions = vec![of(&self.stored, self.cuts(0..lengths).min())];
        for (change, written) in self.written.iter().enumerate() {
            let touches = written.start < from + SECTOR && from < written.end;
            // Never came to be at this place, or has been cut off.
            let unborn = self
                .cuts(lengths.min(change)..change)
                .any(|cut| cut <= from);
            let mut later = self.cuts((change + 1).min(lengths)..lengths);
            if touches && !unborn && !later.any(|cut| cut <= from) {
                let cut = self.cuts((change + 1).min(lengths)..lengths).min();
                versions.push(of(&self.states[change + 1], cut));
            }
        }
        versions
    }

    /// How long the file may be where the length is that after so many changes.
    fn lengths(&self, lengths: usize) -> Vec<usize> {
        let Some(last) = lengths.checked_sub(1) else {
            return vec![self.stored.len()];
        };
        let (before, after) = (self.states[last].len(), self.states[lengths].len());
        let mut all = vec![after];
        if !self.written[last].is_empty() {
            all.extend((before + 1..after).filter(|len| len % SECTOR == 0));
        }
        all
    }

    /// All that a crash may leave.
    fn outcomes(&self) -> BTreeSet<Vec<u8>> {
        let mut outcomes = BTreeSet::new();
        for lengths in 0..=self.written.len() {
            for length in self.lengths(lengths) {
                let mut sectors: BTreeSet<Vec<[u8; SECTOR]>> = BTreeSet::from([Vec::new()]);
                for place in 0..length.div_ceil(SECTOR) {
                    let versions = self.versions(lengths, place);
                    let longer = |head: &Vec<[u8; SECTOR]>| {
                        let head = head.clone();
                        let tails = versions.clone().into_iter();
                        tails.map(move |tail| [head.clone(), vec![tail]].concat())
                    };
                    sectors = sectors.iter().flat_map(longer).collect();
                }
                outcomes.extend(sectors.iter().map(|all| assembled(all, length)));
            }
        }
        outcomes
    }
}

fn all_sectors(naive: &Naive) -> usize {
    let lens = naive.states.iter().map(Vec::len);
    lens.chain([naive.stored.len()])
        .max()
        .unwrap()
        .div_ceil(SECTOR)
}

fn assembled(sectors: &[[u8; SECTOR]], length: usize) -> Vec<u8> {
    let mut bytes = sectors.concat();
    bytes.resize(length, 0);
    bytes
}

/// Takes these steps on a disk and in the model.
fn take(seed: u64, steps: &[Step]) -> (Bench, Naive) {
    let settings = Settings {
        sector: SECTOR,
        ..Settings::default()
    };
    let mut bench = Bench::with(Choice::seeded(seed), settings);
    let mut naive = Naive::new();
    let file = bench.durable("a", &[]);
    for (number, step) in (1..).zip(steps) {
        match *step {
            Step::Write(at, len) => {
                let bytes = vec![number; len];
                naive.write(at, &bytes);
                bench.write(file, at as u64, &bytes).result.unwrap();
            }
            Step::Truncate(len) => {
                naive.truncate(len);
                bench.truncate(file, len as u64).result.unwrap();
            }
            Step::Sync => {
                naive.sync(true);
                bench.sync(file).result.unwrap();
            }
            Step::FailingSync => {
                naive.sync(false);
                // Lost at the next crash, not at once: that is easy.
                fail_sync(&mut bench, file);
            }
            Step::LateSync => {
                naive.late = naive.written.len();
                bench.asker.is_blocking = false;
                bench.sync(file).result.unwrap();
                bench.asker.is_blocking = true;
            }
        }
        assert_eq!(bench.disk.contents("a").unwrap(), naive.live());
    }
    bench.asker.now = Time::from_nanos(1 << 40);
    bench
        .disk
        .set_condition(bench.asker.now, Condition::default());
    naive.settle();
    (bench, naive)
}

fn fail_sync(bench: &mut Bench, file: FileHandle) {
    let nth = bench.asker.nth + 1;
    let choice = taped(vec![(Kind::DiskError, "a#0", nth, 1)]);
    let seeded = std::mem::replace(&mut bench.choice, choice);
    assert!(bench.sync(file).result.is_err());
    bench.choice = seeded;
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..14usize, 1..9usize).prop_map(|(at, len)| Step::Write(at, len)),
        3 => (0..18usize).prop_map(Step::Truncate),
        1 => Just(Step::Sync),
        1 => Just(Step::FailingSync),
        1 => Just(Step::LateSync),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_crash_leaves_only_what_a_disk_could_hold(
        steps in prop::collection::vec(a_step(), 0..7),
        seed in any::<u64>(),
    ) {
        let (bench, naive) = take(seed, &steps);
        let outcomes = naive.outcomes();
        for crash in 0..20 {
            let mut bench = Bench { disk: bench.disk.clone(), choice: Choice::seeded(seed ^ crash), ..bench };
            bench.crash();
            let left = bench.disk.contents("a").unwrap().to_vec();
            prop_assert!(outcomes.contains(&left), "{left:?} of {outcomes:?}");
            // It is durable then.
            bench.crash();
            prop_assert_eq!(bench.disk.contents("a").unwrap(), left);
        }
    }

    #[test]
    fn a_calm_crash_keeps_all_but_what_a_failed_sync_was_about(
        steps in prop::collection::vec(a_step(), 0..7),
    ) {
        let (mut bench, naive) = take(1, &steps);
        let mut synced = naive.clone();
        synced.sync(true);
        bench.choice = taped(Vec::new());
        bench.crash();
        prop_assert_eq!(bench.disk.contents("a").unwrap(), &synced.stored);
        let fails = steps.iter().any(|step| matches!(step, Step::FailingSync));
        prop_assert!(fails || synced.stored == naive.live());
    }
}

#[test]
fn every_outcome_that_a_disk_could_hold_comes_in_some_seed() {
    use Step::{FailingSync, LateSync, Sync, Truncate, Write};
    let cases: [&[Step]; 8] = [
        &[Write(0, 8), Write(2, 4), LateSync, Write(1, 6), Write(4, 3)],
        &[Write(0, 8), Sync, Write(0, 8)],
        &[Write(0, 8), Sync, Write(0, 8), Write(2, 4)],
        &[Write(0, 3), Write(3, 8)],
        &[Write(0, 12), Sync, Truncate(0), Write(0, 6)],
        &[Write(0, 12), Sync, Truncate(5), Truncate(11), Write(9, 2)],
        &[
            Write(0, 8),
            Sync,
            Write(0, 8),
            FailingSync,
            Write(3, 1),
            Write(8, 5),
        ],
        &[Write(5, 9)],
    ];
    for steps in cases {
        let (bench, naive) = take(1, steps);
        let outcomes = naive.outcomes();
        assert!(outcomes.len() > 2, "{steps:?}");
        let mut seen = BTreeSet::new();
        for seed in 0..6_000 {
            let choice = Choice::seeded(seed);
            let mut bench = Bench {
                disk: bench.disk.clone(),
                choice,
                ..bench
            };
            bench.crash();
            seen.insert(bench.disk.contents("a").unwrap().to_vec());
            if seen.len() == outcomes.len() {
                break;
            }
        }
        assert_eq!(seen, outcomes, "{steps:?}");
    }
}

#[test]
fn the_last_of_the_first_changes_that_a_crash_keeps_may_be_torn() {
    let draws = vec![
        (Kind::CrashKeeps, "a#0:a", 0, 2),
        (Kind::CrashLoses, "a#0:a", 0, 1),
        (Kind::CrashTears, "a#0:a", 1, 0b10),
    ];
    let mut bench = Bench::with(taped(draws), Settings::default());
    let file = bench.durable("a", &[1; 2048]);
    for (number, at) in [(2, 0), (3, 512), (4, 0)] {
        bench.write(file, at, &[number; 1024]).result.unwrap();
    }
    bench.crash();
    let sectors = bench.disk.contents("a").unwrap().chunks(512);
    assert_eq!(
        sectors.map(|sector| sector[0]).collect::<Vec<_>>(),
        [2, 3, 1, 1]
    );
}

#[test]
fn each_crash_of_a_disk_draws_for_itself() {
    let second = 1 << 32;
    let draws = vec![(Kind::CrashKeeps, "a#0:a", second, 1)];
    let mut bench = Bench::with(taped(draws), Settings::default());
    let file = bench.durable("a", b"1");
    bench.append(file, b"2").result.unwrap();
    assert_eq!(bench.crash(), Lost::default());
    let file = bench.find("a").unwrap();
    bench.append(file, b"3").result.unwrap();
    assert_eq!(bench.crash().files, 1);
    assert_eq!(bench.disk.contents("a"), Some(&b"12"[..]));
}

#[test]
fn of_a_long_write_each_sector_may_be_lost() {
    let mut lost = [0; 100];
    for seed in 0..200 {
        let mut bench = Bench::seeded(seed);
        let file = bench.durable("a", &[1; 51_200]);
        bench.write(file, 0, &[2; 51_200]).result.unwrap();
        bench.crash();
        let sectors = bench.disk.contents("a").unwrap().chunks(512);
        for (lost, sector) in lost.iter_mut().zip(sectors) {
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "torn within a sector"
            );
            *lost += usize::from(sector[0] == 1);
        }
    }
    assert!(
        lost.iter().all(|times| (50..150).contains(times)),
        "{lost:?}"
    );
}

// --- Names ------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
enum Renaming {
    Make(usize),
    Remove(usize),
    Rename(usize, usize),
    SyncDirectory(usize),
}

const NAMES: [&str; 4] = ["a", "b", "x/a", "x/b"];
const DIRECTORIES: [&str; 2] = ["", "x"];

/// Which file has which name; a file is known by its number.
type Names = BTreeMap<usize, u8>;

/// The names that are durable, and the changes since: which names, and what they stand for then.
#[derive(Clone, Debug, Default)]
struct NaiveNames {
    durable: Names,
    changes: Vec<Vec<(usize, Option<u8>)>>,
}

impl NaiveNames {
    fn applied(&self, is_kept: impl Fn(usize) -> bool) -> Names {
        let mut names = self.durable.clone();
        for (place, change) in self.changes.iter().enumerate() {
            for (name, file) in change.iter().filter(|_| is_kept(place)) {
                match file {
                    Some(file) => names.insert(*name, *file),
                    None => names.remove(name),
                };
            }
        }
        names
    }

    fn live(&self) -> Names {
        self.applied(|_| true)
    }

    /// Whether a later change rests on an earlier one: they share a name.
    fn rests(&self, later: usize, earlier: usize) -> bool {
        let is_shared = |(name, _): &(usize, Option<u8>)| {
            let others = self.changes[later].iter();
            others.clone().any(|(other, _)| other == name)
        };
        earlier < later && self.changes[earlier].iter().any(is_shared)
    }

    fn sync(&mut self, directory: usize) {
        let count = self.changes.len();
        let is_in = |(name, _): &(usize, Option<u8>)| name / 2 == directory;
        let mut hard: Vec<bool> = (0..count)
            .map(|change| self.changes[change].iter().any(is_in))
            .collect();
        for later in (0..count).rev().filter(|_| count > 0) {
            for earlier in 0..later {
                hard[earlier] |= hard[later] && self.rests(later, earlier);
            }
        }
        self.durable = self.applied(|change| hard[change]);
        let mut soft = hard.iter().map(|hard| !hard);
        self.changes.retain(|_| soft.next().unwrap());
    }

    /// All that a crash may leave: changes with all on which they rest.
    fn outcomes(&self) -> BTreeSet<Names> {
        let count = self.changes.len();
        let sets = (0..1_usize << count).filter(|set| {
            let has = |change: usize| set >> change & 1 == 1;
            (0..count).all(|later| {
                let mut earlier = (0..later).filter(|earlier| self.rests(later, *earlier));
                !has(later) || earlier.all(has)
            })
        });
        sets.map(|set| self.applied(|change| set >> change & 1 == 1))
            .collect()
    }
}

fn take_names(seed: u64, steps: &[Renaming]) -> (Bench, NaiveNames) {
    let mut bench = Bench::seeded(seed);
    let mut naive = NaiveNames::default();
    for (number, step) in (1..).zip(steps) {
        let live = naive.live();
        match *step {
            Renaming::Make(name) if !live.contains_key(&name) => {
                let file = bench.open(NAMES[name]);
                bench.append(file, &[number]).result.unwrap();
                bench.sync(file).result.unwrap();
                bench.disk.close(file);
                naive.changes.push(vec![(name, Some(number))]);
            }
            Renaming::Remove(name) if live.contains_key(&name) => {
                bench.remove(NAMES[name]).unwrap();
                naive.changes.push(vec![(name, None)]);
            }
            Renaming::Rename(from, to) if live.contains_key(&from) && from != to => {
                bench.rename(NAMES[from], NAMES[to]).unwrap();
                let file = Some(live[&from]);
                naive.changes.push(vec![(from, None), (to, file)]);
            }
            Renaming::SyncDirectory(directory) => {
                naive.sync(directory);
                bench.sync_directory(DIRECTORIES[directory]).result.unwrap();
            }
            _ => {}
        }
        assert_eq!(names_on(&bench.disk), naive.live());
    }
    (bench, naive)
}

fn names_on(disk: &Disk) -> Names {
    let number = |path: &str| disk.contents(path).unwrap()[0];
    let place = |path: &str| NAMES.iter().position(|name| *name == path).unwrap();
    disk.paths()
        .map(|path| (place(path), number(path)))
        .collect()
}

fn a_renaming() -> impl Strategy<Value = Renaming> {
    let name = || 0..NAMES.len();
    prop_oneof![
        4 => name().prop_map(Renaming::Make),
        2 => name().prop_map(Renaming::Remove),
        4 => (name(), name()).prop_map(|(from, to)| Renaming::Rename(from, to)),
        1 => (0..DIRECTORIES.len()).prop_map(Renaming::SyncDirectory),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_crash_keeps_a_change_of_names_with_all_on_which_it_rests_or_not_at_all(
        steps in prop::collection::vec(a_renaming(), 0..10),
        seed in any::<u64>(),
    ) {
        let (bench, naive) = take_names(seed, &steps);
        let outcomes = naive.outcomes();
        for crash in 0..20 {
            let mut bench = Bench { disk: bench.disk.clone(), choice: Choice::seeded(seed ^ crash), ..bench };
            bench.crash();
            let left = names_on(&bench.disk);
            prop_assert!(outcomes.contains(&left), "{left:?} of {outcomes:?}");
            prop_assert_eq!(bench.disk.used(), left.len() as u64);
            prop_assert_eq!(bench.disk.files.iter().flatten().count(), left.len());
            bench.crash();
            prop_assert_eq!(names_on(&bench.disk), left);
        }
        let mut calm = Bench { choice: taped(Vec::new()), ..bench };
        calm.crash();
        prop_assert_eq!(names_on(&calm.disk), naive.live());
    }
}

#[test]
fn every_change_of_names_that_may_be_lost_is_lost_in_some_seed() {
    use Renaming::{Make, Remove, Rename, SyncDirectory};
    let cases: [&[Renaming]; 6] = [
        &[
            Make(0),
            SyncDirectory(0),
            Rename(0, 1),
            Rename(1, 3),
            SyncDirectory(1),
        ],
        &[
            Make(0),
            SyncDirectory(0),
            Remove(0),
            Make(0),
            Rename(0, 2),
            SyncDirectory(1),
            Make(3),
        ],
        &[
            Make(0),
            Make(1),
            SyncDirectory(0),
            Rename(0, 1),
            Make(0),
            Make(2),
        ],
        &[Make(0), Rename(0, 2), Rename(2, 3), Make(1)],
        &[
            Make(0),
            Make(2),
            SyncDirectory(0),
            Remove(0),
            Rename(2, 3),
            Make(0),
        ],
        &[Make(0), Make(1), Make(2), Make(3)],
    ];
    for steps in cases {
        let (bench, naive) = take_names(1, steps);
        let outcomes = naive.outcomes();
        let mut seen = BTreeSet::new();
        for seed in 0..500 {
            let choice = Choice::seeded(seed);
            let mut bench = Bench {
                disk: bench.disk.clone(),
                choice,
                ..bench
            };
            bench.crash();
            seen.insert(names_on(&bench.disk));
        }
        assert_eq!(seen, outcomes, "{steps:?}");
    }
}

/// What stands under a name after a new file was written, renamed to it, and a crash came.
fn after_replacing(seed: u64, is_synced: bool) -> Option<Vec<u8>> {
    let mut bench = Bench::seeded(seed);
    bench.durable("book", b"old");
    let file = bench.open("book.new");
    bench.append(file, b"new").result.unwrap();
    if is_synced {
        bench.sync(file).result.unwrap();
    }
    bench.rename("book.new", "book").unwrap();
    bench.crash();
    bench.disk.contents("book").map(<[u8]>::to_vec)
}

#[test]
fn a_rename_leaves_the_old_file_or_the_new_and_never_neither() {
    let left: BTreeSet<_> = (0..200).map(|seed| after_replacing(seed, true)).collect();
    let either = ["new", "old"].map(|text| Some(text.as_bytes().to_vec()));
    assert_eq!(left, BTreeSet::from(either));
}

#[test]
fn a_file_that_was_renamed_and_never_synced_may_be_empty() {
    let left: BTreeSet<_> = (0..200).map(|seed| after_replacing(seed, false)).collect();
    let any = ["", "new", "old"].map(|text| Some(text.as_bytes().to_vec()));
    // Its length was kept, and its bytes were not.
    let zeros = Some(vec![0; 3]);
    assert_eq!(
        left,
        BTreeSet::from(any).into_iter().chain([zeros]).collect()
    );
}
