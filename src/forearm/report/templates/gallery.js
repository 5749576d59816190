// Filters, sorts and enlarges the cards. The address holds the choice behind #, so that it can be kept and passed on:
// #action=1&joint=gripper&sort=-error&card=12
document.documentElement.classList.add("js");
const form = document.querySelector("form.filters");
const gallery = document.querySelector(".transitions");
const cards = [...gallery.children];
const dialog = document.querySelector("dialog");
let enlarged = null;

function fits(card, chosen) {
  const named = ["action", "joint", "split", "episode"].every((name) => {
    const wanted = chosen.getAll(name).filter((value) => value !== "");
    return !wanted.length || wanted.includes(card.dataset[name]);
  });
  const [low, high] = (chosen.get("error") || "0-1").split("-").map(Number);
  return named && low < card.dataset.share && card.dataset.share < high;
}

function apply() {
  const chosen = new FormData(form);
  const [, down, key] = (chosen.get("sort") || "index").match(/(-?)(\w+)/);
  cards.sort((a, b) => (a.dataset[key] - b.dataset[key]) * (down ? -1 : 1) || a.dataset.index - b.dataset.index);
  gallery.append(...cards);
  for (const card of cards) card.hidden = !fits(card, chosen);
  const left = cards.filter((card) => !card.hidden).length;
  form.querySelector("output").value = `${left} of ${cards.length}`;
  document.querySelector(".none").hidden = left > 0;
}

function save() {
  const state = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
  if (enlarged) state.set("card", enlarged.dataset.index);
  history.replaceState(null, "", `#${state}`);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const field of form.elements) {
    if (field.type === "checkbox") field.checked = state.getAll(field.name).includes(field.value);
    else if (field.name) field.value = state.get(field.name) ?? "";
    if (field.selectedIndex === -1) field.value = "";
  }
  apply();
  if ([...state].length) document.getElementById("gallery").scrollIntoView();
  const card = cards.find((one) => one.dataset.index === state.get("card"));
  if (card) enlarge(card);
  else if (dialog.open) dialog.close();
}

function figure(title, picture) {
  const made = document.createElement("figure");
  made.appendChild(document.createElement("figcaption")).textContent = title;
  made.append(picture);
  return made;
}

// Where two pictures differ, fourfold: each an image and the part of it that counts.
function difference(title, ...two) {
  const picture = document.createElement("div");
  picture.className = "difference";
  for (const { image, part } of two) {
    const copy = image.cloneNode();
    copy.alt = "";
    copy.style.objectPosition = part;
    picture.append(copy);
  }
  return figure(title, picture);
}

function differences([canvas, predicted]) {
  const [before, after] = ["var(--before)", "right"].map((part) => ({ image: canvas, part }));
  const row = document.createElement("div");
  row.className = "differences";
  row.append(difference("changed ×4", before, after));
  if (predicted) row.append(difference("missed ×4", { image: predicted, part: "left" }, after));
  return row;
}

function enlarge(card) {
  enlarged = card;
  const shown = cards.filter((one) => !one.hidden);
  const [left, pictures, right] = [0, 1, 2].map(() => document.createElement("div"));
  const images = [...card.querySelectorAll(".canvases img")];
  pictures.className = "canvases";
  for (const image of images) {
    const captioned = figure(image.alt, image.cloneNode());
    captioned.style.flexGrow = image.style.flexGrow;
    pictures.append(captioned);
  }
  left.append(pictures, differences(images));
  right.append(...[...card.querySelectorAll("h3, p, .scroll")].map((part) => part.cloneNode(true)));
  dialog.querySelector(".enlarged").replaceChildren(left, right);
  dialog.querySelector(".position").textContent = card.hidden ? "" : `${shown.indexOf(card) + 1} of ${shown.length}`;
  if (!dialog.open) dialog.showModal();
  save();
}

function step(by) {
  const shown = cards.filter((one) => !one.hidden);
  const next = shown[shown.indexOf(enlarged) + by];
  if (next) enlarge(next);
}

gallery.addEventListener("click", (event) => {
  const button = event.target.closest("button.canvases");
  if (button) enlarge(button.closest(".transition"));
});
dialog.querySelector(".previous").addEventListener("click", () => step(-1));
dialog.querySelector(".next").addEventListener("click", () => step(1));
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
// The event comes after the dialog was closed: by then another card may be enlarged, or another link have been followed.
dialog.addEventListener("close", () => {
  if (!enlarged || dialog.open) return;
  const named = new URLSearchParams(location.hash.slice(1)).get("card") === enlarged.dataset.index;
  enlarged.querySelector(".canvases").focus();
  enlarged = null;
  if (named) save();
});
form.addEventListener("input", () => {
  apply();
  save();
});
form.addEventListener("reset", () => setTimeout(() => { apply(); save(); }));
addEventListener("hashchange", restore);
restore();
