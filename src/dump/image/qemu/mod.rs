//! QEMU's migration streams: `migrate file:`, `savevm`, `virsh save`, `virsh dump` without
//! `--memory-only`.
//!
//! `stream` walks the sections, `ram` reads the records of memory in them, and `pages` is the index
//! that they end in. `memory` shows it as bytes, and `placement` says where in physical memory those
//! are. `devices` finds the state of devices, and `cpu` makes notes of the CPUs' registers. How records
//! are laid out belongs in `format::qemu`.

mod cpu;
mod cursor;
mod devices;
mod memory;
mod pages;
mod placement;
mod ram;
mod stream;

use std::sync::Arc;

use crate::dump::image::qemu::devices::{Description, DeviceState};
use crate::dump::image::qemu::memory::StreamMemory;
use crate::dump::image::qemu::placement::{NamedBlock, Placement};
use crate::dump::image::{Image, ImageLayout, ImageRange, Machine};
use crate::error::{Error, Result};
use crate::format::{ImageKind, qemu};
use crate::input::{RandomInput, ReadAt};
use crate::pages::{FileOffset, Span};

/// The device that has the CMOS of a PC.
const CLOCK: &str = "mc146818rtc";

/// The devices that matter.
#[derive(Default)]
struct Devices {
    cpus: Vec<DeviceState>,
    clock: Option<DeviceState>,
}

/// Reads a stream.
///
/// # Errors
/// [`Error::Unsupported`] if its memory is in a form that cannot be read; [`Error::Damaged`] or
/// [`Error::Read`] if there is no memory before the damage.
pub(super) fn read(input: RandomInput) -> Result<Image> {
    read_at(ImageKind::QemuMigration, input, 0)
}

/// Reads a stream that begins at offset `start`.
fn read_at(kind: ImageKind, input: RandomInput, start: u64) -> Result<Image> {
    let input = Arc::new(input);
    let failed = Error::read("the description of the devices");
    let description = Description::find(&**input).map_err(failed)?;
    let page_size = description.as_ref().and_then(|description| description.page_size);
    let page_size = page_size.filter(|size| size.is_power_of_two());
    let page_bytes = page_size.filter(|size| qemu::PAGE_BITS.contains(&size.trailing_zeros()));
    let stream = stream::walk(&**input, start, page_bytes.unwrap_or(qemu::PAGE_BYTES))?;
    let mut faults: Vec<String> = stream.fault.into_iter().collect();
    let devices = match (&description, stream.devices_at) {
        (Some(description), Some(from)) => {
            let states = |name| description.states(&**input, from, stream.has_footers, name);
            let failed = || Error::read("the state of the devices");
            Devices {
                cpus: states(cpu::CPU).map_err(failed())?,
                clock: states(CLOCK).map_err(failed())?.into_iter().next(),
            }
        }
        (None, Some(_)) if !ends(&**input) => {
            faults.push(
                "the stream is cut off in the state of the devices: registers are not read"
                    .to_owned(),
            );
            Devices::default()
        }
        _ => Devices::default(),
    };
    let machine = cpu::machine(&devices.cpus);
    let notes = machine.and_then(|machine| cpu::notes(&devices.cpus, machine));
    let mut warnings = Vec::new();
    if faults.is_empty() && notes.is_none() {
        warnings.push(no_registers(description.is_some(), &devices.cpus, machine));
    }
    let cmos = devices.clock.as_ref().and_then(|clock| clock.bytes("cmos_data", 0));
    let memory = StreamMemory::new(Arc::clone(&input), stream.blocks);
    let memory = memory.ok_or_else(|| Error::Damaged {
        what: format!("the {kind}"),
        offset: start,
        why: "it has more memory than any machine".to_owned(),
    })?;
    let blocks = memory.blocks().map(|(range, block)| {
        let name = String::from_utf8_lossy(&block.name).into_owned();
        NamedBlock { name, range }
    });
    let placement = Placement::new(blocks);
    let mut layouts = placement.layouts(stream.machine.as_deref(), cmos);
    if stream.devices_at.is_none() {
        let of_one = layouts.of_one.iter_mut().map(|(_, layout)| layout);
        for layout in layouts.of_any.iter_mut().chain(of_one) {
            *layout = without_missing(layout, &memory);
        }
    }
    warnings.extend(placement.unplaced.iter().map(|NamedBlock { name, range }| {
        let mebibytes = range.len() >> 20;
        format!(
            "RAM block {name} ({mebibytes} MiB) is not in the dump: the stream does not say where it is in memory"
        )
    }));
    let bytes = input.with_bytes(memory);
    let file_bytes = input.size().unwrap_or_default();
    let image = Image { file_bytes, ..Image::new(kind, bytes, Vec::new()) };
    Ok(Image {
        layouts: layouts.of_any,
        layouts_of: layouts.of_one,
        is_guessed: layouts.are_guesses,
        machine,
        notes: notes.unwrap_or_default(),
        warnings,
        faults,
        ..image
    })
}

/// Why there are no registers.
fn no_registers(is_described: bool, cpus: &[DeviceState], machine: Option<Machine>) -> String {
    let why = match machine {
        _ if !is_described => "the stream does not describe the state of its devices".to_owned(),
        _ if cpus.is_empty() => "the state of the CPUs was not found in the stream".to_owned(),
        None => "the first CPU does not run Linux, or is of an unknown kind".to_owned(),
        Some(machine) => format!("those of {} are not known", machine.arch),
    };
    format!("registers are not read: {why}")
}

/// Whether a stream without description ends with its last section.
fn ends(input: &dyn ReadAt) -> bool {
    let mut last = [1];
    let at = input.size().and_then(|size| size.checked_sub(1));
    at.is_some_and(|at| matches!(input.read_at(&mut last, at), Ok(1))) && last == [0]
}

/// A layout of memory that is not all there: what never arrived is placed after the end of the view,
/// where nothing is.
fn without_missing(layout: &ImageLayout, memory: &StreamMemory) -> ImageLayout {
    let mut parts = Vec::new();
    let end = FileOffset::new(memory.size().unwrap_or_default());
    for range in layout {
        let all = Span::of(range.offset, range.addresses.len());
        let part = |part: Span<FileOffset>, offset| {
            let start = range.addresses.start + (part.start - all.start);
            ImageRange { addresses: Span::of(start, part.len()), offset }
        };
        let arrived = memory.arrived(all);
        let missing = crate::pages::ranges::without(vec![all], &arrived);
        parts.extend(arrived.iter().map(|here| part(*here, here.start)));
        parts.extend(missing.iter().map(|gone| part(*gone, end + gone.start.get())));
    }
    parts.sort_by_key(|range| range.addresses.start);
    parts
}
