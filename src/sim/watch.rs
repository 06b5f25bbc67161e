//! The properties of one run while it is made: which are still looked at, and which have had their moment.

use super::outcome::Violation;
use super::property::{Property, Verdict, When};
use super::view::View;
use super::waits::Waits;
use crate::kernel::{Time, run_user};
use crate::process::with;

/// The properties of a run.
///
/// Whoever makes the run calls [`Watch::after_step`] after each step unless it [is idle](Watch::is_idle),
/// and [`Watch::at_end`] once. Nothing of it changes the run.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    properties: &'a [Property],
    /// From when on progress is due: where the faults stop, or the beginning where there are none.
    healed: Time,
    /// Those that are looked at after each step, as they were declared.
    open: Vec<usize>,
    /// The `sometimes` that were reached.
    reached: Vec<usize>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(properties: &'a [Property], healed: Time) -> Watch<'a> {
        let after_steps = |index: &usize| properties[*index].when != When::Finally;
        Watch {
            properties,
            healed,
            open: (0..properties.len()).filter(after_steps).collect(),
            reached: Vec::new(),
        }
    }

    /// Whether nothing has to be looked at after a step any more: then many steps may go in a row.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Looks at what is still open; gives the first property that is violated.
    pub(crate) fn after_step(&mut self) -> Option<Violation> {
        if self.is_idle() {
            return None;
        }
        let now = with(|system| system.kernel.now());
        let mut open = std::mem::take(&mut self.open);
        let mut violated = None;
        View::looking(|view| {
            open.retain(|&index| {
                violated.is_some() || {
                    let (violation, stays) = self.judge(index, view, now);
                    violated = violation;
                    stays
                }
            });
        });
        self.open = open;
        violated
    }

    /// What a property says after a step, and whether it is looked at again.
    fn judge(&mut self, index: usize, view: &View, now: Time) -> (Option<Violation>, bool) {
        let property = &self.properties[index];
        let said = look(property, view);
        match (property.when, said) {
            (_, Err(panicked)) => (Some(violation(property, panicked)), true),
            (When::Always, Ok(Verdict::Violated(detail))) => {
                (Some(violation(property, detail)), true)
            }
            (When::Eventually(within), Ok(verdict)) => match self.healed + within {
                deadline if now > deadline => (Some(late(property, verdict, deadline)), true),
                _ => (None, verdict != Verdict::Holds),
            },
            (When::Sometimes, Ok(Verdict::Holds)) => {
                self.reached.push(index);
                (None, false)
            }
            (When::Always | When::Sometimes | When::Finally, Ok(_)) => (None, true),
        }
    }

    /// Looks at what must hold at the end; gives the first property that does not.
    pub(crate) fn at_end(&mut self) -> Option<Violation> {
        View::looking(|view| {
            let mut due = self.properties.iter().enumerate();
            due.find_map(|(index, property)| match property.when {
                When::Finally => match look(property, view) {
                    Ok(Verdict::Holds) => None,
                    Ok(Verdict::Violated(detail)) | Err(detail) => {
                        Some(violation(property, detail))
                    }
                },
                When::Eventually(within) if self.open.contains(&index) => {
                    let verdict = look(property, view).unwrap_or_else(Verdict::Violated);
                    Some(late(property, verdict, self.healed + within))
                }
                When::Always | When::Eventually(_) | When::Sometimes => None,
            })
        })
    }

    /// The names of the `sometimes` that were reached, as they were declared.
    pub(crate) fn reached(mut self) -> Vec<String> {
        self.reached.sort_unstable();
        let names = self
            .reached
            .iter()
            .map(|index| &self.properties[*index].name);
        names.cloned().collect()
    }
}

/// What a property says; what it panicked with otherwise.
fn look(property: &Property, view: &View) -> Result<Verdict, String> {
    run_user(|| (property.look)(view))
        .map_err(|panicked| format!("the property panicked: {}", panicked.message))
}

/// An `eventually` that has not held up to its deadline, and what it says now.
fn late(property: &Property, now: Verdict, deadline: Time) -> Violation {
    let missed = format!("it did not hold at any step up to its deadline, {deadline}");
    let detail = match now {
        Verdict::Holds => format!("{missed}; it does now"),
        Verdict::Violated(detail) if detail.is_empty() => missed,
        Verdict::Violated(detail) => format!("{detail}\n{missed}"),
    };
    violation(property, detail)
}

/// A property that does not hold; where progress was due, with what every process waits for.
fn violation(property: &Property, detail: String) -> Violation {
    let waits = match property.when {
        When::Eventually(_) | When::Finally => Waits::now(),
        When::Always | When::Sometimes => Waits::default(),
    };
    Violation {
        waits,
        ..Violation::now(&property.name, detail)
    }
}
