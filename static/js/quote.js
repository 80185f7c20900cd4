// What the next message would cost at most, said while it is written; and how much of the limit it would use.
import { call } from "./api.js";
import { count, dollars } from "./money.js";
import { gettext, gettext_noop, pieces } from "./words.js";

const PAUSE = 250; // milliseconds after the last key

export class Quote {
  constructor(place, { ask, told, noted }) {
    Object.assign(this, { ask, told, noted, number: 0, base: 0 });
    this.words = place.querySelector("#quote");
    this.gauge = place.querySelector(".gauge");
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.now(), PAUSE);
  }

  async now() {
    clearTimeout(this.timer);
    const number = this.number += 1;
    const asked = this.ask();
    let quote;
    try {
      quote = await call("POST", "/api/quote/", asked.body);
    } catch {
      return; // what is shown stays; the next key asks again
    }
    if (number !== this.number) return;
    this.last = { ...asked.body, refusal: quote.refusal };
    this.show(quote, asked, this.told(quote, asked));
  }

  // The refusal that a message would get, where the last quote said that there would be one.
  async refusal({ content, tier }) {
    const said = () => (this.last?.content === content && this.last.tier === tier ? this.last.refusal : null);
    if (said()) await this.now();
    return said();
  }

  // `older`: how many messages are left behind.
  show(quote, { body, running }, older) {
    const { context, refusal, budget } = quote;
    const most = Object.assign(document.createElement("b"), { textContent: dollars(quote.max_cost_usd) });
    const tokens = count(quote.input_tokens);
    this.words.classList.toggle("near", Boolean(refusal));
    if (refusal?.code === "budget_exhausted") {
      const left = Object.assign(document.createElement("b"), { textContent: left5(budget.remaining_usd) });
      const said = budget.period === "day" ? gettext_noop("Needs up to %(most)s · %(left)s left today") : gettext_noop("Needs up to %(most)s · %(left)s left this month");
      this.words.replaceChildren(...pieces(said, { most, left }));
    } else if (refusal) this.words.replaceChildren(this.noted(refusal.message) ? "" : refusal.message);
    else {
      const whole = Object.assign(document.createElement("span"), { className: "wide", textContent: ` · ${gettext("the whole conversation fits")}` });
      const said = running ? gettext_noop("Next: at most %(most)s · %(tokens)s tokens in") : gettext_noop("At most %(most)s · %(tokens)s tokens in");
      const left = ` · ${gettext("%(count)s older not sent", { count: count(older) })}`;
      this.words.replaceChildren(...pieces(said, { most, tokens }), older && !running ? left : body.conversation && !running ? whole : "");
    }
    this.meter(context, body.content !== "");
  }

  meter({ prompt_tokens: used, limit }, draft) {
    if (!draft) this.base = used;
    const before = draft ? Math.min(this.base, used) : used;
    const width = (tokens) => `${(100 * Math.min(tokens, limit) / limit).toFixed(2)}%`;
    const [spent, held] = this.gauge.querySelectorAll("rect");
    spent.setAttribute("width", width(before));
    held.setAttribute("x", width(before));
    held.setAttribute("width", draft ? width(Math.max(used - before, limit / 100)) : "0");
    this.gauge.querySelector("svg").ariaLabel = gettext("Context: %(used)s of %(limit)s tokens", { used: count(used), limit: count(limit) });
    this.gauge.querySelector("bdi").textContent = `${count(used)} / ${count(limit)}`;
    this.gauge.hidden = false;
  }
}

// What is left rounds down: five decimals, cut.
function left5(text) {
  const [whole, fraction = ""] = text.split(".");
  return `$${whole}.${fraction.padEnd(5, "0").slice(0, 5)}`;
}
