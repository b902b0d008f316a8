// One recording: the sound, its words, and what the person makes of them.

import { sendJson } from "./api.js";
import { diff, place } from "./align.js";
import { clock, facts, h } from "./dom.js";
import { complain, confirmDialog, say, toast } from "./say.js";
import { Sound } from "./sound.js";
import { Waveform } from "./waveform.js";
import { WordEditor } from "./words.js";

const EDGE_S = 0.04; // a word alone sounds cut off without a little of what surrounds it
const $ = (id) => document.getElementById(id);
let item = facts();
let isGone = false;
const address = `/api/recordings/${item.recording_id}`;
const split = (text) => text.split(/\s+/u).filter(Boolean);

/** Words as they were heard; recordings of older versions have none with times. */
function heardWords() {
  if (!item.words.length) return split(item.text).map((text) => ({ text, start: 0, end: item.duration_s, probability: 1, isDoubtful: false }));
  const isOpen = item.corrected_text === null; // what a person wrote is in no doubt
  return item.words.map(([text, start, end, probability]) => ({ text, start, end, probability, isDoubtful: isOpen && probability < item.doubt }));
}

const tokensNow = () => (item.corrected_text === null ? heardWords() : place(heardWords(), split(item.corrected_text)));

const wave = new Waveform($("wave"), item.peaks);
const sound = new Sound(`${address}/audio`, { onTime: showTime, onState: showPlaying });
const editor = new WordEditor($("words-box"), tokensNow(), {
  change: show,
  hear: (token) => sound.play(Math.max(0, token.start - EDGE_S), token.end + EDGE_S).catch(complain),
  play: () => sound.toggle(),
  playFrom: (seconds) => sound.play(seconds).catch(complain),
  save,
  help: () => $("help").showModal(),
  say,
});

function showTime(seconds) {
  wave.at(seconds / item.duration_s);
  $("seek").value = seconds;
  $("seek").setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(item.duration_s)}`);
  $("at").textContent = clock(seconds);
  if (!sound.isPlaying || !item.words.length) return;
  editor.tokens.forEach((token, i) => {
    editor.option(i).classList.toggle("is-playing", seconds >= token.start && seconds < token.end);
  });
}

function showPlaying(isPlaying) {
  $("play").querySelector("use").setAttribute("href", isPlaying ? "#i-pause" : "#i-play");
  $("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  if (!isPlaying) for (const word of document.querySelectorAll(".is-playing")) word.classList.remove("is-playing");
}

const isPlain = () => $("as-text").getAttribute("aria-pressed") === "true";
const textNow = () => (isPlain() ? split($("plain").value) : editor.texts).join(" ");
const textKept = () => item.corrected_text ?? item.text;
const isChanged = () => textNow() !== split(textKept()).join(" ") || $("others").checked !== item.others_present;

/** Everything that follows from the words as they are now. */
function show() {
  const runs = diff(split(item.text), split(textNow()));
  const kinds = { same: "span", gone: "del", new: "ins" };
  $("diff-text").replaceChildren(...runs.flatMap(([kind, text]) => [h(kinds[kind], {}, text), " "]));
  $("diff").hidden = runs.every(([kind]) => kind === "same");
  const left = editor.doubtful.length;
  $("next-doubt").disabled = left === 0 || isPlain();
  $("next-doubt").querySelector("span").textContent = left ? `Next unsure word (${left})` : "No unsure words";
  for (const id of ["hear", "change", "delete"]) $(id).disabled = isPlain() || !editor.tokens.length;
  $("undo").disabled = isPlain() || editor.past.length === 0;
  const saved = item.corrected_text === null ? "It is right as it is" : "Saved";
  const change = textNow() ? "Save" : "Nothing was said";
  $("save").querySelector("span").textContent = isChanged() ? change : saved;
  $("save").disabled = !isChanged() && item.corrected_text !== null;
  $("take-back").hidden = item.corrected_text === null;
  $("fate").textContent = item.fate;
  wave.marks = editor.doubtful.map((i) => [editor.tokens[i].start / item.duration_s, editor.tokens[i].end / item.duration_s]);
  wave.draw();
}

function take(kept) {
  item = { ...item, ...kept };
  editor.past = [];
  editor.future = [];
  editor.set(tokensNow());
  $("plain").value = textKept();
  $("others").checked = item.others_present;
  show();
}

async function save() {
  if ($("save").disabled) return;
  const before = { text: item.corrected_text, others: item.others_present };
  const hadFocus = $("words").contains(document.activeElement);
  try {
    const body = { text: textNow(), others_present: $("others").checked, instead_of: item.corrected_text };
    const kept = await sendJson("PUT", `${address}/correction`, body);
    if (textNow() === body.text) {
      take(kept);
      if (hadFocus) editor.choose(editor.chosen);
    } else {
      item = { ...item, ...kept }; // somebody wrote on meanwhile
      show();
    }
  } catch (error) {
    return complain(error);
  }
  const learned = item.learned.length ? ` From now on "${item.learned.join('", "')}" is listened for.` : "";
  toast(`Saved.${learned}`, { undo: () => restore(before) });
}

/** Back to the correction before, or to none; what was not saved meanwhile is an undo away, or stays in the plain text. */
async function restore({ text, others }) {
  const [method, body] = text === null ? ["DELETE", {}] : ["PUT", { text, others_present: others }];
  let kept;
  try {
    kept = await sendJson(method, `${address}/correction`, { ...body, instead_of: item.corrected_text });
  } catch (error) {
    return complain(error);
  }
  editor.commit();
  const isUnsaved = textNow() !== split(textKept()).join(" ");
  const unsaved = { tokens: editor.tokens, chosen: editor.chosen, plain: $("plain").value };
  take(kept);
  if (!isUnsaved) return say("Taken back.");
  if (isPlain()) $("plain").value = unsaved.plain;
  else editor.past.push(unsaved);
  show();
  toast(isPlain() ? "Taken back. What was not saved stays here." : "Taken back. Undo brings back what was not saved.");
}

async function takeBack() {
  const wasSent = item.is_there;
  const body = wasSent ? "It was sent, or an earlier one was. The server is told to delete it at the next sync." : "What was heard stays as it was.";
  if (await confirmDialog({ title: "Take the correction back?", body, yes: "Take back", isDangerous: wasSent })) await restore({ text: null });
}

/** For good: sound, words and corrections. */
async function deleteRecording() {
  const body = ["Its sound and its text are deleted from this device. This cannot be undone."];
  if (item.is_there) body.push("What was sent of it is deleted on the server at the next sync.");
  if (!(await confirmDialog({ title: "Delete this recording?", body, yes: "Delete", isDangerous: true }))) return;
  try {
    await sendJson("DELETE", address);
    isGone = true;
    location.assign("/recordings");
  } catch (error) {
    complain(error);
  }
}

function turnPlain() {
  const wanted = !isPlain();
  if (wanted) $("plain").value = editor.texts.join(" ");
  else {
    const texts = split($("plain").value);
    if (texts.join(" ") !== editor.texts.join(" ")) editor.change(0, editor.tokens.length, ...place(heardWords(), texts));
  }
  $("as-text").setAttribute("aria-pressed", String(wanted));
  $("words-box").hidden = wanted;
  $("plain").hidden = !wanted;
  show();
  if (wanted) $("plain").focus();
  else editor.choose(editor.chosen);
}

$("play").addEventListener("click", () => sound.toggle());
$("seek").addEventListener("input", () => sound.seek(Number($("seek").value)));
$("next-doubt").addEventListener("click", () => {
  if (editor.toDoubt()) return;
  editor.choose(editor.doubtful[0]);
});
$("hear").addEventListener("click", () => editor.on.hear(editor.tokens[editor.chosen]));
$("change").addEventListener("click", () => editor.edit());
$("delete").addEventListener("click", () => editor.remove());
$("undo").addEventListener("click", () => editor.undo());
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(textNow());
  toast("Copied.");
});
$("as-text").addEventListener("click", turnPlain);
$("plain").addEventListener("input", show);
$("plain").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
});
$("keys").addEventListener("click", () => $("help").showModal());
$("others").addEventListener("change", show);
$("save").addEventListener("click", save);
$("take-back").addEventListener("click", takeBack);
$("delete-recording").addEventListener("click", deleteRecording);
addEventListener("beforeunload", (event) => {
  if (isChanged() && !isGone) event.preventDefault();
});
show();
