#!/usr/bin/env bash
# @sabaki/sgf 3.4.7 (the SGF reader of Sabaki, from npm).
#
# Guess before measuring: text before the first "(;", which FF[4] tells readers to skip (mails and pages put it there),
# is skipped, and the first node is the game's root.
# Seen: it makes a root of its own, its capitals as properties, and the game's root becomes its only child. Who reads size,
# rules or players of the first node, as the documents of SGF have it, finds none, and takes the defaults. Text with a
# colon in it is refused with "Unexpected token".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit --no-save @sabaki/sgf@3.4.7
node - <<'JAVASCRIPT'
const assert = require('assert')
const sgf = require('@sabaki/sgf')
const game = '(;FF[4]GM[11]SZ[11];B[a1];W[b2])'
const [plain] = sgf.parse(game)
const [mailed] = sgf.parse('The game of the week\n' + game)
console.log('@sabaki/sgf', require('@sabaki/sgf/package.json').version)
console.log('without a line before it:', JSON.stringify(plain.data))
console.log('with one:', JSON.stringify(mailed.data), 'and below it', JSON.stringify(mailed.children[0].data))
assert.deepStrictEqual(plain.data, {FF: ['4'], GM: ['11'], SZ: ['11']})
assert.deepStrictEqual(mailed.data, {T: []})
assert.throws(() => sgf.parse('Round 3: the final\n' + game), /Unexpected token/)
assert.deepStrictEqual(mailed.children.map(child => child.data), [plain.data])
JAVASCRIPT
