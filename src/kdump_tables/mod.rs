//! The tables of a kdump file that is being written: its bitmaps and page descriptors.
//!
//! `bitmap` writes a bitmap as its runs become known. `compaction` puts the tables in order in place if
//! fewer pages arrived than the 2nd bitmap has. Where the tables are, and which pages they should
//! have, belongs in `to_kdump` and `unflatten`; what a descriptor looks like, in `format`.

mod bitmap;
mod compaction;

pub(crate) use bitmap::{BitmapWriter, write_bitmap};
pub(crate) use compaction::{Compacted, Entry, Tables, clear_lost, compact};
