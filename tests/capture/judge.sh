# shellcheck shell=bash disable=SC2015,SC2034,SC2153 # `object` is the one who objects; `run` sets and uses names
# Who judges the results, and how. Sourced by `run`.

FAILED=()
SKIPPED=()
WHY=

# skip CASES WHY: loudly, so that nobody takes it for a pass.
skip() {
    SKIPPED+=("$1 because $2")
    say "SKIPPED: $1 because $2"
}

# failed CASE WHY
failed() {
    FAILED+=("$1: $2")
    say "FAILED: $1: $2"
}

# python MODULE: prints a Python that has the module: Debian's own, or one of PATH.
python() {
    local candidate
    for candidate in /usr/bin/python3 $(type -ap python3); do
        if "$candidate" -c "import $1" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# find_judges: sets DRGN, LIBKDUMPFILE; what is missing is empty and said at the end.
find_judges() {
    DRGN=${CAPTURE_DRGN:-$(python drgn)} || skip 'the judge drgn' 'no python3 has the module'
    LIBKDUMPFILE=${CAPTURE_LIBKDUMPFILE:-$(python kdumpfile)} || skip 'the judge libkdumpfile' 'no python3 has the module kdumpfile'
}

# find_crash: sets CRASH, which must be one for the machine: with qemu-user, if it is another one.
find_crash() {
    local emulator=qemu-$MACHINE-static
    if [ -n "$SUITES" ]; then
        install "$emulator=qemu-user-static"
        foreign_root
        CRASH=$PACKAGES/crash.run
        if [ ! -x "$CRASH" ]; then
            printf '#!/bin/sh\nexec %s -L %s %s/usr/bin/crash "$@"\n' "$emulator" "$SYSROOT" "$SYSROOT" >"$CRASH"
            chmod 755 "$CRASH"
        fi
        return 0
    fi
    CRASH=${KDUMPCONV_CRASH:-}
    [ -n "$CRASH" ] || CRASH=$(command -v /opt/trixie/usr/bin/crash crash | head -n 1 || true)
    [ -n "$CRASH" ] || skip 'the judge crash' 'there is none'
}

# find_vmlinux KERNEL: sets VMLINUX, with debug info, or to nothing. Says WHY the kernel cannot be had at all.
find_vmlinux() {
    local shared=${KDUMPCONV_SHARED:-$TOP/../shared}
    VMLINUX=
    case $1 in
        tiny)
            WHY="there is no vmcores/tiny-x86_64.vmlinux.zst in $shared (KDUMPCONV_SHARED)"
            [ -f "$shared/vmcores/tiny-x86_64.vmlinux.zst" ] || return 1
            TINY_VMLINUX=$CACHE/tiny-x86_64.vmlinux
            [ -f "$TINY_VMLINUX" ] || zstd -q -d --long=27 "$shared/vmcores/tiny-x86_64.vmlinux.zst" -o "$TINY_VMLINUX"
            VMLINUX=$TINY_VMLINUX
            ;;
        *)
            if [ -n "${CAPTURE_VMLINUX:-}" ] && [ "$1" = cloud ]; then
                [ "$CAPTURE_VMLINUX" = none ] || VMLINUX=$CAPTURE_VMLINUX
            elif [ -z "$shortest" ] && [ -n "$DEBUG" ] && [ "${CAPTURE_VMLINUX:-}" != none ]; then
                get_kernel
                VMLINUX=$(unpacked "$IMAGE_PACKAGE-dbg" './usr/lib/debug/boot/vmlinux-*')/usr/lib/debug/boot/vmlinux-$RELEASE
            fi
            ;;
    esac
}

# crash_session VMLINUX DUMP OUTPUT COMMAND...: what crash answers, without the line that names the dump. Objects if
# crash ends with an error.
crash_session() {
    local vmlinux=$1 dump=$2 output=$3 status=0
    shift 3
    printf '%s\n' "$@" quit >"$WORK/crash.commands"
    # Its home is one without a .crashrc. -s says nothing of the dump being incomplete, or partial.
    HOME=$WORK timeout 900 "$CRASH" ${MINIMAL:+--minimal --zero_excluded} -s -i "$WORK/crash.commands" "$vmlinux" "$dump" \
        >"$output.all" 2>&1 || status=$?
    sed '/^    DUMPFILE: /d' "$output.all" >"$output"
    [ $status -eq 0 ] || object "crash on ${dump#"$WORK/"} ended with $status: $(tail -n 3 "$output")"
}
# Of the first file of a crash all is asked; of others what tells whether it opens as well.
MANY=(sys ps bt 'bt -a' log mod 'kmem -i' mount 'foreach bt')
FEW=(sys ps bt log)

# object WHY: an objection to the case that is being judged. (CHECK || object WHY: also of two checks.)
object() {
    objections+=("$1")
}

# said NAME PATTERN: the last number that `kdumpconv` said in the pattern, on standard error of the case.
said() {
    sed -n "s/^kdumpconv: $2.*/\1/p" "$OUT/$1/stderr" | tail -n 1
}

# ended WHO STATUS OUTPUT: an objection, with the last words, to a judge that objects or cannot judge.
ended() {
    object "$1 ended with $2: $(tail -n 5 "$3")"
}

# judge_verify DUMP CODE: alone, and against the copy of /proc/vmcore.
judge_verify() {
    local dump=$1 code=$2 status=0
    "$KDUMPCONV" verify "$dump" >"$WORK/verify" 2>&1 || status=$?
    [ $status -eq "$code" ] || ended verify $status "$WORK/verify"
    status=0
    "$KDUMPCONV" verify -v "$dump" --against "$OUT/copy/vmcore" >"$WORK/verify" 2>&1 || status=$?
    [ $status -eq "$code" ] || ended 'verify --against' $status "$WORK/verify"
    # Of a whole dump nothing may be lacking that the kernel's tables do not prove.
    if [ "$code" = 0 ]; then
        ! grep -q 'by a class that cannot be proven' "$WORK/verify" || object "verify --against: $(cat "$WORK/verify")"
    fi
    judges+=' verify'
}

# judge_libkdumpfile DUMP PAGES: sets SAMPLE, addresses of pages that are not zeros.
judge_libkdumpfile() {
    SAMPLE=()
    [ -n "$LIBKDUMPFILE" ] || return 0
    if "$LIBKDUMPFILE" "$HERE/libkdumpfile_judge.py" "$OUT/copy/vmcore" "$1" "$2" >"$WORK/libkdumpfile" 2>&1; then
        read -r -a SAMPLE <<<"$(sed -n 's/^sample //p' "$WORK/libkdumpfile")"
    else
        ended libkdumpfile $? "$WORK/libkdumpfile"
    fi
    judges+=' libkdumpfile'
}

# judge_drgn DUMP [VMLINUX]
judge_drgn() {
    [ -n "$DRGN" ] || return 0
    "$DRGN" "$HERE/drgn_judge.py" "$OUT/copy/vmcore" "$@" >"$WORK/drgn" 2>&1 || ended drgn $? "$WORK/drgn"
    judges+=' drgn'
}

# judge_release DUMP: crash finds the release of the kernel in it.
judge_release() {
    local release status=0
    "$CRASH" --osrelease "$1" >"$WORK/crash" 2>"$WORK/crash.error" || status=$?
    # Of a flattened file it says how far it has come, before.
    release=$(tr '\r' '\n' <"$WORK/crash" | tail -n 1)
    if [ $status -ne 0 ]; then
        ended 'crash --osrelease' $status <(cat "$WORK/crash.error" "$WORK/crash")
    elif [ "$release" != "$CRASHED" ]; then
        object "crash: the release is $release, not $CRASHED"
    fi
    judges+=' crash'
}

# judge_crash DUMP NAME: it opens, and with a vmlinux all answers are those on the vmcore.
judge_crash() {
    local session=few commands=("${FEW[@]}") proof=('sysrq triggered crash' sysrq_handle_crash) MINIMAL='' word
    [ -n "$CRASH" ] || return 0
    judge_release "$1"
    [ -n "$VMLINUX" ] || return 0
    if [ -n "$SUITES" ]; then
        # An emulated crash takes minutes to open a dump: of one. And crash 8.0.6 does not find the stacks in arm64's linear
        # mapping where a kernel for 52-bit addresses runs on a CPU of 48: not even in the vmcore itself.
        [ "$2" = "$FIRST" ] || return 0
        MINIMAL=1 session=minimal commands=(log) proof=('sysrq triggered crash')
    elif [ "$2" = "$FIRST" ]; then
        session=many commands=("${MANY[@]}")
    fi
    if [ ! -e "$OUT/crash.$session" ]; then
        crash_session "$VMLINUX" "$OUT/copy/vmcore" "$OUT/crash.$session" "${commands[@]}"
        # What is compared must not be twice the same failure.
        for word in "${proof[@]}"; do
            grep -q "$word" "$OUT/crash.$session" || object "crash on the vmcore itself: $(tail -n 3 "$OUT/crash.$session")"
        done
    fi
    crash_session "$VMLINUX" "$1" "$WORK/crash" "${commands[@]}"
    diff "$OUT/crash.$session" "$WORK/crash" >"$WORK/crash.diff" || object "crash: other answers: $(head -n 4 "$WORK/crash.diff")"
    judges+='+vmlinux'
}

# judge_crash_incomplete DUMP: it opens; with a vmlinux, pages that the file has read as in the vmcore. A whole
# session wants pages of the kernel that may be among the missing ones.
judge_crash_incomplete() {
    local commands
    [ -n "$CRASH" ] || return 0
    judge_release "$1"
    [ -n "$VMLINUX" ] && [ ${#SAMPLE[@]} -gt 0 ] || return 0
    mapfile -t commands < <(printf 'rd -p %s 512\n' "${SAMPLE[@]}")
    MINIMAL=1 crash_session "$VMLINUX" "$OUT/copy/vmcore" "$WORK/crash.vmcore" "${commands[@]}"
    MINIMAL=1 crash_session "$VMLINUX" "$1" "$WORK/crash" "${commands[@]}"
    grep -q 'This dumpfile is incomplete' "$WORK/crash" || object 'crash does not say that it is incomplete'
    for file in "$WORK/crash.vmcore" "$WORK/crash"; do
        grep -E '^ *[0-9a-f]+:  ' "$file" >"$file.read" || true
    done
    [ "$(wc -l <"$WORK/crash.read")" -eq $((${#SAMPLE[@]} * 256)) ] || object "crash reads $(wc -l <"$WORK/crash.read") lines"
    cmp -s "$WORK/crash.vmcore.read" "$WORK/crash.read" || object 'crash reads other bytes than in the vmcore'
    judges+='+vmlinux'
}

# incomplete_bit DUMP: 1 if the header says that the dump is incomplete (status of disk_dump_header).
incomplete_bit() {
    local status
    status=$(od -An -tu4 -j 424 -N 4 "$1")
    echo $((status >> 3 & 1))
}

# judge_same DUMP: the bytes of the file that the same options gave on the ext4 disk; a device has more behind.
judge_same() {
    local plain=$OUT/$FIRST/dump
    cmp -s -n "$(stat -c %s "$plain")" "$plain" "$1" || object "other bytes than $FIRST"
    judges+=' bytes'
}

# left_nothing CASE: says so if the capture kernel did not come to the end of the case.
left_nothing() {
    local file
    for file in rc time low stderr; do
        if [ ! -s "$OUT/$1/$file" ]; then
            failed "$name" "the capture kernel left no $1/$file"
            return 0
        fi
    done
    return 1
}

# judge_case NAME: adds to the table, and to FAILED.
judge_case() {
    local name=$1 kind code options rc seconds peak low bytes pages dump objections=() judges='' flat=''
    ! left_nothing "$name" || return 0
    read -r _ _ kind code options <<<"$(row "$name")"
    read -r seconds _ _ peak <<<"$(tail -n 1 "$OUT/$name/time")"
    rc=$(cat "$OUT/$name/rc")
    low=$(($(cat "$OUT/$name/low") / 1024))
    dump=$OUT/$name/dump
    case $kind in
        raw* | term-raw) dump=$WORK/$name.disk ;;
        port) dump=$WORK/$name.dump ;;
        full) dump=$OUT/full/dump.incomplete ;;
        term) dump=$OUT/$name/dump.incomplete ;;
    esac
    case $kind in raw-dd | pipe | port) flat=1 ;; esac
    bytes=$(said "$name" '.* -> \([0-9.]* [A-Za-z]*\) (')
    pages=$(($(pages_as "$name" zero) + $(pages_as "$name" compressed) + $(pages_as "$name" raw)))
    [ "$rc" = "$code" ] || object "exit code $rc, not $code: $(tail -n 3 "$OUT/$name/stderr")"
    [ "$peak" -gt 0 ] && [ "$peak" -le "$BOUND_KIB" ] || object "peak memory $peak KiB, over $BOUND_KIB KiB"
    if [ ! -s "$dump" ]; then
        object "there is no ${dump##*/}"
    elif [ "$code" = 0 ]; then
        [ ! -e "$dump.incomplete" ] || object 'a dump.incomplete is there as well'
        judge_verify "$dump" 0
        judge_crash "$dump" "$name"
        judge_drgn "$dump" ${VMLINUX:+"$VMLINUX"}
        if [ -n "$flat" ]; then
            rm -f "$WORK/unflattened"
            "$KDUMPCONV" unflatten --no-sync -q "$dump" "$WORK/unflattened" 2>"$WORK/unflatten" || ended unflatten $? "$WORK/unflatten"
            dump=$WORK/unflattened
        fi
        [ "$(incomplete_bit "$dump")" = 0 ] || object 'the header says that it is incomplete'
        judge_libkdumpfile "$dump" "$pages"
        # Same options as the first file.
        if [ -n "$flat" ] || [ "$kind" = raw ]; then judge_same "$dump"; fi
    else
        [ ! -e "$OUT/$name/dump" ] && [ ! -e "$OUT/full/dump" ] || object 'a file with the final name is there'
        [ "$(incomplete_bit "$dump")" = 1 ] || object 'the header does not say that it is incomplete'
        [ "$pages" -gt 0 ] && [ "$pages" -lt "$(kept_of_all "$name")" ] || object "$pages pages kept, which is not the middle"
        judge_verify "$dump" 4
        judge_libkdumpfile "$dump" "$pages"
        judge_drgn "$dump"
        judge_crash_incomplete "$dump"
    fi
    case $kind in
        term*)
            say "$name: $(cat "$OUT/$name/wrote"); $pages of $(kept_of_all "$name") pages"
            grep -q 'bytes written when SIGTERM came' "$OUT/$name/wrote" || object 'SIGTERM came too late'
            ;;
    esac
    printf '%-22s %4s %11s %7s %9s %9s %s\n' "$name" "$rc" "$bytes" "$seconds" "$peak" "$low" \
        "$judges$([ ${#objections[@]} -eq 0 ] || echo ' FAILED')" >>"$WORK/table"
    if [ ${#objections[@]} -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed "$name" "$(printf '%s; ' "${objections[@]}")"
    fi
}

# kept_of_all CASE: the pages that a whole dump would have, as was said.
kept_of_all() {
    sed -n 's/^kdumpconv: \([0-9]* of \)*\([0-9]*\) pages written.*/\2/p' "$OUT/$1/stderr"
}

# pages_as CASE WORD: the pages that were written in this form, as was said; 0 if none was.
pages_as() {
    local pages
    pages=$(sed -n "s/^kdumpconv: \([0-9]* of \)*[0-9]* pages written:.* \([0-9]*\) $2\([,;].*\)*$/\2/p" "$OUT/$1/stderr")
    echo "${pages:-0}"
}

# judge_versus CASE: ours and theirs in turn; no speed is judged, but both dumps are.
judge_versus() {
    local name=$1 turn who seconds user system peak objections=() judges='' ours=$OUT/$1-ours-1/dump theirs=$OUT/$1-theirs-1/dump
    for turn in 1 2 3; do
        for who in ours theirs; do
            ! left_nothing "$name-$who-$turn" || return 0
            read -r seconds user system peak <<<"$(tail -n 1 "$OUT/$name-$who-$turn/time")"
            printf '%-22s %4s %11s %7s %9s %9s %s\n' "$name-$who-$turn" "$(cat "$OUT/$name-$who-$turn/rc")" \
                "$(cat "$OUT/$name-$who-$turn/bytes")" "$seconds" "$peak" "$(($(cat "$OUT/$name-$who-$turn/low") / 1024))" \
                " user $user s, system $system s" >>"$WORK/table"
            [ "$(cat "$OUT/$name-$who-$turn/rc")" = 0 ] || object "$who: exit code $(cat "$OUT/$name-$who-$turn/rc")"
            [ $who = theirs ] || [ "$peak" -le "$BOUND_KIB" ] || object "peak memory $peak KiB, over $BOUND_KIB KiB"
        done
    done
    judge_verify "$ours" 0
    # The pages that they kept are among ours. (We keep a page that the vmcore has but a part of, they do not.)
    if [ -n "$LIBKDUMPFILE" ]; then
        "$LIBKDUMPFILE" "$HERE/libkdumpfile_judge.py" "$ours" "$theirs" >"$WORK/libkdumpfile" 2>&1 ||
            ended 'libkdumpfile, ours and theirs,' $? "$WORK/libkdumpfile"
    fi
    if [ ${#objections[@]} -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed "$name" "$(printf '%s; ' "${objections[@]}")"
    fi
}

# judge_boot KERNEL CASE...: the results of one crash.
judge_boot() {
    local kernel=$1 name kind
    OUT=$WORK/$kernel.out
    shift
    if [ "$(cat "$OUT/copy/rc" 2>&1)" != 0 ]; then
        failed "$*" "the copy of /proc/vmcore failed: $(tail -n 1 "$OUT/copy/stderr" 2>&1)"
        return
    fi
    # The log says whose crash it was, and that of the capture kernel that nobody was killed.
    "$KDUMPCONV" info -v "$OUT/copy/vmcore" >"$WORK/info" 2>&1 || {
        failed "$*" "info of /proc/vmcore ended with $?: $(tail -n 3 "$WORK/info")"
        return
    }
    CRASHED=$(sed -n 's/^ *OSRELEASE=//p' "$WORK/info" | head -n 1)
    for log in "$WORK/$kernel.console" "$OUT/dmesg"; do
        ! grep -aE 'Out of memory|oom-kill|invoked oom|page allocation failure|BUG: |Oops' "$log" >&2 || failed "$kernel" "see $log"
    done
    for name in "$@"; do
        say "judging $name"
        read -r _ _ kind _ <<<"$(row "$name")"
        if [ "$kind" = versus ]; then judge_versus "$name"; else judge_case "$name"; fi
    done
}
