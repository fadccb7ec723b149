//! Whether the memory of an open dump proves its VMCOREINFO.

use crate::dump::Dump;
use crate::dump::physical::DumpMemory;
use crate::error::Result;
use crate::kernel::proof::{Proof, prove};
use crate::kernel::relocation::{Relocated, relocated};
use crate::pages::PhysRange;

impl Dump {
    /// Whether memory proves that VMCOREINFO describes the crashed kernel; `None` without a
    /// VMCOREINFO. Reads a few pages: the page tables and the kernel's name.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] if a codec cannot start.
    pub fn vmcoreinfo_proof(&self) -> Result<Option<Proof>> {
        if self.vmcoreinfo.is_none() {
            return Ok(None);
        }
        if self.is_sequential() {
            let why = "the input can only be read forward".to_owned();
            return Ok(Some(Proof::Unprovable(why)));
        }
        if self.is_encrypted() {
            return Ok(Some(Proof::Unprovable("the memory is encrypted".to_owned())));
        }
        let memory = DumpMemory::new(self)?;
        Ok(memory.kernel().map(|kernel| prove(&kernel)))
    }

    /// The VMCOREINFO with addresses that memory proves, if it was made from the vmlinux of a kernel
    /// that was loaded elsewhere, on x86_64.
    ///
    /// # Errors
    /// As [`vmcoreinfo_proof`](Self::vmcoreinfo_proof).
    pub fn relocated_vmcoreinfo(&self) -> Result<Option<Relocated>> {
        let Some(text) = self.notes.vmcoreinfo_text().filter(|_| !self.is_sequential()) else {
            return Ok(None);
        };
        let memory = DumpMemory::new(self)?;
        let address = |pfn| self.grid.address_of(pfn);
        let ram = self.kept().map(|run| PhysRange::new(address(run.start), address(run.end)));
        Ok(memory.kernel().and_then(|kernel| relocated(&kernel, text, ram)))
    }

    /// Adds a [warning](Self::warnings) if memory contradicts VMCOREINFO. Returns the
    /// [proof](Self::vmcoreinfo_proof).
    ///
    /// # Errors
    /// As [`vmcoreinfo_proof`](Self::vmcoreinfo_proof).
    pub fn check_vmcoreinfo(&mut self) -> Result<Option<Proof>> {
        let proof = self.vmcoreinfo_proof()?;
        if let Some(Proof::Contradicted(why)) = &proof {
            let release = self.vmcoreinfo().and_then(|info| info.get("OSRELEASE")).unwrap_or("?");
            let warning = format!("VMCOREINFO of {release} contradicts the memory: {why}");
            self.warnings.push(warning);
        }
        Ok(proof)
    }
}
