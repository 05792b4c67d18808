import { half, made } from "./arrays.js";

const LOW = (1n << 64n) - 1n;

/** Return the four words of 64 bits of a block of Philox 4x64-10, which are a pure function of key and counter. */
function philox(counter, key) {
  let [a, b, c, d] = counter, [k, l] = key;
  for (let round = 0; round < 10; round++) {
    const one = 0xd2e7470ee14c6c93n * a, other = 0xca5a826395121157n * c;
    [a, b, c, d] = [(other >> 64n) ^ b ^ k, other & LOW, (one >> 64n) ^ d ^ l, one & LOW];
    k = (k + 0x9e3779b97f4a7c15n) & LOW;
    l = (l + 0xbb67ae8584caa73bn) & LOW;
  }
  return [a, b, c, d];
}

export const RANDOM_OPERATIONS = {
  random_uniform(a, n) {
    const { seed, stream } = n.attributes, block = BigInt(Math.max(0, a[0].data[a[0].offset])), to = made(n), key = [BigInt(seed), BigInt(stream)];
    const below = n.dtype === "float64" ? 1 : n.dtype === "float32" ? 1 - 2 ** -24 : 1 - 2 ** -11;
    for (let i = 0; i < to.length; i += 4) {
      philox([BigInt(i / 4 + 1), 0n, 0n, block], key).forEach((word, k) => {
        const drawn = Number(word >> 11n) / 2 ** 53;
        if (i + k < to.length) to[i + k] = Math.min(below, n.dtype === "float64" ? drawn : n.dtype === "float32" ? Math.fround(drawn) : half(drawn));
      });
    }
    return to;
  },
};
