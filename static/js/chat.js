// The chat page. Ties the composer, the thread and the channel; the server's pages work as they come.
import { Acts } from "./acts.js";
import { call } from "./api.js";
import { Channel } from "./channel.js";
import { Composer } from "./composer.js";
import { restore } from "./manage.js";
import { Quote } from "./quote.js";
import { say, settings, tell, title } from "./shell.js";
import { refreshSide } from "./side.js";
import { isBlank, Thread } from "./thread.js";
import "./covered.js";
import "./frame.js";
import { gettext } from "./words.js";

const TRY_AGAIN = [1000, 2000, 4000, 8000]; // milliseconds, while the server says that it is not available
const UNSURE = ["unavailable", "unreachable"]; // after these, the message may have been taken all the same

const main = document.getElementById("main");
const link = document.getElementById("link");

let pending = null; // the send that has no answer yet; it keeps its key until it has one
let asked = {}; // the question that this tab asked last, and its reply
const begun = document.getElementById("title").textContent;
let warned = ""; // why the answer that is about to end is not whole
let listens = false; // whether what happens is being told to this page

const thread = new Thread(document.getElementById("thread"), {
  follow: (id, end, blocks) => channel.follow(id, end, blocks),
  running(is) {
    channel.running(thread.running);
    composer.running(is);
    quote.later();
  },
  signedOut: () => channel.signedOut(),
});
const composer = new Composer(document.getElementById("composer"), {
  send: (content, tier) => submit({ content, tier }),
  stop: () => { if (thread.running) channel.stop(thread.running, notStopped); },
  changed() {
    reconsider(false);
    quote.later();
  },
});
const quote = new Quote(document.getElementById("outlook"), {
  ask: () => ({
    body: { conversation: main.dataset.conversation || null, content: composer.text.value, tier: composer.tier },
    running: Boolean(thread.running),
  }),
  noted: (sentence) => composer.says(sentence),
  // A reply that began meanwhile would count as left behind.
  told({ context, refusal }, { running }) {
    if (!refusal) composer.open();
    return running || thread.running ? 0 : thread.leaveBehind(context.included_messages - 1, context.dropped_messages);
  },
});
const channel = new Channel({
  opened(again) {
    thread.followRunning();
    if (again) thread.heal();
    if (pending?.sent) sendPending();
  },
  state(connected, sentence = gettext("Connection lost. Trying again…"), over = false) {
    link.hidden = connected;
    link.textContent = connected ? "" : sentence;
    if (over && pending?.sent) refuse(sentence);
  },
  event: (event) => events[event.type]?.(event),
  waits: () => Boolean(thread.expects || pending?.sent),
});
new Acts(thread, { submit, reconsider, tier: () => composer.tier });

const events = {
  started({ message, user_message: question, max_cost_usd: most, key }) {
    if (isPending(key)) answered(message.id);
    thread.start(message, question, most);
    say(gettext("The assistant is writing."));
    refreshSide(main.dataset.conversation);
  },
  delta: (event) => thread.append(event),
  block: (event) => thread.place(event),
  warning: (event) => { warned = event.message; },
  done({ message, usage }) {
    if (!thread.has(message.id)) thread.heal(); // it is on a branch that is not shown, or new here
    else thread.finish(message, usage, () => {
      const whole = isBlank(message) ? gettext("The model gave no text.") : gettext("The answer is complete.");
      say(warned || (message.status === "stopped" ? gettext("Stopped.") : whole));
      warned = "";
    });
    refreshSide(main.dataset.conversation);
  },
  error({ message_id: id, error }) {
    if (id && thread.has(id)) {
      thread.fail(id, error.message);
      say(error.message);
      if (asked.reply === id) composer.giveBack(asked.content);
      thread.heal();
    } else if (id) thread.heal(); // as above
    else if (pending?.sent && (!error.key || isPending(error.key))) { // without a key it is of all that this page says
      if (error.code === "unavailable" && pending.tries < TRY_AGAIN.length) setTimeout(sendPending, TRY_AGAIN[pending.tries++]);
      else {
        if (pending.first && !UNSURE.includes(error.code)) close();
        refuse(error.message);
      }
    } else say(error.message);
    refreshSide(main.dataset.conversation);
  },
};

// Two tabs may send the same words at the same time: only its key tells whose a reply is.
const isPending = (key) => Boolean(key) && key === pending?.key;

const same = (one, other) => ["content", "tier", "parent", "regenerate"].every((name) => one?.[name] === other[name]);

// Send a question, `content`, or answer one again, `regenerate`. The same wish keeps its key, so that it cannot bill twice.
async function submit(wanted) {
  if (thread.running) return tell(gettext("An answer is being written. Wait for its end, or stop it."));
  if (pending?.sent) return same(pending, wanted) && link.hidden ? undefined : tell(gettext("Your last message is still on its way."));
  if (!same(pending, wanted)) pending = { key: newKey(), ...wanted };
  Object.assign(pending, { sent: true, out: false, tries: 0 });
  composer.waiting(true);
  try {
    if (!main.dataset.conversation) {
      const refusal = await quote.refusal(pending);
      if (refusal) return refuse(refusal.message);
      await open();
    }
  } catch (error) {
    return refuse(error.code === "unreachable" ? gettext("The site cannot be reached. Your message is still in the box.") : error.message);
  }
  if (channel.over) channel.open(main.dataset.conversation); // whose opening sends it, or whose end refuses it
  else sendPending();
}

async function open() {
  const { content, tier } = pending;
  const { id, temporary } = await call("POST", "/api/conversations/", { tier, ...settings() });
  main.dataset.conversation = id;
  main.dataset.temporary = temporary ? "true" : "";
  history.replaceState(null, "", `/c/${id}/`);
  document.getElementById("welcome").hidden = true;
  document.getElementById("about").hidden = thread.list.hidden = false;
  title(temporary ? gettext("Temporary chat") : content.split("\n", 1)[0].trim().slice(0, 60));
  pending.first = true;
  channel.open(id);
}

// What was made for a message that was then refused is taken back: this is the page of a new chat again.
function close() {
  const { conversation } = main.dataset;
  channel.close();
  call("DELETE", `/api/conversations/${conversation}/`).catch(() => {});
  main.dataset.conversation = main.dataset.temporary = "";
  history.replaceState(null, "", "/");
  document.getElementById("welcome").hidden = false;
  document.getElementById("about").hidden = thread.list.hidden = true;
  title(begun);
  composer.moveDraft(conversation);
  pending.first = false;
}

// Where it cannot be sent now, the next opening sends it.
function sendPending() {
  if (!pending?.sent) return;
  if (pending.regenerate) pending.out = channel.regenerate(pending);
  else pending.out = channel.send(pending) || pending.out;
}

function answered(reply) {
  asked = { reply, content: pending.parent === undefined ? pending.content ?? "" : "" };
  if (pending.first) composer.moveDraft("");
  composer.taken(pending.parent === undefined ? pending.content : undefined);
  composer.waiting(false);
  pending.taken?.();
  pending = null;
}

// What waits for the connection and has not left can still be changed: then it is not sent, but what it has become.
function reconsider(edited) {
  if (!pending?.sent || pending.out || link.hidden || !main.dataset.conversation) return;
  if (edited !== (pending.parent !== undefined)) return;
  pending = null;
  composer.waiting(false);
  composer.note(gettext("Your message was not sent, since you have changed it. Send it when it is ready."));
}

function refuse(sentence) {
  pending.sent = false;
  composer.waiting(false);
  composer.note(sentence, { act: () => { if (pending) submit(pending); } });
  say(sentence);
}

function notStopped({ code, message }) {
  composer.mayStop();
  tell(code === "unreachable" ? gettext("The site cannot be reached. Once it is, the answer is stopped.") : message);
}

function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

document.addEventListener("told", ({ detail: event }) => {
  if (event.type === "budget" && composer.standing) quote.later();
  if (event.type === "listening") {
    if (listens && main.dataset.conversation) thread.heal(); // there was a gap, in which a whole answer may have come and gone
    listens = true;
  }
  const of = event.conversation?.id ?? event.conversation;
  if (of !== main.dataset.conversation) return;
  if (event.conversation.title) {
    title(event.conversation.title);
    document.getElementById("archived").hidden = !event.conversation.archived;
  }
  if (event.type === "branch") thread.heal();
  if (event.change === "deleted") {
    composer.note(gettext("This conversation was deleted. It can be brought back for ten minutes."), { label: gettext("Restore"), act: () => restore(of) });
  }
  if (event.change === "restored") {
    composer.note("");
    if (!channel.ready) channel.open(of);
  }
  if (event.change === "deleted" || event.change === "restored") composer.closed(event.change === "deleted");
  quote.later();
});

quote.now();
if (main.dataset.conversation) channel.open(main.dataset.conversation);
