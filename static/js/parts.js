// The blocks of a long answer, kept in parts: what is far from the reader need not be laid out again for what is new.
const FIRST = 40, PART = 20; // blocks that stand by themselves, and those of a part
const NEAR = 2; // parts that may still be in sight

export class Parts {
  constructor(body, before = null) {
    Object.assign(this, { body, before, room: FIRST, parts: [] });
  }

  // Take nodes, in order; which part each belongs to follows from its number alone.
  add(nodes) {
    for (const node of [...nodes]) {
      if (node.nodeType === Node.ELEMENT_NODE) {
        if (!this.room) this.begin();
        this.room -= 1;
      }
      if (this.parts.length) this.parts.at(-1).append(node);
      else this.body.insertBefore(node, this.before);
    }
  }

  begin() {
    this.parts.at(-NEAR)?.classList.add("far");
    this.parts.push(Object.assign(document.createElement("div"), { className: "part" }));
    this.body.insertBefore(this.parts.at(-1), this.before);
    this.room = PART;
  }
}

// An answer that came whole, as it would stand here had it come piece by piece.
export function part(body) {
  if (body.childElementCount <= FIRST || body.querySelector(":scope>.part")) return;
  const all = [...body.childNodes];
  body.replaceChildren();
  new Parts(body).add(all);
}
