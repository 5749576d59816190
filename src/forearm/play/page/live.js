"use strict";
// forearm live: an action is chosen, its prediction seen, and the arm carries it out. What it shares with forearm play is
// in page.js.

const POLL = 400; // ms from one question how the arm is to the next
const MOVING = 150; // while it moves

let chosen = 0; // which of the previews is seen
let arm = { control: "free", moving: "", stiff: true, trouble: "", seen: true };

const mine = () => arm.control === "you";

// What one can do

/** Ask for something that the arm's holder alone may. */
function change(path, body) {
  if (!mine()) trouble(arm.control === "other" ? "Somebody else controls the arm." : "Take control first: the arm does what one visitor at a time says.");
  else if (waiting < 1) {
    const asked = ask(path, body);
    watch();
    return asked.then(watch);
  }
}

/** Choose an action: its prediction is seen beside what the arm shows. */
function press(which) {
  if (!(which in state.previews)) return;
  [chosen, view.at] = [which, null];
  render();
}

/** Carry out the chosen action; from a trial that is looked at, go on to what the next one would show. */
function execute() {
  if (view.at !== null) return press(chosen);
  if (state.forbidden[chosen]) return trouble(`${state.forbidden[chosen]}.`);
  if (mine() && !isReady()) return; // it moves, or its buttons say what is first to be done
  change("/api/path/step", { number: state.now.number, which: chosen });
}

/** Whether the chosen action can be carried out now. */
const isReady = () => mine() && arm.stiff && arm.seen && !arm.moving && !waiting && !state.forbidden[chosen];

/** Stop the arm: whoever sees it may, and it waits for nothing. */
async function stopArm() {
  document.body.classList.add("stopping");
  setTimeout(() => document.body.classList.remove("stopping"), 300);
  await status("/api/arm/stop", {});
}

const control = () => status(mine() ? "/api/arm/release" : "/api/arm/take", {});

/** What the arm does at the press of a button; slack motors let it fall, so that is asked about. */
function deed(name) {
  if (name === "relax" && mine() && !confirm("The motors go slack and the arm falls. Support it, then press OK.")) return;
  change(`/api/arm/${name}`, {});
}

// How the arm is

let polling;
let isLost = false;

async function status(path, body) {
  try {
    arm = await talk(path, body);
    if (isLost) trouble("The page is connected again.");
    isLost = false;
    if (arm.version !== state.version && !waiting) show(await talk(`/api/path?since=${state.path.at(-1)?.number ?? -1}`));
    else showArm();
  } catch (error) {
    isLost = isLost || path === "/api/arm";
    trouble(error.message);
    showArm();
  }
}

async function watch() {
  clearTimeout(polling);
  await status("/api/arm");
  clearTimeout(polling);
  polling = setTimeout(watch, arm.moving ? MOVING : POLL);
}

// What is seen

let newest; // number of the last trial

/** A new trial is shown to everybody who looks on. */
function seen() {
  const last = state.path.at(-1)?.number ?? null;
  if (newest !== undefined && last !== newest) view.at = state.path.length - 1;
  else if (view.at !== null && view.at >= state.path.length) view.at = null;
  newest = last;
  if (!(chosen in state.previews)) chosen = 0;
  render();
}

function render() {
  document.body.classList.toggle("playing", view.at !== null);
  state.path.forEach((trial, i) => { trial.name = `trial ${state.summary.count - state.path.length + i + 1}`; });
  showPictures();
  showStart();
  showOverlay();
  showJoints({ ...state.now, true_joints: null });
  showChoices();
  for (const choice of document.querySelectorAll(".choice")) {
    const which = Number(choice.dataset.which);
    set(choice, "aria-pressed", view.at === null && which === chosen);
    choice.classList.toggle("forbidden", Boolean(state.forbidden[which]));
    choice.title = state.forbidden[which] ?? "";
  }
  showTrials();
  showMove();
  showArm();
}

function showPictures() {
  const trial = view.at === null ? null : state.path[view.at], moment = trial ? moments.get(trial.number) : state.previews[chosen];
  find("#title").textContent = "Predicted";
  find("#words").textContent = find("#words").title = trial ? `${trial.name}: ${trial.words}` : `what ${moment.words} would show`;
  find("#truth-title").textContent = trial ? "Actual" : "Now";
  find("#truth-note").textContent = trial ? "what the arm then showed" : [state.start.note, state.health].filter(Boolean).join(" · ");
  const over = view.overlay && moment[view.overlay];
  fill(find("#imagined .cameras"), moment.pictures, over || null, true);
  fill(find("#truth .cameras"), trial ? moment.truth : state.now.pictures, null, true);
  find("#expected-name").textContent = "expected";
  find("#expected-error").textContent = known(trial ? trial.expected_error : moment.expected_error);
  find("#trial-error").textContent = known(trial?.step_error);
  find("#unchanged-error").textContent = known(trial?.unchanged_error);
  find("#seconds").textContent = known(trial?.seconds);
  const told = trial ? `${trial.name}, ${trial.words}: error ${trial.step_error}, expected ${known(trial.expected_error)}` : `${moment.words}, expected error ${known(moment.expected_error)}`;
  find("#status").textContent = told;
}

function showTrials() {
  const { count, error, interval, expected_error: expected, unchanged_error: unchanged } = state.summary;
  find("#length").textContent = count ? `${count}, all kept${count > state.path.length ? `; the last ${state.path.length} are shown` : ""}` : "none yet: choose an action, then execute it";
  const summary = find("#summary");
  summary.replaceChildren();
  if (count) {
    summary.append("mean error ", make("b", "", error));
    if (interval[0]) summary.append(` (${interval[0]} to ${interval[1]})`);
    if (expected) summary.append(" · expected ", make("b", "", expected));
    summary.append(" · if unchanged ", make("b", "", unchanged));
  }
  const before = count - state.path.length;
  showPath(view.at, (trial, i) => thumb(trial, String(before + i + 1), [known(trial.expected_error), known(trial.step_error)],
    `look at ${trial.name}, ${trial.words}, error ${trial.step_error}`,
    () => {
      view.at = state.path.findIndex((one) => one.number === trial.number);
      render();
    }));
  find(".strip").hidden = !count;
}

/** Where the chosen joint may be moved. */
function showMove() {
  const { joint: index } = stage.dimensions[state.dimension], joint = stage.joints[index], form = find("#move");
  form.hidden = !joint;
  if (!joint) return;
  find("#move-joint").textContent = joint.name;
  find("#move-unit").textContent = joint.unit;
  const field = find("#move-to");
  [field.min, field.max] = [joint.low, joint.high];
  if (document.activeElement !== field) field.value = state.now.joints[index].toFixed(1);
}

function showArm() {
  const words = { you: "Release control", free: "Take control", other: "Somebody else has control" };
  find("#control").textContent = words[arm.control];
  find("#control").disabled = arm.control === "other";
  find("#control").classList.toggle("primary", arm.control === "free");
  const how = isLost ? "not connected" : arm.moving ? `the arm is ${arm.moving}` : arm.stiff ? "the arm is stiff: keep clear" : "the arm is slack";
  find("#arm").textContent = how;
  find("#arm").className = `chip ${isLost || arm.moving ? "moving" : arm.stiff ? "stiff" : "slack"}`;
  document.body.classList.toggle("moving", Boolean(arm.moving));
  find("#alarm").hidden = !arm.trouble;
  if (arm.trouble) find("#alarm p").textContent = `${arm.trouble[0].toUpperCase()}${arm.trouble.slice(1)}.`.replace("..", ".");
  find("#look").classList.toggle("primary", !arm.seen);
  const free = mine() && !arm.moving;
  for (const name of ["home", "relax", "look"]) find(`#${name}`).disabled = !free;
  find("#home").disabled ||= !arm.stiff;
  find("#hold").disabled = !free || arm.stiff;
  find("#relax").disabled ||= !arm.stiff;
  for (const part of find("#move").elements) part.disabled = !free || !arm.stiff;
  for (const part of find("#begin").elements) part.disabled = !free || !arm.stiff;
  const execute = find("#execute"), why = state.forbidden[chosen];
  execute.disabled = view.at === null && !isReady();
  execute.querySelector("span").textContent = arm.moving ? "Moving …" : view.at !== null ? "Next action" : `Execute ${NAMES[state.previews[chosen].code]}`;
  execute.title = why ?? (mine() ? "" : "take control first");
  execute.style.setProperty("--action", `var(${COLOURS[state.previews[chosen].code]})`);
}

// Keys and buttons

const onKey = {
  s: () => press(0), arrowright: () => press(1), "+": () => press(1), arrowleft: () => press(2), "-": () => press(2), "−": () => press(2),
  arrowup: () => choose(state.dimension - 1), arrowdown: () => choose(state.dimension + 1), enter: execute,
  u: () => { if (stage.knowsUncertainty) lay("uncertainty"); }, e: () => lay("error"), l: () => deed("look"),
};

function buildOwn() {
  document.body.classList.add("live");
  find("#folder").textContent = stage.folder;
  find("#begin").hidden = stage.sources[0].count < 2;
  find("#source").hidden = true; // there is one
}

function listenOwn() {
  find("#execute").addEventListener("click", execute);
  find("#control").addEventListener("click", control);
  find("#stop").addEventListener("click", stopArm);
  for (const name of ["home", "hold", "relax", "look"]) find(`#${name}`).addEventListener("click", () => deed(name));
  find("#move").addEventListener("submit", (event) => {
    event.preventDefault();
    change("/api/arm/move", { pose: { [stage.joints[stage.dimensions[state.dimension].joint].name]: find("#move-to").valueAsNumber } });
    find("#move-to").blur();
  });
  document.addEventListener("keydown", (event) => { // whatever is focused, but a space that is typed
    if (event.key !== "Escape" && !(event.key === " " && !event.target.matches("input"))) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    document.activeElement.blur(); // the next key is no letter of a field
    stopArm();
  }, true);
  watch();
}

main();
