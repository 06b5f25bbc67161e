//! What a crash keeps of what was not synced, as it is drawn.

use super::content::{Content, Kept};
use super::entries::Entries;
use crate::choice::{Choice, Kind, Lineage, Rate, Shape, Site};

/// What a crash has taken from a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many files are not as they were.
    pub files: u32,
    /// How many changes of names.
    pub entries: u32,
}

/// How much a crash keeps, as [`Kind::CrashKeeps`] says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    All,
    Nothing,
    First,
    Some,
    Sectors,
}

impl Keeps {
    const SECTORS: u64 = 4;
    const SOME: u64 = 3;

    fn of(outcome: u64) -> Keeps {
        match outcome {
            0 => Keeps::All,
            1 => Keeps::Nothing,
            2 => Keeps::First,
            3 => Keeps::Some,
            _ => Keeps::Sectors,
        }
    }
}

/// How many sectors of a write are drawn one by one. Of a longer one, each is lost with the one so many
/// before.
const SECTORS_DRAWN: usize = 32;

/// The draws of one crash about one file, or about names.
pub(super) struct Draws<'a> {
    pub(super) choice: &'a mut Choice,
    pub(super) who: Lineage,
    /// The how-manieth crash, and which of the files that had this name: the upper half.
    pub(super) nth: u64,
}

impl Draws<'_> {
    fn draw(&mut self, kind: Kind, place: usize, shape: Shape<'_>) -> u64 {
        let nth = self.nth | place as u64 & 0xFFFF_FFFF;
        self.choice.draw(Site::new(kind, self.who, nth), shape)
    }

    fn up_to(&mut self, kind: Kind, most: usize) -> usize {
        if most == 0 {
            return 0;
        }
        self.draw(kind, 0, Shape::UpTo(most as u64)) as usize
    }

    /// A crash of a file; whether it is another now.
    pub(super) fn crash(&mut self, content: &mut Content, sector: usize) -> bool {
        let keeps = Keeps::of(self.draw(Kind::CrashKeeps, 0, Shape::UpTo(Keeps::SECTORS)));
        let pending = content.pending();
        let lengths = match keeps {
            Keeps::All => pending,
            Keeps::Nothing => 0,
            _ => pending - self.up_to(Kind::CrashLoses, pending),
        };
        let growth = match keeps {
            Keeps::All | Keeps::Nothing => 0,
            _ => content.growth(lengths, sector),
        };
        let short = self.up_to(Kind::CrashShortens, growth);
        let lost: Vec<u64> = (0..pending)
            .map(|change| {
                self.lost_sectors(keeps, change, lengths, content.sectors(change, sector))
            })
            .collect();
        let is_lost = |change: usize, nth: usize| lost[change] >> (nth % SECTORS_DRAWN) & 1 == 1;
        let is_whole = lengths == pending && short == 0 && lost.iter().all(|lost| *lost == 0);
        if is_whole && !content.has_failed() {
            content.harden(u64::MAX, sector);
            return false;
        }
        let kept = Kept {
            lengths,
            short,
            is_lost: &is_lost,
        };
        content.crash(sector, &kept);
        true
    }

    /// Which sectors of a change are lost, the first as the lowest bit.
    fn lost_sectors(&mut self, keeps: Keeps, change: usize, lengths: usize, sectors: usize) -> u64 {
        const WHOLE: u64 = u64::MAX;
        let any = Shape::UpTo((1 << sectors.min(SECTORS_DRAWN)) - 1);
        match keeps {
            Keeps::All => 0,
            Keeps::Nothing => WHOLE,
            Keeps::First if change >= lengths => WHOLE,
            Keeps::First if change + 1 < lengths => 0,
            _ if sectors == 0 => 0,
            Keeps::First | Keeps::Sectors => self.draw(Kind::CrashTears, change, any),
            Keeps::Some => {
                let lost = self.draw(Kind::CrashTears, change, Shape::Chance(half()));
                lost * WHOLE
            }
        }
    }

    /// A crash of the names; how many of their changes are lost.
    pub(super) fn crash_entries(&mut self, entries: &mut Entries) -> usize {
        let pending = entries.pending();
        let keeps = Keeps::of(self.draw(Kind::CrashKeeps, 0, Shape::UpTo(Keeps::SOME)));
        let kept = match keeps {
            Keeps::All | Keeps::Some | Keeps::Sectors => pending,
            Keeps::Nothing => 0,
            Keeps::First => pending - self.up_to(Kind::CrashLoses, pending),
        };
        let mut lost = vec![false; pending];
        for (change, lost) in lost.iter_mut().enumerate() {
            let falls = || Shape::Chance(half());
            *lost = change >= kept
                || keeps == Keeps::Some && self.draw(Kind::CrashTears, change, falls()) != 0;
        }
        entries.crash(|change| lost[change])
    }
}

fn half() -> Rate {
    Rate::new(0.5).unwrap_or(Rate::ALWAYS)
}
