// Any sound a browser can read, as the app wants it: 16 kHz, mono, 16 bits.

export const RATE_HZ = 16000;

/** Decode a file with the browser's own decoders and give a WAV; they need no network. */
export async function toWav(file) {
  const bytes = await file.arrayBuffer();
  // A context of this rate resamples on the way, with a proper filter.
  const offline = new OfflineAudioContext(1, 1, RATE_HZ);
  const sound = await offline.decodeAudioData(bytes);
  const mixed = new OfflineAudioContext(1, Math.max(1, sound.length), RATE_HZ);
  const source = mixed.createBufferSource();
  source.buffer = sound;
  source.connect(mixed.destination);
  source.start();
  return wavOf(toPcm16((await mixed.startRendering()).getChannelData(0)));
}

/** Samples in [-1, 1] as 16 bits, little-endian. */
export function toPcm16(samples) {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  for (let i = 0; i < samples.length; i += 1) {
    const held = Math.max(-1, Math.min(1, samples[i]));
    view.setInt16(i * 2, Math.round(held * 32767), true);
  }
  return view.buffer;
}

/** A WAV file around 16 kHz mono PCM16. */
export function wavOf(pcm) {
  const head = new DataView(new ArrayBuffer(44));
  const word = (at, text) => [...text].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  head.setUint32(4, 36 + pcm.byteLength, true);
  word(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, RATE_HZ, true);
  head.setUint32(28, RATE_HZ * 2, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  word(36, "data");
  head.setUint32(40, pcm.byteLength, true);
  return new Blob([head.buffer, pcm], { type: "audio/wav" });
}
