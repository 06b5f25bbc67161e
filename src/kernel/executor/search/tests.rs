//! What is offered to a chooser, and when what it chose comes.

use super::*;
use crate::choice::{Choice, Kind, Lineage, Recorded, Shape, Site};
use crate::kernel::bounds::Bounds;
use crate::kernel::executor::What;
use crate::trace::{Pid, Trace};

struct Nothing;

impl TaskData for Nothing {
    type Output = ();

    fn pid(&self) -> Pid {
        Pid::NOBODY
    }
}

/// Chooses what was opened last, at once.
#[derive(Debug, Default)]
struct Latest(Vec<Candidate>);

impl Chooser for Latest {
    fn open(&mut self, candidate: Candidate) {
        self.0.push(candidate);
    }

    fn close(&mut self, slot: u32) -> Candidate {
        let at = self.0.iter().position(|candidate| candidate.slot == slot);
        self.0.remove(at.expect("what is closed is open"))
    }

    fn pick(&mut self) -> Option<Candidate> {
        self.0.pop()
    }

    fn wait(&mut self, _: u64) -> u64 {
        0
    }

    fn came(&mut self, _: &Candidate) {}
}

struct Run {
    kernel: Kernel<Nothing>,
}

impl Run {
    fn new() -> Run {
        let choice = Choice::chosen_by(1, Box::new(Latest::default())).recorded(true);
        Run {
            kernel: Kernel::new(choice, Trace::new(), Bounds::default()),
        }
    }

    /// A window, in nanoseconds; its number is the how-manieth of its draw, too.
    fn window(&mut self, number: u32, earliest: u64, latest: u64) -> Key {
        let drawn = Drawn {
            from: Time::from_nanos(earliest),
            site: Site::new(Kind::Latency, Lineage::RUN, u64::from(number)),
            shape: Shape::UpTo(latest - earliest),
            class: Class::Message,
            receiver: 0,
        };
        let armed = self.kernel.arm_drawn(&drawn, due(number));
        armed.expect("room")
    }

    fn exact(&mut self, number: u32, at: u64) -> Key {
        let armed = self.kernel.arm(Time::from_nanos(at), due(number));
        armed.expect("room")
    }

    /// What comes next, and when; none where nothing does by then.
    fn next(&mut self, until: u64) -> Option<(u32, u64)> {
        match self
            .kernel
            .next(Time::from_nanos(until))
            .expect("within bounds")
        {
            Next::Host(number) => Some((number, self.kernel.now().as_nanos())),
            Next::Quiet(_) => None,
            other => panic!("{other:?}"),
        }
    }

    /// The outcomes that were recorded, by number.
    fn outcomes(self) -> Vec<(u64, u64)> {
        let (draws, ..) = self.kernel.retire().finish();
        let latencies = |draw: &&Recorded| draw.site.kind == Kind::Latency;
        let draws = draws.iter().filter(latencies);
        draws.map(|draw| (draw.site.nth, draw.outcome)).collect()
    }
}

fn due(number: u32) -> Due {
    Due {
        who: Lineage::node("a").child(number),
        nth: 1,
        what: What::host(number),
    }
}

#[test]
fn what_is_chosen_comes_alone_strictly_after_now_and_what_is_not_at_its_last_moment() {
    let mut run = Run::new();
    run.window(1, 10, 100);
    run.window(2, 10, 100);
    run.window(3, 30, 60);
    // Opened in the order of their first moments, so the third is the last.
    assert_eq!(run.next(1000), Some((3, 30)));
    assert_eq!(run.next(1000), Some((2, 31)));
    assert_eq!(run.next(1000), Some((1, 32)));
    assert_eq!(run.next(1000), None);
    assert_eq!(run.outcomes(), [(1, 22), (2, 21), (3, 0)]);
}

#[test]
fn nothing_passes_the_last_moment_of_another() {
    let mut run = Run::new();
    run.window(1, 50, 60);
    run.exact(2, 40);
    run.window(3, 60, 70);
    assert_eq!(run.next(1000), Some((2, 40)));
    assert_eq!(run.next(1000), Some((1, 50)));
    assert_eq!(run.next(1000), Some((3, 60)));
}

#[test]
fn what_was_open_before_something_urgent_was_armed_is_open_after_it_again() {
    let mut run = Run::new();
    run.window(1, 80, 200);
    run.window(2, 90, 200);
    // The limit is 200: both are the chooser's, and the second comes.
    assert_eq!(run.next(1000), Some((2, 90)));
    run.window(3, 95, 100);
    run.window(4, 150, 300);
    run.window(5, 120, 300);
    // Now it is 100: the last two are picked, must wait, and are open again when it is 200.
    assert_eq!(run.next(1000), Some((3, 95)));
    assert_eq!(run.next(1000), Some((4, 150)));
    assert_eq!(run.next(1000), Some((5, 151)));
    assert_eq!(run.next(1000), Some((1, 152)));
    assert_eq!(run.outcomes(), [(1, 72), (2, 0), (3, 0), (4, 0), (5, 31)]);
}

#[test]
fn what_is_cancelled_or_under_way_at_the_end_is_recorded_as_the_latest() {
    let mut run = Run::new();
    let open = run.window(1, 10, 100);
    run.window(2, 20, 100);
    assert_eq!(run.next(1000), Some((2, 20)));
    let shut = run.window(3, 200, 300);
    run.window(4, 500, 900);
    for key in [open, shut] {
        assert!(run.kernel.disarm(key).is_some());
        assert!(run.kernel.disarm(key).is_none() && !run.kernel.is_armed(key));
    }
    assert_eq!(run.next(400), None);
    assert_eq!(run.outcomes(), [(1, 90), (2, 0), (3, 100), (4, 400)]);
}

#[test]
fn what_shares_its_last_moment_comes_together() {
    let mut run = Run::new();
    run.window(1, 49, 50);
    run.window(2, 48, 50);
    run.exact(3, 50);
    run.exact(4, 49);
    let came: Vec<_> = std::iter::from_fn(|| run.next(1000)).collect();
    // After the fourth, which was open last, there is no room before 50.
    assert_eq!((came[0], came.len()), ((4, 49), 4));
    assert!(came[1..].iter().all(|(_, at)| *at == 50), "{came:?}");
    assert_eq!(run.outcomes(), [(1, 1), (2, 2)]);
}

#[test]
fn nothing_comes_after_the_moment_asked_for() {
    let mut run = Run::new();
    run.window(1, 10, 100);
    run.window(2, 70, 100);
    assert_eq!(run.next(50), Some((1, 10)));
    assert_eq!(run.next(50), None);
    assert_eq!(run.next(1000), Some((2, 70)));
}
