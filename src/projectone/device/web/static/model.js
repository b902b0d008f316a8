// Forward, back, and by itself.

import { runJob, sendJson, showProgress } from "./api.js";
import { cue } from "./cues.js";
import { outcome } from "./outcome.js";
import { listen, refresh } from "./refresh.js";
import { complain, confirmDialog } from "./say.js";

const KINDS = { updated: "good", current: "good", "no-release": "info" };

async function update(body) {
  const result = await bring(body);
  if (result?.status !== "waiting") return;
  const isSure = await confirmDialog({
    title: "Take it before its turn?",
    body: [result.words, "Releases go out in stages, so that a bad one reaches few. The first ones find out."],
    yes: "Take it now",
    no: "Wait",
  });
  if (isSure) await bring({ ...body, is_early: true });
}

/** Ask, fetch and try; shows what came of it, and gives it. */
async function bring(body) {
  const show = showProgress("update-progress");
  const buttons = [...document.querySelectorAll("[data-action]")];
  for (const button of buttons) button.disabled = true;
  show({ done: 0, total: 0, what: "Asking the server." });
  let said;
  let result = null;
  try {
    result = await runJob("/api/model/update", body, ({ done, total, what }) =>
      show({ done, total, what: total && done >= total ? "It is here. It is tried on your own recordings." : what || "Asking the server." }),
    );
    said = [KINDS[result.status] ?? "warn", result.words];
    if (result.status === "updated") cue("model-updated");
  } catch (error) {
    said = ["warn", error.reason === "transport" ? `The server cannot be reached; the model in use stays. ${error.message}` : error.message];
  }
  await refresh("#model");
  outcome(...said, body.family ? "#classifier" : ".now");
  return result;
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
    update: ({ dataset }) => update(dataset.family ? { family: dataset.family } : {}),

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
        title: `Go back to ${dataset.family ? "classifier" : "model"} ${dataset.to}?`,
        body: [`${dataset.now} is set aside and does not come back by itself. You can go forward to it again.`, "Your recordings and corrections stay as they are."],
        yes: `Use ${dataset.to}`,
        no: `Stay with ${dataset.now}`,
      });
      if (!isSure) return;
      const { version } = await sendJson("POST", "/api/model/back", dataset.family ? { family: dataset.family } : {});
      await refresh("#model");
      outcome("good", `${version} is in use again.`, dataset.family ? "#classifier" : ".now");
    },

    automatic: (input) =>
      change(input, "/api/model/automatic", "New models come by themselves.", "No model comes unless you ask for it."),

    health: (input) =>
      change(input, "/api/model/health", "The server is told how a new model does.", "Nothing more is said, and what was counted is deleted."),
  },
  complain,
);
