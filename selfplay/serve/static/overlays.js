// What an agent thinks, drawn over a board and beside it. Knows analysis documents, no server.

import {h, s} from "./dom.js";
import {colourOf, playerTitle} from "./pieces.js";

export const MODES = [["policy", "Policy"], ["visits", "Visits"], ["qvalues", "Values"],
  ["raw_policy", "Network"], ["none", "Nothing"]];

/** A value in [-1, 1] as an expected score: 0 % lost, 100 % won, a draw counts half. */
export function percent(value) {
  return `${Math.round(50 * (1 + value))}%`;
}

/** Returns the moves of an analysis, best first: {action, name, policy, visits, value, prior}. */
export function rankedMoves(analysis, doc) {
  const names = new Map(doc.legal.map(({action, name}) => [action, name]));
  const of = (table, action) => table?.[String(action)] ?? null;
  return analysis.legal.map((action) => ({
    action,
    name: names.get(action) ?? String(action),
    policy: of(analysis.policy, action),
    visits: of(analysis.visits, action),
    value: of(analysis.visits, action) === 0 ? null : of(analysis.qvalues, action),
    prior: of(analysis.raw_policy, action),
    line: of(analysis.variations, action) ?? [],
    best: action === analysis.action,
  })).sort((one, other) => other.best - one.best || (other.visits ?? 0) - (one.visits ?? 0) ||
    (other.policy ?? 0) - (one.policy ?? 0));
}

/** Draws numbers over the moves of a board. `mode` is one of MODES. */
export function drawOverlay(board, analysis, mode) {
  const layer = board.above;
  if (!layer) return;
  layer.replaceChildren();
  if (!analysis || mode === "none") return;
  const moves = rankedMoves(analysis, board.doc);
  const total = moves.reduce((sum, move) => sum + (move.visits ?? 0), 0);
  const shares = moves.map((move) => ({...move, share: shareOf(move, mode, total)}))
    .filter(({share}) => share !== null && share.size > 0.004)
    .sort((one, other) => one.share.size - other.share.size).slice(-24);
  for (const move of shares) {
    const place = board.placeOf(move.action);
    if (place) layer.append(drawShare(place, move, board.unit));
  }
}

function shareOf(move, mode, total) {
  if (mode === "visits") {
    if (!total || move.visits === null) return null;
    return {size: move.visits / total, text: String(move.visits)};
  }
  if (mode === "qvalues") {
    if (move.value === null) return null;
    return {size: 0.15 + 0.85 * (1 + move.value) / 2, text: percent(move.value)};
  }
  const share = mode === "raw_policy" ? move.prior : move.policy;
  return share === null ? null : {size: share, text: `${Math.round(100 * share)}%`};
}

function drawShare({x, y, from}, {share, best}, unit) {
  const group = s("g", {class: `share${best ? " best" : ""}`});
  if (from) {
    group.append(s("line", {class: "arrow", x1: from.x, y1: from.y, x2: x, y2: y,
      "stroke-width": 3 + 9 * share.size}));
  }
  group.append(s("circle", {class: "share-disc", cx: x, cy: y,
    r: unit * (0.28 + 0.14 * Math.sqrt(share.size)), "fill-opacity": 0.55 + 0.4 * share.size}));
  group.append(s("text", {class: "share-text", x, y, "text-anchor": "middle",
    "dominant-baseline": "central", "font-size": unit * 0.21}, share.text));
  return group;
}

/** Draws a line of moves as numbered steps, as far as their places are on this board. */
export function drawLine(board, line) {
  const layer = board.above;
  if (!layer) return;
  layer.replaceChildren();
  line.forEach(({action, cells}, step) => {
    // Later moves belong to other positions: only the server can say where they are.
    const cell = cells?.length ? board.byIndex?.get(cells.at(-1)) : null;
    const place = step === 0 ? board.placeOf(action) : cell;
    if (!place) return;
    const unit = board.unit;
    layer.append(s("g", {class: `step${step ? "" : " first"}`},
      s("circle", {class: "share-disc", cx: place.x, cy: place.y, r: unit * 0.3,
        "fill-opacity": 0.9}),
      s("text", {class: "share-text", x: place.x, y: place.y, "text-anchor": "middle",
        "dominant-baseline": "central", "font-size": unit * 0.28}, step + 1)));
  });
}

/** A bar that is full for player 0 at the bottom: show(value for player 0, view). */
export class ValueBar {
  constructor() {
    this.fill = s("rect", {class: "value-fill", x: 0, width: 100, height: 10, y: 0});
    this.back = s("rect", {width: 100, height: 10});
    this.left = h("span");
    this.right = h("span");
    this.element = h("div", {class: "value-bar"},
      this.left,
      s("svg", {viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img",
        "aria-label": "Expected score"},
      this.back, this.fill,
      s("line", {class: "value-middle", x1: 50, x2: 50, y1: 0, y2: 10})),
      this.right);
    this.show(null, null);
  }

  show(value, view) {
    const share = value === null ? 50 : 50 * (1 + value);
    this.fill.setAttribute("width", Math.max(0, Math.min(100, share)));
    this.element.classList.toggle("unknown", value === null);
    this.fill.setAttribute("class", `value-fill colour-${colourOf(view, 0)}`);
    this.back.setAttribute("class", `value-back colour-${colourOf(view, 1)}`);
    const text = (player, of) => `${playerTitle(view, player)} ${of}`;
    this.left.textContent = value === null ? text(0, "–") : text(0, percent(value));
    this.right.textContent = value === null ? text(1, "–") : text(1, percent(-value));
  }
}

/** A table of moves with numbers; onHover(move or null) as pointer or focus goes over a row. */
export function movesTable(analysis, doc, {onHover = null, onPlay = null, limit = 12} = {}) {
  const over = (move) => onHover?.(move);
  const moves = rankedMoves(analysis, doc);
  const has = (key) => moves.some((move) => move[key] !== null);
  const columns = [["policy", "Policy", share], ["visits", "Visits", String],
    ["value", "Score", percent], ["prior", "Network", share]].filter(([key]) => has(key));
  const lines = moves.some(({line}) => line.length > 1);
  const rows = moves.slice(0, limit).map((move) => h("tr", {class: move.best ? "best" : "",
    tabindex: onHover && !onPlay ? "0" : null, onpointerenter: () => over(move),
    onpointerleave: () => over(null), onfocusin: () => over(move), onfocusout: () => over(null)},
  h("th", {scope: "row"}, onPlay
    ? h("button", {type: "button", class: "link", onclick: () => onPlay(move.action)}, move.name)
    : move.name),
  columns.map(([key, , write]) => h("td", null, move[key] === null ? "–" : write(move[key]))),
  lines && h("td", {class: "line"}, move.line.slice(1).map(({name}) => name).join(" "))));
  const more = moves.length - rows.length;
  return h("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": "Moves"},
    h("table", {class: "moves-table"},
      h("thead", null, h("tr", null, h("th", {scope: "col"}, "Move"),
        columns.map(([, title]) => h("th", {scope: "col"}, title)),
        lines && h("th", {scope: "col", class: "line"}, "Then"))),
      h("tbody", null, rows)),
    more > 0 && h("p", {class: "quiet-text"}, `and ${more} more`));
}

function share(value) {
  return `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)}%`;
}

/** Returns plies at which the value fell for the player who moved, by `least` or more.
 *  values: for player 0 before each ply (one longer than players); entries may be null. */
export function findMistakes(values, players, least = 0.25) {
  const found = [];
  players.forEach((player, ply) => {
    const before = values[ply], after = values[ply + 1];
    if (before === null || after === null || before === undefined || after === undefined) return;
    const loss = (player === 0 ? 1 : -1) * (before - after);
    if (loss >= least) found.push({ply, player, loss});
  });
  return found;
}

/** Draws a search tree: nodes as dots sized by visits, best line stressed. */
export function drawTree(tree) {
  const labelOf = ({name, visits, value}) => (name === null ? ""
    : `${name} ${visits}${value === null ? "" : ` ${percent(value)}`}`);
  // Branches begin behind the longest label of a ply, so that no line crosses a label.
  const lengths = [];
  (function measure(node, depth) {
    lengths[depth] = Math.max(lengths[depth] ?? 0, labelOf(node).length);
    node.children.forEach((child) => measure(child, depth + 1));
  })(tree, 0);
  let right = 16;
  const columns = lengths.map((length) => {
    const x = right, end = x + 20 + 7 * length;
    right = end + 50;
    return {x, end};
  });
  let leaf = 0;
  const rowHeight = 26;
  const lines = s("g"), dots = s("g");
  function draw(node, depth, best) {
    const inner = [...node.children].sort((one, other) => other.visits - one.visits);
    const places = inner.map((child, rank) => draw(child, depth + 1, best && rank === 0));
    const y = places.length ? (places[0].y + places.at(-1).y) / 2 : (leaf++ + 0.7) * rowHeight;
    const {x, end} = columns[depth];
    const size = 3 + 6 * Math.sqrt(node.visits / Math.max(1, tree.visits));
    const text = labelOf(node), begin = x + size + (text ? 10 + 7 * text.length : 0);
    places.forEach((child) => lines.append(s("path", {class: child.best ? "branch best" : "branch",
      d: `M${begin} ${y}H${end}C${end + 25} ${y} ${end + 25} ${child.y} ${end + 44} ${child.y}`})));
    dots.append(s("circle", {class: best ? "node best" : "node", cx: x, cy: y, r: size}),
      s("text", {class: "node-text", x: x + size + 4, y, "dominant-baseline": "central"}, text));
    return {y, best};
  }
  draw(tree, 0, true);
  const height = (leaf + 0.4) * rowHeight;
  return h("div", {class: "scrolls tree", tabindex: "0", role: "region",
    "aria-label": "Search tree"},
  s("svg", {viewBox: `0 0 ${right} ${height}`, width: right, height, role: "img",
    "aria-label": `Search tree of ${tree.visits} visits`}, lines, dots));
}

/** Shows who sits where, with hands, counters and whose move it is. */
export function seats(doc, names, pictures) {
  const {view} = doc;
  return [0, 1].map((player) => h("div", {class: `seat${doc.player === player ? " to-move" : ""}`},
    pictures(view, player),
    h("div", null, h("strong", null, playerTitle(view, player)),
      h("span", {class: "quiet-text"}, ` ${names[player]}`)),
    h("dl", {class: "counters"}, Object.entries(view?.counters ?? {}).map(([name, numbers]) =>
      h("div", null, h("dt", null, name), h("dd", null, numbers[player]))))));
}

