//! The trace of a run for people: every event that says something, one a line, in plain words.
//!
//! Moves of the clock and polls are left out: each line carries its time and its step. What every line
//! means stands in `docs/TRACE.md`.
//!
//! ```
//! use netsplit::sim::{Chance, Keep};
//! use netsplit::{Context, Scenario, report};
//!
//! let scenario = Scenario::new("hello")
//!     .client("guest", |ctx: Context| async move { ctx.note("hello") })
//!     .finally("it ended", |_| true);
//! let keep = Keep { log: true, ..Keep::default() };
//! let outcome = scenario.run_with(Chance::Seed(7), keep).unwrap();
//! let lines = report::trace::lines(&outcome.log.unwrap(), &outcome.names);
//! assert_eq!(lines[2], "  0.000000 s       1  guest  <guest.0.0>  notes: hello");
//! ```

use crate::trace::{
    DeadReason, Entry, Event, LetterId, Log, Mailed, MessageId, Names, NodeId, OrderKey, Pid,
    Reason, Supervision, TextId, node_name, set_names,
};
use rustc_hash::FxHashMap;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Characters of a text that a line shows; what is beyond them is cut off, and an ellipsis says so.
pub const TEXT_MOST: usize = 160;
/// Columns to which the column of processes grows.
const PROCESS_MOST: usize = 32;

/// Every event that says something, one a line, in aligned columns: virtual time (to the microsecond,
/// rounded down), step, node, process, what happened.
#[must_use]
pub fn lines(log: &Log, names: &Names) -> Vec<String> {
    tail(log, names, usize::MAX)
}

/// The last `count` of [`lines`].
#[must_use]
pub fn tail(log: &Log, names: &Names, count: usize) -> Vec<String> {
    last_of(log, names, count, |event| {
        !matches!(event, Event::Clock { .. } | Event::Step { .. })
    })
}

/// The last `count` lines of the events that are `shown`.
pub(super) fn last_of(
    log: &Log,
    names: &Names,
    count: usize,
    shown: impl Fn(&Event) -> bool,
) -> Vec<String> {
    let entries = log.entries().iter();
    let all = entries.filter(|entry| shown(&entry.event)).count();
    let skip = all.saturating_sub(count);
    let _names = Naming::set(names);
    let mut reader = Reader::new(log);
    let mut rows = Vec::with_capacity(all - skip);
    let mut seen = 0;
    for entry in log.entries() {
        reader.read(&entry.event);
        if shown(&entry.event) {
            seen += 1;
            if seen > skip {
                rows.push(reader.row(entry));
            }
        }
    }
    let width = |cell: fn(&Row) -> &str| rows.iter().map(|row| columns(cell(row))).max();
    let node = width(|row| &row.node).unwrap_or(0);
    let process = width(|row| &row.process).unwrap_or(0).min(PROCESS_MOST);
    rows.iter().map(|row| row.line(node, process)).collect()
}

/// The line of one entry of a log, whatever it is; nothing where the log has no such entry.
#[must_use]
pub fn line(log: &Log, names: &Names, index: usize) -> Option<String> {
    let entry = log.entries().get(index)?;
    let _names = Naming::set(names);
    let mut reader = Reader::new(log);
    for entry in &log.entries()[..=index] {
        reader.read(&entry.event);
    }
    Some(reader.row(entry).line(0, 0))
}

/// While it lives, ids print with the names of one cluster.
struct Naming(Option<Names>);

impl Naming {
    fn set(names: &Names) -> Naming {
        Naming(set_names(Some(names.clone())))
    }
}

impl Drop for Naming {
    fn drop(&mut self) {
        set_names(self.0.take());
    }
}

/// A line, in its columns.
struct Row {
    at_ns: u64,
    step: u64,
    node: String,
    process: String,
    what: String,
}

impl Row {
    fn line(&self, node: usize, process: usize) -> String {
        let Row {
            at_ns, step, what, ..
        } = self;
        let at = time(*at_ns);
        let node = padded(&self.node, node);
        let process = padded(&self.process, process);
        format!("{at:>12} {step:>7}  {node}  {process}  {what}")
    }
}

/// As many columns as it takes on a terminal, for what node names and pids are made of.
fn columns(text: &str) -> usize {
    text.chars().count()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// A moment, to the microsecond, so that the points of all lines stand under one another.
fn time(at_ns: u64) -> String {
    let (seconds, micros) = (at_ns / 1_000_000_000, at_ns / 1_000 % 1_000_000);
    format!("{seconds}.{micros:06} s")
}

/// A message: what it says and the node it goes to.
#[derive(Clone, Copy)]
struct Mail {
    text: TextId,
    to: NodeId,
}

/// Reads a log from its beginning, and remembers who has which name and what each message says.
struct Reader<'a> {
    log: &'a Log,
    names: FxHashMap<Pid, &'a str>,
    mail: FxHashMap<(Pid, u32), Mail>,
    /// The ids of children, by their supervisor and their number there.
    children: FxHashMap<(Pid, u32), TextId>,
}

impl<'a> Reader<'a> {
    fn new(log: &'a Log) -> Reader<'a> {
        Reader {
            log,
            names: FxHashMap::default(),
            mail: FxHashMap::default(),
            children: FxHashMap::default(),
        }
    }

    /// Takes in an event, before its line is made.
    fn read(&mut self, event: &Event) {
        match *event {
            Event::Named { pid, name } => {
                self.names.insert(pid, self.log.name_text(name));
            }
            Event::Send { id, text, .. } => self.keep(id, text, id.from.node()),
            Event::Reply { id, text, to } => self.keep(id, text, to.node()),
            Event::Packet { id, text, to, .. } => self.keep(id, text, to),
            Event::Supervision {
                by,
                what: Supervision::Starts { child, id, .. },
            } => {
                self.children.insert((by, child), id);
            }
            _ => {}
        }
    }

    fn keep(&mut self, id: MessageId, text: TextId, to: NodeId) {
        self.mail.insert((id.from, id.nth()), Mail { text, to });
    }

    fn row(&self, entry: &Entry) -> Row {
        let (node, process) = self.place(&entry.event);
        Row {
            at_ns: entry.at_ns,
            step: entry.step,
            node: node.map_or_else(|| "-".to_owned(), node_name),
            process: process.map_or_else(|| "-".to_owned(), |pid| self.who(pid)),
            what: self.what(&entry.event),
        }
    }

    /// Where it happened, and to whom.
    fn place(&self, event: &Event) -> (Option<NodeId>, Option<Pid>) {
        match *event {
            Event::Boot { node, .. }
            | Event::Crash { node, .. }
            | Event::Halt { node, .. }
            | Event::Busy { node, .. }
            | Event::Arrive { node, .. }
            | Event::NodeUp { node, .. }
            | Event::NodeDown { node, .. }
            | Event::NoEffect { node, .. }
            | Event::Stopping { node }
            | Event::Outdated { node, .. } => (Some(node), None),
            Event::Lost { id, .. } | Event::Duplicated { id, .. } | Event::Delayed { id, .. } => {
                (Some(id.from.node()), Some(id.from))
            }
            // It never left.
            Event::DeadLetter {
                id,
                why: DeadReason::NoConnection | DeadReason::SenderGone,
                ..
            } => (Some(id.from.node()), None),
            Event::DeadLetter { id, .. } => (
                self.mail.get(&(id.from, id.nth())).map(|mail| mail.to),
                None,
            ),
            Event::Clock { .. } | Event::Bound { .. } => (None, None),
            _ => match event.actor() {
                Some(Pid::NOBODY) | None => (None, None),
                Some(pid) => (Some(pid.node()), Some(pid)),
            },
        }
    }

    /// A process, with the name that it holds or held last.
    fn who(&self, pid: Pid) -> String {
        match self.names.get(&pid) {
            Some(name) => format!("{pid} {name}"),
            None => pid.to_string(),
        }
    }

    /// A message as others see it: whose, and the how-manieth.
    fn of(&self, id: MessageId) -> String {
        format!("{} of {}", nth(id), self.who(id.from))
    }

    /// What a message says, behind a colon, where that is known.
    fn says(&self, id: MessageId) -> String {
        let mail = self.mail.get(&(id.from, id.nth()));
        self.text(mail.map_or(TextId::NONE, |mail| mail.text), ": ")
    }

    fn text(&self, text: TextId, before: &str) -> String {
        match self.log.text(text) {
            Some(text) => format!("{before}{}", clipped(text)),
            None => String::new(),
        }
    }

    fn what(&self, event: &Event) -> String {
        match *event {
            Event::Clock { now_ns, .. } => format!("the clock moves to {}", time(now_ns)),
            Event::Step { .. } => "steps".to_owned(),
            Event::Boot { incarnation: 0, .. } => "boots".to_owned(),
            Event::Boot { incarnation, .. } => format!("reboots, as incarnation {incarnation}"),
            Event::Crash { call: 0, .. } => "crashes".to_owned(),
            Event::Crash { call, .. } => {
                format!("crashes inside a step, at call {call} of the host")
            }
            Event::Spawn {
                parent: Pid::NOBODY,
                ..
            } => "starts".to_owned(),
            Event::Spawn { parent, .. } => format!("starts, by {}", self.who(parent)),
            Event::Exit { reason, text, .. } => format!("ends: {}", self.reason(reason, text)),
            Event::TimerSet { at_ns, .. } => format!("sets a timer to {}", time(at_ns)),
            Event::TimerFired { .. } => "its timer fires".to_owned(),
            Event::TimerCancelled { .. } => "its timer is cancelled".to_owned(),
            Event::Named { name, .. } => format!("takes the name \"{}\"", self.log.name_text(name)),
            Event::Unnamed { name, .. } => {
                format!("gives back the name \"{}\"", self.log.name_text(name))
            }
            Event::Busy { until_ns, .. } => format!("is busy until {}", time(until_ns)),
            Event::Bound { limit, most } => format!("the run reaches its bound of {most} {limit}"),
            Event::Note { text, .. } => format!("notes{}", self.text(text, ": ")),
            Event::Supervision { by, what } => self.what_of_supervision(by, what),
            Event::Mail {
                letter,
                attempt,
                what,
                ..
            } => self.what_of_letter(letter, attempt, what),
            _ => self.what_of_faults(event),
        }
    }

    /// The lines of connections and of faults.
    fn what_of_faults(&self, event: &Event) -> String {
        match *event {
            Event::NodeUp { peer, .. } => format!("is connected to {peer}"),
            Event::NodeDown { peer, why, .. } => format!("has no connection to {peer}: {why}"),
            Event::Suspended { peer, .. } => {
                format!("waits until the connection to {peer} takes more")
            }
            Event::Released { .. } => "may go on: the connection takes more".to_owned(),
            Event::Held { of, .. } => {
                format!(
                    "waits until there is room in the mailbox of {}",
                    self.who(of)
                )
            }
            Event::Admitted { of, .. } => {
                let of = self.who(of);
                format!("may go on: there is room in the mailbox of {of}, or it has ended")
            }
            Event::Overloaded { len, .. } => {
                format!("is overloaded: {} in its mailbox", messages(len))
            }
            Event::Relieved { len, .. } => format!("is relieved: {} in its mailbox", messages(len)),
            Event::Fault { text, .. } => format!("a fault{}", self.text(text, ": ")),
            Event::FaultOver { text, .. } => format!("is over{}", self.text(text, ": ")),
            Event::NoEffect { text, .. } => {
                format!("a fault without effect{}", self.text(text, ": "))
            }
            Event::Struck { text, .. } => format!("is struck{}", self.text(text, ": ")),
            Event::DiskStruck { fault, .. } => format!("its disk: {fault}"),
            Event::DiskLost { files, entries, .. } => format!(
                "its disk is not as it was: {files} files are others, {entries} names or changes of \
                 names are gone"
            ),
            Event::Stopping { .. } => "is asked to stop".to_owned(),
            Event::Halt { .. } => "stops".to_owned(),
            Event::Outdated { newer, .. } => {
                format!("is written off: {newer} boots in its place")
            }
            Event::Quiet => "faults stop, and all is healed".to_owned(),
            _ => self.what_of_mail(event),
        }
    }

    /// What a supervisor does.
    fn what_of_supervision(&self, by: Pid, what: Supervision) -> String {
        let child = |child: u32| {
            let id = self.children.get(&(by, child));
            let id = id.map(|id| self.text(*id, " "));
            // One of a dynamic supervisor has a number only.
            format!("child {child}{}", id.unwrap_or_default().trim_end())
        };
        match what {
            Supervision::Begins {
                strategy,
                intensity,
                period_ns,
            } => {
                let period = Duration::from_nanos(period_ns);
                format!("supervises {strategy}, at most {intensity} restarts in {period:?}")
            }
            Supervision::Starts {
                child: number,
                restart,
                by_hand,
                ..
            } => {
                let how = if by_hand { ", as it was asked to" } else { "" };
                format!("starts its {restart} {}{how}", child(number))
            }
            Supervision::Started { child: number, pid } => {
                format!("has started its {} as {}", child(number), self.who(pid))
            }
            Supervision::NotStarted {
                child: number,
                ignored: true,
            } => format!("its {} ignores the start", child(number)),
            Supervision::NotStarted { child: number, .. } => {
                format!("could not start its {}", child(number))
            }
            Supervision::Stops {
                child: number,
                pid,
                by_hand,
            } => {
                let how = if by_hand { ", as it was asked to" } else { "" };
                format!("stops its {}, {}{how}", child(number), self.who(pid))
            }
            Supervision::Deletes { child: number } => {
                format!("forgets its {}, as it was asked to", child(number))
            }
            Supervision::Ended { child: number } => {
                format!("restarts its {} no more", child(number))
            }
            Supervision::Restarts { child: number, .. } => {
                format!("counts a restart of its {}", child(number))
            }
            Supervision::Waits {
                child: number,
                for_ns,
            } => {
                let wait = Duration::from_nanos(for_ns);
                format!("waits {wait:?} before it starts its {}", child(number))
            }
            Supervision::GivesUp { child: number, .. } => {
                format!("gives up at its {}: too many restarts", child(number))
            }
            Supervision::ShutsDown => "shuts down: its significant children have ended".to_owned(),
        }
    }

    /// What becomes of a letter.
    fn what_of_letter(&self, letter: LetterId, attempt: u16, what: Mailed) -> String {
        let LetterId { origin, number } = letter;
        let letter = match self.log.name_of(origin.as_u64()) {
            Some(name) => format!("letter {number} of \"{name}\""),
            None => letter.to_string(),
        };
        let attempt = match attempt {
            0 => String::new(),
            attempt => format!(", attempt {attempt}"),
        };
        match what {
            Mailed::Accepted {
                key: OrderKey::NONE,
            } => format!("accepts {letter}"),
            Mailed::Accepted { key } => format!("accepts {letter}, in the order of key {key}"),
            Mailed::Sent => format!("sends {letter}{attempt}"),
            Mailed::Delivered => format!("is handed {letter}{attempt}"),
            Mailed::Effected => format!("has done {letter}{attempt}"),
            Mailed::Consumed => format!("says that it is done with {letter}{attempt}"),
            Mailed::Repeated => format!("has done {letter} before, and it came again{attempt}"),
            Mailed::Acked => format!("takes the ack of {letter}{attempt}"),
            Mailed::StaleAck => format!("takes no notice of an ack of {letter}{attempt}"),
            Mailed::Returned => format!("gives back {letter}{attempt}"),
            Mailed::Dead(why) => format!("sets aside {letter}{attempt}: {why}"),
        }
    }

    fn reason(&self, reason: Reason, text: TextId) -> String {
        match (reason, self.log.text(text)) {
            (Reason::ShutdownWith, Some(text)) => format!("shutdown({})", clipped(text)),
            (_, Some(text)) => format!("{reason}: {}", clipped(text)),
            (_, None) => reason.to_string(),
        }
    }

    /// What happened to messages, packets and signals.
    fn what_of_mail(&self, event: &Event) -> String {
        match *event {
            Event::Send {
                id,
                to: Pid::NOBODY,
                ..
            } => format!("sends {}{}", nth(id), self.says(id)),
            Event::Send { id, to, .. } => {
                format!("sends {} to {}{}", nth(id), self.who(to), self.says(id))
            }
            Event::Reply { id, to, .. } => {
                format!("answers {} to {}{}", nth(id), self.who(to), self.says(id))
            }
            Event::Packet {
                id, to, kind, len, ..
            } => {
                let bytes = if len == 1 { "byte" } else { "bytes" };
                let says = self.says(id);
                format!(
                    "sends {} to node {to} as {kind} of {len} {bytes}{says}",
                    nth(id)
                )
            }
            Event::Lost { id, to } => {
                format!(
                    "{} to node {to} is lost, by a fault{}",
                    nth(id),
                    self.says(id)
                )
            }
            Event::Duplicated { id, to } => {
                let original = nth(MessageId::new(id.from, id.nth()));
                let (copy, says) = (nth(id), self.says(id));
                format!("{original} to node {to} is duplicated as {copy}, by a fault{says}")
            }
            Event::Delayed { id, to, by_ns } => {
                let by = Duration::from_nanos(by_ns);
                let says = self.says(id);
                format!(
                    "{} to node {to} is held back {by:?}, by a fault{says}",
                    nth(id)
                )
            }
            Event::Arrive { id, .. } => format!("{} arrives{}", self.of(id), self.says(id)),
            Event::Receive { id, .. } => format!("takes {}{}", self.of(id), self.says(id)),
            Event::Postponed { id, .. } => format!("postpones {}{}", self.of(id), self.says(id)),
            Event::Unread { id, .. } => format!("leaves {} unread{}", self.of(id), self.says(id)),
            Event::Stale { id, .. } => {
                let (of, says) = (self.of(id), self.says(id));
                format!("{of} is stale: nobody waits for this answer any more{says}")
            }
            Event::Refused { to, .. } => {
                format!("sends nothing to {}: the mailbox is full", self.who(to))
            }
            Event::DeadLetter { id, to, why } => {
                let (of, to, says) = (self.of(id), self.target(to), self.says(id));
                format!("{of} to {to} is a dead letter, {why}{says}")
            }
            Event::Link { to, .. } => format!("links itself to {}", self.who(to)),
            Event::Unlink { to, .. } => format!("unlinks itself from {}", self.who(to)),
            Event::Monitor { of, .. } => format!("monitors {}", self.who(of)),
            Event::MonitorName { node, name, .. } => {
                let name = self.log.name_text(name);
                format!("monitors whoever has the name \"{name}\" on {node}")
            }
            Event::Demonitor { of, .. } => format!("no longer monitors {}", self.watched(of)),
            Event::ExitSignal { from, reason, .. } => {
                format!("gets an exit signal of {}: {reason}", self.who(from))
            }
            Event::Down { of, reason, .. } => {
                format!("is told that {} is down: {reason}", self.watched(of))
            }
            _ => unreachable!("all that is no mail has its line above"),
        }
    }

    /// What was monitored: a process, or a name of which no process is known.
    fn watched(&self, of: Pid) -> String {
        if of.is_of_node() {
            return format!("a name on {}", of.node());
        }
        self.who(of)
    }

    /// Where a dead letter went: to a name, or to a process.
    fn target(&self, to: u64) -> String {
        match self.log.name_of(to) {
            Some(name) => format!("\"{name}\""),
            None => self.who(Pid::from_u64(to)),
        }
    }
}

/// A message as its sender sees it: its count, with a mark where it is a duplicate.
fn nth(id: MessageId) -> String {
    let mark = if id.copy() > 0 { "'" } else { "" };
    format!("·{}{mark}", id.nth())
}

/// So many messages.
fn messages(count: u32) -> String {
    let word = if count == 1 { "message" } else { "messages" };
    format!("{count} {word}")
}

/// A text on one line, and not too long.
fn clipped(text: &str) -> String {
    let mut line: String = text.chars().take(TEXT_MOST).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    if line.contains(char::is_control) {
        line = line.chars().flat_map(shown).collect();
    }
    line
}

/// A character as a line can hold it.
fn shown(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}
