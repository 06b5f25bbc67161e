//! Wakers packed into one word: slot, generation of the slot, epoch of the run.
//!
//! No allocation and no reference count. A waker that outlives its run is harmless: its epoch is over.
//! A wake from outside the run (another thread) goes to a locked list, and the run ends loudly.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{RawWaker, RawWakerVTable, Waker};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("netsplit packs a waker into one 64-bit word, so it needs a 64-bit target");

const SLOT_BITS: u32 = 24;
const EPOCH_BITS: u32 = 24;

fn pack(slot: u32, generation: u16, epoch: u32) -> u64 {
    debug_assert!(slot < 1 << SLOT_BITS && epoch < 1 << EPOCH_BITS);
    u64::from(slot) << 40 | u64::from(generation) << 24 | u64::from(epoch)
}

fn unpack(word: u64) -> (u32, u16, u32) {
    (
        (word >> 40) as u32,
        (word >> 24) as u16,
        word as u32 & ((1 << EPOCH_BITS) - 1),
    )
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, |_| {});

// SAFETY of the four functions below: the data pointer is never dereferenced. It is a number in a
// pointer's clothes, made by `without_provenance`, so copying it is a clone and dropping it is nothing.
unsafe fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    wake_word(data.addr() as u64);
}

fn raw(word: u64) -> *const () {
    std::ptr::without_provenance(word as usize)
}

/// The word that a waker of the task in this slot holds, for the run of this epoch.
#[inline]
#[must_use]
pub fn waker_word(slot: u32, generation: u16, epoch: u32) -> u64 {
    pack(slot, generation, epoch)
}

/// The slot of the task whose waker holds this word.
#[inline]
#[must_use]
pub fn slot_of(word: u64) -> u32 {
    unpack(word).0
}

/// The waker that holds this word.
#[inline]
#[must_use]
pub fn own_waker(word: u64) -> Waker {
    // SAFETY: the vtable's functions keep RawWaker's contract for any data word (see above), and the
    // waker is Send and Sync since waking touches thread-locals, atomics and locks only.
    unsafe { Waker::from_raw(RawWaker::new(raw(word), &VTABLE)) }
}

/// Whether `waker` wakes a task of ours directly, and is not wrapped by a combinator.
#[inline]
#[must_use]
pub fn is_own(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &VTABLE)
}

/// Wakes that came from outside a run.
#[derive(Debug, Default)]
struct Foreign {
    any: AtomicBool,
    words: Mutex<Vec<u64>>,
}

impl Foreign {
    /// The task's slot and generation of one such wake, if there was any.
    #[inline]
    #[must_use]
    fn take(&self) -> Option<(u32, u16)> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let word = self
            .words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()?;
        let (slot, generation, _) = unpack(word);
        Some((slot, generation))
    }
}

struct Local {
    epoch: Cell<u32>,
    /// Whether `woken` holds anything.
    any: Cell<bool>,
    woken: RefCell<Vec<(u32, u16)>>,
}

thread_local! {
    static LOCAL: Local =
        const {
            Local { epoch: Cell::new(0), any: Cell::new(false), woken: RefCell::new(Vec::new()) }
        };
}

static NEXT_EPOCH: AtomicU32 = AtomicU32::new(1);
static LIVE: Mutex<Vec<(u32, Arc<Foreign>)>> = Mutex::new(Vec::new());

/// A run's place on this thread: while it lives, wakes of its epoch on this thread are the run's own.
#[derive(Debug)]
pub struct Epoch {
    number: u32,
    foreign: Arc<Foreign>,
}

/// Begins an epoch, for one run.
#[must_use]
pub fn enter() -> Epoch {
    let mask = (1 << EPOCH_BITS) - 1;
    let mut number = 0;
    while number == 0 {
        number = NEXT_EPOCH.fetch_add(1, Ordering::Relaxed) & mask;
    }
    let foreign = Arc::new(Foreign::default());
    live().push((number, foreign.clone()));
    Epoch { number, foreign }
}

fn live() -> std::sync::MutexGuard<'static, Vec<(u32, Arc<Foreign>)>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Epoch {
    /// Its number: part of each waker's word.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Makes it this thread's current epoch; gives the one before.
    pub fn resume(&self) -> u32 {
        LOCAL.with(|local| local.epoch.replace(self.number))
    }

    /// Makes `before` the current epoch again.
    pub fn pause(before: u32) {
        LOCAL.with(|local| local.epoch.set(before));
    }

    /// Whether there may have been a wake from outside.
    #[inline]
    #[must_use]
    pub fn has_foreign(&self) -> bool {
        self.foreign.any.load(Ordering::Relaxed)
    }

    /// A wake from outside, if there was any.
    #[inline]
    #[must_use]
    pub fn foreign(&self) -> Option<(u32, u16)> {
        self.foreign.take()
    }

    /// Whether a waker of this thread was called since [`Epoch::woken`].
    #[inline(always)]
    #[must_use]
    pub fn any_woken(&self) -> bool {
        LOCAL.with(|local| local.any.get())
    }

    /// Takes the wakes that came since the last call.
    pub fn woken(&self, mut each: impl FnMut(u32, u16)) {
        LOCAL.with(|local| {
            if !local.any.replace(false) {
                return;
            }
            let mut woken = local.woken.borrow_mut();
            for (slot, generation) in woken.drain(..) {
                each(slot, generation);
            }
        });
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        live().retain(|(number, _)| *number != self.number);
        LOCAL.with(|local| {
            if local.epoch.get() == self.number {
                local.epoch.set(0);
            }
            local.woken.borrow_mut().clear();
            local.any.set(false);
        });
    }
}

fn wake_word(word: u64) {
    let (slot, generation, epoch) = unpack(word);
    let own = LOCAL.try_with(|local| {
        let own = local.epoch.get() == epoch;
        if own {
            local.woken.borrow_mut().push((slot, generation));
            local.any.set(true);
        }
        own
    });
    if !own.unwrap_or(false) {
        wake_from_outside(word, epoch);
    }
}

#[cold]
fn wake_from_outside(word: u64, epoch: u32) {
    let foreign = live()
        .iter()
        .find(|(number, _)| *number == epoch)
        .map(|(_, f)| f.clone());
    if let Some(foreign) = foreign {
        foreign
            .words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(word);
        foreign.any.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(epoch: &Epoch) -> Vec<(u32, u16)> {
        let mut all = Vec::new();
        epoch.woken(|slot, generation| all.push((slot, generation)));
        all
    }

    #[test]
    fn a_word_keeps_slot_generation_and_epoch() {
        for parts in [
            (0, 0, 1),
            ((1 << 24) - 1, u16::MAX, (1 << 24) - 1),
            (5, 6, 7),
        ] {
            assert_eq!(unpack(pack(parts.0, parts.1, parts.2)), parts);
        }
    }

    #[test]
    fn a_wake_of_the_current_run_names_its_task() {
        let epoch = enter();
        let before = epoch.resume();
        let waker = own_waker(waker_word(3, 9, epoch.number()));
        waker.wake_by_ref();
        let other = waker.clone();
        other.wake();
        assert_eq!(woken(&epoch), [(3, 9), (3, 9)]);
        assert!(is_own(&waker) && !is_own(Waker::noop()));
        assert_eq!(epoch.foreign(), None);
        Epoch::pause(before);
    }

    #[test]
    fn a_waker_that_outlives_its_run_wakes_nobody() {
        let old = enter();
        let waker = own_waker(waker_word(3, 9, old.number()));
        drop(old);
        let epoch = enter();
        let before = epoch.resume();
        waker.wake();
        assert_eq!((woken(&epoch), epoch.foreign()), (Vec::new(), None));
        Epoch::pause(before);
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "another thread is what is tested"
    )]
    fn a_wake_from_another_thread_is_kept_apart() {
        let epoch = enter();
        let before = epoch.resume();
        let waker = own_waker(waker_word(3, 9, epoch.number()));
        std::thread::spawn(move || waker.wake())
            .join()
            .expect("joined");
        assert_eq!((woken(&epoch), epoch.foreign()), (Vec::new(), Some((3, 9))));
        Epoch::pause(before);
    }
}
