//! Addresses of draws: what is decided, who asks, the how-manieth.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Whose draw it is: the adversary's can be calmed to 0, the program's keep what the seed gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Scheduling, latency, loss, faults, clocks: outcome 0 is calm.
    Adversary,
    /// The program's own randomness: ids, jitter, a client's choices.
    Program,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $sort:ident;)*) => {
        /// What a draw decides. A closed list: a tape names its edits with these words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $code,)* }

        impl Kind {
            /// Every kind, in the order of its code.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The word that a tape uses for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }

            /// The adversary's or the program's.
            #[must_use]
            pub const fn sort(self) -> Sort {
                match self { $(Kind::$name => Sort::$sort,)* }
            }

            /// The kind that a word stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Kind> {
                match word { $($text => Some(Kind::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// The rank of a process's n-th wake: the least (rank, wake order) steps next.
    Rank = 1, "rank", Adversary;
    /// The rank of an entry of the agenda that is due together with others.
    DueRank = 2, "due-rank", Adversary;
    /// How late, in nanoseconds, a process's n-th timer fires.
    Lateness = 3, "timer-late", Adversary;
    /// Whether a process's n-th packet is lost.
    Loss = 4, "lose", Adversary;
    /// Whether a process's n-th packet is duplicated.
    Duplicate = 5, "duplicate", Adversary;
    /// Nanoseconds above the path's least latency of a process's n-th packet.
    Latency = 6, "latency", Adversary;
    /// The same for the duplicate of that packet.
    CopyLatency = 7, "copy-latency", Adversary;
    /// Extra nanoseconds for a packet that is held back, so that later ones overtake it.
    Reorder = 8, "reorder", Adversary;
    /// When in its n-th window a node crashes: 0 not at all, else 1 + nanoseconds into the window.
    Crash = 9, "crash", Adversary;
    /// At which call of the host, counted from then, that crash falls: 0 at once, between two steps.
    CrashCall = 10, "crash-at-call", Adversary;
    /// Nanoseconds that a node stays down after the crash in its n-th window.
    Downtime = 11, "downtime", Adversary;
    /// Nanoseconds that each step of a node costs during one boot.
    StepCost = 12, "step-cost", Adversary;
    /// A process's n-th own draw.
    Program = 13, "random", Program;
    /// How much longer than the least, in nanoseconds, a node's n-th silence of a peer goes unnoticed.
    Tick = 14, "tick", Adversary;
    /// When in its n-th window a node is paused: as for a crash.
    Pause = 15, "pause", Adversary;
    /// When in its n-th window a node loses its power.
    PowerCut = 16, "power-cut", Adversary;
    /// When in its n-th window a node is stopped in an orderly way.
    Stop = 17, "stop", Adversary;
    /// When in its n-th window a node is written off while it runs on.
    Zombie = 18, "zombie", Adversary;
    /// When in the n-th window the network is cut.
    Cut = 19, "cut", Adversary;
    /// Which form the cut of the n-th window has.
    CutForm = 20, "cut-form", Adversary;
    /// A node's rank in the cut of the n-th window: the least are on the lesser side.
    CutSide = 21, "cut-side", Adversary;
    /// After how many nanoseconds the cut of the n-th window heals and comes again; 0: it stays.
    Flap = 22, "flap", Adversary;
    /// How many nanoseconds a fault lasts: the n-th window of its kind.
    Lasts = 23, "lasts", Adversary;
    /// When in its n-th window a node loses a connection.
    Break = 24, "break", Adversary;
    /// To which peer: the how-manieth of the others.
    Peer = 25, "peer", Adversary;
    /// How fast a node's clock drifts: parts in a billion, twice that, one more where it is slow.
    Drift = 26, "drift", Adversary;
    /// When in its n-th window a node's wall clock steps.
    ClockStep = 27, "clock-step", Adversary;
    /// By how many nanoseconds, twice that, one more where it steps back.
    StepBy = 28, "step-by", Adversary;
    /// At which level, of so many, the n-th class of faults is in this run; 0: not at all.
    Swarm = 29, "swarm", Adversary;
    /// When in its n-th window a node has one of its processes killed.
    Kill = 30, "kill", Adversary;
    /// When in its n-th window one of a node's processes is told to crash at a message.
    CrashAtMessage = 31, "crash-at-message", Adversary;
    /// When in its n-th window one of a node's mailboxes is flooded.
    Flood = 32, "flood", Adversary;
    /// Which of the node's processes such a fault befalls: this many modulo how many there are.
    Victim = 33, "victim", Adversary;
    /// At which message, or with how many, less one.
    HowMany = 34, "how-many", Adversary;
    /// Whether a process crashes at the n-th of the steps that it names.
    CrashAtStep = 35, "crash-at-step", Adversary;
    /// Whether a process's init fails.
    InitFails = 36, "init-fails", Adversary;
    /// For how many nanoseconds a process's init hangs.
    InitHangs = 37, "init-hangs", Adversary;
    /// For how many nanoseconds a process's n-th terminate hangs.
    SlowTerminate = 38, "slow-terminate", Adversary;
    /// How much longer than the least, in nanoseconds, a process's n-th operation on its node's disk takes.
    DiskLatency = 39, "disk-latency", Adversary;
    /// Whether that operation fails: 0 not; else how. A write: 1 nothing of it is there, 2 its first half; a
    /// sync: what was unsynced is gone at the next crash (1), or at once (2).
    DiskError = 40, "disk-error", Adversary;
    /// Which bit of what that operation reads rots, counted from 1; 0: none.
    Rot = 41, "rot", Adversary;
    /// To which sector of the file what that operation writes goes astray, counted from 1; 0: to none.
    Misdirect = 42, "misdirect", Adversary;
    /// For how many nanoseconds that operation stalls.
    DiskStall = 43, "disk-stall", Adversary;
    /// What the n-th crash keeps of what was not synced: 0 all, 1 nothing, 2 the first changes, 3 some
    /// changes, 4 some sectors. Asked for each file, and for the entries of directories.
    CrashKeeps = 44, "crash-keeps", Adversary;
    /// How many of the last changes it loses; of a file, where it keeps the first changes; else how many
    /// changes of its length.
    CrashLoses = 45, "crash-loses", Adversary;
    /// Which sectors of a write it loses, the first as the lowest bit; of an entry, whether it does.
    CrashTears = 46, "crash-tears", Adversary;
    /// By how many sectors the file is shorter than the last write that counts would have made it.
    CrashShortens = 47, "crash-shortens", Adversary;
    /// A copy's rank among those of one datum: the first may be hurt.
    CopyRank = 48, "copy-rank", Adversary;
    /// When in its n-th window a node's disk is full for a while.
    DiskFull = 49, "disk-full", Adversary;
    /// When in its n-th window a node's disk is slow for a while.
    DiskSlow = 50, "disk-slow", Adversary;
    /// When in its n-th window a node's disk hangs for a while.
    DiskHang = 51, "disk-hang", Adversary;
    /// When in its n-th window a node's disk is as it will be again later.
    RollBack = 52, "roll-back", Adversary;
    /// When in its n-th window a node's disk is wiped.
    Wipe = 53, "wipe", Adversary;
    /// Whether the n-th ack of a process is lost.
    LostAck = 56, "lost-ack", Adversary;
    /// Whether it is sent twice.
    RepeatedAck = 57, "repeated-ack", Adversary;
    /// How many nanoseconds later it is sent.
    LateAck = 58, "late-ack", Adversary;
    /// When in its n-th window one of a node's keepers of mail sends all again that is not acked.
    Storm = 59, "redelivery-storm", Adversary;
    /// When in its n-th window one of a node's keepers of mail goes down.
    Outage = 60, "mail-outage", Adversary;
}

/// Who draws, named by cause: a node, a boot of it, or a process by its line of descent.
///
/// Written `parent` (the node), `parent#0` (its first boot, and that boot's root process),
/// `parent#0/2/1` (the first child of the root's second child), `parent->child` (the node itself, where it
/// sets up, closes or watches its connection to another), `parent:mail/outbox` (a file of it). Never by a
/// slot in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lineage(u64);

/// Between the ends of a connection.
const WAY: &str = "->";
/// Between a node and a file of it.
const FILE: char = ':';

impl Lineage {
    /// The run itself.
    pub const RUN: Lineage = Lineage(0);

    /// A node, by its name.
    #[must_use]
    pub fn node(name: &str) -> Lineage {
        Lineage(xxh3_64(name.as_bytes()))
    }

    /// The `n`-th boot of this node, from 0; also its root process.
    #[must_use]
    pub fn boot(self, n: u32) -> Lineage {
        Lineage(xxh3_64_with_seed(
            &u64::from(n).to_le_bytes(),
            self.0 ^ 0xB007,
        ))
    }

    /// The `n`-th child that this process spawned, from 1.
    #[inline]
    #[must_use]
    pub fn child(self, n: u32) -> Lineage {
        Lineage(xxh3_64_with_seed(&u64::from(n).to_le_bytes(), self.0))
    }

    /// What this node, or boot, sends to another to keep their connection.
    #[must_use]
    pub fn way(self, to: Lineage) -> Lineage {
        Lineage(xxh3_64_with_seed(&to.0.to_le_bytes(), self.0 ^ 0x3A7))
    }

    /// A file of this node, or of this boot of it.
    #[must_use]
    pub fn file(self, path: &str) -> Lineage {
        Lineage(xxh3_64_with_seed(path.as_bytes(), self.0 ^ 0xF11E))
    }

    /// The number that stands for it.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Reads what [`Lineages::text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Lineage> {
        if text == "run" {
            return Some(Lineage::RUN);
        }
        if let Some((owner, path)) = text.split_once(FILE) {
            let owner = Lineage::parse(owner).filter(|_| valid_path(path))?;
            return Some(owner.file(path));
        }
        // A name may end with a `-`.
        if let Some((from, to)) = text.rsplit_once(WAY) {
            return Some(Lineage::parse(from)?.way(Lineage::parse(to)?));
        }
        let (name, rest) = match text.split_once('#') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        if !valid_name(name) {
            return None;
        }
        let node = Lineage::node(name);
        let Some(rest) = rest else { return Some(node) };
        let mut numbers = rest.split('/').map(str::parse::<u32>);
        let boot = node.boot(numbers.next()?.ok()?);
        numbers.try_fold(boot, |parent, n| Some(parent.child(n.ok()?)))
    }
}

/// Whether `name` may name a node: 1 to 64 letters, digits, `_`, `-` or `.`, of which the first is a letter
/// or a digit; not `run`.
#[must_use]
pub fn valid_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 64
        && name != "run"
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Whether `path` may name a file: 1 to 255 characters; parts with `/` between them, of which each is made
/// of letters, digits, `_`, `-` and `.`, and is neither `.` nor `..`.
#[must_use]
pub fn valid_path(path: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_part = |part: &str| !["", ".", ".."].contains(&part) && part.chars().all(is_letter);
    path.len() <= 255 && path.split('/').all(is_part)
}

/// The address of one draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    /// What is decided.
    pub kind: Kind,
    /// Who asks.
    pub who: Lineage,
    /// The how-manieth of that kind, for this asker.
    pub nth: u64,
}

impl Site {
    /// The site of the `nth` draw of `kind` by `who`.
    #[inline]
    #[must_use]
    pub const fn new(kind: Kind, who: Lineage, nth: u64) -> Site {
        Site { kind, who, nth }
    }
}

#[derive(Clone, Debug)]
enum Origin {
    Node(String),
    Boot(Lineage, u32),
    Child(Lineage, u32),
    Way(Lineage, Lineage),
    File(Lineage, String),
}

/// The names behind lineages, kept only while draws are recorded or a log is.
#[derive(Clone, Debug, Default)]
pub struct Lineages(FxHashMap<Lineage, Origin>);

impl Lineages {
    /// Notes a node's name.
    pub fn node(&mut self, name: &str) {
        self.0
            .insert(Lineage::node(name), Origin::Node(name.to_owned()));
    }

    /// Notes a boot.
    pub fn boot(&mut self, node: Lineage, n: u32) {
        self.0.insert(node.boot(n), Origin::Boot(node, n));
    }

    /// Notes a child.
    pub fn child(&mut self, parent: Lineage, n: u32) {
        self.0.insert(parent.child(n), Origin::Child(parent, n));
    }

    /// Notes the way from one node to another.
    pub fn way(&mut self, from: Lineage, to: Lineage) {
        self.0.insert(from.way(to), Origin::Way(from, to));
    }

    /// Notes a file of a node, or of a boot.
    pub fn file(&mut self, owner: Lineage, path: &str) {
        let origin = Origin::File(owner, path.to_owned());
        self.0.insert(owner.file(path), origin);
    }

    /// The ends of a way.
    #[must_use]
    pub fn ends(&self, way: Lineage) -> Option<(Lineage, Lineage)> {
        match self.0.get(&way)? {
            Origin::Way(from, to) => Some((*from, *to)),
            _ => None,
        }
    }

    /// The text of a lineage, as [`Lineage::parse`] reads it; `?` where it was never noted.
    #[must_use]
    pub fn text(&self, lineage: Lineage) -> String {
        if lineage == Lineage::RUN {
            return "run".to_owned();
        }
        let mut steps = Vec::new();
        let mut at = lineage;
        loop {
            match self.0.get(&at) {
                None => return "?".to_owned(),
                Some(Origin::Node(name)) => {
                    let mut text = name.clone();
                    for (i, n) in steps.iter().rev().enumerate() {
                        text.push(if i == 0 { '#' } else { '/' });
                        text.push_str(&format!("{n}"));
                    }
                    return text;
                }
                Some(Origin::Way(from, to)) => {
                    return format!("{}{WAY}{}", self.text(*from), self.text(*to));
                }
                Some(Origin::File(owner, path)) => {
                    return format!("{}{FILE}{path}", self.text(*owner));
                }
                Some(Origin::Boot(up, n) | Origin::Child(up, n)) => {
                    steps.push(*n);
                    at = *up;
                }
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_reads_back_from_its_text() {
        let mut names = Lineages::default();
        names.node("parent");
        let node = Lineage::node("parent");
        names.boot(node, 2);
        names.child(node.boot(2), 7);
        names.child(node.boot(2).child(7), 1);
        let process = node.boot(2).child(7).child(1);
        assert_eq!(names.text(process), "parent#2/7/1");
        names.node("a-");
        let way = node.boot(2).way(Lineage::node("a-"));
        names.way(node.boot(2), Lineage::node("a-"));
        assert_eq!(names.text(way), "parent#2->a-");
        let back = Lineage::node("a-").way(node);
        names.way(Lineage::node("a-"), node);
        assert_eq!(names.text(back), "a-->parent");
        names.file(node.boot(2), "mail/out.redb");
        let file = node.boot(2).file("mail/out.redb");
        assert_eq!(names.text(file), "parent#2:mail/out.redb");
        for lineage in [
            file,
            node,
            node.boot(2),
            node.boot(2).child(7),
            process,
            way,
            back,
            Lineage::RUN,
        ] {
            assert_eq!(Lineage::parse(&names.text(lineage)), Some(lineage));
        }
    }

    #[test]
    fn a_text_that_is_no_lineage_is_refused() {
        for text in [
            "", "a#", "a#x", "a#1/", "a b", "a#1/-2", "?", "a:", "a:b//c", "a:../b", "a:b c",
        ] {
            assert_eq!(Lineage::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_boot_and_a_child_of_the_same_number_are_different() {
        let node = Lineage::node("a");
        assert_ne!(node.boot(1), node.child(1));
    }

    #[test]
    fn every_kind_reads_back_from_its_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(*kind));
        }
    }
}
