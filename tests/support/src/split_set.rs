//! Joins the files of a split set, as `makedumpfile --reassemble` does, and checks that it could.

use std::collections::HashMap;

use super::bitmap::Bitmap;
use super::image::Image;
use super::kdump_header::{Header, clear_split, guess_layout};
use super::kdump_pages::DESCRIPTOR_BYTES;

/// The file with the pages of all `files`, which are in the order of their pages.
///
/// # Errors
/// What crash, libkdumpfile or makedumpfile would refuse.
pub fn joined(files: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let first = files.first().ok_or("no files")?;
    let images: Vec<Image> =
        files.iter().map(|f| Image::from_bytes(f)).collect::<Result<_, _>>()?;
    let layout = guess_layout(&images[0])?;
    let headers: Vec<Header> =
        images.iter().map(|image| Header::read(image, layout)).collect::<Result<_, _>>()?;
    let header = &headers[0];
    let block = header.block_size as usize;
    let bitmaps = (1 + header.sub_hdr_size as usize) * block;
    let table = bitmaps + header.bitmap_blocks as usize * block;
    let half = header.bitmap_blocks / 2 * header.block_size;
    let dumped = Bitmap::read(&images[0], bitmaps as u64 + half, half)?;
    let rank = |pfn: u64| {
        dumped.runs().iter().map(|run| pfn.clamp(run.start, run.end) - run.start).sum::<u64>()
    };

    let mut bytes = first[..table].to_vec();
    clear_split(&mut bytes, block, layout);
    let mut descriptors = Vec::new();
    let mut data = Vec::new();
    let table_end = table + dumped.count() as usize * DESCRIPTOR_BYTES as usize;
    let shared_zeros = (header.dump_level & 1 == 1).then_some(table_end as u64);
    let mut end = 0;
    for (index, (file, own)) in files.iter().zip(&headers).enumerate() {
        if file[..block] != first[..block] {
            return Err(format!("the main header of file {index} differs"));
        }
        let mut head = file[..table].to_vec();
        clear_split(&mut head, block, layout);
        if head != bytes {
            return Err(format!("notes or bitmaps of file {index} differ"));
        }
        let word_aligned = own.start_pfn_64 % 64 == 0 || own.start_pfn_64 == own.max_mapnr_64;
        if (own.split, own.start_pfn_64, word_aligned) != (1, end, true) {
            return Err(format!("file {index} starts at {:#x}, after {end:#x}", own.start_pfn_64));
        }
        let obsolete = |pfn: u64| pfn.min(u64::from(u32::MAX));
        if (own.start_pfn, own.end_pfn) != (obsolete(own.start_pfn_64), obsolete(own.end_pfn_64)) {
            return Err(format!("the obsolete pfns of file {index} differ"));
        }
        end = own.end_pfn_64;
        let mut places = HashMap::new();
        for at in 0..rank(end) - rank(own.start_pfn_64) {
            let at = table + (at * DESCRIPTOR_BYTES) as usize;
            let descriptor = &file[at..at + DESCRIPTOR_BYTES as usize];
            let number = |from: usize, to: usize| layout.endian().number(&descriptor[from..to]);
            let (offset, size) = (number(0, 8), number(8, 12) as usize);
            if offset == 0 {
                descriptors.extend_from_slice(descriptor);
                continue;
            }
            let stored = file.get(offset as usize..offset as usize + size);
            let stored = stored.ok_or_else(|| format!("file {index}: no data at {offset:#x}"))?;
            let is_shared = shared_zeros == Some(offset);
            if is_shared && (size != block || stored.iter().any(|byte| *byte != 0)) {
                return Err(format!("file {index}: other data where pages of zeros are shared"));
            }
            let key = if is_shared { None } else { Some(offset) };
            let place = *places.entry(key).or_insert_with(|| {
                let place = table_end + data.len();
                data.extend_from_slice(stored);
                place
            });
            descriptors.extend(layout.endian().bytes(place as u64, 8));
            descriptors.extend_from_slice(&descriptor[8..]);
        }
    }
    if end != header.max_mapnr_64 {
        return Err(format!("the last file ends at {end:#x}, not {:#x}", header.max_mapnr_64));
    }
    bytes.extend(descriptors);
    bytes.extend(data);
    Ok(bytes)
}
