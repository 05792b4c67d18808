import { axesOf, inOrder, made, scratch, sizeOfShape, stored, walk } from "./arrays.js";
/** @import { Attributes, Operations } from "./arrays.js" */

/**
 * Return the strides of the windows that slide along axes of an array.
 *
 * @type {(attributes: Attributes, strides: number[]) => number[]}
 */
function slid({ size, stride, dilation, axes }, strides) {
  const along = axesOf(axes, strides.length),
    each = (/** @type {number | number[]} */ value, /** @type {number} */ k) => (Array.isArray(value) ? value[k] : value),
    steps = strides.slice();
  along.forEach((axis, k) => {
    steps[axis] *= each(stride, k);
  });
  return [...steps, ...along.map((axis, k) => strides[axis] * each(dilation, k))];
}

/** @type {Operations} */
export const WINDOW_OPERATIONS = {
  windows(a, n) {
    return { data: a[0].data, strides: slid(n.attributes, a[0].strides), offset: a[0].offset };
  },
  fold(a, n) {
    const [x] = a,
      { data } = x,
      to = n.dtype === "float64" ? made(n).fill(0) : scratch(n, 0, sizeOfShape(n.shape)).fill(0);
    walk(x.shape, [slid(n.attributes, inOrder(n.shape)), x.strides], [0, x.offset], (count, [i, j], [s, t]) => {
      for (let e = 0; e < count; e++, i += s, j += t) to[i] += data[j];
    });
    return to === n.out ? to : stored(n, to);
  },
};
