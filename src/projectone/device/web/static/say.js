// What is said to the person: to a screen reader, in a passing note, or as a question.

import { cue } from "./cues.js";
import { h } from "./dom.js";

const TOAST_MS = 6000;
const UNDO_MS = 12000;
let latest = null; // one note at a time

/** For screen readers alone; the same words twice are read twice. */
export function say(text) {
  const region = document.getElementById("say");
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = text));
}

/** A passing note; with `undo` it waits longer, and while the pointer or the focus is on it, it stays.
 *
 * `onEnd` is called once when it is gone, however it went.
 */
export function toast(text, { undo, label = "Undo", onEnd = () => {} } = {}) {
  const note = h("div", { class: "toast" }, h("span", {}, text));
  let timer;
  let isGone = false;
  const leave = () => {
    if (isGone) return;
    isGone = true;
    note.remove();
    onEnd();
  };
  const wait = () => (timer = setTimeout(leave, undo ? UNDO_MS : TOAST_MS));
  if (undo) {
    const act = () => {
      clearTimeout(timer);
      undo();
      leave();
    };
    note.append(h("button", { type: "button", class: "button", onclick: act }, label));
  } else note.style.paddingRight = "1.125rem";
  for (const name of ["pointerenter", "focusin"]) note.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) note.addEventListener(name, wait);
  latest?.();
  latest = leave;
  document.getElementById("toasts").append(note);
  wait();
  return leave;
}

/** Say what went wrong, and stay until it was read. */
export function complain(error) {
  cue("mistake");
  toast(error.message);
  if (error.status === undefined) console.error(error);
}

/** Ask; gives whether the answer was yes. Escape is no. */
export function confirmDialog({ title, body = [], yes, no = "Cancel", isDangerous = false }) {
  const paragraphs = [body].flat().map((text) => h("p", {}, text));
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "dialog-title" }, title),
      ...paragraphs,
      h(
        "div",
        { class: "row" },
        h("button", { class: "button is-quiet", value: "no", autofocus: true }, no),
        h("button", { class: isDangerous ? "button is-danger" : "button is-main", value: "yes" }, yes),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
