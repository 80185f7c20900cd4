// The composer covers the end of the page: pages are shorter by it, and what is edited in the thread is kept above it.
// Only while that is done, as a browser would also bring the caret of the composer itself up there, and the page with it.
const PAGING = ["PageDown", "PageUp", " "];
const covered = (is) => document.documentElement.classList.toggle("covered", is);
const isEdited = (target) => target.matches("#thread textarea");

addEventListener("keydown", ({ key, target }) => covered(isEdited(target) || (PAGING.includes(key) && !target.matches("input,textarea,select"))));
addEventListener("beforeinput", ({ target }) => covered(isEdited(target))); // also of keyboards that tell no keys
for (const over of ["keyup", "pointerdown"]) addEventListener(over, () => covered(false));
