//! The way from record to record through log_buf, and over what is broken in it.
//!
//! ```text
//! never wrapped:  [first  records  next)
//! wrapped:        [0  newer records  next)  older remains  [first  older records)  empty header
//! ```
//!
//! The empty header, the mark, says that the next record did not fit before the end of the buffer: it is
//! at the start. Each byte is passed once, so no record can come twice.

use std::collections::VecDeque;
use std::ops::Range;

use super::header::{ALIGN, Flaw, Header, HeaderLayout, MAX_HEADER_BYTES, MAX_PADDING};
use crate::kernel::error::AddressError;
use crate::kernel::virtual_reader::VirtualReader;
use crate::pages::{PageSize, Position, VirtAddr};

/// Nanoseconds since boot that no kernel reaches (36 years). The eight bytes of a text are more.
const MAX_TS_NSEC: u64 = 1 << 60;

/// Maximum headers that look right but are followed by none that does: each costs a read of the page
/// that follows.
const MAX_FALSE_HEADERS: u32 = 1 << 14;

/// log_buf.
pub(super) struct Buffer<'t, 'a> {
    pub(super) layout: HeaderLayout,
    pub(super) reader: VirtualReader<'t, 'a>,
    pub(super) start: VirtAddr,
    pub(super) bytes: u64,
}

impl Buffer<'_, '_> {
    /// Fills `buf` with the bytes from `index` on.
    pub(super) fn read(&mut self, index: u64, buf: &mut [u8]) -> Result<(), AddressError> {
        self.reader.read(self.start.wrapping_add(index), buf)
    }

    /// The header of the record at `index`.
    #[expect(clippy::indexing_slicing, reason = "neither is longer than its maximum")]
    fn header(&mut self, index: u64, stretch: &Stretch) -> Result<Header, Flaw> {
        let mut bytes = [0; MAX_HEADER_BYTES];
        let bytes = &mut bytes[..self.layout.bytes];
        let header_bytes = bytes.len() as u64;
        let room = stretch.range.end.saturating_sub(index);
        if room < header_bytes {
            return Err(Flaw::NoRoom { length: header_bytes, room });
        }
        self.read(index, bytes)?;
        let header = self.layout.decode(bytes);
        header.check(if stretch.wraps { room - header_bytes } else { room })?;
        let mut padding = [0; MAX_PADDING];
        let padding = &mut padding[..header.padding()];
        // The content can be read without what follows it.
        let is_read = self.read(index.wrapping_add(header.content), padding).is_ok();
        if is_read && padding.iter().any(|&byte| byte != 0) {
            return Err(Flaw::Padding);
        }
        Ok(header)
    }

    /// The index at which the page after that of `index` begins.
    fn next_page(&self, index: u64) -> u64 {
        let page_bytes = PageSize::MIN.bytes();
        let into_page = self.start.wrapping_add(index).get() % page_bytes;
        index.saturating_add(page_bytes - into_page)
    }
}

/// What a walk comes to next.
pub(super) enum Step {
    Record {
        index: u64,
        header: Header,
    },
    /// What is at `index` is no record; the walk goes on at `resumed`.
    Gap {
        index: u64,
        resumed: u64,
        flaw: Flaw,
    },
    /// No record follows: here is the end of the log, or the next record is at index 0.
    End {
        index: u64,
    },
}

impl Step {
    /// Whether a record that begins at `index` would come next, or is lost here.
    pub(super) fn is_at(&self, wanted: u64) -> bool {
        match *self {
            Step::Record { index, .. } | Step::End { index } => index == wanted,
            Step::Gap { index, resumed, .. } => (index..resumed).contains(&wanted),
        }
    }
}

/// A part of log_buf in which one record follows the other.
#[derive(Clone)]
struct Stretch {
    range: Range<u64>,
    /// Whether the mark ends it. Before that, there is room for one header more than a record has.
    wraps: bool,
}

/// A walk from the oldest record to the newest.
#[derive(Clone)]
pub(super) struct Walk {
    stretches: VecDeque<Stretch>,
    index: u64,
    /// Where the content of the last record ends: the next one is not before that.
    content_end: u64,
    /// The time of the oldest record: remains are not newer.
    oldest: Option<u64>,
    /// The mark is not before this, so neither are remains after it.
    mark_from: u64,
    /// Whether it is known where the log ends.
    is_end_known: bool,
    false_headers: u32,
}

impl Walk {
    /// From the record at `first` to the one before `next`, if that is known.
    pub(super) fn new(buffer: &mut Buffer<'_, '_>, first: u64, next: Option<u64>) -> Walk {
        let end = next.unwrap_or(first);
        let stretch = |range, wraps| Stretch { range, wraps };
        let stretches = if next.is_some() && first <= end {
            VecDeque::from([stretch(first..end, false)])
        } else {
            VecDeque::from([stretch(first..buffer.bytes, true), stretch(0..end, false)])
        };
        // Where the record at the start, and a header after it, did not fit.
        let at_start = buffer.header(0, &stretch(0..end, false));
        let mark_from = at_start.map_or(0, |header| {
            buffer.bytes.saturating_sub(header.length + buffer.layout.bytes as u64)
        });
        Walk {
            stretches,
            index: first,
            content_end: first,
            oldest: None,
            mark_from,
            is_end_known: next.is_some(),
            false_headers: 0,
        }
    }

    /// The next step; `None` after the end of the log.
    pub(super) fn next(&mut self, buffer: &mut Buffer<'_, '_>) -> Option<Step> {
        let stretch = self.stretches.front()?.clone();
        let index = self.index;
        if index >= stretch.range.end {
            return Some(self.end());
        }
        let flaw = match buffer.header(index, &stretch) {
            // The remains of older records follow the newest.
            Ok(header) if !self.is_end_known && !self.is_newer_or_first(&header) => {
                return Some(self.end());
            }
            Err(_) if !self.is_end_known && !stretch.wraps => return Some(self.end()),
            Ok(header) => {
                self.content_end = index + header.content;
                self.index = index + header.length;
                self.oldest.get_or_insert(header.ts_nsec);
                return Some(Step::Record { index, header });
            }
            Err(flaw) => flaw,
        };
        let may_be_mark = stretch.wraps && matches!(flaw, Flaw::Blank) && index >= self.mark_from;
        let resumed = if self.is_end_known { self.search(buffer, &stretch) } else { None };
        Some(match resumed {
            None if may_be_mark => self.end(),
            resumed => {
                let resumed = resumed.unwrap_or(stretch.range.end);
                self.index = resumed;
                Step::Gap { index, resumed, flaw }
            }
        })
    }

    /// Leaves the stretch.
    fn end(&mut self) -> Step {
        let step = Step::End { index: self.index };
        self.stretches.pop_front();
        self.index = 0;
        self.content_end = 0;
        step
    }

    fn is_newer_or_first(&self, header: &Header) -> bool {
        self.oldest.is_none_or(|oldest| header.ts_nsec >= oldest)
    }

    /// Looks for the next record after the content of the last one: one with plausible lengths and
    /// time that is followed by another, or ends where the stretch ends.
    fn search(&mut self, buffer: &mut Buffer<'_, '_>, stretch: &Stretch) -> Option<u64> {
        let Walk { oldest, mark_from, .. } = *self;
        let is_live = |index: u64, header: &Header| {
            let may_be_remains = stretch.wraps && index >= mark_from;
            let is_newer = oldest.is_some_and(|oldest| header.ts_nsec > oldest);
            header.ts_nsec < MAX_TS_NSEC && (is_newer || !may_be_remains)
        };
        let mut at = self.content_end.next_multiple_of(ALIGN);
        while at < stretch.range.end && self.false_headers < MAX_FALSE_HEADERS {
            match buffer.header(at, stretch) {
                Ok(header) if is_live(at, &header) => {
                    let next = at + header.length;
                    let is_followed = match buffer.header(next, stretch) {
                        Ok(header) => is_live(next, &header),
                        Err(Flaw::Blank) => stretch.wraps && next >= mark_from,
                        Err(_) => next == stretch.range.end,
                    };
                    if is_followed {
                        return Some(at);
                    }
                    self.false_headers += 1;
                    at += ALIGN;
                }
                Err(Flaw::Unreadable(_)) => at = buffer.next_page(at),
                _ => at += ALIGN,
            }
        }
        None
    }
}
