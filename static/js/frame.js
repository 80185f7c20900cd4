// Every page with the sidebar: its list follows what happens in other tabs and on other devices.
import { call } from "./api.js";
import { refreshSide } from "./side.js";
import { Socket } from "./socket.js";
import "./keys.js";
import "./manage.js";

const TOGETHER = 200; // milliseconds; what is told in one go is read in one go
const main = document.getElementById("main");
let timer;

const told = new Socket({
  opened() {},
  event(event) {
    clearTimeout(timer);
    timer = setTimeout(() => refreshSide(main.dataset.conversation), TOGETHER);
    document.dispatchEvent(new CustomEvent("told", { detail: event }));
  },
});
told.start("/ws/me/");

// A hit may lie on another branch: make that one current, then go there.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-select]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  await call("POST", `/api/messages/${link.dataset.select}/select/`, {}).catch(() => {});
  location.assign(link.href);
});
