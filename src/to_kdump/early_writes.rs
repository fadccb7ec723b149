//! The data of batches, written by the workers before the [`Writer`](super::writer::Writer) gets them.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pages::in_memory;
use crate::pipeline::EarlyWrites;
use crate::pipeline::batch::Batch;
use crate::sink::WriteAt;

/// Places the data of one batch after that of the other, and writes it there.
pub(crate) struct DataWrites {
    output: Arc<dyn WriteAt>,
    /// Where the data of the next batch goes, and the most that the file may take.
    space: Mutex<Range<u64>>,
}

impl DataWrites {
    pub(crate) fn new(output: Arc<dyn WriteAt>, space: Range<u64>) -> Self {
        DataWrites { output, space: Mutex::new(space) }
    }

    fn space(&self) -> MutexGuard<'_, Range<u64>> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One past the last byte that may have been written.
    pub(crate) fn reached(&self) -> u64 {
        self.space().start
    }
}

impl EarlyWrites<Batch> for DataWrites {
    fn place(&self, batch: &mut Batch) {
        let mut space = self.space();
        let (pages, bytes) = batch.fitting(space.end.saturating_sub(space.start));
        let end = space.start + bytes as u64;
        batch.place = space.start..end;
        space.start = end;
        if pages < batch.outcomes().len() {
            space.end = end; // the file ends here: smaller pages of later batches do not count
        }
    }

    fn write(&self, batch: &Batch) -> bool {
        let Range { start, end } = batch.place;
        let (data, _) = batch.data().split_at(in_memory(end - start));
        self.output.write_at(start, data).is_ok()
    }
}

/// The same for the files of a split set.
pub(crate) struct SetWrites(Vec<DataWrites>);

impl SetWrites {
    pub(crate) fn new(files: Vec<DataWrites>) -> Self {
        SetWrites(files)
    }

    /// One past the last byte of each file that may have been written.
    pub(crate) fn reached(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(DataWrites::reached)
    }
}

impl EarlyWrites<Batch> for SetWrites {
    fn place(&self, batch: &mut Batch) {
        if let Some(file) = self.0.get(batch.file) {
            file.place(batch);
        }
    }

    fn write(&self, batch: &Batch) -> bool {
        self.0.get(batch.file).is_some_and(|file| file.write(batch))
    }
}
