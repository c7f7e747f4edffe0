#!/usr/bin/env bash
# Builds both images and tests them with the compose file: with a game in a mounted folder, a
# trainer, two workers, an evaluator and TensorBoard become healthy and serve their metrics; one
# worker is killed, and the run continues; the others exit with 0. Needs Docker with Compose and
# takes minutes.
#   deploy/smoke.sh
set -euo pipefail
cd "$(dirname "$0")/.."

docker compose version >/dev/null || {
  echo "error: docker compose is not there" >&2
  exit 1
}
say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*"; }
patience=${SMOKE_PATIENCE_SECONDS:-900}

scratch=$(mktemp -d)
# The user of the images does not exist on this machine.
chmod 0755 "$scratch"
mkdir "$scratch/games"
cp games/tic_tac_toe.py "$scratch/games/mygame.py"
export GAMES=$scratch/games GAME=/games/mygame.py:TicTacToe
export IMAGE=selfplay:smoke TRAINER_IMAGE=selfplay-trainer:smoke
# Small enough for seconds. Only the trainer needs them.
cat >"$scratch/smoke.yaml" <<END
services:
  trainer:
    environment:
      SELFPLAY_NETWORK__CHANNELS: "8"
      SELFPLAY_NETWORK__BLOCKS: "1"
      SELFPLAY_SEARCH__NUM_SIMULATIONS: "4"
      SELFPLAY_ROLLOUT__MATCHES_PER_DEVICE: "8"
      SELFPLAY_REPLAY__FIRST_POSITIONS: "64"
      SELFPLAY_LEARNER__BATCH_SIZE: "32"
      SELFPLAY_TRAINER__CHECKPOINT_SECONDS: "5"
END

compose() {
  docker compose --project-name "selfplay-smoke-$$" \
    --file deploy/compose.yaml --file "$scratch/smoke.yaml" "$@"
}
# Removes everything that this script created, with the volumes, whose files belong to user 10001.
clean() {
  local status=$?
  compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$scratch" || true
  exit "$status"
}
trap clean EXIT

fail() {
  echo "error: $*" >&2
  compose ps --all >&2 || true
  compose logs --tail 20 >&2 || true
  exit 1
}
# Waits until a command succeeds.
await() { # WHAT COMMAND...
  local what=$1 deadline=$((SECONDS + patience))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "never came: $what"
    sleep "${SMOKE_PAUSE_SECONDS:-1}"
  done
  say "$what"
}
state() { docker inspect --format '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$1"; }
all_healthy() {
  local id ids
  ids=$(compose ps --all --quiet)
  [ "$(wc -w <<<"$ids")" = 5 ] || return 1
  for id in $ids; do
    [ "$(state "$id")" = "running healthy" ] || return 1
  done
}
# Prints an integer metric from the port of a process, -1 if there is none.
metric() { # CONTAINER NAME
  docker exec "$1" python -c 'import sys, urllib.request
for path in ("healthz", "readyz", "metrics"):
    text = urllib.request.urlopen(f"http://127.0.0.1:9100/{path}", timeout=20).read().decode()
found = [line.split()[-1] for line in text.splitlines() if line.startswith(sys.argv[1] + "{")]
print(int(float(found[0])))' "$2" 2>/dev/null || echo -1
}
is_above() { [ "$(metric "$1" "$2")" -gt "$3" ]; } # CONTAINER NAME NUMBER

say "building"
compose build >"$scratch/build.log" 2>&1 || {
  tail -n 30 "$scratch/build.log" >&2
  exit 1
}
say "built both images"
compose up --detach --no-build --scale worker=2 >"$scratch/up.log" 2>&1 || {
  tail -n 30 "$scratch/up.log" >&2
  exit 1
}
await "every service is healthy" all_healthy
trainer=$(compose ps --quiet trainer)
evaluator=$(compose ps --quiet evaluator)
read -r one two <<<"$(compose ps --quiet worker | tr '\n' ' ')"
await "matches of the first worker" is_above "$one" selfplay_matches_total 0
await "matches of the second worker" is_above "$two" selfplay_matches_total 0
await "a checkpoint that was trained" is_above "$trainer" selfplay_checkpoint_update 0
await "the evaluator has it" is_above "$evaluator" selfplay_checkpoint_update 0

docker kill "$one" >/dev/null
say "killed the first worker"
await "further matches of the second worker" \
  is_above "$two" selfplay_matches_total "$(metric "$two" selfplay_matches_total)"
await "a newer checkpoint" \
  is_above "$trainer" selfplay_checkpoint_update "$(metric "$trainer" selfplay_checkpoint_update)"

compose stop >/dev/null 2>&1
for id in $(compose ps --all --quiet); do
  [ "$id" != "$one" ] || continue
  left=$(docker inspect --format '{{.Name}} {{.State.ExitCode}}' "$id")
  [ "${left##* }" = 0 ] || fail "a process did not leave cleanly: $left"
done
say "the others left cleanly: passed"
