//! How often faults befall processes: the part of a profile that is about them.

use super::class::Class;
use super::faults::{FaultError, Faults};
use crate::choice::Rate;
use crate::kernel::nanos;
use std::time::Duration;

/// What a profile says of processes, besides how often the classes come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OfProcesses {
    at_message: u32,
    flood: u32,
    at_step: f64,
    init_fails: f64,
    init_hangs: (f64, Duration),
    terminate_hangs: (f64, Duration),
}

/// The same, as draws use it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ProcessRates {
    /// The greatest number of the message at which a process crashes.
    pub(crate) at_message: u32,
    /// The greatest flood.
    pub(crate) flood: u32,
    pub(crate) at_step: Rate,
    pub(crate) init_fails: Rate,
    pub(crate) init_hangs: Rate,
    pub(crate) init_hangs_ns: u64,
    pub(crate) terminate_hangs: Rate,
    pub(crate) terminate_hangs_ns: u64,
}

impl OfProcesses {
    pub(super) const CALM: OfProcesses = OfProcesses {
        at_message: 8,
        flood: 1000,
        at_step: 0.0,
        init_fails: 0.0,
        init_hangs: (0.0, Duration::from_secs(10)),
        terminate_hangs: (0.0, Duration::from_secs(10)),
    };

    pub(super) fn rates(&self) -> Result<ProcessRates, FaultError> {
        let rate = |what, p| Rate::new(p).map_err(|error| FaultError::Rate(what, error));
        let long = |what, duration: Duration| match duration {
            Duration::ZERO => Err(FaultError::Zero(what)),
            _ => Ok(nanos(duration)),
        };
        let some = |what, most| match most {
            0 => Err(FaultError::NoCount(what)),
            most => Ok(most),
        };
        Ok(ProcessRates {
            at_message: some("crash_at_messages", self.at_message)?,
            flood: some("flood", self.flood)?,
            at_step: rate("crash_at_steps", self.at_step)?,
            init_fails: rate("fail_inits", self.init_fails)?,
            init_hangs: rate("hang_inits", self.init_hangs.0)?,
            init_hangs_ns: long("hang_inits", self.init_hangs.1)?,
            terminate_hangs: rate("slow_terminates", self.terminate_hangs.0)?,
            terminate_hangs_ns: long("slow_terminates", self.terminate_hangs.1)?,
        })
    }

    /// The greatest number that a class of faults draws, where it draws one.
    pub(super) fn most(&self, class: Class) -> Option<u32> {
        match class {
            Class::CrashAtMessage => Some(self.at_message),
            Class::Flood => Some(self.flood),
            _ => None,
        }
    }

    /// What a profile says of it, in parts; `percent` writes a rate.
    pub(super) fn parts(&self, percent: impl Fn(f64) -> f64) -> Vec<String> {
        let mut parts = Vec::new();
        if self.at_step > 0.0 {
            parts.push(format!("{} % of steps crash", percent(self.at_step)));
        }
        if self.init_fails > 0.0 {
            parts.push(format!("{} % of inits fail", percent(self.init_fails)));
        }
        for (what, (rate, most)) in [
            ("inits hang", self.init_hangs),
            ("terminates hang", self.terminate_hangs),
        ] {
            if rate > 0.0 {
                let share = percent(rate);
                parts.push(format!("{share} % of {what}, up to {most:?}"));
            }
        }
        parts
    }
}

impl ProcessRates {
    /// No fault strikes any more.
    pub(crate) fn calm(&mut self) {
        self.scale([0.0; 4]);
    }

    /// Whether anything may befall a process where it passes.
    pub(crate) fn strike(&self) -> bool {
        let rates = [
            self.at_step,
            self.init_fails,
            self.init_hangs,
            self.terminate_hangs,
        ];
        !rates.iter().all(|rate| rate.is_never())
    }

    /// The same, each rate at a level of a swarm: steps, failing inits, hanging inits, slow terminates.
    pub(super) fn scale(&mut self, levels: [f64; 4]) {
        let rates = [
            &mut self.at_step,
            &mut self.init_fails,
            &mut self.init_hangs,
            &mut self.terminate_hangs,
        ];
        for (rate, by) in rates.into_iter().zip(levels) {
            *rate = Rate::new(rate.probability() * by).unwrap_or(*rate);
        }
    }
}

impl Faults {
    /// The same profile and, in its swarm, all that can befall processes: for programs whose supervisors
    /// start again what has ended, and whose callers stand it. On each node a process is killed
    /// every 10 s, one crashes every 10 s at its next 1st to 8th message, a mailbox is flooded every 30 s
    /// with up to 1000 messages; a hundredth of the steps that processes name crash; a tenth of the inits
    /// fail, a tenth hang for up to 2 s, and a fifth of the terminates hang for up to 10 s.
    ///
    /// A node's first process is spared, as nobody on its node would start it again; and so is all that
    /// passes while that process is a supervisor which starts its children.
    #[must_use]
    pub fn with_processes(self) -> Faults {
        let secs = Duration::from_secs;
        self.kill_processes(secs(10))
            .crash_at_messages(secs(10), 8)
            .flood(secs(30), 1000)
            .crash_at_steps(0.01)
            .fail_inits(0.1)
            .hang_inits(0.1, secs(2))
            .slow_terminates(0.2, secs(10))
    }

    /// Kills one of the processes of each node, on average once in `every`: which is drawn among those that
    /// live then, but for the node's first. Nodes of clients are spared; where there is no such process it is
    /// a fault without effect. So it is with [`Faults::crash_at_messages`] and [`Faults::flood`].
    #[must_use]
    pub fn kill_processes(self, every: Duration) -> Faults {
        self.often(Class::Kill, every, Duration::ZERO)
    }

    /// Crashes one of the processes of each node, on average once in `every`, as it takes its next 1st to
    /// `most`-th message: both are drawn.
    #[must_use]
    pub fn crash_at_messages(mut self, every: Duration, most: u32) -> Faults {
        self.processes.at_message = most;
        self.often(Class::CrashAtMessage, every, Duration::ZERO)
    }

    /// Floods one of the mailboxes of each node, on average once in `every`, with 1 to `most` messages that
    /// no protocol knows ([`Info::Noise`](crate::Info::Noise)).
    #[must_use]
    pub fn flood(mut self, every: Duration, most: u32) -> Faults {
        self.processes.flood = most;
        self.often(Class::Flood, every, Duration::ZERO)
    }

    /// Crashes this share of all steps that processes name ([`Context::step`](crate::Context::step)). Spared
    /// are, here and in what follows, clients, a node's first process, and what starts in that one's `init`.
    #[must_use]
    pub fn crash_at_steps(mut self, rate: f64) -> Faults {
        self.processes.at_step = rate;
        self
    }

    /// Lets this share of all inits of behaviours fail.
    #[must_use]
    pub fn fail_inits(mut self, rate: f64) -> Faults {
        self.processes.init_fails = rate;
        self
    }

    /// Lets this share of all inits of behaviours hang for up to `most` before they do anything, but not
    /// longer than until the faults stop.
    #[must_use]
    pub fn hang_inits(mut self, rate: f64, most: Duration) -> Faults {
        self.processes.init_hangs = (rate, most);
        self
    }

    /// Lets this share of all servers and state machines hang for up to `most` before they run their
    /// `terminate`, but not longer than until the faults stop.
    #[must_use]
    pub fn slow_terminates(mut self, rate: f64, most: Duration) -> Faults {
        self.processes.terminate_hangs = (rate, most);
        self
    }
}
