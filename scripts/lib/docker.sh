# A Docker engine with Compose for the tests of the container stack. Sourced by scripts/test, after
# environment.sh and test_programs.sh.
# shellcheck shell=bash

DOCKER_LOG=/var/log/galaxy-morphology-dockerd.log

# make_docker: makes sure that `docker compose` and `docker buildx` work. On a machine that only
# runs tests (CI, as root, with apt) it installs and starts what is missing, and debootstrap for
# images that cannot be pulled. Prints one line where
# no engine can be had; the tests of the stack then skip, or fail if REQUIRE_DOCKER is 1.
make_docker() {
  has_docker && return
  if [[ -n ${CI:-} && $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    install_engine && start_engine && install_plugins
  fi
  has_docker || say "There is no Docker engine with Compose and Buildx here that could be used."
}

has_docker() {
  docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1 &&
    docker buildx version >/dev/null 2>&1
}

install_engine() {
  command -v dockerd >/dev/null && command -v iptables >/dev/null &&
    command -v debootstrap >/dev/null && return
  as_root apt-get update -qq &&
    as_root apt-get install --yes -qq --no-install-recommends docker.io iptables debootstrap
}

# start_engine: in a session of its own, so that it outlives the tests and can be used by the next.
start_engine() {
  local second engine
  docker info >/dev/null 2>&1 && return
  forget_killed /var/run/docker.pid dockerd
  forget_killed /var/run/docker/containerd/containerd.pid containerd
  setsid dockerd >"$DOCKER_LOG" 2>&1 </dev/null &
  engine=$!
  for ((second = 0; second < 60; second++)); do
    docker info >/dev/null 2>&1 && return
    kill -0 "$engine" 2>/dev/null || pgrep -x dockerd >/dev/null || break # or another's start
    sleep 1
  done
  say "The Docker engine did not start; the end of $DOCKER_LOG:"
  tail -n 5 "$DOCKER_LOG" >&2
  return 1
}

# forget_killed FILE PROGRAM: removes the file with a program's process id unless that program runs
# under it. One that was killed leaves its file behind, and the id is given to another process some
# day: the engine would take that one for its own containerd and wait for it in vain.
forget_killed() {
  local file=$1 program=$2 id
  [[ -e $file ]] || return 0
  id=$(tr -dc 0-9 <"$file")
  [[ $(cat "/proc/$id/comm" 2>/dev/null) == "$program" ]] || rm -f "$file"
}

# install_plugins: Compose 2 and Buildx, which Debian 12 lacks, from the next Debian release, without
# making that release known to apt: the packages are only unpacked.
install_plugins() {
  docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 && return
  local work plugins=~/.docker/cli-plugins
  work=$(mktemp -d)
  mkdir -p "$work/lists/partial" "$work/sources" "$plugins"
  cp /etc/apt/sources.list.d/debian.sources "$work/sources/" 2>/dev/null ||
    cp /etc/apt/sources.list "$work/sources/debian.list" || return 1
  sed -i -e 's/bookworm/trixie/g' "$work"/sources/*
  local options=(-o Dir::State::Lists="$work/lists" -o Dir::Etc::SourceList=/dev/null
    -o Dir::Etc::SourceParts="$work/sources" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
  (
    cd "$work"
    apt-get "${options[@]}" update -qq &&
      apt-get "${options[@]}" download -qq docker-compose docker-buildx &&
      for package in ./*.deb; do dpkg -x "$package" unpacked; done &&
      cp unpacked/usr/libexec/docker/cli-plugins/* "$plugins/"
  ) >&2
  rm -rf "$work"
}
