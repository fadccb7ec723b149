//! An ordered parallel map: items are made in order, worked on in parallel, taken in order.
//!
//! ```text
//! next() --one at a time--> work() --in parallel--> emit() --one at a time, in order-->
//! ```
//!
//! There are no stages with threads of their own: every worker takes an item, works on it, and
//! whoever has completed the oldest item out emits it and all that wait behind it, while the
//! others go on. Nobody spins, and no more than a window of items is ever under way. One thread
//! is the same code without the others.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Items under way for each worker: enough that a worker seldom waits for a slow neighbour.
const WINDOW_PER_WORKER: usize = 4;

/// Runs the map with `workers` states, one a thread; the first thread is the caller's.
///
/// `next` makes items until it returns `Ok(None)`; `work` turns each into a result; `emit` gets
/// the results in the order of their items.
///
/// # Errors
/// The first error of `next`, after all earlier items were emitted; or of `emit`, after which
/// nothing is emitted any more.
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
        let own = workers.next();
        for worker in workers {
            // A thread that cannot be had (a limit on processes) is done without.
            let _ = thread::Builder::new().spawn_scoped(scope, || run(worker));
        }
        if let Some(worker) = own {
            run(worker);
        }
    });
    let queue = line.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    queue.error.map_or(Ok(()), Err)
}

struct Line<Next, Emit, Done, Error> {
    feed: Mutex<Feed<Next>>,
    queue: Mutex<Queue<Emit, Done, Error>>,
    /// Signalled when `emitted` has grown or the line has stopped.
    moved: Condvar,
    window: u64,
}

struct Feed<Next> {
    next: Next,
    taken: u64,
    ended: bool,
}

struct Queue<Emit, Done, Error> {
    /// Results from index `emitted` on, `window` of them; `None` is still being worked on.
    done: VecDeque<Option<Done>>,
    emitted: u64,
    /// Taken away by the worker that emits.
    emit: Option<Emit>,
    error: Option<Error>,
    stopped: bool,
}

/// Lets the other workers end when one panics: its item would be waited for forever.
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
    /// The feed stays locked while its holder waits for room: the others would only wait behind
    /// it, and whoever works on the oldest item needs the queue alone to go on.
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

    /// Puts a result into its place, and emits from the oldest on if nobody does.
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
                    // Emitting has its end here: `emit` is not put back.
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

    /// Squares 0..count on some threads, slowly in a pattern; returns what was emitted.
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
    fn no_more_than_the_window_is_under_way() {
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
