// Asks this server for the sentiment of the text whenever typing pauses.

const PAUSE = 350; // ms
const byId = (id) => document.getElementById(id);
const [text, adapter, verdict, bars, remark, keyForm, key] =
  ["text", "adapter", "verdict", "bars", "remark", "key-form", "key"].map(byId);
const result = document.querySelector("section");

let timer;
let asking; // what stops the request under way: only the newest answer counts

async function ask(path, options = {}) {
  const headers = { "Content-Type": "application/json" };
  const kept = sessionStorage.getItem("key");
  if (kept) headers.Authorization = `Bearer ${kept}`;
  const response = await fetch(path, { ...options, headers });
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) askForKey();
  if (!response.ok) throw new Error(body.error?.message ?? body.error ?? `the server said ${response.status}`);
  return body;
}

function askForKey() {
  keyForm.hidden = false;
  key.focus();
}

async function listAdapters() {
  const { adapters } = await ask("v1/adapters");
  adapter.replaceChildren(...adapters.map(({ name }) => new Option(name)));
}

async function classify() {
  asking?.abort();
  if (!text.value.trim()) return clear();
  asking = new AbortController();
  const { signal } = asking;
  const body = JSON.stringify({ texts: [text.value], adapter: adapter.value });
  result.classList.add("waiting");
  try {
    show((await ask("v1/predict", { method: "POST", body, signal })).predictions[0]);
  } catch (error) {
    if (error.name === "AbortError") return;
    clear();
    verdict.className = "error";
    verdict.textContent = error.message;
  }
  result.classList.remove("waiting");
}

function show(prediction) {
  verdict.className = colour(prediction.label);
  verdict.textContent = prediction.label;
  bars.replaceChildren(...Object.entries(prediction.probabilities).map(bar));
  remark.textContent = prediction.truncated ? "The text is too long to be read whole: a part was left out." : "";
}

function bar([label, probability]) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const length = document.createElement("progress");
  const share = document.createElement("span");
  item.className = colour(label);
  name.textContent = label;
  length.value = probability;
  length.setAttribute("aria-label", `confidence in ${label}`);
  share.textContent = `${(probability * 100).toFixed(1)} %`;
  item.append(name, length, share);
  return item;
}

function colour(label) {
  const folded = label.toLowerCase();
  return ["negative", "positive"].includes(folded) ? folded : "other";
}

function clear() {
  verdict.className = "";
  verdict.textContent = "\u00a0";
  bars.replaceChildren();
  remark.textContent = "";
  result.classList.remove("waiting");
}

async function begin() {
  try {
    await listAdapters();
    keyForm.hidden = true;
    await classify();
  } catch (error) {
    verdict.className = "error";
    verdict.textContent = error.message;
  }
}

text.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(classify, PAUSE);
});
adapter.addEventListener("change", classify);
keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", key.value);
  begin();
});
begin();
