// A WebSocket that is opened again whenever it closes, ever more slowly while that fails.
import { SIGNED_OUT_WORDS, isSame } from "./api.js";
import { gettext } from "./words.js";
const FIRST_WAIT = 500, LONGEST_WAIT = 15000, BLOCKED_WAIT = 5000, BLOCKED_LONGEST = 60000, SHOWN_AFTER = 400; // milliseconds
const ASLEEP = 20000, LOOK_EVERY = 2000; // milliseconds; a clock that jumps this far has slept
const HIDDEN = 60000; // milliseconds; a browser may let the timers of a hidden tab wait so long
const STEADY = 5000, HANDSHAKE = 10000; // milliseconds; how long one has held that is no failure, and may take to open
const SIGNED_OUT = 4401, ONCE_IN = 10000; // milliseconds
const OVER = { [SIGNED_OUT]: SIGNED_OUT_WORDS, 4404: gettext("This conversation was deleted.") };
const TRIES = 2; // handshakes that fail in a row before it is asked whether only sockets are blocked

export class Socket {
  constructor({ opened, event, state = () => {}, blocked = () => {} }) {
    Object.assign(this, { opened, event, state, blocked, tries: 0, failed: 0, before: false, isBlocked: false });
    addEventListener("online", () => this.renew());
    addEventListener("offline", () => this.lose(gettext("You are offline. What you write is kept.")));
    addEventListener("pageshow", ({ persisted }) => { if (persisted) this.renew(); });
    document.addEventListener("freeze", () => this.drop());
    document.addEventListener("resume", () => this.renew());
    this.wake();
  }

  // After a sleep the socket may be dead without knowing. In a hidden tab that is found out, and left until someone looks.
  wake() {
    let last = Date.now(), slept = false;
    const look = (patience) => {
      if (Date.now() - last > patience) slept = true;
      last = Date.now();
      if (document.hidden || !slept) return;
      slept = false;
      this.renew();
    };
    setInterval(() => look(document.hidden ? ASLEEP + HIDDEN : ASLEEP), LOOK_EVERY);
    document.addEventListener("visibilitychange", () => {
      look(ASLEEP + HIDDEN);
      if (!document.hidden && !this.open) this.now();
    });
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  // Milliseconds since anything was heard.
  get silence() {
    return Date.now() - this.heard;
  }

  start(path) {
    this.over = this.isBlocked = this.answers = false;
    this.tries = this.failed = 0;
    this.asked = undefined;
    this.address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
    this.connect();
  }

  // Until it is started anew.
  stop() {
    this.drop();
    clearTimeout(this.shown);
    this.shown = this.address = null;
    this.before = false;
  }

  send(frame) {
    if (!this.open) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  connect() {
    this.drop();
    if (!this.isBlocked) this.showLater();
    const socket = this.socket = new WebSocket(this.address);
    let opened = false;
    this.opening = setTimeout(() => socket.close(), HANDSHAKE);
    socket.onopen = () => {
      opened = true;
      clearTimeout(this.opening);
      clearTimeout(this.shown);
      this.shown = null;
      this.heard = Date.now();
      this.failed = 0;
      this.steady = setTimeout(() => { this.tries = 0; }, STEADY); // a server may accept, and close at once
      this.isBlocked = this.answers = false;
      this.state(true);
      this.opened(this.before);
      this.before = true;
    };
    socket.onmessage = ({ data }) => {
      this.heard = Date.now();
      this.event(JSON.parse(data));
    };
    socket.onclose = ({ code }) => {
      this.settle();
      if (code === SIGNED_OUT) return this.signedOut();
      if (OVER[code]) return this.refused(OVER[code]);
      if (!this.isBlocked) this.showLater();
      if (!opened && this.answers) this.block();
      this.again();
      if (!opened) this.failed += 1;
      if (this.failed >= TRIES && !this.isBlocked) this.ask();
    };
  }

  again() {
    clearTimeout(this.timer);
    const [first, longest] = this.isBlocked ? [BLOCKED_WAIT, BLOCKED_LONGEST] : [FIRST_WAIT, LONGEST_WAIT];
    const wait = Math.min(longest, first * 2 ** this.tries);
    this.tries += 1;
    this.timer = setTimeout(() => this.connect(), wait * (0.5 + Math.random() / 2));
  }

  // Where HTTP is answered and the handshake after that fails too, something on the way lets no sockets through.
  async ask() {
    try {
      const { status } = await fetch("/readyz", { cache: "no-store" });
      if (status >= 500 || this.open) return;
    } catch {
      return;
    }
    this.answers = true;
    this.connect();
  }

  block() {
    this.answers = false;
    if (this.isBlocked) return;
    this.isBlocked = true;
    this.tries = this.failed = 0;
    clearTimeout(this.shown);
    this.shown = null;
    this.blocked();
  }

  // Perhaps only the session has another key, since the same person signed out everywhere else from another tab.
  async signedOut() {
    const recently = Date.now() - (this.asked ?? -Infinity) < ONCE_IN;
    this.asked = Date.now();
    if (!recently && await isSame()) this.connect();
    else this.refused(OVER[SIGNED_OUT]);
  }

  refused(sentence) {
    this.drop();
    clearTimeout(this.shown);
    this.over = true; // trying again is of no use
    this.state(false, sentence, true);
  }

  showLater() {
    this.shown ??= setTimeout(() => this.state(false, navigator.onLine ? undefined : gettext("You are offline. What you write is kept.")), SHOWN_AFTER);
  }

  settle() {
    clearTimeout(this.opening);
    clearTimeout(this.steady);
  }

  // Hear no more of the socket there is, without a word.
  drop() {
    clearTimeout(this.timer);
    this.settle();
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  lose(sentence) {
    if (!this.address || this.over) return;
    this.drop();
    clearTimeout(this.shown);
    this.shown = null;
    this.state(false, sentence);
    this.again();
  }

  // A new one in place of one that may be dead without knowing.
  renew() {
    if (!this.address || this.over) return;
    this.tries = this.failed = 0;
    this.connect();
  }

  // The network is back, or the reader is: no need to wait on.
  now() {
    if (this.address && !this.over && this.socket?.readyState !== WebSocket.CONNECTING) this.connect();
  }
}
