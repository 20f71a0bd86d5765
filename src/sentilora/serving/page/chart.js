// The answers to a file in one picture: how many of each label, and how they spread from negative to positive.

import { isSentiment, percent, toneOf } from "./answer.js";
import { element, svg } from "./dom.js";

const BINS = 20;
const HEIGHT = 150;
const BELOW = 22; // for the axis

/** Draw predictions into a figure as wide as it is. */
export function draw(figure, predictions, adapter) {
  const counts = countsOf(predictions, adapter);
  const spread = predictions.some(({ p_positive }) => isSentiment(adapter, p_positive))
    ? [histogram(predictions, adapter.answers_from, figure.clientWidth)]
    : [];
  figure.replaceChildren(tiles(counts, predictions.length), shares(counts, predictions.length), ...spread);
}

function countsOf(predictions, adapter) {
  const labels = [...adapter.labels];
  if (adapter.answers_from > 1 / labels.length) labels.splice(Math.ceil(labels.length / 2), 0, "uncertain");
  const counts = new Map(labels.map((label) => [label, 0]));
  for (const { label } of predictions) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts];
}

function tiles(counts, total) {
  const items = counts.map(([label, count]) =>
    element(
      "li",
      { className: toneOf(label) },
      element("strong", {}, total ? percent(count / total) : "\u2013"),
      element("span", {}, label),
      element("small", {}, `${count.toLocaleString("en")} ${count === 1 ? "row" : "rows"}`),
    ),
  );
  return element("ul", { className: "tiles" }, ...items);
}

function shares(counts, total) {
  const bar = element("div", { className: "shares", ariaHidden: "true" });
  for (const [label, count] of counts) {
    const part = element("span", { className: toneOf(label), title: `${label}: ${count.toLocaleString("en")}` });
    part.style.flexGrow = total ? count / total : 0;
    bar.append(part);
  }
  return bar;
}

function histogram(predictions, answersFrom, width) {
  const bins = Array(BINS).fill(0);
  for (const { p_positive } of predictions) bins[Math.min(BINS - 1, Math.floor(p_positive * BINS))] += 1;
  const highest = Math.max(...bins, 1);
  const step = width / BINS;
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${HEIGHT + BELOW}`,
    role: "img",
    "aria-label": `Rows by probability of positive, in ${BINS} bars from 0 to 1: ${bins.join(", ")}`,
  });
  bins.forEach((count, bin) => {
    const height = count ? Math.max(2, ((HEIGHT - 18) * count) / highest) : 0;
    const title = svg("title");
    title.textContent = `${(bin / BINS).toFixed(2)} to ${((bin + 1) / BINS).toFixed(2)}: ${count.toLocaleString("en")}`;
    const place = { x: bin * step + 1, y: HEIGHT - height, width: Math.max(1, step - 2), height, rx: 2 };
    picture.append(svg("rect", { ...place, class: toneOfBin((bin + 0.5) / BINS, answersFrom) }, title));
  });
  const tallest = bins.indexOf(highest);
  const anchor = tallest < 2 ? "start" : tallest > BINS - 3 ? "end" : "middle";
  const beside = { start: 1, middle: step / 2, end: step - 1 }[anchor];
  picture.append(
    svg("line", { x1: 0, x2: width, y1: HEIGHT + 0.5, y2: HEIGHT + 0.5 }),
    label(tallest * step + beside, 12, anchor, highest.toLocaleString("en")),
    label(0, HEIGHT + 17, "start", "surely negative"),
    ...(width > 400 ? [label(width / 2, HEIGHT + 17, "middle", "could be either")] : []),
    label(width, HEIGHT + 17, "end", "surely positive"),
  );
  return picture;
}

function toneOfBin(middle, answersFrom) {
  if (Math.max(middle, 1 - middle) < (answersFrom ?? 0)) return "uncertain";
  return middle < 0.5 ? "negative" : "positive";
}

const label = (x, y, anchor, text) => svg("text", { x, y, "text-anchor": anchor }, text);
