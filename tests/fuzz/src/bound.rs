//! What every fuzz target does: the check, and a bound on the memory that it takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kdumpconv::hostile::Target;

/// Bytes that any input may take, and each of its own bytes besides. The checks hold a file and
/// its bitmaps and pages more than once.
const MOST_BYTES: usize = 48 << 20;
const MOST_PER_BYTE: usize = 512;

/// Counts the bytes that are allocated, and the most there were.
struct Counted;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTED: Counted = Counted;

// SAFETY: all is the system allocator's; the counts beside it touch no memory of its.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) };
    }
}

/// Checks one input.
pub fn run(bytes: &[u8], check: Target) {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    check(bytes);
    let taken = MOST.load(Relaxed).saturating_sub(before);
    let allowed = MOST_BYTES + MOST_PER_BYTE * bytes.len();
    assert!(taken <= allowed, "{} bytes of input take {taken} bytes of memory", bytes.len());
}
