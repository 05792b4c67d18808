import { half, made } from "./arrays.js";
/** @import { Computed, Data, Operations, Value } from "./arrays.js" */

/**
 * Put the product of two words of 32 bits into two words of a list, the high one first.
 *
 * @type {(a: number, b: number, to: Uint32Array, at: number) => void}
 */
function halfProduct(a, b, to, at) {
  const low = (a & 0xffff) * (b & 0xffff),
    one = (a >>> 16) * (b & 0xffff),
    other = (a & 0xffff) * (b >>> 16);
  const middle = (low >>> 16) + (one & 0xffff) + (other & 0xffff);
  to[at] = (a >>> 16) * (b >>> 16) + (one >>> 16) + (other >>> 16) + (middle >>> 16);
  to[at + 1] = Math.imul(a, b);
}

const parts = new Uint32Array(8);

/**
 * Put the product of two words of 64 bits, in halves of 32, into four words of a list, the highest first.
 *
 * @type {(aHigh: number, aLow: number, bHigh: number, bLow: number, to: Uint32Array, at: number) => void}
 */
function wordProduct(aHigh, aLow, bHigh, bLow, to, at) {
  halfProduct(aHigh, bHigh, parts, 0);
  halfProduct(aHigh, bLow, parts, 2);
  halfProduct(aLow, bHigh, parts, 4);
  halfProduct(aLow, bLow, parts, 6);
  const second = parts[6] + parts[3] + parts[5],
    third = parts[1] + parts[2] + parts[4] + Math.floor(second / 2 ** 32);
  to[at] = parts[0] + Math.floor(third / 2 ** 32);
  to[at + 1] = third;
  to[at + 2] = second;
  to[at + 3] = parts[7];
}

/** The words of 64 bits of Philox 4x64-10, of which each block of four is a pure function of key and counter. */
class Philox {
  /**
   * @param {number | bigint} seed
   * @param {number | bigint} stream
   * @param {number} block
   */
  constructor(seed, stream, block) {
    this.key = [seed, stream, block].flatMap((x) => [Number(BigInt(x) >> 32n), Number(BigInt(x) & 0xffffffffn)]);
    this.count = 0;
    this.at = 8;
    this.words = new Uint32Array(8);
    this.products = new Uint32Array(8);
  }

  /** Go to the next word. */
  next() {
    this.at += 2;
    if (this.at < 8) return;
    const { key, words, products } = this,
      round = Uint32Array.from(key.slice(0, 4));
    words.set([Math.floor(++this.count / 2 ** 32), this.count, 0, 0, 0, 0, key[4], key[5]]);
    for (let k = 0; k < 10; k++) {
      wordProduct(0xd2e7470e, 0xe14c6c93, words[0], words[1], products, 0);
      wordProduct(0xca5a8263, 0x95121157, words[4], words[5], products, 4);
      words[0] = products[4] ^ words[2] ^ round[0];
      words[1] = products[5] ^ words[3] ^ round[1];
      words[4] = products[0] ^ words[6] ^ round[2];
      words[5] = products[1] ^ words[7] ^ round[3];
      [words[2], words[3], words[6], words[7]] = [products[6], products[7], products[2], products[3]];
      increase(round, 0, 0x9e3779b9, 0x7f4a7c15);
      increase(round, 2, 0xbb67ae85, 0x84caa73b);
    }
    this.at = 0;
  }

  get high() {
    return this.words[this.at];
  }
  get low() {
    return this.words[this.at + 1];
  }

  /** Return a number from 0 to below 1, of 53 bits. */
  number() {
    this.next();
    return (this.high * 2 ** 21 + (this.low >>> 11)) / 2 ** 53;
  }
}

/** @type {(words: Uint32Array, at: number, high: number, low: number) => void} */
function increase(words, at, high, low) {
  const sum = words[at + 1] + low;
  words[at + 1] = sum;
  words[at] += high + (sum >= 2 ** 32 ? 1 : 0);
}

/* The ziggurat of 256 strips, as NumPy draws standard normal numbers: G. Marsaglia and W. W. Tsang, "The ziggurat
   method for generating random variables", Journal of Statistical Software 5 (2000). Where the strips end, divided by
   2 ** 52, are the doubles that NumPy multiplies with; heights and bounds follow from them. */
const TAIL = 3.654152885361009,
  UNIT = 2 ** 52;
const ENDS =
  "edkVeDtJzzzG9v3jC42LPLRbLDyvUJI8YTtEOLl8lTwMpy/o/AGYPLzQTC4MI5o892E4L00AnDx0cnRaL6ydPMPVTC1IMp88rbuOJzJNoDxDXQI7BfWgPHc2" +
  "QZemkqE89Rp6j6InojyA2GM4LrWiPPWRV8A/PKM8L7GiwZ69ozxVm/+N7zmkPKf+PTa7saQ8dNMaYnUlpTyWzgengJWlPOp+2c8xAqY8PXyjYdJrpjxwBQCS" +
  "otKmPKb4RtPaNqc8dyqzEK2YpzxD9UatRfinPHcKQ1PMVag8mnZ7nmSxqDyYz06pLgupPOoeLIJHY6k8RsU4jsm5qTwsp6TczA6qPFnNd21nYqo8MBYQbq20" +
  "qjycbBNtsQWrPCl6QoeEVas8Op9Sjjakqzwygr8q1vGrPPNOWflwPqw8YTsypROKrDyLJnL+ydSsPEi3gA6fHq08EB/kKZ1nrTzDuCMAzq+tPFN28ak69608" +
  "/u3Stes9rjwAb3oz6YOuPM6C+b06ya48JmLwhOcNrzyI9thU9lGvPK7Xh55tla88rC76fVPYrzzsNELgVg2wPJqPOfVALrA8/KUWnupOsDwQoHJbVm+wPAv0" +
  "cZCGj7A8E2G8hH2vsDx/zEtmPc+wPGsIFkvI7rA87hWVMiAOsTy+DzEHRy2xPEGRjp8+TLE8HiDEvwhrsTw02ngap4mxPIht7lEbqLE8yyr4+GbGsTwu1OCT" +
  "i+SxPJ+gQJmKArI86cbEcmUgsjwfw+l9HT6yPPtrqQy0W7I8f9MdZip5sjwb1xnHgZayPNouuGK7s7I8U7jhYtjQsjyOqcvo2e2yPNdIbg3BCrM8MLn04Y4n" +
  "szyhXiZwRESzPNVSyrriYLM8algFvmp9szxksrJv3ZmzPAM9uL87trM84B1WmIbSszyDWnLevu6zPHSe4HHlCrQ8XXSmLfsmtDykMDzoAEO0PF3HynP3XrQ8" +
  "NsNmnt96tDwvj0gyupa0PF1BAvaHsrQ83BGzrEnOtDwFpjgWAOq0PGJVXu+rBbU8WosK8k0htTxPZmrV5jy1PMiyG053WLU8eF9VDgB0tTwUhQ7GgY+1PFkb" +
  "JCP9qrU8PXN90XLGtTzTjC974+G1PDhen8hP/bU8wx+jYLgYtjyisKLoHTS2PAsmtwSBT7Y8cpbJV+Jqtjw3MbGDQoa2PLGyUCmiobY8u0Oz6AG9tjxS0yhh" +
  "Yti2PFT4YTHE87Y862iL9ycPtzzGFGlRjiq3PNzucNz3Rbc8H3PlNWVhtzxJ9O/61ny3PJO9ushNmLc8CRSLPMqztzz7ItvzTM+3POfec4zW6rc8H+qGpGcG" +
  "uDx2hsjaACK4PBWfic6iPbg8vfXRH05ZuDzFfnpvA3W4PC33R1/DkLg8Q8AFko6suDycDKGrZci4PCdqRFFJ5Lg8j7VzKToAuTxHgyjcOBy5PPwK7xJGOLk8" +
  "iqIDeWJUuTzu1XC7jnC5PDEqLonLjLk8v5k/kxmpuTws2dWMecW5PBF0byvs4bk8StL6JnL+uTySNvk5DBu6PFvIoiG7N7o8iLsLnn9UujykqUpyWnG6PD0x" +
  "oGRMjro8CPGfPlarujzO9VrNeMi6PDazi+G05bo8GqHDTwsDuzxbmJrwfCC7PAAM4KAKPrs8Az3OQbVbuzwniT+5fXm7PDz35fFkl7s8biWF22u1uzyiwC5r" +
  "k9O7PIOugZvc8bs8oBbsbEgQvDwtevDl1y68PBwNbhOMTbw8BYfsCGZsvDwXpuvgZou8PKuiNr2Pqrw8kNY7x+HJvDw34GgwXum8PG6PizIGCb08IO83ENso" +
  "vTxHxjMV3ki9PCPx55YQab08pfvX9HOJvTxwbiCZCaq9PA5J/PjSyr08Ny5SldHrvTwc0kn7Bg2+PPZG6sR0Lr48iNHBmRxQvjwl/pcvAHK+PAq/KkshlL48" +
  "CG/3wIG2vjw6pxB2I9m+PKnsAWEI/L48IVPCijIfvzxtTbcPpEK/PGgBySBfZr88gpeJBGaKvzy/InEYu66/PIXnL9Jg0788C/YYwVn4vzx1oNNH1A7APEfJ" +
  "jwKoIcA8qwKpg6k0wDzH9T5O2kfAPH6zrfY7W8A8aCanI9BuwDwXLmOPmILAPFSi6AiXlsA8xMBxdc2qwDxI1O7RPb/APDA9qjTq08A8k2URz9TowDy2n6bv" +
  "//3APEFwIARuE8E8NV27myEpwTxtCcRpHT/BPDsuYEhkVcE88+6dO/lrwTxhEtJ034LBPKzrTlYamsE8ji9/d62xwTyUpnGpnMnBPDmu5Pvr4cE8Adniwp/6" +
  "wTyBzASdvBPCPO7Tb3pHLcI8JJyspEVHwjzgWHbHvGHCPC5ZqPqyfMI8eA53zS6YwjxSCipTN7TCPJfbljHU0MI89XipsQ3uwjzurlbS7AvDPKOkaF57KsM8" +
  "oxKuBcRJwzxAqDN60mnDPApBVpKzisM8+oiucHWswzymBBezJ8/DPHX0YKrb8sM82uW5nKQXxDyUXlQVmD3EPBU6p0TOZMQ8vEOcdWKNxDwnWmudc7fEPAKJ" +
  "zQ0l48Q8QazpU58QxTxCfjpSEUDFPBvkSqmxccU82Y1xi8ClxTz+0DokitzFPEwehs9pFsY86moAe85TxjzD5Z++QJXGPDLiCY1r28Y8NHpf8CgnxzxzBglW" +
  "lXnHPIzO1vQt1Mc8NPIpBQM5yDwUfKq/D6vIPJZEb5TgLsk8q1dAAe7LyTxad5R43I/KPLH9eDgfmMs8M60JgrQ7zTw=";
/** @type {{width: Float64Array, height: Float64Array, inside: Float64Array} | undefined} */
let strips;

/** @type {() => NonNullable<typeof strips>} */
function ziggurat() {
  if (strips) return strips;
  const width = new Float64Array(Uint8Array.from(atob(ENDS), (c) => c.charCodeAt(0)).buffer),
    end = (/** @type {number} */ k) => width[k] * UNIT;
  const height = width.map((_, k) => (k ? Math.exp(-0.5 * end(k) ** 2) : 1));
  const inside = width.map((_, k) => (k === 1 ? 0 : Math.floor((k ? end(k - 1) / end(k) : TAIL / end(0)) * UNIT)));
  return (strips = { width, height, inside });
}

/** @type {(random: Philox) => number} */
function normalNumber(random) {
  const { width, height, inside } = ziggurat();
  for (;;) {
    random.next();
    const { high, low } = random,
      strip = low & 255,
      sign = low & 256 ? -1 : 1;
    const size = (high & 0x1fffffff) * 2 ** 23 + (low >>> 9),
      x = sign * size * width[strip];
    if (size < inside[strip]) return x;
    while (strip === 0) {
      const beyond = -Math.log1p(-random.number()) / TAIL,
        y = -Math.log1p(-random.number());
      if (y + y > beyond * beyond) return (low >>> 17) & 1 ? -(TAIL + beyond) : TAIL + beyond;
    }
    if ((height[strip - 1] - height[strip]) * random.number() + height[strip] < Math.exp(-0.5 * x * x)) return x;
  }
}

/**
 * Draw all numbers of a result.
 *
 * @type {(n: Computed, operands: Value[], f: (random: Philox) => number) => Data}
 */
function drawn(n, [counter], f) {
  const { seed, stream } = n.attributes,
    block = counter.data[counter.offset],
    random = new Philox(seed, stream, block > 0 ? block : 0),
    to = made(n);
  for (let i = 0; i < to.length; i++) to[i] = f(random);
  return to;
}

/** @type {Record<string, number>} */
const BELOW_ONE = { float64: 1, float32: 1 - 2 ** -24, float16: 1 - 2 ** -11 };

/** @type {Operations} */
export const RANDOM_OPERATIONS = {
  random_uniform(a, n) {
    const most = BELOW_ONE[n.dtype];
    return drawn(n, a, (random) => Math.min(most, n.dtype === "float16" ? half(random.number()) : random.number()));
  },
  random_normal: (a, n) => drawn(n, a, normalNumber),
};
