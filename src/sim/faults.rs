//! Which faults a run may have, and how often: a profile, not yet drawn.

use super::class::Class;
use super::disk_rates::{DiskRates, OfDisks};
use super::fault::Fault;
use super::mail_rates::{MailRates, OfMail};
use super::process_rates::{OfProcesses, ProcessRates};
use crate::choice::{Choice, Rate, RateError};
use crate::disk::Budget;
use crate::kernel::nanos;
use crate::net::{PacketFault, PacketFaults, RuleError};
use crate::trace::PacketKind;
use std::fmt;
use std::time::Duration;

/// A profile of faults: how often each kind comes, and single ones by hand. [`Faults::calm`] has none,
/// [`Faults::chaos`] all.
///
/// ```
/// use netsplit::{Faults, PacketKind, millis, secs};
/// let faults = Faults::calm()
///     .lose(0.01)
///     .duplicate_kind(PacketKind::Ack, 0.05)
///     .reorder(0.02, millis(50))
///     .partition(secs(20), secs(5))
///     .crash(secs(10), secs(1));
/// assert!(faults.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    loss: [f64; PacketKind::COUNT],
    duplicate: [f64; PacketKind::COUNT],
    reorder: f64,
    hold: Duration,
    /// How often each class comes to a node (a cut: to the network), and how long it lasts.
    often: [Option<(Duration, Duration)>; Class::COUNT],
    crash_calls: u64,
    slow: f64,
    slow_step: Duration,
    timers_late: Duration,
    drift_ppm: u32,
    pub(super) processes: OfProcesses,
    pub(super) disks: OfDisks,
    pub(super) mail: OfMail,
    swarm: bool,
    spared: Vec<String>,
    packets: Vec<PacketFault>,
    by_hand: Vec<(Duration, Fault<String>)>,
}

/// A profile that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// A number of which there must be one at least.
    #[error("the number of `{0}` must be at least 1: leave it out where it should never come")]
    NoCount(&'static str),
    /// A fault that counts to 0.
    #[error("`{0}` does nothing: it counts from 1")]
    Nothing(Box<Fault<String>>),
    /// A rate outside 0 to 1.
    #[error("the rate of `{0}`: {1}")]
    Rate(&'static str, #[source] RateError),
    /// A duration that must not be zero.
    #[error("the duration of `{0}` must be longer than 0: leave it out where it should never come")]
    Zero(&'static str),
    /// A fault aimed at packets.
    #[error(transparent)]
    Packets(#[from] RuleError),
    /// A fault names a node that is not there.
    #[error("`{fault}` names the node `{node}`, which the cluster does not have")]
    Node {
        /// The fault.
        fault: Box<Fault<String>>,
        /// The name.
        node: String,
    },
    /// A cut that has not two nodes to cut apart, or a connection of a node with itself.
    #[error("`{0}` has nothing between which it could lie: name two nodes, one on each side")]
    NoSides(Box<Fault<String>>),
    /// A fault names a file by what is no path.
    #[error(
        "`{0}` names no path of a file: write parts of letters, digits, `_`, `-` and `.` with `/` between"
    )]
    Path(Box<Fault<String>>),
    /// Slow disks that are as fast as ever.
    #[error("a slow disk takes {0} times as long: give it 2 at least")]
    NotSlow(u32),
    /// A copy lies on a node that is not there.
    #[error("a copy lies on the node `{0}`, which the cluster does not have")]
    CopyNode(String),
    /// A copy that is none.
    #[error("`{1}` on `{0}` is no copy: it is named twice, or is no path of a file")]
    Copy(String, String),
    /// A budget that spares nothing.
    #[error(
        "{0} of {1} copies may be hurt, so none is spared: name more copies, or let fewer be hurt"
    )]
    AllCopies(usize, usize),
    /// A fault that lasts no time.
    #[error("`{0}` ends when it begins: it must last longer than 0")]
    NoTime(Box<Fault<String>>),
    /// A step of a clock by nothing.
    #[error("`{0}` changes nothing: let it step by more than 0")]
    NoStep(Box<Fault<String>>),
    /// A cut that flaps without pause: the run would do nothing else.
    #[error("`{0}` flaps too fast: give it a period of at least 1ms")]
    FlapsTooFast(Box<Fault<String>>),
    /// A drift with which a clock would stand still, or go back.
    #[error("`{0}` is more than a clock can drift: give it less than a million parts in a million")]
    Drift(Box<Fault<String>>),
    /// The same in a profile.
    #[error("clocks that drift by up to {0} parts in a million: give them less than a million")]
    DriftRate(u32),
    /// A fault that would begin when the faults have stopped.
    #[error("`{fault}` would begin at {at:?}, and faults stop at {end:?}: see `quiet(…)`")]
    TooLate {
        /// The fault.
        fault: Box<Fault<String>>,
        /// When.
        at: Duration,
        /// When faults stop.
        end: Duration,
    },
}

impl Faults {
    /// No faults at all.
    #[must_use]
    pub fn calm() -> Faults {
        Faults {
            loss: [0.0; PacketKind::COUNT],
            duplicate: [0.0; PacketKind::COUNT],
            reorder: 0.0,
            hold: Duration::from_millis(100),
            often: [None; Class::COUNT],
            crash_calls: 8,
            slow: 0.0,
            slow_step: Duration::from_millis(10),
            timers_late: Duration::ZERO,
            drift_ppm: 0,
            processes: OfProcesses::CALM,
            disks: OfDisks::CALM,
            mail: OfMail::CALM,
            swarm: false,
            spared: Vec::new(),
            packets: Vec::new(),
            by_hand: Vec::new(),
        }
    }

    /// All kinds of faults, as a swarm: each run draws which of them are on, and at which rates, so that
    /// runs differ in kind and not only in luck. Half of the kinds are on in a run, each at a quarter, a
    /// half or all of this: 30 % of the packets lost, 50 % duplicated (TigerBeetle's greatest rates), 10 %
    /// held back up to 1 s; each node crashed every 20 s for 2 s, without power every 60 s for 5 s, stopped
    /// every 60 s for 2 s, paused every 30 s for 2 s, written off every 60 s for 10 s; the network cut
    /// every 10 s for 5 s (Jepsen's pace), a connection of each node broken every 20 s; a quarter of the
    /// boots slow, up to 10 ms a step; timers up to 50 ms late; clocks up to 200 parts in a million wrong,
    /// their wall time stepped every 60 s by up to 10 s.
    #[must_use]
    pub fn chaos() -> Faults {
        let secs = Duration::from_secs;
        Faults::calm()
            .lose(0.3)
            .duplicate(0.5)
            .reorder(0.1, secs(1))
            .crash(secs(20), secs(2))
            .power_cut(secs(60), secs(5))
            .stop(secs(60), secs(2))
            .pause(secs(30), secs(2))
            .zombie(secs(60), secs(10))
            .partition(secs(10), secs(5))
            .break_connections(secs(20))
            .slow(0.25, Duration::from_millis(10))
            .late_timers(Duration::from_millis(50))
            .drift(200)
            .step_clocks(secs(60), secs(10))
            .swarm()
    }

    /// Each run draws which kinds of this profile's rates are on, each with an even chance, and whether at
    /// a quarter, a half or all of what is said here. What is aimed at packets or planned by hand stays.
    #[must_use]
    pub fn swarm(mut self) -> Faults {
        self.swarm = true;
        self
    }

    /// Loses this share of all packets. On a connection a lost packet is sent again, so it comes later.
    #[must_use]
    pub fn lose(mut self, rate: f64) -> Faults {
        self.loss = [rate; PacketKind::COUNT];
        self
    }

    /// Loses this share of the packets of one kind.
    #[must_use]
    pub fn lose_kind(mut self, kind: PacketKind, rate: f64) -> Faults {
        self.loss[kind as usize] = rate;
        self
    }

    /// Duplicates this share of all datagrams.
    #[must_use]
    pub fn duplicate(mut self, rate: f64) -> Faults {
        self.duplicate = [rate; PacketKind::COUNT];
        self
    }

    /// Duplicates this share of the datagrams of one kind.
    #[must_use]
    pub fn duplicate_kind(mut self, kind: PacketKind, rate: f64) -> Faults {
        self.duplicate[kind as usize] = rate;
        self
    }

    /// Holds this share of all datagrams back, for as long as `most` beyond their latency, so that later
    /// ones overtake them.
    #[must_use]
    pub fn reorder(mut self, rate: f64, most: Duration) -> Faults {
        self.reorder = rate;
        self.hold = most;
        self
    }

    /// A fault aimed at packets of one kind, path, time or number.
    #[must_use]
    pub fn packets(mut self, fault: PacketFault) -> Faults {
        self.packets.push(fault);
        self
    }

    /// A fault at this time, in every run.
    #[must_use]
    pub fn at(mut self, at: Duration, fault: Fault<String>) -> Faults {
        self.by_hand.push((at, fault));
        self
    }

    pub(super) fn often(mut self, class: Class, every: Duration, lasts: Duration) -> Faults {
        self.often[class as usize] = Some((every, lasts));
        self
    }

    /// Crashes each node, on average once in `every`; it reboots after `down_for` on average. Nodes of
    /// clients are spared, and a node crashes at most once in each second of virtual time. Eight of nine
    /// crashes fall inside a poll: see [`Faults::crash_calls`].
    #[must_use]
    pub fn crash(self, every: Duration, down_for: Duration) -> Faults {
        self.often(Class::Crash, every, down_for)
    }

    /// A crash falls at the node's next 1st to `most`-th call of the host (drawn), inside a poll, or, as
    /// one more case as likely as each of these, between two steps. Default 8; 0: always between steps.
    #[must_use]
    pub fn crash_calls(mut self, most: u64) -> Faults {
        self.crash_calls = most;
        self
    }

    /// Takes the power from each machine, on average once in `every`, for `down_for` on average: its peers
    /// hear nothing of it.
    #[must_use]
    pub fn power_cut(self, every: Duration, down_for: Duration) -> Faults {
        self.often(Class::PowerCut, every, down_for)
    }

    /// Asks each node to stop, on average once in `every`; it has 5 s to do so, and reboots after
    /// `down_for` on average.
    #[must_use]
    pub fn stop(self, every: Duration, down_for: Duration) -> Faults {
        self.often(Class::Stop, every, down_for)
    }

    /// Pauses each node, on average once in `every`, for `lasts` on average: a long stop of the world.
    #[must_use]
    pub fn pause(self, every: Duration, lasts: Duration) -> Faults {
        self.often(Class::Pause, every, lasts)
    }

    /// Writes each node off, on average once in `every`: a new incarnation takes its place, and the old one
    /// runs on, cut off for `lasts` on average. A node is written off again only where its old one has
    /// ended, which it does when the faults stop: so each at most once in a run.
    #[must_use]
    pub fn zombie(self, every: Duration, lasts: Duration) -> Faults {
        self.often(Class::Zombie, every, lasts)
    }

    /// Cuts the network between nodes that are not clients, on average once in `every`, for `lasts` on
    /// average. The form is drawn: one node off, halves, a minority of a third, halves with a bridge, or
    /// one node that hears or is heard only; one cut in five flaps. Where there are fewer than two such
    /// nodes there is nothing to cut.
    #[must_use]
    pub fn partition(self, every: Duration, lasts: Duration) -> Faults {
        self.often(Class::Cut, every, lasts)
    }

    /// Breaks a connection of each node, on average once in `every`: with whom is drawn, among those that
    /// are not clients. Where the two have none it is a fault without effect.
    #[must_use]
    pub fn break_connections(self, every: Duration) -> Faults {
        self.often(Class::Break, every, Duration::ZERO)
    }

    /// Steps the wall clock of each node, on average once in `every`, by up to `most`, forward or back.
    #[must_use]
    pub fn step_clocks(self, every: Duration, most: Duration) -> Faults {
        self.often(Class::ClockStep, every, most)
    }

    /// Lets the clock of each node drift by up to so many parts in a million, drawn once a run: less than a
    /// million.
    #[must_use]
    pub fn drift(mut self, most_parts_per_million: u32) -> Faults {
        self.drift_ppm = most_parts_per_million;
        self
    }

    /// Makes this share of all boots slow: each of their steps costs up to `step`, drawn once a boot.
    #[must_use]
    pub fn slow(mut self, rate: f64, step: Duration) -> Faults {
        self.slow = rate;
        self.slow_step = step;
        self
    }

    /// Timers fire up to `most` later than they were set for.
    #[must_use]
    pub fn late_timers(mut self, most: Duration) -> Faults {
        self.timers_late = most;
        self
    }

    /// Spares a node: no drawn fault of nodes, clocks or partitions befalls it. What is planned by hand
    /// does.
    #[must_use]
    pub fn spare(mut self, node: &str) -> Faults {
        self.spared.push(node.to_owned());
        self
    }

    /// The nodes that are spared.
    pub(crate) fn spared(&self) -> &[String] {
        &self.spared
    }

    /// What is planned by hand.
    pub(crate) fn by_hand(&self) -> &[(Duration, Fault<String>)] {
        &self.by_hand
    }

    /// What is hurt of which data at most; `is_node` says whether the cluster has a node of that name.
    pub(crate) fn budgets(
        &self,
        is_node: impl Fn(&str) -> bool,
    ) -> Result<Vec<Budget>, FaultError> {
        self.disks.budgets(is_node)
    }

    /// What is aimed at packets.
    pub(crate) fn aimed(&self) -> &[PacketFault] {
        &self.packets
    }

    /// Whether every rate, window and duration makes sense; nodes are looked up when a scenario is run.
    ///
    /// # Errors
    /// [`FaultError`], which names the first that does not.
    pub fn check(&self) -> Result<(), FaultError> {
        for fault in &self.packets {
            fault.check()?;
        }
        for (_, fault) in &self.by_hand {
            checked(fault)?;
        }
        // Whether there are such nodes is looked up when a scenario is run.
        self.disks.budgets(|_| true)?;
        self.rates().map(drop)
    }

    pub(crate) fn rates(&self) -> Result<Rates, FaultError> {
        let rate = |what, p| Rate::new(p).map_err(|error| FaultError::Rate(what, error));
        let rates = |what, all: [f64; PacketKind::COUNT]| {
            let mut rates = [Rate::NEVER; PacketKind::COUNT];
            for (to, p) in rates.iter_mut().zip(all) {
                *to = rate(what, p)?;
            }
            Ok::<_, FaultError>(rates)
        };
        let long = |what, duration: Duration| match duration {
            Duration::ZERO => Err(FaultError::Zero(what)),
            _ => Ok(nanos(duration)),
        };
        let mut often = [None; Class::COUNT];
        for class in Class::ALL {
            let Some((every, lasts)) = self.often[class as usize] else {
                continue;
            };
            let (word, _) = class.words();
            let windows = long(word, every)? as f64 / WINDOW_NS as f64;
            if class.needs_length() {
                long(word, lasts)?;
            }
            let rate = rate(word, 1.0 - libm::exp(-1.0 / windows))?;
            often[class as usize] = Some(Often { rate, lasts });
        }
        if self.drift_ppm >= MILLION {
            return Err(FaultError::DriftRate(self.drift_ppm));
        }
        Ok(Rates {
            packets: PacketFaults {
                loss: rates("lose", self.loss)?,
                duplicate: rates("duplicate", self.duplicate)?,
                reorder: rate("reorder", self.reorder)?,
                hold_ns: long("reorder", self.hold)?,
            },
            often,
            crash_calls: self.crash_calls,
            slow: rate("slow", self.slow)?,
            slow_step_ns: long("slow", self.slow_step)?,
            timers_late_ns: nanos(self.timers_late),
            drift_ppb: u64::from(self.drift_ppm) * 1000,
            processes: self.processes.rates()?,
            disks: self.disks.rates()?,
            mail: self.mail.rates()?,
            swarm: self.swarm,
        })
    }
}

/// A clock that drifts by so many parts in a million stands still, or is twice as fast.
const MILLION: u32 = 1_000_000;
/// The least period of a cut that flaps.
const FLAP_LEAST: Duration = Duration::from_millis(1);

/// Refuses a fault that makes no sense in any cluster.
pub(crate) fn checked(fault: &Fault<String>) -> Result<(), FaultError> {
    let boxed = || Box::new(fault.clone());
    if fault.lasts() == Some(Duration::ZERO) {
        return Err(FaultError::NoTime(boxed()));
    }
    match fault {
        Fault::Process { what, .. } if what.takes_no_time() => Err(FaultError::NoTime(boxed())),
        Fault::Process { what, .. } if what.is_nothing() => Err(FaultError::Nothing(boxed())),
        Fault::Disk { what, .. } if what.is_nothing() => Err(FaultError::Nothing(boxed())),
        Fault::Disk { what, .. } if what.bad_path().is_some() => Err(FaultError::Path(boxed())),
        Fault::Cut { cut, .. } if !cut.divides() => Err(FaultError::NoSides(boxed())),
        Fault::Cut {
            flap: Some(period), ..
        } if *period < FLAP_LEAST => Err(FaultError::FlapsTooFast(boxed())),
        Fault::Break { a, b } if a == b => Err(FaultError::NoSides(boxed())),
        Fault::ClockStep { by_ns: 0, .. } => Err(FaultError::NoStep(boxed())),
        Fault::Drift { ppb, .. } if ppb.unsigned_abs() >= u64::from(MILLION) * 1000 => {
            Err(FaultError::Drift(boxed()))
        }
        _ => Ok(()),
    }
}

impl Default for Faults {
    fn default() -> Faults {
        Faults::calm()
    }
}

/// A fault of a class comes to a node at most once in each window of this length.
pub(crate) const WINDOW_NS: u64 = 1_000_000_000;

/// How often a class of faults comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Often {
    /// In each window.
    pub(crate) rate: Rate,
    /// How long each lasts on average; of a step of a clock, the greatest.
    pub(crate) lasts: Duration,
}

/// A profile as draws use it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rates {
    pub(crate) packets: PacketFaults,
    pub(crate) often: [Option<Often>; Class::COUNT],
    pub(crate) crash_calls: u64,
    pub(crate) slow: Rate,
    pub(crate) slow_step_ns: u64,
    pub(crate) timers_late_ns: u64,
    pub(crate) drift_ppb: u64,
    pub(crate) processes: ProcessRates,
    pub(crate) disks: DiskRates,
    pub(crate) mail: MailRates,
    pub(crate) swarm: bool,
}

impl Rates {
    /// Whether anything may befall a process where it passes.
    pub(crate) fn strike(&self) -> bool {
        self.processes.strike() || self.mail.strike()
    }

    /// How often a class comes; `None` where it never does and nobody but the seed is asked. A tape may
    /// have a fault that the profile, or the run of a swarm, does not.
    pub(crate) fn often(&self, class: Class, choice: &Choice) -> Option<Often> {
        let never = Often {
            rate: Rate::NEVER,
            lasts: Duration::from_secs(1),
        };
        let often = self.often[class as usize].unwrap_or(never);
        (!often.rate.is_never() || !choice.is_seeded()).then_some(often)
    }
}

/// A rate in percent, to three places.
fn percent(rate: f64) -> f64 {
    (rate * 100_000.0).round() / 1000.0
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (word, rates) in [("lose", self.loss), ("duplicate", self.duplicate)] {
            if rates[0] > 0.0 && rates.iter().all(|rate| *rate == rates[0]) {
                parts.push(format!("{word} {} %", percent(rates[0])));
                continue;
            }
            let kinds = PacketKind::ALL.iter().zip(rates);
            for (kind, rate) in kinds.filter(|(_, rate)| *rate > 0.0) {
                parts.push(format!("{word} {} % of kind {kind}", percent(rate)));
            }
        }
        if self.reorder > 0.0 {
            let share = percent(self.reorder);
            parts.push(format!("hold back {share} % up to {:?}", self.hold));
        }
        parts.extend(self.disks.parts(percent));
        for class in Class::ALL {
            let Some((every, lasts)) = self.often[class as usize] else {
                continue;
            };
            let (word, how_long) = class.words();
            let lasts = match self.processes.most(class) {
                Some(most) => format!(" {how_long} {most}"),
                None if how_long.is_empty() => String::new(),
                None => format!(" {how_long} {lasts:?}"),
            };
            let more = self.disks.more(class).unwrap_or_default();
            parts.push(format!("{word} every {every:?}{lasts}{more}"));
        }
        if self.slow > 0.0 {
            let (share, step) = (percent(self.slow), self.slow_step);
            parts.push(format!("{share} % of boots slow, up to {step:?} a step"));
        }
        if !self.timers_late.is_zero() {
            parts.push(format!("timers up to {:?} late", self.timers_late));
        }
        if self.drift_ppm > 0 {
            let most = self.drift_ppm;
            parts.push(format!("clocks up to {most} parts in a million wrong"));
        }
        parts.extend(self.processes.parts(percent));
        parts.extend(self.mail.parts(percent));
        parts.extend(self.packets.iter().map(ToString::to_string));
        let by_hand = self.by_hand.iter();
        parts.extend(by_hand.map(|(at, fault)| format!("at {at:?} {fault}")));
        if self.swarm {
            parts.push("as a swarm".to_owned());
        }
        if !self.spared.is_empty() {
            parts.push(format!("sparing {}", self.spared.join(", ")));
        }
        parts.extend(self.disks.copies());
        f.write_str(if parts.is_empty() { "calm" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_over_one_is_refused_with_the_name_of_its_fault() {
        let error = Faults::calm()
            .duplicate_kind(PacketKind::Ack, 1.5)
            .check()
            .unwrap_err();
        let said = format!("{error}");
        assert!(said.contains("duplicate") && said.contains("1.5"), "{said}");
        assert!(
            Faults::calm()
                .crash(Duration::ZERO, Duration::ZERO)
                .check()
                .is_err()
        );
    }

    #[test]
    fn a_profile_reads_as_what_it_does() {
        let faults = Faults::calm()
            .lose(0.01)
            .duplicate_kind(PacketKind::Ack, 0.05)
            .crash(Duration::from_secs(10), Duration::from_secs(1));
        let text = "lose 1 %, duplicate 5 % of kind ack, crash every 10s for 1s";
        assert_eq!(faults.to_string(), text);
        assert_eq!(Faults::calm().to_string(), "calm");
    }
}
