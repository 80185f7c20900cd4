// Imports: a file goes up with a bar that moves, and every import that is not done says how far it is.
import { gettext, language } from "./words.js";
const POLL = 1000; // milliseconds
const list = document.getElementById("runs");
const form = document.getElementById("import");
const status = document.getElementById("status");
const csrf = document.querySelector("meta[name=csrf-token]").content;

const count = (n) => n.toLocaleString("en");
// As the page says it that the server makes: by its clock, and in English with the day before the month.
function moment(text) {
  const at = new Date(text), locale = language === "en" ? "en-GB" : language, timeZone = list.dataset.zone;
  const day = at.toLocaleDateString(locale, { day: "numeric", month: "long", timeZone });
  return `${day}, ${at.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone })}`;
}

const part = (item, name) => item.querySelector(`[data-part="${name}"]`);

function words(run) {
  if (run.state === "failed") return gettext("Nothing was imported.");
  if (run.state === "done") {
    const more = [
      run.existing && gettext("%(n)s here already", { n: count(run.existing) }),
      run.skipped && gettext("%(n)s skipped", { n: count(run.skipped) }),
    ];
    return [gettext("%(n)s added", { n: count(run.added) }), ...more].filter(Boolean).join(", ");
  }
  return run.total === null ? gettext("Waiting to be read") : gettext("%(done)s of %(total)s conversations", { done: count(run.done), total: count(run.total) });
}

function bar(item, value, max) {
  const progress = part(item, "bar");
  progress.hidden = false;
  if (max) Object.assign(progress, { max, value });
  else progress.removeAttribute("value");
}

function show(item, run) {
  Object.assign(item.dataset, { run: run.id, state: run.state });
  part(item, "name").textContent = run.file_name;
  part(item, "words").textContent = words(run);
  part(item, "error").textContent = run.error ?? "";
  part(item, "error").hidden = !run.error;
  part(item, "reasons").hidden = !run.reasons.length;
  part(item, "reasons").querySelector("ul").replaceChildren(...run.reasons.map(({ title, reason }) => Object.assign(document.createElement("li"), { textContent: `${title || gettext("Untitled")}: ${reason}` })));
  if (!part(item, "time").textContent) part(item, "time").textContent = moment(run.created_at);
  bar(item, run.done, run.total);
  if (!run.finished_at) return false;
  part(item, "bar").hidden = true;
  return true;
}

async function follow(item) {
  for (;;) {
    try {
      const response = await fetch(`/api/imports/${item.dataset.run}/`);
      if (response.ok && show(item, await response.json())) return say(part(item, "words").textContent, part(item, "error").textContent);
      if (response.status === 404 || response.status === 401) return;
    } catch {
      // the next look tries again
    }
    await new Promise((resolve) => { setTimeout(resolve, POLL); });
  }
}

const say = (...sentences) => { status.textContent = sentences.filter(Boolean).join(" "); };

function refuse(sentence) {
  const error = document.getElementById("file-error");
  error.textContent = sentence;
  error.hidden = false;
  form.file.setAttribute("aria-describedby", "file-error");
  say(sentence);
}

function send(file) {
  const item = document.getElementById("run").content.cloneNode(true).firstElementChild;
  part(item, "name").textContent = file.name;
  part(item, "bar").ariaLabel = gettext("Progress of %(name)s", { name: file.name });
  part(item, "words").textContent = gettext("Sending");
  bar(item, 0, file.size);
  document.getElementById("none").hidden = true;
  document.getElementById("file-error").hidden = true;
  list.prepend(item);
  const request = new XMLHttpRequest(); // fetch does not tell how much has gone up
  const button = form.querySelector("button");
  button.setAttribute("aria-disabled", "true");
  request.upload.addEventListener("progress", ({ loaded, total }) => bar(item, loaded, total));
  request.upload.addEventListener("load", () => { part(item, "words").textContent = gettext("Waiting to be read"); bar(item); });
  request.addEventListener("loadend", () => {
    button.removeAttribute("aria-disabled");
    const answer = request.response;
    if (request.status === 201 || request.status === 202) {
      form.reset();
      if (show(item, answer)) say(part(item, "words").textContent);
      else follow(item);
    } else {
      item.remove();
      document.getElementById("none").hidden = Boolean(list.children.length);
      refuse(answer?.error?.message ?? gettext("The file could not be sent. Try again."));
    }
  });
  request.open("POST", "/api/imports/");
  request.setRequestHeader("X-CSRFToken", csrf);
  request.responseType = "json";
  request.setRequestHeader("Content-Type", "application/octet-stream"); // of a form every byte would be looked at for the end of its parts
  request.setRequestHeader("Content-Disposition", `attachment; filename*=utf-8''${encodeURIComponent(file.name).replace(/['()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16)}`)}`);
  request.send(file);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = form.file.files;
  if (form.querySelector("button").hasAttribute("aria-disabled")) return;
  if (!file) refuse(gettext("Choose a file first."));
  else if (file.size > Number(form.file.dataset.limit)) refuse(gettext("The file has %(size)s bytes; at most %(limit)s can be imported.", { size: count(file.size), limit: count(Number(form.file.dataset.limit)) }));
  else send(file);
});

for (const item of list.querySelectorAll("[data-state=waiting],[data-state=running]")) follow(item);
