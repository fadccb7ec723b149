//! QEMU's migration streams: `migrate file:`, `savevm`, `virsh save`, `virsh dump` without
//! `--memory-only`.
//!
//! `stream` walks the sections, `ram` reads the records of memory in them, and `pages` is the index
//! that they end in. `memory` shows it as bytes, and `placement` says where in physical memory those
//! are. `devices` finds the state of devices, and `cpu` makes notes of the CPUs' registers; `libvirt` skips a
//! header. How records are laid out belongs in `format::qemu`.

mod cpu;
mod cursor;
mod devices;
pub(super) mod libvirt;
mod memory;
mod pages;
mod placement;
mod ram;
mod stream;

use std::sync::Arc;

use crate::dump::image::qemu::devices::{Description, DeviceState};
use crate::dump::image::qemu::memory::StreamMemory;
use crate::dump::image::qemu::placement::{Layouts, NamedBlock, Placement};
use crate::dump::image::{Image, ImageLayout, ImageRange, Machine};
use crate::error::{Error, Result};
use crate::format::{ImageKind, qemu};
use crate::input::{RandomInput, ReadAt, read_full};
use crate::pages::ranges::{within, without};
use crate::pages::{FileRange, Span};

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
        (None, Some(_)) if !ends(&**input, stream.has_footers) => {
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
    let Layouts { mut of_any, mut of_one, are_guesses } =
        placement.layouts(stream.machine.as_deref(), cmos);
    let arrived = memory.arrived();
    // Where nothing is: after the end of the view.
    let nowhere = stream.devices_at.is_none().then_some(memory.size().unwrap_or_default());
    let unsent = of_any.first().map_or(0, |layout| unsent_bytes(layout, &arrived));
    if unsent > 0 && nowhere.is_none() {
        let kibibytes = unsent >> 10;
        warnings.push(format!(
            "{kibibytes} KiB of RAM were never sent: the guest had given them back, or said that they are free"
        ));
    }
    for layout in of_any.iter_mut().chain(of_one.iter_mut().map(|(_, layout)| layout)) {
        *layout = of_arrived(layout, &arrived, nowhere);
    }
    faults.extend(placement.unplaced.iter().map(|NamedBlock { name, range }| {
        let mebibytes = range.len() >> 20;
        format!(
            "RAM block {name} ({mebibytes} MiB) is not in the dump: the stream does not say where it is in memory"
        )
    }));
    let bytes = input.with_bytes(memory);
    let file_bytes = input.size().unwrap_or_default();
    let image = Image { file_bytes, ..Image::new(kind, bytes, Vec::new()) };
    Ok(Image {
        layouts: of_any,
        layouts_of: of_one,
        is_guessed: are_guesses,
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

/// Whether a stream without description ends with its last section, after a footer if there are any.
fn ends(input: &dyn ReadAt, has_footers: bool) -> bool {
    let mut last = [0; 1 + qemu::WORD_BYTES + 1];
    let at = input.size().and_then(|size| size.checked_sub(last.len() as u64));
    let is_read = at.is_some_and(|at| read_full(input, &mut last, at).is_ok());
    is_read && matches!(last, [footer, .., 0] if !has_footers || footer == qemu::FOOTER)
}

/// How many bytes of a layout did not arrive.
fn unsent_bytes(layout: &ImageLayout, arrived: &[FileRange]) -> u64 {
    let unsent = layout.iter().map(|range| {
        range.addresses.len() - within(arrived, in_view(range)).map(|part| part.len()).sum::<u64>()
    });
    unsent.sum()
}

fn in_view(range: &ImageRange) -> FileRange {
    Span::of(range.offset, range.addresses.len())
}

/// The parts of a layout that arrived. Of memory that is cut off the others are placed at offset
/// `nowhere` and after it, where they are missing; a complete stream has all that the guest had.
fn of_arrived(layout: &ImageLayout, arrived: &[FileRange], nowhere: Option<u64>) -> ImageLayout {
    let mut parts = Vec::new();
    for range in layout {
        let all = in_view(range);
        let part = |part: FileRange, offset| {
            let start = range.addresses.start + (part.start - all.start);
            ImageRange { addresses: Span::of(start, part.len()), offset }
        };
        let there: Vec<FileRange> = within(arrived, all).collect();
        parts.extend(there.iter().map(|here| part(*here, here.start)));
        let unsent = nowhere.map(|nowhere| (nowhere, without(vec![all], &there)));
        parts.extend(unsent.into_iter().flat_map(|(nowhere, unsent)| {
            unsent.into_iter().map(move |gone| part(gone, gone.start + nowhere))
        }));
    }
    parts.sort_by_key(|range| range.addresses.start);
    parts
}
