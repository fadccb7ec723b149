//! Which entry of an archive is the dump.

use std::io::{Cursor, Read};

use crate::error::{Error, counted};
use crate::format::begins_dump;
use crate::input::Compression;

/// Bytes at the start of an entry by which it is recognised. A dump takes a few, but a compressed one
/// has to be decompressed up to them, and bzip2 does that in blocks of 900 KB.
pub(super) const FIRST_BYTES: u64 = 1 << 20;

/// Bytes at the start of a compressed entry that are decompressed.
const UNPACKED_BYTES: u64 = 64 << 10;

/// Maximum names in a message.
const MAX_NAMES: usize = 8;

/// Whether an entry that begins with `first` is a dump, which may be compressed.
pub(super) fn is_dump(first: &[u8]) -> bool {
    begins_dump(first)
        || Compression::of(first).is_some_and(|compression| {
            let mut unpacked = Vec::new();
            // It ends with an error, because `first` is only a part.
            let decoder = compression.decoder(Box::new(Cursor::new(first.to_vec())));
            let _ = decoder.map(|it| it.take(UNPACKED_BYTES).read_to_end(&mut unpacked));
            begins_dump(&unpacked)
        })
}

/// The entries that were passed, for a message.
#[derive(Default)]
pub(super) struct Contents {
    names: Vec<String>,
    more: u64,
}

impl Contents {
    pub(super) fn add(&mut self, name: &str) {
        if self.names.len() < MAX_NAMES {
            self.names.push(name.to_owned());
        } else {
            self.more += 1;
        }
    }

    /// That an archive of this kind has no dump.
    pub(super) fn no_dump(&self, kind: &str) -> Error {
        let more = match self.more {
            0 => String::new(),
            1 => " and 1 more entry".to_owned(),
            more => format!(" and {more} more entries"),
        };
        Error::NotRecognised(match self.names.as_slice() {
            [] => format!("the {kind} archive has no entries"),
            names => {
                let count = counted(names.len() as u64 + self.more, "file");
                let names = names.join(", ");
                format!("the {kind} archive has no dump in its {count}: {names}{more}")
            }
        })
    }
}

/// Why an archive of this kind is refused that has more than one dump.
pub(super) fn two_dumps(kind: &str, first: &str, second: &str) -> String {
    format!("the {kind} archive has more than one dump: {first} and {second}")
}
