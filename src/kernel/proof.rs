//! Whether a VMCOREINFO describes the kernel in memory.
//!
//! A kernel's own VMCOREINFO leads to the kernel's name twice: by the physical address that its
//! phys_base or the like gives, and by the virtual address that its page tables map. The text of an
//! earlier boot, or of another kernel, leads elsewhere.

use crate::format::kdump::NewUtsname;
use crate::kernel::arch::Architecture;
use crate::kernel::error::AddressError;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::utsname;
use crate::pages::{PhysAddr, VirtAddr};

/// Whether memory proves that a VMCOREINFO describes this kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The kernel's name is where VMCOREINFO places it, with the same release, and the page tables,
    /// as far as the dump has them, map it there.
    Proved,
    /// Memory has something else there: VMCOREINFO is of another kernel or of another boot. Says what.
    Contradicted(String),
    /// VMCOREINFO does not say where the name is, or the dump does not have that memory. Says why.
    Unprovable(String),
}

impl Proof {
    /// Whether it is [`Proved`](Proof::Proved).
    #[must_use]
    pub fn is_proved(&self) -> bool {
        matches!(self, Proof::Proved)
    }

    /// Whether it is [`Contradicted`](Proof::Contradicted).
    #[must_use]
    pub fn is_contradicted(&self) -> bool {
        matches!(self, Proof::Contradicted(_))
    }

    /// Why it is not proved.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Proof::Proved => None,
            Proof::Contradicted(why) | Proof::Unprovable(why) => Some(why),
        }
    }

    /// How good it is; lower is better.
    fn rank(&self) -> u8 {
        match self {
            Proof::Proved => 0,
            Proof::Contradicted(_) => 1,
            Proof::Unprovable(_) => 2,
        }
    }
}

/// Whether memory proves that the VMCOREINFO of `kernel` describes it.
#[must_use]
pub(crate) fn prove(kernel: &Kernel<'_>) -> Proof {
    let translator = Translator::new(kernel).ok();
    let proofs = utsname::addresses(kernel.info)
        .into_iter()
        .map(|vaddr| prove_at(kernel, translator.as_ref(), vaddr));
    // An offset that VMCOREINFO does not have was guessed: one right guess is a proof.
    let best = proofs.min_by_key(Proof::rank);
    best.unwrap_or_else(|| Proof::Unprovable("it has no SYMBOL(init_uts_ns)".to_owned()))
}

/// The proof by the kernel's name at `vaddr`.
fn prove_at(kernel: &Kernel<'_>, translator: Option<&Translator<'_>>, vaddr: VirtAddr) -> Proof {
    let by_image = by_image(kernel, translator, vaddr);
    match translator.and_then(|translator| translator.walk(vaddr)) {
        Some(Ok(mapping)) => match look(kernel, mapping.paddr) {
            Contents::Name => Proof::Proved,
            Contents::Other(what) => Proof::Contradicted(what),
            Contents::Missing(why) => by_image.without_tables(Proof::Unprovable(why)),
        },
        // The tables themselves were read.
        Some(Err(error @ (AddressError::NotMapped { .. } | AddressError::OutOfRange { .. }))) => {
            match by_image {
                ByImage::Name | ByImage::Guess => {
                    Proof::Contradicted(format!("the kernel's name is not mapped: {error}"))
                }
                other => other.without_tables(Proof::Unprovable(error.to_string())),
            }
        }
        Some(Err(error)) => by_image.without_tables(Proof::Unprovable(error.to_string())),
        None => by_image.without_tables(Proof::Unprovable(
            "it does not say where the kernel's name is in memory".to_owned(),
        )),
    }
}

/// What memory has at a place.
enum Contents {
    /// The kernel's name.
    Name,
    /// Something else, in words.
    Other(String),
    /// The dump does not have it, or nothing can be said of it, for a reason.
    Missing(String),
}

fn look(kernel: &Kernel<'_>, paddr: PhysAddr) -> Contents {
    let mut bytes = [0; NewUtsname::BYTES];
    if let Err(error) = kernel.memory.read_physical(paddr, &mut bytes) {
        return Contents::Missing(error.to_string());
    }
    if utsname::recognise(&bytes, kernel.info).is_some() {
        return Contents::Name;
    }
    let name = NewUtsname::parse(&bytes)
        .filter(|name| name.sysname == "Linux" && !name.release.is_empty());
    let place = format!("at physical address {paddr:#x}");
    match name {
        Some(name) => {
            Contents::Other(format!("the kernel's name {place} is that of {}", name.release))
        }
        None if utsname::has_offset(kernel.info) => {
            Contents::Other(format!("there is no kernel's name {place}, where it places it"))
        }
        // The name may have another place in its struct.
        None => Contents::Missing(format!(
            "there is no kernel's name {place}, where kernels before 5.11 have it"
        )),
    }
}

/// What the physical addresses say that VMCOREINFO gives for the kernel's image.
enum ByImage {
    Name,
    Other(String),
    /// Something else, but the address is a guess.
    Guess,
    Missing(String),
    /// There is no such address.
    Nowhere,
}

fn by_image(kernel: &Kernel<'_>, translator: Option<&Translator<'_>>, vaddr: VirtAddr) -> ByImage {
    let Kernel { arch, info, phys_base, segments, .. } = *kernel;
    let linear = translator.and_then(|translator| translator.map(vaddr).ok());
    let linear = linear.map(|mapping| (mapping.paddr, false));
    let image = arch.image_addresses(vaddr, info, phys_base, segments);
    let mut found = ByImage::Nowhere;
    for (paddr, is_guess) in
        linear.into_iter().chain(image.into_iter().map(|p| (p, is_guess(arch))))
    {
        found = match (look(kernel, paddr), found) {
            (Contents::Name, _) => return ByImage::Name,
            (Contents::Other(_), ByImage::Nowhere | ByImage::Missing(_)) if is_guess => {
                ByImage::Guess
            }
            (Contents::Other(what), ByImage::Nowhere | ByImage::Missing(_)) => ByImage::Other(what),
            (Contents::Missing(why), ByImage::Nowhere) => ByImage::Missing(why),
            (_, earlier) => earlier,
        };
    }
    found
}

/// Whether the image's physical address is a guess: VMCOREINFO does not have PAGE_OFFSET.
fn is_guess(arch: Architecture) -> bool {
    matches!(arch, Architecture::I386 | Architecture::Arm | Architecture::Ppc)
}

impl ByImage {
    /// The proof, if page tables say nothing; `nothing` if this says nothing either.
    fn without_tables(self, nothing: Proof) -> Proof {
        match self {
            ByImage::Name => Proof::Proved,
            ByImage::Other(what) => Proof::Contradicted(what),
            ByImage::Missing(why) => Proof::Unprovable(why),
            ByImage::Guess | ByImage::Nowhere => nothing,
        }
    }
}
