// A list follows what is typed; the address does too, so that it can be gone back to.

import { refresh } from "./refresh.js";
import { complain, say } from "./say.js";

const WAIT_MS = 200;
let timer;

async function find() {
  const form = document.getElementById("find");
  const wanted = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", wanted.size ? `?${wanted}` : location.pathname);
  try {
    await refresh("#found");
    say(document.getElementById("count").textContent);
  } catch (error) {
    complain(error);
  }
}

// The form may be made anew with the rest of its page, so it is the document that listens.
document.addEventListener("input", (event) => {
  if (event.target.form?.id !== "find") return;
  clearTimeout(timer);
  timer = setTimeout(find, WAIT_MS);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "find") return;
  event.preventDefault();
  clearTimeout(timer);
  find();
});
