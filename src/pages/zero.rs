//! Pages of zeros: half of a usual memory.

const BLOCK_BYTES: usize = 256;

/// Whether all bytes of `page` are 0.
///
/// Most other pages differ in their first bytes; the rest is ORed in blocks that the compiler
/// turns into vector code (`cargo bench` measures it).
#[must_use]
pub(crate) fn is_zero(page: &[u8]) -> bool {
    let any = |block: &[u8]| block.iter().fold(0, |any, byte| any | byte) != 0;
    if page.first_chunk::<8>().is_some_and(|first| any(first)) {
        return false;
    }
    let mut blocks = page.chunks_exact(BLOCK_BYTES);
    !any(blocks.remainder()) && !blocks.any(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_set_bit_anywhere_makes_a_page_not_zero() {
        for len in [0, 1, 7, 8, 255, 256, 257, 4096] {
            let mut page = vec![0; len];
            assert!(is_zero(&page), "{len}");
            for at in 0..len {
                page[at] = 1 << (at % 8);
                assert!(!is_zero(&page), "{at} of {len}");
                page[at] = 0;
            }
        }
    }
}
