#!/usr/bin/env bash
# hexgame-server 0.4.3, with websockets 15.0.1 as its client, on Python 3.11.
#
# Guess before measuring: the reconnect_token that "joined" tells a player is good for as long as the match lasts, or
# "reconnected" tells the next one.
# Seen: the first return is answered with "reconnected", which has no token; a second return with the same token is
# refused: an error "Invalid reconnect token", and a close with code 1008. The token was changed and told to nobody.
# So: a player who loses the connection twice has lost the match. hexpipe's client comes back once, says so when the
# second return is refused, counts the game as unfinished, and joins the next match.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install hexgame-server==0.4.3 websockets==15.0.1
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
(cd "$folder" && exec "$folder/venv/bin/hexgame-server" --port "$port" --log-level warning) &
cat >"$folder/look.py" <<'PYTHON'
import json
import sys
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

server = f"ws://127.0.0.1:{sys.argv[1]}/ws"


def joined():
    for _ in range(150):
        try:
            return connect(f"{server}/matchmake?board_size=7")
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server does not start")


def message(connection, *kinds):
    while True:
        told = json.loads(connection.recv(timeout=10))
        if told["type"] in kinds:
            return told


def returned(place):
    connection = connect(f"{server}/reconnect?slot_id={place['slot_id']}&token={place['reconnect_token']}")
    return connection, message(connection, "reconnected", "error")


one = joined()
place = message(one, "joined")["payload"]
other = joined()
message(other, "joined")
one.close()
one, first = returned(place)
print("first return:", first["type"], "with", sorted(first["payload"]))
assert first["type"] == "reconnected" and not [key for key in first["payload"] if "token" in key]
one.close()
one, second = returned(place)
print("second return:", second)
assert second["type"] == "error" and second["payload"]["message"] == "Invalid reconnect token"
try:
    one.recv(timeout=10)
except ConnectionClosed as closed:
    print("closed with", closed.rcvd.code)
    assert closed.rcvd.code == 1008
other.close()
PYTHON
"$folder/venv/bin/python" "$folder/look.py" "$port"
