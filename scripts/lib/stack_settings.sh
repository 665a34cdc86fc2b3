# Writes, completes and checks .env, the container stack's settings. Sourced by scripts/up, which sets
# PROJECT and ENV_FILE.
# shellcheck shell=bash

# write_env: makes .env from .env.example, readable only by its owner; later adds the settings of newer
# versions and generates empty ones. Everything else in it belongs to the user and stays.
write_env() {
  local line name before
  before=$(umask)
  if [[ ! -e $ENV_FILE ]] && has_database; then
    fail "There is a database from an earlier start, but .env with its password is missing. Restore" \
      ".env. If the database belongs to another copy of this project, give this copy its own names in a" \
      "new .env (COMPOSE_PROJECT_NAME and GALAXY_TAG, see .env.example). Or remove the database and the" \
      "history of all runs with: docker volume rm $(database_volume)"
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

# fill_in NAME VALUE: sets an empty setting; VALUE has no characters that are special to sed.
fill_in() {
  [[ -z $2 ]] || change_env sed "s|^$1=\$|$1=$2|"
}

# with_line LINE: appends a line to its input, whose last line may lack a line feed.
with_line() { awk 1 && printf '%s\n' "$1"; }

# change_env COMMAND…: replaces .env by the command's output, whole or not at all.
change_env() {
  local file
  file=$(readlink -f "$ENV_FILE")
  "$@" <"$file" >"$file.new" || fail "$file could not be changed."
  # Root leaves the file to its owner.
  (($(id -u))) || chown "$(ls -nd "$file" | awk '{ print $3 ":" $4 }')" "$file.new"
  mv "$file.new" "$file"
}

# check_env: refuses values that Compose would not read literally, and settings that would make a
# service fail later.
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
  for name in GPU_SLOTS WORKER_SLOTS GALAXY_UID WEB_PORT SPARK_WEB_PORT MLFLOW_PORT FLOWER_PORT \
    SPARK_WORKERS SPARK_WORKER_CORES PARALLEL_TASKS API_WORKERS LOG_RETENTION_DAYS WORKER_LOST_AFTER_S; do
    [[ $(value_of "$name") =~ ^[1-9][0-9]*$ ]] ||
      fail "$name in .env: expected a whole number above 0. Received: '$(value_of "$name")'"
  done
  [[ $(value_of GPU_MEMORY_MIB) =~ ^([1-9][0-9]*)?$ ]] ||
    fail "GPU_MEMORY_MIB in .env: expected a whole number of MiB, or nothing." \
      "Received: '$(value_of GPU_MEMORY_MIB)'"
  for name in POSTGRES_PASSWORD REDIS_PASSWORD; do # they are part of URLs
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

# check_spark_sizes: a job whose executor fits no worker would wait for ever, and a worker that offers
# all of its container's memory would be killed with its executor.
check_spark_sizes() {
  local name
  for name in SPARK_EXECUTOR_MEMORY SPARK_WORKER_MEMORY SPARK_WORKER_MEMORY_LIMIT; do
    require_size "$name"
  done
  (($(mib_of SPARK_EXECUTOR_MEMORY) <= $(mib_of SPARK_WORKER_MEMORY))) ||
    fail "SPARK_EXECUTOR_MEMORY in .env is more than the SPARK_WORKER_MEMORY of a worker."
  # Beside its heap, an executor needs a tenth of it and at least 384 MiB, as does the worker itself.
  (($(mib_of SPARK_WORKER_MEMORY) * 11 / 10 + 768 <= $(mib_of SPARK_WORKER_MEMORY_LIMIT))) ||
    fail "SPARK_WORKER_MEMORY_LIMIT in .env must exceed SPARK_WORKER_MEMORY by some margin:" \
      "at least $(($(mib_of SPARK_WORKER_MEMORY) * 11 / 10 + 768))m."
}

require_size() {
  mib_of "$1" >/dev/null ||
    fail "$1 in .env: expected a size such as 512m or 4g. Received: '$(value_of "$1")'"
}

# mib_of NAME: prints a size such as 512m or 4g in MiB; fails if it is not a size.
mib_of() {
  [[ $(value_of "$1") =~ ^([1-9][0-9]*)([mMgG])$ ]] || return 1
  if [[ ${BASH_REMATCH[2]} == [gG] ]]; then
    echo $((BASH_REMATCH[1] * 1024))
  else
    echo "${BASH_REMATCH[1]}"
  fi
}

# forget_shell_variables: .env decides; Compose would prefer a shell variable of the same name.
forget_shell_variables() {
  local line name
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^([A-Z_]+)= ]] || continue
    name=${BASH_REMATCH[1]}
    [[ -z ${!name:-} || ${!name} == "$(value_of "$name")" ]] ||
      say "$name: the value in .env is used, not this shell's variable."
    unset "$name"
  done <"$ENV_FILE"
}

# check_readable: containers run as GALAXY_UID and read the DAG from this checkout.
check_readable() {
  local folders
  folders=(dags plugins "$(value_of SPARK_CONF)")
  [[ -d ${folders[2]} ]] || fail "SPARK_CONF in .env: there is no folder '${folders[2]}'."
  [[ $(value_of GALAXY_UID) == "$(id -u)" ]] ||
    [[ -z $(find "${folders[@]}" ! -perm -o=r -print -quit) ]] ||
    fail "Some files in ${folders[*]} are readable only by their owner, but containers run as another" \
      "user (GALAXY_UID in .env). Run: chmod -R o+rX ${folders[*]}"
}

# check_ports: fails if another program has a port of the stack, which Docker would tell without
# saying what to do.
check_ports() {
  local name service
  for name in WEB_PORT SPARK_WEB_PORT MLFLOW_PORT FLOWER_PORT; do
    case $name in
      WEB_PORT) service=api-server ;;
      SPARK_WEB_PORT) service=spark-master ;;
      MLFLOW_PORT) service=mlflow ;;
      FLOWER_PORT)
        service=flower
        [[ ,$(value_of COMPOSE_PROFILES), == *,flower,* ]] || continue
        ;;
    esac
    [[ -z $(docker compose ps --quiet --status running "$service" 2>/dev/null) ]] || continue
    ! (exec 3<>"/dev/tcp/127.0.0.1/$(value_of "$name")") 2>/dev/null ||
      fail "$name in .env is $(value_of "$name"), which another program uses on this machine. Choose" \
        "another port there, or end that program."
  done
}

database_volume() { echo "${COMPOSE_PROJECT_NAME:-galaxy-morphology}_postgres"; }
has_database() { docker volume inspect "$(database_volume)" >/dev/null 2>&1; }
value_of() { sed -n "s/^$1=//p" "$ENV_FILE" | tail -n 1; }

# generate NAME: prints a value for an empty setting; nothing if it may stay empty.
generate() {
  case $1 in
    COMPOSE_PROFILES) if (($(count_gpus))); then echo gpu; else echo cpu; fi ;;
    # These two follow from COMPOSE_PROFILES, so that changing it changes them too.
    GALAXY_PRESET) if trains_on_gpu; then echo full; else echo quick; fi ;;
    GPU_SLOTS) if trains_on_gpu && (($(count_gpus))); then count_gpus; else echo 1; fi ;;
    GALAXY_UID) if (($(id -u))); then id -u; else echo 50000; fi ;; # containers never run as root
    TRAINER_MEMORY) trainer_memory ;;
    NO_PROXY_HOSTS) hosts_without_proxy ;;
    ADMIN_PASSWORD | POSTGRES_PASSWORD | REDIS_PASSWORD | API_SECRET_KEY | SPARK_SECRET)
      random_bytes 24 | tr '+/' '-_' ;;
    JWT_SECRET) random_bytes 48 | tr '+/' '-_' ;; # HMAC with SHA-512: 64 characters
    FERNET_KEY) random_bytes 32 | tr '+/' '-_' ;; # Fernet: 32 bytes in URL-safe base 64
  esac
}

random_bytes() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }

# trainer_memory: prints 16g per GPU slot, but at most the memory of the engine's machine; nothing if
# GPU_SLOTS is not a number, which check_env reports.
trainer_memory() {
  local wanted machine
  [[ $(value_of GPU_SLOTS) =~ ^[1-9][0-9]*$ ]] || return 0
  wanted=$((16 * $(value_of GPU_SLOTS)))
  machine=$(docker info --format '{{.MemTotal}}' 2>/dev/null || true)
  machine=$((${machine:-0} >> 30))
  echo "$((machine >= 1 && machine < wanted ? machine : wanted))g"
}

# hosts_without_proxy: prints those that this shell and Docker's configuration name.
hosts_without_proxy() {
  local docker=${DOCKER_CONFIG:-${HOME:-}/.docker}/config.json
  {
    printf '%s\n' "${NO_PROXY:-}" "${no_proxy:-}"
    sed -n 's/.*"noProxy"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p' "$docker" 2>/dev/null || true
  } | tr ', ' '\n\n' | awk 'NF && !seen[$0]++' | paste -s -d , -
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
