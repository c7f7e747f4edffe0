// Pictures of pieces. Colours alone never tell two pieces apart: marks and outlines do too.

import {s} from "./dom.js";

const DISCS = new Set(["black", "white", "red", "yellow", "blue", "green", "grey"]);
const ICONS = {
  flag: "M-7 14V-14M-7 -14H11L6 -7.5L11 -1H-7",
  crown: "M-13 9L-15 -8L-6 0L0 -12L6 0L15 -8L13 9Z",
  tower: "M-10 12V-12H-5V-7H-2.5V-12H2.5V-7H5V-12H10V12Z",
  rock: "M-17 13L-5 -10L1 0L5 -6L17 13Z",
};
const MARKS = new Set(["x", "o"]);
const SHAPES = new Set([...DISCS, ...MARKS, ...Object.keys(ICONS), "line", "dot", "lifted"]);

/** Returns {shape, text}; shape is null for a name that is only text. */
export function parsePiece(name) {
  const counted = /^([xo])(\d+)$/.exec(name);
  if (counted) return {shape: counted[1], text: counted[2]};
  const space = name.indexOf(" ");
  const shape = space < 0 ? name : name.slice(0, space);
  if (!SHAPES.has(shape)) return {shape: null, text: name};
  return {shape, text: space < 0 ? "" : name.slice(space + 1)};
}

/** Returns the colour class of a player's pieces, such as "black" or "x". */
export function colourOf(view, player) {
  const {shape} = parsePiece(view?.players?.[player] ?? "xo"[player]);
  return DISCS.has(shape) || MARKS.has(shape) ? shape : "xo"[player];
}

/** Returns how people call a player: by colour, else X and O. */
export function playerTitle(view, player) {
  const name = view?.players?.[player] ?? "xo"[player];
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** Draws a piece about (x, y), at most `size` wide; returns an SVG group, or null for nothing. */
export function drawPiece(name, x, y, size) {
  if (!name || name === "void") return null;
  const {shape, text} = parsePiece(name);
  const group = s("g", {class: "piece", transform: `translate(${x} ${y})`});
  if (shape === null) {
    group.append(label(text, size * 0.92, size * (text.length > 3 ? 0.34 : 0.42), "piece-text"));
  } else if (shape in ICONS) {
    const scale = (size / 60) * (text ? 0.95 : 1.15);
    const rise = text ? -size * 0.14 : 0;
    group.append(s("path", {class: `icon icon-${shape}`, d: ICONS[shape],
      transform: `translate(0 ${rise}) scale(${scale})`}));
    if (text) group.append(below(text, size));
  } else if (MARKS.has(shape) && !text) {
    group.append(mark(shape, size));
  } else if (shape === "lifted") {
    group.append(s("circle", {class: "lifted", r: size * 0.38}));
  } else if (shape === "dot") {
    group.append(s("circle", {class: "dot", r: size * 0.16}));
  } else if (shape === "line") {
    group.append(s("rect", {class: "drawn-line", x: -size / 2, y: -size / 16, width: size,
      height: size / 8, rx: size / 16}));
  } else {
    group.append(disc(shape, size * 0.42, !text));
    if (text in ICONS) {
      group.append(s("path", {class: `icon on-${shape}`, d: ICONS[text],
        transform: `scale(${(size / 60) * 0.8})`}));
    } else if (text) {
      group.append(label(text, size * 0.74, size * 0.38, `on-${shape}`));
    }
  }
  return group;
}

/** A disc of a colour, with the mark that tells it from others without colours. */
export function disc(colour, radius, marked = true) {
  const group = s("g", {class: `disc disc-${colour}`},
    s("circle", {class: "disc-body", r: radius}));
  if (colour === "o") group.append(s("circle", {class: "inner", r: radius * 0.86}));
  if (!marked) return group;
  if (colour === "red") group.append(s("circle", {class: "inner", r: radius * 0.55}));
  if (colour === "blue") group.append(s("circle", {class: "spot", r: radius * 0.3}));
  if (colour === "green") {
    const a = radius * 0.5;
    group.append(s("path", {class: "inner", d: `M0 ${-a}L${a * 0.87} ${a / 2}H${-a * 0.87}Z`}));
  }
  return group;
}

/** A cross or a ring, the marks of the players. */
export function mark(shape, size) {
  const r = size * 0.27;
  if (shape === "o") return s("circle", {class: "mark mark-o", r});
  return s("path", {class: "mark mark-x", d: `M${-r} ${-r}L${r} ${r}M${r} ${-r}L${-r} ${r}`});
}

/** A small picture of a player's piece, to stand beside a name. */
export function swatch(view, player) {
  const name = view?.players?.[player] ?? "xo"[player];
  return s("svg", {class: "swatch", viewBox: "-30 -30 60 60", "aria-hidden": "true"},
    isDisc(view, player) ? disc(colourOf(view, player), 26)
      : drawPiece(SHAPES.has(parsePiece(name).shape) ? name : "xo"[player], 0, 0, 64));
}

/** Whether the board draws the pieces of a player as discs: marks with a text are. */
export function isDisc(view, player) {
  const colour = colourOf(view, player);
  return !MARKS.has(colour) || [...view?.cells ?? [], ...view?.hands?.flat() ?? []]
    .some((name) => name.startsWith(`${colour} `) || /^[xo]\d/.test(name) && name[0] === colour);
}

/** Dots of a die, or its number where it has no face. */
export function drawDie(number, x, y, size) {
  const group = s("g", {class: "die", transform: `translate(${x} ${y})`},
    s("rect", {class: "die-body", x: -size / 2, y: -size / 2, width: size, height: size,
      rx: size / 6}));
  const at = (size / 4) * 1.05;
  const faces = {1: [4], 2: [0, 8], 3: [0, 4, 8], 4: [0, 2, 6, 8], 5: [0, 2, 4, 6, 8],
    6: [0, 2, 3, 5, 6, 8]};
  if (!(number in faces)) group.append(label(String(number), size, size * 0.5, "die-text"));
  for (const place of faces[number] ?? []) {
    group.append(s("circle", {class: "pip", r: size / 11, cx: ((place % 3) - 1) * at,
      cy: (Math.floor(place / 3) - 1) * at}));
  }
  return group;
}

/** Seeds in a heap, as a sunflower has them. */
export function drawSeeds(count, x, y, radius) {
  const group = s("g", {class: "seeds", transform: `translate(${x} ${y})`});
  const shown = Math.min(count, 48);
  const size = Math.min(6, (radius * 0.95) / Math.sqrt(shown + 2));
  for (let seed = 0; seed < shown; seed += 1) {
    const away = Math.min(radius - size, size * 1.75 * Math.sqrt(seed + (shown > 1 ? 0.4 : 0)));
    const turn = seed * 2.39996;
    group.append(s("circle", {class: "seed", r: size, cx: away * Math.cos(turn),
      cy: away * Math.sin(turn)}));
  }
  return group;
}

export function label(text, width, size, kind) {
  const shrunk = Math.min(size, (width / Math.max(1, text.length)) * 1.75);
  return s("text", {class: kind, "font-size": shrunk, "text-anchor": "middle",
    "dominant-baseline": "central"}, text);
}

function below(text, size) {
  const element = label(text, size * 0.9, size * 0.32, "piece-text");
  element.setAttribute("y", size * 0.27);
  return element;
}
