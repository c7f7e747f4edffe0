// What the browser keeps: settings, and matches that were left. Each match has a key of its own, so
// that two tabs never write over each other's.

const MOST_MATCHES = 8;

export function recall(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

export function store(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // No room or no permission: the match goes on without a copy.
  }
}

/** Returns a text that no other match or visitor has. */
export function freshName() {
  return Array.from(crypto.getRandomValues(new Uint32Array(3)), (part) => part.toString(36)).join("");
}

/** Returns the name by which the server knows this browser, the same every time. */
export function visitor() {
  const known = recall("selfplay-visitor");
  if (known) return known;
  const made = freshName();
  store("selfplay-visitor", made);
  return made;
}

function prefix(game) {
  return `selfplay-match-${game}/`;
}

/** Keeps a match document under a name; one that has ended is dropped. */
export function keepMatch(game, name, document) {
  if (document.ending === "left") store(prefix(game) + name, document);
  else dropMatch(game, name);
  for (const {name: old} of unfinishedMatches(game).slice(MOST_MATCHES)) dropMatch(game, old);
}

export function dropMatch(game, name) {
  try {
    localStorage.removeItem(prefix(game) + name);
  } catch {
    // No permission: nothing was kept either.
  }
}

/** Returns the matches of a game that were left, of every tab, newest first: {name, document}. */
export function unfinishedMatches(game) {
  let keys = [];
  try {
    keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix(game)));
  } catch {
    // No permission.
  }
  return keys.map((key) => ({name: key.slice(prefix(game).length), document: recall(key)}))
    .filter(({document}) => Array.isArray(document?.moves) && document.moves.length)
    .sort((one, other) => String(other.document.time).localeCompare(String(one.document.time)));
}
