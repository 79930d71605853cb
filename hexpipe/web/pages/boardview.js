// Drawing boards in SVG: hexagons for Hex, squares for other games. One unit is a cell.
const SVG = "http://www.w3.org/2000/svg";
const ROOT3 = Math.sqrt(3);

export function element(name, attributes = {}, parent = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

export function columnName(column) {
  const before = Math.floor(column / 26);
  return (before ? String.fromCharCode(96 + before) : "") + String.fromCharCode(97 + (column % 26));
}

export const cellName = (cell, columns) => columnName(cell % columns) + (Math.floor(cell / columns) + 1);

const hexagon = {
  // pointy hexagons of width 1; each row starts half a cell further right
  centre: (row, column) => [column + row / 2, (row * ROOT3) / 2],
  corners: [[0, -1], [0.5, -0.5], [0.5, 0.5], [0, 1], [-0.5, 0.5], [-0.5, -0.5]].map(([x, y]) => [x, y / ROOT3]),
  box: (n) => [-1.2, -1.3, n + (n - 1) / 2 + 1.4, ((n - 1) * ROOT3) / 2 + 2.6],
  radius: 0.4,
  far: () => 1.75,
};
const square = {
  centre: (row, column) => [column, row],
  corners: [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]],
  margin: (n) => Math.max(1.4, 0.05 * n),  // room for names that can be read when the whole board is in view
  box: (n, columns) => {
    const margin = square.margin(Math.max(n, columns));
    return [-margin, -margin, columns + margin + 0.4, n + margin + 0.4];
  },
  radius: 0.4,
  far: (n) => square.margin(n) / 1.4,
};
const READABLE = 24;  // pixels a cell; names and marks of smaller cells grow, as far as there is room
const NAME = 0.42, LARGEST_NAME = 17;  // heights of names: in cells, and in pixels

export class BoardView {
  // onPlay(cell) is told of a click or key on a cell, onHover(cell or null) of the pointer over one.
  constructor(svg, { onPlay = () => {}, onHover = () => {}, interactive = true } = {}) {
    Object.assign(this, { svg, onPlay, onHover, interactive, size: 0, columns: 0, cells: [], cursor: 0 });
    new ResizeObserver(() => { if (this.kind) this.showBox(); }).observe(svg);  // also once it is shown at all
    if (!interactive) return;
    svg.addEventListener("click", (event) => { if (!this.dragged) this.at(event, this.onPlay); });
    svg.addEventListener("pointermove", (event) => this.pointerMoved(event));
    svg.addEventListener("pointerleave", (event) => { this.pointerUp(event); this.hover(null); });
    svg.addEventListener("pointerdown", (event) => this.pointerDown(event));
    svg.addEventListener("pointerup", (event) => this.pointerUp(event));
    svg.addEventListener("pointercancel", (event) => this.pointerUp(event));
    svg.addEventListener("wheel", (event) => this.zoomed(event), { passive: false });
    svg.addEventListener("keydown", (event) => this.keyed(event));
    this.pointers = new Map();
  }

  // size: the board's rows
  shape(game, size, columns) {
    if (this.game === game && this.size === size && this.columns === columns) return;
    const cursor = Math.floor(size / 2) * columns + Math.floor(columns / 2);
    Object.assign(this, { game, size, columns, kind: game === "hex" ? hexagon : square, cursor });
    this.box = this.whole = this.kind.box(size, columns);
    this.svg.replaceChildren();
    const grid = element("g", {}, this.svg);
    if (game === "hex") this.drawHex(grid); else this.drawSquares(grid);
    this.heat = element("g", {}, this.svg);
    this.stones = element("g", {}, this.svg);
    this.picked = element("g", {}, this.svg);
    this.marks = element("g", {}, this.svg);
    this.names = element("g", {}, this.svg);
    this.cursorRing = element("circle", { class: "cursor" }, this.svg);
    this.showBox();
    this.moveCursor(this.cursor);
  }

  place(cell) { return this.kind.centre(Math.floor(cell / this.columns), cell % this.columns); }

  drawHex(grid) {
    const n = this.size, points = this.kind.corners;
    const corner = (row, column, k) => {
      const [x, y] = this.kind.centre(row, column);
      return [x + points[k][0], y + points[k][1]];
    };
    const line = (list) => list.map((p, i) => (i ? "L" : "M") + p.map((v) => v.toFixed(4)).join(",")).join("");
    const edges = [
      [0, range(n).flatMap((c) => [5, 0, 1].map((k) => corner(0, c, k)))],
      [0, range(n).flatMap((c) => [4, 3, 2].map((k) => corner(n - 1, c, k)))],
      [1, range(n).flatMap((r) => [5, 4, 3].map((k) => corner(r, 0, k)))],
      [1, range(n).flatMap((r) => [1, 2, 3].map((k) => corner(r, n - 1, k))).slice(0, 3 * n - 1)],
    ];
    for (const [, list] of edges) element("path", { d: line(list), class: "edge-shadow" }, grid);
    for (const [colour, list] of edges) element("path", { d: line(list), class: `edge-${colour}` }, grid);
    for (let cell = 0; cell < n * n; cell++) {
      const [x, y] = this.place(cell);
      const corners = points.map(([dx, dy]) => `${(x + dx).toFixed(4)},${(y + dy).toFixed(4)}`).join(" ");
      element("polygon", { points: corners, class: "cell", "data-cell": cell }, grid);
    }
    for (let k = 0; k < n; k++) {
      this.label(grid, ...this.kind.centre(-1, k).map((v, i) => v + (i ? 0.05 : 0)), columnName(k));
      this.label(grid, ...this.kind.centre(k, -1).map((v, i) => v + (i ? 0 : 0.05)), k + 1);
    }
  }

  drawSquares(grid) {
    const { size, columns } = this;
    element("rect", { x: -0.5, y: -0.5, width: columns, height: size, class: "cell" }, grid);
    const down = range(columns + 1).map((k) => `M${k - 0.5},-0.5v${size}`).join("");
    const lines = down + range(size + 1).map((k) => `M-0.5,${k - 0.5}h${columns}`).join("");
    element("path", { d: lines, stroke: "#a98f5b", "stroke-width": 0.04, fill: "none", "pointer-events": "none" }, grid);
  }

  // Names of rows and columns stand beside the board, or at the edge of what is in view where that ends before.
  nameSquares(pixels) {
    // what can be seen is more than the box where the frame has another shape
    const frame = this.svg.getBoundingClientRect(), width = frame.width / pixels, height = frame.height / pixels;
    const left = this.box[0] + (this.box[2] - width) / 2, top = this.box[1] + (this.box[3] - height) / 2;
    const step = this.box[2] > 44 ? 10 : this.box[2] > 24 ? 5 : 1;
    const longer = Math.max(this.size, this.columns);
    const beside = -(0.5 + square.margin(longer)) / 2, x = Math.max(beside, left + 0.6), y = Math.max(beside, top + 0.4);
    this.names.replaceChildren();
    for (let k = 0; k < longer; k += step) {
      if (k < this.columns && k > left + 1 && k < left + width) this.label(this.names, k, y, columnName(k), y > beside);
      if (k < this.size && k > top + 1 && k < top + height) this.label(this.names, x, k, k + 1, x > beside);
    }
  }

  label(parent, x, y, text, held = false) {
    element("text", { x, y, class: held ? "name held" : "name" }, parent).textContent = text;
  }

  // cells: 0 empty, 1.. stones; last: the newest stone's cell or null
  show(cells, last, over) {
    this.cells = cells;
    this.svg.classList.toggle("over", over);
    this.stones.replaceChildren();
    cells.forEach((stone, cell) => { if (stone) this.stone(this.stones, cell, stone); });
    if (last !== null) {
      const [cx, cy] = this.place(last);
      element("circle", { cx, cy, class: "last" }, this.stones);
    }
    for (const polygon of this.svg.querySelectorAll("polygon.cell")) {
      polygon.classList.toggle("taken", cells[polygon.dataset.cell] > 0);
    }
    this.showPicked(null, []);
    this.clearMarks();
  }

  // cell: where the piece stands that goes next, or null; targets: where it can go
  showPicked(cell, targets) {
    this.picked.replaceChildren();
    const ring = (at, name) => {
      const [cx, cy] = this.place(at);
      element("circle", { cx, cy, class: name }, this.picked);
    };
    if (cell !== null) ring(cell, "picked");
    for (const target of targets) ring(target, "target");
  }

  stone(parent, cell, stone, ghost = false) {
    const [cx, cy] = this.place(cell);
    element("circle", { cx, cy, r: this.kind.radius, class: `stone stone-${stone}${ghost ? " ghost" : ""}` }, parent);
  }

  clearMarks() { this.marks.replaceChildren(); this.heat.replaceChildren(); }

  // entries: [{cell, share 0..1, text, best}]
  showHeat(entries) {
    this.clearMarks();
    for (const { cell, share, text, best } of entries) {
      const [x, y] = this.place(cell);
      if (share > 0) element("circle", { cx: x, cy: y, r: 0.15 + 0.3 * Math.sqrt(share), class: "heat", opacity: 0.12 + 0.5 * share }, this.heat);
      if (text) element("text", { x, y, class: `mark${best ? " best" : ""}` }, this.marks).textContent = text;
    }
  }

  // entries of moves that take a piece from one cell to another: [{from, to, share 0..1, text, best}]
  showSteps(entries) {
    this.clearMarks();
    for (const { from, to, share, text, best } of entries) {
      const [x0, y0] = this.place(from), [x1, y1] = this.place(to);
      const along = (part) => [x0 + (x1 - x0) * part, y0 + (y1 - y0) * part];
      if (share > 0) {
        const [tx, ty] = along(0.88), length = Math.hypot(x1 - x0, y1 - y0);
        const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length], wide = 0.05 + 0.1 * Math.sqrt(share);
        const [bx, by] = along(0.62), corners = [[tx, ty], [bx - 2 * wide * dy, by + 2 * wide * dx], [bx + 2 * wide * dy, by - 2 * wide * dx]];
        const opacity = 0.15 + 0.55 * share;
        const [sx, sy] = along(0.15);
        element("line", { x1: sx, y1: sy, x2: bx, y2: by, class: "step", "stroke-width": wide, opacity }, this.heat);
        element("polygon", { points: corners.map((corner) => corner.join(",")).join(" "), class: "heat", opacity }, this.heat);
      }
      const [x, y] = along(0.5);  // beside others that end where this one does
      if (text) element("text", { x, y, class: `mark small${best ? " best" : ""}` }, this.marks).textContent = text;
    }
  }

  // numbered ghost stones of a variation: [{cell, stone}]
  showVariation(moves) {
    this.clearMarks();
    moves.forEach(({ cell, stone }, k) => {
      this.stone(this.heat, cell, stone, true);
      const [x, y] = this.place(cell);
      element("text", { x, y, class: `mark${stone === 1 ? " on-black" : ""}` }, this.marks).textContent = k + 1;
    });
  }

  toBoard(event) {
    const matrix = this.svg.getScreenCTM();
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    return [point.x, point.y];
  }

  cellAt(event) {
    const named = event.target.dataset?.cell;
    if (named !== undefined) return Number(named);
    if (this.kind !== square) return null;
    const [column, row] = this.toBoard(event).map(Math.round);
    return row >= 0 && column >= 0 && row < this.size && column < this.columns ? row * this.columns + column : null;
  }

  at(event, tell) { const cell = this.cellAt(event); if (cell !== null) { this.moveCursor(cell); tell(cell); } }

  hover(cell) { if (cell !== this.hovered) { this.hovered = cell; this.onHover(cell); } }

  // panning and zooming, for boards that are larger than the screen
  pointerDown(event) { this.pointers.set(event.pointerId, [event.clientX, event.clientY]); this.dragged = false; }

  pointerUp(event) { this.pointers.delete(event.pointerId); this.pinch = null; }

  pointerMoved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.hover(this.cellAt(event));
    if (this.kind !== square) return undefined;
    const moved = [event.clientX - before[0], event.clientY - before[1]];
    if (!this.dragged && Math.hypot(...moved) < 6) return undefined;
    this.dragged = true;
    this.svg.setPointerCapture(event.pointerId);  // a drag may go past the edge
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.pointers.size === 2) return this.pinched();
    const scale = this.svg.getScreenCTM().a;
    this.setBox(this.box[0] - moved[0] / scale, this.box[1] - moved[1] / scale, this.box[2]);
    return undefined;
  }

  pinched() {
    const [[ax, ay], [bx, by]] = [...this.pointers.values()];
    const apart = Math.hypot(ax - bx, ay - by);
    if (this.pinch) this.zoom(this.pinch / apart, this.toBoard({ clientX: (ax + bx) / 2, clientY: (ay + by) / 2 }));
    this.pinch = apart;
  }

  zoomed(event) {
    if (this.kind !== square) return;
    event.preventDefault();
    this.zoom(Math.exp(event.deltaY * 0.0015), this.toBoard(event));
  }

  zoom(factor, [x, y]) {
    const width = Math.min(this.whole[2], Math.max(8, this.box[2] * factor)), ratio = width / this.box[2];
    this.setBox(x + (this.box[0] - x) * ratio, y + (this.box[1] - y) * ratio, width);
  }

  setBox(left, top, width) {
    const [wl, wt, ww, wh] = this.whole, height = (width * wh) / ww;
    const held = (at, low, room) => Math.min(Math.max(at, low), low + Math.max(0, room));
    this.box = [held(left, wl, ww - width), held(top, wt, wh - height), width, height];
    this.showBox();
  }

  showBox() {
    this.svg.setAttribute("viewBox", this.box.map((v) => v.toFixed(3)).join(" "));
    const pixels = (this.svg.isConnected && this.svg.getScreenCTM()?.a) || READABLE;
    const far = Math.max(1, Math.min(READABLE / pixels, this.kind.far(Math.max(this.size, this.columns))));
    this.svg.style.setProperty("--far", far.toFixed(3));
    this.svg.style.setProperty("--name", `${Math.min(NAME * far, LARGEST_NAME / pixels).toFixed(3)}px`);
    if (this.kind === square) this.nameSquares(pixels);
  }

  lookAt(cell) {
    const [x, y] = this.place(cell), [left, top, width, height] = this.box;
    if (x < left + 1 || y < top + 1 || x > left + width - 1 || y > top + height - 1) this.setBox(x - width / 2, y - height / 2, width);
  }

  moveCursor(cell) {
    this.cursor = cell;
    const [cx, cy] = this.place(cell);
    this.cursorRing.setAttribute("cx", cx);
    this.cursorRing.setAttribute("cy", cy);
  }

  keyed(event) {
    const n = this.columns, row = Math.floor(this.cursor / n), column = this.cursor % n;
    const to = { ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1] }[event.key];
    if (to) {
      event.preventDefault();
      if (to.every((v, k) => v >= 0 && v < (k ? n : this.size))) {
        this.moveCursor(to[0] * n + to[1]);
        this.lookAt(this.cursor);
        this.onHover(this.cursor);
      }
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onPlay(this.cursor);
    } else if (this.kind === square && (event.key === "+" || event.key === "-")) {
      event.preventDefault();
      this.zoom(event.key === "+" ? 0.7 : 1 / 0.7, this.place(this.cursor));
    }
  }
}

function range(n) { return [...Array(n).keys()]; }
