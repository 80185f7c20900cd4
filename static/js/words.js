// The page's language. Scripts say their words in English, and the page brings what these are in another language.
const known = JSON.parse(document.getElementById("words")?.textContent ?? "{}");

// A sentence as strings and values in turn; a value may be an element.
export const pieces = (text, values = {}) => (known[text] ?? text).split(/%\((\w+)\)s/).map((piece, place) => (place % 2 ? values[piece] : piece));

export const gettext = (text, values) => pieces(text, values).join("");

export const ngettext = (one, many, n, values = {}) => {
  const form = n === 1 ? 0 : 1; // as in English; a language with more forms than two would need more here
  return pieces(known[one]?.[form] ?? [one, many][form], values).join("");
};

export const language = document.documentElement.lang || "en";

export const gettext_noop = (text) => text; // marks for translation what `pieces` is given later
