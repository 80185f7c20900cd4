// One conversation's WebSocket, opened again whenever it closes, ever more slowly while that fails.
const FIRST_WAIT = 500, LONGEST_WAIT = 15000, SHOWN_AFTER = 400; // milliseconds
const REFUSED = 4000; // from here on, close codes mean that trying again is of no use

export class Socket {
  constructor({ opened, state, event }) {
    Object.assign(this, { opened, state, event, tries: 0, before: false });
    addEventListener("online", () => this.now());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.now(); });
  }

  open(conversation) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.address = `${scheme}://${location.host}/ws/conversations/${conversation}/`;
    this.connect();
  }

  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  connect() {
    clearTimeout(this.timer);
    this.shown ??= setTimeout(() => this.state(false), SHOWN_AFTER);
    const socket = this.socket = new WebSocket(this.address);
    socket.onopen = () => {
      clearTimeout(this.shown);
      this.shown = null;
      this.tries = 0;
      this.state(true);
      this.opened(this.before);
      this.before = true;
    };
    socket.onmessage = ({ data }) => this.event(JSON.parse(data));
    socket.onclose = ({ code }) => {
      if (code >= REFUSED) return this.state(false, "You were signed out. Reload the page to sign in.");
      this.shown ??= setTimeout(() => this.state(false), SHOWN_AFTER);
      const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.tries++);
      this.timer = setTimeout(() => this.connect(), wait * (0.5 + Math.random() / 2));
    };
  }

  // The network is back, or the reader is: no need to wait on.
  now() {
    if (this.socket?.readyState === WebSocket.CLOSED) this.connect();
  }
}
