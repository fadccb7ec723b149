//! LiME images: walks the headers of the ranges.

use crate::dump::elf::MAX_PROGRAM_HEADERS;
use crate::dump::image::{Image, ImageRange};
use crate::error::{Error, Result};
use crate::format::ImageKind;
use crate::format::lime::{HEADER_BYTES, RangeHeader};
use crate::input::{RandomInput, read_full};
use crate::pages::FileOffset;

/// Reads the headers of all ranges.
///
/// # Errors
/// [`Error::Damaged`] for a header that is none; [`Error::Read`] if one cannot be read.
pub(super) fn read(input: RandomInput) -> Result<Image> {
    let size = input.size().unwrap_or(u64::MAX);
    let mut ranges = Vec::new();
    let mut faults = Vec::new();
    let mut at = 0;
    while at < size {
        let mut header = [0; HEADER_BYTES];
        let n = read_full(&*input, &mut header, at).map_err(Error::read("a LiME header"))?;
        if n < HEADER_BYTES {
            faults.push(format!("the image is cut off in the header at offset {at:#x}"));
            break;
        }
        let damaged = |why| Error::Damaged { what: "LiME header".to_owned(), offset: at, why };
        let addresses = match RangeHeader::decode(&header) {
            Ok(header) => header.addresses,
            Err(why) if ranges.is_empty() => return Err(damaged(why)),
            // Ranges that were found are worth more than an error.
            Err(why) => {
                faults.push(format!("LiME header at offset {at:#x}: {why}: the rest is not read"));
                break;
            }
        };
        if ranges.len() as u64 >= u64::from(MAX_PROGRAM_HEADERS) {
            return Err(damaged(format!("more than {MAX_PROGRAM_HEADERS} ranges")));
        }
        let offset = at + HEADER_BYTES as u64;
        ranges.push(ImageRange { addresses, offset: FileOffset::new(offset) });
        at = offset.saturating_add(addresses.len());
    }
    if at > size {
        faults.push(format!("the image is cut off: {size} of {at} bytes are there"));
    }
    Ok(Image { faults, ..Image::new(ImageKind::Lime, input, ranges) })
}
