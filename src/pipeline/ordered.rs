//! An ordered parallel map: makes items in order, works on them in parallel, emits results in order.
//!
//! ```text
//! next() --one at a time--> work() --in parallel--> emit() --one at a time, in order-->
//! ```
//!
//! All threads do the same: take an item, work on it, and put its result into a queue. The worker that
//! completes the oldest item emits its result, and all completed results that follow it, while the
//! other workers go on. No thread spins, and the number of items in progress is bounded. With a
//! single thread, the same code runs on the caller's thread alone.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Maximum items in progress per worker: enough that workers seldom wait for a slow one.
const WINDOW_PER_WORKER: usize = 4;

/// Runs the map with one thread for each of `workers`, which are the threads' states. The first thread
/// is the caller's.
///
/// `next` makes items until it returns `Ok(None)`; `work` turns each item into a result; `emit` gets
/// the results in the order of their items.
///
/// # Errors
/// The first error of `next`, once the results of all earlier items have been emitted; or the first
/// error of `emit`, which is not called again.
pub(crate) fn ordered<Item, Done, Worker, Error>(
    workers: Vec<Worker>,
    next: impl FnMut() -> Result<Option<Item>, Error> + Send,
    work: impl Fn(&mut Worker, Item) -> Done + Sync,
    emit: impl FnMut(Done) -> Result<(), Error> + Send,
) -> Result<(), Error>
where
    Done: Send,
    Worker: Send,
    Error: Send,
{
    let window = workers.len().max(1) * WINDOW_PER_WORKER;
    let line = Line {
        feed: Mutex::new(Feed { next, taken: 0, ended: false }),
        queue: Mutex::new(Queue {
            done: (0..window).map(|_| None).collect(),
            emitted: 0,
            emit: Some(emit),
            error: None,
            stopped: false,
        }),
        moved: Condvar::new(),
        window: window as u64,
    };
    let run = |mut worker: Worker| {
        let _guard = StopOnPanic(&line);
        while let Some((index, item)) = line.take() {
            line.complete(index, work(&mut worker, item));
        }
    };
    thread::scope(|scope| {
        let mut workers = workers.into_iter();
        let first = workers.next();
        for worker in workers {
            // If a thread cannot start, as with a limit on processes, the others suffice.
            let _ = thread::Builder::new().spawn_scoped(scope, || run(worker));
        }
        if let Some(worker) = first {
            run(worker);
        }
    });
    let queue = line.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    queue.error.map_or(Ok(()), Err)
}

/// What the workers share.
struct Line<Next, Emit, Done, Error> {
    feed: Mutex<Feed<Next>>,
    queue: Mutex<Queue<Emit, Done, Error>>,
    /// Signalled when `emitted` has grown or the line has stopped.
    moved: Condvar,
    window: u64,
}

/// The source of items.
struct Feed<Next> {
    next: Next,
    /// Items taken so far, which is the index of the next one.
    taken: u64,
    ended: bool,
}

/// The results that wait to be emitted.
struct Queue<Emit, Done, Error> {
    /// The results of `window` items from index `emitted` on; `None` if an item is not completed.
    done: VecDeque<Option<Done>>,
    emitted: u64,
    /// Taken out of the queue by a worker while it emits.
    emit: Option<Emit>,
    error: Option<Error>,
    stopped: bool,
}

/// Stops the other workers if one panics: else they would wait forever for the result of its item.
struct StopOnPanic<'a, Next, Emit, Done, Error>(&'a Line<Next, Emit, Done, Error>);

impl<Next, Emit, Done, Error> Drop for StopOnPanic<'_, Next, Emit, Done, Error> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.queue().stopped = true;
            self.0.moved.notify_all();
        }
    }
}

impl<Next, Emit, Done, Error> Line<Next, Emit, Done, Error> {
    fn queue(&self) -> MutexGuard<'_, Queue<Emit, Done, Error>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Item, Next, Emit, Done, Error> Line<Next, Emit, Done, Error>
where
    Next: FnMut() -> Result<Option<Item>, Error>,
    Emit: FnMut(Done) -> Result<(), Error>,
{
    /// The next item and its index, once there is room for its result; `None` at the end.
    ///
    /// The feed stays locked while a worker waits for room: other workers could only wait too. The
    /// worker with the oldest item only needs the queue's lock to complete it: there is no deadlock.
    fn take(&self) -> Option<(u64, Item)> {
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self.queue();
        while !queue.stopped && feed.taken - queue.emitted >= self.window {
            queue = self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.stopped || feed.ended {
            return None;
        }
        drop(queue);
        match (feed.next)() {
            Ok(Some(item)) => {
                let index = feed.taken;
                feed.taken += 1;
                Some((index, item))
            }
            Ok(None) => {
                feed.ended = true;
                None
            }
            Err(error) => {
                feed.ended = true;
                self.queue().error.get_or_insert(error);
                None
            }
        }
    }

    /// Puts a result into the queue. Unless another worker is emitting, emits all completed results
    /// from the oldest on.
    fn complete(&self, index: u64, result: Done) {
        let mut queue = self.queue();
        let place = usize::try_from(index - queue.emitted).ok();
        if let Some(slot) = place.and_then(|place| queue.done.get_mut(place)) {
            *slot = Some(result);
        }
        while let Some(mut emit) = queue.emit.take() {
            let Some(oldest) = queue.done.front_mut().and_then(Option::take) else {
                queue.emit = Some(emit);
                return;
            };
            drop(queue);
            let outcome = emit(oldest);
            queue = self.queue();
            match outcome {
                Ok(()) => {
                    queue.emit = Some(emit);
                    queue.done.pop_front();
                    queue.done.push_back(None);
                    queue.emitted += 1;
                }
                Err(error) => {
                    // `emit` is not put back: nothing is emitted after an error.
                    queue.error = Some(error);
                    queue.stopped = true;
                }
            }
            self.moved.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
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
}
