//! A page to its stored bytes and back: by one of four codecs, or raw where that is not smaller.
//!
//! Files, descriptors and which pages are stored have no place here: the codecs see one page's bytes
//! at a time. LZO1X is in the crate `lzokit`, which knows nothing of pages.

mod damage;
mod decoder;
mod deflate;
mod encoder;

use std::ops::RangeInclusive;

use crate::format::kdump::{
    DUMP_DH_COMPRESSED_LZO, DUMP_DH_COMPRESSED_SNAPPY, DUMP_DH_COMPRESSED_ZLIB,
    DUMP_DH_COMPRESSED_ZSTD,
};

pub(crate) use damage::{Damage, Fault};
pub(crate) use decoder::Decoder;
pub(crate) use encoder::{Encoder, Stored};

/// How pages are compressed, each separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// RFC 1950: small files that every reader opens.
    Zlib,
    /// LZO1X: fast; every reader opens it.
    Lzo,
    /// Snappy, raw blocks: fast.
    Snappy,
    /// One zstd frame for each page: as small as zlib and three times as fast; readers since 2021.
    Zstd,
    /// No compression.
    Raw,
}

impl Codec {
    /// The bits of all codecs in the status of a header.
    pub const ALL_FLAGS: u32 = DUMP_DH_COMPRESSED_ZLIB
        | DUMP_DH_COMPRESSED_LZO
        | DUMP_DH_COMPRESSED_SNAPPY
        | DUMP_DH_COMPRESSED_ZSTD;

    /// All codecs.
    pub const ALL: [Codec; 5] = [Codec::Zlib, Codec::Lzo, Codec::Snappy, Codec::Zstd, Codec::Raw];

    /// The default level: the fastest whose files are as small as makedumpfile's.
    const DEFAULT_LEVEL: i32 = 1;

    /// The codec's place in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        match self {
            Codec::Zlib => 0,
            Codec::Lzo => 1,
            Codec::Snappy => 2,
            Codec::Zstd => 3,
            Codec::Raw => 4,
        }
    }

    /// The name on the command line, where [`Codec::Raw`] is `none`.
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

    /// The codec's bit in a header's status and in a page descriptor's flags; 0 for
    /// [`Codec::Raw`].
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

    /// The codec of a page descriptor's `flags`; `None` unless they are one codec's bit or 0.
    #[must_use]
    pub fn from_flags(flags: u32) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.flag() == flags)
    }

    /// The compression levels; `None` for a codec without levels.
    #[must_use]
    pub fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Codec::Zlib => Some(1..=12),
            Codec::Zstd => Some(-7..=22),
            Codec::Lzo | Codec::Snappy | Codec::Raw => None,
        }
    }

    /// Whether the codec has this level.
    #[must_use]
    pub fn has_level(self, level: i32) -> bool {
        self.levels().is_some_and(|levels| levels.contains(&level))
    }
}

#[cfg(test)]
mod tests;
