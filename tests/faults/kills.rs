//! Signals at every call and at any time: what the command leaves after SIGTERM and SIGINT, and
//! after SIGKILL.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::calls::Call;
use crate::cases::{self, Case, To};
use crate::command::{THREADS, say, undisturbed, wants_all};
use crate::common::random;
use crate::judge::{self, Expected};
use crate::run::{Left, Place};
use crate::tally::{Tally, Verdict};
use crate::tracer::{Action, Ended};

const SIGNALS: [Signal; 4] = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];

/// Of the moments that are not at a call.
const SEED: u64 = 0x6b64_756d_7063_6f6e;

/// Runs of the usual test, at calls and at any time.
const FEW: usize = 250;
const FEW_TIMED: usize = 60;
const MANY_TIMED: usize = 2000;

/// A signal to try.
#[derive(Debug)]
struct Try {
    case: usize,
    signal: Signal,
    when: When,
}

#[derive(Debug)]
enum When {
    /// At the n-th call.
    At(usize),
    /// At the n-th call, and again m calls later.
    Twice(usize, usize),
    After(Duration),
}

fn attempt(case: &Case, expected: &Expected, place: &Place, at: &Try) -> Result<Verdict, String> {
    let mut seen = 0;
    let mut decide = |_: &Call| {
        let number = seen;
        seen += 1;
        match at.when {
            When::At(n) if n == number => Action::Signal(at.signal),
            When::Twice(n, m) if number == n || number == n + m => Action::Signal(at.signal),
            _ => Action::Pass,
        }
    };
    let after = match at.when {
        When::After(pause) => Some((pause, at.signal)),
        _ => None,
    };
    let mut left = place.run(case, &mut decide, after);
    let said = format!("{:?}, said {:?}", left.ended, left.stderr);
    let verdict = judge(case, expected, at, &mut left);
    verdict.map_err(|why| {
        let names: Vec<&String> = left.files.iter().map(|(name, _)| name).collect();
        format!("{}: {at:?}: {why}\n    files {names:?}, {said}", case.name)
    })
}

fn judge(case: &Case, expected: &Expected, at: &Try, left: &mut Left) -> Result<Verdict, String> {
    let number = at.signal as i32;
    let ended = match left.ended {
        // Before it was ready for signals, or when it was not asked.
        Ended::Killed(signal) if signal == at.signal => None,
        Ended::Killed(signal) => return Err(format!("killed by {signal}")),
        Ended::Code(code) => Some(code),
    };
    let is_twice = matches!(at.when, When::Twice(..));
    if ended.is_none() || is_twice {
        let verdict = judge::after_kill(case, expected, left)?;
        let is_done = ended == Some(0);
        return if is_done && verdict != Verdict::Survived {
            Err("exit 0, but nothing".to_owned())
        } else {
            Ok(verdict)
        };
    }
    match ended {
        Some(code) if code == 128 + number => {
            let verdict = judge::after_signal(case, expected, left)?;
            if at.signal == Signal::SIGINT && verdict == Verdict::KeptIncomplete {
                return Err("SIGINT keeps nothing".to_owned());
            }
            Ok(verdict)
        }
        Some(0) => judge::after(case, expected, left, None),
        other => Err(format!("exit code {other:?}")),
    }
}

#[test]
fn no_signal_leaves_a_file_that_claims_more_than_it_has() {
    let started = Instant::now();
    let mut cases = cases::all(None);
    cases.retain(|case| {
        matches!(case.to, To::New | To::Replaced | To::InPlace) && case.name != "-d 31"
    });
    let undisturbed: Vec<(Expected, Vec<Call>)> = cases.iter().map(undisturbed).collect();
    let mut tries = Vec::new();
    let mut state = SEED;
    for (case, (_, calls)) in undisturbed.iter().enumerate() {
        for n in 0..calls.len() {
            tries.extend(SIGNALS.map(|signal| Try { case, signal, when: When::At(n) }));
            state = random(state);
            let later = 1 + (state % 40) as usize;
            let twice = Try { case, signal: Signal::SIGTERM, when: When::Twice(n, later) };
            tries.push(twice);
        }
    }
    let in_all = tries.len();
    let step = if wants_all() { 1 } else { (in_all / FEW) | 1 };
    let mut tries: Vec<Try> = tries.into_iter().step_by(step).collect();
    for nth in 0..if wants_all() { MANY_TIMED } else { FEW_TIMED } {
        state = random(state);
        // An undisturbed run takes about 10 ms, and up to 50 on a busy machine.
        let pause = Duration::from_micros(1000 + state % 30_000);
        let (case, signal) = (nth % cases.len(), SIGNALS[nth % SIGNALS.len()]);
        tries.push(Try { case, signal, when: When::After(pause) });
    }
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut place: Option<(usize, Place)> = None;
                while let Some(at) = tries.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let case = &cases[at.case];
                    let place = match &mut place {
                        Some((index, place)) if *index == at.case => place,
                        other => &other.insert((at.case, Place::new(case))).1,
                    };
                    let verdict = attempt(case, &undisturbed[at.case].0, place, at);
                    let how = match at.when {
                        When::At(_) => format!("{} at a call", at.signal),
                        When::Twice(..) => format!("{} twice", at.signal),
                        When::After(_) => format!("{} at any time", at.signal),
                    };
                    tally.lock().unwrap().add(case.name, &how, verdict);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    let seconds = started.elapsed().as_secs();
    say(&format!(
        "{}kills: of {in_all} and more, seed {SEED:#x}, in {seconds} s\n",
        tally.table("kills")
    ));
    let few: Vec<&String> = tally.lost.iter().take(40).collect();
    assert!(tally.lost.is_empty(), "{} lost:\n{few:#?}", tally.lost.len());
}
