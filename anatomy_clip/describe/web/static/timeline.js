// Stations and organs along the slices of a series: one row a label, one column a slice.

import { make, mm } from "./dom.js";

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#9a7500", "#56b4e9", "#7a5195", "#757575"];
const ORGAN = "#5f6b7a";

export function draw(box, series, stations, choose) {
  const rows = [];
  stations.forEach((name, n) => {
    const colour = COLOURS[n % COLOURS.length];
    const ranges = series.ranges.filter((range) => range.station === name);
    if (!ranges.length && !series.slices.some((one) => has(one.stations, name))) return;
    const track = make("div", { class: "track" }, strip(series, "stations", name, colour));
    track.append(...ranges.map((range) => bar(range, series, colour)));
    rows.push(make("div", { class: "row station" }, make("span", { class: "name" }, name), track));
  });
  for (const { name } of series.organs) {
    const track = make("div", { class: "track" }, strip(series, "organs", name, ORGAN));
    rows.push(make("div", { class: "row" }, make("span", { class: "name" }, name), track));
  }
  const cursor = make("div", { class: "cursor" });
  const lane = make("div", { class: "lane" }, cursor);
  const drawing = make("div", { role: "img", "aria-label": spoken(series) }, ...rows, axis(series), lane);
  box.replaceChildren(drawing);
  const count = series.slices.length;
  lane.onpointerdown = (event) => {
    const { left, width } = lane.getBoundingClientRect();
    choose(Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * count))));
  };
  return (place) => { cursor.style.left = `${((place + 0.5) / count) * 100}%`; };
}

// "chest 0-210 mm, abdomen 210-480 mm"
export function told(series) {
  return series.ranges.map((range) => `${range.station} ${span(range)}`).join(", ");
}

function span({ first, last, from_mm, to_mm }) {
  if (from_mm === null || to_mm === null) return first === last ? `slice ${first + 1}` : `slices ${first + 1}\u2013${last + 1}`;
  return `${Math.round(from_mm)}\u2013${mm(to_mm)}`;
}

function spoken(series) {
  const organs = series.organs.map(({ name }) => name).join(", ");
  return `Along the series: ${told(series) || "no station"}. Organs: ${organs || "none"}. The table below lists each slice.`;
}

const has = (named, name) => named.some((one) => one.name === name);

// One pixel a slice; the surer, the darker.
function strip(series, kind, name, colour) {
  const canvas = make("canvas", { width: series.slices.length, height: 1 });
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour;
  series.slices.forEach((one, place) => {
    const found = one[kind].find((named) => named.name === name);
    if (!found) return;
    pen.globalAlpha = 0.15 + 0.85 * found.score;
    pen.fillRect(place, 0, 1, 1);
  });
  return canvas;
}

// Ranges count slices as they lie in the series; some may be missing here, since they couldn't be read.
function bar(range, series, colour) {
  const inside = series.slices.map((one, place) => [one.index, place]).filter(([index]) => index >= range.first && index <= range.last);
  const count = series.slices.length;
  const left = inside.length ? inside[0][1] : 0;
  const style = { left: `${(left / count) * 100}%`, width: `${(inside.length / count) * 100}%`, background: colour };
  return make("div", { class: "range", style, title: `${range.station} ${span(range)}` });
}

function axis(series) {
  const last = series.slices[series.slices.length - 1];
  const first = series.slices[0];
  const known = first.position_mm !== null && last.position_mm !== null;
  const ends = known ? [mm(0), mm(last.position_mm - first.position_mm)] : ["first", "last"];
  const words = series.slices.length > 1 ? ends : [""];
  return make("div", { class: "row axis" }, make("span", { class: "name" }), make("div", { class: "track" }, ...words.map((word) => make("span", {}, word))));
}
