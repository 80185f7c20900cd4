// The list, the purse and the header's figures, taken anew from the server when something has changed.
import { fresh } from "./api.js";

let running = null, again = false;
let late = null; // for which conversation something was left as it was, since it was in use

document.addEventListener("toggle", () => {
  if (late !== null) refreshSide(late);
  late = null;
}, true);

export function refreshSide(conversation) {
  if (running) again = true;
  running ??= refresh(conversation).finally(() => {
    running = null;
    if (again) {
      again = false;
      refreshSide(conversation);
    }
  });
  return running;
}

async function refresh(conversation) {
  let page;
  try {
    page = await fresh(`/side/?c=${conversation ?? ""}`);
  } catch {
    return; // what is shown stays; the next change brings it up to date
  }
  for (const part of page.querySelectorAll("[data-part]")) {
    for (const own of document.querySelectorAll(`[data-part="${part.dataset.part}"]`)) {
      if (own.innerHTML === part.innerHTML) continue;
      if (own.querySelector("form:focus-within,[aria-expanded]")) late = conversation ?? "";
      else replace(own, part);
    }
  }
}

const stops = (root) => [...root.querySelectorAll("a,button")];

// What has the focus is found again by what it leads to; where it is gone, what has come in its place takes it.
function replace(own, part) {
  const focused = own.contains(document.activeElement) ? document.activeElement : null;
  const place = stops(own).indexOf(focused);
  own.replaceChildren(...part.cloneNode(true).childNodes);
  const { id } = focused?.dataset ?? {};
  if (!focused) return;
  const again = own.querySelector(id ? `[data-id="${id}"]` : `[href="${focused.getAttribute("href")}"]`);
  (again ?? stops(own)[place] ?? stops(own).at(-1))?.focus();
}
