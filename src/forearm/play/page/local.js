"use strict";
// A page of forearm play without a server: what it asks is answered here, with the model in onnxruntime-web.

const ready = load();

/** Bytes of what was packed by gzip and base64. */
async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Start the model; all of it is in the scripts of this page. */
async function load() {
  const note = make("p", "", `Loading ${RUN.stage.run} …`);
  document.body.prepend(note);
  for (const link of document.querySelectorAll("a[download]")) link.remove(); // films are the server's
  const [wasm, model] = await Promise.all([unpacked(WASM), unpacked(MODEL)]);
  Object.assign(ort.env.wasm, {
    numThreads: 1, // several need headers that a page from the disk has not
    wasmBinary: wasm.buffer,
    wasmPaths: { mjs: URL.createObjectURL(new Blob([GLUE], { type: "text/javascript" })) },
  });
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  note.remove();
  return session;
}

// Pictures: (3, h, w) numbers from 0 to 1 as the model has them, and PNG as the page shows them

const SIZE = RUN.height * RUN.width;
const sheet = document.createElement("canvas");

/** For each camera a PNG of what `paint(pixel, data, at)` writes: four bytes from `at` on for a pixel of the frame. */
function painted(paint) {
  return RUN.boxes.map(([top, bottom, left, right]) => {
    [sheet.width, sheet.height] = [right - left, bottom - top];
    const context = sheet.getContext("2d"), image = context.createImageData(sheet.width, sheet.height);
    let at = 0;
    for (let y = top; y < bottom; y += 1) for (let x = left; x < right; x += 1, at += 4) paint(y * RUN.width + x, image.data, at);
    context.putImageData(image, 0, 0);
    return sheet.toDataURL();
  });
}

const byte = (share) => Math.min(255, Math.max(0, Math.round(255 * share)));

const shown = (picture) => painted((pixel, data, at) => {
  for (let c = 0; c < 3; c += 1) data[at + c] = byte(picture[c * SIZE + pixel]);
  data[at + 3] = 255;
});

/** Squared errors as colours to lay over each camera. */
const heat = (squared) => squared && painted((pixel, data, at) => {
  const share = Math.min(1, Math.sqrt(squared[pixel]) / RUN.heatTop);
  data.set(RUN.overlay[Math.min(RUN.overlay.length - 1, Math.floor(share * RUN.overlay.length))], at);
});

/** The numbers of recorded pictures, one PNG a camera. */
async function read(sources) {
  const picture = new Float32Array(3 * SIZE);
  await Promise.all(sources.map(async (source, i) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const [top, bottom, left, right] = RUN.boxes[i], canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [right - left, bottom - top];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let at = 0;
    for (let y = top; y < bottom; y += 1) for (let x = left; x < right; x += 1, at += 4)
      for (let c = 0; c < 3; c += 1) picture[c * SIZE + y * RUN.width + x] = data[at + c] / 255;
  }));
  return picture;
}

function squaredError(one, other) {
  const error = new Float32Array(SIZE);
  for (let i = 0; i < 3 * SIZE; i += 1) {
    const difference = (byte(one[i]) - byte(other[i])) / 255;
    error[i % SIZE] += difference * difference / 3;
  }
  return error;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// Words, as forearm.media.words has them

/** The root of a mean squared error as a share of the range from black to white. */
function percent(squared) {
  if (squared === null || squared === undefined) return null;
  const share = Math.sqrt(typeof squared === "number" ? squared : mean(squared)), text = (100 * share).toFixed(1);
  if (share === 0 || share === 1) return `${text.replace(".0", "")}%`;
  if (text === "0.0") return "<0.1%";
  return text === "100.0" ? `${share < 1 ? "<" : ">"}100%` : `${text}%`;
}

function reading(value, index, signed = false) {
  const { decimals, unit } = RUN.joints[index], rounded = Number(value.toFixed(decimals)) + 0;
  return `${rounded < 0 ? "−" : signed && rounded ? "+" : ""}${Math.abs(rounded).toFixed(decimals)}${unit}`;
}

const atBounds = (joints) => joints.map((value, i) => {
  const { low, high } = RUN.stage.joints[i], near = RUN.bound * (high - low);
  return Number(value >= high - near) - Number(value <= low + near);
});

// The model

/** Predict from each of some contexts, {known: [{picture, joints}], actions: [[…]], carried}, in one batch. */
async function predict(contexts) {
  const session = await ready, count = contexts.length, first = contexts[0];
  const filled = (rows) => Float32Array.from(rows.flat(2));
  const pictures = new Float32Array(count * RUN.known * 3 * SIZE);
  contexts.forEach(({ known }, i) => known.forEach(({ picture }, t) => pictures.set(picture, (i * RUN.known + t) * 3 * SIZE)));
  const feeds = {
    pictures: new ort.Tensor("float32", pictures, [count, RUN.known, 3, RUN.height, RUN.width]),
    joints: new ort.Tensor("float32", filled(contexts.map(({ known }) => known.map(({ joints }) => joints))), [count, RUN.known, RUN.stage.joints.length]),
    actions: new ort.Tensor("float32", filled(contexts.map(({ actions }) => actions)), [count, RUN.known, first.actions[0].length]),
  };
  const carries = session.inputNames.slice(4);
  if (carries.length) {
    feeds.fed_back = new ort.Tensor("float32", Float32Array.from(contexts, ({ carried }) => Number(Boolean(carried))), [count]);
    for (const name of carries) feeds[name] = stacked(contexts.map(({ carried }) => carried?.[name]), shapeOf(session, name));
  }
  const found = await session.run(feeds);
  const row = (name, i) => {
    const { data } = found[name], each = data.length / count;
    return data.slice(i * each, (i + 1) * each);
  };
  return contexts.map((_, i) => ({
    picture: row("picture", i),
    likeliest: row(found.mode ? "mode" : "picture", i),
    joints: Array.from(row("next_joints", i)),
    expected: found.expected_error ? row("expected_error", i) : null,
    carried: carries.length ? Object.fromEntries(carries.map((name) => [name, row(`next_${name}`, i)])) : null,
  }));
}

/** The sizes of an input, without that of the batch. */
const shapeOf = (session, name) => session.inputMetadata.find((input) => input.name === name).shape.slice(1);

function stacked(parts, shape) {
  const each = shape.reduce((product, size) => product * size, 1), values = new Float32Array(parts.length * each);
  parts.forEach((part, i) => { if (part) values.set(part, i * each); });
  return new ort.Tensor("float32", values, [parts.length, ...shape]);
}

// The path, as forearm.play.session keeps it

const world = { path: [], previews: [], dimension: 0, value: RUN.value, start: 0, numbers: 0 };
const now = () => world.path.at(-1);
const recordedAt = (node) => (node.truth ? RUN.starts[world.start].steps[node.steps] ?? null : null);
const isSame = (one, other) => one.every((value, i) => Math.abs(value - other[i]) <= 1e-3);

/** The place of the chosen value among those that have words. */
const valueAt = () => {
  const far = RUN.values.map((value) => Math.abs(value - world.value));
  return far.indexOf(Math.min(...far));
};

/** What can be done now: STAY, MOVE+, MOVE−, and what was recorded if it is none of these. */
function choices() {
  const step = recordedAt(now()), at = valueAt();
  const some = [0, 1, -1].map((sign, code) => ({
    code, dimension: world.dimension, words: RUN.words[world.dimension][code][at],
    action: RUN.stage.dimensions.map((_, i) => (i === world.dimension ? sign * world.value : 0)),
  }));
  if (step && !some.some(({ action }) => isSame(action, step.action))) some.push(step);
  return some;
}

const under = (node, action, carried = node.carried) => ({ known: node.known, actions: [...node.actions, action], carried });

/** What each action would show and, for the last step, the prediction from the true pictures before it. */
async function look() {
  const node = now(), some = choices(), contexts = some.map(({ action }) => under(node, action));
  const alone = node.truth && node.before?.truth && node.stepError === undefined ? node.before : null;
  if (alone) contexts.push({ known: alone.trueKnown, actions: [...alone.actions, node.action], carried: null });
  const predicted = await predict(contexts);
  if (alone) node.stepError = mean(squaredError(predicted.pop().picture, node.truth.picture));
  world.previews = predicted.map((prediction, i) => ({ ...some[i], ...prediction }));
}

async function beginAt(number) {
  const { known, actions, steps } = RUN.starts[number];
  const frames = await Promise.all(known.map(async ({ pictures, joints }) => ({ picture: await read(pictures), joints })));
  const last = frames.at(-1);
  world.path = [{ number: world.numbers++, steps: 0, known: frames, trueKnown: frames, actions, carried: null, picture: last.picture, joints: last.joints, expected: null, truth: last, code: null, words: "the start" }];
  world.start = number;
  if (steps.length) world.dimension = steps[0].dimension;
  await look();
}

async function go(which) {
  const node = now(), taken = world.previews[which], step = recordedAt(node);
  if (node.steps >= RUN.longest) throw new Error(`this session is ${RUN.longest} steps long; undo some, or begin anew`);
  const truth = step && isSame(taken.action, step.action) ? { picture: await read(step.pictures), joints: step.joints } : null;
  const frame = { picture: taken.likeliest, joints: taken.joints };
  world.path.push({
    ...taken, number: world.numbers++, steps: node.steps + 1, before: node, truth,
    known: [...node.known.slice(1), frame], trueKnown: truth && [...node.trueKnown.slice(1), truth],
    actions: [...node.actions, taken.action].slice(1),
    stepError: truth && node.steps === 0 ? mean(squaredError(taken.picture, truth.picture)) : undefined,
  });
  await look();
}

async function backTo(length) {
  if (length < 1 || length >= world.path.length) return;
  world.path.length = length;
  await look();
}

// What the page is told, as forearm.play.state words it

const told = (joints) => ({ joints, readings: joints.map((value, i) => reading(value, i)), bounds: atBounds(joints) });

function moment(node) {
  node.moment ??= {
    number: node.number,
    pictures: shown(node.picture),
    ...told(node.joints),
    uncertainty: heat(node.expected),
    truth: node.truth && shown(node.truth.picture),
    true_joints: node.truth && node.truth.joints,
    error: heat(errorOf(node)),
  };
  return node.moment;
}

const errorOf = (node) => node.truth && squaredError(node.picture, node.truth.picture);

function report() {
  const node = now(), step = recordedAt(node);
  const which = step ? world.previews.findIndex(({ action }) => isSame(action, step.action)) : -1;
  return {
    start: { source: RUN.stage.sources[0].name, number: world.start, note: RUN.starts[world.start].note },
    dimension: world.dimension,
    value: world.value,
    reach: RUN.reach[world.dimension][valueAt()],
    recorded: which < 0 ? null : which,
    now: moment(node),
    previews: world.previews.map((preview) => ({
      code: preview.code,
      words: preview.words,
      pictures: (preview.shown ??= shown(preview.picture)),
      ...told(preview.joints),
      changes: preview.joints.map((value, i) => reading(value - node.joints[i], i, true)),
      expected_error: percent(preview.expected),
      uncertainty: heat(preview.expected),
    })),
    path: world.path.map((each) => ({
      number: each.number, moment: moment(each), code: each.code, words: each.words,
      expected_error: percent(each.expected), step_error: percent(each.stepError), path_error: percent(each.steps ? errorOf(each) : null),
    })),
  };
}

const answers = {
  "/api/path/step": async ({ number, which }) => { if (number === now().number && which in world.previews) await go(which); },
  "/api/path/choose": async ({ dimension, value }) => {
    [world.dimension, world.value] = [dimension, value ?? world.value];
    await look();
  },
  "/api/path/undo": () => backTo(world.path.length - 1),
  "/api/path/back": ({ number }) => backTo(1 + world.path.findIndex((node) => node.number === number)),
  "/api/path/begin": async ({ number }) => {
    const { length } = RUN.starts, chosen = number ?? Math.floor(Math.random() * length);
    if (!(chosen in RUN.starts)) throw new Error(`there is no start ${chosen}; choose one from 0 to ${length - 1}`);
    await beginAt(chosen);
  },
};

/** Stands in for the one that asks a server. */
talk = async function local(path, body) {
  if (path === "/api/stage") return RUN.stage;
  if (path === "/api/path") {
    if (!world.path.length) await beginAt(0);
  } else await answers[path](body);
  return report();
};
