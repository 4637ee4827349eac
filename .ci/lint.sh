#!/usr/bin/env bash
# Small checks that need no compiler. Prints every finding, then fails if there was one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0

# report MESSAGE FINDINGS: fails when there are findings.
report() {
    if [[ -n $2 ]]; then
        printf '%s:\n%s\n' "$1" "$2"
        failed=1
    fi
}

# files PATTERN...: tracked or new files that are not ignored.
files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard -- "$@" |
            while IFS= read -r file; do if [[ -f $file ]]; then printf '%s\n' "$file"; fi; done
    else
        local pattern
        for pattern in "$@"; do
            find . \( -name target -o -name .git \) -prune -o -type f -name "$pattern" -print
        done | sed 's|^\./||'
    fi
}

# search REGEX FILES: matching lines with their places; no match is no error.
search() {
    local regex=$1
    shift
    if (($# > 0)); then grep -nHE -- "$regex" "$@" || true; fi
}

mapfile -t rust < <(files '*.rs')
mapfile -t manifests < <(files '*Cargo.toml' | grep -E '(^|/)Cargo\.toml$')
mapfile -t texts < <(files '*.rs' '*.md' '*.toml' '*.sol' '*.json' | sort -u)

# A package outside the workspace has a [workspace] table of its own.
report 'manifests without [lints] workspace = true' "$(
    for manifest in "${manifests[@]}"; do
        [[ $manifest != Cargo.toml ]] && grep -qx '\[workspace\]' "$manifest" && continue
        grep -A1 -x '\[lints\]' "$manifest" | grep -qx 'workspace = true' || echo "$manifest"
    done
)"

report 'unfinished work' "$(search '\b(TODO|FIXME|XXX|HACK)\b|todo!\(|unimplemented!\(' "${texts[@]}")"

report 'absolute paths of a machine' \
    "$(search '(^|[^A-Za-z0-9_.])(/home/|/Users/|/root/|/work/|/mnt/|[A-Z]:\\\\)[A-Za-z]' "${texts[@]}")"

report 'source files without a header' "$(
    for file in "${rust[@]}"; do
        [[ $(head -c 3 "$file") == '//!' ]] || echo "$file"
    done
)"

report 'printing in a library' "$(
    for file in "${rust[@]}"; do
        case $file in
        src/cli/* | src/main.rs | */tests/* | tests/* | */benches/* | benches/* | */examples/* | examples/*) ;;
        src/* | */src/*) search '^[^/]*\b(print|println|eprint|eprintln|dbg)!' "$file" ;;
        esac
    done
)"

report 'lines that end in white space' "$(search '[[:blank:]]+$' "${rust[@]}")"

report 'merge conflict markers' "$(search '^(<<<<<<<|>>>>>>>) ' "${texts[@]}")"

((failed == 0)) || exit 1
echo 'lint: no findings'
