//! Checks the headers, bitmaps and notes of a kdump file, and whether they agree.

use crate::codec::Codec;
use crate::dump::Dump;
use crate::dump::kdump::{Kdump, KdumpFile};
use crate::error::counted;
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DUMP_DH_EXCLUDED_VMEMMAP, HEADER_VERSION, KdumpSubHeader,
};
use crate::input::{FlattenedStats, read_full};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};
use crate::verify::findings::{Finding, FindingKind, Findings};

/// Maximum bytes of padding that are checked after a bitmap. Its padding is shorter than a block;
/// only a hostile header claims more.
const MOST_PADDING_BYTES: u64 = 64 << 20;

/// Maximum bytes that are read at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// Maximum pages missing from the 1st bitmap that are reported one by one.
const STRAY_EXAMPLES: usize = 16;

/// Every bit of `status` that a writer sets.
const KNOWN_STATUS: u32 =
    Codec::ALL_FLAGS | DUMP_DH_COMPRESSED_INCOMPLETE | DUMP_DH_EXCLUDED_VMEMMAP;

/// Checks the headers, bitmaps and notes of a kdump file, or of each file of a split set.
pub(super) fn check(dump: &Dump, kdump: &Kdump, findings: &mut Findings) {
    for (index, file) in kdump.files.iter().enumerate() {
        let mut push = |finding: Finding| findings.push(finding.in_file(index));
        file.damage.iter().for_each(|why| push(Finding::new(FindingKind::Stream, why)));
        file.flattened.as_ref().and_then(surplus).into_iter().for_each(&mut push);
        check_fields(file, &mut push);
        check_places(file, &mut push);
        for (name, place, end) in bitmaps(file) {
            check_padding(file, name, place, end, &mut push);
        }
        if file.header.status & DUMP_DH_COMPRESSED_INCOMPLETE != 0 {
            push(Finding::new(FindingKind::SaysIncomplete, "its header is marked incomplete"));
        }
    }
    check_stray(kdump, findings);
    check_notes(dump, kdump, findings);
}

/// A remark on what follows the end mark of a flattened file.
pub(super) fn surplus(flat: &FlattenedStats) -> Option<Finding> {
    let bytes = Some(flat.surplus_bytes).filter(|&bytes| bytes > 0)?;
    let why = format!("{} after the end mark of the flattened file", counted(bytes, "byte"));
    Some(Finding::new(FindingKind::Remark, why))
}

fn check_fields(file: &KdumpFile, push: &mut dyn FnMut(Finding)) {
    let (header, sub) = (&file.header, &file.sub_header);
    let block_size = u64::from(header.block_size);
    let low = sub.max_mapnr_32();
    if header.header_version >= HEADER_VERSION && header.max_mapnr != low {
        push(
            Finding::new(
                FindingKind::Header,
                format!(
                    "max_mapnr is {:#x} in the main header, but {:#x} in the sub header",
                    header.max_mapnr, sub.max_mapnr_64
                ),
            )
            .at(FileOffset::ZERO),
        );
    }
    let unknown = header.status & !KNOWN_STATUS;
    if unknown != 0 {
        let why = format!("status {:#x}: bits {unknown:#x} are unknown", header.status);
        push(Finding::new(FindingKind::Header, why).at(FileOffset::ZERO));
    }
    let needed = 2 * file.blocks_end.get().div_ceil(8).div_ceil(block_size);
    let blocks = u64::from(header.bitmap_blocks);
    if file.bitmap1 == file.bitmap2 {
        let why =
            format!("{blocks} bitmap blocks have room for only one bitmap: it serves as both");
        push(Finding::new(FindingKind::Remark, why).at(FileOffset::ZERO));
    } else if blocks != needed {
        let why = format!("{blocks} bitmap blocks, although {needed} are enough");
        push(Finding::new(FindingKind::Remark, why).at(FileOffset::ZERO));
    }
}

/// Checks the places that the sub header gives for notes, VMCOREINFO and ERASEINFO.
fn check_places(file: &KdumpFile, push: &mut dyn FnMut(Finding)) {
    let sub = &file.sub_header;
    let first_block = FileOffset::new(file.header.block_size.into());
    let struct_bytes = KdumpSubHeader::bytes_in(file.layout) as u64;
    let blocks = Span::new(first_block, file.bitmap1.start);
    let file_end = file.input.size().map_or(FileOffset::MAX, FileOffset::new);
    let mut look = |name: &str, offset: u64, bytes: u64, in_headers: bool| {
        if bytes == 0 {
            return;
        }
        let offset = FileOffset::new(offset);
        let place = Span::new(offset, offset.saturating_add(bytes));
        let why = if offset.checked_add(bytes).is_none_or(|end| end > file_end) {
            "outside the file"
        } else if blocks.start <= place.start && place.end <= blocks.end {
            // Older versions have a shorter struct, and the notes follow it directly.
            let full = file.header.header_version >= HEADER_VERSION;
            if full && place.start < first_block + struct_bytes {
                "within the sub header itself"
            } else {
                return;
            }
        } else if in_headers {
            "not in the blocks of the sub header"
        } else if place.start < file.descriptors {
            // makedumpfile writes ERASEINFO after the pages.
            "within the headers and bitmaps"
        } else {
            return;
        };
        let why = format!("{name}: {bytes} bytes at {offset:#x} are {why}");
        push(Finding::new(FindingKind::Notes, why).at(offset));
    };
    look("notes", sub.offset_note, sub.size_note, true);
    look("VMCOREINFO", sub.offset_vmcoreinfo, sub.size_vmcoreinfo, true);
    look("ERASEINFO", sub.offset_eraseinfo, sub.size_eraseinfo, false);
}

/// The bitmaps of a file: name, place, and the end of the last block.
fn bitmaps(file: &KdumpFile) -> Vec<(&'static str, FileRange, FileOffset)> {
    let second = ("2nd bitmap", file.bitmap2, file.descriptors);
    if file.bitmap1 == file.bitmap2 {
        return vec![second];
    }
    vec![("1st bitmap", file.bitmap1, file.bitmap2.start), second]
}

/// Checks that all bits after `max_mapnr` are 0.
fn check_padding(
    file: &KdumpFile,
    name: &str,
    place: FileRange,
    end: FileOffset,
    push: &mut dyn FnMut(Finding),
) {
    let bits_used = file.blocks_end.get() % 8;
    let mut bits: u64 = 0;
    let mut first = None;
    let mut mask = if bits_used == 0 { 0xff } else { 0xffu8 << bits_used };
    let mut at = if bits_used == 0 { place.end } else { place.end - 1 };
    let end = end.min(at.saturating_add(MOST_PADDING_BYTES));
    let mut window = vec![0; WINDOW_BYTES];
    while at < end {
        let bytes = at_most(end - at, WINDOW_BYTES);
        let (part, _) = window.split_at_mut(bytes);
        let read = match file.input.read_arrived(part, at) {
            Ok(read) => read,
            Err(error) => {
                push(Finding::new(FindingKind::Bitmap, format!("{name}: {error}")).at(at));
                return;
            }
        };
        for (offset, byte) in Span::of(at, read as u64).iter().zip(part.iter()) {
            let stray = byte & mask;
            mask = 0xff;
            if stray != 0 {
                first = first.or(Some(offset));
                bits += u64::from(stray.count_ones());
            }
        }
        if read < bytes {
            break;
        }
        at += bytes as u64;
    }
    if let Some(first) = first {
        let why = format!(
            "{name}: {} set after max_mapnr {:#x}, the first in the byte at {first:#x}",
            counted(bits, "bit"),
            file.blocks_end
        );
        push(Finding::new(FindingKind::Bitmap, why).at(first));
    }
}

/// Reports pages that are in the 2nd bitmap but not in the 1st.
fn check_stray(kdump: &Kdump, findings: &mut Findings) {
    let Some(file) = kdump.files.first().filter(|_| kdump.stray > 0) else { return };
    let Ok(present) = file.read_bitmap(file.bitmap1) else { return };
    let stray = kdump.kept.runs().flat_map(|run| run.iter()).filter(|pfn| !present.contains(*pfn));
    let mut reported = 0;
    for pfn in stray.take(STRAY_EXAMPLES) {
        let why = "it is in the 2nd bitmap, but not in the 1st";
        findings.push(
            Finding::of_page(FindingKind::Bitmap, pfn, why).at(file.bitmap1.start + pfn.get() / 8),
        );
        reported += 1;
    }
    findings.count_more(FindingKind::Bitmap, kdump.stray.saturating_sub(reported));
}

fn check_notes(dump: &Dump, kdump: &Kdump, findings: &mut Findings) {
    dump.notes().damage.iter().for_each(|why| findings.push(Finding::new(FindingKind::Notes, why)));
    let Some(file) = kdump.files.first() else { return };
    let sub = &file.sub_header;
    let mut told = vec![0; in_memory(sub.size_vmcoreinfo.min(1 << 20))];
    match read_full(&*file.input, &mut told, sub.offset_vmcoreinfo) {
        Ok(read) => told.truncate(read),
        Err(error) => {
            let why = format!("VMCOREINFO cannot be read where the header places it: {error}");
            findings.push(
                Finding::new(FindingKind::Notes, why).at(FileOffset::new(sub.offset_vmcoreinfo)),
            );
            return;
        }
    }
    let mut remark = |why: String| findings.push(Finding::new(FindingKind::Remark, why));
    match dump.notes().vmcoreinfo_text() {
        None => remark("no VMCOREINFO: readers that need it must get it from elsewhere".to_owned()),
        Some(_) if sub.size_vmcoreinfo == 0 => {
            remark("the header places no VMCOREINFO: crash and makedumpfile see none".to_owned());
        }
        Some(text) if *text != *told && !dump.notes().vmcoreinfo_is_added() => {
            let why = "VMCOREINFO where the header places it differs from that in the notes";
            findings.push(
                Finding::new(FindingKind::Notes, why).at(FileOffset::new(sub.offset_vmcoreinfo)),
            );
        }
        Some(_) => {}
    }
    let info = dump.vmcoreinfo();
    let block_size = kdump.blocks.size;
    if let Some(told) =
        info.and_then(Vmcoreinfo::page_size).filter(|&told| told != block_size.bytes())
    {
        let why = format!(
            "block_size is {block_size}, but PAGESIZE={told} in VMCOREINFO: libkdumpfile and drgn cannot decode such a file",
        );
        findings.push(Finding::new(FindingKind::Header, why).at(FileOffset::ZERO));
    }
    let (cpus, saved) = (kdump.header.nr_cpus, dump.notes().cpus);
    if cpus != saved.max(1) {
        let why = format!("nr_cpus is {cpus}, but the notes have the registers of {saved} CPUs");
        findings.push(Finding::new(FindingKind::Remark, why).at(FileOffset::ZERO));
    }
}
