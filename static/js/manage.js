// What one can do with a conversation: name it, pin it, put it away, give it instructions, take it out, delete it.
import { call } from "./api.js";
import { keepDraft } from "./drafts.js";
import { choose } from "./menu.js";
import { say, settings, tell, tellThere, title, toldHere } from "./shell.js";
import { refreshSide } from "./side.js";
import { gettext } from "./words.js";

const main = document.getElementById("main");
const current = () => main.dataset.conversation ?? "";
const path = (id) => `/api/conversations/${id}/`;
const name = (conversation) => gettext("“%(title)s”", { title: conversation.title || gettext("Untitled") });

async function change(id, fields) {
  try {
    const changed = await call("PATCH", path(id), fields);
    if (id === current() && !changed.temporary) title(changed.title || gettext("Untitled"));
    refreshSide(current());
    return changed;
  } catch (error) {
    tell(error.message);
    return null;
  }
}

// The name becomes a box in its place; Enter keeps what it says, Escape what was.
function rename(button, place, conversation) {
  const form = document.getElementById("rename-form").content.cloneNode(true).firstElementChild;
  const box = form.elements.title;
  box.value = conversation.title;
  let over = false;
  const close = () => {
    if (over) return;
    over = true;
    form.remove();
    place.hidden = false;
  };
  const keep = async () => {
    const words = box.value.trim();
    close();
    if (words === conversation.title) return;
    if (await change(conversation.id, { title: words })) say(gettext("Renamed."));
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep();
    button.focus();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // or the sidebar that it may stand in would close too
    close();
    button.focus();
  });
  box.addEventListener("blur", () => { if (!over) keep(); });
  place.hidden = true;
  place.after(form);
  box.focus();
  box.select();
}

async function archive(conversation, archived) {
  if (!await change(conversation.id, { archived })) return;
  const done = archived ? gettext("%(name)s was archived.", { name: name(conversation) }) : gettext("%(name)s was brought back.", { name: name(conversation) });
  tell(done, gettext("Undo"), () => change(conversation.id, { archived: !archived }));
}

async function remove(conversation) {
  try {
    await call("DELETE", path(conversation.id));
  } catch (error) {
    return tell(error.message);
  }
  keepDraft("", conversation.id);
  if (conversation.id === current()) return tellThere("/", { deleted: conversation });
  refreshSide(current());
  offerUndo(conversation);
}

function offerUndo(conversation) {
  if (conversation.temporary) return tell(gettext("The temporary chat is gone. What it cost stays on the books."));
  tell(gettext("%(name)s was deleted.", { name: name(conversation) }), gettext("Undo"), async () => {
    if (await restore(conversation.id)) location.assign(`/c/${conversation.id}/`);
  });
}

// Whether a deleted conversation is there again.
export async function restore(id) {
  try {
    await call("POST", `${path(id)}restore/`, {});
    return true;
  } catch (error) {
    tell(error.message);
    return false;
  }
}

// Instructions go along with every question of a conversation.
function instruct(conversation) {
  const dialog = document.getElementById("instructions");
  const form = dialog.querySelector("form");
  const box = form.elements.system_prompt;
  box.value = conversation?.system_prompt ?? settings().system_prompt ?? "";
  form.onsubmit = (event) => {
    if (event.submitter?.value !== "keep") return;
    if (!conversation) settings({ system_prompt: box.value });
    else change(conversation.id, { system_prompt: box.value }).then((done) => done && say(gettext("The instructions are kept.")));
  };
  dialog.showModal();
}

async function open(button) {
  const { id } = button.dataset.id ? button.dataset : { id: current() };
  let conversation;
  try {
    conversation = await call("GET", path(id));
  } catch (error) {
    return tell(error.message);
  }
  const place = button.dataset.id ? button.closest("li").querySelector("a") : document.getElementById("title");
  const lasting = conversation.temporary ? [] : [
    { label: gettext("Rename"), act: () => rename(button, place, conversation) },
    { label: conversation.pinned ? gettext("Unpin") : gettext("Pin to the top"), act: () => change(id, { pinned: !conversation.pinned }) },
    { label: conversation.archived ? gettext("Take out of the archive") : gettext("Archive"), act: () => archive(conversation, !conversation.archived) },
  ];
  const taken = conversation.temporary ? [] : [
    { label: gettext("Export as Markdown"), href: `${path(id)}export/?format=md` },
    { label: gettext("Export as JSON"), href: `${path(id)}export/?format=json` },
  ];
  choose(button, gettext("Conversation"), [
    ...lasting,
    { label: gettext("Instructions…"), act: () => instruct(conversation) },
    ...taken,
    { label: gettext("Delete"), bad: true, act: () => remove(conversation) },
  ]);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-menu]");
  if (button) open(button);
  if (target.closest("[data-instruct]")) instruct(null);
});
document.getElementById("temporary")?.addEventListener("change", ({ target }) => settings({ temporary: target.checked }));
if (document.getElementById("temporary")?.checked) settings({ temporary: true });

const message = toldHere();
if (message?.deleted) offerUndo(message.deleted);
