//! Memory images: each is read as the vmcore of the same memory.

mod raw;
