// The page of a run: one state a second by websocket, curves now and then, and the newest games played again.
import { BoardView, element } from "/pages/boardview.js";

const $ = (id) => document.getElementById(id);
const CHARTS = [
  ["Loss", ["loss", "policy_loss", "value_loss"]],
  ["Right by the solver", ["solver_score", "solver_policy"], [0, 1]],
  ["Rating (Elo)", ["rating_elo"]],
  ["Win share in the league", ["league_share"], [0, 1]],
  ["Games a second", ["games_per_s"]],
  ["Evaluations a second", ["evals_per_s"]],
  ["Positions in a batch", ["mean_batch"]],
  ["Lag of the policy (training steps)", ["policy_lag"]],
  ["Plies of a game", ["mean_plies"]],
  ["Replay memory (MB)", ["replay_bytes"], null, 1e-6],
];
const TILES = [
  ["games", "games"], ["positions", "positions"], ["training steps", "steps"], ["games/s", "games_per_s"],
  ["evaluations/s", "evals_per_s"], ["steps/s", "steps_per_s"], ["loss", "loss"], ["cache hits", "cache_hit_rate", "%"],
  ["replay", "replay_fill", "%"], ["rating", "rating_elo"],
];
const STROKES = [["#1f5fbf", ""], ["#c2570c", "6 3"], ["#1d7f4b", "2 3"]];
const HISTORY_SECONDS = 5, GAMES_SECONDS = 15, PLY_MILLISECONDS = 450;


function figure(value, unit = "") {
  if (value === undefined || value === null) return "–";
  if (unit === "%") return `${(100 * value).toFixed(0)} %`;
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}

const bytes = (count) => `${(count / 1e6).toFixed(0)} MB`;

function show(state) {
  if (state.error) { $("error").textContent = state.error; return; }
  $("title").textContent = state.title;
  $("run").textContent = `${state.run} (${state.algorithm})`;
  $("alive").textContent = state.alive ? "at work" : "not running";
  $("alive").classList.toggle("alive", state.alive);
  $("tiles").replaceChildren(...TILES.map(([name, key, unit]) => {
    const tile = Object.assign(document.createElement("div"), { className: "tile quiet" });
    tile.dataset.figure = key;
    tile.append(Object.assign(document.createElement("strong"), { textContent: figure(state.figures[key], unit) }), name);
    return tile;
  }));
  $("process-card").hidden = !state.processes.length;
  $("processes").replaceChildren(...state.processes.map((process) => {
    const row = document.createElement("tr");
    const cells = [[process.name], [process.cpu_percent.toFixed(0), "number"], [bytes(process.own_bytes), "number"],
      [process.waits_for + (process.note ? ` (${process.note})` : "")], [process.restarts, "number"]];
    row.append(...cells.map(([textContent, className = ""]) => Object.assign(document.createElement("td"), { textContent, className })));
    return row;
  }));
}

function chart(title, names, series, times, range, scale = 1) {
  const card = Object.assign(document.createElement("div"), { className: "card chart" });
  card.append(Object.assign(document.createElement("h2"), { textContent: title }));
  const width = 360, height = 130, left = 44, bottom = 18;
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, card);
  const spread = (name, i) => 1.96 * (series[`${name}_error`]?.[i] ?? 0); // half of the 95% interval
  const edges = (name, i) => [-1, 1].map((sign) => (series[name][i] + sign * spread(name, i)) * scale);
  const known = (name) => [...series[name].keys()].filter((i) => series[name][i] !== null);
  const values = names.flatMap((name) => known(name).flatMap((i) => edges(name, i)));
  let [low, high] = range ?? [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const first = times[0], last = times.at(-1) === first ? first + 1 : times.at(-1);
  const x = (time) => left + ((time - first) / (last - first)) * (width - left - 6);
  const y = (value) => 6 + ((high - value) / (high - low)) * (height - bottom - 12);
  for (const value of [low, (low + high) / 2, high]) {
    element("line", { x1: left, x2: width - 6, y1: y(value), y2: y(value), class: "axis" }, svg);
    element("text", { x: left - 5, y: y(value) + 3, "text-anchor": "end" }, svg).textContent = figure(value);
  }
  const minutes = (last - first) / 60;
  element("text", { x: width - 6, y: height - 4, "text-anchor": "end" }, svg).textContent = `${figure(minutes)} min`;
  element("text", { x: left, y: height - 4 }, svg).textContent = "0";
  names.forEach((name, k) => {
    if (series[`${name}_error`]) {
      const along = (side) => known(name).map((i) => `${x(times[i]).toFixed(1)},${y(edges(name, i)[side]).toFixed(1)}`);
      const points = [...along(0), ...along(1).reverse()].join(" ");
      element("polygon", { points, fill: STROKES[k][0], "fill-opacity": 0.15 }, svg);
    }
    let pen = "M";
    const d = series[name].map((value, i) => {
      if (value === null) { pen = "M"; return ""; }
      const step = `${pen}${x(times[i]).toFixed(1)},${y(value * scale).toFixed(1)}`;
      pen = "L";
      return step;
    }).join("");
    element("path", { d, stroke: STROKES[k][0], "stroke-dasharray": STROKES[k][1] }, svg);
  });
  if (names.length > 1) {
    const legend = Object.assign(document.createElement("div"), { className: "legend" });
    names.forEach((name, k) => {
      const entry = document.createElement("span"), line = document.createElement("i");
      line.style.borderTopColor = STROKES[k][0];
      line.style.borderTopStyle = STROKES[k][1] ? (k === 1 ? "dashed" : "dotted") : "solid";
      entry.append(line, name.replaceAll("_", " "));
      legend.append(entry);
    });
    card.append(legend);
  }
  return card;
}

// Seconds of work at each point: without pauses, and whatever the clock was set to meanwhile.
function worked(times) {
  const gaps = times.slice(1).map((time, i) => time - times[i]);
  const onward = gaps.filter((gap) => gap > 0).sort((a, b) => a - b);
  const longest = 20 * (onward[onward.length >> 1] ?? 0);
  let total = 0;
  return [0, ...gaps.map((gap) => (total += gap > 0 && gap <= longest ? gap : 0))];
}

async function curves() {
  const series = await (await fetch("/api/run/metrics")).json();
  if (!series.time?.length) return;
  const times = worked(series.time);
  $("charts").replaceChildren(...CHARTS.map(([title, wanted, range, scale]) => {
    const names = wanted.filter((name) => series[name]?.some((value) => value !== null));
    return names.length ? chart(title, names, series, times, range, scale) : null;
  }).filter(Boolean));
}

// Each game plays itself again, a ply at a time, and then stands for a while.
class Replayed {
  constructor(game) {
    this.game = game;
    this.card = document.createElement("figure");
    this.card.style.margin = 0;
    this.view = new BoardView(element("svg", {}, this.card), { interactive: false });
    this.view.shape(game.game, game.size, game.width);
    this.caption = this.card.appendChild(Object.assign(document.createElement("figcaption"), { className: "quiet" }));
    this.ply = 0;
  }

  step() {
    const { moves, last_cells: lastCells, views, boards, size, width, winner, weights_version: version } = this.game;
    this.ply = this.ply > moves.length + 6 ? 0 : this.ply + 1;
    const shown = Math.min(this.ply, moves.length), cells = boards ? [...boards[shown]].map(Number) : Array(size * width).fill(0);
    let last = null;
    for (let k = 0; k < shown; k++) if (lastCells[k] >= 0) { if (!boards) cells[lastCells[k]] = views[k] + 1; last = lastCells[k]; }
    this.view.show(cells, last, shown === moves.length);
    const end = shown < moves.length ? "" : winner < 0 ? ", a draw" : `, seat ${winner + 1} wins`;
    this.caption.textContent = `${version < 0 ? "imported" : `weights ${version}`}: ply ${shown} of ${moves.length}${end}`;
  }
}

let replayed = [];

async function games() {
  const newest = await (await fetch("/api/run/games?count=6")).json();
  const key = (game) => `${game.weights_version}:${game.moves.join()}`;
  const known = new Map(replayed.map((entry) => [key(entry.game), entry]));
  replayed = newest.map((game) => known.get(key(game)) ?? new Replayed(game));
  $("games").replaceChildren(...replayed.map((entry) => entry.card));
  if (!newest.length) $("games").textContent = "No game is finished yet.";
}

function listen() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/run/live`);
  socket.onmessage = (event) => { $("error").textContent = ""; show(JSON.parse(event.data)); };
  socket.onclose = () => { $("error").textContent = "The server does not answer; trying again."; setTimeout(listen, 2000); };
}

const quietly = (work) => () => work().catch(() => {});

async function start() {
  const info = await (await fetch("/api/info")).json();
  $("to-play").hidden = !info.engine;
  if (!info.run) { $("title").textContent = "No run is served here: hexpipe serve RUN"; return; }
  listen();
  await Promise.all([curves(), games()]);
  setInterval(quietly(curves), HISTORY_SECONDS * 1000);
  setInterval(quietly(games), GAMES_SECONDS * 1000);
  setInterval(() => replayed.forEach((entry) => entry.step()), PLY_MILLISECONDS);
}

start().catch((error) => { $("error").textContent = `The server does not answer (${error.message})`; });
