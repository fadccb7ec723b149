//! The bytes of a kdump file that no reader can do without.

use crate::format::kdump::{DiskDumpHeader, Geometry, HEADER_VERSION, KdumpSubHeader};
use crate::format::wire::StructLayout;
use crate::pages::{FileOffset, FileRange, Span};

/// The parts of a file without which none of its pages can be found, and their names: the main header
/// but the [deferred](crate::format::kdump::EncodedHeader::deferred) fields, the sub header, and the
/// 1st bitmap.
#[must_use]
pub(crate) fn essential_parts(
    header: &DiskDumpHeader,
    layout: StructLayout,
    geometry: &Geometry,
) -> [(&'static str, FileRange); 4] {
    let encoded = header.encode(layout);
    let at = |offset: usize| FileOffset::new(offset as u64);
    // Before version 6 the sub header is shorter; of the two 32-bit ones, the packed one is.
    let sub_header_bytes = match layout {
        _ if header.header_version == 0 => 0,
        _ if header.header_version < HEADER_VERSION => size_of::<u64>(),
        StructLayout::Bits64(_) => KdumpSubHeader::bytes_in(layout),
        _ => KdumpSubHeader::bytes_in(StructLayout::Packed32),
    };
    let block = FileOffset::new(geometry.page_size.bytes());
    [
        ("main header", Span::new(at(0), at(encoded.deferred.start))),
        ("main header", Span::new(at(encoded.deferred.end), at(encoded.bytes.len()))),
        ("sub header", Span::of(block, sub_header_bytes as u64)),
        ("1st bitmap", geometry.bitmap1),
    ]
}
