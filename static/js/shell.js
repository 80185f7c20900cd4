// What every part of the page may use: the status region, the toast, the title, and what a new chat begins with.
import { gettext } from "./words.js";
const SHOWN = 10000; // milliseconds
const status = document.getElementById("status");
const toast = document.getElementById("toast");
let timer;
let came; // where the focus was before it went to the toast

toast.addEventListener("focusin", ({ relatedTarget }) => { if (!toast.contains(relatedTarget)) came = relatedTarget; });

export const say = (sentence) => { status.textContent = sentence; };

// A sentence that anyone sees, with one thing to do about it; it stays while it has the focus or the pointer.
export function tell(sentence, label, act) {
  clearTimeout(timer);
  const button = toast.querySelector("button");
  toast.querySelector("p").textContent = sentence;
  button.hidden = !act;
  button.textContent = label ?? "";
  button.onclick = () => {
    hide();
    act();
  };
  if (!toast.matches(":popover-open")) toast.showPopover();
  say(act ? `${sentence} ${gettext("%(label)s is at the end of the page.", { label })}` : sentence);
  timer = setTimeout(function later() {
    if (toast.matches(":hover,:focus-within")) timer = setTimeout(later, SHOWN);
    else hide();
  }, SHOWN);
}

function hide() {
  const held = toast.contains(document.activeElement);
  if (toast.matches(":popover-open")) toast.hidePopover();
  if (held) (came?.isConnected ? came : document.getElementById("text"))?.focus();
}

// Told on the page that comes next.
export function tellThere(path, message) {
  sessionStorage.setItem("tell", JSON.stringify(message));
  location.assign(path);
}

export function toldHere() {
  const message = sessionStorage.getItem("tell");
  sessionStorage.removeItem("tell");
  return message && JSON.parse(message);
}

export function title(words) {
  document.getElementById("title").textContent = words;
  document.title = `${words} · ${gettext("Company chat")}`;
}

// What a conversation that is not begun yet will have.
let chosen = {};
export function settings(more) {
  if (more) chosen = { ...chosen, ...more };
  return chosen;
}
