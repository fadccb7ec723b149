//! Codecs by name, and a value for each.

use kdumpconv::Codec;
use serde::Serialize;

/// How pages are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) enum CodecName {
    /// Compressed with zlib.
    Zlib,
    /// Compressed with LZO1X.
    Lzo,
    /// Compressed with snappy.
    Snappy,
    /// Compressed with zstd.
    Zstd,
    /// Not compressed.
    None,
}

impl From<Codec> for CodecName {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Zlib => CodecName::Zlib,
            Codec::Lzo => CodecName::Lzo,
            Codec::Snappy => CodecName::Snappy,
            Codec::Zstd => CodecName::Zstd,
            Codec::Raw => CodecName::None,
        }
    }
}

/// Numbers of pages by codec, or of pages and the bytes that they are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "ByCodecOf{T}"))]
pub(crate) struct ByCodec<T> {
    /// Pages compressed with zlib.
    pub(crate) zlib: T,
    /// Pages compressed with LZO1X.
    pub(crate) lzo: T,
    /// Pages compressed with snappy.
    pub(crate) snappy: T,
    /// Pages compressed with zstd.
    pub(crate) zstd: T,
    /// Pages that are not compressed.
    pub(crate) none: T,
}

impl<T> ByCodec<T> {
    /// The value that `of` gives for each codec.
    pub(crate) fn new(of: impl Fn(Codec) -> T) -> Self {
        ByCodec {
            zlib: of(Codec::Zlib),
            lzo: of(Codec::Lzo),
            snappy: of(Codec::Snappy),
            zstd: of(Codec::Zstd),
            none: of(Codec::Raw),
        }
    }
}
