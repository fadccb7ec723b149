//! Decodes the stored bytes of pages.

use zstd::zstd_safe;

use super::{Codec, Damage, Fault};
use crate::error::{Error, Result};

/// Decodes stored pages one at a time, reusing its state.
///
/// Decoding a page never allocates, whatever its stored bytes claim to need.
pub(crate) struct Decoder {
    zlib: libdeflater::Decompressor,
    snappy: snap::raw::Decoder,
    pub(super) zstd: zstd_safe::DCtx<'static>,
}

impl Decoder {
    /// A decoder for every codec and page size.
    ///
    /// # Errors
    /// [`Error::Codec`] if a codec has no memory for its state.
    pub(crate) fn new() -> Result<Self> {
        let zstd = zstd_safe::DCtx::try_create().ok_or_else(|| Error::Codec {
            codec: Codec::Zstd.name(),
            why: "no memory for its state".to_owned(),
        })?;
        let (zlib, snappy) = (libdeflater::Decompressor::new(), snap::raw::Decoder::new());
        Ok(Decoder { zlib, snappy, zstd })
    }

    /// Decodes `stored` into `page`, which it must fill exactly.
    ///
    /// Bytes after the end of the stream are damage, except with zlib: `uncompress` of zlib stops at
    /// the checksum, so crash, libkdumpfile and makedumpfile read such a page, and this does too.
    /// With lzo, snappy and zstd they refuse it. The end marker of lzo may give any length, as for
    /// liblzo2, which all readers have. A zstd page may consist of several frames, some of
    /// them skippable, as for `ZSTD_decompress`.
    ///
    /// # Errors
    /// What is wrong with `stored`; the contents of `page` are then unspecified.
    pub(crate) fn decode(
        &mut self,
        codec: Codec,
        stored: &[u8],
        page: &mut [u8],
    ) -> Result<(), Damage> {
        let page_size = page.len();
        let size = match codec {
            Codec::Zlib => self
                .zlib
                .zlib_decompress(stored, page)
                .map_err(|error| Fault::from_zlib(&error, page_size)),
            Codec::Lzo => lzokit::decompress_into(stored, page)
                .map_err(|error| Fault::from_lzo(error, page_size)),
            Codec::Snappy => self
                .snappy
                .decompress(stored, page)
                .map_err(|error| Fault::from_snappy(&error, page_size)),
            Codec::Zstd => {
                self.zstd.decompress(page, stored).map_err(|code| Fault::from_zstd(code, page_size))
            }
            Codec::Raw if stored.len() == page_size => {
                page.copy_from_slice(stored);
                Ok(page_size)
            }
            Codec::Raw => Ok(stored.len()),
        };
        let fault = match size {
            Ok(size) if size == page_size => return Ok(()),
            Ok(size) => Fault::WrongSize { size: size as u64, page_size },
            Err(fault) => fault,
        };
        Err(Damage { codec, fault })
    }
}
