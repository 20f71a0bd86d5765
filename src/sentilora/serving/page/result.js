// What came of a file: a chart while it is being scored; then the rows to look at, and the file to take away.

import { percent } from "./answer.js";
import { draw } from "./chart.js";
import { byId, element } from "./dom.js";

const CLOSEST = 5; // rows that are shown

export class Result {
  #scoring = null;
  #url = "";
  #onRow;

  /** @param {function} onRow Called with the text of a row that a person wants to look at. */
  constructor(onRow) {
    this.#onRow = onRow;
    new ResizeObserver(() => this.#scoring && this.draw(this.#scoring)).observe(byId("result"));
  }

  hide() {
    this.#scoring = null;
    byId("result").hidden = byId("outcome").hidden = true;
  }

  /** The answers so far. */
  draw(scoring) {
    this.#scoring = scoring;
    byId("result").hidden = false;
    draw(byId("chart"), scoring.predictions.filter(Boolean), scoring.adapter);
  }

  /** All of it. */
  show(table, scoring) {
    this.draw(scoring);
    byId("outcome").hidden = false;
    byId("closest").replaceChildren(...scoring.closest(CLOSEST).map((answer) => this.#row(...answer)));
    URL.revokeObjectURL(this.#url);
    const parts = [table.mark, table.write(scoring.predictions.map(valuesOf))];
    this.#url = URL.createObjectURL(new Blob(parts, { type: "text/plain" }));
    const link = byId("download");
    link.href = this.#url;
    link.download = `${table.name.replace(/\.[^.]*$/, "")}-scored.${table.ending}`;
    link.textContent = `Download ${link.download}`;
  }

  #row(text, { label, confidence }) {
    const button = element("button", { type: "button", title: "Look at it above" }, text.replace(/\s+/g, " ").slice(0, 200));
    button.addEventListener("click", () => this.#onRow(text));
    return element("li", {}, button, element("span", { className: "soft" }, `${label}, ${percent(confidence)}`));
  }
}

/** The cells of a row, in the order of ANSWERS. */
const valuesOf = (answer) =>
  answer ? [answer.label, answer.p_positive, answer.confidence, answer.truncated] : [null, null, null, null];
