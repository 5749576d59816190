"use strict";
// forearm play: steps through what a model imagines. What both kinds of page share is in page.js.

const PACE = 500; // ms a step, as long as an action of the arm takes

// What one can do

/** Take an action; it is what `repeat` repeats. */
function step(which, follows = which === RECORDED) {
  stop();
  repeated = follows ? "recorded" : which;
  take(which);
}

async function take(which) {
  if (waiting >= MOST_WAITING || !(which in state.previews)) return;
  const choice = find(`.choice[data-which="${which}"]`);
  choice.classList.add("taken");
  setTimeout(() => choice.classList.remove("taken"), 120);
  await ask("/api/path/step", () => ({ number: state.now.number, which }));
}

const press = (which) => step(which);

/** Ask for another path than that which is played. */
function change(path, body) {
  stop();
  if (waiting < MOST_WAITING) ask(path, body);
}
const undo = () => { if (state.path.length > 1) change("/api/path/undo", {}); };
const reset = () => begin(state.start.source, state.start.number);
const follow = () => { if (state.recorded !== null) step(state.recorded, true); };
function beside() {
  view.beside = !view.beside;
  render();
}

// Auto-play: an action again and again, or the path from its start

let playing = null; // "repeat" or "path"
let pause;
let repeated = null; // the action that the visitor took last, or "recorded"

/** The action to repeat: null where there is none. */
const again = () => (repeated === "recorded" ? state.recorded : repeated ?? state.path.at(-1).code);

function stop(why) {
  if (!playing) return;
  clearTimeout(pause);
  [playing, view.at] = [null, null];
  render();
  if (why) trouble(why);
}

/** Start to play, or stop what plays; `go` plays one step and says why it is the last, if it is. */
function play(what, go) {
  const was = playing;
  stop();
  if (was === what) return;
  playing = what;
  find("#trouble").hidden = true;
  const next = async () => {
    const end = await go();
    if (playing !== what) return; // stopped meanwhile
    if (end === undefined) pause = setTimeout(next, PACE);
    else stop(end);
  };
  next();
}

function repeat() {
  if (playing !== "repeat" && again() === null) return;
  play("repeat", async () => {
    const which = again(), { length } = state.path, { joint } = stage.dimensions[state.dimension];
    if (which === null) return "The recording ends here.";
    const { code } = state.previews[which], bound = code === 1 ? 1 : code === 2 ? -1 : null;
    if (repeated !== "recorded" && state.now.bounds[joint] === bound) return `${stage.joints[joint].name} is at its ${BOUNDS[bound]}.`;
    await take(which);
    if (state.path.length === length) return ""; // refused, and said so
  });
}

function playPath() {
  if (state.path.length < 2) return;
  play("path", () => {
    view.at = view.at === null ? 0 : view.at + 1;
    if (view.at === state.path.length) return "";
    render();
  });
}

// What is seen

function seen() {
  if (playing === "path") stop(); // another path than that which was played
  else render();
}

function render() {
  const at = view.at ?? state.path.length - 1, node = state.path[at], now = moments.get(node.number);
  document.body.classList.toggle("playing", view.at !== null);
  showNow(at, node, now);
  showStart();
  showOverlay();
  showJoints(now);
  showChoices();
  showSteps(at);
  showPlaying();
}

function showNow(at, node, now) {
  const { path, start } = state, steps = path.length - 1;
  find("#title").textContent = at ? "Imagined" : "Start";
  find("#words").textContent = find("#words").title = at ? `step ${at}${at < steps ? ` of ${steps}` : ""}: ${node.words}` : start.note;
  find("#truth-note").textContent = now.truth ? (start.source === "simulator" ? "simulated" : "recorded") : "unknown: nobody recorded this";
  find("#truth").hidden = !view.beside;
  fill(find("#imagined .cameras"), now.pictures, view.overlay ? now[view.overlay] : null, true);
  fill(find("#truth .cameras"), now.truth, null, true);
  find("#expected-error").textContent = known(node.expected_error);
  find("#step-error").textContent = known(node.step_error);
  find("#path-error").textContent = known(node.path_error);
  set(find("#beside"), "aria-pressed", view.beside);
  const dimension = stage.dimensions[state.dimension], joint = stage.joints[dimension.joint];
  const bound = joint && BOUNDS[now.bounds[dimension.joint]];
  const told = joint ? `${joint.name} ${now.readings[dimension.joint]}${bound ? `, at its ${bound}` : ""}` : "";
  find("#status").textContent = `${at ? `Step ${at}` : "The start"}, ${node.words}. ${told}`;
}

function showSteps(at) {
  const { path } = state;
  find("#length").textContent = path.length > 1 ? `${path.length - 1} step${path.length > 2 ? "s" : ""}; click a picture to go back there` : "no step yet";
  find(".strip").classList.toggle("alone", !view.beside);
  find("#undo").disabled = path.length < 2;
  showPath(at, (node, i) => {
    const error = node.path_error ? `, step error ${known(node.step_error)}, path error ${node.path_error}` : "";
    return thumb(node, i ? String(i) : "start", [known(node.step_error), known(node.path_error)],
      i ? `go back to step ${i}, ${node.words}${error}` : "go back to the start",
      () => change("/api/path/back", { number: node.number }));
  });
}

function showPlaying() {
  const which = again(), isRepeating = playing === "repeat", isPath = playing === "path";
  find("#repeat span").textContent = isRepeating ? "■ Stop" : repeated === "recorded" ? "↻ Follow the recording" : which === null ? "↻ Repeat" : `↻ Repeat ${NAMES[which]}`;
  find("#repeat").disabled = !isRepeating && which === null;
  find("#repeat").classList.toggle("on", isRepeating);
  find("#play span").textContent = isPath ? "■ Stop" : "▶\uFE0E Play";
  find("#play").disabled = state.path.length < 2;
  find("#play").classList.toggle("on", isPath);
}

// Keys and buttons

const onKey = {
  " ": () => (playing ? stop() : step(0)), s: () => step(0), arrowright: () => step(1), "+": () => step(1), arrowleft: () => step(2), arrowup: () => choose(state.dimension - 1), arrowdown: () => choose(state.dimension + 1), "-": () => step(2), "−": () => step(2),
  f: follow, z: undo, backspace: undo, r: reset, a: repeat, p: playPath, escape: () => stop(), t: beside, u: () => { if (stage.knowsUncertainty) lay("uncertainty"); }, e: () => lay("error"),
};

function buildOwn() {}

function listenOwn() {
  find("#beside").addEventListener("click", beside);
  find("#repeat").addEventListener("click", repeat);
  find("#play").addEventListener("click", playPath);
  find("#undo").addEventListener("click", undo);
  find("#reset").addEventListener("click", reset);
}

main();
