#!/usr/bin/env bash
# @sabaki/sgf 3.4.7 (the SGF reader of Sabaki, from npm), on moves as games of Hex (GM[11]) write them: B[a1].
#
# Guess before measuring: parseVertex, which is for points of two letters, gives [-1, -1], its "no point", for a letter
# and a number.
# Seen: it does for three characters ("a10", "k11"), but of "a1" to "z9" it makes the letter's column and the row -1. A
# test for "both are -1" (a pass) lets these through, and most moves of a small board are written so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit --no-save @sabaki/sgf@3.4.7
node - <<'JAVASCRIPT'
const assert = require('assert')
const sgf = require('@sabaki/sgf')
console.log('@sabaki/sgf', require('@sabaki/sgf/package.json').version)
for (const [text, wanted] of [['cc', [2, 2]], ['', [-1, -1]], ['a10', [-1, -1]], ['a1', [0, -1]], ['c9', [2, -1]]]) {
  console.log(JSON.stringify(text), '->', JSON.stringify(sgf.parseVertex(text)))
  assert.deepStrictEqual(sgf.parseVertex(text), wanted)
}
JAVASCRIPT
