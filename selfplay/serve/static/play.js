// The page Play: a match between people and agents.

import {get, post} from "./api.js";
import {Board, describe, remarks} from "./board.js";
import {valueGraph} from "./charts.js";
import {button, field, h, put, select} from "./dom.js";
import {MatchTree, fromDocument, toDocument, valuesOf} from "./match.js";
import {MODES, ValueBar, drawOverlay, findMistakes, movesTable} from "./overlays.js";
import {ANYBODY, LineShower, agentsOf, asMove, asking, gameOf, gameSelect, loadPosition, moveInput,
  moveList, openFile, panel, saveFile, saysProblem, seatRows} from "./parts.js";
import {playerTitle} from "./pieces.js";
import {dropMatch, freshName, keepMatch, recall, store, unfinishedMatches} from "./storage.js";

const PERSON = "person";
const MOST_OFFERED = 3;

export async function playPage(holder, {about, rest, tell}) {
  const game = gameOf(about, rest[0]);
  if (saysProblem(holder, about, game, "play")) return null;
  const agents = await agentsOf(game);
  const page = new PlayPage(holder, game, agents, tell, about);
  await page.begin();
  return () => page.stop();
}

class PlayPage {
  constructor(holder, game, agents, tell, about) {
    Object.assign(this, {holder, game, agents, tell, about});
    const stored = recall(`selfplay-seats-${game.game}`) ?? {};
    const known = (who) => who === PERSON || agents.some(({agent}) => agent === who);
    const opponent = game.shared ? ANYBODY : game.default_agent ?? agents[0]?.agent ?? PERSON;
    this.who = (stored.who ?? [PERSON, opponent]).map((who) => (known(who) ? who : opponent));
    this.limit = stored.limit ?? {kind: "default", number: 1};
    this.mode = stored.mode ?? "none";
    this.randomMoves = 0;
    this.thinking = null;
    this.held = false;
    this.resigned = null;
    this.hint = null;
    this.answeredBy = null;
    this.reported = false;
    this.board = new Board({onPlay: (action) => this.personMoves(action)});
    this.shower = new LineShower(this.board);
    this.bar = new ValueBar();
    this.build();
  }

  build() {
    this.status = h("p", {class: "status", "aria-live": "polite"});
    this.remarks = h("p", {class: "remarks", "aria-live": "polite"});
    this.seats = h("div");
    this.list = h("div");
    this.thoughts = h("div");
    this.graph = h("div");
    this.resume = h("div", {class: "row"});
    this.controls = {
      undo: button("Undo", () => this.undo()),
      redo: button("Redo", () => this.redo()),
      hint: button("Hint", () => this.askHint()),
      resign: button("Resign", () => this.resign()),
      go: button("Pause", () => this.hold(!this.held), {class: "quiet"}),
    };
    const {undo, redo, hint, resign, go} = this.controls;
    this.overlayMode = select(MODES, this.mode, (mode) => {
      this.mode = mode;
      this.remember();
      this.draw();
    });
    put(this.holder,
      h("div", {class: "columns"},
        h("div", {class: "board-column"}, gameSelect(this.about, this.game, "play"), this.seats,
          this.board.element, this.bar.element),
        h("div", {class: "side"},
          this.status, this.remarks,
          h("div", {class: "row controls"}, button("New match", () => this.newMatch(),
            {class: "primary"}), undo, redo, hint, resign, go), this.resume,
          panel("Moves", this.list, moveInput((moves) => this.type(moves))),
          this.settings(),
          panel("What the agent thinks", field("Show on the board", this.overlayMode),
            this.thoughts, this.graph),
          this.filePanel(),
          this.game.hidden_information && h("p", {class: "note"}, this.game.hidden_information))));
  }

  settings() {
    const pairs = [[PERSON, "You"], ...this.agents.map(({agent, title}) => [agent, title])];
    const seat = (player) => select(pairs, this.who[player], (who) => {
      this.who[player] = who;
      this.remember();
      this.draw();
      this.agentMoves();
    });
    const number = h("input", {type: "number", min: "1", step: "any", value: this.limit.number,
      onchange: () => {
        this.limit.number = Math.max(0.05, Number(number.value) || 1);
        this.remember();
      }});
    const amount = field("How many", number);
    amount.hidden = this.limit.kind === "default";
    const kind = select([["default", "by default"], ["simulations", "simulations"],
      ["seconds", "seconds a move"]], this.limit.kind, (value) => {
      this.limit.kind = value;
      this.limit.number = value === "simulations" ? 100 : 1;
      number.value = this.limit.number;
      amount.hidden = value === "default";
      this.remember();
    });
    const random = h("input", {type: "number", min: "0", max: "50", value: "0", onchange: () => {
      this.randomMoves = Math.max(0, Math.min(50, Math.floor(Number(random.value) || 0)));
    }});
    this.seatFields = [0, 1].map((player) => h("div", null, field(`Player ${player}`,
      seat(player))));
    return panel("Players", h("div", {class: "fields"}, this.seatFields,
      field("Agents think", kind), amount, field("Random opening moves", random)));
  }

  filePanel() {
    return panel("Match", h("div", {class: "row"},
      button("Save to a file", () => saveFile(`${this.game.title}-${this.tree.tip.ply}.json`
        .replaceAll(/[^\w.-]+/g, "_"), this.document())),
      openFile("Open a file", (text) => this.open(text)),
      button("Analyse", () => this.analyse())));
  }

  document() {
    const players = this.who.map((who) => (who === PERSON ? "a person"
      : who === ANYBODY ? this.answeredBy ?? "an agent" : who));
    return toDocument(this.tree, {players, resigned: this.resigned, name: this.game.name});
  }

  remember() {
    store(`selfplay-seats-${this.game.game}`, {who: this.who, limit: this.limit, mode: this.mode});
  }

  async begin() {
    const left = unfinishedMatches(this.game.game).slice(0, MOST_OFFERED);
    put(this.resume, left.map(({name, document}) => {
      const count = document.moves.length;
      const offer = button(`Go on with the match of ${count} move${count === 1 ? "" : "s"}, ${
        new Date(document.time).toLocaleString()}`, async () => {
        offer.remove();
        await this.open(JSON.stringify(document));
        // From now on it is kept as the match of this tab.
        dropMatch(this.game.game, name);
      }, {class: "quiet"});
      return offer;
    }));
    await this.newMatch();
  }

  async newMatch() {
    this.stop();
    const seed = Math.floor(Math.random() * 2 ** 31);
    this.tree = new MatchTree(this.game.game, {seed}, loadPosition);
    this.name = freshName();
    this.resigned = null;
    this.reported = false;
    this.held = false;
    put(this.status, "Preparing the board …");
    await this.doing(async () => {
      await this.tree.see();
      for (let count = 0; count < this.randomMoves; count += 1) {
        const {legal} = this.tree.current.doc;
        if (!legal.length) break;
        await this.tree.play(legal[Math.floor(Math.random() * legal.length)].action);
      }
    });
    this.agentMoves();
  }

  async open(text) {
    this.stop();
    await this.doing(async () => {
      const saved = fromDocument(text);
      const name = this.game.name ?? this.game.game;
      if (saved.game !== name) {
        throw new Error(`This is a match of ${saved.game}, but the game here is ${name}.`);
      }
      const tree = new MatchTree(this.game.game, saved.start ?? {seed: 0}, loadPosition);
      tree.addLine(saved.moves, saved.outcomes, saved.names);
      await tree.goTo(tree.tip);
      this.tree = tree;
      this.name = freshName();
      this.resigned = null;
      // Who played its moves is not known here.
      this.reported = true;
      this.held = true;
    });
  }

  analyse() {
    store("selfplay-analyse", this.tree.line());
    location.hash = `#/analysis/${encodeURIComponent(this.game.game)}`;
  }

  /** Does something that may fail, then draws the position that there is. */
  async doing(work) {
    this.status.dataset.state = "waiting";
    try {
      await work();
    } catch (error) {
      this.tell(error);
      if (!this.tree.current.doc) put(this.status, "The position could not be loaded.");
    }
    this.draw();
  }

  get doc() {
    return this.tree.current.doc;
  }

  get over() {
    return !this.doc || this.doc.over || this.resigned !== null;
  }

  isPerson(player) {
    return this.who[player] === PERSON;
  }

  async personMoves(move) {
    if (this.thinking || this.over) return;
    this.held = false;
    const hadFocus = this.board.element.contains(document.activeElement);
    await this.doing(() => this.tree.play(move));
    if (hadFocus) this.board.keepFocus();
    await this.agentMoves();
    if (hadFocus) this.board.keepFocus();
  }

  async type(moves) {
    for (const move of moves) {
      if (this.over) break;
      await this.personMoves(asMove(move, this.doc));
    }
  }

  async agentMoves() {
    while (!this.over && !this.thinking && !this.held && !this.isPerson(this.doc.player)) {
      const node = this.tree.current;
      const answer = await this.think("move", this.who[this.doc.player]);
      if (!answer) return;
      node.analysis = answer.analysis;
      this.answeredBy = answer.agent;
      if (answer.resigned) {
        this.resigned = this.doc.player;
        this.draw();
        return;
      }
      await this.doing(() => this.tree.goTo(this.tree.add(node, answer.position)));
    }
    this.draw();
  }

  /** Asks an agent; answers null if it was stopped or failed. */
  async think(what, agent) {
    const controller = new AbortController();
    this.thinking = controller;
    this.draw();
    const watching = setInterval(() => this.sayWhyItTakes(controller), 1500);
    try {
      return await post(what, {...this.tree.line(), ...asking(agent), ...this.budget()},
        controller.signal);
    } catch (error) {
      if (error.name !== "AbortError") {
        this.held = true;
        this.tell(error);
      }
      return null;
    } finally {
      clearInterval(watching);
      if (this.thinking === controller) {
        this.thinking = null;
        this.draw();
      }
    }
  }

  async sayWhyItTakes(controller) {
    const health = await get("health").catch(() => null);
    if (!health || this.thinking !== controller) return;
    const why = [];
    if (health.compiling) {
      why.push("A search of this size is being compiled, which takes some seconds the first time.");
    }
    if (health.waiting_searches > 1) why.push(`${health.waiting_searches} searches are waiting.`);
    put(this.remarks, why.join(" "));
  }

  /** Tells the server how a match between a person and an agent has ended, once. */
  report() {
    const seat = this.who.findIndex((who) => who !== PERSON);
    const people = this.who.filter((who) => who === PERSON).length;
    if (!this.over || this.reported || people !== 1 || this.answeredBy === null) return;
    this.reported = true;
    post("results", {...this.tree.line(), agent: this.answeredBy, seat, resigned: this.resigned})
      .catch(() => {});
  }

  budget() {
    const {kind, number} = this.limit;
    if (kind === "simulations") return {simulations: Math.round(number)};
    return kind === "seconds" ? {milliseconds: Math.round(1000 * number)} : {};
  }

  stop() {
    this.thinking?.abort();
    this.thinking = null;
  }

  hold(held) {
    this.held = held;
    if (held) this.stop();
    this.draw();
    if (!held) this.agentMoves();
  }

  /** Goes back to the last position in which a person was to move, or by one if nobody is one. */
  async undo() {
    this.stop();
    this.resigned = null;
    let node = this.tree.current.parent;
    while (node?.parent && this.who.includes(PERSON) && !this.isPerson(node.doc?.player ?? 0)) {
      node = node.parent;
    }
    this.held = true;
    if (node) await this.doing(() => this.tree.goTo(node));
  }

  async redo() {
    this.stop();
    let node = this.tree.next;
    while (node && this.tree.path(this.tree.tip).includes(node)) {
      const target = node;
      await this.doing(() => this.tree.goTo(target));
      if (this.over || !this.who.includes(PERSON) || this.isPerson(this.doc.player)) break;
      node = this.tree.next;
    }
    this.held = true;
    this.draw();
  }

  async askHint() {
    const node = this.tree.current;
    const able = this.agents.filter(({analyses}) => analyses);
    const wanted = this.who.find((who) => able.some(({agent}) => agent === who));
    const agent = wanted ?? able[0]?.agent;
    if (!agent) {
      this.tell(new Error("No agent here gives hints."));
      return;
    }
    const analysis = await this.think("analyze", agent);
    if (!analysis) return;
    node.analysis = analysis;
    this.hint = node;
    this.draw();
  }

  resign() {
    const player = this.isPerson(this.doc.player) ? this.doc.player : 1 - this.doc.player;
    this.stop();
    this.resigned = player;
    this.draw();
  }

  draw() {
    const node = this.tree.current;
    const {doc} = node;
    if (!doc) return;
    const mine = !this.over && this.isPerson(doc.player);
    this.board.show(doc, {interactive: mine && !this.thinking});
    this.drawStatus(doc, mine);
    put(this.seats, seatRows(doc, this.who.map((who) => (who === PERSON ? "you"
      : this.agents.find(({agent}) => agent === who)?.title ?? who))));
    const way = this.tree.path(this.tree.tip);
    const values = valuesOf(way);
    const movers = way.slice(0, -1).map((one) => one.doc?.player ?? 0);
    const mistakes = findMistakes(values, movers);
    put(this.list, moveList(way, node, (target) => {
      this.stop();
      this.held = true;
      this.doing(() => this.tree.goTo(target));
    }, {mistakes}));
    this.list.querySelector("[aria-current]")?.scrollIntoView?.({block: "nearest"});
    this.drawThoughts(node, doc);
    const known = valuesOf(this.tree.path()).filter((value) => value !== null);
    this.bar.show(known.length ? known.at(-1) : null, doc.view);
    put(this.graph, values.filter((value) => value !== null).length > 1 && valueGraph({
      values, ply: node.ply, mistakes, titles: [playerTitle(doc.view, 0)],
      onGoTo: (ply) => {
        this.stop();
        this.held = true;
        this.doing(() => this.tree.goTo(way[ply]));
      }}));
    this.drawControls(mine);
    if (this.tree.tip.ply) keepMatch(this.game.game, this.name, this.document());
    this.report();
  }

  drawStatus(doc, mine) {
    const title = (player) => playerTitle(doc.view, player);
    let text = describe(doc);
    if (this.resigned !== null && !doc.over) {
      text = `${title(this.resigned)} resigns: ${title(1 - this.resigned)} wins`;
    } else if (this.thinking) {
      text = `${title(doc.player)} is thinking …`;
    } else if (mine) {
      text = this.who.every((who) => who === PERSON) ? `${title(doc.player)} to move`
        : `Your move, ${title(doc.player)}`;
    }
    put(this.status, text);
    this.status.dataset.state = this.over ? "over" : this.thinking ? "thinking"
      : mine ? "yours" : "waiting";
    this.status.classList.toggle("over", this.over);
    const said = remarks(doc);
    if (doc.last) said.unshift(`${title(doc.last.player)} played ${doc.last.name}.`);
    put(this.remarks, said.join(" "));
  }

  drawThoughts(node, doc) {
    const own = node.analysis && doc ? node : null;
    const before = node.parent?.analysis ? node.parent : null;
    const shown = own && (this.mode !== "none" || this.hint === node) ? own : before;
    const overlay = own ? (this.mode === "none" && this.hint === node ? "policy" : this.mode)
      : "none";
    const draw = () => drawOverlay(this.board, own?.analysis, overlay);
    draw();
    if (!shown) {
      put(this.thoughts, h("p", {class: "quiet-text"},
        "Ask for a hint, or play against an agent that searches."));
      return;
    }
    const caption = shown === own ? "Here" : `Before ${node.name}`;
    put(this.thoughts, h("p", {class: "quiet-text"}, caption, shown.analysis.simulations
      ? `, after ${shown.analysis.simulations} simulations` : ""),
    movesTable(shown.analysis, shown.doc, {limit: 6, onHover: (move) => {
      this.shower.stop();
      if (move && shown === own) {
        this.shower.show(this.tree.line(node), move.line.length ? move.line : [move]);
      } else {
        draw();
      }
    }}));
  }

  drawControls(mine) {
    const {undo, redo, hint, resign, go} = this.controls;
    undo.disabled = !this.tree.canUndo;
    redo.disabled = !this.tree.canRedo;
    hint.disabled = !mine || this.thinking !== null;
    resign.disabled = this.over || !this.who.includes(PERSON);
    const agentsTurn = !this.over && !this.isPerson(this.doc.player);
    go.hidden = !(agentsTurn && (this.held || !this.who.includes(PERSON)));
    go.textContent = this.held ? "Let it move" : "Pause";
    this.seatFields.forEach((element, player) => {
      element.querySelector("label").textContent = playerTitle(this.doc.view, player);
    });
  }
}
