// The message box: Enter sends, Shift+Enter breaks the line, and what was typed is never lost.
import { draft, keepDraft } from "./drafts.js";

export class Composer {
  constructor(form, { send, stop, changed }) {
    Object.assign(this, { form, text: form.elements.content });
    this.sendButton = document.getElementById("send-message");
    this.stopButton = document.getElementById("stop-reply");
    this.noteBox = document.getElementById("note");
    this.noteButton = document.getElementById("retry");
    this.retry = this.noteButton.textContent;
    this.standing = "standing" in this.noteBox.dataset; // the page came with it: nothing is left
    this.text.value ||= draft();
    this.text.addEventListener("input", () => {
      this.keep();
      changed();
    });
    this.grow = growing(this.text);
    entering(this.text, form);
    form.addEventListener("change", ({ target }) => { if (target.name === "tier") changed(); });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.text.readOnly) return;
      if (this.text.value.trim()) send(this.text.value, this.tier);
      else this.text.focus();
    });
    this.stopButton.addEventListener("click", () => {
      this.stopButton.setAttribute("aria-disabled", "true");
      stop();
    });
    const starts = [...document.querySelectorAll("[data-start]")];
    for (const start of starts) {
      start.addEventListener("click", () => {
        const before = starts.map(({ dataset }) => `${dataset.start}\n\n`).find((words) => this.text.value.startsWith(words)) ?? "";
        this.write(`${start.dataset.start}\n\n${this.text.value.slice(before.length)}`);
        changed();
      });
    }
    if (matchMedia("(pointer:fine)").matches && !location.hash) this.text.focus({ preventScroll: true });
  }

  get tier() {
    return this.form.elements.tier.value;
  }

  keep() {
    keepDraft(this.text.value);
  }

  // The draft goes with the page, from the conversation that it was for.
  moveDraft(from) {
    keepDraft("", from);
    this.keep();
  }

  write(words) {
    this.text.value = words;
    this.grow();
    this.keep();
    this.text.focus();
    this.text.setSelectionRange(words.length, words.length);
  }

  // The message is in the thread; what was typed since stays.
  taken(content) {
    this.note("");
    if (this.text.value === content) this.text.value = "";
    this.grow();
    this.keep();
  }

  // What failed comes back, unless something else is being written.
  giveBack(content) {
    if (this.text.value) return;
    this.text.value = content;
    this.grow();
    this.keep();
  }

  // With something to do about it, where there is; by default to try again.
  note(sentence, { label = this.retry, act = null } = {}) {
    this.standing = false;
    this.noteBox.hidden = !sentence;
    this.noteBox.querySelector("p").textContent = sentence;
    this.noteButton.hidden = !act;
    this.noteButton.textContent = label;
    this.noteButton.onclick = act;
  }

  // Whether it stands in the note already.
  says(sentence) {
    return !this.noteBox.hidden && this.noteBox.querySelector("p").textContent.trim() === sentence;
  }

  // There is room again for what is written.
  open() {
    if (this.standing) this.note("");
  }

  waiting(is) {
    if (is || this.text.readOnly) this.sendButton.setAttribute("aria-disabled", "true");
    else this.sendButton.removeAttribute("aria-disabled");
  }

  // Nothing can be sent; what is written can be read and taken along, and the focus stays where it is.
  closed(is) {
    this.text.readOnly = is;
    this.waiting(false);
  }

  // Stop takes Send's place; focus goes along with the place, never elsewhere.
  running(is) {
    const [show, hide] = is ? [this.stopButton, this.sendButton] : [this.sendButton, this.stopButton];
    const focused = document.activeElement === hide;
    show.hidden = false;
    hide.hidden = true;
    if (focused) show.focus();
    if (!is) this.mayStop();
  }

  mayStop() {
    this.stopButton.removeAttribute("aria-disabled");
  }
}

// A box that is as high as its text, also where CSS does not know how.
// What it gives is to be called where a script has changed the text.
export function growing(box) {
  if (CSS.supports("field-sizing", "content")) return () => {};
  const grow = () => {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  };
  box.addEventListener("input", grow);
  grow();
  return grow;
}

export function entering(box, form) {
  box.addEventListener("keydown", (event) => {
    // While an input method composes, Enter chooses a word; in Safari the composition has ended by then, and only the code tells.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229 || matchMedia("(pointer:coarse)").matches) return;
    event.preventDefault();
    form.requestSubmit();
  });
}
