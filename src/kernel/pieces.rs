//! Kernel memory read from front to back in small steps, at the cost of one translation a page.

use crate::kernel::error::AddressError;
use crate::kernel::translate::Translator;
use crate::pages::{Position, VirtAddr};

/// The smallest page of any kernel: what is lost for one unreadable byte.
const PIECE_BYTES: u64 = 4096;

/// Reads by virtual address, with the piece that was read last at hand.
#[derive(Debug)]
pub(crate) struct VirtualReader<'t, 'a> {
    translator: &'t Translator<'a>,
    start: Option<VirtAddr>,
    piece: Vec<u8>,
}

impl<'t, 'a> VirtualReader<'t, 'a> {
    pub(crate) fn new(translator: &'t Translator<'a>) -> Self {
        let bytes = usize::try_from(PIECE_BYTES).unwrap_or(0);
        VirtualReader { translator, start: None, piece: vec![0; bytes] }
    }

    /// Fills `buf` with the bytes from `vaddr` on.
    pub(crate) fn read(&mut self, vaddr: VirtAddr, buf: &mut [u8]) -> Result<(), AddressError> {
        let mut rest = buf;
        let mut at = vaddr;
        while !rest.is_empty() {
            let within = at.get() % PIECE_BYTES;
            let here = usize::try_from(PIECE_BYTES - within).unwrap_or(0).min(rest.len());
            let (part, behind) = rest.split_at_mut(here);
            self.read_within_piece(at, part)?;
            rest = behind;
            at = at.wrapping_add(here as u64);
        }
        Ok(())
    }

    /// The bytes from `vaddr` on that are at hand without reading; there may be none.
    pub(crate) fn at_hand(&self, vaddr: VirtAddr) -> &[u8] {
        let within = self.start.and_then(|start| vaddr.checked_sub(start));
        let within = within.and_then(|within| usize::try_from(within).ok());
        within.and_then(|within| self.piece.get(within..)).unwrap_or_default()
    }

    fn read_within_piece(&mut self, at: VirtAddr, part: &mut [u8]) -> Result<(), AddressError> {
        let within = usize::try_from(at.get() % PIECE_BYTES).unwrap_or(0);
        let start = at - at.get() % PIECE_BYTES;
        if self.start != Some(start) {
            self.start = None;
            if self.translator.read(start, &mut self.piece).is_err() {
                // What is asked for may be there all the same: memory ends within a page.
                return self.translator.read(at, part);
            }
            self.start = Some(start);
        }
        if let Some(found) = self.piece.get(within..within + part.len()) {
            part.copy_from_slice(found);
        }
        Ok(())
    }
}
