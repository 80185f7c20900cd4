// One running answer: its finished blocks, which nobody touches again, and below them the open one as text.
const PIECE = 1000; // characters; a long open block is laid out in pieces, parted where a line ends

export class Growing {
  constructor(body) {
    Object.assign(this, { body, end: 0, placed: 0, text: "", fresh: "", blocks: [], html: "" });
    this.open = body.querySelector(".open");
    this.caret = Object.assign(document.createElement("span"), { className: "caret" });
  }

  add(end, content) {
    this.end = end;
    this.text += content;
    this.fresh += content;
  }

  // Places count characters, of which a string has some as two halves.
  place(start, end, html) {
    let cut = 0;
    for (let left = end - start; left; left -= 1) cut += this.text.codePointAt(cut) > 0xffff ? 2 : 1;
    this.fresh = this.text = this.text.slice(cut);
    this.placed = end;
    this.html += html;
    this.blocks.push(html);
  }

  show() {
    if (this.blocks.length) this.renew();
    // Space is shown once something follows it: mostly it is the end of a block.
    const shown = this.fresh.trimEnd();
    this.fresh = this.fresh.slice(shown.length);
    if (shown) this.write(shown);
  }

  renew() {
    const open = this.open.cloneNode(false);
    this.open.insertAdjacentHTML("beforebegin", this.blocks.join("")); // the server's, made safe there
    this.open.replaceWith(open);
    Object.assign(this, { open, last: null, blocks: [] });
    this.part();
  }

  write(text) {
    if (!this.last) this.part();
    let done = 0;
    for (;;) {
      const line = text.indexOf("\n", done + Math.max(0, PIECE - this.last.length));
      if (line < 0) return this.last.appendData(text.slice(done));
      this.last.appendData(text.slice(done, line));
      this.part();
      done = line + 1;
    }
  }

  part() {
    const piece = document.createElement("span");
    piece.append("", this.caret);
    this.last = piece.firstChild;
    this.open.append(piece);
  }

  finish(html) {
    if (!html.startsWith(this.html)) {
      this.body.innerHTML = html;
      return;
    }
    const rest = this.blocks.join("") + html.slice(this.html.length);
    this.open.insertAdjacentHTML("beforebegin", rest);
    this.open.remove();
  }
}
