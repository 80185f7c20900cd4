// The end of the page: it is followed as the text grows, but only while its reader is there and has not begun to leave.
const NEAR = 48; // pixels

export class End {
  constructor(list) {
    Object.assign(this, { list, followed: true, was: scrollY, jump: document.getElementById("jump") });
    this.jump.addEventListener("click", (event) => {
      event.preventDefault();
      this.go();
    });
    addEventListener("scroll", () => {
      if (this.near && scrollY > this.was) this.followed = true;
      this.look();
    }, { passive: true });
    this.heed();
    const resized = new ResizeObserver(() => (list.hidden ? this.look() : this.keep()));
    resized.observe(document.getElementById("composer"));
    resized.observe(list);
  }

  // Whoever moves up wants to leave, however near the end still is: the next words would take them back.
  heed() {
    let touched = 0;
    addEventListener("wheel", ({ target, deltaY, ctrlKey }) => { if (deltaY < 0 && !ctrlKey) this.leave(target); }, { passive: true });
    addEventListener("touchstart", ({ touches }) => { touched = touches[0].clientY; }, { passive: true });
    addEventListener("touchmove", ({ target, touches }) => {
      if (touches[0].clientY > touched) this.leave(target);
      touched = touches[0].clientY;
    }, { passive: true });
    addEventListener("keydown", ({ key, target, defaultPrevented }) => {
      if (defaultPrevented || target.matches("input,textarea,select")) return;
      if (["ArrowUp", "PageUp", "Home"].includes(key)) this.leave(target);
      if (key === "End") this.go(); // at once: where it scrolls gently, the end has moved on by then
    });
  }

  // Unless it is something on the page that scrolls, or the page does not.
  leave(target) {
    if (document.documentElement.scrollHeight <= innerHeight) return;
    for (let at = target; at && at !== document.documentElement; at = at.parentElement) if (at.scrollTop > 0) return;
    this.followed = false;
  }

  get near() {
    return innerHeight + scrollY > document.documentElement.scrollHeight - NEAR;
  }

  look() {
    const { near } = this;
    this.was = scrollY;
    if (!near) this.followed = false;
    else if (document.documentElement.scrollHeight <= innerHeight) this.followed = true;
    this.jump.hidden = near || this.list.hidden;
  }

  // Where something has come, or gone.
  keep() {
    if (this.followed) this.go();
    else this.look();
  }

  go() {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    this.followed = true;
    this.look();
  }
}
