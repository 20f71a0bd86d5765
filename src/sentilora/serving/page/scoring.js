// The texts of a table to one adapter: in batches within the server's limits, each different text once.

import { predict } from "./api.js";

const TEXTS = 16; // of a batch: others are answered in between, and progress moves
const AT_ONCE = 2; // batches under way

export class Scoring {
  #texts;
  #limits;
  #answers = new Map(); // by text: a prediction, or an Error that says why there is none

  /** @param {string[]} texts One a row; blank ones get no answer. */
  constructor(texts, adapter, limits) {
    this.#texts = texts;
    this.#limits = limits;
    this.adapter = adapter;
    this.different = [...new Set(texts.filter((text) => text.trim()))];
  }

  /** How many different texts have been dealt with. */
  get done() {
    return this.#answers.size;
  }

  get finished() {
    return this.done === this.different.length;
  }

  /** By row: a prediction; null where there is none. */
  get predictions() {
    return this.#texts.map((text) => {
      const answer = this.#answers.get(text);
      return answer instanceof Error ? null : answer ?? null;
    });
  }

  /** Why the server refused a text, by row; null where it did not. */
  get refusals() {
    return this.#texts.map((text) => {
      const answer = this.#answers.get(text);
      return answer instanceof Error ? answer.message : null;
    });
  }

  /** The `count` texts with the least sure answers, as [text, prediction]. */
  closest(count) {
    const answered = [...this.#answers].filter(([, answer]) => !(answer instanceof Error));
    return answered.sort(([, one], [, other]) => one.confidence - other.confidence).slice(0, count);
  }

  /** Ask for what has no answer yet. An error ends it; calling it again goes on where it was. */
  async run({ signal, onProgress, onWait }) {
    const waiting = this.#batches(this.different.filter((text) => !this.#answers.has(text)));
    const work = async () => {
      try {
        while (waiting.length) {
          await this.#read(waiting.shift(), { signal, onWait });
          if (!signal.aborted) onProgress();
        }
      } finally {
        waiting.length = 0; // where one fails, the others stop too
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
    const failed = ends.find(({ status }) => status === "rejected");
    if (failed) throw failed.reason;
  }

  async #read(texts, options) {
    try {
      const predictions = await predict(texts, this.adapter.name, options);
      texts.forEach((text, place) => this.#answers.set(text, predictions[place]));
    } catch (error) {
      if (![413, 422].includes(error.status)) throw error;
      if (texts.length === 1) {
        this.#answers.set(texts[0], error);
        return;
      }
      const half = texts.length >> 1; // one of them is too much, or all together
      await this.#read(texts.slice(0, half), options);
      await this.#read(texts.slice(half), options);
    }
  }

  #batches(texts) {
    const { max_texts, max_tokens, max_body } = this.#limits;
    const most = Math.max(1, Math.min(TEXTS, max_texts, Math.floor(max_tokens / this.adapter.max_length)));
    const batches = [];
    let bytes = Infinity;
    for (const text of texts) {
      const size = 3 * text.length + 8; // at most, in UTF-8
      if (bytes + size > max_body - 1000 || batches.at(-1).length === most) {
        batches.push([]);
        bytes = 0;
      }
      batches.at(-1).push(text);
      bytes += size;
    }
    return batches;
  }
}
