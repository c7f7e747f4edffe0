// The server, as documented in docs/web-protocol.md.

const ROOT = "api/v1";
let token = null;

/** Takes a token from the address, if there is one, and hides it there. */
export function takeToken() {
  const found = /[#&?]token=([^&]+)/.exec(location.hash);
  if (found) {
    token = decodeURIComponent(found[1]);
    sessionStorage.setItem("selfplay-token", token);
    history.replaceState(null, "", location.pathname + location.hash.replace(found[0], ""));
  } else {
    token = sessionStorage.getItem("selfplay-token");
  }
}

/** What the server refused, in words. */
export class ApiError extends Error {
  constructor(status, {error, hint = "", place = null}) {
    super(error);
    this.status = status;
    this.hint = hint;
    this.place = place;
  }
}

/** A path under the root, with its parts encoded. */
export function path(...parts) {
  return parts.map(encodeURIComponent).join("/");
}

export async function get(where, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null);
  const text = given.length ? `?${new URLSearchParams(given)}` : "";
  return request(`${where}${text}`, {signal});
}

export async function post(where, body, signal = undefined) {
  return request(where, {method: "POST", body: JSON.stringify(body), signal,
    headers: {"Content-Type": "application/json"}});
}

async function request(where, options, tries = 3) {
  const headers = {...options.headers, ...(token ? {Authorization: `Bearer ${token}`} : {})};
  let response;
  try {
    response = await fetch(`${ROOT}/${where}`, {...options, headers});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, {error: "The server does not answer",
      hint: "Is selfplay serve still running? Try again; nothing is lost."});
  }
  if ((response.status === 429 || response.status === 503) && tries > 0) {
    const seconds = Math.min(10, Number(response.headers.get("Retry-After")) || 1);
    await new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });
    return request(where, options, tries - 1);
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    answer = {error: `The server answers ${response.status}`};
  }
  if (!response.ok) throw new ApiError(response.status, answer);
  return answer;
}

/** Follows a run: calls handlers[event](data) until the returned function is called. */
export function follow(run, handlers) {
  const controller = new AbortController();
  (async () => {
    let wait = 1;
    while (!controller.signal.aborted) {
      try {
        const headers = token ? {Authorization: `Bearer ${token}`} : {};
        const response = await fetch(`${ROOT}/${path("runs", run, "events")}`,
          {headers, signal: controller.signal});
        if (!response.ok || !response.body) throw new Error("no stream");
        wait = 1;
        await readEvents(response.body, handlers);
      } catch {
        if (controller.signal.aborted) return;
      }
      await new Promise((resolve) => { setTimeout(resolve, 1000 * wait); });
      wait = Math.min(30, 2 * wait);
    }
  })();
  return () => controller.abort();
}

async function readEvents(body, handlers) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    buffer += value.replaceAll("\r\n", "\n");
    const parts = buffer.split("\n\n");
    buffer = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n");
      const pick = (key) => lines.filter((line) => line.startsWith(`${key}:`))
        .map((line) => line.slice(key.length + 1).trim()).join("\n");
      const data = pick("data");
      if (data) handlers[pick("event") || "message"]?.(JSON.parse(data));
    }
  }
}
