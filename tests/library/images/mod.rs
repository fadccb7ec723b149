//! Memory images: each is read as the vmcore of the same memory.

mod guest;
mod qemu;
mod qemu_damage;
mod qemu_state;
mod raw;
mod vmware;
mod xen;
