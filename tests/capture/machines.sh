# shellcheck shell=bash disable=SC2034 # `run` and the others use what is set here
# The machines whose kernels crash: what Debian, QEMU and Rust call them. Sourced by `run`.
#
# Not here: s390x, whose Debian kernels (6.1 to 7.2) are built without CONFIG_CRASH_DUMP; loong64, for which rustup's
# mirrors do not always have a standard library.

# machine KERNEL: sets
#   MACHINE TARGET   its name by uname -m; by Rust, for a static binary
#   ARCH SUITES      Debian's architecture, and the releases that have it, the one of the kernel first; no SUITES: this
#                    machine's own architecture and sources
#   META             the package that depends on the newest kernel
#   DEBUG            not empty if the kernel's debug info is small enough to be fetched
#   QEMU PROVIDER    its QEMU with arguments, and the package of that
#   CONSOLE BUS      the kernel's name of the serial port; the bus of the disks
#   MIB CRASH_MIB    memory; what the capture kernel gets of it, the rest is the kernel that crashes
#   PACKAGES SYSROOT the folder of its packages; that of its libraries, if they are not in this root
machine() {
    MACHINE=x86_64 TARGET=x86_64 ARCH=amd64 SUITES='' META=linux-image-cloud-amd64 DEBUG=1
    QEMU=(qemu-system-x86_64 -machine q35) PROVIDER=qemu-system-x86
    CONSOLE=ttyS0 BUS=pci MIB=768 CRASH_MIB=256 PACKAGES=$CACHE SYSROOT=
    case $1 in
        cloud | tiny) return ;;
        aarch64)
            MACHINE=aarch64 TARGET=aarch64-unknown-linux-musl ARCH=arm64 SUITES=trixie META=linux-image-cloud-arm64
            QEMU=(qemu-system-aarch64 -machine virt -cpu cortex-a76) PROVIDER=qemu-system-arm
            CONSOLE=ttyAMA0
            ;;
        riscv64)
            # trixie has no kexec for it.
            MACHINE=riscv64 TARGET=riscv64gc-unknown-linux-gnu ARCH=riscv64 SUITES='trixie forky' META=linux-image-riscv64
            QEMU=(qemu-system-riscv64 -machine virt) PROVIDER=qemu-system-misc
            DEBUG='' MIB=1024
            ;;
        *) die "no machine has the kernel $1" ;;
    esac
    PACKAGES=$CACHE/$ARCH
    SYSROOT=$PACKAGES/root
}
