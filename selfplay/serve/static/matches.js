// The page Matches: what a run has played, match by match and move by move.

import {follow, get, path} from "./api.js";
import {Board, describe, remarks} from "./board.js";
import {valueGraph} from "./charts.js";
import {button, field, h, put, select} from "./dom.js";
import {MatchTree} from "./match.js";
import {ValueBar, drawOverlay, findMistakes, movesTable, percent} from "./overlays.js";
import {gameOf, loadPosition, moveList, panel, resultText, seatRows, stepKeys, stepper}
  from "./parts.js";
import {playerTitle} from "./pieces.js";
import {store} from "./storage.js";

export async function matchesPage(holder, {about, rest, tell}) {
  const [wanted, match, ply] = rest;
  const run = about.runs.find((one) => one.run === wanted) ??
    about.runs.find((one) => one.run === about.default_run) ?? about.runs[0];
  if (!run) {
    put(holder, h("h1", null, "Matches"), h("p", null, "There is no run here yet: start ",
      h("code", null, "selfplay train GAME"), " and serve its folder."));
    return null;
  }
  if (run.problem) {
    put(holder, h("h1", null, "Matches"), h("p", null, `${run.title} cannot be read: ${run.problem}`));
    return null;
  }
  if (match) return new Viewer(holder, about, run, tell).open(match, Number(ply) || 0);
  const list = new List(holder, about, run, tell);
  await list.load();
  const unfollow = follow(run.run, {matches: ({matches}) => list.arrived(matches)});
  return unfollow;
}

const MOST_TRIES = 40;

function link(run, match, ply = 0) {
  return `#/matches/${[run, match, ply].map(encodeURIComponent).join("/")}`;
}

/** What a list calls a match: the name of an evaluation file is too long for a phone. */
function nameOf({kind, match, last_checkpoint: checkpoint}) {
  if (kind !== "evaluation") return match;
  return `evaluation ${checkpoint}: match ${Number(match.split(":").at(-1)) + 1}`;
}

class List {
  constructor(holder, about, run, tell) {
    Object.assign(this, {about, run, tell});
    this.filters = {};
    this.rows = [];
    this.next = null;
    this.fresh = 0;
    this.body = h("tbody");
    this.count = h("p", {class: "quiet-text", "aria-live": "polite"});
    this.more = button("Older matches", () => this.load(this.next));
    this.showNew = button("", () => this.load(), {class: "quiet"});
    this.showNew.hidden = true;
    const runs = select(about.runs.filter(({problem}) => !problem)
      .map(({run: id, title}) => [id, title]), run.run, (id) => {
      location.hash = `#/matches/${encodeURIComponent(id)}`;
    });
    put(holder, h("h1", null, "Matches"),
      about.runs.length > 1 && h("div", {class: "fields"}, field("Run", runs)),
      h("details", {open: matchMedia("(min-width: 700px)").matches}, h("summary", null, "Filter"),
      h("div", {class: "fields filters"}, field("Kind", select([["", "all"],
          ["selfplay", "self-play"], ["evaluation", "evaluation"]], "", (value) => this.filter("kind", value))),
        field("Result", select([["", "all"], ["first", "first player won"],
          ["second", "second player won"], ["draw", "draw"]], "",
        (value) => this.filter("result", value))),
        this.number("From checkpoint", "first_checkpoint"),
        this.number("To checkpoint", "last_checkpoint"),
        this.number("Shortest", "min_plies"), this.number("Longest", "max_plies"),
        this.text("Worker", "worker"), this.text("Opponent", "opponent"))),
      this.showNew,
      h("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": "Matches"},
        h("table", {class: "matches"}, h("thead", null, h("tr", null,
          ["Match", "Moves", "Result", "Checkpoint", "Players", "Time"].map((title) =>
            h("th", {scope: "col"}, title)))), this.body)),
      this.count, this.more);
  }

  number(title, key) {
    const input = h("input", {type: "number", min: "0",
      onchange: () => this.filter(key, input.value)});
    return field(title, input);
  }

  text(title, key) {
    const input = h("input", {type: "text", onchange: () => this.filter(key, input.value.trim())});
    return field(title, input);
  }

  filter(key, value) {
    this.filters[key] = value;
    this.load();
  }

  async load(cursor = null) {
    try {
      const answer = await get(path("runs", this.run.run, "matches"),
        {...this.filters, limit: 50, cursor});
      this.rows = cursor ? [...this.rows, ...answer.matches] : answer.matches;
      this.next = answer.next;
      this.total = answer.total;
      this.fresh = 0;
    } catch (error) {
      this.tell(error);
    }
    this.draw();
  }

  arrived(matches) {
    const fitting = matches.filter((row) => fits(row, this.filters)).length;
    if (!fitting) return;
    this.fresh += fitting;
    this.showNew.hidden = false;
    this.showNew.textContent = `Show ${this.fresh} new match${this.fresh === 1 ? "" : "es"}`;
  }

  draw() {
    this.showNew.hidden = this.fresh === 0;
    this.more.hidden = !this.next;
    const of = this.total === null || this.total === undefined ? ""
      : ` of ${this.total.toLocaleString("en")}`;
    put(this.count, this.rows.length ? `${this.rows.length}${of} matches`
      : "No match fits. A running worker adds them as they finish.");
    put(this.body, this.rows.map((row) => {
      const players = (row.players ?? []).filter(Boolean);
      return h("tr", null,
        h("th", {scope: "row"}, h("a", {href: link(this.run.run, row.match), title: row.match},
          nameOf(row))),
        h("td", null, row.plies), h("td", null, resultText(row.returns), row.truncated && " (cut)"),
        h("td", null, row.last_checkpoint ?? "–"),
        h("td", null, players.length ? [...new Set(players)].join(" – ")
          : row.opponent ?? row.worker ?? "–"),
        h("td", null, row.time ? new Date(row.time).toLocaleString() : "–"));
    }));
  }
}

/** Returns whether a match is one that is looked for; as the server filters them. */
function fits(row, filters) {
  const asked = (key) => filters[key] !== undefined && filters[key] !== "";
  const winner = row.returns[0] === 0 ? "draw" : row.returns[0] > 0 ? "first" : "second";
  return ["kind", "worker", "opponent"].every((key) => !asked(key) || filters[key] === row[key]) &&
    (!asked("result") || filters.result === winner) &&
    (!asked("first_checkpoint") || row.last_checkpoint >= Number(filters.first_checkpoint)) &&
    (!asked("last_checkpoint") || row.last_checkpoint <= Number(filters.last_checkpoint)) &&
    (!asked("min_plies") || row.plies >= Number(filters.min_plies)) &&
    (!asked("max_plies") || row.plies <= Number(filters.max_plies));
}

class Viewer {
  constructor(holder, about, run, tell) {
    Object.assign(this, {holder, about, run, tell});
    this.board = new Board();
    this.bar = new ValueBar();
    this.mode = "policy";
  }

  async open(match, ply) {
    this.match = match;
    this.document = await get(path("runs", this.run.run, "matches", match));
    const {document} = this;
    this.tree = new MatchTree(this.run.game ?? document.game, document.start, loadPosition);
    this.tree.addLine(document.moves, document.outcomes, document.names ?? []);
    this.way = this.tree.path(this.tree.tip);
    this.way.forEach((node, at) => {
      const seen = document.plies?.[at];
      if (this.way[at + 1]) this.way[at + 1].mover = seen?.player ?? null;
    });
    this.values = this.way.map((_, at) => {
      const seen = document.plies?.[at];
      if (!seen) return at === this.way.length - 1 ? document.returns?.[0] ?? null : null;
      if (seen.value === null || seen.value === undefined) return null;
      return seen.player === 0 ? seen.value : -seen.value;
    });
    const players = document.moves.map((_, at) => document.plies?.[at]?.player ?? 0);
    this.mistakes = findMistakes(this.values, players);
    this.build();
    const step = {
      first: () => this.goTo(0),
      back: () => this.goTo(this.tree.current.ply - 1),
      forward: () => this.goTo(this.tree.current.ply + 1),
      last: () => this.goTo(this.way.length - 1),
    };
    put(this.steps, stepper(step));
    const removeKeys = stepKeys(step);
    await this.goTo(Math.min(ply, this.way.length - 1));
    let left = false;
    this.complete(() => left);
    return () => {
      left = true;
      removeKeys();
    };
  }

  /** Asks again until the network's own opinions are there. */
  async complete(isOver) {
    for (let tries = 0; this.document.pending && tries < MOST_TRIES; tries += 1) {
      await new Promise((resolve) => { setTimeout(resolve, 1500); });
      if (isOver()) return;
      const document = await get(path("runs", this.run.run, "matches", this.match))
        .catch(() => this.document);
      if (isOver()) return;
      this.document = document;
      this.drawSurprises();
      this.draw();
    }
  }

  drawSurprises() {
    const plies = this.document.plies ?? [];
    const most = (measure, least) => plies.map((seen, ply) => ({ply, seen, much: measure(seen)}))
      .filter(({much}) => much > least).sort((one, other) => other.much - one.much).slice(0, 5);
    const rows = [
      ...most((seen) => seen?.surprise, 0.1).map(({ply, much}) =>
        [ply, `policy, by ${much.toFixed(2)} nats`]),
      ...most((seen) => Math.abs(seen?.value - seen?.raw_value), 0.25).map(({ply, seen}) =>
        [ply, `score, ${percent(seen.raw_value)} to ${percent(seen.value)}`])];
    put(this.surprises, rows.length > 0 && panel("Where the search surprised the network",
      h("ul", {class: "plain"}, rows.map(([ply, text]) => h("li", null,
        button(`move ${ply + 1}`, () => this.goTo(ply), {class: "link"}), `: ${text}`)))));
  }

  build() {
    const {document} = this;
    this.steps = h("div");
    this.seats = h("div");
    this.status = h("p", {class: "status", "aria-live": "polite"});
    this.remarks = h("p", {class: "remarks"});
    this.list = h("div");
    this.thoughts = h("div");
    this.graph = h("div");
    const modes = select([["policy", "Policy"], ["raw_policy", "Network"], ["none", "Nothing"]],
      this.mode, (mode) => {
        this.mode = mode;
        this.draw();
      });
    const game = gameOf(this.about, this.run.game ?? document.game)?.title ?? document.game;
    const facts = [["Game", game],
      ["Result", resultText(document.returns)], ["Moves", document.moves.length],
      ["Worker", document.worker], ["Checkpoints", checkpoints(document)],
      ["Opponent", document.opponent]].filter(([, value]) => value || value === 0);
    this.surprises = h("div");
    this.drawSurprises();
    put(this.holder, h("div", {class: "columns"},
      h("div", {class: "board-column"},
        h("p", null, h("a", {href: `#/matches/${encodeURIComponent(this.run.run)}`},
          "← All matches")),
        h("h1", {class: "match-title"}, this.match), this.seats, this.board.element,
        this.bar.element, this.steps, this.graph),
      h("div", {class: "side"}, this.status, this.remarks, panel("Moves", this.list),
        panel("What the search found", field("Show on the board", modes), this.thoughts),
        this.surprises,
        panel("About", h("dl", {class: "facts"}, facts.map(([name, value]) =>
          [h("dt", null, name), h("dd", null, value)])),
        button("Analyse this position", () => {
          store("selfplay-analyse", this.tree.line());
          window.location.hash = `#/analysis/${encodeURIComponent(this.tree.game)}`;
        })))));
  }

  async goTo(ply) {
    const node = this.way[ply];
    if (!node) return;
    try {
      await this.tree.goTo(node);
      history.replaceState(null, "", link(this.run.run, this.match, ply));
    } catch (error) {
      this.tell(error);
    }
    this.draw();
  }

  draw() {
    const node = this.tree.current;
    const {doc} = node;
    if (!doc) return;
    this.board.show(doc, {interactive: false});
    put(this.status, describe(doc));
    put(this.remarks, (doc.last ? `${playerTitle(doc.view, doc.last.player)} played ${
      doc.last.name}. ` : "") + remarks(doc).join(" "));
    const names = this.document.players ?? [];
    put(this.seats, seatRows(doc, [names[0] ?? "", names[1] ?? ""]));
    put(this.list, moveList(this.way, node, (target) => this.goTo(target.ply),
      {mistakes: this.mistakes}));
    this.bar.show(this.values[node.ply] ?? null, doc.view);
    put(this.graph, this.values.filter((value) => value !== null).length > 1 && valueGraph({
      values: this.values, ply: node.ply, mistakes: this.mistakes,
      titles: [playerTitle(doc.view, 0)], onGoTo: (ply) => this.goTo(ply)}));
    const seen = this.document.plies?.[node.ply];
    const analysis = seen?.policy && {legal: doc.legal.map(({action}) => action),
      action: this.document.moves[node.ply], policy: seen.policy, raw_policy: seen.raw_policy,
      visits: null, simulations: seen.simulations};
    drawOverlay(this.board, analysis, this.mode);
    put(this.thoughts, analysis ? [h("p", {class: "quiet-text"},
      `${seen.simulations ?? "?"} simulations`, seen.exploratory && ", then a random move",
      Number.isFinite(seen.value) && `; score of ${playerTitle(doc.view, seen.player)} ${
        percent(seen.value)}`,
      Number.isFinite(seen.raw_value) && `, by the network alone ${percent(seen.raw_value)}`),
    movesTable(analysis, doc, {limit: 8})] : h("p", {class: "quiet-text"},
      doc.over ? "The match is over here." : "Nothing was recorded here."));
  }
}

function checkpoints({first_checkpoint: first, last_checkpoint: last}) {
  if (last === null || last === undefined) return null;
  return first === last ? String(last) : `${first} to ${last}`;
}
