// From a microphone's rate down to 16 kHz, piece by piece: a windowed sinc, so that nothing above 8 kHz folds back.

const HALF_WIDTH = 16; // zero crossings at each side
const STEPS = 256; // table entries between two of them
const PASS = 0.92; // of the new Nyquist frequency; the rest is for the slope

/** sinc under a Blackman window, from 0 to HALF_WIDTH. */
function kernel() {
  const table = new Float32Array(HALF_WIDTH * STEPS + 2);
  for (let i = 0; i <= HALF_WIDTH * STEPS; i += 1) {
    const x = i / STEPS;
    const angle = (Math.PI * x) / HALF_WIDTH;
    const window = 0.42 + 0.5 * Math.cos(angle) + 0.08 * Math.cos(2 * angle);
    table[i] = (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)) * window;
  }
  return table;
}

export class Resampler {
  constructor(fromHz, toHz) {
    this.ratio = fromHz / toHz;
    this.cutoff = Math.min(1, 1 / this.ratio) * (fromHz === toHz ? 1 : PASS);
    this.reach = Math.ceil(HALF_WIDTH / this.cutoff);
    this.table = kernel();
    this.held = new Float32Array(this.reach); // silence before the first sample
    this.next = this.reach; // where in `held` the next output lies
  }

  /** What can be said now of the outputs; the last few wait for the samples after them. */
  push(samples) {
    if (this.ratio === 1) return Float32Array.from(samples);
    const all = new Float32Array(this.held.length + samples.length);
    all.set(this.held);
    all.set(samples, this.held.length);
    const out = [];
    while (this.next + this.reach < all.length) {
      out.push(this.at(all, this.next));
      this.next += this.ratio;
    }
    const drop = Math.max(0, Math.floor(this.next) - this.reach);
    this.held = all.slice(drop);
    this.next -= drop;
    return Float32Array.from(out);
  }

  /** The end of the sound: what waited. */
  flush() {
    return this.ratio === 1 ? new Float32Array(0) : this.push(new Float32Array(this.reach + 1));
  }

  at(all, position) {
    let sum = 0;
    const last = Math.floor(position + this.reach);
    for (let i = Math.ceil(position - this.reach); i <= last; i += 1) {
      const place = Math.abs(i - position) * this.cutoff * STEPS;
      const step = Math.floor(place);
      if (step >= HALF_WIDTH * STEPS) continue;
      const weight = this.table[step] + (place - step) * (this.table[step + 1] - this.table[step]);
      sum += all[i] * weight;
    }
    return sum * this.cutoff;
  }
}
