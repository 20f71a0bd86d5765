// What one adapter says of a text: the verdict, how sure it is, and the words that made it so.

import { predict, Refusal } from "./api.js";
import { element } from "./dom.js";
import { pieces, shortened, strongest, TONES, wordsOf } from "./words.js";

const SHOWN_WORDS = 6;
const SYMBOLS = { positive: "\u25b2", negative: "\u25bc", uncertain: "\u25c6", favours: "+", opposes: "\u2212" };
const LABELS = ["positive", "negative", "uncertain"];

/** A share for people; what is nearly everything or nothing is not called that. */
export function percent(share) {
  if (share < 1 && share >= 0.9995) return "> 99.9\u00a0%";
  if (share > 0 && share < 0.0005) return "< 0.1\u00a0%";
  return `${(share * 100).toFixed(1)}\u00a0%`;
}

/** The colour of a label. */
export function toneOf(label) {
  const folded = label.toLowerCase();
  return LABELS.includes(folded) ? folded : "other";
}

export class Panel {
  /** @param {object} adapter As the server lists it. */
  constructor(adapter) {
    this.adapter = adapter;
    this.words = [];
    this.element = element("article", { className: "answer", ariaLabel: `What ${adapter.name} says` });
    this.clear();
  }

  clear() {
    this.words = [];
    this.element.classList.remove("waiting");
    this.element.replaceChildren(element("p", { className: "soft" }, "The answer appears here."));
  }

  /** Show the answer as soon as it is there, and then its words. Returns it in a few words; of a blank text, none. */
  async read(text, signal, inPlace) {
    if (!text.trim()) {
      this.clear();
      return "";
    }
    this.element.classList.add("waiting");
    const onWait = () => this.#say("The server is busy: trying again.");
    try {
      const [prediction] = await predict([text], this.adapter.name, { signal, onWait });
      this.#show(prediction);
      this.element.classList.remove("waiting");
      await this.#explain(text, { signal, onWait }, inPlace);
      return `${this.adapter.name}: ${prediction.label}, ${percent(prediction.confidence)}`;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.words = [];
      this.element.replaceChildren(element("p", { className: "error" }, error.message));
      this.element.classList.remove("waiting");
      if (error.status === 401) throw error;
      return error.message;
    }
  }

  async #explain(text, options, inPlace) {
    try {
      const [{ explanation, p_positive }] = await predict([text], this.adapter.name, { explain: true, ...options });
      this.#say(this.remarks);
      this.words = wordsOf(text, explanation, p_positive !== null);
      this.element.querySelector(".words").replaceChildren(...this.#reasons());
      if (!inPlace) this.element.querySelector(".words").before(copy(text, this.words));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.words = [];
      this.#say(error.message);
    }
  }

  #show(prediction) {
    const { label, confidence, p_positive, probabilities, truncated, readable } = prediction;
    const tone = toneOf(label);
    const remarks = [
      tone === "uncertain" && `Too close to call: this server answers from ${percent(this.adapter.answers_from)} on.`,
      !readable && "It holds no word that the model knows: this answer means nothing.",
      truncated && "Too long to be read whole: a part was left out.",
    ];
    this.remarks = remarks.filter(Boolean).join(" ");
    this.element.replaceChildren(
      element("p", { className: "name" }, this.adapter.name),
      element(
        "p",
        { className: `verdict ${tone}` },
        element("span", { className: "symbol", ariaHidden: "true" }, SYMBOLS[tone] ?? "\u25cf"),
        element("strong", {}, label),
        element("span", { className: "sure" }, sureness(label, confidence, probabilities)),
      ),
      isSentiment(this.adapter, p_positive) ? gauge(p_positive, this.adapter.answers_from) : bars(probabilities),
      element("p", { className: "remark" }, this.remarks),
      element("ul", { className: "words" }),
    );
  }

  #reasons() {
    return strongest(this.words, SHOWN_WORDS).map((word) =>
      element(
        "li",
        { className: `${word.tone} level-${word.level}`, title: word.text },
        element("span", { ariaHidden: "true" }, SYMBOLS[word.tone]),
        " ",
        element("span", { className: "word" }, shortened(word.text)),
        ` ${word.effect.toFixed(2)}`,
        element("span", { className: "unseen" }, ` ${TONES[word.tone]}`),
      ),
    );
  }

  #say(message) {
    const remark = this.element.querySelector(".remark") ?? this.element.appendChild(element("p", { className: "remark" }));
    remark.textContent = message;
  }
}

/** Whether an answer lies between negative and positive, and nothing else. */
export const isSentiment = (adapter, positive) => positive !== null && adapter.labels.length === 2;

function sureness(label, confidence, probabilities) {
  if (label in probabilities) return `${percent(confidence)} sure`;
  const [likeliest] = Object.entries(probabilities).sort((one, other) => other[1] - one[1])[0];
  return `leans ${likeliest}, ${percent(confidence)}`;
}

const copy = (text, words) => element("p", { className: "copy" }, ...pieces(text, words));

/** From negative on the left to positive on the right, the band of no answer in the middle. */
function gauge(positive, answersFrom) {
  const needle = element("span", { className: "needle" });
  needle.style.left = `${positive * 100}%`;
  const track = element("div", { className: "track" }, needle);
  track.setAttribute("role", "img");
  track.setAttribute("aria-label", `${percent(positive)} positive, ${percent(1 - positive)} negative`);
  if (answersFrom > 0.5) {
    const band = element("span", { className: "band", title: `No answer between ${percent(1 - answersFrom)} and ${percent(answersFrom)}` });
    band.style.left = `${(1 - answersFrom) * 100}%`;
    band.style.right = `${(1 - answersFrom) * 100}%`;
    track.prepend(band);
  }
  return element("div", { className: "gauge" }, element("span", {}, "negative"), track, element("span", {}, "positive"));
}

function bars(probabilities) {
  const items = Object.entries(probabilities).map(([label, probability]) => {
    const length = element("progress", { value: probability, ariaLabel: `probability of ${label}` });
    return element("li", {}, element("span", {}, label), length, element("span", {}, percent(probability)));
  });
  return element("ul", { className: "bars" }, ...items);
}
