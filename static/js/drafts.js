// What is written and not sent, kept by user and conversation, for the browser may be shared. It goes with what it was for.
const main = document.getElementById("main");
const own = `draft:${main.dataset.user}:`;
const place = (conversation) => `${own}${conversation || "new"}`;

export const draft = () => localStorage.getItem(place(main.dataset.conversation)) ?? "";

// Of a temporary chat nothing is kept, nor of one that will be.
const temporary = () => main.dataset.temporary || document.getElementById("temporary")?.checked;

export function keepDraft(words, conversation = main.dataset.conversation) {
  if (words && !temporary()) localStorage.setItem(place(conversation), words);
  else localStorage.removeItem(place(conversation));
}

// Of somebody who signs out neither.
document.querySelector("[data-sign-out]")?.addEventListener("submit", () => {
  for (const key of Object.keys(localStorage)) if (key.startsWith(own)) localStorage.removeItem(key);
});
