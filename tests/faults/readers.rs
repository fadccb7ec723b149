//! libkdumpfile reads every page of the incomplete dumps that were kept.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::process::Command;

use crate::cases::{Case, Made};
use crate::command::{say, wants_all};
use crate::run::{Left, fast_folder};
use crate::skip::or_skip;

/// Number of dumps to read.
const FEW: usize = 40;
const MANY: usize = 1000;

/// Dumps that were kept, each once.
#[derive(Default)]
pub struct Kept {
    seen: HashSet<u64>,
    dumps: BTreeMap<&'static str, Vec<Vec<u8>>>,
}

impl Kept {
    /// Takes what a run left, if a reader can make something of it. (libkdumpfile 0.5.1 reads no
    /// flattened files.)
    pub fn take(&mut self, case: &Case, left: &Left) {
        let most = if wants_all() { MANY } else { FEW };
        let [(_, bytes)] = left.files.as_slice() else { return };
        if case.made != Made::Kdump || !bytes.starts_with(b"KDUMP   ") || self.seen.len() >= most {
            return;
        }
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            self.dumps.entry(case.name).or_default().push(bytes.clone());
        }
    }

    /// Has libkdumpfile read all of them.
    pub fn open(&self, cases: &[Case]) {
        let has_it = Command::new("/usr/bin/python3").args(["-c", "import kdumpfile"]).output();
        let has_it = has_it.is_ok_and(|output| output.status.success());
        let missing = || "no libkdumpfile for /usr/bin/python3".to_owned();
        if or_skip(has_it.then_some(()).ok_or_else(missing)).is_none() {
            return;
        }
        let folder = fast_folder();
        let mut count = 0;
        for case in cases {
            let core = folder.path().join(case.name.replace(' ', "-"));
            fs::write(&core, &*case.core).unwrap();
            for bytes in self.dumps.get(case.name).into_iter().flatten() {
                fs::write(folder.path().join(format!("{count}.kdump")), bytes).unwrap();
                let name = folder.path().join(format!("{count}.name"));
                fs::write(name, core.to_str().unwrap()).unwrap();
                count += 1;
            }
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/opens.py");
        let output =
            Command::new("/usr/bin/python3").arg(script).arg(folder.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(text.lines().count(), count);
        say(&format!(
            "faults: libkdumpfile read {count} different dumps of those kept, no page wrong\n"
        ));
    }
}
