//! Faults of the real command, one per run.

use std::collections::HashSet;
use std::env;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::calls::{Call, Fault, faults_of};
use crate::cases::{self, Case, LoopDevice, Made};
use crate::judge::{self, Expected};
use crate::readers::Kept;
use crate::run::Place;
use crate::skip::or_skip;
use crate::tally::{Tally, Verdict};
use crate::tracer::Action;

/// Number of runs in a usual test, over all cases.
const FEW: usize = 900;

pub const THREADS: usize = 2;

/// Whether all faults are tried.
pub fn wants_all() -> bool {
    env::var_os("KDUMPCONV_FAULTS").is_some_and(|value| value == "all")
}

/// Prints a line past the test harness, which would capture it.
pub fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// A fault of the n-th call, to try.
struct Try {
    case: usize,
    n: usize,
    fault: Fault,
}

/// Some tries of each case, evenly spread. An odd step meets every kind of fault.
fn few(tries: Vec<Try>, cases: usize) -> Vec<Try> {
    let mut few: Vec<Vec<Try>> = (0..cases).map(|_| Vec::new()).collect();
    tries.into_iter().for_each(|at| few[at.case].push(at));
    let share = FEW / cases.max(1);
    let step = |tries: &Vec<Try>| (tries.len() / share.max(1)) | 1;
    few.into_iter()
        .flat_map(|tries| {
            let step = step(&tries);
            tries.into_iter().step_by(step)
        })
        .collect()
}

/// The calls of an undisturbed run, and what it makes.
pub fn undisturbed(case: &Case) -> (Expected, Vec<Call>) {
    let mut calls = Vec::new();
    let left = Place::new(case).run(
        case,
        &mut |call| {
            calls.push(*call);
            Action::Pass
        },
        None,
    );
    (Expected::of(case, &left), calls)
}

/// Injects the fault in one call: the first from the n-th on that can have it.
struct Injector {
    fault: Fault,
    n: usize,
    seen: usize,
    hit: Option<Call>,
}

impl Injector {
    fn decide(&mut self, call: &Call) -> Action {
        let number = self.seen;
        self.seen += 1;
        let action = match self.fault {
            Fault::Once(errno) | Fault::FromThenOn(errno) => Action::Fail(errno),
            Fault::Half => Action::Shorten(call.bytes.unwrap_or_default() / 2),
            Fault::OneByte => Action::Shorten(1),
        };
        match (&self.hit, self.fault) {
            (Some(hit), Fault::FromThenOn(_))
                if hit.class == call.class && hit.target == call.target =>
            {
                action
            }
            (None, _) if number >= self.n && faults_of(call).contains(&self.fault) => {
                self.hit = Some(*call);
                action
            }
            _ => Action::Pass,
        }
    }
}

fn attempt(
    case: &Case,
    expected: &Expected,
    place: &Place,
    at: &Try,
    (tally, kept): (&Mutex<Tally>, &Mutex<Kept>),
) {
    let mut injector = Injector { fault: at.fault, n: at.n, seen: 0, hit: None };
    let left = place.run(case, &mut |call| injector.decide(call), None);
    // The order of threads differs between runs, so there may be no such call left.
    let Some(call) = injector.hit else { return };
    let verdict = judge::after_fault(case, expected, &left, at.fault, &call).map_err(|why| {
        let names: Vec<&String> = left.files.iter().map(|(name, _)| name).collect();
        format!(
            "{}: {} at call {} ({call:?}): {why}\n    {:?}, files {names:?}, said {:?}",
            case.name,
            at.fault,
            at.n,
            left.ended,
            format!(
                "{}{}",
                left.stderr,
                if case.made == Made::Report {
                    String::from_utf8_lossy(&left.stdout)
                } else {
                    "".into()
                }
            )
        )
    });
    if verdict == Ok(Verdict::KeptIncomplete) {
        kept.lock().unwrap().take(case, &left);
    }
    tally.lock().unwrap().add(case.name, &at.fault.to_string(), verdict);
}

#[test]
fn no_failing_system_call_costs_more_than_is_reported() {
    let started = Instant::now();
    let device = or_skip(LoopDevice::new(4 << 20));
    let mut cases = cases::all(device.as_ref());
    if let Some(name) = env::var_os("KDUMPCONV_FAULTS_OF") {
        cases.retain(|case| case.name == name);
    }
    let undisturbed: Vec<(Expected, Vec<Call>)> = cases.iter().map(undisturbed).collect();
    let mut tries = Vec::new();
    for (index, (_, calls)) in undisturbed.iter().enumerate() {
        // These read 66 MB in hundreds of small reads: a part of them stands for all.
        let step = if cases[index].name.starts_with("-d ") { 4 } else { 1 };
        for (n, call) in calls.iter().enumerate().step_by(step) {
            tries.extend(faults_of(call).into_iter().map(|fault| Try { case: index, n, fault }));
        }
    }
    let in_all = tries.len();
    if !wants_all() {
        tries = few(tries, cases.len());
    }
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let kept = Mutex::new(Kept::default());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut place: Option<(usize, Place)> = None;
                while let Some(at) = tries.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let case = &cases[at.case];
                    // A block device is there once.
                    let _alone = matches!(case.to, cases::To::Device(_)).then(device_lock);
                    let place = match &mut place {
                        Some((index, place)) if *index == at.case => place,
                        other => &other.insert((at.case, Place::new(case))).1,
                    };
                    attempt(case, &undisturbed[at.case].0, place, at, (&tally, &kept));
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    let seconds = started.elapsed().as_secs();
    say(&format!("{}faults: of {in_all}, in {seconds} s\n", tally.table("faults")));
    let mut seen = HashSet::new();
    let few: Vec<&String> = tally.lost.iter().filter(|why| seen.insert(*why)).take(60).collect();
    assert!(tally.lost.is_empty(), "{} lost:\n{few:#?}", tally.lost.len());
    assert!(tally.injected() > 0);
    kept.into_inner().unwrap().open(&cases);
}

fn device_lock() -> std::sync::MutexGuard<'static, ()> {
    static DEVICE: Mutex<()> = Mutex::new(());
    DEVICE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
