//! The plan of a run's faults of nodes, connections, clocks, processes and disks: data, drawn before the run
//! begins.

use super::class::Class;
use super::disk_fault::DiskTrouble;
use super::fault::Fault;
use super::faults::{Often, Rates, WINDOW_NS};
use super::process_fault::{ProcessFault, Who};
use crate::choice::{Choice, Distribution, Kind, Lineage, Rate, Shape, Site};
use crate::kernel::{Time, nanos};
use crate::net::Cut;
use crate::trace::NodeId;
use std::fmt;
use std::time::Duration;

/// How long a node that is asked to stop has for it, where nothing else is said: OTP's default for a
/// worker.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// One drawn cut in so many flaps.
const FLAPS: f64 = 0.2;
/// A drawn cut that flaps does so at most so slowly.
const FLAP_MOST_NS: u64 = 2_000_000_000;

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub at: Time,
    /// What, and whom it befalls.
    pub fault: Fault,
    /// Who drew it, and the how-manieth: decides among faults of one moment.
    pub(crate) site: (Lineage, u32),
}

/// The faults of one run, in the order of their times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(Vec<Planned>);

impl Plan {
    /// Its faults.
    #[must_use]
    pub fn faults(&self) -> &[Planned] {
        &self.0
    }

    /// The fault for which a draw decided something, where it is one of its draws.
    pub(crate) fn decided_by(&self, site: Site) -> Option<&Planned> {
        let (class, who, window) = match site.kind {
            Kind::CrashCall => (Class::Crash, site.who, site.nth),
            Kind::Peer => (Class::Break, site.who, site.nth),
            Kind::StepBy => (Class::ClockStep, site.who, site.nth),
            Kind::CutForm | Kind::CutSide | Kind::Flap => (Class::Cut, Lineage::RUN, site.nth),
            // That of a crash has no class before it, which is 0 as well.
            Kind::Lasts | Kind::Downtime | Kind::Victim | Kind::HowMany => {
                let class = Class::ALL.get((site.nth >> 40) as usize)?;
                (*class, site.who, site.nth & ((1 << 40) - 1))
            }
            kind => {
                let class = Class::ALL.into_iter().find(|class| class.kind() == kind)?;
                (class, site.who, site.nth)
            }
        };
        let nth = (class as u32) << 24 | window as u32 & 0xFF_FFFF;
        self.0.iter().find(|planned| planned.site == (who, nth))
    }

    /// A fault more, which begins now: its number.
    pub(crate) fn push(&mut self, planned: Planned) -> u32 {
        self.0.push(planned);
        self.0.len() as u32 - 1
    }

    /// Draws the faults of these nodes up to `end`, besides those by hand. Each window of a second has
    /// draws of its own, so that a fault taken away shifts no other.
    pub(crate) fn draw(
        choice: &mut Choice,
        rates: &Rates,
        by_hand: &[Planned],
        nodes: &[(NodeId, Lineage)],
        end: Time,
    ) -> Plan {
        let mut faults = by_hand.to_vec();
        for class in Class::ALL {
            let Some(often) = rates.often(class, choice) else {
                continue;
            };
            let mut draft = Draft {
                choice: &mut *choice,
                rates,
                class,
                often,
                nodes,
                end,
                faults: &mut faults,
            };
            for window in 0..end.as_nanos().div_ceil(WINDOW_NS) {
                draft.window(window);
            }
        }
        if rates.drift_ppb > 0 || !choice.is_seeded() {
            for &(node, who) in nodes {
                let drawn = choice.draw(
                    Site::new(Kind::Drift, who, 0),
                    Shape::UpTo(2 * rates.drift_ppb),
                );
                if drawn > 0 {
                    let fault = Fault::Drift {
                        node,
                        ppb: zigzag(drawn),
                    };
                    let (at, site) = (Time::ZERO, (who, u32::MAX));
                    faults.push(Planned { at, fault, site });
                }
            }
        }
        faults.sort_by_key(|planned| planned.at);
        Plan(faults)
    }
}

/// 1, 2, 3, 4 … as 1, -1, 2, -2 …
fn zigzag(drawn: u64) -> i64 {
    let magnitude = i64::try_from(drawn.div_ceil(2)).unwrap_or(i64::MAX);
    if drawn % 2 == 1 {
        magnitude
    } else {
        -magnitude
    }
}

/// What is needed to draw the faults of one class.
struct Draft<'a> {
    choice: &'a mut Choice,
    rates: &'a Rates,
    class: Class,
    often: Often,
    nodes: &'a [(NodeId, Lineage)],
    end: Time,
    faults: &'a mut Vec<Planned>,
}

impl Draft<'_> {
    fn window(&mut self, window: u64) {
        if self.class == Class::Cut {
            if self.nodes.len() > 1
                && let Some(at) = self.comes(Lineage::RUN, window)
            {
                let fault = self.cut(window);
                self.push(at, fault, Lineage::RUN, window);
            }
            return;
        }
        for index in 0..self.nodes.len() {
            let (node, who) = self.nodes[index];
            if let Some(at) = self.comes(who, window)
                && let Some(fault) = self.fault(node, who, window)
            {
                self.push(at, fault, who, window);
            }
        }
    }

    fn push(&mut self, at: Time, fault: Fault, who: Lineage, window: u64) {
        let site = (who, (self.class as u32) << 24 | window as u32 & 0xFF_FFFF);
        self.faults.push(Planned { at, fault, site });
    }

    /// When it comes in this window, if it does.
    fn comes(&mut self, who: Lineage, window: u64) -> Option<Time> {
        let shape = Shape::Sometimes(self.often.rate, WINDOW_NS);
        let site = Site::new(self.class.kind(), who, window);
        let offset = self.choice.draw(site, shape);
        let at = Time::from_nanos(window * WINDOW_NS + offset.checked_sub(1)?);
        (at < self.end).then_some(at)
    }

    /// How long it lasts: never nothing.
    fn lasts(&mut self, who: Lineage, window: u64) -> Duration {
        let (kind, nth) = match self.class {
            Class::Crash => (Kind::Downtime, window),
            class => (Kind::Lasts, (class as u64) << 40 | window),
        };
        self.above_nothing(Site::new(kind, who, nth), self.often.lasts)
    }

    /// A duration with this mean, and never nothing.
    fn above_nothing(&mut self, site: Site, mean: Duration) -> Duration {
        let lasts = Distribution::Exponential {
            min: Duration::ZERO,
            mean,
        };
        let drawn = self.choice.draw(site, Shape::Above(&lasts));
        Duration::from_nanos(drawn.max(1))
    }

    fn fault(&mut self, node: NodeId, who: Lineage, window: u64) -> Option<Fault> {
        Some(match self.class {
            Class::Crash => {
                let site = Site::new(Kind::CrashCall, who, window);
                let call = self.choice.draw(site, Shape::UpTo(self.rates.crash_calls));
                let down_for = Some(self.lasts(who, window));
                Fault::Crash {
                    node,
                    call,
                    down_for,
                }
            }
            Class::PowerCut => Fault::PowerCut {
                node,
                down_for: Some(self.lasts(who, window)),
            },
            Class::Stop => Fault::Stop {
                node,
                grace: GRACE,
                down_for: Some(self.lasts(who, window)),
            },
            Class::Pause => Fault::Pause {
                node,
                lasts: self.lasts(who, window),
            },
            Class::Zombie => Fault::Zombie {
                node,
                lasts: self.lasts(who, window),
            },
            Class::Break => {
                let others = (self.nodes.len() as u64).checked_sub(2)?;
                let site = Site::new(Kind::Peer, who, window);
                let nth = self.choice.draw(site, Shape::UpTo(others)) as usize;
                let mut others = self.nodes.iter().filter(|(other, _)| *other != node);
                Fault::Break {
                    a: node,
                    b: others.nth(nth)?.0,
                }
            }
            Class::ClockStep => {
                let site = Site::new(Kind::StepBy, who, window);
                let most = nanos(self.often.lasts).saturating_mul(2);
                let by_ns = zigzag(self.choice.draw(site, Shape::UpTo(most)));
                (by_ns != 0).then_some(Fault::ClockStep { node, by_ns })?
            }
            Class::Kill => Fault::Process {
                node,
                what: ProcessFault::Kill {
                    who: self.victim(who, window),
                },
            },
            Class::CrashAtMessage => Fault::Process {
                node,
                what: ProcessFault::CrashAtMessage {
                    who: self.victim(who, window),
                    nth: self.how_many(who, window, self.rates.processes.at_message),
                },
            },
            Class::Flood => Fault::Process {
                node,
                what: ProcessFault::Flood {
                    who: self.victim(who, window),
                    messages: self.how_many(who, window, self.rates.processes.flood),
                },
            },
            Class::DiskFull | Class::DiskSlow | Class::DiskHang | Class::RollBack | Class::Wipe => {
                Fault::Disk {
                    node,
                    what: self.of_disk(who, window),
                }
            }
            Class::Storm => Fault::Process {
                node,
                what: ProcessFault::Redeliver {
                    who: Who::Keeper(self.pick(who, window)),
                },
            },
            Class::Outage => Fault::Process {
                node,
                what: ProcessFault::Outage {
                    who: Who::Keeper(self.pick(who, window)),
                    lasts: self.lasts(who, window),
                },
            },
            Class::Cut => return None,
        })
    }

    fn of_disk(&mut self, who: Lineage, window: u64) -> DiskTrouble {
        let lasts = self.lasts(who, window);
        match self.class {
            Class::DiskFull => DiskTrouble::Full { lasts },
            Class::DiskSlow => DiskTrouble::Slow {
                // As slow as ever is no slowness.
                times: 1 + self.how_many(who, window, self.rates.disks.times - 1),
                lasts,
            },
            Class::DiskHang => DiskTrouble::Hang { lasts },
            Class::RollBack => {
                let nth = (self.class as u64) << 40 | window;
                let site = Site::new(Kind::Downtime, who, nth);
                let down_for = self.above_nothing(site, self.rates.disks.down_for);
                DiskTrouble::RollBack {
                    age: lasts,
                    down_for: Some(down_for),
                }
            }
            _ => DiskTrouble::Wipe {
                down_for: Some(lasts),
            },
        }
    }

    /// Which process it befalls.
    fn victim(&mut self, who: Lineage, window: u64) -> Who {
        Who::Drawn(self.pick(who, window))
    }

    fn pick(&mut self, who: Lineage, window: u64) -> u64 {
        let nth = (self.class as u64) << 40 | window;
        let site = Site::new(Kind::Victim, who, nth);
        self.choice.draw(site, Shape::Rank)
    }

    /// At which message, or with how many: 1 to `most`.
    fn how_many(&mut self, who: Lineage, window: u64, most: u32) -> u32 {
        let nth = (self.class as u64) << 40 | window;
        let site = Site::new(Kind::HowMany, who, nth);
        let more = self.choice.draw(site, Shape::UpTo(u64::from(most - 1)));
        1 + more as u32
    }

    /// The cut of a window: its form, who is on which side, how long, and whether it flaps.
    fn cut(&mut self, window: u64) -> Fault {
        let form = Site::new(Kind::CutForm, Lineage::RUN, window);
        let form = self.choice.draw(form, Shape::UpTo(5));
        let mut ranked: Vec<(u64, NodeId)> = Vec::with_capacity(self.nodes.len());
        for &(node, who) in self.nodes {
            let site = Site::new(Kind::CutSide, who, window);
            ranked.push((self.choice.draw(site, Shape::Rank), node));
        }
        ranked.sort_unstable();
        let nodes: Vec<NodeId> = ranked.into_iter().map(|(_, node)| node).collect();
        let some = nodes.len();
        let split = |nodes: &[NodeId], at: usize| {
            let (a, b) = nodes.split_at(at.clamp(1, nodes.len() - 1));
            (a.to_vec(), b.to_vec())
        };
        let (one, others) = split(&nodes, 1);
        let cut = match form {
            0 => Cut::between(one, others),
            1 => {
                let (a, b) = split(&nodes, some / 2);
                Cut::between(a, b)
            }
            2 => Cut::one_way(one, others),
            3 => Cut::one_way(others, one),
            // The first one reaches both halves of the others.
            4 if some > 2 => {
                let (a, b) = split(&nodes[1..], some / 2);
                Cut::between(a, b)
            }
            _ => {
                let (a, b) = split(&nodes, some / 3);
                Cut::between(a, b)
            }
        };
        let lasts = self.lasts(Lineage::RUN, window);
        let flaps = Rate::new(FLAPS).unwrap_or(Rate::NEVER);
        let site = Site::new(Kind::Flap, Lineage::RUN, window);
        let flap = self
            .choice
            .draw(site, Shape::Sometimes(flaps, FLAP_MOST_NS));
        // Not faster than a packet can pass, nor so fast that the run does nothing else.
        let flap = (flap > 0).then(|| Duration::from_nanos(flap.max(50_000_000)));
        Fault::Cut { cut, lasts, flap }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.fault)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no faults of nodes");
        }
        for (index, planned) in self.0.iter().enumerate() {
            write!(f, "{}{planned}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}
