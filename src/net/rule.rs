//! Faults aimed at packets: by kind, path, time, or the how-manieth.

use super::Passage;
use crate::choice::{Choice, Kind, Rate, RateError, Shape, Site};
use crate::kernel::time::{Time, nanos};
use crate::trace::{NodeId, PacketKind};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// What befalls the packets at which it is aimed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Lose(f64),
    Duplicate(f64),
    Delay(f64, Duration),
    Hold,
    NeverAnswer,
}

/// A fault aimed at packets. Without a selector it is aimed at all of them.
///
/// ```
/// use netsplit::{Faults, PacketFault, PacketKind, millis, secs};
/// let faults = Faults::calm()
///     // Duplicate 5 % of the acks from b to a.
///     .packets(PacketFault::duplicate(0.05).kind(PacketKind::Ack).from("b").to("a"))
///     // Lose the third packet that leaves c, and hold all others from the 2nd second to the 5th.
///     .packets(PacketFault::lose(1.0).from("c").nth(3))
///     .packets(PacketFault::hold().from("c").during(secs(2)..secs(5)));
/// assert!(faults.check().is_ok());
/// let late = PacketFault::delay(0.5, millis(100)).during(secs(5)..secs(2));
/// assert!(late.check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PacketFault {
    action: Action,
    kind: Option<PacketKind>,
    from: Option<String>,
    to: Option<String>,
    during: Option<Range<Duration>>,
    nth: Option<u64>,
}

/// A fault aimed at packets that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// A rate outside 0 to 1.
    #[error("the rate of `{0}`: {1}")]
    Rate(Box<PacketFault>, #[source] RateError),
    /// A window that ends before it begins, or when it does.
    #[error("the window of `{0}` holds no moment: it must end after it begins")]
    Window(Box<PacketFault>),
    /// A window that begins when the faults have stopped.
    #[error("the window of `{fault}` begins when faults have stopped, at {end:?}: see `quiet(…)`")]
    TooLate {
        /// The fault.
        fault: Box<PacketFault>,
        /// When faults stop.
        end: Duration,
    },
    /// A window that is over when a script begins the fault.
    #[error("the window of `{fault}` is over: it is {now} already")]
    Over {
        /// The fault.
        fault: Box<PacketFault>,
        /// The virtual time.
        now: Time,
    },
    /// It is aimed at the 0th packet.
    #[error("`{0}`: packets are counted from 1")]
    Zeroth(Box<PacketFault>),
    /// A delay of nothing.
    #[error("the delay of `{0}` must be longer than 0")]
    NoDelay(Box<PacketFault>),
    /// An answer of another kind than `reply`.
    #[error("`{0}`: answers are of kind reply, and of no other")]
    NoAnswer(Box<PacketFault>),
    /// From a node to itself.
    #[error("`{0}`: what a node sends to itself is no packet, so no fault can befall it")]
    Itself(Box<PacketFault>),
    /// It names a node that is not there.
    #[error("`{0}` names the node `{1}`, which the cluster does not have")]
    Node(Box<PacketFault>, String),
}

impl PacketFault {
    const fn new(action: Action) -> PacketFault {
        PacketFault {
            action,
            kind: None,
            from: None,
            to: None,
            during: None,
            nth: None,
        }
    }

    /// Loses this share of them. On a connection a lost packet is sent again, 200 ms later.
    #[must_use]
    pub const fn lose(rate: f64) -> PacketFault {
        PacketFault::new(Action::Lose(rate))
    }

    /// Duplicates this share of the datagrams. A connection knows what it has already had.
    #[must_use]
    pub const fn duplicate(rate: f64) -> PacketFault {
        PacketFault::new(Action::Duplicate(rate))
    }

    /// Delays this share of them by up to `most`, so that later datagrams overtake them. On a connection
    /// what comes after waits behind.
    #[must_use]
    pub const fn delay(rate: f64, most: Duration) -> PacketFault {
        PacketFault::new(Action::Delay(rate, most))
    }

    /// Holds them until its window ends or the faults stop: then all come at once.
    #[must_use]
    pub const fn hold() -> PacketFault {
        PacketFault::new(Action::Hold)
    }

    /// No answer to a call arrives, and nothing says so: who asks waits until its timeout. Answers are of
    /// kind [`PacketKind::Reply`].
    #[must_use]
    pub const fn never_answer() -> PacketFault {
        PacketFault::new(Action::NeverAnswer)
    }

    /// Only packets of this kind.
    #[must_use]
    pub fn kind(mut self, kind: PacketKind) -> PacketFault {
        self.kind = Some(kind);
        self
    }

    /// Only packets that leave this node.
    #[must_use]
    pub fn from(mut self, node: &str) -> PacketFault {
        self.from = Some(node.to_owned());
        self
    }

    /// Only packets on their way to this node.
    #[must_use]
    pub fn to(mut self, node: &str) -> PacketFault {
        self.to = Some(node.to_owned());
        self
    }

    /// Only packets that are sent in this window of virtual time, its end excluded. In a plan none reaches
    /// into the quiet end of the run, in which there are no faults.
    #[must_use]
    pub fn during(mut self, window: Range<Duration>) -> PacketFault {
        self.during = Some(window);
        self
    }

    /// Only the `nth` of the packets at which it is otherwise aimed, counted from 1 in the order in which
    /// they are sent in the run; where fewer are sent, none.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> PacketFault {
        self.nth = Some(nth);
        self
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// [`RuleError`], which says what does not.
    pub fn check(&self) -> Result<(), RuleError> {
        self.rule(|_| Some(NodeId::new(0))).map(drop)
    }

    /// The same with numbers for names.
    pub(crate) fn rule(&self, id: impl Fn(&str) -> Option<NodeId>) -> Result<Rule, RuleError> {
        self.check_aim()?;
        let rate = |p| Rate::new(p).map_err(|error| RuleError::Rate(Box::new(self.clone()), error));
        let node = |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => {
                let id =
                    id(name).ok_or_else(|| RuleError::Node(Box::new(self.clone()), name.clone()));
                id.map(Some)
            }
        };
        let (rate, most_ns) = match self.action {
            Action::Lose(p) | Action::Duplicate(p) => (rate(p)?, 0),
            Action::Delay(_, Duration::ZERO) => {
                return Err(RuleError::NoDelay(Box::new(self.clone())));
            }
            Action::Delay(p, most) => (rate(p)?, nanos(most)),
            Action::Hold | Action::NeverAnswer => (Rate::ALWAYS, 0),
        };
        let window = self.during.clone().unwrap_or(Duration::ZERO..Duration::MAX);
        Ok(Rule {
            action: self.action,
            rate,
            most_ns,
            kind: self.kind,
            from: node(&self.from)?,
            to: node(&self.to)?,
            window: Time::ZERO + window.start..Time::ZERO + window.end,
            nth: self.nth,
            seen: 0,
        })
    }
}

impl PacketFault {
    /// Refuses it where its window begins when faults have stopped.
    pub(crate) fn before(&self, end: Duration) -> Result<(), RuleError> {
        match &self.during {
            Some(window) if window.start >= end => Err(RuleError::TooLate {
                fault: Box::new(self.clone()),
                end,
            }),
            _ => Ok(()),
        }
    }

    /// Refuses it where its window is over.
    pub(crate) fn after(&self, now: Time) -> Result<(), RuleError> {
        match &self.during {
            Some(window) if Time::ZERO + window.end <= now => Err(RuleError::Over {
                fault: Box::new(self.clone()),
                now,
            }),
            _ => Ok(()),
        }
    }

    /// Whether there is anything at which it is aimed.
    fn check_aim(&self) -> Result<(), RuleError> {
        let fault = || Box::new(self.clone());
        let other_kind = self.kind.is_some_and(|kind| kind != PacketKind::Reply);
        if self.during.as_ref().is_some_and(Range::is_empty) {
            Err(RuleError::Window(fault()))
        } else if self.nth == Some(0) {
            Err(RuleError::Zeroth(fault()))
        } else if self.action == Action::NeverAnswer && other_kind {
            Err(RuleError::NoAnswer(fault()))
        } else if self.from.is_some() && self.from == self.to {
            Err(RuleError::Itself(fault()))
        } else {
            Ok(())
        }
    }
}

/// A fault as packets meet it.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    action: Action,
    rate: Rate,
    most_ns: u64,
    kind: Option<PacketKind>,
    from: Option<NodeId>,
    to: Option<NodeId>,
    window: Range<Time>,
    nth: Option<u64>,
    /// How many packets it was aimed at so far.
    seen: u64,
}

/// What the rules do to one packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meddled {
    pub(super) lost: bool,
    pub(super) swallowed: bool,
    pub(super) doubled: bool,
    pub(super) delay_ns: u64,
    pub(super) until: Time,
}

impl Meddled {
    /// How much longer than `transit_ns` a datagram is under way.
    pub(super) fn held_ns(&self, now: Time, transit_ns: u64) -> u64 {
        let arrives = now.plus_nanos(transit_ns.saturating_add(self.delay_ns));
        let later = nanos(self.until.since(arrives));
        self.delay_ns.saturating_add(later)
    }
}

impl Rule {
    fn is_aimed_at(&self, now: Time, passage: &Passage, name: &dyn Fn(NodeId) -> NodeId) -> bool {
        self.window.contains(&now)
            && self.kind.is_none_or(|kind| kind == passage.kind)
            && self.from.is_none_or(|from| from == name(passage.from))
            && self.to.is_none_or(|to| to == name(passage.to))
            && (self.action != Action::NeverAnswer || passage.kind == PacketKind::Reply)
    }

    pub(super) fn apply(
        &mut self,
        choice: &mut Choice,
        now: Time,
        passage: &Passage,
        index: u64,
        name: &dyn Fn(NodeId) -> NodeId,
        meddled: &mut Meddled,
    ) {
        if !self.is_aimed_at(now, passage, name) {
            return;
        }
        self.seen += 1;
        if self.nth.is_some_and(|nth| nth != self.seen) {
            return;
        }
        // Apart from the draws of the profile, and of other rules.
        let nth = (index + 1) << 48 | u64::from(passage.id.nth());
        let site = |kind| Site::new(kind, passage.who, nth);
        match self.action {
            Action::Lose(_) => meddled.lost |= choice.chance(site(Kind::Loss), self.rate),
            Action::Duplicate(_) => {
                meddled.doubled |= choice.chance(site(Kind::Duplicate), self.rate);
            }
            Action::Delay(..) => {
                let shape = Shape::Sometimes(self.rate, self.most_ns);
                meddled.delay_ns += choice.draw(site(Kind::Reorder), shape);
            }
            Action::Hold => meddled.until = meddled.until.max(self.window.end),
            Action::NeverAnswer => meddled.swallowed = true,
        }
    }

    /// The window of one that holds packets ends here, where it has no end of its own before.
    pub(crate) fn end_by(&mut self, end: Time) {
        self.window.end = self.window.end.min(end);
    }
}

impl fmt::Display for PacketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |rate: f64| (rate * 100_000.0).round() / 1000.0;
        match self.action {
            Action::Lose(rate) => write!(f, "lose {} %", percent(rate))?,
            Action::Duplicate(rate) => write!(f, "duplicate {} %", percent(rate))?,
            Action::Delay(rate, most) => {
                write!(f, "delay {} % by up to {most:?}", percent(rate))?;
            }
            Action::Hold => f.write_str("hold")?,
            Action::NeverAnswer => f.write_str("never answer")?,
        }
        if let Some(kind) = self.kind {
            write!(f, " of kind {kind}")?;
        }
        if let Some(from) = &self.from {
            write!(f, " from {from}")?;
        }
        if let Some(to) = &self.to {
            write!(f, " to {to}")?;
        }
        if let Some(window) = &self.during {
            write!(f, " between {:?} and {:?}", window.start, window.end)?;
        }
        if let Some(nth) = self.nth {
            write!(f, ", number {nth} of them")?;
        }
        Ok(())
    }
}
