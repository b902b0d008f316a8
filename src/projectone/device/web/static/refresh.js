// The page's own HTML, asked for again: what the server renders is the one truth, and nothing is written twice.

// What takes something away at one press. After a redraw the next one of a list lies where the last one lay.
const TAKING = new Set(["forget", "remove", "take-back", "warn-again"]);
const SECOND_CLICK_MS = 700;
const SAME_PLACE_PX = 24;
let redrawnAt = -Infinity;
let clicked = null; // where and when the pointer was last pressed and it counted

/** Whether a click is the second of a slow double click, whose first has moved something else under the pointer.
 *
 * Keys and assistive technology press without a pointer (`detail` is 0): theirs always count.
 */
function isEcho({ detail, clientX, clientY, timeStamp }) {
  if (!detail) return false;
  const isThere = clicked && Math.hypot(clientX - clicked.x, clientY - clicked.y) < SAME_PLACE_PX;
  if (isThere && timeStamp - Math.max(clicked.at, redrawnAt) < SECOND_CLICK_MS) return true;
  clicked = { x: clientX, y: clientY, at: timeStamp };
  return false;
}

/** Load this page anew in the background and put its parts in place of those here; focus and scroll stay. */
export function refresh(...selectors) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // its documents are inert, and need no markup in a string
    request.open("GET", location.href);
    request.responseType = "document";
    request.onload = () => {
      if (request.status !== 200 || !request.response) return reject(new Error("The page could not be loaded again."));
      const focused = document.activeElement?.id;
      for (const selector of selectors) {
        const old = document.querySelector(selector);
        const fresh = request.response.querySelector(selector);
        if (old && fresh) old.replaceWith(document.importNode(fresh, true));
      }
      redrawnAt = performance.now();
      // What had the focus may be gone: then reading goes on from the top of the page, not of the window.
      if (focused) (document.getElementById(focused) ?? document.getElementById("main")).focus({ preventScroll: true });
      resolve();
    };
    request.onerror = () => reject(new Error("The app on this machine does not answer. Is `projectone ui` still running?"));
    request.send();
  });
}

/** Call `handlers[name](element)` for clicks on `data-action=name` and changes of the field of that name or id. */
export function listen(handlers, onError) {
  const call = (name, element) => Promise.resolve(handlers[name]?.(element)).catch(onError);
  document.addEventListener("click", (event) => {
    const isAgain = isEcho(event); // asked of every click: the first may have been on something else
    const element = event.target.closest("[data-action]");
    if (element && !(isAgain && TAKING.has(element.dataset.action))) call(element.dataset.action, element);
  });
  document.addEventListener("change", (event) => {
    call(event.target.dataset.change ?? event.target.id, event.target);
  });
}
