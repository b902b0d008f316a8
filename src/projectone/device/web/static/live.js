// What is said, on its way to the app: piece after piece, in order, until all of it is there.

import { sendBytes, sendJson } from "./api.js";

const BYTES_PER_S = 32000;
const AGAIN_MS = 500;
const STAY_MS = 10000; // the app takes what nobody touched for 30 s as left
const PASSING = [401, 408, 409, 429]; // the same piece may be taken later

const isFinal = ({ status }) => status >= 400 && status < 500 && !PASSING.includes(status);
const isGone = ({ reason }) => reason === "live-unknown";

/** Where the next recording is kept; gives its name. */
export const beginLive = async () => (await sendJson("POST", "/api/live")).live_id;

export class Line {
  /** `onProblem(words)` hears what is wrong, "" when nothing is; `onFull()` that no more of it is taken. */
  constructor(liveId, { onProblem, onFull }) {
    Object.assign(this, { liveId, onProblem, onFull });
    this.offset = 0; // of all that was said
    this.base = 0; // where `liveId` begins in it: later than 0 once another window ended the recording before
    this.sent = Promise.resolve();
    this.waiting = 0; // pieces that only this page has
    this.keptAt = performance.now();
    this.note = "";
    this.isOver = false;
  }

  get seconds() {
    return (this.offset - this.base) / BYTES_PER_S;
  }

  push(pcm) {
    const offset = this.offset;
    this.offset += pcm.byteLength;
    this.waiting += 1;
    this.sent = this.sent.then(() => this.deliver(offset, pcm)).finally(() => (this.waiting -= 1));
  }

  /** In a pause no pieces come; now and then it is said that the recording was not left. */
  stay() {
    if (this.waiting || performance.now() - this.keptAt < STAY_MS) return;
    this.keptAt = performance.now();
    this.sent = this.sent.then(() => this.isOver || this.put(this.offset, new ArrayBuffer(0))).catch((error) => {
      if (isGone(error)) this.onProblem((this.note = error.message));
    });
  }

  async deliver(offset, pcm) {
    while (!this.isOver) {
      try {
        await this.put(offset, pcm).catch((error) => this.putAnew(error, offset, pcm));
        return this.onProblem(this.note);
      } catch (error) {
        if (isFinal(error)) {
          this.isOver = true; // what comes after a missing piece would be refused for ever
          this.onProblem(error.message);
          return void this.onFull();
        }
        this.onProblem(`${error.message} It is tried again; nothing is lost as long as this page is open.`);
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  async put(offset, pcm) {
    await sendBytes("PUT", `/api/live/${this.liveId}?offset=${offset - this.base}`, pcm);
    this.keptAt = performance.now();
  }

  /** Another window finished or discarded the recording: what is said from here on is one of its own. */
  async putAnew(error, offset, pcm) {
    if (!isGone(error)) throw error;
    this.liveId = await beginLive();
    this.base = offset;
    this.note = `${error.message} What you said since then is a recording of its own.`;
    await this.put(offset, pcm);
  }
}
