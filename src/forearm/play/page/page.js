"use strict";
// What the pages of forearm play and forearm live share. Each has a script of its own besides, served as own.js: what
// one can do there, and what is seen of it. It defines press, change, seen, render, onKey, listenOwn and buildOwn.

const NAMES = ["STAY", "MOVE+", "MOVE−"];
const COLOURS = ["--stay", "--plus", "--minus"];
const RECORDED = 3;
const ORDER = [2, 0, 1, RECORDED]; // as the arrow keys lie
const KEYS = ["S", "→", "←", "F"];
const MOST_WAITING = 2;
const BOUNDS = { "-1": "lower bound", 1: "upper bound" };

const find = (selector) => document.querySelector(selector);
const view = { overlay: "", beside: true, at: null }; // at: the moment of the path that is played; null: the present
const moments = new Map(); // what each state of the path shows, by its number
let stage, state;

// Elements

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Leave the element alone where it has the attribute already: pictures would flicker. */
function set(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const known = (figure) => figure ?? "–";

// What the server is asked, one thing after the other

let waiting = 0;
let last = Promise.resolve();

function ask(path, body) {
  waiting += 1;
  last = last.then(() => fetchState(path, body)).finally(() => { waiting -= 1; });
  return last;
}

async function fetchState(path, body) {
  const wanted = typeof body === "function" ? body() : body;
  try {
    const told = await talk(path, wanted);
    if (!told.path.every((node) => node.moment || node.number === told.now.number || moments.has(node.number)))
      show(await talk("/api/path")); // another tab has gone on with this path
    else show(told);
  } catch (error) {
    trouble(error.message);
  }
}

async function talk(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("forearm does not answer any more; start it again and reload this page");
  }
  if (response.ok) return response.json();
  const said = await response.text();
  let told = said;
  try { told = JSON.parse(said).error; } catch { /* plain text */ }
  throw Object.assign(new Error(told), { retryAfter: Number(response.headers.get("Retry-After")) });
}

let silence;
function trouble(message) {
  const note = find("#trouble");
  note.textContent = message;
  note.hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => { note.hidden = true; }, 6000);
}

// What is laid over and beside the pictures

function lay(overlay) {
  view.overlay = view.overlay === overlay ? "" : overlay;
  render();
}

// What both can do

const begin = (source, number) => change("/api/path/begin", { source, number });
const choose = (dimension, value) => { if (dimension in stage.dimensions) change("/api/path/choose", { dimension, value }); };

// What is seen

/** Pictures of the cameras, each with what is laid over it; the elements stay, only what they show changes. */
function fill(node, sources, over, captions) {
  stage.cameras.forEach((camera, i) => {
    let figure = node.children[i];
    if (!figure) {
      const base = make("img"), heat = make("img", "over");
      [base.width, base.height, heat.alt] = [camera.width, camera.height, ""];
      base.style.height = "auto";
      figure = captions
        ? make("figure", "camera", make("div", "screen", base, heat), make("figcaption", "", camera.name))
        : make("div", "shot", base, heat);
      node.append(figure);
    }
    const [base, heat] = figure.querySelectorAll("img");
    const unknown = !sources;
    (captions ? figure.firstChild : figure).classList.toggle("unknown", unknown);
    set(base, "src", sources ? sources[i] : state.now.pictures[i]);
    set(base, "alt", captions ? (unknown ? `${camera.name}: unknown` : camera.name) : "");
    heat.hidden = !over;
    if (over) set(heat, "src", over[i]);
  });
}

function show(told) {
  state = told;
  for (const node of told.path) if (node.moment) moments.set(node.number, node.moment);
  moments.set(told.now.number, told.now);
  const here = new Set([told.now, ...told.path].map((node) => node.number));
  for (const number of moments.keys()) if (!here.has(number)) moments.delete(number);
  seen();
}

/** What is laid over the pictures, and which of its buttons is pressed. */
function showOverlay() {
  for (const button of document.querySelectorAll("[data-overlay]")) set(button, "aria-checked", button.dataset.overlay === view.overlay);
  find("#scale").hidden = !view.overlay;
}

/** Where the path began, unless somebody is choosing another start. */
function showStart() {
  if (document.activeElement !== find("#number")) find("#number").value = state.start.number;
  find("#source").value = state.start.source;
  limitNumber();
}

function showJoints(now) {
  const { previews } = state;
  for (const row of document.querySelectorAll(".joint")) {
    const dimension = row.dataset.dimension === "" ? null : Number(row.dataset.dimension);
    const chosen = dimension === state.dimension;
    set(row, "aria-checked", chosen);
    row.tabIndex = chosen ? 0 : -1;
    const index = Number(row.dataset.joint), joint = stage.joints[index];
    if (!joint) continue;
    const at = (value) => `${100 * Math.min(1, Math.max(0, (value - joint.low) / (joint.high - joint.low)))}%`;
    row.querySelector(".value").textContent = now.readings[index];
    bounded(row.querySelector(".chip.bound"), now.bounds[index]);
    row.querySelector(".fill").style.width = at(now.joints[index]);
    row.querySelector(".now").style.left = at(now.joints[index]);
    const isTrueKnown = view.beside && now.true_joints !== null;
    row.querySelector(".true").hidden = !isTrueKnown;
    if (isTrueKnown) row.querySelector(".true").style.left = at(now.true_joints[index]);
    row.querySelectorAll(".tick").forEach((tick, code) => {
      tick.hidden = !chosen || view.at !== null;
      tick.style.left = at(previews[code].joints[index]);
    });
  }
  find("#value").value = state.value;
  find("#value-told").textContent = state.reach;
}

/** Say at which bound a joint is. */
function bounded(chip, bound) {
  chip.hidden = !(bound in BOUNDS);
  chip.textContent = BOUNDS[bound] ?? "";
}

/** Whether training never moved the chosen joint so. */
const isUnseen = (code) => stage.unseen.some(([dimension, move]) => dimension === state.dimension && move === code);

/** Why actions of the chosen joint are guesses. */
function guesses() {
  const codes = NAMES.map((_, code) => code).filter((code) => stage.guesses.includes(code) || isUnseen(code));
  const [unpractised, practised] = [false, true].map((is) => codes.filter((code) => stage.practised.includes(code) === is));
  const why = (some, end) => some.length ? [`${some.map((code) => NAMES[code]).join(" and ")} ${some.length > 1 ? "are guesses" : "is a guess"}: the training data do not contain ${some.length > 1 ? "them" : "it"}${end}.`] : [];
  return [...why(unpractised, ""), ...why(practised, "; the model practised it on frames that do not change")].join(" ");
}

function showChoices() {
  find("#footnote").textContent = guesses();
  for (const choice of document.querySelectorAll(".choice")) {
    const which = Number(choice.dataset.which), preview = state.previews[which];
    choice.hidden = !preview;
    if (!preview) continue;
    const { code } = preview;
    choice.style.setProperty("--action", `var(${COLOURS[code]})`);
    fill(choice.querySelector(".shots"), preview.pictures, view.overlay === "uncertainty" ? preview.uncertainty : null, false);
    const isGuess = stage.guesses.includes(code) || (which !== RECORDED && isUnseen(code)), isRecorded = state.recorded === which;
    choice.classList.toggle("guess", isGuess);
    choice.querySelector(".chip.guess").hidden = !isGuess;
    choice.querySelector(".chip.recorded").hidden = !isRecorded || which === RECORDED;
    const { joint: index } = stage.dimensions[state.dimension], joint = stage.joints[index];
    const told = choice.querySelector(".outcome");
    if (which === RECORDED) told.textContent = preview.words;
    else if (joint) {
      told.textContent = `${preview.readings[index]} `;
      told.append(make("small", "soft", preview.changes[index]));
    }
    const bound = joint && which !== RECORDED && code ? preview.bounds[index] : 0;
    bounded(choice.querySelector(".chip.bound"), bound);
    const uncertainty = choice.querySelector(".uncertainty");
    uncertainty.hidden = preview.expected_error === null;
    uncertainty.lastChild.textContent = known(preview.expected_error);
    set(choice, "aria-label", `${which === RECORDED ? "replay the recorded action" : preview.words}: ${told.textContent.trim()}${bound ? `, the ${BOUNDS[bound]}` : ""}${isGuess ? ", a guess" : ""}`);
  }
}

/** Thumbnails of the path, of which that at a place is looked at; `make` makes a new one. */
function showPath(at, thumbnail) {
  const { path } = state, list = find("#path");
  const wanted = path.map((node) => String(node.number));
  for (const item of [...list.children]) if (!wanted.includes(item.dataset.number)) item.remove();
  path.forEach((node, i) => {
    if (!list.children[i]) list.append(thumbnail(node, i));
    set(list.children[i].querySelector(".thumb"), "aria-current", i === at);
  });
  const current = list.children[at];
  if (view.at === null || view.at === path.length - 1) list.scrollLeft = list.scrollWidth;
  else list.scrollLeft = current.offsetLeft - (list.clientWidth - current.offsetWidth) / 2;
}

/** A state of the path: its pictures, what is told above and below them, and before it the action that led there. */
function thumb(node, above, below, name, press) {
  const moment = moments.get(node.number);
  const frame = (sources, kind) => {
    const shown = make("span", `frame ${kind}`);
    stage.cameras.forEach((camera, each) => {
      const picture = make("img");
      [picture.width, picture.height, picture.src, picture.alt] = [camera.width, camera.height, (sources ?? moment.pictures)[each], ""];
      shown.append(picture);
    });
    return shown;
  };
  const button = make("button", "thumb", make("span", "told", above), frame(moment.pictures, "imagined"),
    frame(moment.truth, moment.truth ? "beside" : "beside unknown"), make("span", "told", below[0]), make("span", "told true", below[1]));
  button.title = node.words;
  set(button, "aria-label", name);
  button.addEventListener("click", press);
  const item = make("li");
  item.dataset.number = node.number;
  if (node.code !== null) {
    const band = make("span", "band");
    band.style.setProperty("--action", `var(${COLOURS[node.code]})`);
    item.append(band);
  }
  item.append(button);
  return item;
}

// The page, once

function build() {
  for (const part of document.querySelectorAll("[data-only]")) if (part.dataset.only !== stage.kind) part.remove();
  const root = document.documentElement.style;
  COLOURS.forEach((name, code) => root.setProperty(name, `rgb(${stage.palette[code].join(" ")})`));
  root.setProperty("--cameras", stage.cameras.length);
  root.setProperty("--aspect", Math.max(...stage.cameras.map((camera) => camera.height / camera.width)));
  document.documentElement.classList.toggle("single", stage.cameras.length === 1);
  document.title = `${stage.run} · forearm ${stage.kind}`;
  find("#kind").textContent = `forearm ${stage.kind}`;
  find("#run").textContent = `${stage.run} · family ${stage.family}`;
  for (const source of stage.sources) {
    const option = make("option", "", source.title);
    option.value = source.name;
    find("#source").append(option);
  }
  find('[data-overlay="uncertainty"]').hidden = find("#expected-error").parentElement.hidden = !stage.knowsUncertainty;
  find("#value-row").hidden = stage.discrete;
  find(".choices h2 small").hidden = !stage.discrete; // the slider takes its place
  buildJoints();
  ORDER.forEach((which) => find("#choices").append(choice(which)));
  buildOwn();
}

function buildJoints() {
  const driven = stage.dimensions.map((dimension) => dimension.joint);
  const rows = stage.joints.map((joint, index) => [index, driven.indexOf(index)]);
  stage.dimensions.forEach((dimension, i) => { if (dimension.joint < 0 || rows[dimension.joint][1] !== i) rows.push([-1, i]); });
  for (const [index, dimension] of rows) {
    const joint = stage.joints[index];
    const row = make("button", "joint", make("span", ""), make("span", "name", joint ? joint.name : stage.dimensions[dimension].name));
    row.dataset.joint = index;
    row.dataset.dimension = dimension < 0 ? "" : dimension;
    set(row, "role", "radio");
    row.disabled = dimension < 0;
    if (dimension >= 0 && dimension < 9) row.firstChild.append(make("kbd", "", String(dimension + 1)));
    if (dimension >= 0) row.addEventListener("click", () => choose(dimension));
    if (joint) {
      row.append(make("span", "chip bound"), make("b", "value"));
      const ticks = COLOURS.map((name) => {
        const tick = make("span", "tick");
        tick.style.background = `var(${name})`;
        return tick;
      });
      const gauge = make("span", "gauge", make("span", "fill"), make("span", "now"), ...ticks, make("span", "true"));
      row.append(make("span", "range", make("span", "", joint.bounds[0]), gauge, make("span", "", joint.bounds[1])));
    }
    find("#joints").append(row);
  }
}

function choice(which) {
  const name = which === RECORDED ? "REPLAY" : NAMES[which];
  const head = make("span", "head", make("b", "", name), make("kbd", "", KEYS[which]), make("span", "chip bound"), make("span", "chip guess", "guess"), make("span", "chip recorded", "recorded"));
  const told = make("span", "told", make("span", "outcome"), make("small", "uncertainty soft", make("i", "", "expected error "), ""));
  const button = make("button", "choice", make("span", "about", head, told), make("span", "shots"));
  button.dataset.which = which;
  button.addEventListener("click", () => press(which));
  return button;
}

/** The largest number that the chosen source has. */
function limitNumber() {
  const source = stage.sources.find((one) => one.name === find("#source").value);
  find("#counts").textContent = source.counts;
  find("#number").max = source.count - 1;
  find("#number").title = `0 to ${source.count - 1}`;
}

function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const key = event.key.toLowerCase();
    if (key === " " && event.target.matches("button, a")) return; // it presses what is focused
    const act = /^[1-9]$/.test(key) ? () => choose(Number(key) - 1) : onKey[key];
    if (!act) return;
    event.preventDefault();
    if (!event.repeat || "sarrowleftarrowright+-−".includes(key)) act();
  });
  document.addEventListener("click", (event) => { // else space would press again what the mouse pressed
    if (event.detail) event.target.closest("button, a")?.blur();
  });
  for (const button of document.querySelectorAll("[data-overlay]")) button.addEventListener("click", () => lay(button.dataset.overlay));
  find("#random").addEventListener("click", () => begin(find("#source").value, null));
  find("#source").addEventListener("change", limitNumber);
  find("#begin").addEventListener("submit", (event) => {
    event.preventDefault();
    begin(find("#source").value, find("#number").valueAsNumber);
    find("#number").blur();
  });
  find("#value").addEventListener("change", () => choose(state.dimension, find("#value").valueAsNumber));
  listenOwn();
}

/** Say that all places are taken, and ask again until one is free. */
function full(error) {
  document.body.classList.add("full");
  find("#full").hidden = false;
  find("#full p").textContent = `${error.message[0].toUpperCase()}${error.message.slice(1)}. This page asks again every ${error.retryAfter} seconds.`;
  setTimeout(main, 1000 * error.retryAfter);
}

async function main() {
  try {
    const [about, path] = await Promise.all([talk("/api/stage"), talk("/api/path")]);
    stage = { ...about, knowsUncertainty: path.previews.some((preview) => preview.expected_error !== null) };
    build();
    show(path);
    listen();
    document.body.dataset.ready = "yes";
    document.body.classList.remove("full");
    find("#full").hidden = true;
  } catch (error) {
    if (error.retryAfter) full(error);
    else trouble(error.message);
  }
}
