// Draws a position document as SVG and turns clicks and keys into actions.
// It knows nothing of a server: give it documents, it gives back actions.

import {h, put, s} from "./dom.js";
import {layOut} from "./layout.js";
import {colourOf, disc, drawDie, drawPiece, drawSeeds, label, parsePiece, playerTitle}
  from "./pieces.js";

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

export class Board {
  /** onPlay(action) is called when a move has been clicked in full. */
  constructor({onPlay = () => {}} = {}) {
    this.onPlay = onPlay;
    this.selected = [];
    this.focused = null;
    this.element = h("div", {class: "board"});
    this.said = h("p", {class: "visually-hidden", "aria-live": "polite"});
  }

  /** Shows a position; with `interactive` its legal moves can be clicked. */
  show(doc, {interactive = true} = {}) {
    this.doc = doc;
    this.interactive = interactive && !doc.over;
    this.selected = [];
    this.element.dataset.ply = doc.ply;
    if (!doc.view) {
      put(this.element, h("pre", {class: "text-board", tabindex: "0", role: "region",
        "aria-label": "Position"}, doc.text), this.#buttons(doc.legal));
      return;
    }
    this.layout = layOut(doc.view);
    this.byIndex = new Map(this.layout.cells.map((cell) => [cell.index, cell]));
    if (!this.byIndex.has(this.focused)) this.focused = null;
    this.#draw();
  }

  /** Returns where an action is shown: {x, y, from} in the SVG, or null for a button. */
  placeOf(action) {
    const legal = this.doc?.legal.find((one) => one.action === action);
    if (!this.doc?.view || !legal?.clicks.length) return null;
    const onBoard = legal.clicks.filter((path) => path.every((cell) => this.#isOnBoard(cell)));
    const paths = onBoard.length ? onBoard : legal.clicks;
    const empty = paths.filter((path) => this.doc.view.cells[path.at(-1)] === "");
    const path = (empty.length ? empty : paths).at(-1);
    const end = this.byIndex.get(path.at(-1));
    const start = path.length > 1 ? this.byIndex.get(path[0]) : null;
    if (!end) return null;
    return {x: end.x, y: end.y, from: start && {x: start.x, y: start.y}, path};
  }

  /** Returns the SVG group for things drawn over the pieces, or null without a board. */
  get above() {
    return this.overlay ?? null;
  }

  get unit() {
    return this.layout?.unit ?? 60;
  }

  #isOnBoard(cell) {
    return cell < this.doc.view.rows * this.doc.view.columns;
  }

  #draw() {
    const {view} = this.doc;
    const {width, height} = this.layout;
    const svg = s("svg", {viewBox: `0 0 ${width} ${height}`, class: `board-svg kind-${view.kind}`,
      role: "group", "aria-label": `Board, ${view.rows} rows, ${view.columns} columns`,
      onkeydown: (event) => this.#key(event)});
    svg.append(patterns());
    svg.append(this.#ground());
    this.groups = new Map();
    const cells = s("g");
    this.marks = s("g", {"aria-hidden": "true"});
    for (const cell of this.layout.cells) cells.append(this.#cell(cell));
    svg.append(cells, this.marks);
    for (const {x, y, text} of this.layout.labels) {
      const element = label(text, 60, 13, "coordinate");
      element.setAttribute("x", x);
      element.setAttribute("y", y);
      element.setAttribute("aria-hidden", "true");
      svg.append(element);
    }
    this.overlay = s("g", {class: "overlay", "aria-hidden": "true"});
    svg.append(this.overlay);
    const tall = height > width * 1.25;
    svg.classList.toggle("tall", tall);
    const buttons = this.doc.legal.filter((one) => !one.clicks.length);
    put(this.element, svg, view.note && h("p", {class: "note"}, view.note),
      this.#buttons(buttons), this.said);
    this.#mark();
  }

  #ground() {
    const {view} = this.doc;
    const {dx, dy, cells} = this.layout;
    const ground = s("g", {class: "ground", "aria-hidden": "true"});
    const board = {x: dx, y: dy, width: this.layout.width - dx - 8, height: 0};
    const own = cells.filter((cell) => this.#isOnBoard(cell.index));
    board.height = Math.max(...own.map((cell) => cell.y + cell.h / 2)) - dy;
    if (view.kind !== "hex") {
      ground.append(s("rect", {class: "table", x: board.x, y: board.y, width: board.width,
        height: board.height, rx: view.kind === "pits" ? 30 : 4}));
    }
    if (view.kind === "lines") {
      for (const [one, other] of this.#lines()) {
        ground.append(s("line", {class: "grid-line", x1: one.x, y1: one.y, x2: other.x,
          y2: other.y}));
      }
      for (const index of view.shaded) {
        const {x, y} = this.byIndex.get(index);
        ground.append(s("circle", {class: "star", cx: x, cy: y, r: 4}));
      }
    }
    for (const [side, player] of Object.entries(view.goals)) {
      const kind = `goal colour-${colourOf(view, player)}${player ? " second" : ""}`;
      if (view.kind === "hex") ground.append(...this.#hexGoal(side, own, kind));
      else ground.append(straightGoal(side, board, kind));
    }
    return ground;
  }

  #lines() {
    const {view} = this.doc;
    if (view.lines.length) {
      return view.lines.map((pair) => pair.map((index) => this.byIndex.get(index)));
    }
    const pairs = [];
    for (const cell of this.byIndex.values()) {
      if (!this.#isOnBoard(cell.index)) continue;
      const right = cell.column + 1 < view.columns && this.byIndex.get(cell.index + 1);
      const down = this.byIndex.get(cell.index + view.columns);
      if (right) pairs.push([cell, right]);
      if (down && this.#isOnBoard(down.index)) pairs.push([cell, down]);
    }
    return pairs;
  }

  #hexGoal(side, own, kind) {
    const rows = new Map();
    for (const cell of own) rows.set(cell.row, [...(rows.get(cell.row) ?? []), cell]);
    const last = this.doc.view.rows - 1;
    const ends = {top: rows.get(0) ?? [], bottom: rows.get(last) ?? [],
      left: [...rows.values()].map((row) => row[0]),
      right: [...rows.values()].map((row) => row.at(-1))}[side];
    const corners = {top: [4, 5, 0], bottom: [1, 2, 3], left: [2, 3, 4], right: [5, 0, 1]}[side];
    return ends.map((cell) => s("polyline", {class: kind, points: corners.map((corner) =>
      hexCorner(cell.x, cell.y, cell.side, corner).join(",")).join(" ")}));
  }

  #cell(cell) {
    const {view} = this.doc;
    const name = this.#nameOf(cell);
    const group = s("g", {class: `cell shape-${cell.shape}`, "data-cell": cell.index,
      role: "button", tabindex: "-1",
      onclick: () => this.#click(cell.index),
      onfocus: () => { this.focused = cell.index; },
      onpointerenter: () => this.#hover(cell.index, true),
      onpointerleave: () => this.#hover(cell.index, false)});
    group.append(this.#body(cell));
    const owner = this.#isOnBoard(cell.index) ? view.owners[cell.index] : null;
    if (owner === 0 || owner === 1) {
      group.classList.add("owned");
      group.append(this.#shape(cell, `tint colour-${colourOf(view, owner)}`));
      if (owner === 1) group.append(this.#shape(cell, "hatch"));
    }
    if (this.#isOnBoard(cell.index) && view.shaded.includes(cell.index)) {
      group.classList.add("shaded");
    }
    if (view.highlights.includes(cell.index)) group.append(this.#shape(cell, "highlight"));
    if (this.doc.last?.cells.includes(cell.index)) this.marks.append(this.#shape(cell, "last"));
    const picture = this.#picture(cell, name);
    if (picture) group.append(picture);
    group.append(this.#target(cell));
    this.groups.set(cell.index, group);
    return group;
  }

  #nameOf(cell) {
    const {view} = this.doc;
    const count = view.rows * view.columns;
    if (cell.index < count) return view.cells[cell.index];
    const beside = [...view.hands.flat(), ...view.dice.map(String)];
    return beside[cell.index - count];
  }

  #body(cell) {
    if (cell.shape === "wedge" && !cell.tray) {
      const up = cell.row === 0 ? cell.y - cell.h / 2 : cell.y + cell.h / 2;
      const tip = cell.row === 0 ? cell.y + cell.h * 0.36 : cell.y - cell.h * 0.36;
      const parity = (cell.column + cell.row) % 2 ? "odd" : "even";
      return s("g", null, s("rect", {class: "hit", x: cell.x - cell.w / 2, y: cell.y - cell.h / 2,
        width: cell.w, height: cell.h}),
      s("path", {class: `wedge ${parity}`, d: `M${cell.x - cell.w / 2 + 1} ${up}H${
        cell.x + cell.w / 2 - 1}L${cell.x} ${tip}Z`}));
    }
    return this.#shape(cell, "body");
  }

  #shape(cell, kind) {
    if (cell.shape === "hex") {
      const points = [0, 1, 2, 3, 4, 5].map((corner) =>
        hexCorner(cell.x, cell.y, cell.side * 0.97, corner).join(",")).join(" ");
      return s("polygon", {class: kind, points});
    }
    if (cell.shape === "point") {
      if (kind === "body") {
        return s("rect", {class: kind, x: cell.x - cell.w / 2, y: cell.y - cell.h / 2,
          width: cell.w, height: cell.h});
      }
      if (kind === "tint" || kind === "hatch" || kind.startsWith("tint")) {
        return s("rect", {class: kind, x: cell.x - cell.w * 0.2, y: cell.y - cell.h * 0.2,
          width: cell.w * 0.4, height: cell.h * 0.4});
      }
      return s("circle", {class: kind, cx: cell.x, cy: cell.y, r: cell.w * 0.47});
    }
    const gap = {square: 0, box: 0, edge: 1, dot: 0, pit: 5, store: 6, wedge: 0, hand: 1,
      die: 0}[cell.shape];
    const rounding = {pit: cell.w / 2, store: cell.w / 2, hand: 10, die: 8, edge: 5}[cell.shape];
    return s("rect", {class: kind, x: cell.x - cell.w / 2 + gap, y: cell.y - cell.h / 2 + gap,
      width: cell.w - 2 * gap, height: cell.h - 2 * gap, rx: rounding ?? 0});
  }

  #picture(cell, name) {
    if (cell.shape === "die") {
      const rolled = this.doc.last?.outcome !== null && this.doc.last !== null;
      const die = drawDie(Number(name), cell.x, cell.y, 42);
      return s("g", {class: rolled ? "rolled" : ""}, die);
    }
    if (cell.shape === "edge" && name === "line") {
      return s("rect", {class: "drawn-line", x: cell.x - cell.w / 2 - (cell.w > cell.h ? 4 : -4),
        y: cell.y - cell.h / 2 - (cell.w > cell.h ? -4 : 4),
        width: cell.w + (cell.w > cell.h ? 8 : -8), height: cell.h + (cell.w > cell.h ? -8 : 8),
        rx: 4});
    }
    if (cell.shape === "dot") return s("circle", {class: "dot", cx: cell.x, cy: cell.y, r: 7});
    if (cell.shape === "box" && name) {
      const player = parsePiece(name).shape === "o" ? 1 : 0;
      return s("g", null, this.#shape(cell, `tint colour-${"xo"[player]}`),
        drawPiece(name, cell.x, cell.y, cell.w * 0.8));
    }
    if ((cell.shape === "pit" || cell.shape === "store") && /^\d+$/.test(name)) {
      const heap = drawSeeds(Number(name), cell.x, cell.y - 6, cell.w * 0.36);
      const text = label(name, 40, 16, "seed-count");
      text.setAttribute("x", cell.x);
      text.setAttribute("y", cell.y + (cell.shape === "store" ? cell.h * 0.38 : cell.h * 0.35));
      return s("g", null, heap, text);
    }
    if (cell.shape === "wedge") return this.#stack(cell, name);
    const scale = cell.shape === "point" ? 1.12 : cell.shape === "hex" ? 0.86 : 1;
    return drawPiece(name, cell.x, cell.y, Math.min(cell.w, cell.h) * scale);
  }

  #stack(cell, name) {
    const {shape, text} = parsePiece(name);
    const count = Number(text || 1);
    if (shape === null || !Number.isInteger(count)) {
      return drawPiece(name, cell.x, cell.y, cell.w);
    }
    const shown = Math.min(count, 5), size = cell.w * 0.86;
    const group = s("g");
    for (let place = 0; place < shown; place += 1) {
      const away = size / 2 + place * Math.min(size, (cell.h * 0.9 - size) / 4);
      const y = cell.row === 0 ? cell.y - cell.h / 2 + away : cell.y + cell.h / 2 - away;
      const top = place === shown - 1 && count > 5;
      const piece = s("g", {class: "piece", transform: `translate(${cell.x} ${y})`},
        disc(shape, size / 2, !top));
      if (top) piece.append(label(String(count), size, size * 0.5, `on-${shape}`));
      group.append(piece);
    }
    return group;
  }

  #target(cell) {
    if (cell.shape === "point" || cell.shape === "square" || cell.shape === "hex") {
      return s("circle", {class: "target", cx: cell.x, cy: cell.y, r: cell.w * 0.14});
    }
    return this.#shape(cell, "target");
  }

  /** Marks what can be clicked now, and says it to screen readers. */
  #mark() {
    const next = this.interactive ? this.#nextCells() : new Map();
    for (const [index, group] of this.groups) {
      const open = next.has(index);
      group.classList.toggle("open", open);
      // Of several cells that mean one move, such as a column, one shows where it leads.
      const [action, ...others] = next.get(index) ?? [];
      const shown = others.length || this.selected.length || !open ||
        this.placeOf(action)?.path[0] === index;
      group.classList.toggle("mute", !shown);
      group.classList.toggle("selected", this.selected.includes(index));
      // A chosen cell can be clicked again, and another that begins a move clicked instead.
      const begins = this.interactive && this.selected.length > 0 && this.#begins(index);
      group.setAttribute("aria-disabled", String(!open && !begins));
      group.setAttribute("aria-label", this.#spoken(index, open));
      group.setAttribute("tabindex", "-1");
    }
    this.element.classList.toggle("choosing", this.selected.length > 0);
    const start = this.groups.get(this.focused) ?? this.groups.get([...next.keys()][0]) ??
      this.groups.values().next().value;
    start?.setAttribute("tabindex", "0");
  }

  #spoken(index, open) {
    const cell = this.byIndex.get(index);
    const {view} = this.doc;
    const piece = this.#nameOf(cell) || "empty";
    if (cell.shape === "die") return `die ${piece}${open ? ", can be chosen" : ""}`;
    if (cell.shape === "hand") {
      return `${piece} beside the board${open ? ", can be chosen" : ""}`;
    }
    const column = view.column_labels[cell.column + (view.column_labels.length > view.columns
      ? cell.row * view.columns : 0)];
    const place = column !== undefined && column !== ""
      ? `${column}${view.row_labels[cell.row] ?? ""}`
      : `row ${cell.row + 1}, column ${cell.column + 1}`;
    const choice = !open ? "" : this.selected.length ? ", target" : ", can be chosen";
    return `${place}, ${piece}${choice}${this.selected.includes(index) ? ", chosen" : ""}`;
  }

  /** Returns the cells that can be clicked next, each with the actions it leads to. */
  #nextCells(selected = this.selected) {
    const next = new Map();
    for (const {action, clicks} of this.doc.legal) {
      for (const path of clicks) {
        if (path.length <= selected.length) continue;
        if (!selected.every((cell, place) => path[place] === cell)) continue;
        const cell = path[selected.length];
        next.set(cell, [...(next.get(cell) ?? []), action]);
      }
    }
    return next;
  }

  #click(index) {
    if (!this.interactive) return;
    let chosen = [...this.selected, index];
    if (!this.#nextCells().has(index)) {
      // A click elsewhere begins anew; one on the last cell takes the choice back.
      const begins = this.selected.at(-1) !== index && this.#begins(index);
      chosen = begins ? [index] : [];
    }
    const exact = this.doc.legal.find(({clicks}) => clicks.some((path) =>
      path.length === chosen.length && path.every((cell, place) => cell === chosen[place])));
    if (exact && chosen.length) {
      this.selected = [];
      this.interactive = false;
      this.#mark();
      this.onPlay(exact.action);
      return;
    }
    this.selected = chosen;
    this.#mark();
    if (chosen.length) {
      const targets = this.#nextCells().size;
      this.said.textContent = `${targets} target${targets === 1 ? "" : "s"}`;
    }
  }

  #begins(index) {
    return this.#nextCells([]).has(index);
  }

  #hover(index, on) {
    if (!this.interactive) return;
    const actions = this.#nextCells().get(index) ?? [];
    for (const [cell, reached] of this.#nextCells()) {
      const shared = on && actions.length === 1 && reached.includes(actions[0]);
      this.groups.get(cell)?.classList.toggle("hovered", shared);
    }
  }

  #key(event) {
    const {key} = event;
    if (key === "Enter" || key === " ") {
      event.preventDefault();
      if (this.focused !== null) this.#click(this.focused);
    } else if (key === "Escape" && this.selected.length) {
      this.selected = [];
      this.#mark();
    } else if (key in ARROWS) {
      event.preventDefault();
      const near = this.#neighbour(...ARROWS[key]);
      if (near !== null) this.#focus(near);
    } else if (key === "Tab") {
      return;
    }
  }

  /** Returns the nearest cell in a direction: far aside counts more than far ahead. */
  #neighbour(right, down) {
    const here = this.byIndex.get(this.focused);
    if (!here) return null;
    let best = null, least = Infinity;
    for (const cell of this.byIndex.values()) {
      const ahead = (cell.x - here.x) * right + (cell.y - here.y) * down;
      const aside = Math.abs((cell.x - here.x) * down) + Math.abs((cell.y - here.y) * right);
      const cost = ahead + 1.6 * aside;
      if (cell !== here && ahead > 1 && cost < least) [best, least] = [cell.index, cost];
    }
    return best;
  }

  #focus(index) {
    this.groups.get(this.focused)?.setAttribute("tabindex", "-1");
    this.focused = index;
    const group = this.groups.get(index);
    group?.setAttribute("tabindex", "0");
    group?.focus();
  }

  /** Gives the keyboard back to the board after a move, if it had it. */
  keepFocus() {
    if (this.focused !== null) this.groups?.get(this.focused)?.focus();
  }

  #buttons(moves) {
    if (!moves.length) return null;
    return h("div", {class: "move-buttons", role: "group", "aria-label": "Moves"},
      moves.map(({action, name}) => h("button", {type: "button", class: "move-button",
        disabled: !this.interactive, onclick: () => {
          if (!this.interactive) return;
          this.interactive = false;
          this.onPlay(action);
        }}, name)));
  }
}

function hexCorner(x, y, side, corner) {
  // Corner 0 is at the upper right, then clockwise.
  const angle = (Math.PI / 180) * (60 * corner - 30);
  return [(x + side * Math.cos(angle)).toFixed(2), (y + side * Math.sin(angle)).toFixed(2)];
}

function straightGoal(side, {x, y, width, height}, kind) {
  const ends = {
    top: [x, y, x + width, y], bottom: [x, y + height, x + width, y + height],
    left: [x, y, x, y + height], right: [x + width, y, x + width, y + height],
  }[side];
  return s("line", {class: kind, x1: ends[0], y1: ends[1], x2: ends[2], y2: ends[3]});
}

function patterns() {
  return s("defs", null, s("pattern", {id: "hatching", width: 8, height: 8,
    patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
  s("line", {class: "hatch-line", x1: 0, y1: 0, x2: 0, y2: 8})));
}

/** Returns one sentence about a position: who is to move or how it ended. */
export function describe(doc) {
  const title = (player) => playerTitle(doc.view, player);
  if (!doc.over) return `${title(doc.player)} to move`;
  const [first] = doc.returns;
  const cut = doc.truncated ? `, ended after ${doc.ply} moves` : "";
  if (first === 0) return `A draw${cut}`;
  const margin = Math.abs(first) === 1 ? "" : ` with a result of ${Math.abs(first).toFixed(2)}`;
  return `${title(first > 0 ? 0 : 1)} wins${margin}${cut}`;
}

/** Returns what there is to say of the way here: passes, rolls, repeated turns. */
export function remarks(doc) {
  const said = [];
  const title = (player) => playerTitle(doc.view, player);
  if (doc.last?.outcome_name) said.push(`Rolled ${doc.last.outcome_name}.`);
  if (doc.again) said.push(`${title(doc.player)} moves again.`);
  if (doc.forced && !doc.legal[0].clicks.length && doc.view) {
    said.push(`${title(doc.player)} has no other move than ${doc.legal[0].name}.`);
  } else if (doc.forced) {
    said.push("There is only one legal move.");
  }
  return said;
}
