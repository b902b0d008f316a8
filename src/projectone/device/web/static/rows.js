// A recording as a line of a list, as recording_rows.html.j2 writes it.

import { clock, h } from "./dom.js";

export function rowOf(recording) {
  const time = new Date(recording.recorded_at).toTimeString().slice(0, 5);
  return h(
    "li",
    { "data-recording": recording.recording_id },
    h(
      "a",
      { class: "recording-row", href: `/recordings/${recording.recording_id}` },
      h("span", { class: "said" }, recording.text || "(no speech was heard)"),
      h("span", { class: "recording-meta quiet" }, h("span", { class: "number" }, time), h("span", { class: "number" }, clock(Math.round(recording.duration_s)))),
    ),
  );
}
