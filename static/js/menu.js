// One menu for the whole page, at the button that asks for it. Arrows move, Escape closes and gives the focus back.
const menu = document.getElementById("choices");
let anchor;

export function choose(button, label, items) {
  anchor = button;
  menu.ariaLabel = label;
  menu.replaceChildren(...items.map(entry));
  // One popover closes another that it does not stand in, such as the sidebar of a phone, with the button in it.
  (button.closest("[popover]") ?? document.body).append(menu);
  menu.showPopover();
  button.setAttribute("aria-expanded", "true");
  place();
  menu.firstElementChild.focus();
}

function entry({ label, act, href, hint, bad }) {
  const made = document.createElement(href ? "a" : "button");
  if (href) Object.assign(made, { href, download: "" });
  else made.type = "button";
  made.role = "menuitem";
  made.tabIndex = -1;
  made.textContent = label;
  if (bad) made.className = "bad";
  made.addEventListener("click", () => {
    menu.hidePopover();
    act?.();
  });
  if (hint) {
    const words = document.createElement("span");
    words.className = "small soft";
    words.textContent = "…";
    hint.then((text) => {
      words.textContent = text;
      if (words.checkVisibility()) place(); // which it makes wider
    });
    made.append(words);
  }
  return made;
}

// Beside its button, and inside the window.
function place() {
  const at = anchor.getBoundingClientRect(), own = menu.getBoundingClientRect();
  const below = at.bottom + own.height + 8 < innerHeight;
  menu.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - own.height - 4)}px`;
  menu.style.left = `${Math.max(8, Math.min(at.right - own.width, innerWidth - own.width - 8))}px`;
}

menu.addEventListener("keydown", (event) => {
  const all = [...menu.children];
  const here = all.indexOf(document.activeElement);
  const there = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: -1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (there === undefined) return;
  event.preventDefault();
  all.at(there % all.length).focus();
});
// The browser does that only where no other popover is open.
menu.addEventListener("beforetoggle", ({ newState }) => {
  if (newState === "closed" && menu.contains(document.activeElement)) anchor?.focus();
});
menu.addEventListener("toggle", ({ newState }) => {
  if (newState !== "closed") return;
  anchor?.removeAttribute("aria-expanded");
});
addEventListener("resize", () => { if (menu.matches(":popover-open")) place(); });
