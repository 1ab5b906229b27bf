// One series: what it shows, its timeline, and its slices.

import { picture } from "./api.js";
import { at, findings, make, mm, title } from "./dom.js";
import { draw, told } from "./timeline.js";

export const kind = (series) => [series.modality, series.protocol, series.orientation].filter(Boolean).join(" ");

// Shows a series of a study; `moved(place)` is told of every slice that is chosen.
export function show(key, number, series, stations, burnedIn, moved) {
  at("one-h").textContent = title(series);
  at("one-caption").textContent = series.abstained ? "Nothing: the model is not certain enough." : series.caption;
  at("one-named").replaceChildren(...summary(series));
  at("one-notes").replaceChildren(...notes(series).map((note) => make("li", {}, note)));
  const slider = at("place");
  const count = series.slices.length;
  const choose = (place) => { slider.value = place; select(); };
  const point = draw(at("timeline"), series, stations, choose);
  slider.max = count - 1;
  slider.style.setProperty("--slices", count);
  at("slider").hidden = count === 1;
  const select = () => {
    const place = Number(slider.value);
    point(place);
    slice(key, number, place, series, burnedIn);
    moved(place);
  };
  slider.oninput = select;
  const all = at("all");
  all.open = false;
  all.ontoggle = () => all.querySelector(".scroll").replaceChildren(...(all.open ? [table(series)] : []));
  choose(Math.floor(count / 2));
}

function summary(series) {
  const words = [make("strong", {}, kind(series)), `, ${series.slices.length} ${series.slices.length === 1 ? "slice" : "slices"}`];
  const where = told(series) || findings(series.stations);
  if (where) words.push(make("br"), `Stations: ${series.ranges.length > 1 ? where : findings(series.stations) || where}`);
  if (series.organs.length) words.push(make("br"), `Organs: ${findings(series.organs)}`);
  return words;
}

function notes(series) {
  const said = series.agrees === false ? [`the header says ${series.body_part}, but the image shows something else`] : [];
  return [...said, ...series.notes, ...(series.evidence ? [`protocol from ${series.evidence}`] : [])];
}

function slice(key, number, place, series, burnedIn) {
  const one = series.slices[place];
  const where = `Slice ${place + 1} of ${series.slices.length}` + (one.position_mm === null ? "" : `, at ${mm(one.position_mm - series.slices[0].position_mm)}`);
  const named = one.abstained ? "nothing: the model is not certain enough" : findings([...one.stations, ...one.organs]);
  at("where").textContent = where;
  at("place").setAttribute("aria-valuetext", `${where}: ${named}`);
  const image = at("picture");
  image.hidden = burnedIn;
  at("no-picture").hidden = !burnedIn;
  if (!burnedIn) {
    image.src = picture(key, number, place);
    image.alt = `${where}: ${named}`;
  }
  const tables = [scores("Stations", one.stations), scores("Organs", one.organs)];
  at("findings").replaceChildren(...(one.abstained ? [make("p", {}, "Nothing: the model is not certain enough.")] : tables));
}

function scores(heading, named) {
  const rows = named.map(({ name, score }) => {
    const bar = make("div", { class: "score", "aria-hidden": "true" }, make("span", { style: { width: `${score * 100}%` } }));
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, bar), make("td", {}, score.toFixed(2)));
  });
  const none = make("tr", {}, make("td", {}, "none named"));
  return make("table", {}, make("caption", {}, heading), make("tbody", {}, ...(rows.length ? rows : [none])));
}

function table(series) {
  const head = ["Slice", "At", "Stations", "Organs"].map((word) => make("th", { scope: "col" }, word));
  const rows = series.slices.map((one, place) => {
    const far = one.position_mm === null ? "" : mm(one.position_mm - series.slices[0].position_mm);
    const words = [String(place + 1), far, one.abstained ? "not sure" : findings(one.stations), findings(one.organs)];
    return make("tr", {}, ...words.map((word) => make("td", {}, word)));
  });
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
}
