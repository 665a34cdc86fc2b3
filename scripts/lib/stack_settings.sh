# The container stack's settings: .env made, filled in and checked. Sourced by scripts/up, which sets
# PROJECT and ENV_FILE.
# shellcheck shell=bash

# write_env: makes .env after .env.example, for its owner alone; later adds what a newer version
# has, and fills in what is empty. Everything else in it is the user's and stays.
write_env() {
  local line name before
  before=$(umask)
  if [[ ! -e $ENV_FILE ]] && has_database; then
    fail "There is a database of an earlier start, but .env with its password is gone. Restore .env;" \
      "or, if it belongs to another copy of this project, give this one names of its own in a new .env" \
      "(COMPOSE_PROJECT_NAME and GALAXY_TAG, see .env.example); or remove the database and all history" \
      "of runs with: docker volume rm $(database_volume)"
  fi
  umask 077
  [[ -e $ENV_FILE ]] || cp "$PROJECT/.env.example" "$ENV_FILE"
  chmod 600 "$ENV_FILE"
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^([A-Z_]+)= ]] || continue
    name=${BASH_REMATCH[1]}
    grep -q "^$name=" "$ENV_FILE" || change_env with_line "$line"
    [[ -n $(value_of "$name") ]] || fill_in "$name" "$(generate "$name")"
  done <"$PROJECT/.env.example"
  umask "$before"
}

# fill_in NAME VALUE: gives an empty setting a generated value, which sed takes as it is.
fill_in() {
  [[ -z $2 ]] || change_env sed "s|^$1=\$|$1=$2|"
}

# with_line LINE: adds a line to its input, whose last line need not end with a line feed.
with_line() { awk 1 && printf '%s\n' "$1"; }

# change_env COMMAND…: puts in place of .env what the command makes of it, whole or not at all.
change_env() {
  local file
  file=$(readlink -f "$ENV_FILE")
  "$@" <"$file" >"$file.new" || fail "$file could not be changed."
  # As root with somebody's checkout: the file stays theirs.
  (($(id -u))) || chown --reference "$file" "$file.new"
  mv "$file.new" "$file"
}

# check_env: refuses what Compose would read otherwise than it stands there, and settings that
# would let a service fail later.
check_env() {
  local line name odd='["$#\\'"'"']|^~|^[[:space:]]|[[:space:]]$'
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^([A-Z_]+)=(.*)$ ]] || continue
    name=${BASH_REMATCH[1]}
    if [[ ${BASH_REMATCH[2]} =~ $odd ]]; then
      fail "$name in .env: write the plain value, without quotes, \$, #, \\, a ~ at its start, or" \
        "blanks around it."
    fi
  done <"$ENV_FILE"
  for name in GPU_SLOTS WORKER_SLOTS GALAXY_UID WEB_PORT SPARK_WEB_PORT FLOWER_PORT SPARK_WORKERS \
    SPARK_WORKER_CORES PARALLEL_TASKS API_WORKERS LOG_RETENTION_DAYS WORKER_LOST_AFTER_S; do
    [[ $(value_of "$name") =~ ^[1-9][0-9]*$ ]] ||
      fail "$name in .env: expected a whole number above 0. Received: '$(value_of "$name")'"
  done
  [[ $(value_of GPU_MEMORY_MIB) =~ ^([1-9][0-9]*)?$ ]] ||
    fail "GPU_MEMORY_MIB in .env: expected a whole number of MiB, or nothing." \
      "Received: '$(value_of GPU_MEMORY_MIB)'"
  for name in POSTGRES_PASSWORD REDIS_PASSWORD; do # they stand in addresses
    [[ $(value_of "$name") =~ ^[A-Za-z0-9._~=-]+$ ]] ||
      fail "$name in .env: use letters, digits and . _ ~ = - only."
  done
  for name in WORKER_MEMORY TRAINER_MEMORY POSTGRES_MEMORY; do
    require_size "$name"
  done
  check_spark_sizes
  [[ $(value_of COMPOSE_PROFILES | tr ',' '\n' | grep -cxE 'gpu|cpu') == 1 ]] ||
    fail "COMPOSE_PROFILES in .env: expected one of gpu and cpu, and perhaps ',flower'." \
      "Received: '$(value_of COMPOSE_PROFILES)'"
}

# check_spark_sizes: a job whose executor no worker can hold would wait for ever, and a worker that
# offers all that its container may use would be killed with its executor.
check_spark_sizes() {
  local name
  for name in SPARK_EXECUTOR_MEMORY SPARK_WORKER_MEMORY SPARK_WORKER_MEMORY_LIMIT; do
    require_size "$name"
  done
  (($(mib_of SPARK_EXECUTOR_MEMORY) <= $(mib_of SPARK_WORKER_MEMORY))) ||
    fail "SPARK_EXECUTOR_MEMORY in .env is more than the SPARK_WORKER_MEMORY that a worker offers."
  # Outside its heap, an executor needs a tenth and at least 384 MiB, and so does the worker itself.
  (($(mib_of SPARK_WORKER_MEMORY) * 11 / 10 + 768 <= $(mib_of SPARK_WORKER_MEMORY_LIMIT))) ||
    fail "SPARK_WORKER_MEMORY_LIMIT in .env must leave room for more than SPARK_WORKER_MEMORY:" \
      "at least $(($(mib_of SPARK_WORKER_MEMORY) * 11 / 10 + 768))m."
}

require_size() {
  mib_of "$1" >/dev/null ||
    fail "$1 in .env: expected a size such as 512m or 4g. Received: '$(value_of "$1")'"
}

# mib_of NAME: prints a size such as 512m or 4g in MiB; fails if it is none.
mib_of() {
  [[ $(value_of "$1") =~ ^([1-9][0-9]*)([mMgG])$ ]] || return 1
  if [[ ${BASH_REMATCH[2]} == [gG] ]]; then
    echo $((BASH_REMATCH[1] * 1024))
  else
    echo "${BASH_REMATCH[1]}"
  fi
}

# forget_shell_variables: what stands in .env holds; Compose would take a variable of the shell that
# has the same name first.
forget_shell_variables() {
  local line name
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^([A-Z_]+)= ]] || continue
    name=${BASH_REMATCH[1]}
    [[ -z ${!name:-} || ${!name} == "$(value_of "$name")" ]] ||
      say "$name: what .env says is taken, not the variable of this shell."
    unset "$name"
  done <"$ENV_FILE"
}

# check_readable: containers run as GALAXY_UID, and read the DAG where it lies.
check_readable() {
  local folders
  folders=(dags plugins "$(value_of SPARK_CONF)")
  [[ -d ${folders[2]} ]] || fail "SPARK_CONF in .env: there is no folder '${folders[2]}'."
  [[ $(value_of GALAXY_UID) == "$(id -u)" ]] ||
    [[ -z $(find "${folders[@]}" ! -perm -o=r -print -quit) ]] ||
    fail "Files in ${folders[*]} are for their owner alone, and containers run as another user" \
      "(GALAXY_UID in .env). Run: chmod -R o+rX ${folders[*]}"
}

database_volume() { echo "${COMPOSE_PROJECT_NAME:-galaxy-morphology}_postgres"; }
has_database() { docker volume inspect "$(database_volume)" >/dev/null 2>&1; }
value_of() { sed -n "s/^$1=//p" "$ENV_FILE" | tail -n 1; }

# generate NAME: prints the value of a setting that nobody has made yet; nothing if it may be empty.
generate() {
  case $1 in
    COMPOSE_PROFILES) if (($(count_gpus))); then echo gpu; else echo cpu; fi ;;
    # The two that follow from who trains, so that changing that changes them, too.
    GALAXY_PRESET) if trains_on_gpu; then echo full; else echo quick; fi ;;
    GPU_SLOTS) if trains_on_gpu && (($(count_gpus))); then count_gpus; else echo 1; fi ;;
    GALAXY_UID) if (($(id -u))); then id -u; else echo 50000; fi ;; # containers never run as root
    TRAINER_MEMORY) trainer_memory ;;
    ADMIN_PASSWORD | POSTGRES_PASSWORD | REDIS_PASSWORD | API_SECRET_KEY | SPARK_SECRET)
      random_bytes 24 | tr '+/' '-_' ;;
    JWT_SECRET) random_bytes 48 | tr '+/' '-_' ;; # HMAC with SHA-512: 64 characters
    FERNET_KEY) random_bytes 32 | tr '+/' '-_' ;; # Fernet: 32 bytes in URL-safe base 64
  esac
}

random_bytes() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }

# trainer_memory: prints 16g for each training at once, and at most what the engine's machine has;
# nothing where GPU_SLOTS is no number, which check_env tells.
trainer_memory() {
  local wanted machine
  [[ $(value_of GPU_SLOTS) =~ ^[1-9][0-9]*$ ]] || return 0
  wanted=$((16 * $(value_of GPU_SLOTS)))
  machine=$(docker info --format '{{.MemTotal}}' 2>/dev/null || true)
  machine=$((${machine:-0} >> 30))
  echo "$((machine >= 1 && machine < wanted ? machine : wanted))g"
}

trains_on_gpu() { [[ ,$(value_of COMPOSE_PROFILES), == *,gpu,* ]]; }

# count_gpus: prints how many NVIDIA GPUs containers can use.
count_gpus() {
  if has_gpu_runtime; then
    nvidia-smi --list-gpus 2>/dev/null | grep -c '^GPU' || true
  else
    echo 0
  fi
}

has_gpu_runtime() { docker info --format '{{json .Runtimes}}' | grep -q '"nvidia"'; }
