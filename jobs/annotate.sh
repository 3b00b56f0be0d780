#!/usr/bin/env bash
# One worker of a SLURM array: takes shards that nobody has finished until none is left. Arguments as for `annotate`.
set -u

# Tasks on one node must not share compile caches or ports.
task=${SLURM_ARRAY_JOB_ID:-0}_${SLURM_ARRAY_TASK_ID:-0}
caches=${TMPDIR:-/tmp}/curate-$task
export VLLM_CACHE_ROOT=$caches/vllm TORCHINDUCTOR_CACHE_DIR=$caches/inductor TRITON_CACHE_DIR=$caches/triton
export VLLM_PORT=$((20000 + (${SLURM_ARRAY_JOB_ID:-0} * 7 + ${SLURM_ARRAY_TASK_ID:-0}) % 600 * 64))

"${CURATE_PYTHON:-python}" -m curate annotate "$@" &
worker=$!
# SLURM signals this shell; the worker drains when it hears of it.
trap 'kill -USR1 $worker 2>/dev/null' USR1 TERM
wait $worker
code=$?
while kill -0 $worker 2>/dev/null; do
    wait $worker
    code=$?
done
rm -rf "$caches"

if [ $code -eq 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "${CURATE_REQUEUES:-20}" ]; then
    echo "drained before the end: back into the queue" >&2
    scontrol requeue "$task" && sleep 60
fi
exit $code
