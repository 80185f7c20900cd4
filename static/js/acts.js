// What one can do with a message: copy it, edit a question, answer again, go to another branch.
import { call } from "./api.js";
import { entering, growing } from "./composer.js";
import { choose } from "./menu.js";
import { dollars } from "./money.js";
import { say, tell } from "./shell.js";
import { gettext } from "./words.js";

const SHOWN = 1500; // milliseconds

export class Acts {
  constructor(thread, { submit, reconsider, tier }) {
    Object.assign(this, { thread, submit, reconsider, tier });
    thread.list.addEventListener("click", (event) => {
      const button = event.target.closest("[data-act]");
      if (button && !button.hasAttribute("aria-disabled")) this[button.dataset.act](button, button.closest("article"));
    });
  }

  async copy(button, { dataset: { messageId: id } }) {
    const found = call("GET", `/api/messages/${id}/`).then(({ content }) => content);
    try {
      await navigator.clipboard.write([new ClipboardItem({ "text/plain": found.then((text) => new Blob([text], { type: "text/plain" })) })]);
    } catch {
      return tell(gettext("It could not be copied."));
    }
    const use = button.querySelector("use");
    use.setAttribute("href", "#check");
    setTimeout(() => use.setAttribute("href", "#copy"), SHOWN);
    say(gettext("Copied."));
  }

  edit(button, article) {
    const body = article.querySelector("[data-content]");
    const form = document.getElementById("edit-form").content.cloneNode(true).firstElementChild;
    const box = form.elements.content;
    box.value = body.textContent;
    const close = () => {
      this.reconsider(true);
      form.remove();
      body.hidden = article.querySelector(".meta").hidden = false;
      button.focus();
    };
    const left = () => {
      form.remove();
      document.getElementById("text").focus({ preventScroll: true });
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (box.value.trim()) this.submit({ content: box.value, tier: this.tier(), parent: article.dataset.parent || null, taken: left });
    });
    form.addEventListener("keydown", ({ key }) => { if (key === "Escape") close(); });
    form.querySelector("[data-cancel]").addEventListener("click", close);
    body.hidden = article.querySelector(".meta").hidden = true;
    body.after(form);
    box.addEventListener("input", () => this.reconsider(true));
    growing(box);
    entering(box, form);
    box.focus();
  }

  again(button, article) {
    const regenerate = article.dataset.parent;
    const tiers = [...document.querySelectorAll("#composer [name=tier]")];
    const items = tiers.map(({ value, parentElement }) => ({
      label: gettext("Again with %(tier)s", { tier: parentElement.textContent.trim() }),
      act: () => this.submit({ regenerate, tier: value }),
      hint: call("POST", "/api/quote/", { conversation: document.getElementById("main").dataset.conversation, regenerate, tier: value })
        .then((quote) => (quote.fits ? gettext("at most %(most)s", { most: dollars(quote.max_cost_usd) }) : gettext("over your budget")), () => ""),
    }));
    choose(button, gettext("Answer again"), items);
  }

  async go(button) {
    const forward = button.dataset.way === "next";
    const { messageId } = button.closest("article").dataset;
    try {
      await call("POST", `/api/messages/${button.dataset.to}/select/`, {});
      await this.thread.heal();
    } catch (error) {
      return tell(error.message);
    }
    const there = this.thread.article(button.dataset.to) ?? this.thread.article(messageId);
    const [previous, next] = there?.querySelectorAll("[data-act=go]") ?? [];
    (forward ? next : previous)?.focus();
    say(there?.querySelector(".branch")?.ariaLabel ?? "");
  }
}
