//! Ways out of a dead end, where no edit can simply be taken away: another edit moves at the same time.
//!
//! Many small latencies are often there only to bring one message to where a crash finds it. Without them
//! the same would happen at another moment, or with one longer delay.

use super::{Attempt, Search, ShrinkError};
use crate::choice::{Edit, Kind};
use crate::sim::{Chance, Keep, WINDOW_NS};
use crate::trace::Event;

/// To how many moments a crash is moved at most, in one of many attempts.
const MOMENTS_NEAR: usize = 60;
/// The same, in one of few attempts.
const MOMENTS_MOST: usize = 500;

impl Search<'_> {
    /// An attempt; where these edits do no harm, again with one of the crashes moved.
    pub(super) fn attempt_with_crashes_moved(&mut self, edits: Vec<Edit>) -> Attempt {
        self.attempt_at_moments(edits, MOMENTS_NEAR)
    }

    fn attempt_at_moments(&mut self, edits: Vec<Edit>, most: usize) -> Attempt {
        if let Some(kept) = self.attempt(edits.clone())? {
            return Ok(Some(kept));
        }
        for index in 0..edits.len() {
            if edits[index].kind != Kind::Crash || self.exhausted() {
                continue;
            }
            for at_ns in self.moments(&edits, index, most)? {
                let Some(moved) = move_crash(&edits, index, at_ns) else {
                    continue;
                };
                if let Some(kept) = self.attempt(moved)? {
                    return Ok(Some(kept));
                }
            }
        }
        Ok(None)
    }

    /// Right after each thing that happens on the node of this crash, without it: the nearest first.
    fn moments(
        &mut self,
        edits: &[Edit],
        crash: usize,
        most: usize,
    ) -> Result<Vec<u64>, ShrinkError> {
        let (who, now_ns) = (&edits[crash].who, moment(&edits[crash]));
        let mut others = edits.to_vec();
        others.remove(crash);
        let keep = Keep {
            log: true,
            ..Keep::default()
        };
        self.tries += 1;
        let tape = Chance::Tape(self.tape(others));
        let run = self.scenario.run_with(tape, keep)?;
        let node = run.names.iter().position(|name| name == who);
        let entries = run.log.iter().flat_map(|log| log.entries());
        let steps = entries.filter_map(|entry| match entry.event {
            Event::Step { pid } if Some(pid.node().index()) == node => Some(entry.at_ns + 1),
            _ => None,
        });
        let mut moments: Vec<u64> = steps.collect();
        moments.dedup();
        moments.sort_by_key(|at_ns| at_ns.abs_diff(now_ns));
        moments.truncate(most);
        Ok(moments)
    }

    /// One long delay in place of all that there are: of a duplicate first, else one of these. First with
    /// crashes between two steps, which fall at the moment to which they are moved and not some calls later.
    pub(super) fn with_one_delay(&mut self, edits: Vec<Edit>) -> Result<Vec<Edit>, ShrinkError> {
        let delays = |edit: &Edit| matches!(edit.kind, Kind::Latency | Kind::CopyLatency);
        let (delays, others): (Vec<Edit>, Vec<Edit>) = edits.iter().cloned().partition(delays);
        if delays.len() < 2 {
            return Ok(edits);
        }
        let between = others.iter().filter(|edit| edit.kind != Kind::CrashCall);
        let between: Vec<Edit> = between.cloned().collect();
        let inside = (between.len() < others.len()).then(|| others.clone());
        for others in [between].into_iter().chain(inside) {
            let copies = others.iter().filter(|edit| edit.kind == Kind::Duplicate);
            for delay in copies.map(late_copy).chain(delays.iter().rev().cloned()) {
                let mut one = others.clone();
                one.push(Edit {
                    outcome: AS_LATE_AS_CAN_BE,
                    ..delay
                });
                if let Some(kept) = self.attempt_with_crashes_moved(one)? {
                    return Ok(kept);
                }
            }
        }
        Ok(edits)
    }

    /// Takes crashes away; what is aimed at later boots of that node is then aimed at the one before.
    pub(super) fn without_crashes(
        &mut self,
        mut edits: Vec<Edit>,
    ) -> Result<Vec<Edit>, ShrinkError> {
        let mut index = edits.len();
        while let Some(before) = index.checked_sub(1) {
            index = before.min(edits.len().saturating_sub(1));
            if edits
                .get(index)
                .is_some_and(|edit| edit.kind == Kind::Crash)
            {
                let others = without_crash(&edits, index);
                let late = with_late_copies(&others);
                for others in [others, late] {
                    if others.len() < edits.len()
                        && let Some(kept) = self.attempt_at_moments(others, MOMENTS_MOST)?
                    {
                        edits = kept;
                        break;
                    }
                }
            }
            if before == 0 {
                break;
            }
        }
        Ok(edits)
    }
}

/// More than any delay: the run says what is the most.
const AS_LATE_AS_CAN_BE: u64 = u64::MAX;

fn late_copy(duplicate: &Edit) -> Edit {
    Edit {
        kind: Kind::CopyLatency,
        outcome: AS_LATE_AS_CAN_BE,
        ..duplicate.clone()
    }
}

/// The edits, with every duplicate as late as it can be.
fn with_late_copies(edits: &[Edit]) -> Vec<Edit> {
    let others = edits.iter().filter(|edit| edit.kind != Kind::CopyLatency);
    let copies = edits.iter().filter(|edit| edit.kind == Kind::Duplicate);
    others.cloned().chain(copies.map(late_copy)).collect()
}

/// When a crash falls: its window, and its outcome, which is 1 and the moment in it.
fn moment(crash: &Edit) -> u64 {
    crash.nth * WINDOW_NS + crash.outcome.saturating_sub(1)
}

/// Whether an edit is part of this crash: at which call, for how long, or the crash itself.
fn is_part(edit: &Edit, crash: &Edit) -> bool {
    let kinds = [Kind::Crash, Kind::CrashCall, Kind::Downtime];
    kinds.contains(&edit.kind) && edit.who == crash.who && edit.nth == crash.nth
}

/// A crash at another moment; none where its node has another crash in that window.
fn move_crash(edits: &[Edit], index: usize, at_ns: u64) -> Option<Vec<Edit>> {
    let crash = &edits[index];
    let nth = at_ns / WINDOW_NS;
    let others = |edit: &&Edit| edit.kind == Kind::Crash && edit.who == crash.who;
    if nth != crash.nth && edits.iter().filter(others).any(|edit| edit.nth == nth) {
        return None;
    }
    let moved = edits.iter().map(|edit| match is_part(edit, crash) {
        true if edit.kind == Kind::Crash => Edit {
            nth,
            outcome: at_ns % WINDOW_NS + 1,
            ..edit.clone()
        },
        true => Edit {
            nth,
            ..edit.clone()
        },
        false => edit.clone(),
    });
    Some(moved.collect())
}

/// The edits without this crash and what is part of it.
fn without_crash(edits: &[Edit], index: usize) -> Vec<Edit> {
    let crash = &edits[index];
    let earlier =
        |edit: &&Edit| edit.kind == Kind::Crash && edit.who == crash.who && edit.nth < crash.nth;
    let ended = edits.iter().filter(earlier).count() as u64;
    let others = edits.iter().filter(|edit| !is_part(edit, crash)).cloned();
    let mut others: Vec<Edit> = others.collect();
    for edit in &mut others {
        let Some((node, rest)) = edit.who.split_once('#') else {
            continue;
        };
        let (boot, line) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match boot.parse::<u64>() {
            Ok(boot) if node == crash.who && boot > ended => {
                edit.who = format!("{node}#{}{line}", boot - 1);
            }
            _ => {}
        }
    }
    // Two edits may now be aimed at one draw: the first counts.
    let mut sites = Vec::new();
    others.retain(|edit| {
        let new = !sites.contains(&edit.site());
        sites.push(edit.site());
        new
    });
    others
}
