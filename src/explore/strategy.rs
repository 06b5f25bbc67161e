//! Strategies: how a run of a seed is made, so that many runs find much.
//!
//! A strategy is a name and a seed's [`Chance`]. All run on one kernel, and what any of them chose is kept
//! as ordinary draws: a tape of such a run replays without the strategy.

mod pct;
mod pool;
mod pos;
mod walk;

use crate::choice::{Chooser, Lineage, Stream};
use crate::sim::Chance;
use std::fmt;
use std::str::FromStr;

/// How the runs of a search are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strategy {
    /// Random in time: each latency is drawn from its path's distribution when the packet leaves.
    #[default]
    Time,
    /// A random walk over orders: whatever may come next is as likely.
    Walk,
    /// Partial order sampling: all that may come has a random priority, the highest comes next, and what
    /// could race with it, at the same node, draws its priority anew.
    Pos,
    /// Probabilistic concurrency testing, for messages: chains of messages that cause one another have random
    /// priorities, and at a few random steps the chain that runs falls to the bottom.
    Pct,
    /// A coin for each run among the others.
    Swarm,
}

/// A strategy that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no strategy `{0}`: write one of time, walk, pos, pct, swarm")]
pub struct UnknownStrategy(pub String);

impl Strategy {
    /// Every strategy.
    pub const ALL: [Strategy; 5] = [
        Strategy::Time,
        Strategy::Walk,
        Strategy::Pos,
        Strategy::Pct,
        Strategy::Swarm,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Time => "time",
            Strategy::Walk => "walk",
            Strategy::Pos => "pos",
            Strategy::Pct => "pct",
            Strategy::Swarm => "swarm",
        }
    }

    /// The run of a seed.
    ///
    /// ```
    /// use netsplit::explore::Strategy;
    /// use netsplit::{Context, Keep, Scenario, millis};
    /// let scenario = Scenario::new("nap")
    ///     .node("sleeper", |ctx: Context| async move { ctx.sleep(millis(5)).await })
    ///     .finally("it is morning", |_| true);
    /// let outcome = scenario.run_with(Strategy::Walk.chance(7), Keep::default()).unwrap();
    /// assert_eq!(outcome.seed, 7);
    /// ```
    #[must_use]
    pub fn chance(self, seed: u64) -> Chance {
        if self == Strategy::Time {
            return Chance::Seed(seed);
        }
        let mut draws = Draws::new(seed);
        let strategy = match self {
            Strategy::Swarm => Strategy::ALL[draws.below(4) as usize],
            other => other,
        };
        let chooser: Box<dyn Chooser> = match strategy {
            Strategy::Time | Strategy::Swarm => return Chance::Seed(seed),
            Strategy::Walk => Box::new(walk::Walk::new(draws)),
            Strategy::Pos => Box::new(pos::Pos::new(draws)),
            Strategy::Pct => Box::new(pct::Pct::new(draws)),
        };
        Chance::Chooser(seed, chooser)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Strategy, UnknownStrategy> {
        let mut all = Strategy::ALL.into_iter();
        all.find(|strategy| strategy.name() == text)
            .ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}

/// How much of the time that there is passes before what was picked comes.
///
/// In one run of two it is none, which leaves the most room for what is on its way to be overtaken. But
/// orders are not all: then packets take the least time there is, and what piles up while they take long
/// never does. So in the other half it is anything up to a share that is drawn for the run.
#[derive(Clone, Copy, Debug)]
struct Pace {
    most_share: f64,
}

impl Pace {
    fn draw(draws: &mut Draws) -> Pace {
        let is_hasty = draws.below(2) == 0;
        let share = draws.unit();
        Pace {
            most_share: if is_hasty { 0.0 } else { share },
        }
    }

    fn wait(self, draws: &mut Draws, most_ns: u64) -> u64 {
        if self.most_share == 0.0 {
            return 0;
        }
        draws.below((most_ns as f64 * self.most_share) as u64 + 1)
    }
}

/// What a strategy draws of: a stream of the run's seed that nobody else has. It is in sequence, since
/// nothing has to find these draws again: what they lead to is recorded at the sites of the run's own.
#[derive(Debug)]
struct Draws(Stream);

impl Draws {
    fn new(seed: u64) -> Draws {
        // No node can have this name.
        Draws(Stream::new(seed, Lineage::node("the strategy of the run")))
    }

    fn bits(&mut self) -> u64 {
        self.0.draw().1
    }

    /// Anything under `end`, each as likely.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// In (0, 1].
    fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// How likely a timer is against a message, for one run: 10^U(-2, 0.3), so from a hundredth to twice.
    fn timer_weight(&mut self) -> f64 {
        libm::pow(10.0, self.unit() * 2.3 - 2.0)
    }
}
