//! Inputs in memory.

use std::io;
use std::sync::Arc;

use crate::input::ReadAt;
use crate::pages::at_most;

/// Copies the bytes from `offset` on into `buf`; returns their number.
fn copy_from(bytes: &[u8], buf: &mut [u8], offset: u64) -> usize {
    let (_, rest) = bytes.split_at(at_most(offset, bytes.len()));
    let count = rest.len().min(buf.len());
    buf.split_at_mut(count).0.copy_from_slice(rest.split_at(count).0);
    count
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(copy_from(self, buf, offset))
    }

    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

/// Shared bytes: opening them a second time copies nothing.
impl ReadAt for Arc<[u8]> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(copy_from(self, buf, offset))
    }

    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

/// Bytes that are part of the program, by `include_bytes!`.
impl ReadAt for &'static [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(copy_from(self, buf, offset))
    }

    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_from_memory_stop_at_its_end() {
        let inputs: [Box<dyn ReadAt>; 3] = [
            Box::new(b"abcd".to_vec()),
            Box::new(Arc::<[u8]>::from(*b"abcd")),
            Box::new(b"abcd".as_slice()),
        ];
        for input in inputs {
            let mut buf = *b"....";
            assert_eq!(input.read_at(&mut buf, 2).unwrap(), 2);
            assert_eq!(buf, *b"cd..");
            assert_eq!(input.read_at(&mut buf, 4).unwrap(), 0);
            assert_eq!(input.read_at(&mut buf, u64::MAX).unwrap(), 0);
            assert_eq!(input.size(), Some(4));
        }
    }
}
