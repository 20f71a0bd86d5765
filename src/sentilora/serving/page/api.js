// Asks this server, waits where it says to, and puts what went wrong in one line.

const KEY = "sentilora-key";

/** An answer that is none. `status` is the HTTP status; 0 where the server could not be reached. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const useKey = (key) => sessionStorage.setItem(KEY, key);

export const listAdapters = async () => (await ask("v1/adapters")).adapters;
export const limits = () => ask("v1/limits");

/**
 * One prediction a text.
 * @param {object} options `explain` also asks which words made the answers; `signal` ends the request; `onWait` is
 *   called when the server is too busy and the request will be repeated.
 */
export async function predict(texts, adapter, { explain = false, ...options } = {}) {
  const body = JSON.stringify({ texts: texts.map(wellFormed), adapter, ...(explain && { explain }) });
  return (await ask("v1/predict", { ...options, body })).predictions;
}

async function ask(path, { body, signal, onWait } = {}) {
  for (;;) {
    const response = await request(path, body, signal);
    const answer = await response.json().catch(() => ({}));
    signal?.throwIfAborted();
    if (response.ok) return answer;
    if (response.status !== 429) throw new Refusal(response.status, reason(response, answer));
    onWait?.();
    await pause(Number(response.headers.get("Retry-After")) || 1, signal);
  }
}

async function request(path, body, signal) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: `Bearer ${key}` }) };
  try {
    return await fetch(path, { method: body ? "POST" : "GET", body, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The server cannot be reached.");
  }
}

function reason(response, answer) {
  if (response.status === 401) {
    return sessionStorage.getItem(KEY) ? "This key opens nothing here." : "This server asks for a key.";
  }
  const message = answer.error?.message ?? `the server answered with status ${response.status}`;
  return `${message[0].toUpperCase()}${message.slice(1)}.`;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

// Half of a character, as a cut in the middle of an emoji leaves it, is no Unicode.
const wellFormed = (text) => text.toWellFormed?.() ?? text;
