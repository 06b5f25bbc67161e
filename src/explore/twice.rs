//! Two runs of one seed: whether they agree, and where they do not, at which event they part.

use crate::kernel::Time;
use crate::sim::{Chance, Keep, Outcome, RunError, Scenario, Violation};
use crate::trace::{DigestValue, Entry, Event, Log, MessageId, Names};

/// How often two logged runs are made in search of the event at which they part: a leak that shows in
/// some runs may not show in the next.
const TRIES: u32 = 5;

/// What is compared of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The digest of its events.
    pub digest: DigestValue,
    /// The digest of its local payloads, where it was made.
    pub payloads: Option<DigestValue>,
    /// How many events it had.
    pub events: u64,
    /// How many steps.
    pub steps: u64,
    /// The virtual time at its end.
    pub at: Time,
    /// What it violated.
    pub violation: Option<Violation>,
    /// What stopped it.
    pub error: Option<RunError>,
}

/// Two runs of one seed that differ: something in the code under test is not drawn from the seed.
#[derive(Debug)]
pub struct Divergence {
    /// The scenario's name.
    pub scenario: String,
    /// The seed, or the tape's.
    pub seed: u64,
    /// Both runs.
    pub runs: [Facts; 2],
    /// After how many events a checkpoint of the digest first differs; none where no checkpoint does.
    pub checkpoint: Option<u64>,
    /// The first event that differs, from two more runs with logs; none where these agreed each time.
    pub difference: Option<Difference>,
    /// The names of the nodes.
    pub names: Names,
}

/// The first event at which two logged runs part.
#[derive(Debug)]
pub struct Difference {
    /// The digests of these two runs.
    pub digests: [DigestValue; 2],
    /// The how-manieth event it is, from 1; notes of users and steps do not count.
    pub event: u64,
    /// Both runs.
    pub sides: [Side; 2],
}

/// One of two runs that differ.
#[derive(Debug)]
pub struct Side {
    /// All that happened in it.
    pub log: Log,
    /// Where in the log the differing event stands; none where the run had ended before it.
    pub at: Option<usize>,
    /// Where in the log its causes stand, oldest first: the event before it of the same process, and the
    /// sending of its message.
    pub causes: Vec<usize>,
}

impl Facts {
    fn of(outcome: &Outcome) -> Facts {
        Facts {
            digest: outcome.digest,
            payloads: outcome.payloads,
            events: outcome.events,
            steps: outcome.steps,
            at: outcome.at,
            violation: outcome.violation.clone(),
            error: outcome.error.clone(),
        }
    }

    /// Whether two runs are one. What a property said of a violation may differ, as texts may.
    fn agree(&self, other: &Facts) -> bool {
        let which = |facts: &Facts| {
            let violation = facts.violation.as_ref();
            violation.map(|v| (v.property.clone(), v.at, v.step))
        };
        let same_payloads = match (self.payloads, other.payloads) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        same_payloads
            && self.digest == other.digest
            && self.events == other.events
            && self.steps == other.steps
            && self.at == other.at
            && self.error == other.error
            && which(self) == which(other)
    }
}

/// Makes a run once more, and compares: gives the second run, which keeps what `keep` says.
///
/// # Errors
/// [`Divergence`] where the two differ, with the first differing event where two more runs show it.
///
/// # Panics
/// Where the scenario cannot be run.
pub fn confirm(
    scenario: &Scenario,
    chance: &dyn Fn() -> Chance,
    first: &Outcome,
    keep: Keep,
) -> Result<Outcome, Box<Divergence>> {
    let again = |keep| {
        let run = scenario.run_with(chance(), keep);
        run.expect("a scenario that has run already")
    };
    let second = again(keep);
    let runs = [Facts::of(first), Facts::of(&second)];
    if runs[0].agree(&runs[1]) {
        return Ok(second);
    }
    let keep = Keep {
        log: true,
        draws: false,
        payloads: first.payloads.is_some(),
    };
    let difference = (0..TRIES).find_map(|_| difference([again(keep), again(keep)]));
    Err(Box::new(Divergence {
        scenario: scenario.name().to_owned(),
        seed: first.seed,
        checkpoint: checkpoint(first, &second),
        runs,
        difference,
        names: first.names.clone(),
    }))
}

/// The events before the first checkpoint that differs.
fn checkpoint(one: &Outcome, other: &Outcome) -> Option<u64> {
    let mut pairs = one.checkpoints.iter().zip(&other.checkpoints);
    let differing = pairs.find(|(a, b)| a != b);
    differing.map(|(a, b)| a.events.min(b.events))
}

/// Where two runs with logs part: by their events, and by their texts where local payloads differ.
fn difference(runs: [Outcome; 2]) -> Option<Difference> {
    let facts = [&runs[0], &runs[1]].map(Facts::of);
    if facts[0].agree(&facts[1]) {
        return None;
    }
    let logs = runs.map(|run| run.log.unwrap_or_default());
    // Local payloads are not in the log, but their texts are, and these may part before the events do.
    let texts = facts[0].payloads != facts[1].payloads;
    let (event, at) = parting(&logs, |log, entry| {
        let text = texts.then(|| text(log, entry).map(str::to_owned));
        (essence(&entry.event), text)
    })?;
    let mut at = at.into_iter();
    let sides = logs.map(|log| {
        let at = at.next().flatten();
        let causes = at.map_or_else(Vec::new, |at| causes(log.entries(), at));
        Side { log, at, causes }
    });
    Some(Difference {
        digests: facts.map(|facts| facts.digest),
        event,
        sides,
    })
}

/// The first entry of which `what` differs, notes of users left out: the how-manieth event it is, and
/// where it stands.
fn parting<T: PartialEq>(
    logs: &[Log; 2],
    what: impl Fn(&Log, &Entry) -> T,
) -> Option<(u64, [Option<usize>; 2])> {
    let noteless = |log: &Log| {
        let is_note = |entry: &Entry| matches!(entry.event, Event::Note { .. });
        let all = log.entries().iter().enumerate();
        let kept = all.filter(|(_, entry)| !is_note(entry));
        kept.map(|(index, _)| index).collect::<Vec<usize>>()
    };
    let [one, other] = [noteless(&logs[0]), noteless(&logs[1])];
    let mut digested = 0;
    for nth in 0..one.len().max(other.len()) {
        let at = [one.get(nth).copied(), other.get(nth).copied()];
        let [a, b] = [0, 1].map(|side: usize| {
            let log = &logs[side];
            at[side].map(|index| what(log, &log.entries()[index]))
        });
        if a != b {
            return Some((digested + 1, at));
        }
        let entry = at[0].map(|index| logs[0].entries()[index].event);
        digested += u64::from(entry.is_some_and(|event| event.words().1 > 0));
    }
    None
}

/// What tells an event from another: what the digest takes in, and of a step, which it does not, whose.
fn essence(event: &Event) -> [u64; 4] {
    match event {
        Event::Step { pid } => [u64::MAX, pid.as_u64(), 0, 0],
        other => other.words().0,
    }
}

fn text<'a>(log: &'a Log, entry: &Entry) -> Option<&'a str> {
    match entry.event {
        Event::Send { text, .. }
        | Event::Reply { text, .. }
        | Event::Packet { text, .. }
        | Event::Exit { text, .. } => log.text(text),
        _ => None,
    }
}

/// The entries that an entry follows from.
fn causes(entries: &[Entry], at: usize) -> Vec<usize> {
    let event = entries[at].event;
    let before = &entries[..at];
    let same_process = event.actor().and_then(|actor| {
        let mut back = before.iter().enumerate().rev();
        back.find(|(_, entry)| entry.event.actor() == Some(actor))
    });
    let sending = message(&event).and_then(|id| {
        let mut back = before.iter().enumerate().rev();
        back.find(|(_, entry)| sends(&entry.event, id))
    });
    let mut causes: Vec<usize> = [same_process, sending]
        .into_iter()
        .flatten()
        .map(|(index, _)| index)
        .collect();
    causes.sort_unstable();
    causes.dedup();
    causes
}

/// The message that an event is about, where it did not send it.
fn message(event: &Event) -> Option<MessageId> {
    match *event {
        Event::Lost { id, .. }
        | Event::Duplicated { id, .. }
        | Event::Delayed { id, .. }
        | Event::Arrive { id, .. }
        | Event::Receive { id, .. }
        | Event::Unread { id, .. }
        | Event::Stale { id, .. }
        | Event::DeadLetter { id, .. } => Some(id),
        _ => None,
    }
}

fn sends(event: &Event, wanted: MessageId) -> bool {
    match *event {
        Event::Send { id, .. } | Event::Reply { id, .. } | Event::Packet { id, .. } => {
            (id.from, id.nth()) == (wanted.from, wanted.nth())
        }
        _ => false,
    }
}
