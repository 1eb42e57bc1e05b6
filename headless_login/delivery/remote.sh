# The far side of a delivery: for any POSIX sh (dash, BusyBox, bash, ksh), with nothing else there.
# It gets all it works with on standard input, and answers in lines that begin with the word $mark
# of this call, so that banners and profiles of a login shell are told apart from it.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # `eval` sets what is read
# shellcheck disable=SC2046  # two words of an answer are wanted as two
# shellcheck disable=SC1010,SC2015,SC2088  # `done` is told; the last may fail; `~` is taken as it is
set -uf +x
umask 077
LC_ALL=C
export LC_ALL
for name in mark action folder known size sum hash; do
    IFS= read -r value || value=
    eval "$name=\$value"
done

# A secret is never an argument of a process: it is printed by the shell itself.
if [ "$(command -v printf)" = printf ]; then
    put() { printf %s "$1"; }
elif [ "$(command -v print)" = print ]; then
    put() { print -rn -- "$1"; }
else
    echo "$mark failed shell: sh there has no printf of its own"
    exit 1
fi
tell() {
    put "$mark $1
"
}
fail() {
    tell "failed $1"
    exit 1
}
trap 'exit 1' HUP INT PIPE TERM

# A BusyBox may lack the one of POSIX.
if command -v cksum > /dev/null 2>&1; then
    summed() {
        set -- $(cksum)
        put "${1:-} ${2:-}"
    }
else
    command -v sha256sum > /dev/null 2>&1 || fail "tool: neither cksum nor sha256sum is there"
    sum=$hash
    summed() {
        set -- $(sha256sum)
        put "${1:-}"
    }
fi
sum_of() {
    if [ -e "$1" ]; then summed < "$1"; else put -; fi
}
owner() {
    set -- $(ls -ldn "$1" 2>/dev/null)
    put "${3:-}:${4:-}"
}
# Root leaves nothing of its own in the folder of another user, who may have put a link there.
give() {
    [ "$user" != 0 ] || [ "$2" = : ] || chown -h "$2" "$1" 2>/dev/null
}
lines() {
    while IFS= read -r line || [ -n "$line" ]; do
        tell "$1 $line"
    done < "$2"
}
document() {
    [ ! -e "$2" ] || { [ -f "$2" ] && [ -r "$2" ] && lines "$1" "$2"; } || tell "unreadable $2"
}

user=$(id -u)
home=${HOME:-}
[ -n "$home" ] || home=$(getent passwd "$user" 2>/dev/null | cut -d: -f6)
[ -n "$home" ] || home=$(sed -n "s/^[^:]*:[^:]*:$user:[^:]*:[^:]*:\([^:]*\):.*/\1/p" /etc/passwd)
usual=${CODEX_HOME:-$home/.codex}
case $folder in
    '') folder=$usual ;;
    '~') folder=$home ;;
    '~/'*) folder=$home/${folder#??} ;;
esac
case $folder in
    /*) ;;
    *) fail "folder: the Codex folder is not known there: neither HOME nor CODEX_HOME is set" ;;
esac
if [ ! -d "$folder" ]; then
    [ ! -e "$folder" ] || fail "folder: $folder is no folder"
    above=$folder
    while [ ! -d "$above" ]; do above=${above%/*} && above=${above:-/}; done
    trouble=$(mkdir -p "$folder" 2>&1) || fail "folder: $trouble"
    made=$folder
    while [ "${made:-/}" != "$above" ]; do
        give "$made" "$(owner "$above")"
        made=${made%/*}
    done
    tell "made $folder"
fi

# As Codex does, an auth.json that is a link is followed and kept.
file=$folder/auth.json
links=0
while [ -L "$file" ]; do
    links=$((links + 1))
    maker=$(owner "$file")
    to=$(readlink "$file")
    case $to in
        /*) file=$to ;;
        *) file=${file%/*}/$to ;;
    esac
    [ "$links" -lt 40 ] || fail "file: the symbolic links of $folder/auth.json go in a circle"
    [ "$user" != 0 ] || [ "${maker%:*}" = 0 ] || [ "${maker%:*}" = "$(owner "${file%/*}" | cut -d: -f1)" ] ||
        fail "file: $folder/auth.json is another user's link to what is not theirs"
done
beside=${file%/*}
beside=${beside:-/}
[ ! -e "$file" ] || [ -f "$file" ] || fail "file: $file is no file"
[ ! -e "$file" ] || [ -r "$file" ] || fail "file: $file cannot be read: Permission denied"

probe() {
    tell "folder $folder"
    tell "file $file"
    [ "$folder" != "$usual" ] || tell "usual yes"
    # A file that was just made where the sign-in comes from: shared homes, ssh to oneself.
    [ -z "$known" ] || [ ! -e "$folder/$known" ] || tell "same yes"
    tell "sum $(sum_of "$file")"
    [ ! -e "$file" ] || lines auth "$file"
    document below /etc/codex/config.toml
    document config "$folder/config.toml"
    document managed /etc/codex/managed_config.toml
    document required /etc/codex/requirements.toml
    for codex in codex "$home/.local/bin/codex" /usr/local/bin/codex /opt/homebrew/bin/codex; do
        if command -v "$codex" > /dev/null 2>&1; then
            tell "codex $("$codex" --version 2> /dev/null < /dev/null)"
            break
        fi
    done
    # As much as a write needs, on a disk that may be full; beside the file, or else in its place.
    try=$beside/.auth-${mark%??????}
    if trouble=$({ dd if=/dev/zero of="$try" bs=1024 count=16 &&
        mv -f "$try" "$beside/.auth-$mark"; } 2>&1); then
        rm -f "$beside/.auth-$mark"
    else
        rm -f "$try" 2> /dev/null
        [ -w "$file" ] || fail "write: $trouble"
        case $trouble in *"No space"*) fail "write: $trouble" ;; esac
    fi
    tell done
}

# The lock files of Codex, in its order, for as long as this process lives.
lock() {
    command -v flock > /dev/null 2>&1 || return 0
    [ ! -e "$2" ] || [ -f "$2" ] || return 0
    [ ! -L "$2" ] || [ "$user" != 0 ] || return 0  # where it leads, root makes nothing
    made=$([ -e "$2" ] || put yes)
    (: >> "$2") 2> /dev/null || return 0
    [ -z "$made" ] || give "$2" "$(owner "$folder")"
    eval "exec $1>> \"\$2\""
    tries=0
    # The shell gives some descriptors to no other program (ksh), unless it is told to.
    until eval "flock -n $1 $1>&$1" 2> /dev/null; do
        [ $? = 1 ] || return 0  # this one cannot
        tries=$((tries + 1))
        [ "$tries" -lt 30 ] || fail "locked: another program has held $2 for 30 seconds"
        sleep 1
    done
}

sweep() {
    set +f
    for left in "$beside"/.auth-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f] \
        "$beside"/.auth-[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]; do
        [ -L "$left" ] || [ ! -f "$left" ] || rm -f "$left"
    done
    set -f
}

# Where nothing can be renamed (a single mounted file), room is made behind what is there, with
# blanks, which mean nothing in JSON; then one write covers all of it.
write_in_place() {
    before=$(cat "$file" && put x) || return 1
    long=$(($(wc -c < "$file")))
    more=$(blanks $((size - long)))
    put "$more" 2> /dev/null >> "$file"
    if [ "$(($(wc -c < "$file")))" -ge "$size" ] &&
        in_one_write "$content$(blanks $((long - size)))" &&
        [ "$(dd if="$file" bs=1 count="$size" 2> /dev/null | summed)" = "$sum" ]; then
        truncate -s "$size" "$file" 2> /dev/null
        chmod 600 "$file" 2> /dev/null
        return 0
    fi
    [ "$(sum_of "$file")" = "$now" ] || in_one_write "${before%x}$more"
    truncate -s "$long" "$file" 2> /dev/null
    return 1
}
blanks() {
    [ "$1" -le 0 ] || printf "%${1}s" ''
}
in_one_write() {
    put "$1" | dd of="$file" conv=notrunc bs=1048576 iflag=fullblock 2> /dev/null ||
        put "$1" | dd of="$file" conv=notrunc bs=1048576 2> /dev/null
}

deliver() {
    content=$(dd bs=1 count="$size" 2> /dev/null && put x)
    content=${content%x}
    [ "$(put "$content" | summed)" = "$sum" ] || fail "cut: not all of it arrived"
    lock 8 "$folder/auth.lock"
    name=${file##*/}
    lock 9 "$beside/${name%.*}.json.lock"
    sweep
    now=$(sum_of "$file")
    tell "sum $sum"
    if [ "$now" = "$sum" ]; then
        chmod 600 "$file" 2> /dev/null
        tell done
        exit 0
    fi
    [ "$now" = "$known" ] || fail "changed: another program has just written $file"
    temporary=$beside/.auth-$mark
    trap 'rm -f "$temporary" 2> /dev/null' EXIT
    like=$file
    [ -e "$file" ] || like=$beside
    moved=
    if trouble=$( (set -C && put "$content" > "$temporary") 2>&1) &&
        [ "$(sum_of "$temporary")" = "$sum" ]; then
        give "$temporary" "$(owner "$like")"
        sync "$temporary" 2> /dev/null
        trouble=$(mv -f "$temporary" "$file" 2>&1) && moved=yes
    fi
    if [ "$(sum_of "$file")" != "$sum" ]; then
        [ -z "$moved" ] || fail "write: $file does not hold what was written"
        [ -f "$file" ] && [ -w "$file" ] && write_in_place ||
            fail "write: ${trouble:-$beside does not hold what was written}"
        tell "in_place yes"
    fi
    tell done
}

case $action in
    probe) probe ;;
    deliver) deliver ;;
esac
