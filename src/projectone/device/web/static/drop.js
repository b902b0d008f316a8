// Files dropped anywhere, or chosen: decoded here, written down by the app, one after the other.

import { followJob, sendBytes, sendJson } from "./api.js";
import { h, icon } from "./dom.js";
import { toWav } from "./sounds.js";
import { say } from "./say.js";

const list = document.getElementById("incoming");
let line = Promise.resolve();
let nHere = 0; // files that the app does not have yet

async function wavFrom(file) {
  if (/\.wav$/i.test(file.name)) return file;
  try {
    return await toWav(file);
  } catch {
    throw new Error("This browser cannot read that kind of file. WAV always works.");
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

async function send(file) {
  try {
    return await sendBytes("POST", "/api/recordings", await wavFrom(file));
  } finally {
    nHere -= 1;
  }
}

async function takeIn(file, item) {
  const what = item.querySelector("p");
  try {
    what.textContent = "Listening";
    const job = await send(file);
    const stop = stopButton(file, job);
    const heard = await followJob(job, ({ done, total, what: words }) => {
      if (total === 0) return;
      item.querySelector("progress").max = total;
      item.querySelector("progress").value = done;
      what.textContent = words;
      if (!stop.isConnected) item.append(stop);
    });
    stop.remove();
    item.querySelector("progress").remove();
    const words = heard.text || "(no speech was heard)";
    what.replaceChildren(h("a", { class: "said", href: `/recordings/${heard.recording_id}` }, words));
    say(`${file.name}: ${words}`);
  } catch (error) {
    item.querySelector("progress").remove();
    item.querySelector("button")?.remove();
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
