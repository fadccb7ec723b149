//! Opens inputs of any kind: their first bytes decide who reads them.

use std::sync::atomic::AtomicBool;

use crate::dump::kdump::FileBytes;
use crate::dump::{Dump, OpenOptions, elf, flattened, image, kdump};
use crate::error::{Error, Result};
use crate::format::elf::{ELF_SIGNATURE, is_elf};
use crate::format::flattened::{SIGNATURE as FLATTENED_SIGNATURE, is_flattened};
use crate::format::kdump::KDUMP_SIGNATURE;
use crate::format::{ImageKind, OTHER_KIND_BYTES, image_kind, other_kind};
use crate::input::{Input, RandomInput, ReadAt, read_full, read_part};
use crate::progress::Progress;

/// Bytes at the start of a file that identify its kind.
const MAGIC_BYTES: usize = 16;

/// Opens inputs with `options`. Reports to `progress` while streams are stored or memory is searched,
/// and stops that when `cancel` is set.
pub(super) struct Opener<'a> {
    pub options: &'a OpenOptions,
    pub cancel: &'a AtomicBool,
    pub progress: &'a mut dyn FnMut(Progress),
}

impl Opener<'_> {
    /// Opens the inputs of one dump.
    ///
    /// # Errors
    /// As [`Dump::open_all`].
    pub(super) fn open(&mut self, mut inputs: Vec<Input>) -> Result<Dump> {
        if let Some(memory) = &self.options.raw {
            let files = self.store_all(inputs)?;
            return self.image(image::raw::read(files, memory)?);
        }
        match inputs.pop() {
            Some(only) if inputs.is_empty() => self.one(only),
            last => {
                inputs.extend(last);
                self.several(inputs)
            }
        }
    }

    /// Opens a split set, or the state of a VMware guest and its memory.
    fn several(&mut self, inputs: Vec<Input>) -> Result<Dump> {
        let mut files = self.store_all(inputs)?;
        if let Some(state) = files.iter().position(image::vmware::is_state) {
            let state = files.swap_remove(state);
            return self.image(image::vmware::read(state, files)?);
        }
        let files = files.into_iter().map(FileBytes::of);
        kdump::open(files.collect::<Result<_>>()?, self.options)
    }

    fn one(&mut self, input: Input) -> Result<Dump> {
        let magic = magic(&*input)?;
        if is_elf(&magic) {
            return Ok(self.elf(input)?.blaming_stream());
        }
        if is_flattened(&magic) {
            return flattened::open(self.store(input)?, self);
        }
        if magic.starts_with(KDUMP_SIGNATURE) {
            return kdump::open(vec![FileBytes::Plain(self.store(input)?)], self.options);
        }
        let mut first = vec![0; OTHER_KIND_BYTES];
        let first = read_part(&*input, &mut first, 0).unwrap_or(&magic);
        if let Some(kind) = image_kind(first) {
            let image = image::read(kind, self.store(input)?)?;
            return Ok(self.image(image)?.blaming_stream());
        }
        let error = not_a_dump(first);
        Err(match input {
            Input::Random(input) if matches!(error, Error::NotRecognised(_)) => {
                image::raw_memory_error(input, self.cancel, self.progress).unwrap_or(error)
            }
            _ => error,
        })
    }

    /// Opens an ELF core, which may be Xen's of a guest.
    fn elf(&mut self, input: Input) -> Result<Dump> {
        if !image::xen::may_be_core(&*input)? {
            return elf::open(input, self.options);
        }
        let input = self.store(input)?;
        match image::xen::is_core(&input) {
            true => self.image(image::read(ImageKind::Xen, input)?),
            false => elf::open(input.into(), self.options),
        }
    }

    fn image(&mut self, image: image::Image) -> Result<Dump> {
        image::open(image, self.options, self.cancel, self.progress)
    }

    fn store(&mut self, input: Input) -> Result<RandomInput> {
        input.store(self.cancel, self.progress)
    }

    fn store_all(&mut self, inputs: Vec<Input>) -> Result<Vec<RandomInput>> {
        inputs.into_iter().map(|input| self.store(input)).collect()
    }
}

/// Why a file that begins with `first` is no dump.
pub(crate) fn not_a_dump(first: &[u8]) -> Error {
    let signatures = [ELF_SIGNATURE, KDUMP_SIGNATURE, FLATTENED_SIGNATURE];
    let is_cut = signatures.iter().any(|signature| signature.starts_with(first));
    match other_kind(first) {
        _ if first.is_empty() => Error::NotRecognised("the input is empty".to_owned()),
        _ if is_cut => {
            Error::NotRecognised(format!("the input is cut off after {} bytes", first.len()))
        }
        Some(kind) => Error::Unsupported(kind),
        None => Error::NotRecognised(
            "the input is no ELF vmcore or kdump file, and of no other known kind; raw memory has no header to know it by".to_owned(),
        ),
    }
}

/// The first bytes of an input.
pub(super) fn magic(input: &dyn ReadAt) -> Result<Vec<u8>> {
    let mut bytes = vec![0; MAGIC_BYTES];
    let n = read_full(input, &mut bytes, 0).map_err(Error::read("the file header"))?;
    bytes.truncate(n);
    Ok(bytes)
}
