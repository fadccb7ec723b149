//! A model of many CPUs: the library's own line of workers, `src/pipeline/ordered.rs`, with simulated
//! codecs and disks.
//!
//! `cargo bench --bench pipeline` prints the throughput of input in GB/s for 1 to 64 workers, and what
//! the line itself takes. A simulated worker sleeps while its codec would compress, so this machine
//! needs no 64 CPUs; all times are `SLOWDOWN` times those of the real parts, to which waking up a
//! thread adds little then.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark may panic, prints its figures, and has small numbers"
)]

#[path = "../src/pipeline/ordered.rs"]
#[expect(dead_code, reason = "its tests run in the library")]
mod ordered;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use ordered::{EarlyWrites, ordered, ordered_with_writes};

const SLOWDOWN: f64 = 50.0;
/// Bytes of pages in a batch.
const BATCH: f64 = 524_288.0;
/// Bytes per second of a write into the page cache, by one thread.
const PAGE_CACHE: f64 = 2.8e9;
/// Bytes per second of reading from the page cache.
const READ: f64 = 7e9;

/// Compresses `rate` bytes per second to `share` of them.
struct Codec {
    name: &'static str,
    rate: f64,
    share: f64,
}

const CODECS: [Codec; 4] = [
    Codec { name: "none", rate: f64::INFINITY, share: 1.0 },
    Codec { name: "lzo", rate: 550e6, share: 0.53 },
    Codec { name: "zstd", rate: 165e6, share: 0.426 },
    Codec { name: "zlib", rate: 150e6, share: 0.43 },
];

/// How data gets out.
#[derive(Clone, Copy, PartialEq)]
enum Disk {
    /// By one thread at a time, in order, as into a pipe.
    InOrder,
    /// By all threads, which wait for each other in the kernel: it locks a file for each write.
    OneFile,
    /// By all threads at once, as to a block device, which the kernel does not lock.
    Device,
}

const DISKS: [(Disk, &str); 3] =
    [(Disk::InOrder, "in order"), (Disk::OneFile, "one file"), (Disk::Device, "device")];

fn spend(seconds: f64) {
    if seconds > 0.0 {
        thread::sleep(Duration::from_secs_f64(seconds * SLOWDOWN));
    }
}

/// A file that is written by simulated writes.
struct File<'a> {
    codec: &'a Codec,
    /// Held while a write is under way, if the kernel locks the file.
    lock: Option<Mutex<()>>,
}

impl File<'_> {
    fn write_seconds(&self) -> f64 {
        BATCH * self.codec.share / PAGE_CACHE
    }
}

impl EarlyWrites<u64> for File<'_> {
    fn place(&self, _done: &mut u64) {}

    fn write(&self, _done: &u64) -> bool {
        let _lock = self.lock.as_ref().map(|lock| lock.lock().unwrap());
        spend(self.write_seconds());
        true
    }
}

/// Bytes of input per second with so many workers.
fn throughput(workers: usize, codec: &Codec, disk: Disk) -> f64 {
    let batches = 16 + 8 * workers as u64;
    let file = File { codec, lock: (disk == Disk::OneFile).then(Mutex::default) };
    let writes = (disk != Disk::InOrder).then_some(&file as &dyn EarlyWrites<u64>);
    let mut items = 0..batches;
    let start = Instant::now();
    ordered_with_writes::<_, _, _, ()>(
        vec![(); workers],
        || Ok(items.next()),
        |(), batch| {
            // Pages differ: some batches take half as long again as others.
            let share = 0.8 + (batch * 7919 % 5) as f64 / 10.0;
            spend(BATCH / READ + BATCH / codec.rate * share);
            batch
        },
        writes,
        |_, is_written| {
            if !is_written {
                spend(file.write_seconds());
            }
            Ok(())
        },
    )
    .unwrap();
    batches as f64 * BATCH / (start.elapsed().as_secs_f64() / SLOWDOWN)
}

/// Writes that take no time.
struct Nothing;

impl EarlyWrites<u64> for Nothing {
    fn place(&self, _done: &mut u64) {}

    fn write(&self, _done: &u64) -> bool {
        true
    }
}

/// What the line takes for a batch if all stages take no time: at least the time under its lock.
fn seconds_of_line(workers: usize) -> f64 {
    const BATCHES: u64 = 300_000;
    let mut items = 0..BATCHES;
    let start = Instant::now();
    ordered_with_writes::<_, _, _, ()>(
        vec![(); workers],
        || Ok(items.next()),
        |(), batch| batch,
        Some(&Nothing),
        |_, _| Ok(()),
    )
    .unwrap();
    start.elapsed().as_secs_f64() / BATCHES as f64
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|argument| argument == "--test") {
        ordered::<_, _, _, ()>(vec![()], || Ok(None::<()>), |(), ()| (), |()| Ok(())).unwrap();
        return;
    }
    let line = (0..5).map(|_| seconds_of_line(1)).fold(f64::INFINITY, f64::min);
    println!("The line takes {:.0} ns a batch of 512 KiB with one worker.", line * 1e9);
    for codec in &CODECS {
        let per_gb = line * 1e9 / (BATCH * codec.share);
        println!("{}: {:.2} ms for each GB of output", codec.name, per_gb * 1e3);
    }
    for codec in &CODECS {
        println!(
            "\n| {}, GB/s of input | {} |",
            codec.name,
            DISKS.map(|(_, name)| name).join(" | ")
        );
        println!("|---|---|---|---|");
        for workers in [1, 2, 4, 8, 16, 32, 64] {
            let rates = DISKS.map(|(disk, _)| throughput(workers, codec, disk));
            println!(
                "| {workers} | {} |",
                rates.map(|rate| format!("{:.2}", rate / 1e9)).join(" | ")
            );
        }
    }
}
