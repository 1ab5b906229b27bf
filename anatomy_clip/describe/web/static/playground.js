// Two captions on one slice (the paper's Fig. 3, live): asked again whenever a word or the slice changes.

import { ask, study } from "./api.js";
import { at } from "./dom.js";

const PAUSE = 250; // milliseconds after the last key
let target = null; // { key, series, slice }
let timer = 0;
let busy = false;
let again = false;

export function begin(series, stations) {
  const suggest = () => {
    const [first, second] = pair(series, stations);
    at("first").value = first;
    at("second").value = second;
    soon();
  };
  at("restart").onclick = suggest;
  suggest();
}

export function aim(key, series, slice) {
  target = { key, series, slice };
  soon();
}

export function end() {
  target = null;
  clearTimeout(timer);
}

at("play").onsubmit = (event) => { event.preventDefault(); soon(); };
at("first").oninput = at("second").oninput = soon;

function soon() {
  clearTimeout(timer);
  timer = setTimeout(compare, PAUSE);
}

async function compare() {
  if (!target) return;
  if (busy) { again = true; return; } // one question at a time; the last one counts
  const captions = [at("first").value, at("second").value];
  if (captions.some((one) => !one.trim())) { tell("Type both captions.", [0, 0]); return; }
  busy = true;
  const { key, series, slice } = target;
  try {
    const found = await ask("POST", `${study(key)}/compare`, { body: JSON.stringify({ series, slice, captions }) });
    if (target) tell(verdict(found), found.shares);
  } catch (error) {
    if (target) tell(error.message, [0, 0]);
  } finally {
    busy = false;
    if (again) { again = false; soon(); }
  }
}

function verdict({ cosines: [a, b], shares }) {
  const numbers = `Cosine A ${a.toFixed(3)}, B ${b.toFixed(3)}; at the model's temperature ${percent(shares[0])} to ${percent(shares[1])}.`;
  const margin = Math.abs(a - b);
  if (margin < 0.0005) return `Both captions fit the slice equally well. ${numbers}`;
  return `Caption ${a > b ? "A" : "B"} fits the slice better, by ${margin.toFixed(3)}. ${numbers}`;
}

const percent = (share) => `${(share * 100).toFixed(share > 0.995 || share < 0.005 ? 1 : 0)}\u202f%`;

function tell(words, shares) {
  at("verdict").textContent = words;
  ["first-share", "second-share"].forEach((id, n) => { at(id).firstElementChild.style.width = `${shares[n] * 100}%`; });
}

// The series' own caption, and one that contradicts it in one word.
function pair(series, stations) {
  const caption = series.caption || `An image of ${stations[0]} region`;
  const said = stations.find((name) => caption.includes(`${name} region`));
  const shown = series.stations.map(({ name }) => name);
  const other = stations.find((name) => name !== said && !shown.includes(name));
  return [caption, said && other ? caption.replace(`${said} region`, `${other} region`) : `An image of ${stations[stations.length - 1]} region`];
}
