#!/usr/bin/env bash
# After the array: splits and card, from the annotations; no inference. Arguments as for `filter`.
exec "${CURATE_PYTHON:-python}" -m curate filter "$@"
