// The messages. A running answer grows as plain text by deltas in order; ended, it is the server's HTML.
import { dollars } from "./money.js";

const NEAR_END = 48; // pixels

const count = (n) => n.toLocaleString("en");
const element = (tag, textContent, className = "") => Object.assign(document.createElement(tag), { textContent, className });

export class Thread {
  constructor(list, { follow, running }) {
    Object.assign(this, { list, tellRunning: running, askFollow: follow, ends: new Map(), asked: new Set(), atEnd: true });
    this.jump = document.getElementById("jump");
    addEventListener("scroll", () => this.look(), { passive: true });
    new ResizeObserver(() => (this.atEnd && !list.hidden ? this.toEnd() : this.look())).observe(document.getElementById("composer"));
    if (!location.hash && !list.hidden) this.toEnd();
  }

  get running() {
    return this.list.querySelector("[data-status=generating]")?.dataset.messageId;
  }

  article(id) {
    return this.list.querySelector(`[data-message-id="${CSS.escape(id)}"]`);
  }

  has(id) {
    return Boolean(this.article(id));
  }

  // The question and its empty answer, where this tab does not show them yet.
  start(message, question, most) {
    if (question && !this.has(question.id)) this.add("ask", question.id).querySelector("p").textContent = question.content;
    if (!this.has(message.id)) {
      const article = this.add("answer", message.id);
      if (most) this.cost(article, `${message.model} · at most `, element("b", dollars(most)), " held");
      this.toEnd();
    }
    this.tellRunning(Boolean(this.running));
  }

  append({ message_id: id, start, end, content }) {
    const article = this.article(id);
    const own = this.ends.get(id) ?? 0;
    if (article?.dataset.status !== "generating" || end <= own) return;
    if (start !== own) return this.follow(id);
    this.ends.set(id, end);
    this.asked.delete(id);
    const open = article.querySelector(".open");
    if (!open.firstChild) open.append("", element("span", "", "caret"));
    open.firstChild.appendData(content);
    if (this.atEnd) this.toEnd();
  }

  // Ask for the text from our own end on; once, until something has come.
  follow(id) {
    if (this.asked.has(id)) return;
    this.asked.add(id);
    this.askFollow(id, this.ends.get(id) ?? 0);
  }

  followRunning() {
    this.asked.clear();
    if (this.running) this.follow(this.running);
  }

  // Whether this changed anything: what ended before stays as it is.
  finish(message, usage, question) {
    if (!this.has(message.id)) this.start(message, question);
    const article = this.article(message.id);
    if (article.dataset.status !== "generating") return false;
    article.querySelector("[data-content]").innerHTML = message.html; // the server's, made safe there
    this.cost(article, ...costLine(message, usage));
    this.end(article, message.status);
    return true;
  }

  fail(id, sentence) {
    const article = this.article(id);
    article.querySelector(".caret")?.remove();
    article.querySelector(".meta").before(element("p", sentence, "err"));
    article.dataset.stale = "";
    this.end(article, "failed");
  }

  // After a gap in the connection, or a failure: take what has ended, and what is new, from the server's page.
  async heal() {
    try {
      const response = await fetch(location.pathname);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const fresh of response.ok ? page.querySelectorAll("#thread article") : []) {
        const own = this.article(fresh.dataset.messageId);
        const ended = fresh.dataset.status !== "generating";
        if (!own) this.list.append(fresh.closest("li"));
        else if (ended && ("stale" in own.dataset || own.dataset.status === "generating")) own.replaceWith(fresh);
      }
    } catch {
      // The next opening of the socket heals again.
    }
    this.tellRunning(Boolean(this.running));
    this.followRunning();
    if (this.atEnd) this.toEnd();
  }

  add(template, id) {
    const item = document.getElementById(template).content.cloneNode(true).firstElementChild;
    const article = item.querySelector("article");
    article.dataset.messageId = id;
    article.setAttribute("aria-labelledby", `by-${id}`);
    article.querySelector("h2").id = `by-${id}`;
    this.list.hidden = false;
    this.list.append(item);
    return article;
  }

  end(article, status) {
    article.dataset.status = status;
    article.removeAttribute("aria-busy");
    this.ends.delete(article.dataset.messageId);
    this.asked.delete(article.dataset.messageId);
    this.tellRunning(Boolean(this.running));
    if (this.atEnd) this.toEnd();
  }

  cost(article, ...line) {
    article.querySelector(".cost").replaceChildren(...line);
  }

  // The page follows the text only while its reader is at the end.
  look() {
    const { scrollHeight } = document.documentElement;
    this.atEnd = innerHeight + scrollY > scrollHeight - NEAR_END;
    this.jump.hidden = this.atEnd || this.list.hidden;
  }

  toEnd() {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    this.look();
  }
}

function costLine(message, usage) {
  const state = { stopped: "Stopped by you · ", interrupted: "Interrupted · ", failed: "Failed · " }[message.status]
    ?? (message.finish_reason === "length" ? "Cut at the length limit · " : "");
  if (!usage) return [`${state}${message.model} · nothing was charged`];
  const figures = [count(usage.input_tokens), " in · ", count(usage.output_tokens), " out · "];
  if (!usage.estimated) return [`${state}${usage.model} · `, ...figures, element("b", dollars(usage.cost_usd))];
  const [input, , output] = figures;
  return [
    `${state}${usage.model} · `, element("span", `≈ ${input}`, "est"), " in · ", element("span", `≈ ${output}`, "est"), " out · ",
    element("b", `≈ ${dollars(usage.cost_usd)}`, "est"), " estimated",
  ];
}
