// The page to play: the server knows the rules, this page shows what it says.
import { BoardView, cellName } from "/pages/boardview.js";

const $ = (id) => document.getElementById(id);
const COLOURS = ["Black", "White", "Blue"];
const state = { info: null, start: null, moves: [], wanted: [], position: null, analysis: null, busy: false, turn: 0, picked: null };
const view = new BoardView($("board"), { onPlay: (cell) => playCell(cell), onHover: (cell) => showVariation(cell) });

async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const facts = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(facts.error ?? `the server answered ${answer.status}`);
  return facts;
}

// Every change of the game goes through here; what comes back late, of an older change, is dropped.
async function become(moves, start = state.start) {
  const turn = ++state.turn;
  state.wanted = moves;
  $("error").textContent = "";
  try {
    const position = await ask("/api/position", { moves, start });
    if (turn === state.turn) shown(position);
  } catch (error) {
    if (turn !== state.turn) return;
    state.wanted = state.moves;
    $("error").textContent = error.message;
  }
}

function shown(position) {
  Object.assign(state, { position, start: position.start, moves: position.moves, wanted: position.moves, analysis: null, busy: false, picked: null });
  view.shape(position.game, position.size, position.width);
  view.show(position.cells, position.last, position.winner !== null);
  if (position.last !== null) view.lookAt(position.last);
  $("frame").classList.toggle("still", position.game === "hex");
  const [extra] = position.extra_actions;  // a swap, a pass
  $("extra").hidden = !extra || !isHuman();
  if (extra) Object.assign($("extra"), { textContent: capitalized(extra), title: `Key ${extra[0].toUpperCase()}` });
  $("undo").disabled = !position.moves.length;
  $("move").disabled = position.winner !== null;
  $("moves").replaceChildren(...position.moves.map((move) => Object.assign(document.createElement("li"), { textContent: move })));
  $("moves").style.setProperty("--seats", position.seats);  // a row is a round
  $("moves").scrollTop = $("moves").scrollHeight;
  $("meter").style.visibility = "hidden";
  $("hint-text").textContent = "";
  shareLinks();
  say();
  history.replaceState(null, "", "#" + encodeURIComponent(startText(position.start) + position.moves.join(",")));
  if (position.winner !== null) return;
  if (isHuman()) hint(); else netMoves();
}

// Stones that were set up, in a link: "a1,b2/c3/white;" stands before the moves.
function startText(start) {
  return start ? `${start.black.join(",")}/${start.white.join(",")}/${start.to_move};` : "";
}

function readLink(text) {
  const [before, after] = text.includes(";") ? text.split(";", 2) : [null, text];
  const words = (list) => (list ? list.split(",") : []);
  if (before === null) return [words(after), null];
  const [black, white, to_move] = before.split("/");
  return [words(after), { black: words(black), white: words(white), to_move }];
}

const capitalized = (word) => word[0].toUpperCase() + word.slice(1);

function say(text) {
  const { winner, points, to_move: seat, colour, seats } = state.position;
  if (text) $("status").textContent = text;
  else if (winner === -1) $("status").textContent = "A draw";
  else if (winner !== null) $("status").textContent = `${seatName(winner)} has won${points ? ` by ${points} points` : ""}${humanSeats().length === 1 ? (humanSeats()[0] === winner ? ": well played" : "") : ""}`;
  else {
    const side = { hex: [", top to bottom", ", left to right"], breakthrough: [", down the board", ", up the board"] }[state.position.game]?.[colour] ?? "";
    $("status").textContent = `${COLOURS[colour]} to move${side}${seats === 2 && seat !== colour ? " (colours were swapped)" : ""}`;
  }
}

// Whose stones: with a swap of seats the first player has the second colour.
function seatName(seat) {
  const swapped = state.moves.includes("swap");
  return COLOURS[swapped ? 1 - seat : seat];
}

const humanSeats = () => ({ all: [0, 1, 2], none: [] }[$("side").value] ?? [Number($("side").value)]);
const isHuman = () => humanSeats().includes(state.position.to_move);
const simulations = () => Math.max(2, Math.min(state.info.most_simulations, Math.round(2 ** Number($("strength").value))));

function playCell(cell) {
  if (!state.position || state.busy || state.position.winner !== null || !isHuman()) return;
  if (state.position.steps) { playStep(cell); return; }
  const at = state.position.game === "connect4" ? fallen(cell) : cell;
  if (at === null || state.position.cells[at]) return;
  become([...state.moves, cellName(at, state.position.width)]);
}

// A piece is picked up by its cell and put down on another; its own cell, or one that it cannot go to, lets it go.
function playStep(cell) {
  const { steps } = state.position;
  const step = steps.find(({ from, to }) => from === state.picked && to === cell);
  if (step) { become([...state.moves, step.move]); return; }
  const targets = steps.filter(({ from }) => from === cell && cell !== state.picked).map(({ to }) => to);
  state.picked = targets.length ? cell : null;
  view.showPicked(state.picked, targets);
  const name = (at) => cellName(at, state.position.width);
  say(state.picked === null ? undefined : `${name(cell)} goes to ${targets.map(name).join(", ")}`);
}

// The cell that a stone comes to rest on when it is dropped into the column of another; null of a full one.
function fallen(cell) {
  const { cells, width } = state.position;
  const open = cells.map((_, at) => at).filter((at) => at % width === cell % width && !cells[at]);
  return open.length ? Math.max(...open) : null;
}

async function netMoves() {
  const turn = state.turn;
  state.busy = true;
  say("The net is thinking…");
  try {
    const answer = await ask("/api/move", { moves: state.moves, start: state.start, simulations: simulations() });
    if (turn !== state.turn) return;
    await become([...state.moves, answer.move]);
    if (turn + 1 === state.turn) meter(1 - answer.win_probability);
  } catch (error) {
    if (turn !== state.turn) return;
    state.busy = false;
    say();
    $("error").textContent = error.message;
  }
}

async function hint() {
  const kind = $("hints").value, turn = state.turn;
  if (kind === "off" || state.position.winner !== null) return;
  try {
    const analysis = await ask("/api/analyse", { moves: state.moves, start: state.start, simulations: kind === "policy" ? 2 : simulations() });
    if (turn !== state.turn) return;
    state.analysis = analysis;
    drawHints();
    meter(analysis.win_probability);
  } catch (error) {
    if (turn === state.turn) $("error").textContent = error.message;
  }
}

function drawHints() {
  const kind = $("hints").value, { analysis, position } = state;
  if (!analysis || kind === "off") return view.clearMarks();
  const percent = (share) => `${Math.round(100 * share)}`;
  const total = Math.max(1, analysis.moves.reduce((sum, move) => sum + move.visits, 0));
  let rows;
  if (kind === "policy") {
    const most = Math.max(...Object.values(analysis.policy));
    rows = Object.entries(analysis.policy).map(([move, prior]) => [move, prior / most, prior >= 0.01 ? percent(prior) : "", prior === most]);
  } else {
    rows = analysis.moves.map((move, k) => [move.move, move.visits / total, kind === "visits" ? `${move.visits}` : percent(move.win_probability), k === 0]);
  }
  if (position.steps) {
    const steps = new Map(position.steps.map((step) => [step.move, step]));
    view.showSteps(rows.filter(([move]) => steps.has(move)).map(([move, share, text, best]) => ({ ...steps.get(move), share, text, best })));
  } else {
    const cells = new Map(position.cells.map((_, cell) => [cellName(cell, position.width), cell]));
    view.showHeat(rows.filter(([move]) => cells.has(move)).map(([move, share, text, best]) => ({ cell: cells.get(move), share, text, best })));
  }
  const best = analysis.moves[0];
  const words = kind === "policy"
    ? `The net's own win probability: ${percent(analysis.net_win_probability)} %.`
    : `${analysis.simulations} simulations: ${best.move}, win probability ${percent(best.win_probability)} %${best.proven ? " (proven)" : ""}. Point at a move for how it goes on.`;
  const other = rows.find(([move]) => position.extra_actions.includes(move));
  $("hint-text").textContent = words + (other ? ` ${capitalized(other[0])}: ${other[2] || "0"}.` : "");
  return undefined;
}

function showVariation(cell) {
  const { analysis, position } = state;
  if (!analysis || $("hints").value === "off") return;
  const named = movesAt(cell);
  const found = $("hints").value === "policy" ? null : analysis.moves.find((move) => named.includes(move.move));
  if (!found) { drawHints(); return; }
  if (position.steps) { view.showSteps(stepsOf(found.variation)); return; }
  let colour = position.colour;
  const stones = [];
  for (const move of found.variation) {
    const at = position.cells.findIndex((_, k) => cellName(k, position.width) === move);
    if (at < 0) continue;  // a swap or a pass places no stone, and the colours go on in turn
    stones.push({ cell: at, stone: colour + 1 });
    colour = (colour + 1) % position.seats;
  }
  view.showVariation(stones);
}

// The moves that a cell stands for: of pieces those from there, or the picked one's to there.
function movesAt(cell) {
  const { position, picked } = state;
  if (cell === null) return [];
  if (!position.steps) return [cellName(cell, position.width)];
  const here = position.steps.filter(({ from, to }) => (picked === null ? from === cell : from === picked && to === cell));
  return here.map(({ move }) => move);
}

// Numbered arrows of moves "a2a3".
function stepsOf(moves) {
  const cells = new Map(state.position.cells.map((_, cell) => [cellName(cell, state.position.width), cell]));
  return moves.map((move, k) => {
    const [from, to] = move.match(/[a-z]+[0-9]+/g).map((name) => cells.get(name));
    return { from, to, share: 1 / (k + 1), text: `${k + 1}`, best: k === 0 };
  });
}

// the chance of Black to win, of two seats
function meter(winProbability) {
  const { seats, to_move: seat, colour } = state.position;
  if (seats !== 2 || seat === null) return;
  $("meter").style.visibility = "visible";
  $("meter").firstElementChild.style.width = `${100 * (colour === 0 ? winProbability : 1 - winProbability)}%`;
  $("meter").title = `Black's chance to win: ${$("meter").firstElementChild.style.width}`;
}

function undo() {
  if (!state.wanted.length) return;  // what an undo before this one has asked for, where its answer is still to come
  let moves = state.wanted.slice(0, -1);
  const humans = humanSeats(), { seats } = state.position;
  // back to a position in which a person is to move, where one plays at all
  while (moves.length && humans.length && !humans.includes((moves.length + (state.start?.to_move === "white")) % seats)) moves = moves.slice(0, -1);
  become(moves);
}

function shareLinks() {
  const { texts } = state.position;
  for (const button of $("copies").querySelectorAll("[data-form]")) {
    button.hidden = button.dataset.form !== "link" && !texts[button.dataset.form];
  }
  $("download").hidden = !texts.sgf;
  if (texts.sgf) $("download").href = "data:application/x-go-sgf," + encodeURIComponent(texts.sgf + "\n");
}

async function copy(form) {
  const text = form === "link" ? location.href : state.position.texts[form];
  $("text").value = text;
  try { await navigator.clipboard.writeText(text); } catch { $("text").select(); }
}

async function load(text) {
  const turn = ++state.turn;
  $("error").textContent = "";
  try {
    const position = await ask("/api/import", { text });
    if (turn !== state.turn) return;
    $("side").value = "all";
    shown(position);
  } catch (error) {
    $("error").textContent = error.message;
  }
}

function strengthText() { $("strength-text").textContent = `${simulations()} simulations a move`; }

async function start() {
  const info = await ask("/api/info");
  state.info = info.engine;
  $("to-dashboard").hidden = !info.run;
  $("about").textContent = `${info.engine.title}, net of step ${info.engine.step} (${info.engine.algorithm}): ${info.engine.checkpoint}`;
  const names = info.engine.seats === 2 ? ["first (Black)", "second (White)"] : ["first (Black)", "second (White)", "third (Blue)"];
  const options = [...names.map((name, seat) => [String(seat), name]), ["all", "all sides (analyse)"], ["none", "none (watch)"]];
  $("side").replaceChildren(...options.map(([value, text]) => Object.assign(document.createElement("option"), { value, textContent: text })));
  $("strength").max = Math.log2(info.engine.most_simulations).toFixed(1);
  $("strength").value = Math.min(Number($("strength").max), Math.log2(info.engine.simulations));
  $("share").hidden = info.engine.game !== "hex";
  strengthText();
  const given = decodeURIComponent(location.hash.slice(1));
  if (given) $("side").value = "all";
  await become(...readLink(given));
  if (!state.position) await become([], null);
}

$("new").onclick = () => become([], null);
$("undo").onclick = undo;
$("extra").onclick = () => become([...state.moves, state.position.extra_actions[0]]);
$("move").onclick = () => { if (!state.busy && state.position.winner === null) netMoves(); };
$("side").onchange = () => become(state.moves);
$("strength").oninput = strengthText;
$("hints").onchange = () => { state.analysis = null; view.clearMarks(); $("hint-text").textContent = ""; hint(); };
$("load").onclick = () => load($("text").value);
$("file").onchange = async () => { if ($("file").files.length) await load(await $("file").files[0].text()); $("file").value = ""; };
for (const button of $("copies").querySelectorAll("[data-form]")) button.onclick = () => copy(button.dataset.form);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("textarea, input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const extra = state.position?.extra_actions[0]?.[0];  // S of a swap, P of a pass
  const action = { n: "new", u: "undo", m: "move", [extra]: "extra" }[event.key.toLowerCase()];
  if (action && !$(action).hidden && !$(action).disabled) $(action).click();
  if (event.key.toLowerCase() === "h") {
    $("hints").selectedIndex = ($("hints").selectedIndex + 1) % $("hints").options.length;
    $("hints").dispatchEvent(new Event("change"));
  }
});
start().catch((error) => { $("status").textContent = "The server does not answer"; $("error").textContent = error.message; });
