//! Every fuzz target runs its check with a bound on memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kdumpconv::hostile::Target;

/// Memory that any input may use, and additional memory per byte of input. The checks hold a file,
/// its bitmaps and its pages more than once.
const MOST_BYTES: usize = 48 << 20;
const MOST_PER_BYTE: usize = 512;

/// Counts the allocated bytes and their peak.
struct Counted;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTED: Counted = Counted;

// SAFETY: every call is passed on to the system allocator; counting touches none of its memory.
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
