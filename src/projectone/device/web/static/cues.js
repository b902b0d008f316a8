// The few sounds of the app. They are off until somebody wants them, and silent for whoever asked the system for calm:
// there is no setting for less sound, so the one for less motion counts.

import { sendJson } from "./api.js";

const root = document.documentElement;
const wantsCalm = matchMedia("(prefers-reduced-motion: reduce)");
const LONGEST_MS = 3000;
const isOn = () => root.dataset.cues === "on" && !wantsCalm.matches;

/** Play a cue; resolves when it is over. Where it cannot be played, nothing else is held up. */
export async function cue(name) {
  if (!isOn()) return;
  const sound = new Audio(`/api/cues/${name}`);
  let waited;
  const over = new Promise((resolve) => {
    sound.addEventListener("ended", resolve);
    sound.addEventListener("error", resolve);
    waited = setTimeout(resolve, LONGEST_MS);
  });
  try {
    await sound.play();
    await over;
  } catch {
    // A browser that plays nothing without being asked is right.
  } finally {
    clearTimeout(waited);
  }
}

/** The button in the frame of every page. */
export function listenToSwitch(button) {
  const show = () => {
    const isWanted = root.dataset.cues === "on";
    button.querySelector("use").setAttribute("href", isWanted ? "#i-sound" : "#i-silent");
    button.setAttribute("aria-pressed", String(isWanted));
    button.title = wantsCalm.matches ? "Sounds: silent, as your system asks for less motion" : isWanted ? "Sounds: on" : "Sounds: off";
  };
  button.addEventListener("click", async () => {
    const { is_on: isWanted } = await sendJson("PUT", "/api/cues", { is_on: root.dataset.cues !== "on" });
    root.dataset.cues = isWanted ? "on" : "off";
    show();
    if (isWanted) cue("sent"); // so that it is known what was switched on
  });
  wantsCalm.addEventListener("change", show);
  show();
}
