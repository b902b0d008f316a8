// The microphone: 16 kHz, mono, 16 bits, in pieces while it runs or as one WAV at the end. Nothing here is sent.

import { RATE_HZ, wavOf } from "./sounds.js";

const WHY = {
  NotAllowedError: "The browser did not allow the microphone. Click the sign beside the address, allow it, and try again.",
  NotFoundError: "No microphone was found. Connect one, and try again.",
  NotReadableError: "The microphone is in use by another program. Close that, and try again.",
  OverconstrainedError: "This microphone cannot be used. Choose another one in the system's settings.",
};

const MUTE = "The browser could not begin to listen: it waits for a way to play sound. Connect a speaker or headphones, and try again.";
const START_MS = 8000;

/** Some browsers run no sound at all on a machine that can play none, and never say so. */
async function run(context) {
  let timer;
  const tooLate = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(MUTE)), START_MS)));
  await Promise.race([context.resume(), tooLate]).finally(() => clearTimeout(timer));
}

async function contextAt16k(stream) {
  // Most browsers resample on the way in. Where one refuses, the worklet does it.
  const wanted = new AudioContext({ sampleRate: RATE_HZ });
  try {
    return [wanted, wanted.createMediaStreamSource(stream)];
  } catch {
    await wanted.close();
    const own = new AudioContext();
    return [own, own.createMediaStreamSource(stream)];
  }
}

/**
 * Ask for the microphone; the level comes from now on, sound between `start` and `stop`.
 *
 * `onLevel(db)` 20 times a second, 0 is the loudest there is; `onPiece(ArrayBuffer)` takes the pieces as they come,
 * without it `stop()` gives all of them as a WAV; `onLost()` when the microphone is unplugged or taken away.
 */
export async function openMicrophone({ onLevel = () => {}, onPiece, onLost = () => {} } = {}) {
  let stream;
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "NotFoundError");
    stream = await navigator.mediaDevices.getUserMedia({
      // As it is: models hear better what no filter has guessed at.
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true },
    });
  } catch (error) {
    throw new Error(WHY[error.name] ?? `The microphone cannot be used: ${error.message}`);
  }
  const track = stream.getAudioTracks()[0];
  let context, source, node;
  try {
    [context, source] = await contextAt16k(stream);
    await context.audioWorklet.addModule(new URL("./capture.js", import.meta.url));
    node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    source.connect(node);
    await run(context);
  } catch (error) {
    track.stop(); // nothing stays open that nobody listens to
    if (context && context.state !== "closed") context.close();
    throw error;
  }

  let pieces = [];
  let ended = null;
  node.port.onmessage = ({ data }) => {
    if (data.level !== undefined) return onLevel(data.level);
    if (data.pcm.byteLength) onPiece ? onPiece(data.pcm) : pieces.push(data.pcm);
    if (data.isLast) ended?.();
  };
  track.addEventListener("ended", onLost);
  const tell = (order) => node.port.postMessage(order);
  return {
    start() {
      pieces = [];
      tell("open");
    },
    pause: () => tell("hold"),
    resume: () => tell("open"),
    async stop() {
      await new Promise((resolve) => {
        ended = resolve;
        tell("end");
      });
      return onPiece ? null : wavOf(await new Blob(pieces).arrayBuffer());
    },
    close() {
      track.removeEventListener("ended", onLost);
      track.stop();
      return context.state === "closed" ? undefined : context.close();
    },
  };
}
