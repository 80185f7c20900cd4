// The line below an answer: how it ended, by which model, and what it cost.
import { count, dollars } from "./money.js";
import { gettext, gettext_noop, pieces } from "./words.js";

const STATES = {
  stopped: gettext("Stopped by you"), interrupted: gettext("Interrupted"), failed: gettext("Failed"), length: gettext("Cut at the length limit"),
  content_filter: gettext("Ended by the provider's content filter"),
};

export const element = (tag, textContent, className = "") => Object.assign(document.createElement(tag), { textContent, className });

export function costLine(message, usage) {
  const state = STATES[message.status] ?? STATES[message.finish_reason];
  const head = [state, usage?.model ?? message.model, usage ? "" : gettext("nothing was charged")].filter(Boolean).join(" · ");
  if (!usage) return [head];
  const about = (text) => (usage.estimated ? element("span", `≈ ${text}`, "est") : text);
  const figures = pieces(gettext_noop("%(input)s in · %(output)s out"), { input: about(count(usage.input_tokens)), output: about(count(usage.output_tokens)) });
  const cost = element("b", usage.estimated ? `≈ ${dollars(usage.cost_usd)}` : dollars(usage.cost_usd), usage.estimated ? "est" : "");
  return [`${head} · `, ...figures, " · ", cost, usage.estimated ? ` ${gettext("estimated")}` : ""];
}
