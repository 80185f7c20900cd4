// Shortcuts of one key, where nothing is being written, and the sheet that lists them. They can be turned off there.
const sheet = document.getElementById("keys");
const toggle = document.getElementById("keys-on");
const press = (selector) => () => {
  const found = [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility({ visibilityProperty: true })).at(-1);
  found?.focus();
  found?.click();
};
const focus = (id) => () => {
  const side = document.getElementById("side");
  const place = document.getElementById(id);
  if (side.contains(place) && !place.checkVisibility()) side.showPopover();
  place?.focus();
};
const acts = {
  "/": focus("q"),
  m: focus("text"),
  n: () => location.assign("/"),
  e: press(".ask [data-act=edit]"),
  r: press(".answer [data-act=again]"),
  c: press(".answer [data-act=copy]"),
};

toggle.checked = localStorage.getItem("keys") !== "off";
toggle.addEventListener("change", () => localStorage.setItem("keys", toggle.checked ? "on" : "off"));
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (target.matches("input:not([type=radio],[type=checkbox]),textarea,select") || document.querySelector("dialog:modal,[role=menu]:popover-open")) return;
  const act = key === "?" ? () => sheet.showModal() : toggle.checked && acts[key];
  if (!act) return;
  event.preventDefault();
  act();
});
document.querySelector("[data-keys]")?.addEventListener("click", () => sheet.showModal());
