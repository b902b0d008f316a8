// On the audio thread: what the microphone hears, as pieces of 16 kHz PCM16, and how loud it is.

import { Resampler } from "./resampler.js";

const RATE_HZ = 16000;
const PIECE = 4000; // a quarter of a second
const METER_S = 0.05;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.isOpen = false;
    this.resampler = new Resampler(sampleRate, RATE_HZ);
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
    this.power = 0;
    this.metered = 0;
    this.port.onmessage = ({ data }) => this.hear(data);
  }

  hear(order) {
    if (order === "open") this.isOpen = true;
    if (order === "hold" || order === "end") {
      if (this.isOpen) this.keep(this.resampler.flush());
      this.resampler = new Resampler(sampleRate, RATE_HZ);
      this.isOpen = false;
      this.send(order === "end");
    }
  }

  process([input]) {
    if (!input.length) return true;
    const mono = input[0].slice();
    for (let i = 0; i < mono.length; i += 1) {
      for (let channel = 1; channel < input.length; channel += 1) mono[i] += input[channel][i];
      mono[i] /= input.length;
      this.power += mono[i] * mono[i];
    }
    this.metered += mono.length;
    if (this.metered >= sampleRate * METER_S) {
      this.port.postMessage({ level: 10 * Math.log10(this.power / this.metered + 1e-12) });
      this.power = this.metered = 0;
    }
    if (this.isOpen) this.keep(this.resampler.push(mono));
    return true;
  }

  keep(samples) {
    for (const sample of samples) {
      this.piece[this.filled] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
      this.filled += 1;
      if (this.filled === PIECE) this.send(false);
    }
  }

  send(isLast) {
    const pcm = this.piece.slice(0, this.filled).buffer;
    this.filled = 0;
    if (pcm.byteLength || isLast) this.port.postMessage({ pcm, isLast }, [pcm]);
  }
}

registerProcessor("capture", Capture);
