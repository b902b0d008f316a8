// Ask what a sentence or a recording means; say whether that is right.

import { getJson, sendJson } from "./api.js";
import { h, icon } from "./dom.js";
import { outcome } from "./outcome.js";
import { listen, refresh } from "./refresh.js";
import { complain, confirmDialog, say, toast } from "./say.js";

let labels = [];

/** The list under the fields is made anew with the page; what is in it is asked for once. */
function offerLabels() {
  document.getElementById("labels")?.replaceChildren(...labels.map((label) => h("option", { value: label })));
}

async function redraw() {
  await refresh("#asked", "#harmless");
  offerLabels();
}

async function ask(body) {
  const found = await sendJson("POST", "/api/ask", body);
  await redraw();
  if (found.reply) {
    const isHeldBack = found.reply.kind === "unsafe";
    const actions = isHeldBack ? [harmlessButton(found.text)] : [];
    outcome(isHeldBack ? "warn" : "info", `${found.reply.text} (${found.reply.reason})`, "#ask-card", ...actions);
  } else say(found.label ? `It means ${found.label}.` : "It means none of these.");
  return found;
}

/** Beside an answer that was held back: what its person can say of it. */
function harmlessButton(text) {
  const onclick = () => sayHarmless(text).catch(complain);
  const attributes = { type: "button", class: "button", id: "say-harmless", "aria-label": `It is harmless: ${text}`, onclick };
  return h("p", { class: "row outcome-do" }, h("button", attributes, icon("check"), "It is harmless"));
}

async function sayHarmless(text) {
  const { told } = await sendJson("POST", "/api/harmless", { text });
  await redraw();
  document.getElementById("outcome")?.remove();
  const field = document.getElementById("sentence");
  field.value = text; // one key asks it again
  field.focus();
  toast(`${told[0].toUpperCase()}${told.slice(1)}.`, { undo: () => warnAgain(text).catch(complain) });
}

async function warnAgain(text) {
  await sendJson("DELETE", "/api/harmless", { text });
  await redraw();
  toast("Taken back. It is warned of again.");
}

async function keep(id, label) {
  const found = await sendJson("PUT", `/api/ask/${id}/meaning`, { label });
  await redraw();
  const words = found.state === "waiting" ? "Kept. It is sent with the next sync." : "Kept on this device.";
  toast(words, { undo: () => takeBack(id).catch(complain) });
}

async function takeBack(id) {
  const { may_have_left } = await sendJson("DELETE", `/api/ask/${id}/meaning`);
  await redraw();
  toast(may_have_left ? "Taken back. The server deletes it with the next sync." : "Taken back. It never left this device.");
}

listen(
  {
    right: ({ dataset }) => keep(dataset.id, dataset.label),
    none: ({ dataset }) => keep(dataset.id, null),
    "warn-again": ({ dataset }) => warnAgain(dataset.text),
    "take-back": ({ dataset }) => takeBack(dataset.id),

    async forget({ dataset }) {
      await sendJson("DELETE", `/api/ask/${dataset.id}`);
      await redraw();
      toast("Forgotten.");
    },

    async "forget-all"() {
      const isSure = await confirmDialog({
        title: "Forget everything that was asked?",
        body: [
          "What you said you meant is taken back, also from the server, and what you said is harmless is warned of again. Your recordings stay.",
          "This cannot be undone.",
        ],
        yes: "Forget all",
        no: "Keep",
        isDangerous: true,
      });
      if (!isSure) return;
      const { forgotten } = await sendJson("DELETE", "/api/ask");
      await redraw();
      toast(`${forgotten} forgotten.`);
    },
  },
  complain,
);

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    if (form.id === "ask") {
      const field = document.getElementById("sentence");
      await ask({ text: field.value });
      field.value = "";
      field.focus();
    } else if (form.dataset.id) await keep(form.dataset.id, form.elements.label.value.trim());
  } catch (error) {
    complain(error);
  }
});

/** A recording's page leads here with its id: it is asked about once, and a reload does not ask again. */
async function askAboutRecording() {
  const recording = new URLSearchParams(location.search).get("recording");
  if (!recording) return;
  history.replaceState(null, "", location.pathname);
  const found = await ask({ recording });
  document.getElementById(`meant-${found.ask_id.slice(0, 8)}`)?.focus();
}

async function start() {
  if (!document.getElementById("ask")) return;
  await askAboutRecording().catch(complain);
  ({ labels } = await getJson("/api/ask/labels"));
  offerLabels();
}

start().catch(complain);
