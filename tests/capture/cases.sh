# shellcheck shell=sh
# What the capture kernel runs: each case of /cases, on the one /proc/vmcore. Sourced by `init`.
#
# A case leaves on the disk "out" a folder with what it wrote, the exit code (rc), the words on standard
# error (stderr), what GNU time says (time: seconds, user, system, peak KiB), and the least memory that was
# available meanwhile (low, KiB). The host judges.

out=/out
mkdir -p $out /full
mount -t ext4 "$(device out)" $out || off 'CAPTURE-FAILED: no disk to write to'
full=$(device full)
[ -z "$full" ] || mount -t ext4 "$full" /full || off 'CAPTURE-FAILED: no small disk'

{
    uname -r
    grep -E 'MemTotal|MemAvailable' /proc/meminfo
    grep -c '^processor' /proc/cpuinfo
    ls -l /proc/vmcore
    cat /proc/cmdline
} | tee $out/kernel

# Watches the memory until it is killed.
watch_memory() {
    least=999999999
    while :; do
        while read -r key value _; do
            if [ "$key" = MemAvailable: ]; then
                [ "$value" -ge "$least" ] || { least=$value && echo "$least" >"$1/low"; }
                break
            fi
        done </proc/meminfo
        usleep 200000
    done
}

# measured NAME COMMAND...: with no terminal, in a session of its own, and not for ever. Standard output
# stays what it is. The process tells its id, and is what the limit ends.
measured() {
    folder=$out/$1
    shift
    mkdir -p "$folder"
    sync
    echo 3 >/proc/sys/vm/drop_caches
    watch_memory "$folder" &
    watcher=$!
    # shellcheck disable=SC2016 # for the inner shell
    setsid gnu-time -q -o "$folder/time" -f '%e %U %S %M' \
        sh -c 'echo $$ >"$0/pid"; exec timeout -s KILL 900 "$@"' "$folder" "$@" </dev/null 2>"$folder/stderr"
    echo $? >"$folder/rc"
    kill $watcher
    echo "CAPTURE: ${folder##*/} ended with $(cat "$folder/rc"), $(tail -n 1 "$folder/time")" >/dev/console
}

# to_file NAME OPTION...: the dump is $out/NAME/dump.
to_file() {
    to=$1
    shift
    measured "$to" kdumpconv -v "$@" /proc/vmcore "$out/$to/dump" >/dev/null
}

# term_when NAME BYTES: SIGTERM once the process of NAME wrote so much; how much is in wrote.
term_when() {
    while [ ! -s "$out/$1/pid" ]; do usleep 20000; done
    pid=$(cat "$out/$1/pid")
    while [ -e "/proc/$pid/io" ]; do
        wrote=$(sed -n 's/^wchar: //p' "/proc/$pid/io")
        if [ "${wrote:-0}" -ge "$2" ]; then
            kill -TERM "$pid"
            from=$(cut -d ' ' -f 1 /proc/uptime)
            while [ -e "/proc/$pid/fd/0" ]; do usleep 20000; done
            echo "$wrote bytes written when SIGTERM came at $from; ended by $(cut -d ' ' -f 1 /proc/uptime)" >"$out/$1/wrote"
            return
        fi
        usleep 20000
    done
    echo 'it had ended already' >"$out/$1/wrote"
}

while read -r name kind rest; do
    echo "CAPTURE: $name"
    case $kind in
        copy)
            measured copy cp /proc/vmcore $out/copy/vmcore
            ;;
        file)
            # shellcheck disable=SC2086 # options
            to_file "$name" $rest
            ;;
        full)
            # shellcheck disable=SC2086 # options
            measured "$name" kdumpconv -v $rest /proc/vmcore /full/dump
            ls -la /full >"$out/$name/ls"
            ;;
        raw)
            # shellcheck disable=SC2086 # options
            measured "$name" kdumpconv -v $rest /proc/vmcore "$(device "$name")"
            ;;
        raw-dd)
            # shellcheck disable=SC2086 # options
            measured "$name" kdumpconv -v $rest /proc/vmcore | dd of="$(device "$name")" bs=64k 2>/tmp/dd
            ;;
        pipe)
            mkdir -p "$out/$name"
            # shellcheck disable=SC2086 # options
            measured "$name" kdumpconv -v $rest /proc/vmcore | cat >"$out/$name/dump"
            ;;
        port)
            # shellcheck disable=SC2086 # options
            measured "$name" kdumpconv -v $rest /proc/vmcore >"$(echo /dev/vport*)"
            ;;
        term)
            rm -f "$out/$name/pid"
            term_when "$name" 30000000 &
            killer=$!
            # shellcheck disable=SC2086 # options
            to_file "$name" $rest
            wait $killer
            ;;
        term-raw)
            rm -f "$out/$name/pid"
            term_when "$name" 30000000 &
            killer=$!
            # shellcheck disable=SC2086 # options
            measured "$name" kdumpconv -v $rest /proc/vmcore "$(device "$name")"
            wait $killer
            ;;
        versus)
            # Neither waits for the disk.
            for turn in 1 2 3; do
                # shellcheck disable=SC2086 # options
                to_file "$name-ours-$turn" --no-sync $rest
                mkdir -p "$out/$name-theirs-$turn"
                # shellcheck disable=SC2086 # options
                measured "$name-theirs-$turn" makedumpfile $rest /proc/vmcore "$out/$name-theirs-$turn/dump" >"$out/$name-theirs-$turn/stdout"
                for who in ours theirs; do
                    stat -c %s "$out/$name-$who-$turn/dump" >"$out/$name-$who-$turn/bytes"
                done
                # One of each is enough to judge.
                [ $turn = 1 ] || rm "$out/$name-ours-$turn/dump" "$out/$name-theirs-$turn/dump"
            done
            ;;
    esac
done </cases
dmesg >$out/dmesg
# The last limit's watcher notices within a second that its process is gone.
sync
sleep 2
umount $out
[ -z "$full" ] || umount /full
