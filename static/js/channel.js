// What the page says to its conversation and hears from it: by WebSocket or, where that is blocked, by plain HTTP.
import { Refused, SIGNED_OUT_WORDS, request, stream } from "./api.js";
import { Socket } from "./socket.js";
import { gettext } from "./words.js";

const SILENCE = 12000, LOOK_EVERY = 2000, POLL = 5000, AGAIN = 1500; // milliseconds
const STOP = "stop", FOLLOW = "follow"; // keys of these frames, which a refusal names: without one it is of all that is said
const FRAME = 150000; // characters, of six bytes each at most: a frame of more than 1 MiB would close the socket

export class Channel {
  constructor({ opened, event, state, waits }) {
    Object.assign(this, { opened, event, state, plain: false, followed: new Map(), posting: new Set(), stopping: null });
    this.socket = new Socket({
      opened: (again) => {
        this.leavePlain();
        this.begin(again);
      },
      // Of who was signed out, the socket's end tells more.
      event: (said) => {
        if (this.plain || said.error?.code === "not_authenticated") return;
        if (said.error?.key === STOP) this.failed(said.error);
        else event(said);
      },
      state: (connected, sentence, over) => { if (!this.plain) state(connected, sentence, over); },
      blocked: () => this.goPlain(),
    });
    // A connection can be dead and not know: while something is to come, silence is looked into.
    setInterval(() => {
      if (this.socket.open && waits() && this.socket.silence > SILENCE) this.socket.renew();
    }, LOOK_EVERY);
  }

  open(conversation) {
    this.conversation = conversation;
    if (this.plain) this.begin(false);
    else this.socket.start(`/ws/conversations/${conversation}/?blocks=0`);
  }

  // Nothing more is heard of it.
  close() {
    this.socket.stop();
    for (const control of this.followed.values()) control.abort();
    this.followed.clear();
  }

  // Whatever was being heard goes on from here, and Stop is said again: nobody knows whether it arrived.
  begin(again) {
    this.opened(again);
    if (this.stopping) this.stop(this.stopping, this.failed);
  }

  // Nothing comes any more, and trying again is of no use: until `open`.
  get over() {
    return this.socket.over;
  }

  get ready() {
    return this.plain || this.socket.open;
  }

  send({ key, content, tier, parent }) {
    const place = parent === undefined ? {} : { parent };
    if (!this.ready) return false;
    if (!this.plain && content.length <= FRAME) return this.socket.send({ type: "send", key, content, tier, ...place });
    return this.post(`/api/conversations/${this.conversation}/messages/?blocks=0`, key, { content, tier, ...place });
  }

  // The socket has no frame for it; what the answer says after its beginning comes there all the same.
  regenerate({ key, regenerate, tier }) {
    return this.post(`/api/messages/${regenerate}/regenerate/?blocks=0`, key, { tier });
  }

  // It is wished for until the reply has ended; `failed` is called where the wish could not be passed on now.
  stop(id, failed = () => {}) {
    Object.assign(this, { stopping: id, failed });
    if (!this.plain && this.socket.send({ type: "stop", key: STOP, message_id: id })) return;
    request("POST", `/api/messages/${id}/stop/`, {}).catch((error) => {
      if (this.stopping === id) failed(error);
    });
  }

  // Which reply runs now, if any.
  running(id) {
    if (this.stopping !== id) this.stopping = null;
  }

  follow(id, from, blocks) {
    if (!this.plain) return this.socket.send({ type: "follow", key: FOLLOW, message_id: id, from, blocks });
    this.followed.get(id)?.abort();
    const control = new AbortController();
    this.followed.set(id, control);
    this.listen(id, control, () => request("GET", `/api/messages/${id}/events/?from=${from}&blocks=${blocks}`, undefined, { Accept: "text/event-stream" }, control.signal));
  }

  async listen(id, control, begin) {
    try {
      const response = await begin();
      this.state(true);
      for await (const said of stream(response)) {
        if (control.signal.aborted) return;
        this.event(said);
        if (said.type === "done" || said.type === "error") return this.followed.delete(id);
      }
    } catch (error) {
      if (control.signal.aborted) return;
      if (error.code === "not_authenticated") return this.signedOut();
    }
    this.followed.delete(id);
    this.state(false);
    this.later();
  }

  post(path, key, body) {
    if (this.posting.has(key)) return true;
    this.posting.add(key);
    const control = new AbortController();
    const told = (error) => this.event({ type: "error", message_id: null, key, error });
    (async () => {
      let id;
      try {
        const response = await request("POST", path, body, { Accept: "text/event-stream", "Idempotency-Key": key }, control.signal);
        for await (const said of stream(response)) {
          if (control.signal.aborted) return;
          this.event(said);
          id ??= said.message?.id;
          this.posting.delete(key);
          if (id && !this.plain) return control.abort();
          if (id) this.followed.set(id, control);
          if (said.type === "done" || said.type === "error") return this.followed.delete(id);
        }
      } catch (error) {
        this.posting.delete(key);
        if (control.signal.aborted) return;
        if (error.code === "not_authenticated") this.signedOut();
        if (!id) return told(error instanceof Refused ? { ...error, message: error.message } : { code: "unreachable", message: gettext("The site cannot be reached.") });
      }
      this.followed.delete(id);
      this.later();
    })();
    return true;
  }

  goPlain() {
    this.plain = true;
    this.state(true);
    this.begin(true);
    this.poll = setInterval(() => { if (!document.hidden && !this.followed.size) this.begin(true); }, POLL);
  }

  later() {
    setTimeout(() => { if (this.plain && !this.over) this.begin(true); }, AGAIN);
  }

  // Over plain HTTP, this is where it is seen; a socket is told.
  signedOut() {
    if (!this.plain || this.over) return;
    this.leavePlain();
    this.socket.refused(SIGNED_OUT_WORDS);
  }

  leavePlain() {
    if (!this.plain) return;
    this.plain = false;
    clearInterval(this.poll);
    for (const control of this.followed.values()) control.abort();
    this.followed.clear();
  }
}
