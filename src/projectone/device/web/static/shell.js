// What every page does: the switch between light and dark, which is kept for a year, and the one for sounds.

import { listenToSwitch } from "./cues.js";

const button = document.getElementById("theme");
const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);

function show() {
  button.querySelector("use").setAttribute("href", isDark() ? "#i-sun" : "#i-moon");
  button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  button.title = button.getAttribute("aria-label");
}

button.addEventListener("click", () => {
  const wanted = isDark() ? "light" : "dark";
  const isSystems = (wanted === "dark") === prefersDark.matches;
  // Back at what the system wants, we follow the system again.
  if (isSystems) delete root.dataset.theme;
  else root.dataset.theme = wanted;
  const age = isSystems ? 0 : 31536000;
  document.cookie = `projectone-theme=${wanted}; path=/; max-age=${age}; samesite=strict`;
  show();
});
prefersDark.addEventListener("change", show);
show();
listenToSwitch(document.getElementById("cues"));
