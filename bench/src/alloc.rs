//! Counts the heap allocations of each thread separately, so that counting adds no measurable time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a count of calls and of bytes for each thread.
pub struct CountingAllocator;

fn count(calls: u64, allocated: usize, freed: usize) {
    CALLS.set(CALLS.get() + calls);
    BYTES.set(BYTES.get().wrapping_add(allocated as u64).wrapping_sub(freed as u64));
}

// SAFETY: every call is passed on, unchanged, to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size, layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Returns the number of this thread's allocations so far.
pub fn calls() -> u64 {
    CALLS.get()
}

/// Returns the bytes that this thread has allocated and not freed. Correct only if no other thread frees them.
pub fn bytes() -> u64 {
    BYTES.get()
}
