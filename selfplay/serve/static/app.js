// Starts the page: navigation, theme, messages, and which page is shown.

import {ApiError, get, takeToken} from "./api.js";
import {button, h, put} from "./dom.js";
import {analysisPage} from "./analysis.js";
import {matchesPage} from "./matches.js";
import {playPage} from "./play.js";
import {trainingPage} from "./training.js";

const PAGES = {
  play: ["Play", playPage],
  analysis: ["Analysis", analysisPage],
  matches: ["Matches", matchesPage],
  training: ["Training", trainingPage],
};
const main = document.querySelector("main");
const alerts = document.querySelector(".alerts");
const nav = document.querySelector("nav");
let about = null;
let leave = null;
let shown = 0;

/** Tells of an error until it is closed; anything but an error of the API is thrown on. */
export function tell(error) {
  if (error?.name === "AbortError") return;
  // A fault of the page itself: somebody will want to know where.
  if (!(error instanceof ApiError) && error.constructor !== Error) console.error(error);
  const hint = error instanceof ApiError ? error.hint : "";
  put(alerts, h("div", {class: "alert"}, h("div", null, h("strong", null, error.message), hint &&
    h("p", null, hint)), button("Close", () => put(alerts), {class: "quiet"})));
}

function route() {
  try {
    const [page, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
    return Object.hasOwn(PAGES, page) ? [page, ...rest] : ["play"];
  } catch {
    // Not an address that this page wrote.
    return ["play"];
  }
}

async function show() {
  const [name, ...rest] = route();
  const turn = (shown += 1);
  leave?.();
  leave = null;
  put(alerts);
  for (const link of nav.children) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const [title, page] = PAGES[name];
  document.title = `${title} · ${about.title || "selfplay"}`;
  const holder = h("div", {class: `page page-${name}`});
  put(main, holder);
  try {
    const left = await page(holder, {about, rest, tell});
    if (turn === shown) leave = left ?? null;
    else left?.();
  } catch (error) {
    if (turn === shown) tell(error);
  }
}

function theme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const control = document.querySelector(".theme");
  const set = (value) => {
    root.dataset.theme = value;
    control.textContent = value === "dark" ? "☀" : "☾";
    control.setAttribute("aria-label", value === "dark" ? "Use light colours" : "Use dark colours");
  };
  set(localStorage.getItem("selfplay-theme") ?? (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", () => {
    if (!localStorage.getItem("selfplay-theme")) set(dark.matches ? "dark" : "light");
  });
  control.addEventListener("click", () => {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("selfplay-theme", next);
    set(next);
  });
}

async function start() {
  theme();
  takeToken();
  try {
    about = await get("about");
  } catch (error) {
    tell(error);
    put(main, h("p", null, "The server could not be reached."));
    return;
  }
  const pages = Object.entries(PAGES).filter(([name]) =>
    about.runs.length || (name !== "matches" && name !== "training"));
  put(nav, pages.map(([name, [title]]) =>
    h("a", {href: `#/${name}`, "data-page": name}, title)));
  addEventListener("hashchange", show);
  await show();
}

start();
