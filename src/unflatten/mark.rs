//! Whether a file that was rebuilt says itself that it is incomplete.

use crate::format::elf::{FileHeader, is_elf};
use crate::format::kdump::{DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader};
use crate::kernel::arch::Architecture;

/// Whether the header at the start of `bytes` is marked as incomplete. Writers that end a stream early,
/// but properly, leave that mark and the end mark.
pub(super) fn is_incomplete(bytes: &[u8]) -> bool {
    if is_elf(bytes) {
        return FileHeader::parse(bytes)
            .is_ok_and(|header| Architecture::marks_incomplete(&header));
    }
    DiskDumpHeader::decode(bytes)
        .is_ok_and(|(header, _)| header.status & DUMP_DH_COMPRESSED_INCOMPLETE != 0)
}
