# Finds or installs Java 17 or newer, which Spark needs. Sourced by the scripts, after environment.sh.
# shellcheck shell=bash

# make_java: exports JAVA_HOME; installs a runtime if there is none. Only root installs it for the
# machine: to others `sudo` is a question of the machine's administrator.
make_java() {
  use_java || {
    [[ $(id -u) == 0 ]] && { install_java_package || true; } && use_java
  } || {
    install_private_java || true
    use_java
  } || fail "Spark needs Java 17 or newer, which was not found and could not be installed. Install it" \
    "(Debian: apt-get install default-jre-headless; Fedora: dnf install java-21-openjdk-headless;" \
    "macOS: brew install openjdk@21) or set JAVA_HOME, and run this again."
}

use_java() {
  local java home
  for java in "${JAVA_HOME:-}/bin/java" java "$PROJECT"/.java/*/bin/java "$PROJECT"/.java/*/*/*/bin/java; do
    if home=$(java_home_of "$java"); then
      export JAVA_HOME=$home
      return 0
    fi
  done
  return 1
}

# java_home_of JAVA: prints the home of this runtime; fails unless it is Java 17 or newer.
java_home_of() {
  local properties version
  properties=$("$1" -XshowSettings:properties -version 2>&1) || return 1
  version=$(sed -n 's/^ *java\.specification\.version = //p' <<<"$properties")
  [[ $version =~ ^[0-9]+$ && $version -ge 17 ]] || return 1
  sed -n 's/^ *java\.home = //p' <<<"$properties"
}

install_java_package() {
  local package
  if command -v apt-get >/dev/null; then
    as_root apt-get update -qq || return 1
    for package in openjdk-21-jre-headless openjdk-17-jre-headless default-jre-headless; do
      as_root apt-get install --yes -qq --no-install-recommends "$package" && return
    done
  elif command -v dnf >/dev/null; then
    for package in java-21-openjdk-headless java-17-openjdk-headless; do
      as_root dnf install --assumeyes --quiet "$package" && return
    done
  fi
  return 1
}

# as_root COMMAND: runs it as root if that needs no password; its output goes to stderr.
as_root() {
  if [[ $(id -u) == 0 ]]; then
    DEBIAN_FRONTEND=noninteractive "$@" >&2
  else
    sudo -n env DEBIAN_FRONTEND=noninteractive "$@" >&2 2>/dev/null
  fi
}

install_private_java() {
  say "Installing a Java runtime into $PROJECT/.java."
  PIP_USER=0 "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement "$PROJECT/scripts/lib/requirements-java.lock" &&
    "$PYTHON" -c 'import jdk, sys; jdk.install("21", jre=True, path=sys.argv[1])' "$PROJECT/.java" \
      >/dev/null 2>&1 # fails without a network; make_java then says what to do
}
