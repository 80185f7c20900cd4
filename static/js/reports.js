// Exports in the background: each that is not done says how far it is, and turns into a download when it is.
import { gettext } from "./words.js";
const POLL = 1000; // milliseconds
const PAUSE = 150; // milliseconds without a key, after which it asks whom they mean
const status = document.getElementById("status");

const READY = (name) => gettext("%(name)s is ready.", { name });
const ENDED = (name) => gettext("%(name)s ended without a file.", { name });
const count = (n) => n.toLocaleString("en");
const part = (item, name) => item.querySelector(`[data-part="${name}"]`);

function words(run, began) {
  if (run.state === "waiting") return gettext("Waits for a worker");
  if (run.records === null) return gettext("Counting the records");
  const said = gettext("%(done)s of %(total)s records", { done: count(run.records_done), total: count(run.records) });
  const seconds = (Date.now() - began.at) / 1000;
  const pace = (run.records_done - began.done) / seconds;
  if (seconds < 3 || pace <= 0) return said;
  return gettext("%(said)s · about %(seconds)s s", { said, seconds: Math.max(1, Math.ceil((run.records - run.records_done) / pace)) });
}

function show(item, run, began) {
  const bar = part(item, "bar");
  if (run.records) Object.assign(bar, { max: run.records, value: run.records_done });
  part(item, "words").textContent = words(run, began);
}

async function replace(item) {
  const response = await fetch(`/reports/runs/${item.dataset.run}/${location.search}`);
  if (!response.ok) return;
  const made = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("li");
  const focused = item.contains(document.activeElement);
  item.replaceWith(made);
  if (focused) made.querySelector("a, button")?.focus();
  status.textContent = (made.dataset.state === "done" ? READY : ENDED)(made.querySelector("p").textContent.trim());
}

async function follow(item) {
  let began = null;
  for (;;) {
    try {
      const response = await fetch(`/api/reports/runs/${item.dataset.run}/`);
      if (response.status === 404 || response.status === 401) return;
      if (response.ok) {
        const run = await response.json();
        if (run.state !== "waiting" && run.state !== "running") return await replace(item);
        if (run.state === "running" && !(began && began.started === run.started_at)) began = { started: run.started_at, at: Date.now(), done: run.records_done };
        show(item, run, began ?? { at: Date.now(), done: 0 });
      }
    } catch {
      // the next look tries again
    }
    await new Promise((resolve) => { setTimeout(resolve, POLL); });
  }
}

for (const item of document.querySelectorAll("#list > [data-state=waiting], #list > [data-state=running]")) follow(item);

// Whom the words typed so far could mean; without this the page itself asks.
const who = document.getElementById("who");
let latest = 0;
who.addEventListener("input", async () => {
  const asked = (latest += 1);
  await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
  if (asked !== latest || !who.value.trim()) return;
  const response = await fetch(`/reports/people/?q=${encodeURIComponent(who.value)}`).catch(() => null);
  if (!response?.ok || asked !== latest) return;
  const { results } = await response.json();
  who.list.replaceChildren(...results.map(({ email, name }) => Object.assign(document.createElement("option"), { value: email, label: name })));
});
