//! A bitmap of pfns as ascending runs, so that one over 16 TiB of memory is as small as its contents.

use std::ops::Range;

use super::image::Image;

/// The set bits of a kdump bitmap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    /// Ascending, never adjacent.
    runs: Vec<Range<u64>>,
    /// How many bits are set before each run.
    ranks: Vec<u64>,
    count: u64,
}

impl Bitmap {
    /// Reads `len` bytes at `offset`: least significant bit first, bit 0 is pfn 0.
    ///
    /// # Errors
    /// When the image does not have these bytes.
    pub fn read(image: &Image, offset: u64, len: u64) -> Result<Self, String> {
        const CHUNK: u64 = 1 << 20;
        let zeros = vec![0; CHUNK as usize];
        let mut bitmap = Bitmap::default();
        let mut at = 0;
        while at < len {
            let chunk = image.read(offset + at, CHUNK.min(len - at))?;
            // Comparing slices is quick even in a debug build; most of a giant bitmap is zero.
            if chunk != zeros[..chunk.len()] {
                for (index, byte) in chunk.iter().enumerate() {
                    bitmap.push_byte((at + index as u64) * 8, *byte);
                }
            }
            at += chunk.len() as u64;
        }
        Ok(bitmap)
    }

    /// Whether the pfn's bit is set.
    #[must_use]
    pub fn contains(&self, pfn: u64) -> bool {
        self.rank(pfn).is_some()
    }

    /// How many bits are set before the pfn's, if that one is set.
    #[must_use]
    pub fn rank(&self, pfn: u64) -> Option<u64> {
        let index = self.runs.partition_point(|run| run.end <= pfn);
        let run = self.runs.get(index)?;
        (run.start <= pfn).then(|| self.ranks[index] + pfn - run.start)
    }

    /// How many bits are set.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The set bits as ascending runs that do not touch.
    #[must_use]
    pub fn runs(&self) -> &[Range<u64>] {
        &self.runs
    }

    /// The first pfn that is here and not in `other`.
    #[must_use]
    pub fn first_outside(&self, other: &Bitmap) -> Option<u64> {
        self.runs.iter().find_map(|run| {
            let index = other.runs.partition_point(|other| other.end <= run.start);
            match other.runs.get(index) {
                Some(other) if other.start <= run.start => {
                    (other.end < run.end).then_some(other.end)
                }
                _ => Some(run.start),
            }
        })
    }

    fn push_byte(&mut self, first_pfn: u64, byte: u8) {
        if byte == 0 {
            return;
        }
        if byte == 0xff {
            self.push(first_pfn..first_pfn + 8);
            return;
        }
        for bit in 0..8 {
            if byte & (1 << bit) != 0 {
                self.push(first_pfn + bit..first_pfn + bit + 1);
            }
        }
    }

    fn push(&mut self, pfns: Range<u64>) {
        let added = pfns.end - pfns.start;
        match self.runs.last_mut() {
            Some(last) if last.end == pfns.start => last.end = pfns.end,
            _ => {
                self.ranks.push(self.count);
                self.runs.push(pfns);
            }
        }
        self.count += added;
    }
}
