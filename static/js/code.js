// Wrap and Copy on every block of code.
import { say, tell } from "./shell.js";
import { gettext } from "./words.js";
function button(label, icon, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "ib";
  made.ariaLabel = label;
  made.innerHTML = `<svg class="i" aria-hidden="true"><use href="#${icon}"/></svg>`;
  made.addEventListener("click", () => act(made));
  return made;
}

function equip(figure) {
  const wrap = button(gettext("Wrap lines"), "wrap", () => wrap.setAttribute("aria-pressed", figure.classList.toggle("wrap")));
  wrap.setAttribute("aria-pressed", "false");
  const copy = button(gettext("Copy code"), "copy", async () => {
    try {
      await navigator.clipboard.writeText(figure.querySelector("code").textContent);
    } catch {
      return tell(gettext("It could not be copied."));
    }
    const use = copy.querySelector("use");
    use.setAttribute("href", "#check");
    say(gettext("Copied."));
    setTimeout(() => use.setAttribute("href", "#copy"), 1500);
  });
  figure.querySelector("figcaption").append(wrap, ...(navigator.clipboard ? [copy] : []));
}

// All code within something that has been made, or has come.
export function dress(root) {
  for (const figure of root.querySelectorAll("figure.code")) if (!figure.querySelector("button")) equip(figure);
}
