// Imports: a file goes up with a bar that moves, and every import that is not done says how far it is.
const POLL = 1000; // milliseconds
const list = document.getElementById("runs");
const form = document.getElementById("import");
const status = document.getElementById("status");
const csrf = document.querySelector("meta[name=csrf-token]").content;

const count = (n) => n.toLocaleString("en");
const part = (item, name) => item.querySelector(`[data-part="${name}"]`);

function words(run) {
  if (run.state === "failed") return "Nothing was imported.";
  if (run.state === "done") {
    const more = [[run.existing, "here already"], [run.skipped, "skipped"]].filter(([n]) => n).map(([n, what]) => `, ${count(n)} ${what}`);
    return `${count(run.added)} added${more.join("")}`;
  }
  return run.total === null ? "Waiting to be read" : `${count(run.done)} of ${count(run.total)} conversations`;
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
  part(item, "reasons").querySelector("ul").replaceChildren(...run.reasons.map(({ title, reason }) => Object.assign(document.createElement("li"), { textContent: `${title || "Untitled"}: ${reason}` })));
  if (!part(item, "time").textContent) part(item, "time").textContent = new Date(run.created_at).toLocaleTimeString("en", { timeStyle: "short" });
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
  part(item, "bar").ariaLabel = `Progress of ${file.name}`;
  part(item, "words").textContent = "Sending";
  bar(item, 0, file.size);
  document.getElementById("none").hidden = true;
  document.getElementById("file-error").hidden = true;
  list.prepend(item);
  const request = new XMLHttpRequest(); // fetch does not tell how much has gone up
  const button = form.querySelector("button");
  button.setAttribute("aria-disabled", "true");
  request.upload.addEventListener("progress", ({ loaded, total }) => bar(item, loaded, total));
  request.upload.addEventListener("load", () => { part(item, "words").textContent = "Waiting to be read"; bar(item); });
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
      refuse(answer?.error?.message ?? "The file could not be sent. Try again.");
    }
  });
  request.open("POST", "/api/imports/");
  request.setRequestHeader("X-CSRFToken", csrf);
  request.responseType = "json";
  request.setRequestHeader("Content-Type", "application/octet-stream"); // a form's body would be read as a whole
  request.setRequestHeader("Content-Disposition", `attachment; filename*=utf-8''${encodeURIComponent(file.name).replace(/['()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16)}`)}`);
  request.send(file);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = form.file.files;
  if (form.querySelector("button").hasAttribute("aria-disabled")) return;
  if (!file) refuse("Choose a file first.");
  else if (file.size > Number(form.file.dataset.limit)) refuse(`The file has ${count(file.size)} bytes; at most ${count(Number(form.file.dataset.limit))} can be imported.`);
  else send(file);
});

for (const item of list.querySelectorAll("[data-state=waiting],[data-state=running]")) follow(item);
