// Where every cell of a view lies, for each kind of board. Units are those of the SVG's viewBox.

const UNIT = 60;
const ROOT3 = Math.sqrt(3);

/** Returns {width, height, cells: [{index, x, y, w, h, shape}], labels: [{x, y, text}], ...}.
 *  x, y is the middle of a cell; cells that are void are left out. `hands` of a view lie above
 *  (player 1) and below (player 0) the board, dice below it. */
export function layOut(view) {
  const margin = {
    left: view.row_labels.length ? 26 : 8, right: 8,
    top: view.column_labels.length ? 26 : 8,
    bottom: view.column_labels.length > view.columns ? 26 : 8,
  };
  const board = KINDS[view.kind](view);
  const strips = view.hands.length ? UNIT : 0;
  const below = strips || view.dice.length ? UNIT + 4 : 0;
  const dx = margin.left, dy = margin.top + (strips ? UNIT + 4 : 0);
  for (const cell of board.cells) {
    cell.x += dx;
    cell.y += dy;
  }
  const width = board.width + margin.left + margin.right;
  const boardBottom = dy + board.height;
  const height = boardBottom + margin.bottom + below;
  const count = view.rows * view.columns;
  const extras = [];
  let index = count;
  view.hands.forEach((hand, player) => {
    const step = Math.min(UNIT, (board.width * (player ? 1 : 0.6)) / Math.max(1, hand.length));
    hand.forEach((_, place) => {
      const y = player ? UNIT / 2 : height - UNIT / 2;
      extras.push({index, x: dx + UNIT / 2 + place * step, y, w: Math.min(UNIT, step) - 6,
        h: UNIT - 6, shape: "hand", player});
      index += 1;
    });
  });
  view.dice.forEach((_, place) => {
    const x = width - margin.right - UNIT / 2 - (view.dice.length - 1 - place) * 54;
    extras.push({index, x, y: height - UNIT / 2, w: 44, h: 44, shape: "die"});
    index += 1;
  });
  const labels = labelsOf(view, board, dx, dy, boardBottom);
  return {...board, width, height, cells: [...board.cells, ...extras], labels, dx, dy};
}

function labelsOf(view, board, dx, dy, bottom) {
  const labels = [];
  view.row_labels.forEach((text, row) => {
    if (!board.rowY) return;
    labels.push({x: dx - 15 + (board.rowX?.[row] ?? 0), y: dy + board.rowY[row], text});
  });
  view.column_labels.forEach((text, place) => {
    const lower = place >= view.columns;
    const y = lower ? bottom + 14 : dy - 14;
    labels.push({x: dx + board.columnX[place % view.columns], y, text});
  });
  return labels;
}

function grid(view, shape, w = UNIT, h = UNIT) {
  const cells = [];
  view.cells.forEach((name, index) => {
    if (index >= view.rows * view.columns || name === "void") return;
    const row = Math.floor(index / view.columns), column = index % view.columns;
    cells.push({index, row, column, x: (column + 0.5) * w, y: (row + 0.5) * h, w, h, shape});
  });
  return {
    cells, width: view.columns * w, height: view.rows * h, unit: Math.min(w, h),
    rowY: steps(view.rows, h), columnX: steps(view.columns, w),
  };
}

function steps(count, size) {
  return Array.from({length: count}, (_, place) => (place + 0.5) * size);
}

function hexes(view) {
  const w = UNIT, side = UNIT / ROOT3, rise = 1.5 * side;
  const cells = [];
  let right = 0;
  view.cells.forEach((name, index) => {
    const row = Math.floor(index / view.columns), column = index % view.columns;
    if (name === "void") return;
    const x = (column + 0.5 + (row % 2) / 2) * w, y = side + row * rise;
    right = Math.max(right, x + w / 2);
    cells.push({index, row, column, x, y, w, h: 2 * side, shape: "hex", side});
  });
  const rowX = Array.from({length: view.rows}, (_, row) =>
    Math.min(...cells.filter((cell) => cell.row === row).map((cell) => cell.x - w / 2), right));
  return {
    cells, rowX, width: right, height: 2 * side + (view.rows - 1) * rise, unit: w * 0.94,
    rowY: Array.from({length: view.rows}, (_, row) => side + row * rise),
    columnX: steps(view.columns, w),
  };
}

function edges(view) {
  const thick = 18, wide = 66;
  const size = (place) => (place % 2 ? wide : thick);
  const middle = (place) =>
    Math.floor((place + 1) / 2) * thick + Math.floor(place / 2) * wide + size(place) / 2;
  const cells = view.cells.map((_, index) => {
    const row = Math.floor(index / view.columns), column = index % view.columns;
    const shape = row % 2 ? (column % 2 ? "box" : "edge") : column % 2 ? "edge" : "dot";
    return {index, row, column, x: middle(column), y: middle(row), w: size(column), h: size(row),
      shape};
  });
  const total = (count) => middle(count - 1) + size(count - 1) / 2;
  return {
    cells, width: total(view.columns), height: total(view.rows), unit: wide * 0.8,
    rowY: Array.from({length: view.rows}, (_, row) => middle(row)),
    columnX: Array.from({length: view.columns}, (_, column) => middle(column)),
  };
}

function pits(view) {
  const board = grid(view, "pit", 74, 92);
  for (const cell of board.cells) {
    const other = (cell.row ? -1 : 1) * view.columns;
    if (view.rows === 2 && view.cells[cell.index + other] === "void") {
      cell.y = board.height / 2;
      cell.h = board.height;
      cell.shape = "store";
    }
  }
  return {...board, rowY: null};
}

function wedges(view) {
  const board = grid(view, "wedge", 46, 214);
  for (const cell of board.cells) cell.tray = view.shaded.includes(cell.index);
  return {...board, unit: 40, rowY: null};
}

const KINDS = {
  square: (view) => grid(view, "square"),
  lines: (view) => grid(view, "point", 46, 46),
  hex: hexes,
  edges,
  pits,
  wedges,
};
