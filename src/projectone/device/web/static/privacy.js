// The switches, the list of what left, and the receipts.

import { followJob, getJson, runJob, sendJson, showProgress } from "./api.js";
import { cue } from "./cues.js";
import { h } from "./dom.js";
import { outcome } from "./outcome.js";
import { stop, toggle } from "./player.js";
import { listen, refresh } from "./refresh.js";
import { complain, confirmDialog, say, toast } from "./say.js";

const PARTS = ["#purposes", "#sent", "#erased", ".leaving"];
const LIST = "#sent-summary";
const hasServer = () => !document.querySelector("[data-no-server]");
const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

async function redraw() {
  stop();
  await refresh(...PARTS);
}

/** Tell the server what waits; gives what came of it, or null where it could not be told. */
async function sync() {
  const show = showProgress("sync-progress");
  show({ done: 0, total: 0, what: "" });
  try {
    const result = await runJob("/api/sync", undefined, show);
    if (result.sent) cue("sent");
    return result;
  } finally {
    show.end();
    await redraw();
  }
}

/** After something was taken back: tell the server now; if it is out of reach, say that it will be told. */
async function tellServer(done, later, anchor) {
  if (!hasServer()) return outcome("info", later, anchor);
  try {
    const result = await sync();
    if (result.problem) outcome("warn", `${later} It could not be reached now: ${result.problem}`, anchor);
    else outcome("good", await done(), anchor);
  } catch (error) {
    outcome("warn", `${later} ${error.message}`, anchor);
  }
}

/** Change a consent; where the app did not, the switch stands as before and the reason is beside the purpose.
 *
 * Nothing that fails later moves it back: a switch says what is allowed, not whether the page could be drawn anew.
 */
async function decide(method, scope, input, body) {
  const isOn = input?.checked;
  try {
    return await sendJson(method, `/api/consents/${scope}`, body);
  } catch (error) {
    if (!input) throw error;
    input.checked = !isOn;
    outcome("warn", `It is still ${isOn ? "off" : "on"}. ${error.message}`, `#purpose-${scope}`);
    return null;
  }
}

async function grant(scope, version, { isAdult, isForEarlier }, input) {
  const body = { is_adult: isAdult, is_for_earlier: isForEarlier, version: Number(version) };
  const given = await decide("PUT", scope, input, body);
  if (!given) return;
  const { n_queued: nQueued } = given;
  await redraw();
  const queued = nQueued ? ` ${count(nQueued, "thing")} from before will be sent.` : "";
  const words = isAdult ? `It is on.${queued}` : "It is on. As you are not of age, nothing is taken until you are.";
  outcome("good", words, `#purpose-${scope}`);
}

/** Whether a receipt for this withdrawal is here, and its signature holds. */
async function isSigned(receiptId) {
  const { erasures } = await getJson("/api/erasures").catch(() => ({ erasures: [] }));
  return erasures.some((erasure) => erasure.receipt_id === receiptId);
}

async function withdraw(scope, input) {
  const taken = await decide("DELETE", scope, input);
  if (!taken) return;
  const { receipt_id: id, n_kept: nKept, n_to_erase: nToErase } = taken;
  await redraw();
  const kept = nKept ? ` ${nKept} that waited ${nKept === 1 ? "stays" : "stay"} here.` : "";
  const anchor = `#purpose-${scope}`;
  if (!nToErase) outcome("good", `It is off. Nothing more leaves.${kept}`, anchor);
  else {
    outcome("info", `It is off.${kept} The server is told to erase ${nToErase}.`, anchor);
    await tellServer(
      async () => `It is off. The server erased ${nToErase}${(await isSigned(id)) ? " and signed for it" : ""}.${kept}`,
      `It is off. The server is told to erase ${nToErase} as soon as it is reached.${kept}`,
      anchor,
    );
  }
}

async function showLetter(button) {
  const more = document.getElementById(button.getAttribute("aria-controls"));
  const isOpen = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!isOpen));
  more.hidden = isOpen;
  if (isOpen) return;
  const { letter, raw } = await getJson(`/api/sent/${button.dataset.id}/letter`);
  if (!letter) return more.replaceChildren(h("p", { class: "quiet" }, "Nothing of it is in line any more."));
  more.replaceChildren(
    h("p", { class: "quiet" }, `The sound (${letter.audio.size_bytes.toLocaleString()} bytes), and with it these ${new Blob([raw]).size.toLocaleString()} bytes:`),
    h("pre", { tabindex: "0", "aria-label": "The bytes beside the sound" }, JSON.stringify(letter, null, 2)),
  );
}

async function showUses(button) {
  const more = document.getElementById(button.getAttribute("aria-controls"));
  more.hidden = false;
  more.replaceChildren(h("p", { class: "quiet", role: "status" }, "Asking the server."));
  try {
    const found = await followJob(await sendJson("POST", `/api/sent/${button.dataset.id}/uses`));
    const lines = found.models.map((model) => h("li", {}, `Model ${model.version} ${model.words}.`));
    const none = found.n_unnamed ? `${found.n_unnamed} older models are not named.` : "No model was released yet.";
    more.replaceChildren(lines.length ? h("ul", {}, ...lines) : h("p", { class: "quiet" }, none));
    say(more.textContent);
  } catch (error) {
    more.replaceChildren(h("p", {}, `The server could not say: ${error.message}`));
    say(more.textContent);
  }
}

listen(
  {
    play: toggle,
    letter: showLetter,
    uses: showUses,

    async consent(input) {
      const { scope, version } = input.dataset;
      if (!input.checked) return withdraw(scope, input);
      const age = document.querySelector(`input[name="age-${scope}"]:checked`)?.value;
      if (!age) {
        input.checked = false;
        document.querySelector(`input[name="age-${scope}"]`).focus();
        return outcome("warn", "Say first whether you are an adult: the words depend on it.", `#purpose-${scope}`);
      }
      const earlier = document.getElementById(`earlier-${scope}`);
      await grant(scope, version, { isAdult: age === "adult", isForEarlier: earlier?.checked ?? false }, input);
    },

    withdraw: ({ dataset }) => withdraw(dataset.scope),

    earlier: ({ dataset }) =>
      grant(dataset.scope, dataset.version, { isAdult: dataset.adult === "true", isForEarlier: true }),

    async sync() {
      const result = await sync();
      const sent = [`${count(result.sent, "thing")} sent`, result.notices && `${count(result.notices, "notice")} given`];
      const words = sent.filter(Boolean).join(", ");
      if (result.problem) outcome("warn", `${words}, ${result.waiting} still wait: ${result.problem}`, LIST);
      else toast(result.refused.length ? `${words}, ${result.refused.length} not taken.` : `${words}.`);
    },

    async delete({ dataset }) {
      const isSure = await confirmDialog({
        title: "Delete it on the server?",
        body: ["It counts no more, here or there. The recording itself stays in your list, if you made it yourself.", "Models that learned from it before are replaced, as the words you agreed to say."],
        yes: "Delete",
        no: "Keep",
        isDangerous: true,
      });
      if (!isSure) return;
      await sendJson("DELETE", `/api/sent/${dataset.id}`);
      await redraw();
      await tellServer(() => "The server deleted it.", "It is taken back. The server is told to delete it as soon as it is reached.", LIST);
    },

    async "delete-all"({ dataset }) {
      const n = Number(dataset.n);
      const isSure = await confirmDialog({
        title: n === 1 ? "Delete what you sent?" : `Delete all ${n} that you sent?`,
        body: [`${n === 1 ? "It counts" : "They count"} no more, here or there. What you allowed stays allowed: switch a purpose off if nothing more should leave.`, "This cannot be undone."],
        yes: n === 1 ? "Delete" : "Delete all",
        no: "Keep",
        isDangerous: true,
      });
      if (!isSure) return;
      const { n: nGone } = await sendJson("DELETE", "/api/sent");
      await redraw();
      await tellServer(() => `The server deleted ${nGone}.`, `${nGone} taken back. The server is told to delete ${nGone === 1 ? "it" : "them"} as soon as it is reached.`, LIST);
    },

    async "ask-again"() {
      await runJob("/api/erasures");
      await redraw();
      toast("The receipts are those of now.");
    },
  },
  (error) => complain(error),
);
