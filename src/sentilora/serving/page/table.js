// Tables from files: CSV, TSV and JSON lines in, the same with answers out.

// As people call the column with the texts; the same names as `sentilora score` knows.
export const TEXT_NAMES = [
  "text", "texts", "review", "reviewtext", "reviewbody", "content", "comment", "commenttext", "sentence", "body",
  "message", "tweet", "document", "feedback", "response", "answer",
];
export const ANSWERS = ["sentiment", "p_positive", "confidence", "truncated"];

const DELIMITERS = [",", ";", "\t", "|"];
// How a file begins that says how it is encoded.
const MARKS = { "utf-8": [0xef, 0xbb, 0xbf], "utf-16le": [0xff, 0xfe], "utf-16be": [0xfe, 0xff] };
const MOST_BYTES = 100_000_000;

/** The table in a file that a person dropped. Throws an Error whose message is for that person. */
export async function readTable(file) {
  if (/\.(xlsx?|ods|parquet|gz|zip|zst)$/i.test(file.name)) {
    throw new Error(`${file.name} cannot be read here: save it as CSV, or use sentilora score.`);
  }
  if (file.size > MOST_BYTES) throw new Error(`${file.name} is larger than 100 MB: use sentilora score.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const encoding = Object.keys(MARKS).find((name) => MARKS[name].every((byte, at) => byte === bytes[at]));
  const text = decoded(bytes, encoding ?? "utf-8", file.name);
  const json = /\.(jsonl|ndjson|json)$/i.test(file.name);
  const table = json ? new JsonLines(text) : new Delimited(text, /\.tsv$/i.test(file.name) ? "\t" : delimiterOf(text));
  if (!table.rows) throw new Error(`${file.name} holds no rows.`);
  table.name = file.name;
  table.mark = encoding ? "\ufeff" : ""; // by which Excel knows UTF-8
  table.answerColumns = ANSWERS.map((name) => freeName(name, table.columns));
  return table;
}

/** Where the texts are: the number of the column, and whether its name says so. */
export function textColumn(table) {
  const folded = table.columns.map((name) => name.replace(/[\s_-]/g, "").toLowerCase());
  const usual = TEXT_NAMES.find((name) => folded.includes(name));
  if (usual) return { column: folded.indexOf(usual), sure: true };
  const lengths = table.columns.map((_, column) => table.texts(column, 200).join("").length);
  return { column: lengths.indexOf(Math.max(...lengths)), sure: table.columns.length === 1 };
}

class Delimited {
  #cells;
  #delimiter;

  constructor(text, delimiter) {
    this.#delimiter = delimiter || ",";
    const [header = [], ...rows] = recordsOf(text, delimiter);
    const long = rows.findIndex((cells) => cells.length > header.length);
    if (long >= 0) {
      throw new Error(`Row ${long + 1} has ${rows[long].length} cells, and the header ${header.length}: is a quote missing?`);
    }
    this.columns = header;
    this.#cells = rows;
    this.rows = rows.length;
    this.ending = this.#delimiter === "\t" ? "tsv" : "csv";
  }

  texts(column, most = this.rows) {
    return this.#cells.slice(0, most).map((cells) => cells[column] ?? "");
  }

  /** The file with the answers, one array of values a row, beside the columns it had. */
  write(answers) {
    const width = this.columns.length;
    const line = (cells) => cells.map((cell) => this.#quoted(cell)).join(this.#delimiter);
    const rows = this.#cells.map((cells, row) => line([...cells, ...Array(width - cells.length).fill(""), ...answers[row]]));
    return [line([...this.columns, ...this.answerColumns]), ...rows, ""].join("\r\n");
  }

  #quoted(cell) {
    const text = String(cell ?? "");
    const plain = !text.includes(this.#delimiter) && !/["\r\n]|^\s|\s$/.test(text);
    return plain ? text : `"${text.replaceAll('"', '""')}"`;
  }
}

class JsonLines {
  #lines;
  #objects;
  ending = "jsonl";

  constructor(text) {
    this.#lines = text.trimStart().startsWith("[") ? elementsOf(text) : text.split("\n").filter((line) => line.trim());
    this.#objects = this.#lines.map(parsed);
    this.columns = [...new Set(this.#objects.flatMap(Object.keys))];
    this.rows = this.#objects.length;
  }

  texts(column, most = this.rows) {
    const values = this.#objects.slice(0, most).map((object) => object[this.columns[column]]);
    return values.map((value) => (typeof value === "string" ? value : ""));
  }

  // The lines themselves are kept, with numbers larger than JavaScript's.
  write(answers) {
    const lines = this.#lines.map((line, row) => {
      const ours = this.answerColumns.map((name, at) => `${JSON.stringify(name)}:${JSON.stringify(answers[row][at] ?? null)}`);
      const theirs = line.trim().slice(1, -1).trim();
      return `{${[theirs, ...ours].filter(Boolean).join(",")}}`;
    });
    return [...lines, ""].join("\n");
  }
}

function decoded(bytes, encoding, name) {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${name} is not UTF-8 text: save it as CSV UTF-8.`);
  }
}

/** What parts the cells of the header; nothing where it is one cell, whose texts may then hold commas. */
function delimiterOf(text) {
  const begin = text.replace(/^[\r\n]+/, "").slice(0, 10_000);
  const header = /^(?:"(?:[^"]|"")*"|[^"\r\n])*/.exec(begin)[0].replace(/"(?:[^"]|"")*"/g, "");
  const counts = DELIMITERS.map((delimiter) => header.split(delimiter).length);
  const most = Math.max(...counts);
  return most > 1 ? DELIMITERS[counts.indexOf(most)] : "";
}

/** The cells of each line that is not blank; quoted cells may hold delimiters, line breaks and doubled quotes. */
function recordsOf(text, delimiter) {
  const stop = new RegExp(`[${delimiter}\\r\\n]`, "g");
  const records = [];
  let cells = [];
  let at = 0;
  while (at < text.length || cells.length) {
    let cell = "";
    if (text[at] === '"') {
      const end = closingQuote(text, at, records.length);
      cell = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
    }
    stop.lastIndex = at;
    const next = stop.exec(text)?.index ?? text.length;
    cells.push(cell + text.slice(at, next));
    at = next + 1;
    if (text[next] === delimiter && delimiter) continue;
    if (text[next] === "\r" && text[at] === "\n") at += 1;
    if (cells.length > 1 || cells[0] !== "") records.push(cells);
    cells = [];
  }
  return records;
}

function closingQuote(text, opening, row) {
  let end = text.indexOf('"', opening + 1);
  while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2);
  if (end < 0) throw new Error(row ? `A quote that opens in row ${row} is never closed.` : "A quote in the header is never closed.");
  return end;
}

/** The elements of a JSON list as they are written, a line each: JavaScript would round large numbers. */
function elementsOf(text) {
  try {
    JSON.parse(text);
  } catch {
    throw new Error("The file begins as a JSON list, but is none.");
  }
  const elements = [];
  let depth = 0;
  let start = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]+|\\.)*"|[[\]{},]/g)) {
    const opens = token === "[" || token === "{";
    const closes = token === "]" || token === "}";
    if (closes) depth -= 1;
    if ((depth === 1 && token === ",") || (depth === 0 && closes)) elements.push(text.slice(start, index));
    if (opens) depth += 1;
    if (depth === 1 && (opens || token === ",")) start = index + 1;
  }
  return elements.map((element) => element.replace(/\s*[\r\n]\s*/g, " ").trim()).filter(Boolean);
}

function parsed(line, row) {
  let value;
  try {
    value = JSON.parse(line);
  } catch {
    value = null;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new Error(`Row ${row + 1} is no JSON object.`);
  }
  return value;
}

function freeName(name, columns) {
  const chosen = columns.includes(name) ? `${name}_predicted` : name;
  if (columns.includes(chosen)) throw new Error(`The file has a column ${name} and a column ${chosen}: rename one of them.`);
  return chosen;
}
