//! A disk of limited space that several threads write to: what fits it, and which place is bad,
//! decides what is written, not which thread comes first.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::common::{core_of, noise, only_right_pages, options, text, x86_64};
use kdumpconv::{Codec, ConvertOptions, FileEnd, Sink, Space, WriteAt, convert};
use support::compare::compare;
use support::kdump::Kdump;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EFBIG: i32 = 27;

const BLOCK: u64 = 4096;

/// What stops writes.
#[derive(Clone, Copy, Debug)]
enum Limit {
    /// So many blocks have a place on the disk.
    Blocks(u64),
    /// The file may have so many bytes.
    Size(u64),
    /// This block cannot be written.
    Bad(u64),
}

/// A file on the disk; blocks that are not there are holes.
struct DiskFile {
    blocks: BTreeMap<u64, [u8; BLOCK as usize]>,
    limit: Limit,
    size: u64,
}

impl DiskFile {
    /// The block `number`, which gets a place if it has none.
    fn block(&mut self, number: u64) -> io::Result<&mut [u8; BLOCK as usize]> {
        let count = self.blocks.len() as u64;
        match self.limit {
            Limit::Blocks(most) if count >= most && !self.blocks.contains_key(&number) => {
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            Limit::Bad(bad) if bad == number => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(self.blocks.entry(number).or_insert([0; BLOCK as usize])),
        }
    }

    /// Writes the first of `bytes`, as far as they are in the block of `at`; returns how many.
    fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let start = (at % BLOCK) as usize;
        let mut end = (start + bytes.len()).min(BLOCK as usize);
        if let Limit::Size(limit) = self.limit {
            end = end.min(start + limit.saturating_sub(at).min(BLOCK) as usize);
            if end == start {
                return Err(io::Error::from_raw_os_error(EFBIG));
            }
        }
        self.block(at / BLOCK)?[start..end].copy_from_slice(&bytes[..end - start]);
        Ok(end - start)
    }

    fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let (start, end) = (range.start / BLOCK, range.end.div_ceil(BLOCK));
        let blocks = (start..end).map(|n| self.blocks.get(&n).unwrap_or(&[0; BLOCK as usize]));
        let bytes = blocks.flatten().copied().collect::<Vec<u8>>();
        let skipped = (range.start - start * BLOCK) as usize;
        bytes[skipped..skipped + (range.end - range.start) as usize].to_vec()
    }
}

#[derive(Clone)]
struct Disk {
    file: Arc<Mutex<DiskFile>>,
    is_shared: bool,
}

impl Disk {
    fn new(limit: Limit, is_shared: bool) -> Self {
        let file = DiskFile { blocks: BTreeMap::new(), limit, size: 0 };
        Disk { file: Arc::new(Mutex::new(file)), is_shared }
    }

    fn file(&self) -> MutexGuard<'_, DiskFile> {
        self.file.lock().unwrap()
    }

    /// Writes piece by piece, so that writes of several threads mix, up to the first error.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut at = offset;
        for piece in bytes.chunks(BLOCK as usize * 16) {
            if self.is_shared {
                thread::sleep(Duration::from_micros(at * 7919 % 97));
            }
            let mut file = self.file();
            let mut rest = piece;
            while !rest.is_empty() {
                let done = file.put(at, rest)?;
                (at, rest) = (at + done as u64, &rest[done..]);
            }
        }
        Ok(())
    }
}

impl WriteAt for Disk {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(offset, bytes)
    }
}

impl Sink for Disk {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(offset, bytes)
    }

    fn shared(&self) -> Option<Arc<dyn WriteAt>> {
        self.is_shared.then(|| Arc::new(self.clone()) as Arc<dyn WriteAt>)
    }

    fn write_zeros(&mut self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn clear(&mut self, range: Range<u64>) -> io::Result<()> {
        let mut file = self.file();
        let whole = range.start.div_ceil(BLOCK)..range.end / BLOCK;
        file.blocks.retain(|number, _| !whole.contains(number));
        for at in range.filter(|at| !whole.contains(&(at / BLOCK))) {
            if let Some(block) = file.blocks.get_mut(&(at / BLOCK)) {
                block[(at % BLOCK) as usize] = 0;
            }
        }
        Ok(())
    }

    fn reserve(&mut self, space: Space) -> io::Result<()> {
        let Space::Range(range) = space else { return Ok(()) };
        let mut file = self.file();
        (range.start / BLOCK..range.end.div_ceil(BLOCK)).try_for_each(|n| file.block(n).map(|_| ()))
    }

    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = self.file().bytes(offset..offset + buf.len() as u64);
        buf.copy_from_slice(&bytes);
        Ok(())
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.clear(end.unused.clone())?;
        self.file().size = end.size;
        end.write_header(self)?;
        Ok(end.size)
    }
}

/// Of 20 batches: text, noise, and zeros in turn, so that they differ in size.
fn core() -> VmcoreBuilder {
    (0..5).fold(x86_64().prstatus(0), |builder, index| {
        let bytes = [text(index, 700_000), noise(index, 900_000), vec![0; 400_000]].concat();
        builder.load(Load::new(index * 0x100_0000, bytes))
    })
}

/// The file, and what the report says of it.
fn converted(
    builder: &VmcoreBuilder,
    options: &ConvertOptions,
    mut disk: Disk,
) -> (Vec<u8>, String) {
    let core = core_of(builder.build()).unwrap();
    let report = convert(&core, &mut disk, options, &mut |_| ()).unwrap();
    let file = disk.file();
    let says = format!("{:?} {:?} {:?}", report.pages, report.reasons, report.cut_short);
    (file.bytes(0..file.size), says)
}

#[test]
fn what_fits_a_disk_does_not_depend_on_the_number_of_threads() {
    let builder = core();
    let model = Model::new(&builder, 4096);
    let whole =
        converted(&builder, &options(Codec::Raw, 1, 1), Disk::new(Limit::Size(u64::MAX), false));
    let blocks = whole.0.len() as u64 / BLOCK;
    let mut limits = vec![Limit::Size(u64::MAX)];
    for part in [5, 13, 29] {
        let middle = blocks * part / 32;
        limits.extend([
            Limit::Blocks(middle),
            Limit::Size(middle * BLOCK + 77),
            Limit::Bad(middle),
        ]);
    }
    for (codec, threads) in [(Codec::Raw, 1..=16), (Codec::Lzo, 2..=3)] {
        for limit in &limits {
            let expected = converted(&builder, &options(codec, 1, 1), Disk::new(*limit, false));
            let kdump = Kdump::from_bytes(&expected.0).unwrap();
            if kdump.is_incomplete() {
                only_right_pages(&model, &kdump).unwrap();
            } else {
                compare(&model, &kdump).unwrap();
            }
            for threads in threads.clone() {
                let found =
                    converted(&builder, &options(codec, 1, threads), Disk::new(*limit, true));
                assert_eq!(found.1, expected.1, "{codec:?}, {limit:?}, {threads} threads");
                assert!(found.0 == expected.0, "{codec:?}, {limit:?}, {threads} threads");
            }
        }
    }
}
