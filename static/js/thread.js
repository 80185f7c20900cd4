// The messages. Of a running answer the finished blocks are the server's HTML, and the open one grows as plain text.
import { fresh } from "./api.js";
import { dress } from "./code.js";
import { costLine, element } from "./cost.js";
import { End } from "./end.js";
import { focused } from "./focus.js";
import { Growing } from "./growing.js";
import { count, dollars } from "./money.js";
import { part } from "./parts.js";
import { gettext, gettext_noop, ngettext, pieces } from "./words.js";

const HEAL_AGAIN = 2000, HEAL_LONGEST = 60000; // milliseconds
const LEAST = 500, MOST = 8000; // characters of HTML that are laid out in one frame: as many as take no longer than
const TAKES = 10; // milliseconds

export class Thread {
  constructor(list, { follow, running, signedOut }) {
    Object.assign(this, { list, tellRunning: running, askFollow: follow, signedOut });
    Object.assign(this, { growing: new Map(), asked: new Set(), begun: 0, tries: 0, step: 2 * LEAST });
    equip(list);
    list.addEventListener("click", (event) => {
      const link = event.target.closest(".earlier a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.earlier(link).catch(() => location.assign(link.href));
    });
    document.addEventListener("visibilitychange", () => this.flush());
    this.endOfPage = new End(list);
    if (location.hash || list.hidden) this.endOfPage.look();
    else this.endOfPage.go();
  }

  get running() {
    return this.list.querySelector("[data-status=generating]")?.dataset.messageId;
  }

  // Whether more is to be heard of the running answer. What was heard may take a slow machine a while to show.
  get expects() {
    const { running } = this;
    return Boolean(running) && !this.growing.get(running)?.whole;
  }

  get messages() {
    return [...this.list.querySelectorAll(".msg")];
  }

  article(id) {
    return this.list.querySelector(`[data-message-id="${CSS.escape(id)}"]`);
  }

  has(id) {
    return Boolean(this.article(id));
  }

  // The question and its empty answer, where this tab does not show them yet, in place of what another branch had there.
  start(message, question, most) {
    this.begun += 1;
    const above = question && !this.has(question.id) ? question.parent : message.parent;
    if (above && !this.has(above)) return this.heal(); // on a branch that this tab does not show
    const refocus = focused(this);
    let branched = false;
    if (!this.has(message.id)) {
      if (question && !this.has(question.id)) {
        branched = this.cutAfter(question.parent);
        const article = this.add("ask", question.id);
        article.dataset.parent = question.parent ?? "";
        article.querySelector("p").textContent = question.content;
      } else branched = this.cutAfter(message.parent);
      const article = this.add("answer", message.id);
      article.dataset.parent = message.parent ?? "";
      if (most) this.cost(article, `${message.model} · `, ...pieces(gettext_noop("at most %(most)s held"), { most: element("b", dollars(most)) }));
      this.endOfPage.go();
    }
    this.tellRunning(Boolean(this.running));
    refocus();
    if (branched) this.heal();
  }

  // Whether anything was there below a message; with no message, whether there was anything.
  cutAfter(id) {
    const all = this.messages;
    const place = id ? all.findIndex((item) => item.firstElementChild.dataset.messageId === id) : -1;
    const gone = all.slice(place + 1);
    for (const item of gone) this.drop(item);
    return gone.length > 0;
  }

  append({ message_id: id, start, end, content }) {
    const own = this.grown(id);
    if (!own || end <= own.end) return;
    if (start !== own.end) return this.follow(id);
    own.add(end, content);
    this.asked.delete(id);
    this.later();
  }

  place({ message_id: id, start, end, html }) {
    const own = this.grown(id);
    if (!own || end <= own.placed) return;
    if (start !== own.placed || end > own.end) return this.follow(id);
    own.place(start, end, html);
    this.later();
  }

  // What there is of a running answer, if it is one.
  grown(id) {
    const article = this.article(id);
    if (article?.dataset.status !== "generating") return null;
    if (!this.growing.get(id)?.body.isConnected) this.growing.set(id, new Growing(article.querySelector("[data-content]")));
    return this.growing.get(id);
  }

  later() {
    if (!this.due) (document.hidden ? setTimeout : requestAnimationFrame)(() => this.flush());
    this.due = true;
  }

  // Show what has come since the last frame; a lot of it in several.
  flush() {
    this.due = false;
    const began = performance.now();
    let placed = false;
    for (const [id, own] of this.growing) {
      if (!own.body.isConnected) { // what is gone from the page must not keep the rest from being shown
        this.forget(id);
        continue;
      }
      placed ||= own.blocks.length > 0;
      if (own.show(this.step)) own.whole?.();
      else this.later();
    }
    this.endOfPage.keep();
    if (!placed) return;
    const took = performance.now() - began; // with the layout, which the look at where the end is has asked for
    this.step = Math.min(MOST, Math.max(LEAST, this.step * Math.min(1.25, Math.max(0.5, TAKES / took))));
  }

  // Ask for the text from our own end on; once, until something has come.
  follow(id) {
    if (this.asked.has(id)) return;
    this.asked.add(id);
    const { end = 0, placed = 0 } = this.grown(id) ?? {};
    this.askFollow(id, end, placed);
  }

  followRunning() {
    this.asked.clear();
    if (this.running) this.follow(this.running);
  }

  // What ended before stays as it is. `shown` is called once all of it is on the page.
  finish(message, usage, shown) {
    const own = this.grown(message.id);
    if (!own || own.whole) return;
    own.finish(message.html);
    own.whole = () => {
      const article = this.article(message.id);
      this.cost(article, ...costLine(message, usage));
      if (isBlank(message)) article.querySelector(".meta").before(element("p", gettext("The model gave no text."), "lead soft"));
      this.end(article, message.status);
      shown();
    };
    this.later();
  }

  fail(id, sentence) {
    const article = this.article(id);
    this.grown(id)?.show(Infinity);
    article.querySelector(".caret")?.remove();
    article.querySelector(".meta").before(element("p", sentence, "err"));
    article.dataset.stale = "";
    this.end(article, "failed");
  }

  // Take from the server's page what has ended, what is new, and which branch is current; what is the same stays untouched.
  async heal() {
    clearTimeout(this.healing);
    const { begun } = this;
    try {
      const page = await fresh(location.pathname);
      this.tries = 0;
      if (begun !== this.begun) return this.heal();
      const refocus = focused(this);
      this.merge(page);
      refocus();
    } catch (error) {
      if (error.code === "404") return;
      if (error.code === "not_authenticated") return this.signedOut();
      const wait = Math.min(HEAL_LONGEST, HEAL_AGAIN * 2 ** this.tries);
      this.tries += 1;
      clearTimeout(this.healing);
      this.healing = setTimeout(() => this.heal(), wait * (0.5 + Math.random() / 2));
    }
    this.tellRunning(Boolean(this.running));
    this.followRunning();
    this.endOfPage.keep();
  }

  // Earlier messages, above those there are; what the reader looks at stays where it is.
  async earlier(link) {
    const page = await fresh(link.getAttribute("href"));
    if (!link.isConnected) return;
    equip(page);
    const first = this.messages[0];
    const { top } = first.getBoundingClientRect();
    link.closest("li").remove();
    for (const item of page.querySelectorAll("#thread>.earlier:first-child,#thread>.msg")) {
      if (!item.matches(".msg") || !this.has(item.firstElementChild.dataset.messageId)) first.before(item);
    }
    scrollBy({ top: first.getBoundingClientRect().top - top, behavior: "instant" });
    const last = first.previousElementSibling.querySelector("h2");
    last.tabIndex = -1;
    last.focus({ preventScroll: true });
  }

  merge(page) {
    equip(page);
    const items = [...page.querySelectorAll("#thread>.msg")];
    const ids = new Set(items.map((item) => item.firstElementChild.dataset.messageId));
    const first = items.length ? this.article(items[0].firstElementChild.dataset.messageId) : null;
    if (!first) {
      this.growing.clear();
      this.list.replaceChildren(...page.querySelector("#thread").children);
      this.list.hidden = !items.length;
      return;
    }
    let above = true; // messages that the page begins below of stay
    for (const item of this.messages) {
      if (item.contains(first)) above = false;
      if (!above && !ids.has(item.firstElementChild.dataset.messageId)) this.drop(item);
    }
    let last = null;
    for (const item of items) {
      const own = this.article(item.firstElementChild.dataset.messageId);
      if (!own) last.after(item);
      last = own ? this.update(own, item.firstElementChild) : item;
    }
  }

  update(own, fresh) {
    const item = own.closest("li");
    const ended = fresh.dataset.status !== "generating";
    if (ended && ("stale" in own.dataset || own.dataset.status === "generating")) {
      this.forget(own.dataset.messageId);
      own.replaceWith(fresh);
    } else if (own.dataset.version !== fresh.dataset.version) {
      own.dataset.version = fresh.dataset.version;
      own.querySelector(".branch")?.remove();
      const branch = fresh.querySelector(".branch");
      if (branch) own.querySelector(".acts").before(branch);
    }
    return item;
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
    this.forget(article.dataset.messageId);
    this.tellRunning(Boolean(this.running));
    this.endOfPage.keep();
  }

  drop(item) {
    this.forget(item.firstElementChild.dataset.messageId);
    item.remove();
  }

  forget(id) {
    this.growing.delete(id);
    this.asked.delete(id);
  }

  cost(article, ...line) {
    article.querySelector(".cost").replaceChildren(...line);
  }

  // What the next message leaves behind of the oldest, where it takes `kept` messages along and leaves out `dropped`; how
  // many that are. A question without an answer goes along nowhere, but what lies above it does.
  leaveBehind(kept, dropped) {
    const all = this.messages;
    const out = new Set();
    let place = all.length, room = kept;
    while (dropped && place > 0) {
      const start = Math.max(0, all.findLastIndex((item, at) => at < place && item.matches(".ask")));
      const exchange = all.slice(start, place);
      if (!isAnswered(exchange)) exchange.forEach((item) => out.add(item));
      else if (exchange.length > room) break;
      else room -= exchange.length;
      place = start;
    }
    const gone = dropped ? place : 0;
    const behind = dropped - out.size;
    all.forEach((item, at) => item.classList.toggle("gone", at < gone || out.has(item)));
    let cut = this.list.querySelector(".cut");
    if (!gone) cut?.remove();
    else {
      cut ??= element("li", "", "cut");
      cut.textContent = ngettext("The oldest message above is no longer sent", "%(count)s older messages above are no longer sent", behind, { count: count(behind) });
      if (all[gone - 1].nextElementSibling !== cut) all[gone - 1].after(cut);
    }
    return behind;
  }
}

// Whether a question and what stands below it say something, each of them; of an answer alone, the question is not shown.
function isAnswered(exchange) {
  if (!exchange[0].matches(".ask")) return true;
  return exchange.length > 1 && exchange.every((item) => item.querySelector("[data-content]").textContent.trim());
}

// Whether an answer has no words, as where all that a model was given to write with went into its thoughts.
export const isBlank = ({ content }) => !content.trim();

// What came whole gets what an answer gets here that came piece by piece.
function equip(root) {
  dress(root);
  root.querySelectorAll(".answer .body").forEach(part);
}
