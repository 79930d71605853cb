#!/usr/bin/env bash
# open_spiel 2.0.2, on Python 3.11.
#
# Guess before measuring: who moves first is player 0, as in all of OpenSpiel's games for two that were looked at (Go,
# Hex, Othello, Connect Four, Breakthrough, shogi, xiangqi).
# Seen: in chess and its kin (antichess, crazyhouse) White, who moves first, is player 1, and returns() and
# observation_tensor(player) are by that number.
# So: who takes player 0 for the first mover trains a net that sees the other side's board, or has every game end with the
# wrong winner. hexpipe's seat 0 is OpenSpiel's player who moves first, whatever its number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install open_spiel==2.0.2
cat >"$folder/look.py" <<'PYTHON'
import pyspiel

first = {}
for name in ("go", "hex", "othello", "connect_four", "breakthrough", "shogi", "xiangqi", "chess", "antichess", "crazyhouse"):
    first[name] = pyspiel.load_game(name).new_initial_state().current_player()
print("who moves first:", first)
assert {name for name, player in first.items() if player == 1} == {"chess", "antichess", "crazyhouse"}
state = pyspiel.load_game("chess").new_initial_state()
for word in ("f3", "e5", "g4", "Qh4#"):
    [action] = [one for one in state.legal_actions() if state.action_to_string(one) == word]
    state.apply_action(action)
print("after the fool's mate, which Black gives:", state.returns())
assert state.is_terminal() and state.returns() == [1.0, -1.0]
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
