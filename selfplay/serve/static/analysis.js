// The page Analysis: move freely, let one or two agents search deeper and deeper.

import {post} from "./api.js";
import {Board, describe, remarks} from "./board.js";
import {valueGraph} from "./charts.js";
import {button, field, h, put, select} from "./dom.js";
import {MatchTree, valuesOf} from "./match.js";
import {MODES, ValueBar, drawOverlay, drawTree, findMistakes, movesTable}
  from "./overlays.js";
import {ANYBODY, LineShower, agentsOf, asMove, asking, gameOf, gameSelect, loadPosition, moveInput,
  moveList, panel, saysProblem, seatRows, stepKeys, stepper} from "./parts.js";
import {playerTitle} from "./pieces.js";
import {recall, store} from "./storage.js";

const FIRST_SIMULATIONS = 16;

export async function analysisPage(holder, {about, rest, tell}) {
  const game = gameOf(about, rest[0]);
  if (saysProblem(holder, about, game, "analysis")) return null;
  const agents = (await agentsOf(game)).filter(({analyses}) => analyses);
  const page = new AnalysisPage(holder, game, agents, tell, about);
  await page.begin();
  return () => page.leave();
}

class AnalysisPage {
  constructor(holder, game, agents, tell, about) {
    Object.assign(this, {holder, game, agents, tell, about});
    this.mode = "policy";
    this.treeDepth = 0;
    this.board = new Board({onPlay: (action) => this.move(action)});
    this.shower = new LineShower(this.board);
    this.bar = new ValueBar();
    this.columns = [];
    this.build();
  }

  build() {
    this.status = h("p", {class: "status", "aria-live": "polite"});
    this.remarks = h("p", {class: "remarks"});
    this.seats = h("div");
    this.list = h("div");
    this.branches = h("div");
    this.graph = h("div");
    const step = {
      first: () => this.goTo(this.tree.root),
      back: () => this.goTo(this.tree.current.parent),
      forward: () => this.goTo(this.tree.next),
      last: () => this.goTo(this.tree.tip),
    };
    this.removeKeys = stepKeys(step);
    const modes = select(MODES, this.mode, (mode) => {
      this.mode = mode;
      this.draw();
    });
    const depth = select([["0", "no tree"], ["1", "1 move deep"], ["2", "2 moves deep"],
      ["3", "3 moves deep"], ["4", "4 moves deep"]], "0", (value) => {
      this.treeDepth = Number(value);
      this.columns.forEach((column) => column.again());
    });
    this.main = new AgentColumn(this, this.game.shared ? ANYBODY : this.game.default_agent ?? this.agents[0]?.agent);
    this.columns = [this.main];
    this.columnsHolder = h("div", {class: "agents"}, this.main.element);
    this.compare = button("Compare with another", () => this.toggleSecond(), {class: "quiet"});
    put(this.holder, h("div", {class: "columns"},
      h("div", {class: "board-column"}, gameSelect(this.about, this.game, "analysis"), this.seats,
        this.board.element, this.bar.element, stepper(step), this.graph),
      h("div", {class: "side"}, this.status, this.remarks,
        panel("Moves", this.list, this.branches,
          moveInput((moves) => this.type(moves))),
        panel("Search", h("div", {class: "fields"}, field("Show on the board", modes),
          field("Draw", depth)), this.agents.length ? this.columnsHolder
          : h("p", null, "No agent here analyses positions."),
        this.agents.length > 1 && this.compare))));
  }

  toggleSecond() {
    if (this.columns.length === 2) {
      this.columns.pop().stop();
      this.compare.textContent = "Compare with another";
    } else {
      const other = this.agents.find(({agent}) => agent !== this.main.agent) ?? this.agents[0];
      const second = new AgentColumn(this, other.agent);
      this.columns.push(second);
      this.compare.textContent = "Show one only";
      if (this.main.running) second.start();
    }
    put(this.columnsHolder, this.columns.map(({element}) => element));
    this.columnsHolder.classList.toggle("two", this.columns.length === 2);
  }

  async begin() {
    const brought = recall("selfplay-analyse");
    store("selfplay-analyse", null);
    const fits = brought?.game === this.game.game;
    this.tree = new MatchTree(this.game.game, fits ? brought.start : {seed: 0}, loadPosition);
    if (fits) this.tree.addLine(brought.moves, brought.outcomes);
    await this.goTo(this.tree.tip);
  }

  leave() {
    this.removeKeys();
    this.columns.forEach((column) => column.stop());
  }

  async goTo(node) {
    if (!node) return;
    try {
      await this.tree.goTo(node);
    } catch (error) {
      this.tell(error);
    }
    this.draw();
    this.columns.forEach((column) => column.again());
  }

  async move(move) {
    try {
      await this.tree.play(move);
    } catch (error) {
      this.tell(error);
      this.draw();
      return false;
    }
    this.draw();
    this.columns.forEach((column) => column.again());
    return true;
  }

  async type(moves) {
    for (const text of moves) {
      if (!(await this.move(asMove(text, this.tree.current.doc)))) break;
    }
  }

  draw() {
    const node = this.tree.current;
    const {doc} = node;
    if (!doc) return;
    this.board.show(doc);
    put(this.status, describe(doc));
    put(this.remarks, remarks(doc).join(" "));
    put(this.seats, seatRows(doc, ["", ""]));
    const way = this.tree.path(this.tree.tip);
    const values = valuesOf(way);
    const mistakes = findMistakes(values, way.slice(0, -1).map((one) => one.doc?.player ?? 0));
    put(this.list, moveList(way, node, (target) => this.goTo(target), {mistakes}));
    const others = node.children.filter((child) => !way.includes(child));
    put(this.branches, others.length > 0 && h("p", {class: "branches"}, "Also tried here: ",
      others.map((child) => button(child.name, () => this.goTo(child), {class: "quiet"}))));
    put(this.graph, values.filter((value) => value !== null).length > 1 && valueGraph({values,
      ply: node.ply, mistakes, titles: [playerTitle(doc.view, 0)],
      onGoTo: (ply) => this.goTo(way[ply])}));
    this.columns.forEach((column) => column.draw());
    this.drawOverlay();
  }

  drawOverlay(move = null) {
    const node = this.tree.current;
    this.shower.stop();
    if (move) this.shower.show(this.tree.line(node), move.line.length ? move.line : [move]);
    else drawOverlay(this.board, node.analysis, this.mode);
    const values = valuesOf([node]);
    this.bar.show(values[0], node.doc.view);
  }
}

/** One agent that searches the position of the page deeper and deeper. */
class AgentColumn {
  constructor(page, agent) {
    this.page = page;
    this.agent = agent;
    this.running = false;
    this.found = new WeakMap();
    this.body = h("div", {"aria-live": "off"});
    this.toggle = button("Search", () => (this.running ? this.stop() : this.start()),
      {class: "primary"});
    const choice = select(page.agents.map(({agent: id, title}) => [id, title]), agent, (id) => {
      this.agent = id;
      this.found = new WeakMap();
      if (this === page.main) page.tree.path(page.tree.tip).forEach((node) => {
        node.analysis = null;
      });
      this.draw();
      this.again();
    });
    this.element = h("div", {class: "agent"}, h("div", {class: "row"}, field("Agent", choice),
      this.toggle), this.body);
  }

  start() {
    this.running = true;
    this.toggle.textContent = "Stop";
    this.again();
  }

  stop() {
    this.running = false;
    this.toggle.textContent = "Search";
    this.controller?.abort();
    this.draw();
  }

  /** Searches the position that is shown now, from few simulations to many. */
  async again() {
    if (!this.running) return;
    this.controller?.abort();
    const controller = new AbortController();
    this.controller = controller;
    const {page} = this;
    const node = page.tree.current;
    if (node.doc.over) {
      this.draw();
      return;
    }
    const most = page.game.limits?.simulations ?? 4096;
    const known = this.found.get(node);
    let simulations = Math.max(FIRST_SIMULATIONS, 2 * (known?.simulations ?? 0));
    if (known && page.treeDepth && !known.tree) simulations = known.simulations;
    while (simulations <= most && !controller.signal.aborted) {
      let analysis;
      try {
        analysis = await post("analyze", {...page.tree.line(node), ...asking(this.agent),
          simulations, tree: page.treeDepth}, controller.signal);
      } catch (error) {
        if (error.name !== "AbortError") {
          this.stop();
          page.tell(error);
        }
        return;
      }
      if (controller.signal.aborted) return;
      this.found.set(node, analysis);
      if (this === page.main) {
        node.analysis = analysis;
        page.draw();
      } else {
        this.draw();
      }
      // An agent that cannot search deeper has said all.
      if (analysis.simulations !== null && analysis.simulations < simulations) break;
      simulations = 2 * simulations;
    }
    if (!controller.signal.aborted) {
      this.running = false;
      this.toggle.textContent = "Search";
      this.draw();
    }
  }

  draw() {
    const {page} = this;
    const node = page.tree?.current;
    const analysis = node && this.found.get(node);
    if (!analysis) {
      put(this.body, h("p", {class: "quiet-text"}, node?.doc?.over
        ? "The match is over here." : this.running ? "Searching …" : "Not searched yet."));
      return;
    }
    const time = analysis.milliseconds ? `, ${(analysis.milliseconds / 1000).toFixed(1)} s` : "";
    put(this.body,
      h("p", {class: "quiet-text"}, `${analysis.simulations ?? "?"} simulations${time}`,
        this.running && " …"),
      movesTable(analysis, node.doc, {
        onHover: (move) => page.drawOverlay(move),
        onPlay: (action) => page.move(action),
      }),
      page.treeDepth > 0 && analysis.tree && drawTree(analysis.tree));
  }
}
