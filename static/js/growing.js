// One running answer: its finished blocks, which nobody touches again, and below them the open one as text.
import { dress } from "./code.js";
import { Parts } from "./parts.js";

const PIECE = 1000; // characters; a long open block is laid out in pieces, parted where a line ends
const LONG = 3 * PIECE; // or, where none does for so long, where one is wrapped

export class Growing {
  constructor(body) {
    Object.assign(this, { body, end: 0, placed: 0, text: "", fresh: "", blocks: [], html: "" });
    this.open = body.querySelector(".open");
    this.caret = this.open.querySelector(".caret");
    this.parts = new Parts(body, this.open);
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

  // Show what has come, or of its blocks so many characters of HTML; whether that was all.
  show(most) {
    if (this.blocks.length) {
      this.renew();
      this.insert(this.next(most));
      if (this.blocks.length) return false;
    }
    // Space is shown once something follows it: mostly it is the end of a block.
    const shown = this.fresh.trimEnd();
    this.fresh = this.fresh.slice(shown.length);
    if (shown) this.write(shown);
    if (this.ended) this.open.remove();
    else this.lower();
    return true;
  }

  next(most) {
    let count = 1;
    for (let size = this.blocks[0].length; count < this.blocks.length; count += 1) {
      size += this.blocks[count].length;
      if (size > most) break;
    }
    return this.blocks.splice(0, count).join("");
  }

  insert(html) {
    const made = document.createElement("div");
    made.innerHTML = html; // the server's, made safe there
    dress(made); // before it is laid out, which is then done once
    this.parts.add(made.childNodes);
  }

  // Anew, for what was there is in a block now; and a new element has not moved.
  renew() {
    const open = this.open.cloneNode(false);
    this.open.replaceWith(open);
    this.open = this.parts.before = open;
    this.piece();
  }

  // What stands below moves with what grows; a new element has not moved, and shifts nothing under the reader.
  lower() {
    const cost = this.body.parentElement.querySelector(".cost");
    cost.replaceWith(cost.cloneNode(true));
  }

  write(text) {
    if (!this.last) this.renew();
    // Blank lines before the first words are no part of their block.
    if (!this.last.length && this.open.childElementCount === 1) text = text.replace(/^(?:[ \t]*\n)+/, "");
    if (this.last.length > LONG) this.wrap();
    let done = 0;
    for (;;) {
      const line = text.indexOf("\n", done + Math.max(0, PIECE - this.last.length));
      if (line < 0) return this.last.appendData(text.slice(done));
      this.last.appendData(text.slice(done, line));
      this.piece();
      done = line + 1;
    }
  }

  // A paragraph without end: what begins its last line as it is wrapped now begins a piece, which moves nothing.
  wrap() {
    const range = document.createRange();
    const top = (place) => {
      range.setStart(this.last, place);
      range.setEnd(this.last, place + 1);
      return range.getBoundingClientRect().top;
    };
    let [low, high] = [0, this.last.length - 1];
    const line = top(high) - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (top(middle) < line) low = middle + 1;
      else high = middle;
    }
    if (!low) return;
    const rest = this.last.splitText(low);
    this.piece();
    this.last.replaceWith(rest);
    this.last = rest;
  }

  piece() {
    const piece = document.createElement("span");
    piece.append("", this.caret);
    this.last = piece.firstChild;
    this.open.append(piece);
  }

  // The whole HTML: that of the blocks, and of what was still open.
  finish(html) {
    this.ended = true;
    this.text = this.fresh = "";
    if (html.startsWith(this.html)) this.blocks.push(html.slice(this.html.length));
    else {
      this.blocks = [html];
      this.body.replaceChildren(this.open);
      this.parts = new Parts(this.body, this.open);
    }
  }
}
