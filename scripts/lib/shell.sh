# What all scripts begin with: the project's folder, messages, and a shell without the user's
# settings that would change what follows. Sourced first.
# shellcheck shell=bash

unset CDPATH "${!PYTHON@}" # 'cd' would print; another Python's folders would come first
export PYTHONUTF8=1 LC_ALL=C.UTF-8 # names, numbers and messages as the scripts expect them
[[ $(uname -s) != Darwin ]] || LC_ALL=en_US.UTF-8

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "ERROR: $*"
  exit 1
}

# check_place: refuses a folder whose name Python, Spark or Docker would take apart.
check_place() {
  local odd="['\"\`\\\\\$:;,%#?*{}]|\[|\]|[[:cntrl:]]"
  [[ ! $PROJECT =~ $odd ]] ||
    fail "The folder of this project must have no quotes, colons, line breaks or any of" \
      "\` \\ \$ ; , % # ? * [ ] { } in its path; blanks and accents are fine." \
      "Received: $(printf '%q' "$PROJECT"). Move it, or clone" \
      "it elsewhere; nothing was installed."
}
check_place
