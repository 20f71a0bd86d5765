// A text area whose words are coloured in place: under it lies a mirror, the same text letter on letter.

import { pieces } from "./words.js";

export class Editor {
  #area;
  #mirror;
  #drawn = ""; // the text that the words belong to
  #words = [];

  constructor(area, mirror) {
    this.#area = area;
    this.#mirror = mirror;
    area.addEventListener("input", () => this.#follow());
    area.addEventListener("mousemove", (event) => {
      const under = document.elementsFromPoint(event.clientX, event.clientY);
      area.title = under.find((element) => element.parentElement === mirror)?.title ?? "";
    });
    this.#follow();
  }

  get text() {
    return this.#area.value;
  }

  set text(text) {
    this.#area.value = text;
    this.#area.parentElement.scrollTop = 0;
    this.#area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  focus() {
    this.#area.focus();
  }

  /** Colour these words of the text. */
  colour(words) {
    this.#words = words;
    this.#draw();
  }

  // Colours stay with the words that typing has not touched, so that they do not flicker.
  #follow() {
    const [before, after] = [this.#drawn, this.text];
    const shorter = Math.min(before.length, after.length);
    let same = 0;
    while (same < shorter && before[same] === after[same]) same += 1;
    let tail = 0;
    while (tail < shorter - same && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
    const shift = after.length - before.length;
    this.#words = this.#words
      .filter(({ start, end }) => end <= same || start >= before.length - tail)
      .map((word) => (word.end <= same ? word : { ...word, start: word.start + shift, end: word.end + shift }));
    this.#draw();
  }

  #draw() {
    this.#drawn = this.text;
    this.#mirror.replaceChildren(...pieces(this.text, this.#words), "\u200b"); // which gives an empty last line height
  }
}
