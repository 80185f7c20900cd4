// The API, as the page asks it. A no comes as an exception with the server's own sentence.
import { gettext } from "./words.js";
const csrf = document.querySelector("meta[name=csrf-token]")?.content;

export class Refused extends Error {
  constructor({ message, ...error }) {
    super(message);
    Object.assign(this, error); // `code` and its details
  }
}

export async function request(method, path, body, headers = {}, signal = undefined) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: { "X-CSRFToken": csrf, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused({ code: "unreachable", message: gettext("The site cannot be reached.") });
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
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
  const response = await fetch(path, { redirect: "error", cache: "no-store" });
  if (!response.ok) throw new Refused({ code: String(response.status), message: gettext("The page cannot be read.") });
  return new DOMParser().parseFromString(await response.text(), "text/html");
}
