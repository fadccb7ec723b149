//! Page descriptors on their way to the table.

use std::io;

use crate::format::kdump::{PAGE_DESC_BYTES, PageDesc};
use crate::format::wire::ByteOrder;
use crate::sink::Sink;

/// Bytes of descriptors that are buffered at most: those of 5461 pages.
const BUFFER_BYTES: usize = 128 << 10;

/// Bytes of page data after which their descriptors are written: the most that is lost if a stream is
/// cut off.
const DATA_BYTES: u64 = 1 << 20;

/// Collects descriptors, and writes those with consecutive places together.
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// The offset of the table.
    table: u64,
    bytes: Vec<u8>,
    /// The runs of descriptors in `bytes`: the rank of the first, and their number.
    runs: Vec<(u64, usize)>,
    /// Bytes of data that they describe.
    data_bytes: u64,
}

impl Descriptors {
    /// Descriptors for the table at this offset.
    pub(crate) fn new(table: u64) -> Self {
        Descriptors {
            table,
            bytes: Vec::with_capacity(BUFFER_BYTES),
            runs: Vec::new(),
            data_bytes: 0,
        }
    }

    /// Adds the descriptor with this rank in the table.
    pub(crate) fn push(&mut self, rank: u64, desc: PageDesc, order: ByteOrder) {
        desc.append_to(&mut self.bytes, order);
        match self.runs.last_mut() {
            Some((first, count)) if *first + *count as u64 == rank => *count += 1,
            _ => self.runs.push((rank, 1)),
        }
    }

    /// Adds bytes of page data that are written, and described by what was pushed.
    pub(crate) fn add_data(&mut self, bytes: u64) {
        self.data_bytes += bytes;
    }

    /// The most bytes that are buffered before [`is_due`](Self::is_due) is true.
    pub(crate) fn most_bytes(&self) -> u64 {
        BUFFER_BYTES as u64
    }

    /// Whether enough have accumulated to be written.
    pub(crate) fn is_due(&self) -> bool {
        self.bytes.len() >= BUFFER_BYTES || self.data_bytes >= DATA_BYTES
    }

    /// Writes all of them. Those that an error keeps from being written stay.
    pub(crate) fn write(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        let mut rest = self.bytes.as_slice();
        for (rank, count) in &self.runs {
            let (these, after) = rest.split_at(count * PAGE_DESC_BYTES);
            sink.write_at(self.table + rank * PAGE_DESC_BYTES as u64, these)?;
            rest = after;
        }
        self.bytes.clear();
        self.runs.clear();
        self.data_bytes = 0;
        Ok(())
    }
}
