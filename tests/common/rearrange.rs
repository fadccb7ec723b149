//! Rearranges flattened streams in memory.

use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use kdumpconv::Input;
use kdumpconv::{FileEnd, Sink};
use kdumpconv::{FlattenedStream, Unflattened};
use kdumpconv::{Result, unflatten};

use super::{InMemory, Trickle};

/// A file in memory that can hold `space` bytes.
pub struct Store {
    pub bytes: Vec<u8>,
    pub space: usize,
    pub closed: Option<u64>,
}

impl Store {
    pub fn new() -> Self {
        Store { bytes: Vec::new(), space: usize::MAX, closed: None }
    }
}

impl Sink for Store {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset > 1 << 26 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let start = usize::try_from(offset).unwrap();
        let fits = bytes.len().min(self.space.saturating_sub(start));
        if self.bytes.len() < start + fits {
            self.bytes.resize(start + fits, 0);
        }
        self.bytes[start..start + fits].copy_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }

    fn write_zeros(&mut self, _range: Range<u64>) -> io::Result<()> {
        Ok(()) // as a new file
    }

    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let end = start + buf.len();
        buf.copy_from_slice(self.bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        assert_eq!(self.closed.replace(end.size), None, "closed twice");
        self.bytes.resize(usize::try_from(end.size).unwrap(), 0);
        end.write_header(self)?;
        Ok(end.size)
    }
}

pub fn run(input: impl Into<Input>, store: &mut Store) -> Result<Unflattened> {
    unflatten(FlattenedStream::open(input)?, store, &AtomicBool::new(false), &mut |_| ())
}

/// Rearranges a file; returns the bytes written and the report.
pub fn file(bytes: &[u8]) -> Result<(Vec<u8>, Unflattened)> {
    let mut store = Store::new();
    let result = run(Box::new(InMemory(bytes.to_vec())), &mut store)?;
    assert_eq!(store.closed, result.usable.then_some(result.file_bytes));
    Ok((store.bytes, result))
}

/// The same for a pipe.
pub fn pipe(bytes: &[u8]) -> Result<(Vec<u8>, Unflattened)> {
    let reader = Box::new(Trickle::new(bytes.to_vec()));
    let mut store = Store::new();
    // The folder does not exist, because nothing may be spooled.
    let result = run(Input::from_reader(reader, "/nonexistent")?, &mut store)?;
    Ok((store.bytes, result))
}

/// A stream of these records without an end mark.
pub fn cut_stream(records: &[(i64, &[u8])]) -> Vec<u8> {
    let mut bytes = b"makedumpfile\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01".to_vec();
    bytes.resize(4096, 0);
    for (offset, data) in records {
        bytes.extend(offset.to_be_bytes());
        bytes.extend((data.len() as u64).to_be_bytes());
        bytes.extend(*data);
    }
    bytes
}

pub fn stream(records: &[(i64, &[u8])]) -> Vec<u8> {
    [cut_stream(records), vec![0xff; 16]].concat()
}
