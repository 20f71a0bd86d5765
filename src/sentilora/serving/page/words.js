// Words and what they did to an answer, as coloured pieces of text.

const FAINT = 0.15; // of the strongest effect: what is weaker stays uncoloured, as in the terminal

/**
 * The words of an explanation.
 * @returns {{start: number, end: number, text: string, tone: string, effect: number, level: number}[]} `start` and
 *   `end` count as JavaScript does; `effect` is in log-odds towards `tone`, 0 or more; `level` is 0 (faint) to 3.
 */
export function wordsOf(text, explanation, knowsSentiment) {
  const places = placesOf(text);
  const strongest = Math.max(...explanation.spans.map(({ effect }) => Math.abs(effect)), 1e-9);
  return explanation.spans.map(({ start, end, effect }) => {
    const strength = Math.abs(effect) / strongest;
    return {
      start: places[start],
      end: places[end],
      text: text.slice(places[start], places[end]),
      tone: toneOf(effect > 0, explanation.label, knowsSentiment),
      effect: Math.abs(effect),
      level: strength < FAINT ? 0 : Math.ceil(strength * 3),
    };
  });
}

/** Nodes that show `text`, its `words` marked. */
export function pieces(text, words) {
  const nodes = [];
  let end = 0;
  for (const word of words.filter(({ level }) => level > 0)) {
    const mark = document.createElement("mark");
    mark.className = `${word.tone} level-${word.level}`;
    mark.textContent = text.slice(word.start, word.end);
    mark.title = described(word);
    nodes.push(text.slice(end, word.start), mark);
    end = word.end;
  }
  return [...nodes, text.slice(end)];
}

/** The words of an answer that did most, strongest first. */
export const strongest = (words, count) =>
  words.filter(({ level }) => level > 0).sort((one, other) => other.effect - one.effect).slice(0, count);

/** What a word did, in words. */
export const described = ({ text, tone, effect }) => `${shortened(text)}: ${effect.toFixed(2)} ${TONES[tone]}`;

/** A phrase in one short line. */
export function shortened(text) {
  const line = text.replace(/\s+/g, " ");
  return line.length > 32 ? `${line.slice(0, 30)}\u2026` : line;
}

export const TONES = {
  positive: "towards positive",
  negative: "towards negative",
  favours: "for this answer",
  opposes: "against this answer",
};

function toneOf(favours, label, knowsSentiment) {
  const folded = label.toLowerCase();
  if (!knowsSentiment || !["negative", "positive"].includes(folded)) return favours ? "favours" : "opposes";
  return favours === (folded === "positive") ? "positive" : "negative";
}

// The server counts code points, JavaScript UTF-16 units.
function placesOf(text) {
  const places = [];
  let at = 0;
  for (const character of text) {
    places.push(at);
    at += character.length;
  }
  return [...places, at];
}
