"""A player over HTP for tests: the first empty cell, a swap where black began in the middle, or a way to fail."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

MODE = sys.argv[1] if len(sys.argv) > 1 else "plays"


def say(answer: str) -> None:
    sys.stdout.write(answer + "\n\n")
    sys.stdout.flush()


def main() -> None:
    size, stones, swapped, asked = 4, [], False, 0
    for line in sys.stdin:
        words = line.split()
        answer = ""
        if words[0] == "boardsize":
            size = int(words[1])
        elif words[0] == "clear_board":
            stones, swapped = [], False
        elif words[0] == "play":
            swapped |= words[2] == "swap-pieces"
            if words[2] != "swap-pieces":
                stones.append(words[2])
        elif words[0] == "param_game":
            with suppress(IndexError), Path(sys.argv[2]).open("a", encoding="utf-8") as log:
                log.write(line)
            say("? unknown command" if MODE == "plain" else "= ")
            continue
        elif words[0] == "genmove":
            asked += 1
            if MODE == "sometimes" and asked == 2:
                sys.exit(1)
            answer = {
                "resign": "resign", "illegal": stones[0] if stones else "", "nonsense": "z99!",
            }.get(MODE, "")  # fmt: skip
            if MODE == "silent":
                time.sleep(60)
            if MODE == "dies":
                sys.exit(3)
            if MODE == "bytes":
                sys.stdout.buffer.write(b"= \xff\xfe\n\n")
                sys.stdout.flush()
                continue
            if MODE == "error":
                say("? there is no way")
                continue
            if MODE in ("plays", "plain", "sometimes"):
                cells = [f"{column}{row}" for row in range(1, size + 1) for column in "abcdefghij"[:size]]
                answer = next(cell for cell in cells if cell not in stones)
                if len(stones) == 1 and stones[0] == "b2" and not swapped:
                    answer, swapped = "swap-pieces", True
                else:
                    stones.append(answer)
        say(f"= {answer}")
        if words[0] == "quit":
            return


main()
