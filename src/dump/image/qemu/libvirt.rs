//! Saved guests of libvirt: its header, then QEMU's stream as it is. Compressed ones are a container,
//! which `input` undoes.

use crate::dump::image::{Image, qemu};
use crate::error::{Error, Result};
use crate::format::ImageKind;
use crate::format::libvirt::{HEADER_BYTES, SaveHeader, UNFINISHED};
use crate::input::{RandomInput, read_part};

/// Reads a saved guest.
///
/// # Errors
/// As [`qemu::read`]; [`Error::Damaged`] for a header that makes no sense.
pub(in crate::dump::image) fn read(input: RandomInput) -> Result<Image> {
    let mut first = [0; HEADER_BYTES];
    let first = read_part(&*input, &mut first, 0).map_err(Error::read("libvirt's header"))?;
    let damaged = |why| Error::Damaged { what: "libvirt's header".to_owned(), offset: 0, why };
    let header = SaveHeader::decode(first).ok_or_else(|| damaged("it has no magic".to_owned()))?;
    let header = header.map_err(damaged)?;
    let mut image = qemu::read_at(ImageKind::LibvirtSave, input, header.stream_offset)?;
    if !header.is_complete {
        image.faults.push(UNFINISHED.to_owned());
    }
    Ok(image)
}
