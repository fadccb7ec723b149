//! Inputs in memory.

use std::io;
use std::sync::Arc;

use crate::input::ReadAt;

/// Copies the bytes from `offset` on into `buf`; returns their number.
fn copy_from(bytes: &[u8], buf: &mut [u8], offset: u64) -> usize {
    // An offset that memory does not have is beyond the end.
    let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)).unwrap_or(&[]);
    let pairs = buf.iter_mut().zip(rest);
    pairs.map(|(byte, from)| *byte = *from).count()
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(copy_from(self, buf, offset))
    }

    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

/// Shared bytes: opening them again copies nothing.
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
    fn bytes_in_memory_end_where_they_end() {
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
