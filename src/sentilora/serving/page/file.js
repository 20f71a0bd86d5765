// The part of the page that scores a file: drop it, watch it, stop it, go on.

import { limits } from "./api.js";
import { byId } from "./dom.js";
import { Result } from "./result.js";
import { Scoring } from "./scoring.js";
import { readTable, textColumn } from "./table.js";

const REDRAW = 500; // ms

const number = (count) => count.toLocaleString("en");
const rows = (count) => `${number(count)} ${count === 1 ? "row" : "rows"}`;

export class FileCard {
  #table = null;
  #scoring = null; // of the table's texts by the adapter, when it has begun
  #stop = null; // ends the work under way
  #adapter;
  #result;

  /**
   * @param {function} adapter Gives the adapter that is chosen.
   * @param {function} onRow Called with the text of a row that a person wants to look at.
   */
  constructor(adapter, onRow) {
    this.#adapter = adapter;
    this.#result = new Result(onRow);
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
    this.#result.hide();
    byId("progress").hidden = true;
    this.#say("");
    this.#nameButton();
  }

  async #score() {
    const stop = new AbortController();
    this.#stop = stop;
    this.#say("");
    this.#nameButton();
    let error = null;
    try {
      await this.#run(stop.signal);
    } catch (caught) {
      error = caught;
    }
    if (this.#stop !== stop) return; // it was forgotten meanwhile
    this.#stop = null;
    byId("progress").hidden = true;
    if (this.#scoring?.done) this.#result.show(this.#table, this.#scoring);
    if (error === null) this.#say(this.#summary());
    else if (error.name === "AbortError") this.#say("Stopped.");
    else this.#fail(error.message);
    if (error?.status === 401) window.dispatchEvent(new Event("key-wanted"));
    this.#nameButton();
  }

  async #run(signal) {
    const bounds = await limits();
    signal.throwIfAborted();
    const texts = this.#table.texts(Number(byId("column").value));
    this.#scoring ??= new Scoring(texts, this.#adapter(), bounds);
    await this.#scoring.run({
      signal,
      onProgress: this.#progress(),
      onWait: () => (byId("progress-text").textContent = "The server is busy: waiting for it."),
    });
  }

  #progress() {
    const scoring = this.#scoring;
    const [before, total, started] = [scoring.done, scoring.different.length, performance.now()];
    let drawn = -Infinity;
    const progress = () => {
      const now = performance.now();
      const left = ((now - started) / (scoring.done - before)) * (total - scoring.done);
      const told = now - started > 2000 && left > 0 ? `, ${duration(left / 1000)} left` : "";
      byId("progress-text").textContent = `${number(scoring.done)} of ${number(total)} texts${told}`;
      byId("bar").max = total;
      byId("bar").value = scoring.done;
      if (now - drawn > REDRAW) {
        this.#result.draw(scoring);
        drawn = now;
      }
    };
    byId("progress").hidden = false;
    progress();
    return progress;
  }

  #summary() {
    const scored = this.#scoring.predictions.filter(Boolean).length;
    const refusals = this.#scoring.refusals.filter(Boolean);
    const blank = this.#table.rows - scored - refusals.length;
    const parts = [
      `${rows(scored)} scored`,
      blank > 0 && `${number(blank)} without a text`,
      refusals.length > 0 && `${number(refusals.length)} refused: ${refusals[0].replace(/\.$/, "")}`,
    ];
    return `${parts.filter(Boolean).join(", ")}.`;
  }

  #nameButton() {
    const button = byId("score");
    const finished = !this.#stop && (this.#scoring?.finished ?? false);
    if (finished && document.activeElement === button) byId("download").focus(); // which comes in its place
    button.textContent = this.#stop ? "Stop" : this.#scoring ? "Go on" : "Score";
    button.hidden = finished;
  }

  #say(message) {
    byId("file-status").textContent = message;
    byId("file-error").textContent = "";
  }

  #fail(message) {
    byId("file-status").textContent = "";
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
