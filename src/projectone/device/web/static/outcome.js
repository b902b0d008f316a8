// What came of it, beside the thing it came of; it stays until the next one.

import { h, icon } from "./dom.js";
import { say } from "./say.js";

const SIGNS = { good: "check", info: "info", warn: "warning", bad: "warning" };

/** Show and say a notice. It stands in `#outcome`, or after the element that `anchor` selects; `actions` are below it. */
export function outcome(kind, text, anchor, ...actions) {
  let box = document.getElementById("outcome");
  if (!box || anchor) {
    box?.remove();
    box = h("div", { id: "outcome" });
    document.querySelector(anchor ?? "main > :last-child").after(box);
  }
  box.replaceChildren(h("div", { class: `notice is-${kind}` }, icon(SIGNS[kind]), h("div", {}, h("p", {}, text), ...actions)));
  say(text);
}
