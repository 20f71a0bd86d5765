// Puts the page together: the text and its answers, the adapters, the key, and the file.

import { Panel } from "./answer.js";
import { listAdapters, useKey } from "./api.js";
import { byId, element } from "./dom.js";
import { Editor } from "./editor.js";
import { FileCard } from "./file.js";

const PAUSE = 350; // ms

const editor = new Editor(byId("text"), byId("mirror"));
const file = new FileCard(() => chosen()[0], look);
const [adapterChoice, otherChoice] = [byId("adapter"), byId("other")];

let adapters = [];
let panels = [];
let timer;
let reading; // what stops the requests under way: only the newest answer counts

async function begin() {
  try {
    adapters = await listAdapters();
  } catch (error) {
    byId("answers").replaceChildren(element("p", { className: "error" }, error.message));
    if (error.status === 401) askForKey();
    return;
  }
  byId("key-form").hidden = true;
  const names = adapters.map(({ name }) => name);
  adapterChoice.replaceChildren(...names.map((name) => new Option(name)));
  adapterChoice.value = adapters.find((adapter) => adapter.default)?.name ?? names[0];
  otherChoice.replaceChildren(new Option("nothing", ""), ...names.map((name) => new Option(name)));
  byId("choices").hidden = names.length < 2;
  choose();
}

function chosen() {
  const names = [adapterChoice.value, otherChoice.value].filter(Boolean);
  return [...new Set(names)].map((name) => adapters.find((adapter) => adapter.name === name));
}

function choose() {
  panels = chosen().map((adapter) => new Panel(adapter));
  byId("answers").replaceChildren(...panels.map((panel) => panel.element));
  byId("answers").classList.toggle("compared", panels.length > 1);
  file.forget();
  read();
}

async function read() {
  clearTimeout(timer);
  reading?.abort();
  if (!panels.length) return begin(); // the server was away, or asked for a key
  const { text } = editor;
  const alone = panels.length === 1;
  byId("answers").ariaBusy = "true";
  reading = new AbortController();
  const { signal } = reading;
  try {
    const said = await Promise.all(panels.map((panel) => panel.read(text, signal, alone)));
    editor.colour(alone ? panels[0].words : []);
    byId("status").textContent = said.filter(Boolean).join("; ");
    byId("answers").ariaBusy = "false";
  } catch (error) {
    if (error.status === 401) askForKey();
    else if (error.name !== "AbortError") throw error;
  }
}

/** Show a text above, as if it had been typed. */
function look(text) {
  editor.text = text;
  editor.focus();
  byId("text").setSelectionRange(0, 0);
  byId("text-card").scrollIntoView({ block: "start" });
  read();
}

function askForKey() {
  if (byId("key-form").hidden) {
    byId("key-form").hidden = false;
    byId("key").focus();
  }
}

byId("text").addEventListener("input", () => {
  byId("examples").hidden = editor.text !== "";
  byId("answers").ariaBusy = "true"; // what is shown is of the text before
  clearTimeout(timer);
  timer = setTimeout(read, PAUSE);
});
adapterChoice.addEventListener("change", choose);
otherChoice.addEventListener("change", choose);
window.addEventListener("key-wanted", askForKey);
byId("examples").addEventListener("click", ({ target }) => target.matches("button") && look(target.textContent));
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value);
  byId("key").value = "";
  begin();
});
begin();
