// Speak, see the words, stop. Every quarter of a second goes to the app on this machine, which keeps it at once:
// whatever happens to this page, what was said until then is offered again.

import { followJob, getJson, sendJson } from "./api.js";
import { cue } from "./cues.js";
import { clock, h, icon } from "./dom.js";
import "./drop.js";
import { drawLevels } from "./levels.js";
import { beginLive, Line } from "./live.js";
import { openMicrophone } from "./microphone.js";
import { rowOf } from "./rows.js";
import { confirmDialog, say, toast } from "./say.js";

const ASK_MS = 300;
const LOOK_MS = 5000;
const DISCARDED = "This recording was discarded in another window.";
const $ = (id) => document.getElementById(id);
const box = $("recorder");
const levels = drawLevels($("levels"));

let microphone = null;
let session = null; // what is being recorded

const mode = () => box.dataset.state;
const WORDS = {
  idle: ["microphone", "Record"],
  asking: ["clock", "Waiting for the microphone"],
  recording: ["stop", "Stop and write it down"],
  paused: ["stop", "Stop and write it down"],
  writing: ["clock", "Writing it down"],
  done: ["microphone", "Record again"],
};

function enter(name) {
  box.dataset.state = name;
  const [sign, words] = WORDS[name];
  $("record").querySelector("use").setAttribute("href", `#i-${sign}`);
  $("record-words").textContent = words;
  $("record").setAttribute("aria-disabled", name === "asking" || name === "writing");
  const isOn = name === "recording" || name === "paused";
  $("pause").hidden = $("discard").hidden = !isOn;
  $("pause").querySelector("span").textContent = name === "paused" ? "Go on" : "Pause";
  $("pause").querySelector("use").setAttribute("href", name === "paused" ? "#i-play" : "#i-pause");
  $("open").hidden = name !== "done";
  if (name !== "recording") $("record").style.removeProperty("--loud");
}

function complain(words) {
  if (words && $("problem").textContent !== words) cue("mistake");
  $("problem").textContent = words;
}

function showText(stable, tentative) {
  if ($("stable").textContent !== stable) $("stable").textContent = stable;
  if ($("tentative").textContent !== tentative) $("tentative").textContent = tentative;
  $("text").scrollTop = $("text").scrollHeight;
}

async function follow(mine) {
  while (session === mine && mode() !== "writing") {
    await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    if (session !== mine || mode() === "writing" || document.hidden) continue;
    try {
      const heard = await getJson(`/api/live/${mine.liveId}/partial`);
      if (session === mine && mode() !== "writing") showText(heard.stable, heard.tentative);
    } catch {
      // The pieces say what is wrong, if something is.
    }
  }
}

function onLevel(db) {
  const share = Math.max(0, Math.min(1, (db + 60) / 55));
  if (mode() !== "recording") return stay();
  levels.push(share);
  $("level").setAttribute("aria-valuenow", Math.round(share * 100));
  $("record").style.setProperty("--loud", share.toFixed(2));
  $("time").textContent = clock(session.seconds);
}

async function start() {
  enter("asking");
  complain("");
  try {
    const opening = openMicrophone({ onLevel, onPiece: (pcm) => session?.push(pcm), onLost });
    [microphone] = await Promise.all([opening, cue("recording-started")]); // which is over before sound is taken in
    session = new Line(await beginLive(), { onProblem: complain, onFull: stop });
  } catch (error) {
    await leaveMicrophone();
    enter("idle");
    return complain(error.message);
  }
  showText("", "");
  levels.clear();
  $("time").textContent = "0:00";
  microphone.start();
  enter("recording");
  say("Recording");
  follow(session);
}

async function leaveMicrophone() {
  await microphone?.close();
  microphone = null;
}

function onLost() {
  if (mode() !== "recording") return;
  complain("The microphone is gone. What was said until then is here: stop writes it down.");
  enter("paused");
}

function pause() {
  if (mode() === "paused") {
    microphone.resume();
    enter("recording");
  } else {
    microphone.pause();
    enter("paused");
    say("Paused");
  }
}

/** The levels come in a window that nobody looks at, too, where timers wait; the timer where no microphone is left. */
function stay() {
  if (mode() === "paused") session.stay();
}

async function stop() {
  if (mode() !== "recording" && mode() !== "paused") return;
  const mine = session;
  enter("writing");
  await microphone?.stop();
  await leaveMicrophone();
  cue("recording-stopped");
  await mine.sent;
  try {
    const job = await sendJson("POST", `/api/live/${mine.liveId}/finish`);
    session = null;
    done(await followJob(job));
  } catch (error) {
    session = null;
    enter("idle");
    showText("", "");
    const isGone = error.reason === "live-unknown";
    complain(isGone ? DISCARDED : error.message);
    if (!isGone && error.reason !== "live-empty") offer(mine.liveId, mine.seconds);
  }
}

function done(recording) {
  enter("done");
  showText(recording.text || "No speech was heard.", "");
  $("open").href = `/recordings/${recording.recording_id}`;
  say(recording.text || "No speech was heard.");
  $("latest-box").hidden = false;
  $("latest-box").querySelector("ul").prepend(rowOf(recording));
}

/** It is forgotten only when the note with "Undo" has gone; a page that is closed before leaves it as unfinished. */
async function discard() {
  const mine = session;
  mine.isOver = true;
  session = null;
  enter("idle");
  showText("", "");
  levels.clear();
  $("time").textContent = "0:00";
  await microphone.stop();
  await leaveMicrophone();
  let isKept = false;
  toast("Discarded.", {
    undo: () => {
      isKept = true;
      offer(mine.liveId, mine.seconds);
    },
    onEnd: () => isKept || sendJson("DELETE", `/api/live/${mine.liveId}`).catch(() => {}),
  });
}

/** What was not finished, to be written down or forgotten. */
function offer(liveId, seconds) {
  const words = h("p", {}, h("strong", {}, "This recording is not finished."), ` ${clock(seconds)} of sound is here.`);
  const buttons = h(
    "div",
    { class: "row" },
    h("button", { type: "button", class: "button", "data-act": "finish" }, "Write it down"),
    h("button", { type: "button", class: "button is-quiet", "data-act": "discard" }, "Discard"),
  );
  $("unfinished").hidden = false;
  $("unfinished").append(h("li", { class: "notice", "data-live": liveId }, icon("clock"), h("div", { class: "stack is-tight" }, words, buttons)));
}

async function actOnUnfinished(item, act) {
  const liveId = item.dataset.live;
  for (const button of item.querySelectorAll("button")) button.disabled = true;
  try {
    if (act === "finish") done(await followJob(await sendJson("POST", `/api/live/${liveId}/finish`)));
    else if (await confirmDialog({ title: "Discard this recording?", body: "Its sound is deleted from this device.", yes: "Discard", isDangerous: true }))
      await sendJson("DELETE", `/api/live/${liveId}`);
    else return;
    item.remove();
    $("record").focus();
  } catch (error) {
    complain(error.message);
  } finally {
    for (const button of item.querySelectorAll("button")) button.disabled = false;
  }
}

$("record").addEventListener("click", () => {
  if (mode() === "idle" || mode() === "done") start();
  else stop();
});
$("pause").addEventListener("click", pause);
$("discard").addEventListener("click", discard);
$("unfinished").addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) actOnUnfinished(button.closest("[data-live]"), button.dataset.act);
});
setInterval(stay, LOOK_MS);
addEventListener("beforeunload", (event) => {
  const isHere = mode() === "recording" || mode() === "writing"; // once the app writes it down, it needs no page
  if (session && (isHere || session.waiting)) event.preventDefault();
});
