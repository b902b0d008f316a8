// Talks to the app behind the page. Everything that is not a success is an ApiError with a sentence for people.

const POLL_MS = 250;

export class ApiError extends Error {
  constructor(message, { reason = "unreachable", status = 0 } = {}) {
    super(message);
    this.reason = reason;
    this.status = status;
  }
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    throw new ApiError("The app on this machine does not answer. Is `projectone ui` still running?");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  if (response.status === 401) {
    throw new ApiError("The app was started anew. Open the address it printed.", { reason: "session", status: 401 });
  }
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(problem.detail ?? `The app answered ${response.status}.`, {
    reason: problem.reason,
    status: response.status,
  });
}

export const getJson = (path) => request(path, {});

/** PUT, POST or DELETE with an object, or nothing. */
export function sendJson(method, path, body) {
  if (body === undefined) return request(path, { method });
  return request(path, { method, body: JSON.stringify(body), headers: { "content-type": "application/json" } });
}

export function sendBytes(method, path, bytes, { keepalive = false } = {}) {
  return request(path, { method, body: bytes, keepalive, headers: { "content-type": "application/octet-stream" } });
}

/** Follow a job to its end; gives its result. `onProgress({done, total, what})` is called as it goes. */
export async function followJob(job, onProgress = () => {}) {
  let seen = job;
  while (seen.state === "running") {
    onProgress(seen);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    seen = await getJson(`/api/jobs/${seen.id}`);
  }
  if (seen.state === "stopped") throw new ApiError("This was stopped.", { reason: "stopped" });
  if (seen.state === "failed") throw new ApiError(seen.error.message, { reason: seen.error.reason ?? seen.error.kind });
  return seen.result;
}

/** Start long work by POST and follow it. */
export async function runJob(path, body, onProgress) {
  return followJob(await sendJson("POST", path, body), onProgress);
}

/** For `onProgress`: fills and shows a `ui.progress(id, label)` of the page; gives a function that hides it. */
export function showProgress(id) {
  const box = document.getElementById(id);
  const bar = box.querySelector("progress");
  const what = box.querySelector("[data-what]");
  const show = ({ done, total, what: words }) => {
    box.hidden = false;
    if (total > 0) {
      bar.max = total;
      bar.value = done;
    } else bar.removeAttribute("value");
    what.textContent = words ?? "";
  };
  show.end = () => (box.hidden = true);
  return show;
}
