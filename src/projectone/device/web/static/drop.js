// Files dropped anywhere, or chosen: decoded here unless they are WAV, written down by the app, one after the other.

import { followJob, sendBytes, sendJson } from "./api.js";
import { h, icon } from "./dom.js";
import { toWav } from "./sounds.js";
import { say } from "./say.js";

const UNKNOWN = /^wav-(bits|channels|codec|container|rate)$/; // a kind of WAV that the app does not read
const list = document.getElementById("incoming");
let line = Promise.resolve();
let nHere = 0; // files that the app does not have yet

async function decoded(file) {
  try {
    return await toWav(file);
  } catch {
    throw new Error("This browser cannot read that kind of file. Save it as a WAV file of 16 bits, and try again.");
  }
}

/** Only of what takes long: a short file is done before anybody reaches for it. */
function stopButton(file, job) {
  const button = h("button", { type: "button", class: "button", "aria-label": `Stop taking in ${file.name}` }, "Stop");
  button.addEventListener("click", () => {
    button.disabled = true;
    sendJson("DELETE", `/api/jobs/${job.id}`);
  });
  return button;
}

/** A sound, or the promise of one. */
async function send(sound) {
  try {
    return await sendBytes("POST", "/api/recordings", await sound);
  } finally {
    nHere -= 1;
  }
}

async function follow(job, file, item) {
  const stop = stopButton(file, job);
  try {
    return await followJob(job, ({ done, total, what }) => {
      if (total === 0) return;
      item.querySelector("progress").max = total;
      item.querySelector("progress").value = done;
      item.querySelector("p").textContent = what;
      if (!stop.isConnected) item.append(stop);
    });
  } finally {
    stop.remove();
  }
}

/** A WAV file goes as it is; a kind of it that the app refuses may be one that the browser knows. */
async function hear(file, item) {
  const isWav = /\.wav$/i.test(file.name);
  try {
    return await follow(await send(isWav ? file : decoded(file)), file, item);
  } catch (error) {
    if (!isWav || !UNKNOWN.test(error.reason)) throw error;
  }
  nHere += 1;
  return follow(await send(decoded(file)), file, item);
}

async function takeIn(file, item) {
  const what = item.querySelector("p");
  try {
    what.textContent = "Listening";
    const heard = await hear(file, item);
    item.querySelector("progress").remove();
    const words = heard.text || "(no speech was heard)";
    what.replaceChildren(h("a", { class: "said", href: `/recordings/${heard.recording_id}` }, words));
    say(`${file.name}: ${words}`);
  } catch (error) {
    item.querySelector("progress").remove();
    if (error.reason === "stopped") {
      what.textContent = "Stopped. Nothing of it was kept.";
      say(`${file.name}: stopped`);
      return;
    }
    item.classList.add("is-bad");
    item.querySelector("svg").replaceWith(icon("warning"));
    what.textContent = error.message;
    say(`${file.name}: ${error.message}`);
  }
}

/** Put files in line. */
export function takeFiles(files) {
  for (const file of files) {
    const item = h(
      "li",
      { class: "notice" },
      icon("clock"),
      h("div", { class: "stack" }, h("strong", {}, file.name), h("progress", { "aria-label": `Taking in ${file.name}` }), h("p", {}, "Waiting")),
    );
    list.append(item);
    nHere += 1;
    line = line.then(() => takeIn(file, item));
  }
}

addEventListener("beforeunload", (event) => {
  if (nHere) event.preventDefault();
});
document.getElementById("files").addEventListener("change", (event) => {
  takeFiles(event.target.files);
  event.target.value = "";
});
let inside = 0;
addEventListener("dragenter", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  inside += 1;
  document.body.classList.add("is-dropping");
});
addEventListener("dragleave", () => {
  inside = Math.max(0, inside - 1);
  if (inside === 0) document.body.classList.remove("is-dropping");
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  document.body.classList.remove("is-dropping");
  if (event.dataTransfer?.files.length) takeFiles(event.dataTransfer.files);
});
