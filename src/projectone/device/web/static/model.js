// Forward, back, and by itself.

import { runJob, sendJson, showProgress } from "./api.js";
import { cue } from "./cues.js";
import { outcome } from "./outcome.js";
import { listen, refresh } from "./refresh.js";
import { complain, confirmDialog, say } from "./say.js";

const KINDS = { updated: "good", current: "good", "no-release": "info", waiting: "info", staged: "info" };

/** Ask what there is. What can be taken appears on the page with what is new in it; everything else is said. */
async function look(family) {
  const body = family ? { family } : {};
  const found = await work("/api/model/look", body, "Asking the server.");
  if (found.said) return outcome(...found.said, where(family));
  const { status, words, is_shown } = found.result;
  if (is_shown) say(words);
  else outcome(KINDS[status] ?? "warn", words, where(family));
}

/** Fetch and try; where it turns out that it is not this device's turn, ask whether it is wanted all the same. */
async function update(body) {
  const result = await bring(body);
  if (result?.status === "waiting") await early({ ...body, words: result.words });
}

async function early({ words, ...body }) {
  const isSure = await confirmDialog({
    title: "Take it before its turn?",
    body: [words, "Releases go out in stages, so that a bad one reaches few. The first ones find out."],
    yes: "Take it now",
    no: "Wait",
  });
  if (isSure) await bring({ ...body, is_early: true });
}

const where = (family) => (family ? `#classifier-${family}` : ".now");

/** Fetch and try; shows what came of it, and gives it. */
async function bring(body) {
  const { said, result } = await work("/api/model/update", body, "Asking the server.", "It is here. It is tried on your own recordings.");
  if (result) {
    outcome(KINDS[result.status] ?? "warn", result.words, where(body.family));
    if (result.status === "updated") cue("model-updated");
  } else outcome(...said, where(body.family));
  return result;
}

/** Long work with every button held meanwhile, and the page made anew after it; gives its result, or what to say. */
async function work(path, body, first, last) {
  const show = showProgress("update-progress");
  const focused = document.activeElement?.id; // a button that is held loses the focus
  const held = [...document.querySelectorAll("[data-action]:enabled")];
  for (const button of held) button.disabled = true;
  show({ done: 0, total: 0, what: first });
  let said;
  let result = null;
  try {
    result = await runJob(path, body, ({ done, total, what }) =>
      show({ done, total, what: total && done >= total ? last : what || first }),
    );
  } catch (error) {
    said = ["warn", error.reason === "transport" ? `The server cannot be reached; the model in use stays. ${error.message}` : error.message];
  }
  try {
    await refresh("#model");
  } catch (error) {
    said ??= ["warn", error.message];
    for (const button of held) button.disabled = false; // the page stays as it was: it must work once the app is back
    show.end();
  }
  if (focused) (document.getElementById(focused) ?? document.getElementById("main")).focus({ preventScroll: true });
  return { said, result };
}

async function change(input, path, on, off) {
  const isOn = input.checked;
  try {
    await sendJson("PUT", path, { is_on: isOn });
  } catch (error) {
    input.checked = !isOn;
    throw error;
  }
  await refresh("#model");
  outcome("good", isOn ? on : off, `.card:has(#${input.id})`);
}

listen(
  {
    look: ({ dataset }) => look(dataset.family),

    update: ({ dataset }) => update(dataset.family ? { family: dataset.family } : {}),

    early: ({ dataset }) =>
      early({
        words: `${dataset.version} goes out in stages, and it is not your turn yet.`,
        ...(dataset.family ? { family: dataset.family } : {}),
      }),

    async again({ dataset }) {
      const isSure = await confirmDialog({
        title: `Try model ${dataset.version} again?`,
        body: "It is fetched and tried anew. If it fails again, the model in use stays.",
        yes: "Try it again",
      });
      if (isSure) await update({ is_again: true });
    },

    async back({ dataset }) {
      const isSure = await confirmDialog({
        title: `Go back to ${dataset.noun ?? "model"} ${dataset.to}?`,
        body: [`${dataset.now} is set aside and does not come back by itself. You can go forward to it again.`, "Your recordings and corrections stay as they are."],
        yes: `Use ${dataset.to}`,
        no: `Stay with ${dataset.now}`,
      });
      if (!isSure) return;
      const { version } = await sendJson("POST", "/api/model/back", dataset.family ? { family: dataset.family } : {});
      await refresh("#model");
      outcome("good", `${version} is in use again.`, where(dataset.family));
    },

    automatic: (input) =>
      change(input, "/api/model/automatic", "New models come by themselves.", "No model comes unless you ask for it."),

    health: (input) =>
      change(input, "/api/model/health", "The server is told how a new model does.", "Nothing more is said, and what was counted is deleted."),
  },
  complain,
);
