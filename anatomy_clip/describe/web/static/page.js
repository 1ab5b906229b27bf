// From files to a description: upload, wait, show.

import { ask, forget, picture, study } from "./api.js";
import { at, findings, make, title } from "./dom.js";
import { chosen, dropped } from "./files.js";
import { aim, begin, end } from "./playground.js";
import { kind, show } from "./series.js";

const AT_ONCE = 4; // uploads
const WAIT = 400; // milliseconds between two looks at the progress
let about = null;
let current = null; // { key, stopped } of the study that is shown or worked on

async function start() {
  try {
    about = await ask("GET", "api/about");
  } catch (error) {
    return trouble(error.message);
  }
  at("model").textContent = `Model: ${about.model} (bundle ${about.digest}).`;
  at("limits").textContent = `At most ${about.max_megabytes.toLocaleString("en")} MB and ${about.max_files.toLocaleString("en")} files.`;
}

async function add(files) {
  drop();
  trouble("");
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  if (!files.length) return trouble("There are no files to add.");
  if (!about) return trouble("The server does not answer. Is it still running?");
  if (files.length > about.max_files) return trouble(`These are ${files.length.toLocaleString("en")} files, but the limit is ${about.max_files.toLocaleString("en")}. Add fewer, or start the server with a larger --max-files.`);
  if (total > about.max_megabytes * 1e6) return trouble(`This is ${Math.ceil(total / 1e6).toLocaleString("en")} MB, but the limit is ${about.max_megabytes.toLocaleString("en")}. Add less, or start the server with a larger --max-upload.`);
  const mine = { key: null, stopped: false };
  current = mine;
  working(true);
  try {
    mine.key = (await ask("POST", "api/studies", { body: JSON.stringify({ modality: at("modality").value }) })).key;
    await upload(mine, files);
    const state = await wait(mine);
    if (mine.stopped) return;
    if (state.state === "failed") throw new Error(state.message);
    const description = await ask("GET", `${study(mine.key)}/description.json?page`);
    if (!mine.stopped) present(mine.key, description);
  } catch (error) {
    if (mine.stopped) return;
    trouble(error.message);
    drop();
  } finally {
    if (mine.stopped && mine.key) forget(mine.key);
    if (current === mine || !current) working(false);
  }
}

async function upload(mine, files) {
  const waiting = [...files];
  let sent = 0;
  const send = async () => {
    while (waiting.length && !mine.stopped) {
      const { file, name } = waiting.shift();
      await ask("PUT", `${study(mine.key)}/files`, { body: file, headers: { "X-Name": encodeURIComponent(name) } });
      sent += 1;
      if (!mine.stopped) progress(`Uploaded ${sent} of ${files.length} files`, sent / files.length);
    }
  };
  progress(`Uploading ${files.length === 1 ? "the file" : `${files.length} files`}`, null);
  await Promise.all(Array.from({ length: AT_ONCE }, send));
}

async function wait(mine) {
  if (mine.stopped) return null;
  let state = await ask("POST", `${study(mine.key)}/describe`);
  while (!mine.stopped && !["done", "failed"].includes(state.state)) {
    if (state.state === "waiting") progress("Waiting until the model is loaded and free", null);
    else if (!state.found) progress("Reading the files", null);
    else progress(`Described ${state.done} of ${state.found} slices`, state.done / state.found);
    await new Promise((done) => setTimeout(done, WAIT));
    state = await ask("GET", study(mine.key));
  }
  return state;
}

function present(key, { series, rejected: refused, shown }) {
  at("result").hidden = false;
  at("json").href = `${study(key)}/description.json`;
  const bad = at("refused");
  bad.hidden = !refused.length;
  bad.open = !series.length;
  bad.firstElementChild.textContent = `${refused.length} ${refused.length === 1 ? "file" : "files"} refused`;
  bad.lastElementChild.replaceChildren(...refused.map(({ path, reason }) => make("li", {}, make("strong", {}, path), `: ${reason}`)));
  at("one").hidden = !series.length;
  const single = series.length < 2;
  at("series-nav").hidden = single;
  document.querySelector(".split").classList.toggle("single", single);
  const open = (number) => {
    [...at("series").children].forEach((item, n) => item.firstElementChild.setAttribute("aria-current", n === number));
    show(key, number, series[number], about.stations, shown[number].burned_in, (place) => aim(key, number, place));
    begin(series[number], about.stations);
  };
  at("series").replaceChildren(...series.map((one, number) => make("li", {}, entry(key, one, number, shown[number].burned_in, () => {
    open(number);
    at("one-h").focus();
  }))));
  if (series.length) open(0);
  const slices = series.reduce((sum, one) => sum + one.slices.length, 0);
  tell(`${count(series.length, "series", "series")} with ${count(slices, "slice", "slices")} described${refused.length ? `, ${count(refused.length, "file", "files")} refused` : ""}.`);
  at("result-h").focus();
}

function entry(key, series, number, burnedIn, open) {
  const middle = Math.floor(series.slices.length / 2);
  const image = burnedIn ? make("span", { class: "blank" }) : make("img", { src: picture(key, number, middle), alt: "", loading: "lazy", width: 56, height: 56 });
  const where = series.abstained ? "not sure" : findings(series.stations);
  const words = make("span", {}, make("strong", {}, kind(series)), make("br"), title(series), make("br"), make("span", { class: "faint" }, where));
  return make("button", { type: "button", onclick: open }, image, words);
}

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

function drop() {
  end();
  if (current) {
    current.stopped = true;
    if (current.key) forget(current.key);
    current = null;
  }
  at("result").hidden = true;
  at("picture").removeAttribute("src");
  tell("");
}

function working(on) {
  at("progress").hidden = !on;
  if (!on) at("bar").removeAttribute("value");
}

function progress(words, share) {
  if (share === null) at("bar").removeAttribute("value");
  else at("bar").value = share;
  tell(words);
}

function tell(words) {
  at("status").textContent = words;
}

function trouble(words) {
  at("trouble").textContent = words;
  at("trouble").hidden = !words;
}

at("files").onchange = at("folder").onchange = (event) => add(chosen(event.target));
at("stop").onclick = () => { drop(); working(false); tell("Stopped."); at("files").focus(); };
at("forget").onclick = () => { drop(); tell("The study was removed. No part of it is kept."); at("files").focus(); };
// The whole page takes drops: one that misses the box must not open the file in place of the page.
addEventListener("dragover", (event) => { event.preventDefault(); at("drop").classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").classList.remove("over"); });
addEventListener("drop", async (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  try {
    add(await dropped(event.dataTransfer));
  } catch {
    trouble("The browser can't read what was dropped; choose the files with the button.");
  }
});
addEventListener("pagehide", () => { if (current?.key) forget(current.key); });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); }); // what it showed is forgotten
start();
