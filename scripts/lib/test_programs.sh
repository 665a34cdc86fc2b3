# Programs that only the tests need. Sourced by scripts/test, after environment.sh and java.sh.
# shellcheck shell=bash

# make_test_programs: a browser for the end-to-end tests, an OpenCL device that is no GPU, and STILTS,
# which reads tables as TOPCAT does. The tests that need them skip with a reason where they are
# missing, or fail if REQUIRE_BROWSER or REQUIRE_OPENCL is 1.
make_test_programs() {
  local missing=() package
  has_browser || missing+=(chromium)
  command -v stilts >/dev/null || missing+=(stilts)
  [[ -e /etc/OpenCL/vendors/pocl.icd ]] || missing+=(pocl-opencl-icd)
  # OpenCV looks for devices through this library; the device's package does not bring it.
  [[ $(/sbin/ldconfig -p 2>/dev/null) == *libOpenCL.so.1* ]] || missing+=(ocl-icd-libopencl1)
  if ((${#missing[@]})) && command -v apt-get >/dev/null && [[ $(id -u) == 0 || -n ${CI:-} ]]; then
    as_root apt-get update -qq || say "Could not update the list of packages; trying without."
    for package in "${missing[@]}"; do
      as_root apt-get install --yes -qq --no-install-recommends "$package" ||
        say "Could not install $package; the tests that need it cannot run."
    done
  fi
}

# has_browser: succeeds if there is a browser that the end-to-end tests can drive.
has_browser() {
  local browser
  [[ -z ${CHROMIUM:-} ]] || return 0
  for browser in chromium chromium-browser google-chrome; do
    if command -v "$browser" >/dev/null; then
      return 0
    fi
  done
  return 1
}

# count_test_processes [FILE]: prints one per core, but at most four and one per 4 GB of memory: each
# holds TensorFlow, and Java for Spark. FILE is Linux's meminfo.
count_test_processes() {
  local processes kib
  processes=$(getconf _NPROCESSORS_ONLN)
  kib=$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' "${1:-/proc/meminfo}" 2>/dev/null || true)
  if [[ -n $kib ]] && ((kib / 3900000 < processes)); then # a machine with 4 GB reports a little less
    processes=$((kib / 3900000))
  fi
  ((processes <= 4)) || processes=4
  ((processes >= 1)) || processes=1
  echo "$processes"
}
