// The API, as the page asks it. A no comes as an exception with the server's own sentence.
import { gettext } from "./words.js";

const MAY_BE_STALE = [401, 403]; // what the server says to a token of an earlier session
const SIGNED_OUT = "not_authenticated";
export const SIGNED_OUT_WORDS = gettext("You were signed out. Reload the page to sign in.");

const token = (page) => page.querySelector("meta[name=csrf-token]")?.content;
const user = (page) => page.getElementById("main")?.dataset.user;
let csrf = token(document);

export class Refused extends Error {
  constructor({ message, ...error }) {
    super(message);
    Object.assign(this, error); // `code` and its details
  }
}

async function once(method, path, body, headers, signal) {
  try {
    return await fetch(path, {
      method,
      signal,
      headers: { "X-CSRFToken": csrf, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused({ code: "unreachable", message: gettext("The site cannot be reached.") });
  }
}

export async function request(method, path, body, headers = {}, signal = undefined) {
  let response = await once(method, path, body, headers, signal);
  if (method !== "GET" && MAY_BE_STALE.includes(response.status) && await isSame()) response = await once(method, path, body, headers, signal);
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  if (answer?.error?.code === SIGNED_OUT) answer.error.message = SIGNED_OUT_WORDS; // the server's speaks of programs too
  throw new Refused(answer?.error ?? { code: "unavailable", message: gettext("Something went wrong here. Try again.") });
}

export async function call(method, path, body, headers) {
  const response = await request(method, path, body, headers);
  return response.status === 204 ? null : response.json();
}

// The events of an event stream, one by one, as they come.
export async function* stream(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const data = frame.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

// The page's own address anew, as a document.
export async function fresh(path) {
  const response = await fetch(path, { redirect: "manual", cache: "no-store" });
  if (response.type === "opaqueredirect") throw new Refused({ code: SIGNED_OUT, message: SIGNED_OUT_WORDS });
  if (!response.ok) throw new Refused({ code: String(response.status), message: gettext("The page cannot be read.") });
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

// Whether whom the page was made for is signed in, perhaps anew; then what it sends goes by the present session from now on.
export async function isSame() {
  let page;
  try {
    page = await fresh("/");
  } catch {
    return false;
  }
  if (user(page) !== user(document)) return false;
  csrf = token(page);
  return true;
}
