// A match as a tree of positions: moves, undo, redo, branches, files. Documents come from `load`.

/** A node: {parent, children, ply, doc, analysis, action, outcome, name}. */
export class MatchTree {
  /** load(line) answers a position document for {game, start, moves, outcomes}. */
  constructor(game, start, load) {
    this.game = game;
    this.start = start;
    this.load = load;
    this.root = makeNode(null, null, null, null);
    this.current = this.root;
    this.tip = this.root;
  }

  /** Returns the nodes from the start to `node`. */
  path(node = this.current) {
    const nodes = [];
    for (let at = node; at; at = at.parent) nodes.unshift(at);
    return nodes;
  }

  /** Returns the line to a node, as the server takes it. */
  line(node = this.current) {
    const moved = this.path(node).slice(1);
    const outcomes = moved.map(({outcome}) => outcome);
    // An outcome that is not known yet, and all after it, are for the server to draw.
    const drawn = outcomes.findIndex((outcome) => outcome === null);
    return {game: this.game, start: this.start, moves: moved.map(({action}) => action),
      outcomes: drawn < 0 ? outcomes : outcomes.slice(0, drawn)};
  }

  /** Returns the position document of a node, asked for once. */
  async see(node = this.current) {
    if (!node.doc) take(node, await this.load(this.line(node)));
    return node.doc;
  }

  /** Plays an action, or a move as text; returns the new node, which becomes the current one. */
  async play(move) {
    const from = this.current;
    const known = from.children.find(({action}) => action === move);
    if (known) return this.goTo(known);
    const line = this.line(from);
    const doc = await this.load({...line, moves: [...line.moves, move]});
    return this.goTo(this.add(from, doc));
  }

  /** Adds the position after a move, as the server answered it. */
  add(from, doc) {
    const action = doc.moves.at(-1), outcome = doc.outcomes?.at(-1) ?? -1;
    const known = from.children.find((one) => one.action === action && one.outcome === outcome);
    const node = known ?? makeNode(from, action, outcome, doc.last?.name ?? String(action));
    take(node, doc);
    if (!known) from.children.push(node);
    return node;
  }

  /** Adds a whole line of a recorded match below the start, without documents. */
  addLine(moves, outcomes = [], names = []) {
    let node = this.root;
    moves.forEach((action, ply) => {
      const child = makeNode(node, action, outcomes[ply] ?? -1, names[ply] ?? null);
      node.children.push(child);
      node = child;
    });
    this.tip = node;
    return node;
  }

  async goTo(node) {
    this.current = node;
    if (!this.path(this.tip).includes(node)) {
      this.tip = node;
      while (this.tip.children.length) this.tip = this.tip.children[0];
    }
    await this.see(node);
    return node;
  }

  get canUndo() {
    return this.current.parent !== null;
  }

  get canRedo() {
    return this.current !== this.tip;
  }

  /** Returns the next node on the way to the tip. */
  get next() {
    const way = this.path(this.tip);
    return way[way.indexOf(this.current) + 1] ?? null;
  }
}

function makeNode(parent, action, outcome, name) {
  return {parent, children: [], ply: parent ? parent.ply + 1 : 0, doc: null, analysis: null,
    action, outcome, name};
}

function take(node, doc) {
  node.doc = doc;
  if (!node.parent) return;
  node.outcome = doc.outcomes?.at(-1) ?? -1;
  node.name = doc.last?.name ?? node.name;
}

/** Returns a match document, to be saved. */
export function toDocument(tree, {players, resigned = null, name = null}) {
  const nodes = tree.path(tree.tip);
  const moved = nodes.slice(1);
  const end = tree.tip.doc;
  const finished = Boolean(end?.over);
  const returns = finished ? end.returns : resigned === null ? null
    : resigned === 0 ? [-1, 1] : [1, -1];
  return {
    format: "selfplay-match",
    version: 1,
    game: name ?? tree.game,
    fingerprint: null,
    start: tree.start,
    moves: moved.map(({action}) => action),
    outcomes: moved.map(({outcome}) => outcome ?? -1),
    names: moved.map(({name}) => name),
    players,
    returns,
    ending: finished ? "finished" : resigned === null ? "left" : "resigned",
    time: new Date().toISOString(),
    plies: nodes.slice(0, -1).map((node) => thought(node)),
  };
}

function thought(node) {
  const {analysis, doc} = node;
  if (!doc) return null;
  if (!analysis) return {player: doc.player};
  return {player: doc.player, value: analysis.value, raw_value: analysis.raw_value ?? null,
    simulations: analysis.simulations, policy: analysis.policy,
    raw_policy: analysis.raw_policy ?? null, exploratory: false, surprise: null};
}

/** Reads a match document from a file; throws an Error in words. */
export function fromDocument(text) {
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Error("This file is not JSON, so it is no saved match.");
  }
  if (document?.format !== "selfplay-match" || !Array.isArray(document.moves)) {
    throw new Error("This file is no match of selfplay.");
  }
  if (document.version > 1) throw new Error("A newer selfplay wrote this file.");
  return document;
}

/** Returns the values for player 0 at every node of a path; null where not known. */
export function valuesOf(nodes) {
  return nodes.map(({doc, analysis}) => {
    if (doc?.over) return doc.returns[0];
    const value = analysis?.value;
    if (value === null || value === undefined || !doc) return null;
    return doc.player === 0 ? value : -value;
  });
}
