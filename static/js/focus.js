// What has the focus in the thread, as something to call once it may be gone: then its like takes it, or the message box.
export function focused(thread) {
  const at = thread.list.contains(document.activeElement) ? document.activeElement : null;
  const { messageId = "" } = at?.closest("article")?.dataset ?? {};
  return () => {
    if (!at || at.isConnected) return;
    const again = at.dataset.act && thread.article(messageId)?.querySelector(`[data-act=${at.dataset.act}]`);
    if (again) again.focus({ preventScroll: true });
    else if (matchMedia("(pointer:fine)").matches) document.getElementById("text").focus({ preventScroll: true });
  };
}
