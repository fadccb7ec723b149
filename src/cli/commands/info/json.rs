//! The report for a script: names stay, and say what the text report does not.

use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::Summary;
use kdumpconv::dump::Body;
use kdumpconv::dump::elf::Core;
use kdumpconv::dump::kdump::Kdump;
use kdumpconv::summary::{NameSource, Stored};
use kdumpconv::{ByteOrder, StructLayout};
use serde_json::{Map, Value, json};

use super::classes::Classes;
use super::text::{excluded_classes, named_codecs};
use super::utc::utc;
use crate::cli::ui::messages::SCHEMA;
use crate::cli::ui::sizes::as_f64;

/// The report.
pub(super) fn report(
    input: &str,
    dump: &Dump,
    summary: &Summary,
    classes: Option<&Classes>,
) -> Value {
    let (elf, kdump) = match &dump.body() {
        Body::Elf(core) => (Some(core), None),
        Body::Kdump(kdump) => (None, Some(kdump)),
    };
    let order = dump.layout().byte_order();
    let level = dump.dump_level();
    let bytes = &summary.bytes;
    json!({
        "schema": SCHEMA,
        "input": input,
        "kind": if elf.is_some() { "elf" } else { "kdump" },
        "complete": !dump.is_incomplete() && summary.pages.absent == 0,
        "arch": dump.arch().uts_machine(order),
        "byte_order": if order == ByteOrder::Little { "little" } else { "big" },
        "layout": match dump.layout() {
            StructLayout::Bits64(_) => "64-bit",
            StructLayout::Packed32 => "32-bit packed",
            StructLayout::Padded32(_) => "32-bit padded",
        },
        "page_size": dump.page_size(),
        "phys_base": dump.phys_base(),
        "elf": elf.map(|core| of_elf(core)),
        "kdump": kdump.map(|kdump| of_kdump(kdump)),
        "kernel": kernel(summary),
        "crash_time": summary.crash_time.map(|time| json!({
            "unix": time.seconds,
            "utc": utc(time.seconds),
            "source": if time.by_kernel { "vmcoreinfo" } else { "header" },
        })),
        "log": log(summary),
        "cpus": {
            "registers": dump.notes().cpus,
            "header": dump.header().map(|header| header.nr_cpus),
        },
        "dump_level": { "bits": level.bits(), "excluded": excluded_classes(level) },
        "pages": {
            "max_mapnr": dump.max_mapnr(),
            "ram": summary.pages.ram,
            "kept": summary.pages.kept,
            "excluded": summary.pages.excluded,
            "holes": summary.pages.holes,
            "absent": summary.pages.absent,
        },
        "classes": classes.map(Classes::json),
        "stored": summary.stored.as_ref().map(stored),
        "bytes": { "file": bytes.file, "memory": bytes.memory },
        "ratio": bytes.file.map(|file| as_f64(file) / as_f64(bytes.memory).max(1.0)),
        "memory": summary.ranges.list.iter().map(|range| json!({
            "start": range.pfns.start.saturating_mul(dump.page_size()),
            "end": range.pfns.end.saturating_mul(dump.page_size()),
            "pages": range.pfns.end - range.pfns.start,
            "kept": range.kept,
        })).collect::<Vec<_>>(),
        "memory_ranges": summary.ranges.count,
        "note_bytes": dump.notes().bytes,
        "notes": summary.notes.iter().map(|note| json!({
            "name": note.name,
            "type": note.kind,
            "count": note.count,
            "desc_bytes": note.desc_bytes,
        })).collect::<Vec<_>>(),
        "vmcoreinfo": dump.notes().vmcoreinfo_text().map(|text| {
            let text = String::from_utf8_lossy(text);
            json!({ "lines": text.lines().count(), "bytes": text.len(), "text": text })
        }),
        "eraseinfo_bytes": dump.notes().eraseinfo.as_ref().map_or(0, |place| place.end - place.start),
        "warnings": dump.warnings(),
        "remarks": summary.remarks.iter().map(|remark| json!({
            "id": remark.id,
            "text": remark.text,
        })).collect::<Vec<_>>(),
    })
}

fn of_elf(core: &Core) -> Value {
    json!({
        "class": if core.header.is_64bit { 64 } else { 32 },
        "machine": core.header.e_machine,
        "program_headers": core.segments.len(),
    })
}

fn of_kdump(kdump: &Kdump) -> Value {
    let header = &kdump.header;
    json!({
        "header_version": header.header_version,
        "status": header.status,
        "block_size": header.block_size,
        "sub_hdr_size": header.sub_hdr_size,
        "bitmap_blocks": header.bitmap_blocks,
        "codecs": named_codecs(header.status).map(Codec::name).collect::<Vec<_>>(),
        "split": kdump.sub_header.split != 0,
        "files": kdump.files.iter().map(|file| json!({
            "start_pfn": file.pfns.start,
            "end_pfn": file.pfns.end,
            "flattened": file.flat.as_ref().map(|flat| json!({
                "records": flat.records,
                "bytes": flat.bytes,
                "ended": flat.ended,
            })),
        })).collect::<Vec<_>>(),
    })
}

fn kernel(summary: &Summary) -> Option<Value> {
    let kernel = summary.kernel.as_ref()?;
    let name = &kernel.name;
    Some(json!({
        "sysname": name.sysname,
        "nodename": name.nodename,
        "release": name.release,
        "version": name.version,
        "machine": name.machine,
        "domainname": name.domainname,
        "source": match kernel.source {
            NameSource::Header => "header",
            NameSource::Memory => "memory",
            NameSource::Vmcoreinfo => "vmcoreinfo",
        },
    }))
}

fn log(summary: &Summary) -> Value {
    match &summary.log {
        Err(why) => json!({ "error": why }),
        Ok(log) => json!({
            "error": null,
            "panic": log.panic.message,
            "cause": log.panic.cause,
            "records": log.ended.records,
            "lost": log.ended.lost,
            "first_lost": log.ended.why,
        }),
    }
}

fn stored(stored: &Stored) -> Value {
    let codecs: Map<String, Value> = Codec::ALL
        .into_iter()
        .map(|codec| {
            let share = stored.share(codec);
            (codec.name().to_owned(), json!({ "pages": share.pages, "bytes": share.bytes }))
        })
        .collect();
    json!({
        "descriptors": stored.descriptors,
        "looked_at": stored.looked_at,
        "zero": { "pages": stored.zero.pages, "bytes": stored.zero.bytes },
        "codecs": codecs,
        "bytes": stored.bytes(),
        "lost": stored.lost,
        "first_lost": stored.first_lost,
    })
}
