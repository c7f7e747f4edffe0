#!/usr/bin/env bash
# Builds both images and proves them: a trainer and two workers from them on one directory, a second
# checkpoint, matches from both workers; one worker is killed, the run goes on, the rest leaves
# cleanly. Uses docker, podman or buildah, whichever is there. Takes minutes.
#   deploy/smoke.sh [DIRECTORY FOR THE RUN]
# Without access to an image registry, put a base image of the name in the Dockerfiles into the
# engine's store before, or name one: BASE=... deploy/smoke.sh
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  engine=docker
elif command -v podman >/dev/null; then
  engine=podman
elif command -v buildah >/dev/null; then
  engine=buildah
else
  echo "error: neither docker, podman nor buildah is there" >&2
  exit 1
fi
say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*"; }
say "with $engine"

scratch=$(mktemp -d)
runs=${1:-$scratch/runs}
mkdir -p "$runs"
# The images' user is nobody of this machine.
chmod 0777 "$runs"
tag=smoke-$$
# Small enough for seconds. The trainer dictates them to the workers.
settings=(SELFPLAY_NETWORK__CHANNELS=8 SELFPLAY_NETWORK__BLOCKS=1 SELFPLAY_SEARCH__NUM_SIMULATIONS=4
  SELFPLAY_ROLLOUT__MATCHES_PER_DEVICE=8 SELFPLAY_REPLAY__FIRST_POSITIONS=64
  SELFPLAY_LEARNER__BATCH_SIZE=32 SELFPLAY_TRAINER__CHECKPOINT_SECONDS=5)

build() { # NAME DOCKERFILE
  local arguments=(${BASE:+--build-arg "BASE=$BASE"})
  case $engine in
    buildah) buildah bud --layers --isolation chroot --format docker ${arguments[@]+"${arguments[@]}"} \
      -t "localhost/$1:$tag" -f "$2" . ;;
    podman) podman build --format docker ${arguments[@]+"${arguments[@]}"} -t "localhost/$1:$tag" -f "$2" . ;;
    docker) docker build ${arguments[@]+"${arguments[@]}"} -t "localhost/$1:$tag" -f "$2" . ;;
  esac >"$scratch/build-$1.log" 2>&1 || { tail -n 30 "$scratch/build-$1.log"; exit 1; }
}

declare -A clients containers
start() { # NAME IMAGE ARGUMENTS...
  local name=$1 image=localhost/$2:$tag variables=()
  shift 2
  [ "$1" != trainer ] || variables=("${settings[@]/#/--env=}")
  if [ "$engine" = buildah ]; then
    containers[$name]=$(buildah from "$image")
    buildah run --isolation chroot -v "$runs:/runs" ${variables[@]+"${variables[@]}"} \
      --env="SMOKE_NAME=$tag-$name" "${containers[$name]}" -- tini -- selfplay "$@" \
      >"$scratch/$name.log" 2>&1 &
  else
    "$engine" run --name "$tag-$name" --read-only --tmpfs /tmp --cap-drop ALL \
      --security-opt no-new-privileges -v "$runs:/runs" ${variables[@]+"${variables[@]}"} "$image" "$@" \
      >"$scratch/$name.log" 2>&1 &
  fi
  clients[$name]=$!
}
send() { # SIGNAL NAME
  if [ "$engine" = buildah ]; then
    # Its containers have no process namespace: found by what was put into their environment.
    local place
    for place in /proc/[0-9]*; do
      if tr '\0' '\n' 2>/dev/null <"$place/environ" | grep -qx "SMOKE_NAME=$tag-$2"; then
        kill -s "$1" "${place#/proc/}" 2>/dev/null || true
      fi
    done
  else
    "$engine" kill -s "$1" "$tag-$2" >/dev/null
  fi
}
clean() {
  local name
  for name in "${!clients[@]}"; do
    send KILL "$name" 2>/dev/null || true
    wait "${clients[$name]}" 2>/dev/null || true
    if [ "$engine" = buildah ]; then
      buildah rm "${containers[$name]}" >/dev/null 2>&1 || true
    else
      "$engine" rm -f "$tag-$name" >/dev/null 2>&1 || true
    fi
  done
  rm -rf "$scratch"
}
trap clean EXIT

# Waits for a condition that is a command; a minute counts much more than it needs.
await() { # WHAT COMMAND...
  local what=$1 name
  shift
  for _ in $(seq 900); do
    if "$@"; then
      say "$what"
      return
    fi
    sleep 1
  done
  echo "error: never came: $what" >&2
  for name in "${!clients[@]}"; do
    echo "--- $name" >&2
    tail -n 20 "$scratch/$name.log" >&2
  done
  exit 1
}
checkpoints() { find "$runs/run/checkpoints" -mindepth 1 -maxdepth 1 -name '[0-9]*' 2>/dev/null | wc -l; }
newest() { find "$runs/run/checkpoints" -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf '%f\n' | sort -n | tail -n 1; }
matches() { find "$runs/run/matches/$1" -name '[0-9]*.parquet' 2>/dev/null | wc -l; }
has_checkpoints() { [ "$(checkpoints)" -ge "$1" ]; }
has_matches() { [ "$(matches "$1")" -ge "$2" ]; }
is_newer() { [ "$(newest)" -gt "$1" ]; }

say "building"
build selfplay Dockerfile.selfplay
build selfplay-trainer Dockerfile.trainer
say "built both images"

# Workers first: the order of starting does not matter.
start one selfplay worker --run=/runs/run --id=one
start two selfplay worker --run=/runs/run --id=two
start trainer selfplay-trainer trainer --run=/runs/run --game=tic_tac_toe
await "matches of the first worker" has_matches one 1
await "matches of the second worker" has_matches two 1
await "a second checkpoint" has_checkpoints 2

send KILL one
wait "${clients[one]}" || true
say "killed the first worker"
before=$(newest)
await "further matches of the second worker" has_matches two $(($(matches two) + 1))
await "a newer checkpoint than $before" is_newer "$before"

for name in two trainer; do
  send TERM "$name"
done
for name in two trainer; do
  status=0
  wait "${clients[$name]}" || status=$?
  if [ "$status" != 0 ]; then
    echo "error: the $name left with $status" >&2
    tail -n 20 "$scratch/$name.log" >&2
    exit 1
  fi
done
say "the others left cleanly: passed"
