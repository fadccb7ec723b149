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

# archive: sets ARCHIVE, apt's options for the machine's packages: none for this machine's own sources, or lists of its
# own for another architecture's.
archive() {
    local folder=$PACKAGES/apt suite
    ARCHIVE=()
    [ -n "$SUITES" ] || return 0
    ARCHIVE=(-o Acquire::Languages=none -o APT::Sandbox::User=root -o "APT::Architecture=$ARCH" -o "APT::Architectures=$ARCH"
        -o "APT::Default-Release=${SUITES%% *}"
        -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=-
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o "Dir::State::Lists=$folder/lists" -o Dir::State::Status=/dev/null -o "Dir::Cache=$folder/cache")
    [ ! -e "$folder/sources.list" ] || return 0
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    for suite in $SUITES; do
        echo "deb [arch=$ARCH signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main"
    done >"$folder/sources.list"
}

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
# into $PACKAGES/PACKAGE, whose path it prints.
unpacked() {
    local package=$1 what=${2:-} folder=$PACKAGES/$1 debs=$PACKAGES/debs deb
    if [ ! -d "$folder" ]; then
        mkdir -p "$debs" "$folder.new"
        if ! ls "$debs/${package}"_*.deb >/dev/null 2>&1; then
            say "downloading $package${SUITES:+ of $ARCH}"
            # apt gives up its rights before it downloads, so it may not be able to write here; it warns.
            (cd "$debs" && "${apt[@]}" "${ARCHIVE[@]}" download "$package" >"$WORK/apt.log" 2>&1) || {
                "${apt[@]}" "${ARCHIVE[@]}" update || true
                (cd "$debs" && "${apt[@]}" "${ARCHIVE[@]}" download "$package" >"$WORK/apt.log" 2>&1)
            } || die "cannot download $package: $(tail -n 3 "$WORK/apt.log")"
        fi
        deb=$(find "$debs" -name "${package}_*.deb" | head -n 1)
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

# foreign_root: makes $SYSROOT, of the programs that a guest and the judges run, and of the libraries that they need.
foreign_root() {
    local packages=(busybox-static crash kexec-tools time) known=0 package
    [ ! -d "$SYSROOT" ] || return 0
    "${apt[@]}" "${ARCHIVE[@]}" update
    until [ ${#packages[@]} -eq "$known" ]; do
        known=${#packages[@]}
        mapfile -t packages < <(
            printf '%s\n' "${packages[@]}"
            apt-cache "${ARCHIVE[@]}" depends "${packages[@]}" | sed -n 's/^ *Depends: \(z\?lib.*\)/\1/p'
        )
        mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
    done
    rm -rf "$SYSROOT.new"
    mkdir -p "$SYSROOT.new"/usr/{bin,lib,sbin}
    ln -s usr/{bin,lib,sbin} "$SYSROOT.new"
    for package in "${packages[@]}"; do
        unpacked "$package" >/dev/null
        # Before trixie there are files below lib/.
        tar -c -C "$PACKAGES/$package" . | tar -x -C "$SYSROOT.new" --keep-directory-symlink
    done
    mv "$SYSROOT.new" "$SYSROOT"
}

newest_image() {
    apt-cache "${ARCHIVE[@]}" depends "$META" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# get_kernel: Debian's newest kernel for the machine; sets KERNEL (its folder), RELEASE, VMLINUZ, MODULES.
get_kernel() {
    local image
    # Kept, as asking apt takes as long as a boot: without the cache it is asked for the newest one.
    if [ ! -s "$PACKAGES/image" ]; then
        newest_image >"$PACKAGES/image" || true
        [ -s "$PACKAGES/image" ] || { "${apt[@]}" "${ARCHIVE[@]}" update || true; newest_image >"$PACKAGES/image"; }
        [ -s "$PACKAGES/image" ] || die "apt knows no $META"
    fi
    image=$(cat "$PACKAGES/image")
    KERNEL=$(unpacked "$image")
    IMAGE_PACKAGE=$image
    RELEASE=${image#linux-image-}
    VMLINUZ=$KERNEL/boot/vmlinuz-$RELEASE
    # riscv64's is not compressed.
    [ -f "$VMLINUZ" ] || VMLINUZ=$KERNEL/boot/vmlinux-$RELEASE
    [ -f "$VMLINUZ" ] || die "there is no kernel in $KERNEL/boot"
    MODULES=$KERNEL/lib/modules/$RELEASE
    # Since Debian 13 below usr/.
    [ -d "$MODULES" ] || { mkdir -p "$KERNEL/lib" && ln -sfn ../usr/lib/modules "$KERNEL/lib/modules"; }
    if [ ! -e "$MODULES/modules.dep" ]; then
        find "$MODULES/" -name '*.ko.xz' -exec xz -d {} +
        /sbin/depmod -b "$KERNEL" "$RELEASE"
    fi
}

# libraries PROGRAM: the paths by which it finds its shared libraries, below $SYSROOT.
libraries() {
    local listed=''
    if [ -z "$SYSROOT" ]; then
        # Of a static program it makes an error.
        listed=$(ldd "$1" 2>/dev/null) || true
    elif [[ $(readelf --program-headers "$1") == *INTERP* ]]; then
        listed=$("qemu-$MACHINE-static" -L "$SYSROOT" -E LD_TRACE_LOADED_OBJECTS=1 "$1")
    fi
    [[ $listed != *'not found'* ]] || die "$1 lacks a library: $(grep 'not found' <<<"$listed")"
    { grep -o '/[^ ]*' <<<"$listed" || true; } | sort -u
}

# add_program ROOT PROGRAM NAME: a program and its shared libraries, where the loader looks for them.
add_program() {
    local root=$1 program=$2 name=$3 library
    mkdir -p "$root/bin"
    cp -L "$program" "$root/bin/$name"
    chmod 755 "$root/bin/$name"
    libraries "$program" | while read -r library; do
        mkdir -p "$root${library%/*}"
        cp -L "$SYSROOT$library" "$root$library"
    done
}

# new_root ROOT: busybox and the script that is /init.
new_root() {
    local root=$1
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules}
    cp -L "$BUSYBOX" "$root/bin/busybox"
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
        /sbin/modprobe -d "$KERNEL" -S "$RELEASE" --show-depends "$module" | sed -n 's/^insmod //p'
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
    if [ -n "${NO_KVM:-}" ] || [ ! -w /dev/kvm ] || [ -n "$SUITES" ]; then
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

# boot NAME SECONDS APPEND QEMU-ARGUMENT...: boots the kernel with $WORK/NAME.img until the guest
# powers itself off. The end of its console is printed when it does not, or not as expected.
boot() {
    local name=$1 seconds=$2 append=$3 accel status=0 log=$WORK/$1.console
    shift 3
    if [ "$ACCEL" = kvm ]; then
        accel=(-accel kvm -cpu host)
    elif [ "$MACHINE" = x86_64 ]; then
        # 5 levels of page tables would cost TCG time; EPYC's are off by default, too.
        accel=(-accel tcg,thread=multi -cpu 'max,la57=off')
    else
        # On a busy machine, an aarch64 guest whose CPUs had a thread each fell asleep for good.
        accel=(-accel tcg,thread=single)
    fi
    rm -f "$log"
    timeout -k 10 "$seconds" "${QEMU[@]}" "${accel[@]}" -m "$MIB" -smp 2 -nodefaults -display none \
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
    DISK=(-drive "file=$2,if=none,id=$1,format=raw,cache=unsafe${3:-}" -device "virtio-blk-$BUS,drive=$1,serial=$1")
}
