//! The report for scripts, whose names never change; it has all that the text report has.

use kdumpconv::summary::{ElfFacts, FileFacts, KdumpFacts, NameSource, Stored, Summary};
use kdumpconv::{ByteOrder, Codec, StructLayout};
use serde_json::{Map, Value, json};

use super::classes::Classes;
use super::utc::utc;
use crate::cli::ui::advice;
use crate::cli::ui::classes::excluded_classes;
use crate::cli::ui::messages::{SCHEMA, error_chain};
use crate::cli::ui::sizes::as_f64;

/// The report.
pub(super) fn report(input: &str, summary: &Summary, classes: Option<&Classes>) -> Value {
    let (elf, kdump) = match &summary.file {
        FileFacts::Elf(elf) => (Some(elf), None),
        FileFacts::Kdump(kdump) => (None, Some(kdump)),
        _ => (None, None),
    };
    let order = summary.layout.byte_order();
    let (pages, bytes) = (&summary.pages, &summary.bytes);
    json!({
        "schema": SCHEMA,
        "input": input,
        "kind": if elf.is_some() { "elf" } else { "kdump" },
        "complete": summary.is_complete(),
        "arch": summary.arch.uts_machine(order),
        "byte_order": if order == ByteOrder::Little { "little" } else { "big" },
        "layout": layout_name(summary.layout),
        "page_size": summary.page_size.bytes(),
        "phys_base": summary.phys_base,
        "elf": elf.map(of_elf),
        "kdump": kdump.map(of_kdump),
        "kernel": kernel(summary),
        "crash_time": summary.crash_time.map(|time| json!({
            "unix": time.seconds,
            "utc": utc(time.seconds),
            "source": if time.by_kernel { "vmcoreinfo" } else { "header" },
        })),
        "log": log(summary),
        "cpus": { "registers": summary.cpus.registers, "header": summary.cpus.header },
        "dump_level": {
            "bits": summary.dump_level.bits(),
            "excluded": excluded_classes(summary.dump_level),
        },
        "pages": {
            "max_mapnr": pages.max_mapnr.get(),
            "ram": pages.ram,
            "kept": pages.kept,
            "excluded": pages.excluded,
            "holes": pages.holes,
            "absent": pages.absent,
        },
        "classes": classes.map(Classes::json),
        "stored": summary.stored.as_ref().map(stored),
        "bytes": { "file": bytes.file, "memory": bytes.memory },
        "ratio": bytes.file.map(|file| as_f64(file) / as_f64(bytes.memory).max(1.0)),
        "memory": summary.ranges.list.iter().map(|range| json!({
            "start": range.pfns.start.get().saturating_mul(summary.page_size.bytes()),
            "end": range.pfns.end.get().saturating_mul(summary.page_size.bytes()),
            "pages": range.pfns.len(),
            "kept": range.kept,
        })).collect::<Vec<_>>(),
        "memory_ranges": summary.ranges.count,
        "note_bytes": bytes.notes,
        "notes": summary.notes.iter().map(|note| json!({
            "name": note.name,
            "type": note.kind,
            "count": note.count,
            "desc_bytes": note.desc_bytes,
        })).collect::<Vec<_>>(),
        "vmcoreinfo": summary.vmcoreinfo.as_ref().map(|text| {
            let text = String::from_utf8_lossy(text);
            json!({ "lines": text.lines().count(), "bytes": text.len(), "text": text })
        }),
        "eraseinfo_bytes": bytes.eraseinfo.unwrap_or(0),
        "warnings": summary.warnings,
        "remarks": summary.remarks.iter().map(|remark| json!({
            "id": remark.id,
            "text": advice::remark_text(remark, summary),
        })).collect::<Vec<_>>(),
    })
}

/// A layout of the kdump headers, as both reports name it.
pub(super) fn layout_name(layout: StructLayout) -> &'static str {
    match layout {
        StructLayout::Bits64(_) => "64-bit",
        StructLayout::Packed32 => "32-bit packed",
        StructLayout::Padded32(_) => "32-bit padded",
    }
}

fn of_elf(elf: &ElfFacts) -> Value {
    json!({
        "class": if elf.is_64bit { 64 } else { 32 },
        "machine": elf.machine,
        "program_headers": elf.program_headers,
    })
}

fn of_kdump(kdump: &KdumpFacts) -> Value {
    json!({
        "header_version": kdump.header_version,
        "status": kdump.status,
        "block_size": kdump.block_size,
        "sub_hdr_size": kdump.sub_hdr_size,
        "bitmap_blocks": kdump.bitmap_blocks,
        "codecs": kdump.codecs.iter().map(|codec| codec.name()).collect::<Vec<_>>(),
        "split": kdump.is_split,
        "files": kdump.files.iter().map(|file| json!({
            "start_pfn": file.pfns.start.get(),
            "end_pfn": file.pfns.end.get(),
            "flattened": file.flattened.as_ref().map(|flattened| json!({
                "records": flattened.records,
                "bytes": flattened.bytes,
                "ended": flattened.has_end_mark,
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
        Err(error) => json!({ "error": error_chain(error) }),
        Ok(log) => json!({
            "error": null,
            "panic": log.panic.message,
            "cause": log.panic.cause,
            "records": log.report.records,
            "lost": log.report.lost,
            "first_lost": log.report.why,
        }),
    }
}

fn stored(stored: &Stored) -> Value {
    let by_codec = |codec: Codec| {
        let tally = stored.by_codec(codec);
        (codec.name().to_owned(), json!({ "pages": tally.pages, "bytes": tally.bytes }))
    };
    json!({
        "descriptors": stored.descriptors,
        "looked_at": stored.sampled,
        "zero": { "pages": stored.zero.pages, "bytes": stored.zero.bytes },
        "codecs": Codec::ALL.into_iter().map(by_codec).collect::<Map<_, _>>(),
        "bytes": stored.bytes(),
        "lost": stored.unreadable,
        "first_lost": stored.first_unreadable,
    })
}
