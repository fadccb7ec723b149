//! Why a page cannot be read.

use crate::pages::FileOffset;

/// Why a page that the dump should contain cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct PageError {
    /// Which part of the dump is at fault.
    pub fault: PageFault,
    /// The offset of that part in the file, if it has one.
    pub offset: Option<FileOffset>,
    why: String,
}

impl PageError {
    /// An error that says `why`.
    pub(crate) fn new(fault: PageFault, offset: Option<FileOffset>, why: String) -> Self {
        PageError { fault, offset, why }
    }
}

/// Which part of a dump is at fault if a page cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageFault {
    /// The page is in a file of the split set that was not given.
    NotGiven,
    /// The page's descriptor is all zeros: the writer stopped before it wrote this page.
    Empty,
    /// The page's descriptor or data is missing from a flattened stream that broke off.
    NotArrived,
    /// The page's descriptor is implausible, or points outside the file.
    Descriptor,
    /// The page's descriptor is after the end of the file.
    DescriptorAfterEnd,
    /// The page's data begins where the file has bytes, or ends, but not all of it is there.
    DataCutOff,
    /// The page's data begins after the end of the file.
    DataAfterEnd,
    /// The page's descriptor or data cannot be read.
    Unreadable,
    /// The page's data cannot be decoded.
    Data,
}

impl PageFault {
    /// Whether the page, or its descriptor, is after the end of the file, or of a stream.
    pub(crate) fn is_after_end(self) -> bool {
        self.shows_cut() || self == PageFault::DataAfterEnd
    }

    /// Whether it shows that the file is cut off: that data begins after the end of the file may
    /// also come from a damaged descriptor.
    pub(crate) fn shows_cut(self) -> bool {
        matches!(
            self,
            PageFault::DescriptorAfterEnd | PageFault::DataCutOff | PageFault::NotArrived
        )
    }
}
