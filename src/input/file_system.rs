//! Whether a folder is in memory, where what is stored takes the memory of programs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor, statfs};

/// `f_type` of tmpfs and ramfs (linux/magic.h); an initramfs is one of them.
const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// `f_type` of overlayfs: the root of a live system, for example.
const OVERLAY: u64 = 0x794c_7630;

/// Whether `folder` is in memory, itself or by the writable layer of an overlay. One that cannot be
/// looked at, as that of a container, is taken to be on a disk.
pub(super) fn is_in_memory(folder: &Path) -> bool {
    match kind(folder) {
        Some(OVERLAY) => upper_layer(folder).and_then(|upper| kind(&upper)),
        kind => kind,
    }
    .is_some_and(|kind| MEMORY.contains(&kind))
}

fn kind(folder: &Path) -> Option<u64> {
    // The type of the field differs between architectures.
    statfs(folder).ok()?.f_type.try_into().ok()
}

/// The writable layer of the overlay that `folder` is on.
fn upper_layer(folder: &Path) -> Option<PathBuf> {
    let device = fs::metadata(folder).ok()?.dev();
    let device = format!("{}:{}", major(device), minor(device));
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    upper_layer_of(&mounts, &device)
}

/// The `upperdir=` of the mount with this device (proc_pid_mountinfo(5)).
fn upper_layer_of(mounts: &str, device: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find(|mount| mount.split(' ').nth(2) == Some(device))?;
    let (_, options) = mount.rsplit_once(' ')?;
    options.split(',').find_map(|option| option.strip_prefix("upperdir=")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_where_its_writable_layer_is() {
        let mounts = "\
22 28 0:20 / /proc rw,nosuid shared:5 - proc proc rw
28 1 0:25 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/lower,upperdir=/run/upper,workdir=/run/work
30 28 8:1 / /var/tmp rw - ext4 /dev/sda1 rw,discard
";
        let upper = |device| upper_layer_of(mounts, device);
        assert_eq!(upper("0:25"), Some(PathBuf::from("/run/upper")));
        assert_eq!((upper("8:1"), upper("0:99")), (None, None));
    }

    #[test]
    fn procfs_is_no_memory_and_a_folder_that_is_not_there_neither() {
        assert!(!is_in_memory(Path::new("/proc")) && !is_in_memory(Path::new("/nonexistent")));
    }
}
