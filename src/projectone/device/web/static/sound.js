// Plays a recording, a word of it, or all from a place on; says where it is at every frame.

export class Sound {
  /** `onTime(seconds)` while it plays, `onState(isPlaying)` when that changes. */
  constructor(address, { onTime, onState }) {
    this.audio = new Audio();
    this.audio.preload = "metadata";
    this.audio.src = address;
    this.onTime = onTime;
    this.onState = onState;
    this.until = Infinity;
    this.audio.addEventListener("ended", () => this.stop());
  }

  get time() {
    return this.audio.currentTime;
  }

  get isPlaying() {
    return !this.audio.paused;
  }

  seek(seconds) {
    this.audio.currentTime = seconds;
    this.onTime(seconds);
  }

  async play(from, until = Infinity) {
    this.until = until;
    if (from !== undefined) this.audio.currentTime = from;
    else if (this.audio.ended || this.audio.currentTime >= this.audio.duration - 0.05) this.audio.currentTime = 0;
    await this.audio.play();
    this.onState(true);
    this.follow();
  }

  follow() {
    if (this.audio.paused) return;
    if (this.audio.currentTime >= this.until) return this.stop();
    this.onTime(this.audio.currentTime);
    requestAnimationFrame(() => this.follow());
  }

  stop() {
    this.audio.pause();
    this.onState(false);
  }

  toggle() {
    return this.isPlaying ? this.stop() : this.play();
  }
}
