# shellcheck shell=bash disable=SC2034,SC2054 # `run` uses what is set here
# What the boots are made of: packages, a kernel, initramfs, disks, QEMU. Sourced by `run`.
#
# Nothing on this machine changes but for packages that are missing, which apt installs; kernels are
# downloaded and unpacked below $CACHE.

say() {
    printf '[%4d s] %s\n' "$SECONDS" "$*" >&2
}

die() {
    say "capture: $*"
    exit 1
}

apt=(apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)

# install PROGRAM=PACKAGE...: the packages of the programs that are missing.
install() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

install_packages() {
    say "installing $*"
    "${apt[@]}" update || true
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends --no-upgrade "$@" \
        >"$WORK/apt.log" 2>&1 || die "cannot install $*: $(tail -n 3 "$WORK/apt.log")"
}

# install_libraries PROGRAM PACKAGE: the libraries that a program of an unpacked package lacks here.
install_libraries() {
    local libraries
    [[ $(ldd "$1") == *'not found'* ]] || return 0
    mapfile -t libraries < <(apt-cache depends "$2" | sed -n 's/^ *Depends: \(lib.*\)/\1/p')
    install_packages "${libraries[@]}"
    [[ $(ldd "$1") != *'not found'* ]] || die "$1 lacks a library: $(ldd "$1" | grep 'not found')"
}

# unpacked PACKAGE [WHAT]: downloads a Debian package once and unpacks it (or of it what matches WHAT)
# into $CACHE/PACKAGE, whose path it prints.
unpacked() {
    local package=$1 what=${2:-} folder=$CACHE/$1 deb
    if [ ! -d "$folder" ]; then
        mkdir -p "$CACHE/debs" "$folder.new"
        if ! ls "$CACHE/debs/${package}"_*.deb >/dev/null 2>&1; then
            say "downloading $package"
            # apt gives up its rights before it downloads, so it may not be able to write here; it warns.
            (cd "$CACHE/debs" && "${apt[@]}" download "$package" >"$WORK/apt.log" 2>&1) || {
                "${apt[@]}" update || true
                (cd "$CACHE/debs" && "${apt[@]}" download "$package" >"$WORK/apt.log" 2>&1)
            } || die "cannot download $package: $(tail -n 3 "$WORK/apt.log")"
        fi
        deb=$(find "$CACHE/debs" -name "${package}_*.deb" | head -n 1)
        if [ -n "$what" ]; then
            dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$folder.new" --wildcards "$what"
        else
            dpkg-deb -x "$deb" "$folder.new"
        fi
        # The name comes last: what was cut short is done again.
        mv "$folder.new" "$folder"
    fi
    echo "$folder"
}

newest_image() {
    apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# get_kernel: Debian's cloud kernel; sets KERNEL (its folder), RELEASE, VMLINUZ.
get_kernel() {
    local image
    # Kept, as asking apt takes as long as a boot: without the cache it is asked for the newest one.
    if [ ! -s "$CACHE/image" ]; then
        newest_image >"$CACHE/image"
        [ -s "$CACHE/image" ] || { "${apt[@]}" update || true; newest_image >"$CACHE/image"; }
        [ -s "$CACHE/image" ] || die 'apt knows no linux-image-cloud-amd64'
    fi
    image=$(cat "$CACHE/image")
    KERNEL=$(unpacked "$image")
    IMAGE_PACKAGE=$image
    RELEASE=${image#linux-image-}
    VMLINUZ=$KERNEL/boot/vmlinuz-$RELEASE
    [ -f "$VMLINUZ" ] || die "there is no $VMLINUZ"
    MODULES=$KERNEL/lib/modules/$RELEASE
    # Since Debian 13 below usr/.
    [ -d "$MODULES" ] || { mkdir -p "$KERNEL/lib" && ln -sfn ../usr/lib/modules "$KERNEL/lib/modules"; }
    if [ ! -e "$MODULES/modules.dep" ]; then
        find "$MODULES/" -name '*.ko.xz' -exec xz -d {} +
        /sbin/depmod -b "$KERNEL" "$RELEASE"
    fi
}

# add_program ROOT PROGRAM NAME: a program and its shared libraries, where the loader looks for them.
add_program() {
    local root=$1 program=$2 name=$3 library
    mkdir -p "$root/bin"
    cp -L "$program" "$root/bin/$name"
    chmod 755 "$root/bin/$name"
    { ldd "$program" 2>/dev/null || true; } | grep -o '/[^ ]*' | sort -u | while read -r library; do
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done
}

# new_root ROOT: busybox and the script that is /init.
new_root() {
    local root=$1
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules}
    cp -L "$(command -v busybox)" "$root/bin/busybox"
    ln -s busybox "$root/bin/sh"
    cp "$HERE/init" "$root/init"
    chmod 755 "$root/init" "$root/bin/busybox"
}

# add_modules ROOT MODULE...: modules and what they need, with numbers, in the order to load them.
add_modules() {
    local root=$1 module path n=10
    shift
    for module in "$@"; do
        # What is built in has no line that begins with insmod.
        /sbin/modprobe -d "$KERNEL" -S "$RELEASE" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod //p'
    done | awk '!seen[$1]++ { print $1 }' | while read -r path; do
        cp "$path" "$root/modules/$n-${path##*/}"
        n=$((n + 1))
    done
}

# pack ROOT OUTPUT: an initramfs.
pack() {
    (cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --null -o -H newc --quiet --owner 0:0 | gzip -1) >"$2"
}

# ext4 IMAGE MIB [FOLDER]: a sparse disk image with the content of FOLDER.
ext4() {
    rm -f "$1"
    truncate -s "$2M" "$1"
    /sbin/mkfs.ext4 -q -F -m 0 ${3:+-d "$3"} "$1"
}

# find_accelerator: sets ACCEL to kvm where a kernel says its first word under it, else to tcg. Some
# machines have a /dev/kvm under which the stock kernel prints nothing, or QEMU gives up.
find_accelerator() {
    ACCEL=tcg
    if [ -n "${NO_KVM:-}" ] || [ ! -w /dev/kvm ]; then
        return 0
    fi
    # The shell would say that QEMU was aborted.
    {
        timeout 10 qemu-system-x86_64 -accel kvm -cpu host -machine q35 -m 512 -nodefaults -display none -no-reboot \
            -serial "file:$WORK/kvm.log" -kernel "$VMLINUZ" -append 'console=ttyS0 panic=-1' </dev/null >"$WORK/kvm.qemu" 2>&1 || true
    } 2>/dev/null
    if grep -aq 'Linux version' "$WORK/kvm.log" 2>/dev/null; then
        ACCEL=kvm
    else
        say "KVM does not work here ($(tail -n 1 "$WORK/kvm.qemu" | cut -c 1-70)): TCG"
    fi
}

# boot NAME SECONDS MIB APPEND QEMU-ARGUMENT...: boots the kernel with $WORK/NAME.img until the guest
# powers itself off. The end of its console is printed when it does not, or not as expected.
boot() {
    local name=$1 seconds=$2 mib=$3 append=$4 machine status=0 log=$WORK/$1.console
    shift 4
    case $ACCEL in
        kvm) machine=(-accel kvm -cpu host) ;;
        # 5 levels of page tables would cost TCG time; EPYC's are off by default, too.
        *) machine=(-accel tcg,thread=multi -cpu 'max,la57=off') ;;
    esac
    rm -f "$log"
    timeout -k 10 "$seconds" qemu-system-x86_64 "${machine[@]}" -machine q35 -m "$mib" -smp 2 -nodefaults -display none \
        -no-reboot -serial "file:$log" -kernel "$VMLINUZ" -initrd "$WORK/$name.img" -append "$append" "$@" \
        </dev/null >"$WORK/$name.qemu" 2>&1 || status=$?
    if [ $status -ne 0 ] || ! grep -aq '^CAPTURE-DONE' "$log"; then
        say "the boot of $name failed (qemu: $status, 124 is its time limit of $seconds s): $(cat "$WORK/$name.qemu")"
        tail -n 40 "$log" >&2 || true
        return 1
    fi
}

# disk NAME IMAGE [OPTIONS]: QEMU's arguments for a disk that the guest finds by its name; in DISK.
disk() {
    DISK=(-drive "file=$2,if=none,id=$1,format=raw,cache=unsafe${3:-}" -device "virtio-blk-pci,drive=$1,serial=$1")
}
