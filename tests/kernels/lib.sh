# shellcheck shell=bash disable=SC2034 # `run` uses what is set here
# What the boots are made of: packages, a kernel, an initramfs, QEMU. Sourced by `run`.
#
# Nothing on this machine changes but for programs that are missing, which apt installs. Kernels, busybox
# and makedumpfile of other suites and architectures are downloaded and unpacked below $CACHE.

say() {
    printf '[%4d s] %s\n' "$SECONDS" "$*" >&2
}

die() {
    say "kernels: $*"
    exit 1
}

apt=(apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)
KEY=/usr/share/keyrings/debian-archive-keyring.gpg
MIRROR=http://deb.debian.org/debian

# apt_root NAME ARCHITECTURES SUITE...: lists of suites that this machine need not know, for `in_root`. Kept,
# as asking apt takes as long as a boot: without the cache, the newest kernels are asked for.
apt_root() {
    local folder=$CACHE/apt/$1 architectures=$2 suite
    shift 2
    ROOT=$folder
    [ ! -e "$folder/ready" ] || return 0
    mkdir -p "$folder"/{lists,cache}/partial "$folder/none"
    for suite in "$@"; do
        echo "deb [signed-by=$KEY] $MIRROR $suite main"
    done >"$folder/sources.list"
    cat >"$folder/apt.conf" <<CONF
Dir::Etc::SourceList "$folder/sources.list"; Dir::Etc::SourceParts "$folder/none";
Dir::Etc::Preferences "$folder/none/none"; Dir::Etc::PreferencesParts "$folder/none";
Dir::State::Lists "$folder/lists"; Dir::Cache "$folder/cache";
Dir::Cache::pkgcache "$folder/cache/packages"; Dir::Cache::srcpkgcache "$folder/cache/sources";
Acquire::Languages "none"; APT::Sandbox::User "root";
$architectures
CONF
    say "asking for the packages of $*"
    in_root apt-get -qq -o Acquire::Retries=5 update || die "cannot update the lists of $*"
    touch "$folder/ready"
}

# in_root COMMAND...: apt with the lists of `apt_root`.
in_root() {
    APT_CONFIG=$ROOT/apt.conf "$@"
}

# suite SUITE ARCHITECTURE: chooses the lists of one suite, all of whose packages are strange to this machine.
suite() {
    SUITE=$1
    apt_root "$1-$2" "Dir::State::Status \"/dev/null\"; APT::Architecture \"$2\"; APT::Architectures { \"$2\"; };" "$1"
}

# install PROGRAM=PACKAGE...: the packages of the programs that are missing.
install() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    "${apt[@]}" update || true
    DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >"$WORK/apt.log" 2>&1 ||
        die "cannot install ${missing[*]}: $(tail -n 3 "$WORK/apt.log")"
}

# install_qemu PROGRAM PACKAGE: a QEMU that knows these machines. Debian 12's own is 7.2, so it is that of its
# backports; apt's sources stay as they are.
install_qemu() {
    local version codename
    version=$({ "$1" --version 2>/dev/null || true; } | sed -n 's/^QEMU emulator version \([0-9]*\)\..*/\1/p')
    [ "${version:-0}" -lt 9 ] || return 0
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt_root backports "" "$codename" "$codename-backports"
    say "installing $2 of $codename-backports"
    DEBIAN_FRONTEND=noninteractive in_root "${apt[@]}" -t "$codename-backports" install -y --no-install-recommends "$2" \
        >"$WORK/apt.log" 2>&1 || die "cannot install $2: $(tail -n 3 "$WORK/apt.log")"
}

# fetch PACKAGE...: the packages' files from the chosen suite, once, in $DEBS.
fetch() {
    local package missing=()
    DEBS=$CACHE/debs/${ROOT##*/}
    mkdir -p "$DEBS"
    for package in "$@"; do
        compgen -G "$DEBS/${package}_*.deb" >/dev/null || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "downloading ${missing[*]} of $SUITE"
    (cd "$DEBS" && in_root apt-get -qq -o Acquire::Retries=5 download "${missing[@]}" >"$WORK/apt.log" 2>&1) ||
        die "cannot download ${missing[*]}: $(tail -n 3 "$WORK/apt.log")"
}

# unpack FOLDER PACKAGE...: fetches them and unpacks them, once.
unpack() {
    local folder=$1 package
    shift
    [ ! -d "$folder" ] || return 0
    fetch "$@"
    rm -rf "$folder.new"
    # Where /lib is a link, packages may still bring it as a folder.
    mkdir -p "$folder.new"/usr/{bin,lib,lib64,sbin}
    ln -s usr/bin usr/lib usr/lib64 usr/sbin "$folder.new/"
    for package in "$@"; do
        dpkg-deb --fsys-tarfile "$DEBS/${package}"_*.deb | tar -x --keep-directory-symlink -C "$folder.new"
    done
    # The name comes last: what was cut short is done again.
    mv "$folder.new" "$folder"
}

# get_kernel META ARCHITECTURE: the newest kernel of the suite; sets RELEASE, KERNEL (its folder), IMAGE, VMLINUX.
get_kernel() {
    local meta=$1 architecture=$2 chosen packages=() packed debug
    chosen=$CACHE/chosen-${ROOT##*/}-$meta
    if [ ! -s "$chosen" ]; then
        in_root apt-cache depends "$meta" | sed -n 's/^ *Depends: linux-image-\([0-9].*\)/\1/p' | head -n 1 >"$chosen"
        [ -s "$chosen" ] || die "$SUITE has no $meta for $architecture"
    fi
    RELEASE=$(cat "$chosen")
    KERNEL=$CACHE/kernels/$architecture-$RELEASE
    # Since 7.3 an image is split, with the kernel in linux-binary and its modules in linux-modules.
    mapfile -t packages < <(in_root apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances "linux-image-$RELEASE" |
        grep -xF -e "linux-image-$RELEASE" -e "linux-binary-$RELEASE" -e "linux-modules-$RELEASE" | sort -u)
    unpack "$KERNEL" "${packages[@]}"
    if [ ! -e "$KERNEL/lib/modules/$RELEASE/modules.dep.bin" ]; then
        # Only what may be needed: depmod reads all that is there.
        find "$KERNEL/lib/modules/$RELEASE/" -name '*.ko*' |
            { grep -vE '/kernel/(drivers/(virtio|block|firmware)/|fs/(ext4/|jbd2/|mbcache)|lib/|crypto/|mm/|arch/)' || true; } | xargs -r rm
        # What is built in is listed in a package that a guest does not need: depmod warns.
        depmod -b "$KERNEL" "$RELEASE" 2>/dev/null
    fi
    IMAGE=$CACHE/kernels/$architecture-$RELEASE.image
    if [ ! -e "$IMAGE" ]; then
        # Where it is depends on how the image is split.
        packed=$(find "$KERNEL" \( -name 'vmlinu[xz]-*' -o -name vmlinuz \) -type f)
        python3 "$HERE/boot_image.py" "${packed%%$'\n'*}" "$IMAGE"
    fi
    VMLINUX=$CACHE/kernels/$architecture-$RELEASE.vmlinux
    if [ ! -e "$VMLINUX" ]; then
        debug=linux-image-$RELEASE-dbg
        fetch "$debug"
        say "unpacking the debug information of $RELEASE"
        # One of the two is a link, of which tar prints nothing.
        dpkg-deb --fsys-tarfile "$DEBS/${debug}"_*.deb | tar -x -O --wildcards './usr/lib/debug/boot/vmlinux-*' \
            './usr/lib/debug/lib/modules/*/vmlinux' >"$VMLINUX.new" 2>/dev/null || true
        [ -s "$VMLINUX.new" ] || die "$debug has no vmlinux"
        mv "$VMLINUX.new" "$VMLINUX"
        rm "$DEBS/${debug}"_*.deb
    fi
}

# get_busybox ARCHITECTURE: sets BUSYBOX.
get_busybox() {
    unpack "$CACHE/busybox-$1" busybox-static
    BUSYBOX=$(find "$CACHE/busybox-$1/usr/bin" "$CACHE/busybox-$1/bin/" -name busybox | head -n 1)
}

# get_makedumpfile ARCHITECTURE: sid's, run with its own libraries, by qemu-user if it is of another machine; sets
# MAKEDUMPFILE, a script.
get_makedumpfile() {
    local folder=$CACHE/makedumpfile-$1 loader runner
    MAKEDUMPFILE=$folder/run
    [ ! -x "$MAKEDUMPFILE" ] || return 0
    suite sid "$1"
    in_root apt-cache show makedumpfile >/dev/null 2>&1 || die "Debian has no makedumpfile for $1"
    unpack "$folder" makedumpfile libc6 liblzma5 libzstd1 libsnappy1v5 liblzo2-2 zlib1g libelf1t64 libdw1t64 libbz2-1.0 \
        libstdc++6 libgcc-s1
    if [ "$1" = "$(dpkg --print-architecture)" ]; then
        loader=$(find "$folder/usr/lib64" "$folder/usr/lib" -name 'ld-linux*.so*' | head -n 1)
        runner="$loader --library-path $(dirname "$(find "$folder/usr/lib" -name libc.so.6 | head -n 1)")"
    else
        # A library path of its own keeps the loader from this machine's ld.so.cache.
        runner="qemu-$(emulator "$1")-static -L $folder -E LD_LIBRARY_PATH=/usr/lib/$(basename "$(dirname "$(find "$folder/usr/lib" -name libc.so.6 | head -n 1)")")"
    fi
    # shellcheck disable=SC2016 # the script expands
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$runner" "$folder/usr/bin/makedumpfile" >"$MAKEDUMPFILE.new"
    chmod 755 "$MAKEDUMPFILE.new"
    if ! "$MAKEDUMPFILE.new" -v 2>/dev/null | grep -q '^makedumpfile: version'; then
        die "sid's makedumpfile for $1 does not run here"
    fi
    mv "$MAKEDUMPFILE.new" "$MAKEDUMPFILE"
}

# emulator ARCHITECTURE: QEMU's name of Debian's architecture.
emulator() {
    case $1 in
        amd64) echo x86_64 ;;
        arm64) echo aarch64 ;;
        loong64) echo loongarch64 ;;
        ppc64el) echo ppc64le ;;
        *) echo "$1" ;;
    esac
}

# make_initramfs OUTPUT: busybox, /init, and the modules with what they need, with numbers, in the order to load them.
make_initramfs() {
    local root=$WORK/root module path n=100
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,disk,proc,sys,tmp,modules}
    cp "$BUSYBOX" "$root/bin/busybox"
    ln -s busybox "$root/bin/sh"
    cp "$HERE/init" "$root/init"
    chmod 755 "$root/init" "$root/bin/busybox"
    for module in $MODULES; do
        # What is built in is unknown, or has no line that begins with insmod.
        { modprobe -d "$KERNEL" -S "$RELEASE" --show-depends "$module" 2>/dev/null || true; } | sed -n 's/^insmod //p'
    done | awk '!seen[$1]++ { print $1 }' | while read -r path; do
        case $path in
            *.xz) xz -dc "$path" ;;
            *) cat "$path" ;;
        esac >"$root/modules/$n-$(basename "${path%.xz}")"
        n=$((n + 1))
    done
    (cd "$root" && find . -print0 | sort -z | cpio --null -o -H newc --quiet --owner 0:0 | gzip -1) >"$1"
    rm -rf "$root"
}

# make_disk OUTPUT: an ext4 file system with files of many kinds.
make_disk() {
    local folder=$WORK/files
    rm -rf "$folder" "$1"
    mkdir -p "$folder"
    find /usr/bin /usr/include -type f -size -900k | sort | awk 'NR <= 600' | xargs -d '\n' cp --parents -t "$folder"
    truncate -s 96M "$1"
    mkfs.ext4 -q -F -m 0 -O ^has_journal -d "$folder" "$1"
    rm -rf "$folder"
}

# boot CASE SECONDS MIB BALLOON APPEND QEMU-ARGUMENT...: boots the kernel until it has panicked, and dumps it into
# $KEPT/CASE. With BALLOON, which is not -, the host asks for all but so many MiB.
boot() {
    local name=$1 seconds=$2 mib=$3 balloon=$4 append=$5 out=$KEPT/$1 qemu socket=$WORK/$1.qmp status=0
    shift 5
    rm -rf "$out" "$socket"
    mkdir -p "$out"
    timeout -k 10 "$((seconds + 300))" "$@" -smp 2 -m "$mib" -nodefaults -display none -monitor none -no-reboot \
        -action panic=pause -serial "file:$out/console" -qmp "unix:$socket,server=on,wait=off" -kernel "$IMAGE" \
        -initrd "$WORK/$name.img" -append "$append loglevel=8 ignore_loglevel printk.devkmsg=on log_buf_len=2M panic=0" \
        </dev/null >"$WORK/$name.qemu" 2>&1 &
    qemu=$!
    if [ "$balloon" != - ] && wait_for "$out/console" KERNELS-BALLOON "$seconds" $qemu; then
        python3 "$HERE/qmp.py" "$socket" balloon "$balloon" || true
    fi
    if wait_for "$out/console" 'Kernel panic - not syncing' "$seconds" $qemu && grep -aq KERNELS-READY "$out/console"; then
        # It prints more after that line.
        sleep 10
        python3 "$HERE/qmp.py" "$socket" dump "$out" || status=1
    else
        status=1
    fi
    [ $status -eq 0 ] || kill $qemu 2>/dev/null || true
    wait $qemu 2>/dev/null || true
    rm -f "$socket"
    if [ $status -ne 0 ]; then
        say "the boot of $name failed: $(tail -n 3 "$WORK/$name.qemu")"
        tail -n 20 "$out/console" >&2 || true
        return 1
    fi
    ln "$VMLINUX" "$out/vmlinux"
    echo "$RELEASE" >"$out/release"
}

# wait_for FILE TEXT SECONDS PID: waits for a text that a process writes.
wait_for() {
    local end=$((SECONDS + $3))
    until grep -aq "$2" "$1" 2>/dev/null; do
        kill -0 "$4" 2>/dev/null && [ $SECONDS -lt $end ] || return 1
        sleep 1
    done
}
