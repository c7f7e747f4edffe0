// Small helpers to make elements. Text is always set as text, never parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Makes an HTML element: h("button", {class: "quiet", onclick: f}, "text", otherElement). */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an SVG element likewise. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Replaces what an element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  return fill(element, null, children);
}

let counter = 0;

/** Returns an id that no other element has. */
export function freshId(stem) {
  counter += 1;
  return `${stem}-${counter}`;
}

/** A field with its label: returns the wrapper; `control` keeps its listeners. */
export function field(label, control) {
  control.id ||= freshId("field");
  return h("div", {class: "field"}, h("label", {for: control.id}, label), control);
}

/** A select of [value, text] pairs. */
export function select(pairs, chosen, onchange) {
  const element = h("select", {onchange: () => onchange?.(element.value)},
    pairs.map(([value, text]) => h("option", {value, selected: value === chosen}, text)));
  return element;
}

/** A button. */
export function button(text, onclick, attributes) {
  return h("button", {type: "button", onclick, ...attributes}, text);
}
