//! An ordered parallel map: makes items in order, works on them in parallel, emits results in order.
//!
//! ```text
//! next() --one at a time--> work() --in parallel--> emit() --one at a time, in order-->
//! ```
//!
//! Where results can be written in any order, two more stages stand between `work` and `emit`:
//!
//! ```text
//! work() --> place() --one at a time, in order--> write() --in parallel--> emit()
//! ```
//!
//! All threads do the same: each takes the most urgent job that there is, and waits only if there is
//! none. `place` alone runs under the lock; no thread waits while another writes or emits. No
//! thread spins, and the number of items in progress is bounded. With a single thread, the same code
//! runs on the caller's thread alone.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Maximum items in progress per worker: enough that workers seldom wait for a slow one.
const WINDOW_PER_WORKER: usize = 4;

/// Writes results before they are emitted, several at a time.
pub(crate) trait EarlyWrites<Done>: Sync {
    /// Decides where `done` goes. Called for one result after the other, in the order of their items,
    /// so it must be quick.
    fn place(&self, done: &mut Done);

    /// Writes `done` to its place; returns whether that worked.
    fn write(&self, done: &Done) -> bool;
}

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
    mut emit: impl FnMut(Done) -> Result<(), Error> + Send,
) -> Result<(), Error>
where
    Item: Send,
    Done: Send,
    Worker: Send,
    Error: Send,
{
    ordered_with_writes(workers, next, work, None, |done, _| emit(done))
}

/// As [`ordered`], with results that are written early if there are `writes`. `emit` also gets
/// whether its result is written.
///
/// Once a write has failed, no other starts, and `emit` gets all results as not written from then on,
/// when no write is under way any more: what fits a full disk must not depend on which thread came
/// first.
///
/// # Errors
/// As [`ordered`].
pub(crate) fn ordered_with_writes<Item, Done, Worker, Error>(
    workers: Vec<Worker>,
    next: impl FnMut() -> Result<Option<Item>, Error> + Send,
    work: impl Fn(&mut Worker, Item) -> Done + Sync,
    writes: Option<&dyn EarlyWrites<Done>>,
    emit: impl FnMut(Done, bool) -> Result<(), Error> + Send,
) -> Result<(), Error>
where
    Item: Send,
    Done: Send,
    Worker: Send,
    Error: Send,
{
    let line = Line {
        state: Mutex::new(State {
            next: Some(next),
            has_ended: false,
            window: workers.len().max(1) * WINDOW_PER_WORKER,
            slots: VecDeque::new(),
            emitted: 0,
            placed: 0,
            writes,
            writing: 0,
            emit: Some(emit),
            error: None,
            is_stopped: false,
            idle: 0,
        }),
        changed: Condvar::new(),
    };
    let run = |mut worker: Worker| {
        let _guard = StopOnPanic(&line);
        while let Some(job) = line.job() {
            match job {
                Job::Make(mut next) => {
                    let made = next();
                    if let Some((index, item)) = line.made(next, made) {
                        line.worked(index, work(&mut worker, item));
                    }
                }
                Job::Write(index, writes, done) => {
                    let is_written = writes.write(&done);
                    line.written(index, done, is_written);
                }
                Job::Emit(mut emit, done, is_written) => {
                    let outcome = emit(done, is_written);
                    line.emitted(emit, outcome);
                }
            }
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
    let state = line.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.error.map_or(Ok(()), Err)
}

/// What the workers share.
struct Line<'a, Next, Emit, Done, Error> {
    state: Mutex<State<'a, Next, Emit, Done, Error>>,
    /// Signalled when there is a job for a worker that waits, or nothing to wait for.
    changed: Condvar,
}

struct State<'a, Next, Emit, Done, Error> {
    /// The source of items. Taken out by a worker while it makes one.
    next: Option<Next>,
    has_ended: bool,
    /// Maximum items in progress.
    window: usize,
    /// The items in progress, from index `emitted` on.
    slots: VecDeque<Slot<Done>>,
    emitted: u64,
    /// How many results got their place; none without `writes`.
    placed: u64,
    /// How results are written early, as long as no write has failed.
    writes: Option<&'a dyn EarlyWrites<Done>>,
    /// How many writes are under way.
    writing: usize,
    /// Taken out by a worker while it emits.
    emit: Option<Emit>,
    error: Option<Error>,
    is_stopped: bool,
    /// How many workers wait for a job.
    idle: usize,
}

/// How far an item is.
enum Slot<Done> {
    /// A worker has it.
    Busy,
    Worked(Done),
    /// It was written, or a worker tried to.
    Written(Done),
}

#[derive(Clone, Copy)]
enum Kind {
    Make,
    Write,
    Emit,
}

/// What a worker does next.
enum Job<'a, Next, Emit, Done> {
    Make(Next),
    Write(u64, &'a dyn EarlyWrites<Done>, Done),
    /// Whether the result is written comes last.
    Emit(Emit, Done, bool),
}

impl<'a, Next, Emit, Done, Error> State<'a, Next, Emit, Done, Error> {
    fn slot(&mut self, index: u64) -> Option<&mut Slot<Done>> {
        let place = usize::try_from(index.checked_sub(self.emitted)?).ok()?;
        self.slots.get_mut(place)
    }

    /// The kind of the most urgent job, if there is one: results make room for others.
    fn urgent(&mut self) -> Option<Kind> {
        if self.is_stopped {
            return None;
        }
        let (is_early, is_writing) = (self.writes.is_some(), self.writing > 0);
        let can_emit = match self.slots.front() {
            Some(Slot::Written(_)) => is_early || !is_writing,
            Some(Slot::Worked(_)) => !is_early && !is_writing,
            _ => false,
        };
        if can_emit && self.emit.is_some() {
            return Some(Kind::Emit);
        }
        if is_early && matches!(self.slot(self.placed), Some(Slot::Worked(_))) {
            return Some(Kind::Write);
        }
        let has_room = self.slots.len() < self.window;
        (has_room && !self.has_ended && self.next.is_some()).then_some(Kind::Make)
    }

    /// Takes the most urgent job.
    fn take(&mut self) -> Option<Job<'a, Next, Emit, Done>> {
        match self.urgent()? {
            Kind::Make => self.next.take().map(Job::Make),
            Kind::Write => {
                let index = self.placed;
                let writes = self.writes?;
                let mut done = self.slot(index)?.take()?;
                writes.place(&mut done);
                self.placed += 1;
                self.writing += 1;
                Some(Job::Write(index, writes, done))
            }
            Kind::Emit => {
                let is_written = self.writes.is_some();
                let done = self.slots.front_mut()?.take()?;
                Some(Job::Emit(self.emit.take()?, done, is_written))
            }
        }
    }

    /// Whether there is nothing to wait for.
    fn is_over(&self) -> bool {
        self.is_stopped || self.has_ended && self.slots.is_empty()
    }
}

impl<Done> Slot<Done> {
    fn take(&mut self) -> Option<Done> {
        match std::mem::replace(self, Slot::Busy) {
            Slot::Busy => None,
            Slot::Worked(done) | Slot::Written(done) => Some(done),
        }
    }
}

/// Stops the other workers if one panics: else they would wait forever for the result of its item.
struct StopOnPanic<'a, 'w, Next, Emit, Done, Error>(&'a Line<'w, Next, Emit, Done, Error>);

impl<Next, Emit, Done, Error> Drop for StopOnPanic<'_, '_, Next, Emit, Done, Error> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().is_stopped = true;
            self.0.changed.notify_all();
        }
    }
}

impl<'a, Next, Emit, Done, Error> Line<'a, Next, Emit, Done, Error> {
    fn lock(&self) -> MutexGuard<'_, State<'a, Next, Emit, Done, Error>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job of a worker; waits for one. `None` at the end.
    fn job(&self) -> Option<Job<'a, Next, Emit, Done>> {
        let mut state = self.lock();
        let job = loop {
            match state.take() {
                None if !state.is_over() => {
                    state.idle += 1;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
                job => break job,
            }
        };
        self.wake(&mut state);
        job
    }

    /// Wakes a worker that waits, if there is another job; all of them, if there will be none.
    fn wake(&self, state: &mut State<'a, Next, Emit, Done, Error>) {
        if state.idle > 0 {
            if state.is_over() {
                self.changed.notify_all();
            } else if state.urgent().is_some() {
                self.changed.notify_one();
            }
        }
    }

    /// Puts the source of items back after it made one; returns that with its index.
    fn made<Item>(&self, next: Next, made: Result<Option<Item>, Error>) -> Option<(u64, Item)> {
        let mut state = self.lock();
        state.next = Some(next);
        let item = match made {
            Ok(item) => item,
            Err(error) => {
                state.error.get_or_insert(error);
                None
            }
        };
        let made = item.map(|item| {
            state.slots.push_back(Slot::Busy);
            (state.emitted + state.slots.len() as u64 - 1, item)
        });
        state.has_ended = made.is_none();
        self.wake(&mut state);
        made
    }

    fn worked(&self, index: u64, done: Done) {
        if let Some(slot) = self.lock().slot(index) {
            *slot = Slot::Worked(done);
        }
    }

    fn written(&self, index: u64, done: Done, is_written: bool) {
        let mut state = self.lock();
        state.writing -= 1;
        if !is_written {
            state.writes = None;
        }
        if let Some(slot) = state.slot(index) {
            *slot = Slot::Written(done);
        }
    }

    /// Puts `emit` back after it emitted the oldest result.
    fn emitted(&self, emit: Emit, outcome: Result<(), Error>) {
        let mut state = self.lock();
        state.emit = Some(emit);
        state.slots.pop_front();
        state.emitted += 1;
        if let Err(error) = outcome {
            state.error = Some(error);
            state.is_stopped = true;
        }
    }
}

// benches/pipeline.rs has this file as a module of its own.
#[cfg(test)]
#[path = "ordered/tests.rs"]
mod tests;
