//! What code says with `tracing`, as notes in the log of its run: with virtual time, node and process.
//!
//! While a run keeps a log, a subscriber of its own is the default of its thread; the one that was there
//! before is back when the run is over. A run without a log touches no subscriber: what is said there goes
//! to the user's own, where there is one. No digest sees any of it.
//!
//! Each process has a stack of spans of its own, which outlives its polls: a guard held across an `.await`
//! stays its own process's affair.

use crate::process::{Current, try_with};
use crate::trace::Pid;
use rustc_hash::FxHashMap;
use std::fmt::{self, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing_core::callsite::rebuild_interest_cache;
use tracing_core::dispatcher::with_default;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current as CurrentSpan, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber};

/// Runs the code with a subscriber for the run of this epoch.
pub(super) fn listening<R>(epoch: u32, run: impl FnOnce() -> R) -> R {
    LazyLock::force(&WITNESS);
    let dispatch = Dispatch::new(Listener {
        epoch,
        spans: Mutex::default(),
    });
    let result = with_default(&dispatch, run);
    drop(dispatch);
    // Nobody need ask any more whether somebody listens.
    rebuild_interest_cache();
    result
}

/// One that hears nothing, for all of the program. Where only one subscriber is registered, tracing-core asks
/// whichever thread comes first to a callsite whether its own default wants it, and keeps the answer for all
/// threads: beside a run without a log, a log would have gaps.
static WITNESS: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Deaf));

struct Deaf;

impl Subscriber for Deaf {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Takes what is said in one run.
struct Listener {
    epoch: u32,
    spans: Mutex<Spans>,
}

/// The spans of a run that are not closed, and who is in which.
#[derive(Default)]
struct Spans {
    open: FxHashMap<u64, Span>,
    last: u64,
    /// For each slot of the kernel: whose it is, and the spans that this process has entered.
    entered: FxHashMap<u32, (Pid, Vec<u64>)>,
}

struct Span {
    metadata: &'static Metadata<'static>,
    fields: String,
    parent: Option<u64>,
    /// How many hold it: handles and children.
    held: u32,
    /// When it was first entered, in nanoseconds of virtual time.
    began_ns: Option<u64>,
}

/// Where in a run something is said.
#[derive(Clone, Copy)]
struct Place {
    current: Current,
    now_ns: u64,
    /// Whether it may be noted: not once its process has ended or its node has crashed.
    notes: bool,
}

impl Listener {
    /// Where this run is; nothing outside it, as on another thread.
    fn place(&self) -> Option<Place> {
        let found = try_with(|system| {
            let current = system.current;
            let notes = system.budget > 0 || current.slot == Current::NONE.slot;
            (system.kernel.epoch.number() == self.epoch).then(|| Place {
                current,
                now_ns: system.kernel.now().as_nanos(),
                notes,
            })
        });
        found.flatten()
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line: level, spans, target, and what is said.
    fn note(place: Place, metadata: &Metadata<'_>, path: &str, said: fmt::Arguments<'_>) {
        let (level, target) = (metadata.level(), metadata.target());
        let text = match path {
            "" => format!("{level} {target}: {said}"),
            path => format!("{level} {path}: {target}: {said}"),
        };
        let _ = try_with(|system| system.kernel.trace.note(place.current.pid, || text));
    }
}

impl Spans {
    /// Where this process has entered spans, those, the innermost last.
    fn stack(&mut self, current: Current) -> Option<&mut Vec<u64>> {
        let (pid, stack) = self.entered.get_mut(&current.slot)?;
        (*pid == current.pid).then_some(stack)
    }

    fn innermost(&mut self, current: Current) -> Option<u64> {
        self.stack(current)?.last().copied()
    }

    fn enter(&mut self, current: Current, id: u64) {
        match self.stack(current) {
            Some(stack) => stack.push(id),
            // Whoever had this slot before has ended, inside of spans or not.
            None => drop(self.entered.insert(current.slot, (current.pid, vec![id]))),
        }
    }

    fn exit(&mut self, current: Current, id: u64) {
        let Some(stack) = self.stack(current) else {
            return;
        };
        if let Some(index) = stack.iter().rposition(|entered| *entered == id) {
            stack.remove(index);
        }
        if stack.is_empty() {
            self.entered.remove(&current.slot);
        }
    }

    /// A span and those around it, the outermost first: `order{id=7}:payment`.
    fn path(&self, innermost: Option<u64>) -> String {
        let open = |id: &u64| self.open.get(id);
        let chain = std::iter::successors(innermost.as_ref().and_then(open), |span| {
            span.parent.as_ref().and_then(open)
        });
        let chain: Vec<&Span> = chain.collect();
        let names = chain.iter().rev().map(|span| match &*span.fields {
            "" => span.metadata.name().to_owned(),
            fields => format!("{}{{{fields}}}", span.metadata.name()),
        });
        names.collect::<Vec<String>>().join(":")
    }
}

impl Subscriber for Listener {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Not `always`: then runs without a log on other threads would make what nobody hears.
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut said = Said::default();
        attributes.record(&mut said);
        let place = self.place();
        let mut spans = self.spans();
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_root() => None,
            None => place.and_then(|place| spans.innermost(place.current)),
        };
        let parent = parent.filter(|parent| spans.open.contains_key(parent));
        if let Some(around) = parent.and_then(|parent| spans.open.get_mut(&parent)) {
            around.held += 1;
        }
        spans.last += 1;
        let span = Span {
            metadata: attributes.metadata(),
            fields: said.to_string(),
            parent,
            held: 1,
            began_ns: None,
        };
        let id = spans.last;
        spans.open.insert(id, span);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut said = Said::default();
        values.record(&mut said);
        if let Some(span) = self.spans().open.get_mut(&id.into_u64()) {
            let between = if span.fields.is_empty() { "" } else { " " };
            let _ = write!(span.fields, "{between}{said}");
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(place) = self.place().filter(|place| place.notes) else {
            return;
        };
        let mut said = Said::default();
        event.record(&mut said);
        let mut spans = self.spans();
        let innermost = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if event.is_root() => None,
            None => spans.innermost(place.current),
        };
        let path = spans.path(innermost);
        drop(spans);
        Listener::note(place, event.metadata(), &path, format_args!("{said}"));
    }

    fn enter(&self, id: &Id) {
        let Some(place) = self.place() else { return };
        let mut spans = self.spans();
        spans.enter(place.current, id.into_u64());
        let Some(span) = spans.open.get_mut(&id.into_u64()) else {
            return;
        };
        if span.began_ns.is_none() && place.notes {
            span.began_ns = Some(place.now_ns);
            let (metadata, path) = (span.metadata, spans.path(Some(id.into_u64())));
            drop(spans);
            Listener::note(place, metadata, &path, format_args!("begins"));
        }
    }

    fn exit(&self, id: &Id) {
        if let Some(place) = self.place() {
            self.spans().exit(place.current, id.into_u64());
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().open.get_mut(&id.into_u64()) {
            span.held += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let place = self.place().filter(|place| place.notes);
        let mut next = Some(id.into_u64());
        let mut closed = false;
        while let Some(id) = next.take() {
            let mut spans = self.spans();
            let Some(span) = spans.open.get_mut(&id) else {
                break;
            };
            span.held -= 1;
            if span.held > 0 {
                break;
            }
            let path = spans.path(Some(id));
            let Some(span) = spans.open.remove(&id) else {
                break;
            };
            drop(spans);
            if let (Some(place), Some(began_ns)) = (place, span.began_ns) {
                let took = Duration::from_nanos(place.now_ns.saturating_sub(began_ns));
                Listener::note(
                    place,
                    span.metadata,
                    &path,
                    format_args!("ends, after {took:?}"),
                );
            }
            closed = true;
            next = span.parent;
        }
        closed
    }

    fn current_span(&self) -> CurrentSpan {
        let Some(place) = self.place() else {
            return CurrentSpan::none();
        };
        let mut spans = self.spans();
        let innermost = spans.innermost(place.current);
        match innermost.and_then(|id| Some((id, spans.open.get(&id)?))) {
            Some((id, span)) => CurrentSpan::new(Id::from_u64(id), span.metadata),
            None => CurrentSpan::none(),
        }
    }
}

/// The message and the fields of something that is said, as text: `sold apples=3`. Code of users makes
/// it, so nothing is locked meanwhile.
#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let (name, between) = (field.name(), if self.fields.is_empty() { "" } else { " " });
        let _ = match name {
            "message" => write!(self.message, "{value:?}"),
            name => write!(
                self.fields,
                "{between}{}={value:?}",
                name.trim_start_matches("r#")
            ),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            _ => self.record_debug(field, &value),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.message.is_empty() || self.fields.is_empty() {
            ""
        } else {
            " "
        };
        write!(f, "{}{between}{}", self.message, self.fields)
    }
}
