//! Pages to their stored bytes.

use zstd::zstd_safe;

use super::{Codec, deflate};
use crate::error::{Error, Result};

/// Size and codec of one stored page, as its page descriptor has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Bytes stored.
    pub size: u32,
    /// The codec's bit, or 0 for a raw page.
    pub flags: u32,
}

impl Stored {
    /// A page that is stored in `size` bytes.
    #[expect(clippy::expect_used, reason = "a page has at most 256 KiB, and is stored in no more")]
    pub(crate) fn new(size: usize, flags: u32) -> Self {
        Stored { size: u32::try_from(size).expect("stored bytes exceed a page"), flags }
    }
}

/// Compresses pages of one size one after the other and reuses its state.
///
/// The stored bytes of a page depend on nothing but the page's bytes.
pub(crate) struct Encoder {
    page_size: usize,
    flag: u32,
    engine: Engine,
}

enum Engine {
    /// Level 1.
    Zlib(Box<deflate::Zlib>),
    /// The other levels.
    Libdeflate(libdeflater::Compressor),
    Lzo(lzokit::Encoder),
    Snappy(Box<snap::raw::Encoder>),
    Zstd(zstd::bulk::Compressor<'static>),
    Raw,
}

impl Encoder {
    /// An encoder for pages of `page_size` bytes; without a `level`, the codec's default applies.
    ///
    /// # Errors
    /// [`Error::Codec`] if the codec does not have this level or its library cannot start.
    pub(crate) fn new(codec: Codec, level: Option<i32>, page_size: usize) -> Result<Self> {
        let refused = |why: String| Error::Codec { codec: codec.name(), why };
        match (codec.levels(), level) {
            (None, Some(_)) => return Err(refused("has no levels".to_owned())),
            (Some(levels), Some(level)) if !levels.contains(&level) => {
                let (low, high) = levels.into_inner();
                return Err(refused(format!("level {level} is not in {low}..={high}")));
            }
            _ => {}
        }
        let level = level.unwrap_or(Codec::DEFAULT_LEVEL);
        let engine = match codec {
            Codec::Zlib if level == Codec::DEFAULT_LEVEL => Engine::Zlib(Box::default()),
            Codec::Zlib => Engine::Libdeflate(libdeflater::Compressor::new(
                libdeflater::CompressionLvl::new(level)
                    .map_err(|_| refused(format!("level {level} is not supported")))?,
            )),
            Codec::Lzo => Engine::Lzo(lzokit::Encoder::new()),
            Codec::Snappy => Engine::Snappy(Box::new(snap::raw::Encoder::new())),
            Codec::Zstd => Engine::Zstd(
                zstd::bulk::Compressor::new(level).map_err(|e| refused(e.to_string()))?,
            ),
            Codec::Raw => Engine::Raw,
        };
        Ok(Encoder { page_size, flag: codec.flag(), engine })
    }

    /// The length of the output that [`encode`](Self::encode) needs, whatever the page.
    #[must_use]
    pub(crate) fn room(&self) -> usize {
        match &self.engine {
            // These stop where the page is not smaller.
            Engine::Zlib(_) | Engine::Libdeflate(_) | Engine::Raw => self.page_size,
            Engine::Lzo(_) => lzokit::max_compressed_len(self.page_size),
            Engine::Snappy(_) => snap::raw::max_compress_len(self.page_size),
            Engine::Zstd(_) => zstd_safe::compress_bound(self.page_size),
        }
        .max(self.page_size)
    }

    /// Stores `page` at the start of `out`.
    ///
    /// A page that does not become smaller is stored raw, and so is one on which a codec's library
    /// fails, which none is known to do: an error there costs space and no page.
    ///
    /// # Panics
    /// If `out` is shorter than the page. Shorter than [`room`](Self::room), it makes pages raw
    /// that need not be.
    // Inlined into the loop of its caller, snappy runs out of registers and takes 6 % more
    // instructions.
    #[inline(never)]
    pub(crate) fn encode(&mut self, page: &[u8], out: &mut [u8]) -> Stored {
        // What the codecs that can stop early may write: less than the page.
        let (smaller, _) = out.split_at_mut(page.len().saturating_sub(1));
        let compressed = match &mut self.engine {
            Engine::Zlib(zlib) => zlib.compress(page, smaller),
            Engine::Libdeflate(zlib) => zlib.zlib_compress(page, smaller).ok(),
            Engine::Lzo(lzo) => lzo.compress_into(page, out).ok(),
            Engine::Snappy(snappy) => snappy.compress(page, out).ok(),
            Engine::Zstd(zstd) => zstd.compress_to_buffer(page, out).ok(),
            Engine::Raw => None,
        };
        if let Some(size) = compressed.filter(|&size| size < page.len()) {
            return Stored::new(size, self.flag);
        }
        let (raw, _) = out.split_at_mut(page.len());
        raw.copy_from_slice(page);
        Stored::new(page.len(), 0)
    }
}
