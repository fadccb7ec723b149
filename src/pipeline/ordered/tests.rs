//! What the line promises, with any number of threads.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Squares 0..count on some threads, each seventh slowly; returns what was emitted.
fn squares(
    threads: usize,
    count: u64,
    fail_emit_at: Option<u64>,
) -> (Vec<u64>, Result<(), String>) {
    let mut emitted = Vec::new();
    let mut items = 0..count;
    let result = ordered(
        vec![(); threads],
        || Ok(items.next()),
        |(), n| {
            if n % 7 == 0 {
                thread::sleep(Duration::from_micros(300));
            }
            n * n
        },
        |square| {
            if Some(square) == fail_emit_at {
                return Err(format!("full at {square}"));
            }
            emitted.push(square);
            Ok(())
        },
    );
    (emitted, result)
}

#[test]
fn results_come_in_the_order_of_their_items() {
    let expected: Vec<u64> = (0..500).map(|n| n * n).collect();
    for threads in [1, 2, 3, 8, 32] {
        assert_eq!(squares(threads, 500, None), (expected.clone(), Ok(())));
    }
}

#[test]
fn nothing_is_emitted_after_an_error_of_emit() {
    for threads in [1, 2, 8] {
        let (emitted, result) = squares(threads, 500, Some(49 * 49));
        assert_eq!(emitted, (0..49).map(|n| n * n).collect::<Vec<u64>>());
        assert_eq!(result, Err("full at 2401".to_owned()));
    }
}

#[test]
fn everything_before_an_error_of_next_is_emitted() {
    for threads in [1, 2, 8] {
        let mut emitted = Vec::new();
        let mut n = 0;
        let result = ordered(
            vec![(); threads],
            || {
                n += 1;
                if n <= 100 { Ok(Some(n)) } else { Err("gone") }
            },
            |(), n| n,
            |n| {
                emitted.push(n);
                Ok(())
            },
        );
        assert_eq!(emitted, (1..=100).collect::<Vec<_>>());
        assert_eq!(result, Err("gone"));
    }
}

#[test]
fn a_panic_of_one_worker_ends_the_others() {
    let outcome = std::panic::catch_unwind(|| {
        let mut items = 0..1000;
        ordered::<_, _, _, ()>(
            vec![(); 3],
            || Ok(items.next()),
            |(), n| assert_ne!(n, 20),
            |()| Ok(()),
        )
    });
    assert!(outcome.is_err());
}

#[test]
fn no_more_items_than_the_window_are_in_progress() {
    let under_way = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    let mut items = 0..300;
    ordered::<_, _, _, ()>(
        vec![(); 3],
        || {
            let item = items.next();
            if item.is_some() {
                most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            }
            Ok(item)
        },
        |(), n| n,
        |n| {
            if n % 50 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
            under_way.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        },
    )
    .unwrap();
    assert!(most.load(Ordering::SeqCst) <= 3 * WINDOW_PER_WORKER);
}

/// Writes early, by `write`.
struct Writes<W> {
    placed: Mutex<Vec<u64>>,
    under_way: AtomicUsize,
    write: W,
}

impl<W: Fn(u64) -> bool + Sync> Writes<W> {
    fn new(write: W) -> Self {
        Writes { placed: Mutex::default(), under_way: AtomicUsize::new(0), write }
    }

    /// Sends 0..count through the line; returns what was emitted, with whether it was written.
    fn run(&self, threads: usize, count: u64) -> Vec<(u64, bool)> {
        let mut items = 0..count;
        let mut emitted = Vec::new();
        let work = |(): &mut (), n: u64| {
            thread::sleep(Duration::from_micros(n * 7919 % 200));
            n
        };
        ordered_with_writes::<_, _, _, ()>(
            vec![(); threads],
            || Ok(items.next()),
            work,
            Some(self),
            |n, is_written| {
                assert!(is_written || self.under_way.load(Ordering::SeqCst) == 0);
                emitted.push((n, is_written));
                Ok(())
            },
        )
        .unwrap();
        emitted
    }
}

impl<W: Fn(u64) -> bool + Sync> EarlyWrites<u64> for Writes<W> {
    fn place(&self, n: &mut u64) {
        self.placed.lock().unwrap().push(*n);
    }

    fn write(&self, n: &u64) -> bool {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let is_written = (self.write)(*n);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        is_written
    }
}

#[test]
fn results_are_placed_in_order_and_emitted_once_they_and_all_before_are_written() {
    for threads in [1, 2, 3, 8] {
        let written = Mutex::new(Vec::new());
        let writes = Writes::new(|n| {
            thread::sleep(Duration::from_micros(n * 104_729 % 300));
            written.lock().unwrap().push(n);
            true
        });
        let emitted = writes.run(threads, 200);
        assert!(emitted.iter().copied().eq((0..200).map(|n| (n, true))));
        assert!(writes.placed.into_inner().unwrap().into_iter().eq(0..200));
        let mut written = written.into_inner().unwrap();
        written.sort_unstable();
        assert!(written.into_iter().eq(0..200));
    }
}

#[test]
fn no_write_waits_for_another() {
    // Each write ends only when all threads write.
    for threads in [2, 4] {
        let all = std::sync::Barrier::new(threads);
        let writes = Writes::new(|_| {
            all.wait();
            true
        });
        assert_eq!(writes.run(threads, 8 * threads as u64).len(), 8 * threads);
    }
}

#[test]
fn after_a_failed_write_all_results_are_left_to_emit() {
    for threads in [1, 2, 8] {
        let writes = Writes::new(|n| n % 100 != 50);
        let emitted = writes.run(threads, 200);
        assert!(emitted.iter().map(|(n, _)| *n).eq(0..200));
        // Earlier ones may be emitted after it failed.
        let first = emitted.iter().position(|(_, is_written)| !is_written).unwrap();
        assert!(first <= 50, "{first}");
        assert!(emitted.iter().skip(first).all(|(_, is_written)| !is_written));
        let placed = writes.placed.into_inner().unwrap().len();
        assert!((51..51 + threads * WINDOW_PER_WORKER).contains(&placed), "{placed}");
    }
}

#[test]
fn a_panic_of_a_write_ends_the_others() {
    let writes = Writes::new(|n| {
        assert_ne!(n, 20);
        true
    });
    let run = std::panic::AssertUnwindSafe(|| writes.run(3, 1000));
    assert!(std::panic::catch_unwind(run).is_err());
}
