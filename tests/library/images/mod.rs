//! Memory images: each is read as the vmcore of the same memory.

mod qemu;
mod qemu_damage;
mod qemu_state;
mod raw;
