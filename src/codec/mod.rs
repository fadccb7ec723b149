//! A page to its stored bytes and back: by one of four codecs, or raw when that is not smaller.

mod damage;
mod deflate;

use std::ops::RangeInclusive;

use zstd::zstd_safe;

pub use damage::{Damage, Fault};

use crate::error::{Error, Result};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_LZO, DUMP_DH_COMPRESSED_SNAPPY, DUMP_DH_COMPRESSED_ZLIB,
    DUMP_DH_COMPRESSED_ZSTD,
};

/// How pages are compressed, each alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// RFC 1950: small files, every reader.
    Zlib,
    /// LZO1X: quick, every reader.
    Lzo,
    /// Snappy, raw blocks: quick.
    Snappy,
    /// One zstd frame a page: as small as zlib, three times as quick; readers since 2021.
    Zstd,
    /// Not at all.
    Raw,
}

impl Codec {
    /// The bits of all codecs.
    pub const ALL_FLAGS: u32 = DUMP_DH_COMPRESSED_ZLIB
        | DUMP_DH_COMPRESSED_LZO
        | DUMP_DH_COMPRESSED_SNAPPY
        | DUMP_DH_COMPRESSED_ZSTD;

    /// All of them.
    pub const ALL: [Codec; 5] = [Codec::Zlib, Codec::Lzo, Codec::Snappy, Codec::Zstd, Codec::Raw];

    /// The name as the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codec::Zlib => "zlib",
            Codec::Lzo => "lzo",
            Codec::Snappy => "snappy",
            Codec::Zstd => "zstd",
            Codec::Raw => "none",
        }
    }

    /// Its bit in the header's status and in a descriptor's flags.
    #[must_use]
    pub fn flag(self) -> u32 {
        match self {
            Codec::Zlib => DUMP_DH_COMPRESSED_ZLIB,
            Codec::Lzo => DUMP_DH_COMPRESSED_LZO,
            Codec::Snappy => DUMP_DH_COMPRESSED_SNAPPY,
            Codec::Zstd => DUMP_DH_COMPRESSED_ZSTD,
            Codec::Raw => 0,
        }
    }

    /// The codec whose bit `flags` is; [`Codec::Raw`] for 0; `None` for any other bits.
    #[must_use]
    pub fn of_flags(flags: u32) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.flag() == flags)
    }

    /// The levels that can be chosen; `None` where there is nothing to choose.
    #[must_use]
    pub fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Codec::Zlib => Some(1..=12),
            Codec::Zstd => Some(-7..=22),
            Codec::Lzo | Codec::Snappy | Codec::Raw => None,
        }
    }

    /// Whether `level` can be chosen.
    #[must_use]
    pub fn has_level(self, level: i32) -> bool {
        self.levels().is_some_and(|levels| levels.contains(&level))
    }

    /// The level when none is chosen: the quickest that makes files as small as makedumpfile's.
    const DEFAULT_LEVEL: i32 = 1;
}

/// How one page came to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Bytes stored.
    pub size: u32,
    /// The codec's bit, or 0 for a raw page.
    pub flags: u32,
}

/// Compresses pages of one size, one after the other, with state that is used again.
///
/// What a page becomes depends on nothing but its bytes.
pub struct Encoder {
    page_size: usize,
    flag: u32,
    engine: Engine,
}

enum Engine {
    /// Level 1.
    Zlib(Box<deflate::Zlib>),
    /// Levels 2 to 12: smaller files, at libdeflate's speed.
    Libdeflate(libdeflater::Compressor),
    Lzo(lzokit::Encoder),
    Snappy(Box<snap::raw::Encoder>),
    Zstd(zstd::bulk::Compressor<'static>),
    None,
}

impl Encoder {
    /// An encoder for pages of `page_size` bytes.
    ///
    /// # Errors
    /// [`Error::Codec`] when the codec has no such level or cannot start.
    pub fn new(codec: Codec, level: Option<i32>, page_size: usize) -> Result<Self> {
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
                libdeflater::CompressionLvl::new(level).map_err(|e| refused(format!("{e:?}")))?,
            )),
            Codec::Lzo => Engine::Lzo(lzokit::Encoder::new()),
            Codec::Snappy => Engine::Snappy(Box::new(snap::raw::Encoder::new())),
            Codec::Zstd => Engine::Zstd(
                zstd::bulk::Compressor::new(level).map_err(|e| refused(e.to_string()))?,
            ),
            Codec::Raw => Engine::None,
        };
        Ok(Encoder { page_size, flag: codec.flag(), engine })
    }

    /// Bytes that [`encode`](Self::encode) needs room for, whatever the page.
    #[must_use]
    pub fn room(&self) -> usize {
        match &self.engine {
            // Cannot need more: it is told to give up at a page's size.
            Engine::Zlib(_) | Engine::Libdeflate(_) | Engine::None => self.page_size,
            Engine::Lzo(_) => lzokit::max_compressed_len(self.page_size),
            Engine::Snappy(_) => snap::raw::max_compress_len(self.page_size),
            Engine::Zstd(_) => zstd_safe::compress_bound(self.page_size),
        }
        .max(self.page_size)
    }

    /// Stores `page` at the start of `out`, which has [`room`](Self::room).
    ///
    /// A page that the codec fails on (none does) is stored raw: it costs space, not the page.
    pub fn encode(&mut self, page: &[u8], out: &mut [u8]) -> Stored {
        let smaller = page.len().saturating_sub(1);
        let compressed = match &mut self.engine {
            Engine::Zlib(zlib) => out.get_mut(..smaller).and_then(|out| zlib.compress(page, out)),
            Engine::Libdeflate(zlib) => {
                out.get_mut(..smaller).and_then(|out| zlib.zlib_compress(page, out).ok())
            }
            Engine::Lzo(lzo) => lzo.compress_into(page, out).ok(),
            Engine::Snappy(snappy) => snappy.compress(page, out).ok(),
            Engine::Zstd(zstd) => zstd.compress_to_buffer(page, out).ok(),
            Engine::None => None,
        };
        let smaller = compressed.filter(|&size| size < page.len());
        if smaller.is_none() {
            if let Some(raw) = out.get_mut(..page.len()) {
                raw.copy_from_slice(page);
            }
        }
        let size = smaller.unwrap_or(page.len());
        Stored {
            // A page has 256 KiB at the most.
            size: u32::try_from(size).unwrap_or(u32::MAX),
            flags: if smaller.is_some() { self.flag } else { 0 },
        }
    }
}

/// Gives pages back from their stored bytes, one after the other, with state that is used again.
///
/// Nothing is allocated for a page, whatever its stored bytes claim to need.
pub struct Decoder {
    zlib: libdeflater::Decompressor,
    snappy: snap::raw::Decoder,
    zstd: zstd_safe::DCtx<'static>,
}

impl Decoder {
    /// A decoder for pages of every codec and size.
    ///
    /// # Errors
    /// [`Error::Codec`] when a codec cannot start.
    pub fn new() -> Result<Self> {
        let zstd = zstd_safe::DCtx::try_create().ok_or_else(|| Error::Codec {
            codec: Codec::Zstd.name(),
            why: "no memory for its state".to_owned(),
        })?;
        let (zlib, snappy) = (libdeflater::Decompressor::new(), snap::raw::Decoder::new());
        Ok(Decoder { zlib, snappy, zstd })
    }

    /// Decodes `stored` into `page`, which must come out exactly full.
    ///
    /// Bytes behind the stream are damage, but for zlib: libkdumpfile, crash and makedumpfile
    /// read such a page (zlib's `uncompress` does not look behind the checksum of what it gave),
    /// so we read it, too. With lzo, snappy and zstd they all refuse it. zstd alone may be cut
    /// into several frames, of which some may be skippable, as `ZSTD_decompress` has it.
    ///
    /// # Errors
    /// What is wrong with `stored`. What is in `page` then is not specified.
    pub fn decode(&mut self, codec: Codec, stored: &[u8], page: &mut [u8]) -> Result<(), Damage> {
        let page_size = page.len();
        let size = match codec {
            Codec::Zlib => {
                self.zlib.zlib_decompress(stored, page).map_err(|e| Fault::of_zlib(&e, page_size))
            }
            Codec::Lzo => {
                lzokit::decompress_into(stored, page).map_err(|e| Fault::of_lzo(&e, page_size))
            }
            Codec::Snappy => {
                self.snappy.decompress(stored, page).map_err(|e| Fault::of_snappy(&e, page_size))
            }
            Codec::Zstd => {
                self.zstd.decompress(page, stored).map_err(|e| Fault::of_zstd(e, page_size))
            }
            Codec::Raw => {
                if stored.len() == page_size {
                    page.copy_from_slice(stored);
                }
                Ok(stored.len())
            }
        };
        match size {
            Ok(size) if size == page_size => Ok(()),
            Ok(size) => Err(Fault::Size { size, page_size }),
            Err(fault) => Err(fault),
        }
        .map_err(|fault| Damage { codec, fault })
    }
}

#[cfg(test)]
mod tests;
