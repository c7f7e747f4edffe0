// Pictures of numbers: lines with intervals over a common axis, and the value over a match.

import {h, s} from "./dom.js";

const WIDTH = 560, HEIGHT = 220, LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 30;

/** Returns round numbers from low to high. */
export function ticks(low, high, count = 5) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) {
    found.push(Number(tick.toPrecision(12)));
  }
  return found;
}

/** Writes a number short: 12000 is 12k, 0.00154 is 0.0015. */
export function short(number) {
  const size = Math.abs(number);
  if (size >= 1e6) return `${+(number / 1e6).toFixed(1)}M`;
  if (size >= 1e4) return `${+(number / 1e3).toFixed(1)}k`;
  if (size < 0.01) return String(+number.toPrecision(2));
  return String(+number.toFixed(size < 1 ? 3 : size < 100 ? 2 : 0));
}

/** A chart of lines: each {name, x, y, low, high, dots}; low and high (an interval) are optional. */
export function lineChart({title, lines, xLabel = "update", range = null, write = short}) {
  const drawn = lines.filter((line) => line.x.length);
  if (!drawn.length) return null;
  const xs = drawn.flatMap((line) => line.x);
  const ys = drawn.flatMap((line) => [...line.y, ...(line.low ?? []), ...(line.high ?? [])])
    .filter((y) => Number.isFinite(y));
  let [low, high] = range ?? [Math.min(...ys), Math.max(...ys)];
  if (!range && low > 0 && low < 0.4 * high) low = 0;
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const first = Math.min(...xs), last = Math.max(...xs);
  const x = (value) => LEFT + (WIDTH - LEFT - RIGHT) * (last > first ? (value - first) /
    (last - first) : 0.5);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low));
  const svg = s("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `${title}: ${drawn.map((line) => `${line.name} last ${
      write(line.y.at(-1))}`).join(", ")}`});
  for (const tick of ticks(low, high)) {
    svg.append(s("line", {class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick)}),
      s("text", {class: "tick", x: LEFT - 6, y: y(tick), "text-anchor": "end",
        "dominant-baseline": "central"}, write(tick)));
  }
  for (const tick of last > first ? ticks(first, last, 4) : [first]) {
    svg.append(s("text", {class: "tick", x: x(tick), y: HEIGHT - BOTTOM + 14,
      "text-anchor": "middle"}, short(tick)));
  }
  svg.append(s("text", {class: "tick", x: WIDTH - RIGHT, y: HEIGHT - 3, "text-anchor": "end"},
    xLabel));
  drawn.forEach((line, place) => svg.append(drawOne(line, place % 6, x, y)));
  return h("figure", {class: "chart"}, h("figcaption", null, title), svg,
    drawn.length > 1 && h("ul", {class: "legend"}, drawn.map((line, place) =>
      h("li", null, s("svg", {viewBox: "0 0 24 8", class: "key", "aria-hidden": "true"},
        s("line", {class: `line place-${place % 6}`, x1: 0, x2: 24, y1: 4, y2: 4})), line.name))));
}

function drawOne(line, place, x, y) {
  const group = s("g");
  const points = line.x.map((value, index) => [value, index])
    .filter(([, index]) => Number.isFinite(line.y[index]));
  if (line.low && line.high) {
    const upper = points.map(([value, index]) => `${x(value)},${y(line.high[index])}`);
    const lower = points.map(([value, index]) => `${x(value)},${y(line.low[index])}`).reverse();
    group.append(points.length > 1
      ? s("polygon", {class: `band place-${place}`, points: [...upper, ...lower].join(" ")})
      : s("line", {class: `line place-${place}`, x1: x(points[0][0]), x2: x(points[0][0]),
        y1: y(line.low[0]), y2: y(line.high[0])}));
  }
  group.append(s("polyline", {class: `line place-${place}`, points: points.map(([value, index]) =>
    `${x(value)},${y(line.y[index])}`).join(" ")}));
  if (line.dots || points.length === 1) {
    for (const [value, index] of points) {
      group.append(s("circle", {class: `point place-${place}`, cx: x(value), cy: y(line.y[index]),
        r: 3.5}));
    }
  }
  return group;
}

/** The value over a match, for player 0: click a ply to go there. mistakes: of findMistakes. */
export function valueGraph({values, ply, mistakes = [], onGoTo = () => {}, titles = ["", ""]}) {
  const width = 560, height = 130, pad = 8;
  const count = Math.max(values.length - 1, 1);
  const x = (at) => pad + ((width - 2 * pad) * at) / count;
  const y = (value) => pad + ((height - 2 * pad) * (1 - value)) / 2;
  const svg = s("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", class: "value-graph",
    "aria-label": `Expected score of ${titles[0]} over the match, ${mistakes.length} mistakes`,
    onclick: (event) => {
      const box = svg.getBoundingClientRect();
      const share = ((event.clientX - box.left) / box.width) * width - pad;
      onGoTo(Math.max(0, Math.min(count, Math.round((share / (width - 2 * pad)) * count))));
    }});
  svg.append(s("rect", {class: "graph-back", width, height, rx: 6}),
    s("line", {class: "grid", x1: pad, x2: width - pad, y1: y(0), y2: y(0)}));
  const known = values.map((value, at) => [at, value]).filter(([, value]) => Number.isFinite(value));
  if (known.length > 1) {
    const line = known.map(([at, value]) => `${x(at)},${y(value)}`).join(" ");
    svg.append(s("polygon", {class: "graph-area", points: `${x(known[0][0])},${y(0)} ${line} ${
      x(known.at(-1)[0])},${y(0)}`}), s("polyline", {class: "line place-0", points: line}));
  }
  for (const [at, value] of known.length < 80 ? known : []) {
    svg.append(s("circle", {class: "point place-0", cx: x(at), cy: y(value), r: 2.5}));
  }
  for (const {ply: at, loss} of mistakes) {
    svg.append(s("g", {class: "mistake"},
      s("circle", {cx: x(at + 1), cy: y(values[at + 1]), r: 6}),
      s("text", {x: x(at + 1), y: y(values[at + 1]), "text-anchor": "middle",
        "dominant-baseline": "central"}, loss >= 0.6 ? "‼" : "!")));
  }
  svg.append(s("line", {class: "now", x1: x(ply), x2: x(ply), y1: 0, y2: height}));
  return h("figure", {class: "graph"}, h("figcaption", null,
    `Expected score of ${titles[0]}: top is won, bottom lost`), svg);
}
