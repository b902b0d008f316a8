// The list follows what is typed; the address does too, so that it can be gone back to.

import { refresh } from "./refresh.js";
import { complain, say } from "./say.js";

const WAIT_MS = 200;
const form = document.getElementById("find");
let timer;

async function find() {
  const wanted = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", wanted.size ? `?${wanted}` : location.pathname);
  try {
    await refresh("#found");
    say(document.getElementById("count").textContent);
  } catch (error) {
    complain(error);
  }
}

form?.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(find, WAIT_MS);
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  find();
});
