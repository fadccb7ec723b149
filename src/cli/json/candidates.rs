//! What looks like a VMCOREINFO in memory.

use kdumpconv::{Proof, Vmcoreinfo, VmcoreinfoCandidates, VmcoreinfoFound};
use serde::Serialize;

use super::number::Count;

/// The texts in memory that look like a VMCOREINFO.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Candidates"))]
pub(crate) struct CandidatesJson {
    /// The texts, in ascending order of their pages; of a great number, the first.
    list: Vec<CandidateJson>,
    /// How many more there are.
    more: Count,
}

/// A text in memory that looks like a VMCOREINFO.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Candidate"))]
struct CandidateJson {
    /// The page frame number of its first byte.
    pfn: Count,
    /// Its OSRELEASE; null if it has none.
    release: Option<String>,
    /// Its bytes.
    bytes: Count,
    /// Whether memory proves that it describes the crashed kernel.
    proof: ProofJson,
    /// Why it is not proved; null if it is.
    why: Option<String>,
    /// Whether it is the VMCOREINFO of this report.
    taken: bool,
}

/// Whether memory proves that a VMCOREINFO describes the crashed kernel.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Proof"))]
enum ProofJson {
    /// The kernel's name is where the text places it, and the page tables map it there.
    Proved,
    /// Memory has something else there: the text is of another kernel or another boot.
    Contradicted,
    /// The text does not say where the name is, or the dump does not have that memory.
    Unprovable,
}

impl CandidatesJson {
    /// The JSON of `found`; `taken` is the VMCOREINFO of the report.
    pub(crate) fn new(found: &VmcoreinfoCandidates, taken: Option<&[u8]>) -> Self {
        let candidate = |found| CandidateJson::new(found, taken);
        CandidatesJson { list: found.list.iter().map(candidate).collect(), more: found.more.into() }
    }
}

impl CandidateJson {
    fn new(found: &VmcoreinfoFound, taken: Option<&[u8]>) -> Self {
        CandidateJson {
            pfn: found.pfn.get().into(),
            release: Vmcoreinfo::parse(&found.text).get("OSRELEASE").map(str::to_owned),
            bytes: found.text.len().into(),
            proof: match found.proof {
                Proof::Proved => ProofJson::Proved,
                Proof::Contradicted(_) => ProofJson::Contradicted,
                Proof::Unprovable(_) => ProofJson::Unprovable,
            },
            why: found.proof.why_not().map(str::to_owned),
            taken: taken == Some(found.text.as_slice()),
        }
    }
}
