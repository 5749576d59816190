"use strict";
// Asks once a second what learning has come to, and shows it. What never changes is drawn once.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const EVERY = 1000;
let shows = "errors";
let state = null;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

const small = (value) => (value === null || value === undefined ? "–" : Number(value).toPrecision(3));
const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)}%`);
const span = (figure) => {
  if (!figure) return "–";
  const [low, high] = figure.interval || [];
  return figure.interval ? `${small(figure.value)} (${small(low)} to ${small(high)})` : small(figure.value);
};

function show() {
  byId("where").textContent = `${state.run || ""} ${state.where}`;
  document.title = `${state.actions ?? 0} actions · forearm learn`;
  byId("doing").textContent = state.outcome ? `It has ended: ${state.outcome}` : `It ${state.stopping ? "will stop soon; it " : ""}${state.doing}`;
  byId("asked").hidden = !state.waiting;
  byId("asked").querySelector("p").textContent = state.waiting ? `Please ${state.waiting}; then press “Scene rearranged”.` : "";
  byId("stop").disabled = Boolean(state.outcome || state.stopping);
  byId("rearranged").disabled = Boolean(state.outcome || state.rearranged);
  byId("rearranged").classList.toggle("on", Boolean(state.waiting));
  if (!state.joints) return;
  byId("progress").value = state.actions / state.budget;
  showFigures();
  showTrial();
  showChart();
  showCells();
  showCycles();
  document.body.dataset.ready = "";
}

function showFigures() {
  const training = state.training.step ? `${state.training.step} of ${state.training.steps || "?"}` : "–";
  const figures = {
    actions: `${state.actions} of ${state.budget}`,
    scene: state.rearranged ? `${state.scene + 1}, noted for the next action` : state.scene,
    "range of the joints": percent(state.share),
    "cells visited": `${state.covered} of ${state.reachable}`,
    chooses: state.choose,
    target: small(state.target),
    "steps of training": training,
    loss: small(state.training.loss),
  };
  byId("figures").replaceChildren(
    ...Object.entries(figures).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))),
  );
}

function showTrial() {
  const latest = state.latest;
  if (!latest) return;
  byId("action").textContent = `${latest.action}, to ${{ locked: "fill the locked set", wide: "fill the wide set" }[latest.purpose] || latest.purpose}`;
  byId("pictures").replaceChildren(
    ...latest.pictures.map((picture) =>
      element("figure", {}, ...picture.cameras.map((source) => element("img", { src: source, alt: picture.title })), element("figcaption", {}, picture.title)),
    ),
  );
  byId("errors").textContent = `Error ${small(latest.error)}, expected ${small(latest.expected_error)}; of the picture before, taken for the one after: ${small(latest.unchanged_error)}.`;
}

function showChart() {
  const [width, height, left, bottom] = [560, 210, 46, 22];
  const names = ["locked", "wide", "verified"];
  const points = state.cycles.flatMap((cycle) => names.filter((name) => cycle[name]).map((name) => cycle[name].value));
  if (!points.length) return;
  const most = 1.6 * Math.max(...points, state.target || 0); // a wide interval, as of two scenes, may not flatten the curves
  const last = Math.max(1, state.actions);
  const x = (actions) => left + ((width - left - 8) * actions) / last;
  const y = (error) => height - bottom - ((height - bottom - 8) * Math.min(most, Math.max(0, error))) / most;
  const chart = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "errors over recorded actions" });
  for (const part of [0, 0.5, 1]) {
    chart.append(drawn("line", { class: "axis", x1: left, x2: width - 8, y1: y(part * most), y2: y(part * most) }));
    chart.append(drawn("text", { x: left - 5, y: y(part * most) + 4, "text-anchor": "end" }, part ? (part * most).toPrecision(2) : "0"));
  }
  if (state.target) chart.append(drawn("line", { class: "axis", "stroke-dasharray": "4 4", x1: left, x2: width - 8, y1: y(state.target), y2: y(state.target) }));
  chart.append(drawn("text", { x: left, y: height - 4 }, "0"), drawn("text", { x: width - 8, y: height - 4, "text-anchor": "end" }, `${last} actions`));
  names.forEach((name, number) => {
    const shown = state.cycles.filter((cycle) => cycle[name]);
    const aside = 3 * (number - 1);
    const kept = shown.filter((cycle) => cycle.accepted || name === "verified");
    chart.append(drawn("path", { class: name, d: kept.map((cycle, i) => `${i ? "L" : "M"}${x(cycle.actions) + aside} ${y(cycle[name].value)}`).join("") }));
    for (const cycle of shown) {
      const { value, interval } = cycle[name];
      if (interval) chart.append(drawn("line", { class: `${name} span`, x1: x(cycle.actions) + aside, x2: x(cycle.actions) + aside, y1: y(interval[0]), y2: y(interval[1]) }));
      chart.append(drawn("circle", { class: `${name}${cycle.accepted ? "" : " rejected"}`, cx: x(cycle.actions) + aside, cy: y(value), r: 3 }));
    }
  });
  byId("chart").replaceChildren(chart);
}

function showCells() {
  const values = state[shows];
  const most = Math.max(...values.flat(2).filter((value) => value !== null), 1e-12);
  byId("cells").replaceChildren(
    ...state.joints.map((joint, dimension) => {
      const table = element("table", {}, element("caption", {}, joint.name));
      for (const code of [1, 0, 2]) {
        const row = element("tr", {}, element("th", { scope: "row" }, state.codes[code]));
        state.visits[dimension].forEach((parts, part) => {
          const [visits, value] = [parts[code], values[dimension][part][code]];
          const error = state.errors[dimension][part][code];
          const told = `${joint.name} ${state.codes[code]}, from ${joint.edges[part]} to ${joint.edges[part + 1]}: ${visits} visits, error ${small(error)}`;
          const cell = element("td", { title: told }, shows === "visits" && visits ? String(visits) : "");
          cell.classList.toggle("unvisited", !visits);
          cell.classList.toggle("out", !state.allowed[dimension][part][code]);
          if (visits && value !== null) {
            const depth = Math.sqrt(value / most);
            cell.style.background = `color-mix(in oklab, var(--focus) ${Math.round(12 + 88 * depth)}%, var(--panel))`;
            if (depth > 0.55) cell.style.color = "var(--paper)";
          }
          row.append(cell);
        });
        table.append(row);
      }
      const edges = element("div", { class: "edges" }, element("span", {}, joint.edges[0]), element("span", {}, joint.edges.at(-1)));
      return element("div", {}, table, edges);
    }),
  );
}

function showCycles() {
  byId("cycles").replaceChildren(
    ...[...state.cycles].reverse().map((cycle) =>
      element(
        "tr",
        {},
        ...[
          cycle.number,
          cycle.actions,
          span(cycle.locked),
          span(cycle.change),
          span(cycle.wide),
          span(cycle.verified),
          cycle.newness ? percent(cycle.newness.unlike) : "–",
          cycle.number ? (cycle.better ? "accepted, surely better" : cycle.accepted ? "accepted" : "rejected") : "start",
        ].map((value) => element("td", {}, String(value))),
      ),
    ),
  );
}

async function ask(path, options) {
  try {
    const answer = await fetch(path, options);
    if (!answer.ok) throw new Error(await answer.text());
    state = await answer.json();
    byId("trouble").hidden = true;
    show();
  } catch (error) {
    byId("trouble").hidden = false;
    byId("trouble").textContent = state && state.outcome ? "Learning has ended, and its page with it." : `No answer from forearm learn (${error.message}). It may have ended.`;
  }
}

const say = (path) => ask(path, { method: "POST", body: "" });
byId("rearranged").addEventListener("click", () => say("/api/rearranged"));
byId("stop").addEventListener("click", () => say("/api/stop"));
for (const button of document.querySelectorAll("[data-shows]")) {
  button.addEventListener("click", () => {
    shows = button.dataset.shows;
    for (const each of document.querySelectorAll("[data-shows]")) each.setAttribute("aria-checked", String(each === button));
    if (state && state.joints) showCells();
  });
}

async function forever() {
  await ask("/api/learning");
  setTimeout(forever, EVERY);
}
forever();
