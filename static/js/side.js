// The list, the purse and the header's figures, taken anew from the server when something has changed.
export async function refreshSide(conversation) {
  let page;
  try {
    const response = await fetch(`/side/?c=${conversation ?? ""}`, { redirect: "error" });
    if (!response.ok) return;
    page = new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    return; // what is shown stays; the next change brings it up to date
  }
  for (const fresh of page.querySelectorAll("[data-part]")) {
    for (const own of document.querySelectorAll(`[data-part="${fresh.dataset.part}"]`)) {
      if (!own.contains(document.activeElement)) own.replaceChildren(...fresh.cloneNode(true).childNodes);
    }
  }
}
