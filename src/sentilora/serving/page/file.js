// The part of the page that scores a file: drop it, watch it, look at the result, take it away.

import { percent } from "./answer.js";
import { limits } from "./api.js";
import { draw } from "./chart.js";
import { byId, element } from "./dom.js";
import { Scoring } from "./scoring.js";
import { readTable, textColumn } from "./table.js";

const CLOSEST = 5; // rows that are shown
const REDRAW = 500; // ms

const number = (count) => count.toLocaleString("en");
const rows = (count) => `${number(count)} ${count === 1 ? "row" : "rows"}`;

export class FileCard {
  #table = null;
  #scoring = null; // of the table's texts by the adapter, when it has begun
  #stop = null; // ends the work under way
  #url = "";
  #adapter;
  #onRow;

  /**
   * @param {function} adapter Gives the adapter that is chosen.
   * @param {function} onRow Called with the text of a row that a person wants to look at.
   */
  constructor(adapter, onRow) {
    this.#adapter = adapter;
    this.#onRow = onRow;
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.open(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
    byId("file-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#stop) this.#stop.abort();
      else this.#score();
    });
    byId("column").addEventListener("change", () => this.forget());
    new ResizeObserver(() => this.#drawChart()).observe(byId("result"));
    this.#takeDrops();
  }

  /** Read a file, and score it where it is clear which column holds the texts. */
  async open(file) {
    this.forget();
    byId("file-form").hidden = true;
    try {
      this.#table = await readTable(file);
    } catch (error) {
      this.#fail(error.message);
      return;
    }
    const { column, sure } = textColumn(this.#table);
    byId("column").replaceChildren(...this.#table.columns.map((name, at) => new Option(name || `column ${at + 1}`, at)));
    byId("column").value = column;
    byId("file-name").textContent = `${file.name}, ${rows(this.#table.rows)}`;
    byId("file-form").hidden = false;
    if (sure) await this.#score();
    else this.#say("Which column holds the texts?");
  }

  /** Another file, column or adapter was chosen: what was answered is not asked for any more. */
  forget() {
    this.#stop?.abort();
    this.#stop = null;
    this.#scoring = null;
    for (const id of ["progress", "download", "result"]) byId(id).hidden = true;
    this.#say("");
    this.#fail("");
    this.#nameButton();
  }

  async #score() {
    const stop = new AbortController();
    this.#stop = stop;
    this.#fail("");
    this.#say("");
    this.#nameButton();
    let error = null;
    try {
      const texts = this.#table.texts(Number(byId("column").value));
      const bounds = await limits();
      if (this.#stop !== stop) return;
      this.#scoring ??= new Scoring(texts, this.#adapter(), bounds);
      await this.#scoring.run({
        signal: stop.signal,
        onProgress: this.#progress(),
        onWait: () => (byId("progress-text").textContent = "The server is busy: waiting for it."),
      });
    } catch (caught) {
      error = caught;
    }
    if (this.#stop !== stop) return; // it was forgotten meanwhile
    this.#stop = null;
    byId("progress").hidden = true;
    if (this.#scoring?.done) this.#show();
    if (error === null) this.#say(this.#summary());
    else if (error.name === "AbortError") this.#say("Stopped.");
    else this.#fail(error.message);
    if (error?.status === 401) window.dispatchEvent(new Event("key-wanted"));
    this.#nameButton();
  }

  #progress() {
    const scoring = this.#scoring;
    const [before, total, started] = [scoring.done, scoring.different.length, performance.now()];
    let drawn = -Infinity;
    const progress = () => {
      const now = performance.now();
      const left = ((now - started) / 1000 / (scoring.done - before)) * (total - scoring.done);
      byId("bar").max = total;
      byId("bar").value = scoring.done;
      byId("progress-text").textContent =
        `${number(scoring.done)} of ${number(total)} texts` + (now - started > 2000 && left > 0 ? `, ${duration(left)} left` : "");
      if (now - drawn > REDRAW) {
        this.#drawChart();
        drawn = now;
      }
    };
    byId("progress").hidden = byId("result").hidden = false;
    progress();
    return progress;
  }

  #show() {
    this.#drawChart();
    byId("result").hidden = false;
    const items = this.#scoring.closest(CLOSEST).map(([text, { label, confidence }]) => {
      const button = element("button", { type: "button", title: "Look at it above" }, text.replace(/\s+/g, " ").slice(0, 200));
      button.addEventListener("click", () => this.#onRow(text));
      return element("li", {}, button, element("span", { className: "soft" }, `${label}, ${percent(confidence)}`));
    });
    byId("closest").replaceChildren(...items);
    const values = this.#scoring.predictions.map((answer) =>
      answer ? [answer.label, answer.p_positive, answer.confidence, answer.truncated] : [null, null, null, null],
    );
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(new Blob([this.#table.write(values)], { type: "text/plain;charset=utf-8" }));
    const link = byId("download");
    link.href = this.#url;
    link.download = `${this.#table.name.replace(/\.[^.]*$/, "")}-scored.${this.#table.ending}`;
    link.textContent = `Download ${link.download}`;
    link.hidden = false;
  }

  #summary() {
    const scored = this.#scoring.predictions.filter(Boolean).length;
    const refused = this.#scoring.refusals.filter(Boolean);
    const blank = this.#table.rows - scored - refused.length;
    const parts = [
      `${rows(scored)} scored`,
      blank > 0 && `${number(blank)} without a text`,
      refused.length > 0 && `${number(refused.length)} refused: ${refused[0]}`,
    ];
    return `${parts.filter(Boolean).join(", ").replace(/\.$/, "")}.`;
  }

  #drawChart() {
    if (!this.#scoring || byId("result").hidden) return;
    draw(byId("chart"), this.#scoring.predictions.filter(Boolean), this.#scoring.adapter);
  }

  #nameButton() {
    byId("score").textContent = this.#stop ? "Stop" : this.#scoring ? "Go on" : "Score";
    byId("score").hidden = !this.#stop && (this.#scoring?.finished ?? false);
    byId("column").disabled = this.#stop !== null;
  }

  #say(message) {
    byId("file-status").textContent = message;
  }

  #fail(message) {
    byId("file-error").textContent = message;
  }

  #takeDrops() {
    const card = byId("file-card");
    const over = (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      card.classList.add("over");
    };
    window.addEventListener("dragenter", over);
    window.addEventListener("dragover", over);
    window.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget ?? card.classList.remove("over"));
    window.addEventListener("drop", (event) => {
      card.classList.remove("over");
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      this.open(event.dataTransfer.files[0]);
    });
  }
}

function duration(seconds) {
  if (seconds < 90) return `about ${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `about ${Math.round(seconds / 60)} min` : `about ${Math.round(seconds / 3600)} h`;
}
