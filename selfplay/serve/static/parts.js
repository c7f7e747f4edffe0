// Pieces of pages that several pages share.

import {get, path, post} from "./api.js";
import {button, h, put, s, select} from "./dom.js";
import {colourOf, disc, isDisc, mark, swatch} from "./pieces.js";
import {drawLine, seats} from "./overlays.js";
import {visitor} from "./storage.js";

/** Asks for a position document. */
export function loadPosition(line) {
  return post("position", line);
}

/** Stands for whoever the server chooses, where several agents share the visitors. */
export const ANYBODY = "";

/** Names an agent in a request. */
export function asking(agent) {
  return agent === ANYBODY ? {visitor: visitor()} : {agent};
}

/** Returns the agents of a game, the default one first. */
export async function agentsOf({game, shared, default_agent: first}) {
  const agents = await get(path("games", game, "agents"));
  if (shared) return [{agent: ANYBODY, title: "The server's choice", analyses: true}, ...agents];
  const listed = agents.find(({agent}) => agent === first);
  if (listed) return [listed, ...agents.filter((one) => one !== listed)];
  // A run by its name plays with whatever checkpoint is its newest.
  return first ? [{agent: first, title: `${first}, newest`, analyses: true}, ...agents] : agents;
}

/** The game that a page is about: from its address, else the default; null if there is none. */
export function gameOf(about, wanted) {
  return about.games.find(({game}) => game === wanted) ??
    about.games.find(({game}) => game === about.default_game) ?? about.games[0] ?? null;
}

/** Says on a page why its game cannot be played; false if it can. */
export function saysProblem(holder, about, game, page) {
  if (game && !game.problem) return false;
  put(holder, game ? gameSelect(about, game, page) : h("h1", null, "No game yet"),
    h("div", {class: "problems"}, h("p", null, game ? `This game cannot be loaded: ${game.problem}`
      : "The server waits for its first run. Load this page again when training has begun.")));
  return true;
}

/** A select of games; nothing where there is only one. */
export function gameSelect(about, game, page) {
  if (about.games.length < 2) return h("h1", null, game.title);
  const pairs = about.games.map(({game: id, title, problem}) =>
    [id, problem ? `${title} (cannot be loaded)` : title]);
  const control = select(pairs, game.game, (id) => {
    location.hash = `#/${page}/${encodeURIComponent(id)}`;
  });
  control.setAttribute("aria-label", "Game");
  control.classList.add("title-select");
  return h("h1", {class: "with-select"}, control);
}

/** Seats of a position. */
export function seatRows(doc, names) {
  return h("div", {class: "seats"}, seats(doc, names, (view, player) => swatch(view, player)));
}

/** The moves of a line as buttons; onGoTo(node). */
export function moveList(nodes, current, onGoTo, {mistakes = []} = {}) {
  const view = current.doc?.view ?? null;
  const wrong = new Map(mistakes.map((one) => [one.ply, one]));
  return h("ol", {class: "move-list", "aria-label": "Moves so far"}, nodes.slice(1).map((node) => {
    const mover = node.parent.doc?.player ?? node.mover ?? null;
    const bad = wrong.get(node.ply - 1);
    const roll = node.doc?.last?.outcome_name;
    return h("li", null, h("button", {type: "button", class: `move-link${bad ? " bad" : ""}`,
      "aria-current": node === current ? "step" : null, onclick: () => onGoTo(node),
      title: bad ? `lost ${Math.round(50 * bad.loss)} % of expected score` : null},
    h("span", {class: "number"}, node.ply), mover !== null && tinyMark(view, mover), node.name ?? "…",
    roll && h("span", {class: "roll"}, ` ${roll}`), bad && " !"));
  }));
}

function tinyMark(view, player) {
  const colour = colourOf(view, player);
  return s("svg", {viewBox: "-10 -10 20 20", class: "tiny", "aria-hidden": "true"},
    isDisc(view, player) ? disc(colour, 9) : mark(colour, 24));
}

/** Buttons to step through a line. */
export function stepper({first, back, forward, last}) {
  return h("div", {class: "stepper", role: "group", "aria-label": "Step through the match"},
    button("«", first, {"aria-label": "To the start"}),
    button("‹", back, {"aria-label": "One move back"}),
    button("›", forward, {"aria-label": "One move forward"}),
    button("»", last, {"aria-label": "To the end"}));
}

/** Lets the keys j, k (or Home, End) step where nothing else takes them; returns a remover. */
export function stepKeys({first, back, forward, last}) {
  const keys = {k: back, j: forward, Home: first, End: last};
  const listen = (event) => {
    if (event.target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey) return;
    if (event.key in keys) {
      event.preventDefault();
      keys[event.key]();
    }
  };
  addEventListener("keydown", listen);
  return () => removeEventListener("keydown", listen);
}

/** A field to type or paste moves: onMoves(list of texts). */
export function moveInput(onMoves) {
  const input = h("input", {type: "text", autocomplete: "off", spellcheck: "false",
    placeholder: "Type a move, or paste several", "aria-label": "Moves as text"});
  return h("form", {class: "row", onsubmit: (event) => {
    event.preventDefault();
    const moves = input.value.trim().split(/\s+/).filter(Boolean);
    input.value = "";
    if (moves.length) onMoves(moves);
  }}, input, h("button", {type: "submit"}, "Enter"));
}

/** Returns an action number for what is a bare number or #number, else the text. */
export function asMove(text, doc) {
  const number = /^#(\d+)$/.exec(text);
  if (number) return Number(number[1]);
  const named = doc?.legal.find(({name}) => name.toLowerCase() === text.toLowerCase());
  return named ? named.action : text;
}

/** Draws expected lines over a board: where later moves are seen only their positions can say. */
export class LineShower {
  constructor(board) {
    this.board = board;
    this.turn = 0;
  }

  stop() {
    this.turn += 1;
  }

  /** Shows `steps`, a variation of an analysis of the position at the end of `line`. */
  async show(line, steps) {
    const turn = (this.turn += 1);
    drawLine(this.board, steps);
    // Whoever only passes over a row asks nothing.
    await new Promise((resolve) => { setTimeout(resolve, 120); });
    for (let last = 1; last < steps.length; last += 1) {
      if (turn !== this.turn) return;
      if (!steps[last].cells) {
        const way = steps.slice(0, last + 1);
        try {
          const doc = await loadPosition({...line,
            moves: [...line.moves, ...way.map(({action}) => action)],
            outcomes: [...line.outcomes, ...way.map(({outcome}) => outcome ?? -1)]});
          steps[last].cells = doc.last?.cells ?? [];
        } catch {
          return;
        }
      }
      if (turn === this.turn) drawLine(this.board, steps.slice(0, last + 1));
    }
  }
}

/** Offers a document as a file. */
export function saveFile(name, document_) {
  const blob = new Blob([JSON.stringify(document_, null, 1)], {type: "application/json"});
  const link = h("a", {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A button that opens a file and gives its text on. */
export function openFile(text, onText) {
  const input = h("input", {type: "file", accept: ".json,application/json", class:
    "visually-hidden", tabindex: "-1", "aria-label": text, onchange: async () => {
    const [file] = input.files;
    input.value = "";
    if (file) onText(await file.text());
  }});
  return [input, button(text, () => input.click())];
}

/** Replaces the content of an element and returns it. */
export function panel(title, ...children) {
  return h("section", {class: "panel", "aria-label": title}, h("h2", null, title), children);
}

/** Who won, for tables: by returns. */
export function resultText(returns) {
  if (!returns) return "unfinished";
  if (returns[0] === 0) return "draw";
  return `${returns[0] > 0 ? "first" : "second"} player won`;
}

