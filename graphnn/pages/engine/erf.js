// The figures of s_erf.c in fdlibm, as graphnn/ops/erf.py has them, from the highest power down.
const SMALL = [
  [
    -2.37630166566501626084e-5, -5.77027029648944159157e-3, -2.84817495755985104766e-2, -3.2504210724700149937e-1,
    1.28379167095512558561e-1,
  ],
  [
    -3.9602282787753681232e-6, 1.32494738004321644526e-4, 5.08130628187576562776e-3, 6.50222499887672944485e-2, 3.97917223959155352819e-1,
    1,
  ],
];
const AT_1 = 8.45062911510467529297e-1;
const MIDDLE = [
  [
    -2.166375594868790843e-3, 3.54783043256182359371e-2, -1.10894694282396677476e-1, 3.18346619901161753674e-1, -3.72207876035701323847e-1,
    4.14856118683748331666e-1, -2.36211856075265944077e-3,
  ],
  [
    1.1984499846799107417e-2, 1.36370839120290507362e-2, 1.26171219808761642112e-1, 7.18286544141962662868e-2, 5.40397917702171048937e-1,
    1.06420880400844228286e-1, 1,
  ],
];
const LARGE = [
  [
    -9.81432934416914548592, -8.12874355063065934246e1, -1.84605092906711035994e2, -1.62396669462573470355e2, -6.23753324503260060396e1,
    -1.05586262253232909814e1, -6.93858572707181764372e-1, -9.86494403484714822705e-3,
  ],
  [
    -6.04244152148580987438e-2, 6.57024977031928170135, 1.08635005541779435134e2, 4.29008140027567833386e2, 6.45387271733267880336e2,
    4.34565877475229228821e2, 1.376577541435190426e2, 1.96512716674392571292e1, 1,
  ],
];
const LARGEST = [
  [
    -4.83519191608651397019e2, -1.02509513161107724954e3, -6.37566443368389627722e2, -1.60636384855821916062e2, -1.77579549177547519889e1,
    -7.99283237680523006574e-1, -9.86494292470009928597e-3,
  ],
  [
    -2.24409524465858183362e1, 4.74528541206955367215e2, 2.55305040643316442583e3, 3.19985821950859553908e3, 1.53672958608443695994e3,
    3.25792512996573918826e2, 3.03380607434824582924e1, 1,
  ],
];
/** @type {(coefficients: number[], x: number) => number} */
const polynomial = (coefficients, x) => coefficients.reduce((total, each) => total * x + each, 0);
/** @type {(polynomials: number[][], x: number) => number} */
const ratio = ([above, below], x) => polynomial(above, x) / polynomial(below, x);

/**
 * erfc(size) for a size of 1.25 or more.
 *
 * @type {(size: number) => number}
 */
function tail(size) {
  const large = Math.min(size, 28),
    inverse = 1 / (large * large),
    coarse = Math.fround(large);
  return (
    (Math.exp(-coarse * coarse - 0.5625) *
      Math.exp((coarse - large) * (coarse + large) + ratio(large < 1 / 0.35 ? LARGE : LARGEST, inverse))) /
    large
  );
}

/**
 * The error function.
 *
 * @type {(x: number) => number}
 */
export function erf(x) {
  const size = Math.abs(x);
  if (!(size >= 0.84375)) return x + x * ratio(SMALL, x * x);
  return Math.sign(x) * (size < 1.25 ? AT_1 + ratio(MIDDLE, size - 1) : 1 - tail(size));
}

/**
 * The distribution function of the standard normal, exact where it is small.
 *
 * @type {(x: number) => number}
 */
export function normal(x) {
  const at = -x * Math.sqrt(0.5),
    size = Math.abs(at);
  if (!(size >= 0.84375)) {
    const small = at * ratio(SMALL, at * at);
    return 0.5 * (at < 0.25 ? 1 - (at + small) : 0.5 - (at - 0.5 + small));
  }
  const large = size < 1.25 ? 1 - AT_1 - ratio(MIDDLE, size - 1) : tail(size);
  return 0.5 * (at < 0 ? 2 - large : large);
}
