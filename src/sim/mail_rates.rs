//! How often faults befall mail: acks, and those who keep letters until they are acked.

use super::class::Class;
use super::faults::{FaultError, Faults};
use crate::choice::{Rate, RateError};
use crate::kernel::nanos;
use std::time::Duration;

/// What a profile says of acks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OfMail {
    lost: f64,
    repeated: f64,
    late: (f64, Duration),
}

/// The same, as draws use it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MailRates {
    pub(crate) lost: Rate,
    pub(crate) repeated: Rate,
    pub(crate) late: Rate,
    pub(crate) late_ns: u64,
}

impl OfMail {
    pub(super) const CALM: OfMail = OfMail {
        lost: 0.0,
        repeated: 0.0,
        late: (0.0, Duration::from_secs(5)),
    };

    pub(super) fn rates(&self) -> Result<MailRates, FaultError> {
        let rate = |what, p| Rate::new(p).map_err(|error: RateError| FaultError::Rate(what, error));
        let (late, most) = self.late;
        if late > 0.0 && most.is_zero() {
            return Err(FaultError::Zero("late_acks"));
        }
        Ok(MailRates {
            lost: rate("lose_acks", self.lost)?,
            repeated: rate("repeat_acks", self.repeated)?,
            late: rate("late_acks", late)?,
            late_ns: nanos(most),
        })
    }

    /// What a profile says of it, in parts; `percent` writes a rate.
    pub(super) fn parts(&self, percent: impl Fn(f64) -> f64) -> Vec<String> {
        let mut parts = Vec::new();
        for (what, rate) in [("lost", self.lost), ("sent twice", self.repeated)] {
            if rate > 0.0 {
                parts.push(format!("{} % of acks {what}", percent(rate)));
            }
        }
        let (rate, most) = self.late;
        if rate > 0.0 {
            parts.push(format!("{} % of acks up to {most:?} late", percent(rate)));
        }
        parts
    }
}

impl MailRates {
    /// No fault strikes any more.
    pub(crate) fn calm(&mut self) {
        self.scale([0.0; 3]);
    }

    /// Whether anything may befall an ack.
    pub(crate) fn strike(&self) -> bool {
        ![self.lost, self.repeated, self.late]
            .iter()
            .all(|rate| rate.is_never())
    }

    /// The same, each rate at a level of a swarm: lost, repeated, late.
    pub(super) fn scale(&mut self, levels: [f64; 3]) {
        let rates = [&mut self.lost, &mut self.repeated, &mut self.late];
        for (rate, by) in rates.into_iter().zip(levels) {
            *rate = Rate::new(rate.probability() * by).unwrap_or(*rate);
        }
    }
}

impl Faults {
    /// The same profile and, in its swarm, all that can befall mail: a tenth of the acks lost, a fifth
    /// sent twice, a tenth up to 5 s late; and on each node, of those who keep mail, one sends all again that
    /// is not acked every 20 s, and one is down every 20 s for 3 s.
    ///
    /// It is for programs whose mail is acked by letter and attempt, and whose supervisors start their
    /// outboxes and brokers again.
    #[must_use]
    pub fn with_mail(self) -> Faults {
        let secs = Duration::from_secs;
        self.lose_acks(0.1)
            .repeat_acks(0.2)
            .late_acks(0.1, secs(5))
            .redelivery_storms(secs(20))
            .outages(secs(20), secs(3))
    }

    /// Loses this share of all acks: of the messages that are sent as
    /// [`PacketKind::Ack`](crate::PacketKind::Ack), as those of inboxes and of consumers are. It befalls what
    /// stays within a node, or goes over a connection, too; of nodes that are spared, and of clients, none.
    #[must_use]
    pub fn lose_acks(mut self, rate: f64) -> Faults {
        self.mail.lost = rate;
        self
    }

    /// Sends this share of all acks twice: see [`Faults::lose_acks`].
    #[must_use]
    pub fn repeat_acks(mut self, rate: f64) -> Faults {
        self.mail.repeated = rate;
        self
    }

    /// Sends this share of all acks up to `most` later, so that they come when the letter has been sent
    /// again: see [`Faults::lose_acks`].
    #[must_use]
    pub fn late_acks(mut self, rate: f64, most: Duration) -> Faults {
        self.mail.late = (rate, most);
        self
    }

    /// Sets off a redelivery storm on each node, on average once in `every`: of those that keep mail then,
    /// but for the node's first process, one (drawn) sends all again that is not acked. Where there is none
    /// it is a fault without effect.
    #[must_use]
    pub fn redelivery_storms(self, every: Duration) -> Faults {
        self.often(Class::Storm, every, Duration::ZERO)
    }

    /// Takes one of those that keep mail on each node down, on average once in `every`: it is killed, and
    /// its next `init` hangs for `lasts` on average. Drawn as in [`Faults::redelivery_storms`].
    #[must_use]
    pub fn outages(self, every: Duration, lasts: Duration) -> Faults {
        self.often(Class::Outage, every, lasts)
    }
}
