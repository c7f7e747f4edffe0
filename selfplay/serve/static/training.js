// The page Training: how a run does, or several beside each other.

import {follow, get, path, post} from "./api.js";
import {lineChart, short} from "./charts.js";
import {button, h, put} from "./dom.js";
import {panel} from "./parts.js";

const MOST_WORKERS = 6;
const RELOAD_SECONDS = 15;
const CHARTS = [
  ["Loss", (name) => name === "loss/total"],
  ["Policy loss", (name) => name === "loss/policy"],
  ["Value loss", (name) => name === "loss/value"],
  ["Times each position is used", (name) => name === "replay_ratio" || name === "reuse"],
  ["Matches a second", (name) => name === "matches_per_second"],
  ["Simulations a second", (name) => name === "simulations_per_second"],
  ["Age of the data, seconds", (name) => name === "data_age_seconds"],
  ["Learning rate", (name) => name === "learning_rate"],
];

const percent = (share) => `${+(100 * share).toFixed(1)} %`;
const BALANCE = [
  ["Score of the first player", "first_score", percent],
  ["Draws", "draws", percent],
  ["Length, plies", "length", short],
  ["Legal actions a ply", "branching", short],
  ["Decided after this share of the moves", "decided", percent],
  ["Lead changes a match", "lead_changes", short],
];

export async function trainingPage(holder, {about, rest, tell}) {
  if (!about.runs.length) {
    put(holder, h("h1", null, "Training"), h("p", null, "There is no run here yet."));
    return null;
  }
  const wanted = (rest[0] ?? about.default_run ?? about.runs[0].run).split(",");
  const readable = about.runs.filter(({problem}) => !problem);
  const runs = readable.filter(({run}) => wanted.includes(run));
  const shown = runs.length ? runs : readable.slice(0, 1);
  const page = new TrainingPage(holder, about, shown, tell);
  await page.load();
  const stops = shown.map(({run}) => follow(run, {
    status: (status) => page.status(run, status),
    checkpoint: () => page.load(),
  }));
  // Evaluations, ratings and reports are stored without an event.
  const timer = setInterval(() => document.hidden || page.load(), 1000 * RELOAD_SECONDS);
  return () => {
    clearInterval(timer);
    stops.forEach((stop) => stop());
  };
}

class TrainingPage {
  constructor(holder, about, runs, tell) {
    Object.assign(this, {about, runs, tell});
    this.control = about.allow_control;
    this.asked = new Map();
    this.opened = Date.now();
    this.workers = new Map();
    this.workersHolder = h("div");
    this.others = h("div", {class: "charts"});
    this.more = h("details", null, h("summary", null, "More numbers"), this.others);
    this.data = new Map();
    this.states = new Map();
    this.cards = h("div", {class: "cards"});
    this.charts = h("div", {class: "charts"});
    this.balances = h("div");
    this.visitors = h("div");
    const chosen = new Set(runs.map(({run}) => run));
    const boxes = about.runs.map(({run, title, problem}) => {
      if (problem) return h("p", {class: "problem"}, `${title} cannot be read: ${problem}`);
      const box = h("input", {type: "checkbox", checked: chosen.has(run), onchange: () => {
        if (box.checked) chosen.add(run);
        else chosen.delete(run);
        location.hash = `#/training/${encodeURIComponent([...chosen].join(","))}`;
      }});
      return h("label", {class: "check"}, box, title);
    });
    put(holder, h("h1", null, "Training"),
      about.runs.length > 1 && h("fieldset", null, h("legend", null, "Runs"), boxes),
      this.cards, this.charts, this.balances, this.visitors, this.more);
  }

  /** Fetches everything and draws it if it is new; drawing would close what is pointed at. */
  async load() {
    try {
      const found = await Promise.all(this.runs.map(({run}) => Promise.all([
        get(path("runs", run, "training")), get(path("runs", run, "status"))])));
      const results = await get("results");
      const fetched = JSON.stringify([found.map(([data]) => data), results]);
      this.runs.forEach(({run}, i) => this.states.set(run, found[i][1]));
      if (fetched === this.shown) {
        this.drawCards();
        return;
      }
      this.shown = fetched;
      this.runs.forEach(({run}, i) => this.data.set(run, found[i][0]));
      put(this.visitors, visitorCounts(results));
    } catch (error) {
      this.tell(error);
    }
    this.draw();
  }

  status(run, status) {
    this.states.set(run, status);
    this.note(run, status);
    this.drawCards();
    this.drawWorkers();
  }

  /** Keeps how fast each worker plays, for as long as the page is open: the run does not say. */
  note(run, {processes = []}) {
    const seconds = (Date.now() - this.opened) / 1000;
    for (const {role, id, alive, matches_per_second: rate} of processes) {
      if (role !== "worker" || !alive || !Number.isFinite(rate)) continue;
      const key = JSON.stringify([run, id]);
      const line = this.workers.get(key) ?? {run, id, x: [], y: []};
      this.workers.set(key, line);
      line.x.push(seconds);
      line.y.push(rate);
    }
  }

  drawWorkers() {
    const several = this.runs.length > 1;
    const lines = [...this.workers.values()].map(({run, id, x, y}) =>
      ({name: several ? `${run}: ${id}` : id, x, y}));
    const last = (line) => line.y.at(-1);
    const fastest = lines.sort((one, other) => last(other) - last(one)).slice(0, MOST_WORKERS);
    const title = lines.length > MOST_WORKERS
      ? `Matches a second, the ${MOST_WORKERS} fastest workers` : "Matches a second, by worker";
    put(this.workersHolder, lineChart({title, lines: fastest, xLabel: "seconds on this page"}));
  }

  draw() {
    this.drawCards();
    const several = this.runs.length > 1;
    const label = (title, name) => (several ? `${title}: ${name}` : name);
    const made = [this.strength(label), this.ratings(), this.mistakes(label)];
    for (const [title, fits] of CHARTS) {
      made.push(lineChart({title, lines: this.lines((data) =>
        Object.entries(data.series ?? {}).filter(([name]) => fits(name)))}));
    }
    const rest = new Set([...this.data.values()].flatMap((data) => Object.keys(data.series ?? {}))
      .filter((name) => !CHARTS.some(([, fits]) => fits(name))));
    const others = [];
    for (const name of rest) {
      others.push(lineChart({title: name.replaceAll("_", " ").replace("/", ": "),
        lines: this.lines((data) => (data.series[name] ? [[name, data.series[name]]] : []))}));
    }
    const drawn = made.filter(Boolean);
    put(this.charts, drawn.length ? drawn
      : h("p", {class: "quiet-text"}, "Nothing has been measured yet."), this.workersHolder);
    put(this.others, others.filter(Boolean));
    this.more.hidden = !others.some(Boolean);
    this.drawBalance();
  }

  /** What `selfplay balance` has found out about the game of each run. */
  drawBalance() {
    const known = this.runs.map(({run, title}) => [title, this.data.get(run)?.balance])
      .filter(([, report]) => report);
    const drawn = BALANCE.map(([title, key, write]) => lineChart({title, write,
      lines: known.map(([name, report]) => balanceLine(name, report, key))}));
    put(this.balances, known.length > 0 && [
      h("div", {class: "cards"}, known.map(([title, report]) => panel(`Balance of ${title}`,
        h("ul", null, report.verdicts.map((text) => h("li", null, text))),
        h("p", {class: "quiet-text"}, `As of ${report.created.slice(0, 16).replace("T", " ")} UTC, ${
          report.matches.toLocaleString("en")} matches.`)))),
      h("div", {class: "charts"}, drawn.filter(Boolean))]);
  }

  lines(pick) {
    return this.runs.flatMap(({run, title}) => {
      const data = this.data.get(run);
      return data ? pick(data).map(([, {x, y}]) => ({name: title, x, y})) : [];
    });
  }

  strength(label) {
    const lines = [];
    for (const {run, title} of this.runs) {
      const rows = this.data.get(run)?.strength ?? [];
      // Each checkpoint meets another earlier one: they are one line.
      const named = ({opponent}) => (opponent.startsWith("@") ? "an earlier checkpoint" : opponent);
      for (const opponent of new Set(rows.map(named))) {
        lines.push(interval(label(title, `against ${opponent}`),
          rows.filter((row) => named(row) === opponent), "score"));
      }
    }
    return lineChart({title: "Score, with 95 % intervals", lines, range: [0, 1],
      write: (score) => `${Math.round(100 * score)} %`});
  }

  ratings() {
    return lineChart({title: "Rating in Elo, with 95 % intervals", lines: this.runs.map(({run, title}) =>
      interval(title, this.data.get(run)?.ratings ?? [], "rating"))});
  }

  mistakes(label) {
    const lines = [];
    for (const {run, title} of this.runs) {
      const rows = (this.data.get(run)?.mistakes ?? []).filter(({plies}) => plies === "all");
      lines.push(interval(label(title, "with search"), rows, "share"));
      const raw = rows.filter((row) => row.raw_share !== null && row.raw_share !== undefined);
      lines.push({name: label(title, "network alone"), x: raw.map(({update}) => update),
        y: raw.map((row) => row.raw_share)});
    }
    return lineChart({title: "Moves that make the result worse", lines,
      write: (share) => `${+(100 * share).toFixed(1)} %`});
  }

  /** Returns what stops a process: a button, then the question whether that is meant. */
  stopper(run, {role, id, alive, session}) {
    if (!this.control || !alive || !session) return null;
    const state = this.asked.get(session);
    const set = (next) => {
      this.asked.set(session, next);
      this.drawCards();
      this.cards.querySelector(`[aria-label$="${CSS.escape(`${role} ${id}`)}"]`)?.focus();
    };
    if (state === "asked") return "asked to stop";
    if (state !== "sure?") {
      return button("Stop", () => set("sure?"), {class: "quiet", "aria-label": `Stop ${role} ${id}`});
    }
    return [h("span", null, role === "trainer" ? "Save and stop? " : "Stop? "),
      button("Yes", async () => {
        set("asked");
        try {
          await post(path("runs", run, "stop"), {role, id});
        } catch (error) {
          this.tell(error);
          set(null);
        }
      }, {"aria-label": `Yes, stop ${role} ${id}`}),
      button("No", () => set(null), {class: "quiet", "aria-label": `No, let ${role} ${id} go on`})];
  }

  drawCards() {
    put(this.cards, this.runs.map(({run, title}) => {
      const state = this.states.get(run);
      return state && panel(title, facts(state, this.about), diagnosis(this.data.get(run)?.diagnosis),
        problems([...state.problems ?? [], ...this.data.get(run)?.problems ?? []]),
        processes(state, (row) => this.stopper(run, row)));
    }));
  }
}

/** One measure of a balance report over the stages of self-play. */
function balanceLine(name, report, key) {
  const rows = report.samples.filter(({source, [key]: found}) => source === "self-play" && found)
    .map((sample) => ({update: sample.last_checkpoint, value: sample[key].mean,
      low: sample[key].low ?? NaN, high: sample[key].high ?? NaN}));
  return interval(name, rows, "value");
}

function interval(name, rows, key) {
  const sorted = [...rows].sort((one, other) => one.update - other.update);
  const known = sorted.every(({low, high}) => Number.isFinite(low) && Number.isFinite(high));
  return {name, x: sorted.map(({update}) => update), y: sorted.map((row) => row[key]), dots: true,
    low: known ? sorted.map(({low}) => low) : undefined,
    high: known ? sorted.map(({high}) => high) : undefined};
}

function facts(state, {games}) {
  const number = (value) => (value ?? 0).toLocaleString("en");
  const recent = state.recent;
  const game = games.find(({name}) => name === state.game)?.title ?? state.game;
  const rows = [["Game", game], ["Update", number(state.update)],
    ["Matches", number(state.matches)], ["Positions", number(state.positions)],
    ["Each position used", (state.replay_ratio ?? state.reuse)
      ? `${(state.replay_ratio ?? state.reuse).toFixed(2)} times` : null],
    ["Trained", duration(state.elapsed_seconds)],
    ["Newest checkpoint", state.checkpoint === null ? "none yet"
      : `${number(state.checkpoint)}, ${duration(state.checkpoint_age_seconds)} ago`],
    ["Results", recent?.results ? ["first", "draw", "second"].map((key) =>
      `${key} ${Math.round(100 * recent.results[key])} %`).join(", ") : null],
    ["Mean length", recent?.mean_length ? `${recent.mean_length.toFixed(1)} moves` : null]];
  return h("dl", {class: "facts"}, rows.filter(([, value]) => value).map(([name, value]) =>
    [h("dt", null, name), h("dd", null, value)]));
}

/** What `selfplay diagnose` says of a run: the headline, then each problem with what to change. */
function diagnosis(found) {
  return found && [h("p", {class: found.learns === false ? "problem" : null},
    `Diagnosis: ${found.headline}.`),
  found.problems.length > 0 && h("dl", null, found.problems.map(({name, words, advice}) =>
    [h("dt", null, name), h("dd", null, `${words}. To change: ${advice}.`)]))];
}

function problems(texts) {
  if (!texts.length) return h("p", {class: "fine"}, "✓ All is well.");
  return h("ul", {class: "problems"}, texts.map((text) => h("li", null, text)));
}

/** How the agents have done against the visitors of this server; null before the first match. */
function visitorCounts(rows) {
  const played = rows.filter(({score}) => score !== null);
  const share = (value) => `${Math.round(100 * value)} %`;
  return played.length > 0 && panel("Matches against visitors",
    h("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": "Visitors' matches"},
      h("table", null, h("thead", null, h("tr", null, ["Agent", "Won", "Drawn", "Lost",
        "Score, 95 % interval", "Requests"].map((title) => h("th", {scope: "col"}, title)))),
      h("tbody", null, played.map(({agent, wins, draws, losses, score, interval: [low, high],
        requests}) => h("tr", null, h("th", {scope: "row"}, agent),
        [wins, draws, losses, `${share(score)} (${share(low)} to ${share(high)})`,
          requests.toLocaleString("en")].map((value) => h("td", null, value))))))),
    h("p", {class: "quiet-text"}, "Every match that a visitor has finished on this server."));
}

// Title of a column, and what a process says there; a column that nobody fills is left out.
const COLUMNS = [
  ["State", (row) => (row.alive ? row.state ?? "at work" : "silent")],
  ["Checkpoint", (row) => row.checkpoint],
  ["Updates behind", (row) => row.staleness_updates],
  ["Matches/s", (row) => row.matches_per_second && short(row.matches_per_second)],
  ["Positions/s", (row) => row.positions_per_second && short(row.positions_per_second)],
  ["Simulations/s", (row) => row.simulations_per_second && short(row.simulations_per_second)],
  ["Positions to learn from", (row) => row.backlog_positions],
  ["Files to store", (row) => row.queue_files],
  ["Heard", (row) => `${duration(row.seconds_ago)} ago`],
];

function processes(state, stopper) {
  const rows = state.processes ?? [];
  if (!rows.length) return h("p", {class: "quiet-text"}, "No process is at work.");
  const known = (value) => value !== null && value !== undefined;
  const shown = [COLUMNS[0], ["Stop", stopper], ...COLUMNS.slice(1)]
    .filter(([, pick]) => rows.some((row) => known(pick(row))));
  return h("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": "Processes"},
    h("table", null, h("thead", null, h("tr", null, h("th", {scope: "col"}, "Process"),
      shown.map(([title]) => h("th", {scope: "col"}, title)))),
    h("tbody", null, rows.map((row) => h("tr", {class: row.alive ? "" : "silent"},
      h("th", {scope: "row"}, `${row.role} ${row.id}`),
      shown.map(([, pick]) => h("td", null, pick(row) ?? "–")))))));
}

/** Writes seconds as people say them. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
