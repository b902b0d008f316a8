// Reading aloud: record, listen, keep; one thing to do at a time, and a key for each.

import { getJson, runJob, sendBytes, sendJson, showProgress } from "./api.js";
import { cue } from "./cues.js";
import { clock, h, icon } from "./dom.js";
import { openMicrophone } from "./microphone.js";
import { outcome } from "./outcome.js";
import { listen, refresh } from "./refresh.js";
import { complain, say, toast } from "./say.js";

const QUIET_DB = -32;
const LOUD_DB = -1;
const LONGEST_S = 58;
const $ = (id) => document.getElementById(id);

/** Consent, where it is missing: asked in place, and then the page goes on as the page with the sentence. */
function askFirst() {
  const complainHere = (error) => outcome("warn", error.message, "#purpose-voice_donation");
  listen(
    {
      async consent(input) {
        const { scope, version } = input.dataset;
        const age = document.querySelector(`input[name="age-${scope}"]:checked`)?.value;
        input.checked = false;
        if (!age) {
          document.querySelector(`input[name="age-${scope}"]`).focus();
          throw new Error("Say first whether you are an adult: the words depend on it.");
        }
        const earlier = $(`earlier-${scope}`)?.checked ?? false;
        const body = { is_adult: age === "adult", is_for_earlier: earlier, version: Number(version) };
        await sendJson("PUT", `/api/consents/${scope}`, body);
        await refresh("#donate", ".leaving");
        if ($("stage")) startReading();
      },
    },
    complainHere,
  );
}

function startReading() {
  const stage = $("stage");
  const player = new Audio();
  let state = JSON.parse(stage.dataset.facts);
  let microphone = null;
  let clip = null;
  let began = 0;
  let loudest = -120;
  let isBusy = false;

  const mode = () => stage.dataset.state;
  const PRIMARY = {
    off: ["microphone", "Turn on the microphone"],
    ready: ["microphone", "Record"],
    recording: ["stop", "Stop"],
    checking: ["clock", "Listening to it"],
    review: ["check", "Keep"],
    done: ["check", "All read"],
  };

  function enter(name) {
    stage.dataset.state = name;
    const [sign, words] = PRIMARY[name];
    $("primary").querySelector("use").setAttribute("href", `#i-${sign}`);
    $("primary-words").textContent = words;
    $("primary").disabled = name === "checking" || name === "done";
    for (const id of ["listen", "retry", "others-box"]) $(id).hidden = name !== "review";
    $("skip").hidden = name === "recording" || name === "checking" || name === "done";
    if (name !== "review") $("finding").replaceChildren();
  }

  function draw() {
    const { script, today, ever, waiting } = state;
    const left = today.goal - today.n;
    $("today").textContent = today.n
      ? `${today.n} of ${today.goal} today, ${clock(today.seconds)} given`
      : `${today.goal} a day teach the most`;
    const dots = Array.from({ length: today.goal }, (_, i) => h("li", { class: i < today.n ? "is-full" : i === today.n ? "is-next" : "" }));
    $("dots").replaceChildren(...dots);
    $("ever").textContent = ever.n
      ? `${ever.n} read in all, ${clock(ever.seconds)} of your voice. ${state.n_read} of ${state.n_scripts} sentences.`
      : "What you keep waits here until it is sent.";
    $("undo").hidden = ever.n === 0;
    $("send").hidden = waiting === 0;
    $("send").querySelector("span").textContent = `Send now (${waiting})`;
    $("why").hidden = !script;
    $("level-box").hidden = !script;
    if (script) {
      $("sentence").textContent = script.text;
      $("why-text").textContent = script.why;
    } else {
      $("sentence").textContent = state.problem ?? "You have read every sentence. Thank you.";
      enter("done");
      microphone?.close();
      microphone = null;
    }
    if (left === 0 && script) $("today").textContent += ". Thank you; the next ones are a bonus";
  }

  function level(db) {
    loudest = Math.max(loudest - 0.5, db);
    const share = Math.max(0, Math.min(100, ((db + 60) / 60) * 100));
    $("level-fill").style.width = `${share}%`;
    $("level").setAttribute("aria-valuenow", Math.round(share));
    const kind = loudest > LOUD_DB ? "loud" : loudest > QUIET_DB ? "good" : "quiet";
    $("level").dataset.kind = kind;
    const isRecording = mode() === "recording";
    const words = {
      loud: "Too loud: move back a little.",
      good: isRecording ? "Good. Read at your own pace." : "Good level. Record when you are ready.",
      quiet: isRecording ? "Hardly anything is heard: come closer." : "Say a few words, as loud as you will read.",
    }[kind];
    if (mode() === "ready" || isRecording) setWords(words);
    if (isRecording && (performance.now() - began) / 1000 > LONGEST_S) primary();
  }

  function setWords(words) {
    if ($("level-words").textContent !== words) $("level-words").textContent = words;
  }

  async function record() {
    clip = null;
    loudest = -120;
    await microphone.start();
    began = performance.now();
    enter("recording");
  }

  async function stop() {
    enter("checking");
    setWords("The model listens whether it was this sentence.");
    clip = await microphone.stop();
    player.src = URL.createObjectURL(clip);
    let checked = { finding: null, heard: null };
    try {
      checked = await sendBytes("POST", `/api/donation/${state.script.script_id}/check`, clip);
    } catch (error) {
      if (error.status !== 422) throw error;
      checked = { finding: { reason: error.reason, advice: error.message }, heard: null };
    } finally {
      enter("review");
    }
    const { finding, heard } = checked;
    const good = heard ? "This sounds right, and the model heard this sentence." : "This sounds right.";
    const notice = finding
      ? h("div", { class: "notice is-warn" }, icon("warning"), h("p", {}, finding.advice))
      : h("div", { class: "notice is-good" }, icon("check"), h("p", {}, good));
    $("finding").replaceChildren(notice);
    setWords("Listen to it, then keep it or read it again.");
    $("primary-words").textContent = finding ? "Keep it anyway" : "Keep";
    $("primary").focus();
  }

  async function keep() {
    player.pause();
    const others = $("others").checked ? "1" : "0";
    const kept = await sendBytes("PUT", `/api/donation/${state.script.script_id}?others=${others}`, clip);
    state = kept.state;
    $("others").checked = false;
    next(kept.is_queued ? "Kept. The next one:" : `Kept on this device only: ${kept.reason}`);
  }

  function next(words) {
    enter(microphone ? "ready" : "off");
    draw();
    if (mode() === "off") setWords("The microphone is off. Nothing is heard until you turn it on.");
    say(`${words} ${state.script?.text ?? $("sentence").textContent}`);
    $("primary").focus();
  }

  async function primary() {
    if (mode() === "off") {
      try {
        microphone = await openMicrophone({ onLevel: level, onLost: lost });
      } catch (error) {
        setWords(error.message);
        throw error;
      }
      enter("ready");
    } else if (mode() === "ready") await record();
    else if (mode() === "recording") await stop();
    else if (mode() === "review") await keep();
  }

  function lost() {
    microphone = null;
    player.pause();
    enter("off");
    setWords("The microphone was taken away. Connect it, and turn it on again.");
  }

  async function again() {
    if (!microphone) return next("Turn the microphone on again.");
    player.pause();
    await record();
    $("primary").focus();
  }

  async function skip() {
    player.pause();
    state = await sendJson("POST", "/api/donation/skip");
    next("Another one:");
  }

  function listenToIt() {
    if (player.paused) player.play().catch(() => complain(new Error("It cannot be played.")));
    else player.pause();
  }
  for (const name of ["play", "pause", "ended"]) {
    player.addEventListener(name, () => {
      const isPlaying = !player.paused && !player.ended;
      $("listen").querySelector("use").setAttribute("href", isPlaying ? "#i-pause" : "#i-play");
      $("listen").querySelector("span").textContent = isPlaying ? "Pause" : "Listen";
    });
  }

  async function undo() {
    const undone = await sendJson("DELETE", "/api/donation");
    state = undone.state;
    draw();
    toast(undone.may_have_left ? "Taken back. Send now, and the server deletes it." : "Taken back. It never left this device.");
  }

  async function send() {
    const show = showProgress("send-progress");
    try {
      const result = await runJob("/api/sync", undefined, show);
      toast(result.problem ? `It waits here: ${result.problem}` : `${result.sent} sent.`);
      if (result.sent) cue("sent");
    } finally {
      show.end();
      state = { ...state, waiting: (await getJson("/api/donation")).waiting };
      draw();
    }
  }

  /** One thing at a time: what is pressed while something is under way does nothing. */
  async function act(what) {
    if (isBusy) return;
    isBusy = true;
    try {
      await what();
    } catch (error) {
      complain(error);
    } finally {
      isBusy = false;
    }
  }

  const buttons = { primary, listen: listenToIt, retry: again, skip, undo, send };
  for (const [id, what] of Object.entries(buttons)) $(id).addEventListener("click", () => act(what));

  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !stage.isConnected) return;
    const other = event.target.closest("a, button, input, select, textarea, summary, dialog");
    if (other && other !== $("primary")) return;
    const isReview = mode() === "review";
    const what = {
      " ": isReview ? listenToIt : primary,
      Enter: isReview || other ? primary : null,
      r: isReview ? again : null,
      s: $("skip").hidden ? null : skip,
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!what) return;
    event.preventDefault();
    act(what);
  });
  addEventListener("pagehide", () => microphone?.close());

  enter("off");
  draw();
  // The page is there; whether the server has new sentences may take as long as it likes.
  async function askForNew() {
    let fresh = await getJson("/api/donation?ask=1");
    if (mode() !== "off") return;
    // What was shown before a newer list came is no longer among those that teach most.
    if (!fresh.is_listed) fresh = await sendJson("POST", "/api/donation/skip");
    state = fresh;
    draw();
  }
  askForNew().catch(() => {});
}

if ($("stage")) startReading();
else askFirst();
