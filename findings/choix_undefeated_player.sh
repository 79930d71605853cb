#!/usr/bin/env bash
# choix 0.4.1, on Python 3.11 with numpy 2.4.6 and scipy 1.17.1 (Bradley-Terry ratings from pairwise results).
#
# Guess before measuring: where the results have no finite maximum of likelihood (a player that never lost; two groups
# that never met), all of choix's estimators without regularisation say so, as they fit one and the same model.
# Seen: they disagree. Of an undefeated player ilsr_pairwise and mm_pairwise raise, opt_pairwise returns a finite gap
# that is only where its optimiser stopped (some 5.6 units, near 980 Elo). Of two groups that never met ilsr_pairwise
# raises, mm_pairwise and opt_pairwise answer that everybody is equally strong.
# So: a rating that is shown needs a prior, or a look at who met whom, whichever estimator makes it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install choix==0.4.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata

import choix

print("choix", importlib.metadata.version("choix"))


def outcome(estimate, players, results):
    try:
        return [round(float(strength), 2) for strength in estimate(players, results)]
    except (ValueError, RuntimeError) as error:
        return type(error).__name__


estimators = [choix.ilsr_pairwise, choix.mm_pairwise, choix.opt_pairwise]
undefeated = [outcome(estimate, 2, [(0, 1)]) for estimate in estimators]
never_met = [outcome(estimate, 4, [(0, 1), (1, 0), (2, 3), (3, 2)]) for estimate in estimators]
for name, first, second in zip((e.__name__ for e in estimators), undefeated, never_met):
    print(f"{name}: one game, won by player 0: {first}; two pairs that never met: {second}")
assert undefeated[:2] == ["ValueError", "RuntimeError"], undefeated
assert isinstance(undefeated[2], list) and 4 < undefeated[2][0] - undefeated[2][1] < 40, undefeated
assert never_met == ["ValueError", [0.0] * 4, [0.0] * 4], never_met
PYTHON
