// The chat page. Ties the composer, the thread and the socket; the server's pages work as they come.
import { Composer } from "./composer.js";
import { refreshSide } from "./side.js";
import { Socket } from "./socket.js";
import { Thread } from "./thread.js";
import "./code.js";

const main = document.getElementById("main");
const status = document.getElementById("status");
const link = document.getElementById("link");
const csrf = document.querySelector("meta[name=csrf-token]").content;

const say = (sentence) => { status.textContent = sentence; };
const post = (path, body) => fetch(path, {
  method: "POST",
  headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
  body: JSON.stringify(body),
});

let pending = null; // the send that has no answer yet; it keeps its key until it has one
let asked = {}; // the question that this tab asked last, and its reply
let warned = ""; // why the answer that is about to end is not whole

const thread = new Thread(document.getElementById("thread"), {
  follow: (id, end) => socket.send({ type: "follow", message_id: id, from: end }),
  running: (is) => composer.running(is),
});
const composer = new Composer(document.getElementById("composer"), main.dataset, {
  async send(content, tier) {
    if (thread.running || pending?.sent) return;
    if (pending?.content !== content || pending.tier !== tier) pending = { key: newKey(), content, tier };
    pending.sent = true;
    composer.waiting(true);
    try {
      if (!main.dataset.conversation) await open(content, tier);
    } catch (error) {
      return refuse(error.sentence ?? "The site cannot be reached. Your message is still in the box; press Send to try again.");
    }
    sendPending();
  },
  stop() {
    const id = thread.running;
    // Without a socket there is still the plain way, so that Stop always stops.
    if (id && !socket.send({ type: "stop", message_id: id })) post(`/api/messages/${id}/stop/`, {}).catch(() => {});
  },
});
const socket = new Socket({
  opened(again) {
    if (again) thread.heal();
    else thread.followRunning();
    if (pending?.sent) sendPending();
  },
  state(connected, sentence = "Connection lost. Trying again…") {
    link.hidden = connected;
    link.textContent = connected ? "" : sentence;
  },
  event: (event) => events[event.type]?.(event),
});

const events = {
  started({ message, user_message: question, max_cost_usd: most }) {
    if (pending?.sent && question?.content === pending.content) answered(message.id);
    thread.start(message, question, most);
    say("The assistant is writing.");
    refreshSide(main.dataset.conversation);
  },
  delta: (event) => thread.append(event),
  warning: (event) => { warned = event.message; },
  done({ message, usage }) {
    const question = pending?.sent && message.role === "assistant" && !thread.has(message.id)
      ? { id: message.parent, content: pending.content } : null;
    if (question) answered(message.id);
    if (thread.finish(message, usage, question)) {
      say(warned || (message.status === "stopped" ? "Stopped." : "The answer is complete."));
      warned = "";
    }
    refreshSide(main.dataset.conversation);
  },
  error({ message_id: id, error }) {
    if (id && thread.has(id)) {
      thread.fail(id, error.message);
      say(error.message);
      if (asked.reply === id) composer.giveBack(asked.content);
      thread.heal();
    } else if (pending?.sent) refuse(error.message);
    else say(error.message);
    refreshSide(main.dataset.conversation);
  },
};

async function open(content, tier) {
  const title = content.split("\n", 1)[0].trim().slice(0, 60);
  const response = await post("/api/conversations/", { title, tier });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(), { sentence: body.error?.message });
  main.dataset.conversation = body.id;
  history.replaceState(null, "", `/c/${body.id}/`);
  document.getElementById("welcome").hidden = true;
  document.getElementById("title").textContent = title;
  document.title = `${title} · Company chat`;
  composer.moveDraft(body.id);
  socket.open(body.id);
  refreshSide(body.id);
}

function sendPending() {
  const { key, content, tier } = pending;
  socket.send({ type: "send", key, content, tier }); // where it cannot be sent now, the next opening sends it
}

function answered(reply) {
  asked = { reply, content: pending.content };
  composer.taken(pending.content);
  composer.waiting(false);
  pending = null;
}

function refuse(sentence) {
  pending.sent = false; // the same text keeps its key, so that another Send cannot bill twice
  composer.waiting(false);
  composer.note(sentence);
  say(sentence);
}

function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

if (main.dataset.conversation) socket.open(main.dataset.conversation);
