const OPERATIONS = {
  add(a, n) { return zip(n, a, (x, y) => x + y); },
  subtract(a, n) { return zip(n, a, (x, y) => x - y); },
  multiply(a, n) { return zip(n, a, (x, y) => x * y); },
  divide(a, n) { return zip(n, a, (x, y) => x / y); },
  equal(a, n) { return zip(n, a, (x, y) => x === y); },
  greater(a, n) { return zip(n, a, (x, y) => x > y); },
  where(a, n) { return zip(n, a, (c, x, y) => (c ? x : y)); },
  relu(a, n) { return zip(n, a, (x) => Math.max(0, x)); },
  exp(a, n) { return zip(n, a, Math.exp); },
  log(a, n) { return zip(n, a, Math.log); },
  cast(a, n) { return zip(n, a, (x) => Number(x)); },
  maximum(a, n) { return zip(n, a, (x, y) => Math.max(x, y)); },
  sqrt(a, n) { return zip(n, a, Math.sqrt); },
  square(a, n) { return zip(n, a, (x) => x * x); },
  power(a, n) { return zip(n, a, (x, y) => x ** y); },
  negative(a, n) { return zip(n, a, (x) => -x); },
  stop_gradient(a, n) { return zip(n, a, (x) => x); },
  clip(a, n) { return zip(n, a, (x) => Math.min(n.attributes.hi, Math.max(n.attributes.lo, x))); },
  broadcast_to(a, n) { return zip(n, a, (x) => x); },
  divide_by_size(a, n) { return zip(n, a, (x) => x / n.attributes.count); },
  max(a, n) { return fold(n, a[0], Math.max, -Infinity); },
  sum(a, n) { return fold(n, a[0], (x, y) => x + y, 0); },
  mean(a, n) { const found = fold(n, a[0], (x, y) => x + y, 0), by = a[0].data.length / found.length; return found.map((x) => x / by); },
  sum_to(a, n) { return fold({ ...n, attributes: { axis: null } }, a[0], (x, y) => x + y, 0); },
  transpose(a, n) { const [r, c] = a[0].shape; return Float64Array.from({ length: r * c }, (_, i) => a[0].data[(i % r) * c + Math.floor(i / r)]); },
  pick(a, n) { const c = a[0].shape[1]; return Float64Array.from(a[1].data, (k, i) => a[0].data[i * c + Number(k)]); },
  scatter_labels(a, n) { const c = n.shape[1], to = new Float64Array(n.shape[0] * c); a[0].data.forEach((x, i) => (to[i * c + Number(a[1].data[i])] = x)); return to; },
  matmul(a, n) {
    const [[r, k], [, c]] = [a[0].shape, a[1].shape], to = new Float64Array(r * c);
    for (let i = 0; i < r; i++) for (let j = 0; j < k; j++) for (let l = 0; l < c; l++) to[i * c + l] += a[0].data[i * k + j] * a[1].data[j * c + l];
    return to;
  },
};
function zip(n, args, f) {
  const size = n.shape.reduce((a, b) => a * b, 1), to = new (n.dtype === "bool" ? Uint8Array : Float64Array)(size);
  const strides = args.map((a) => { const s = new Array(n.shape.length).fill(0); let step = 1; for (let i = 1; i <= a.shape.length; i++) { const k = a.shape.length - i; s[n.shape.length - i] = a.shape[k] === 1 ? 0 : step; step *= a.shape[k]; } return s; });
  for (let i = 0; i < size; i++) { let rest = i; const at = args.map(() => 0); for (let d = n.shape.length - 1; d >= 0; d--) { const k = rest % n.shape[d]; rest = Math.floor(rest / n.shape[d]); args.forEach((_, j) => (at[j] += k * strides[j][d])); } to[i] = f(...args.map((a, j) => a.data[at[j]])); }
  return to;
}
function fold(n, a, f, start) {
  const size = n.shape.reduce((x, y) => x * y, 1), to = new Float64Array(size).fill(start);
  let shape = n.shape; const axis = n.attributes.axis; if (n.shape.length < a.shape.length) { shape = axis === null || axis === undefined ? [...new Array(a.shape.length - n.shape.length).fill(1), ...n.shape] : a.shape.map((x, i) => (i === (axis + a.shape.length) % a.shape.length ? 1 : x)); }
  for (let i = 0; i < a.data.length; i++) { let rest = i, at = 0, step = 1; for (let d = a.shape.length - 1; d >= 0; d--) { const k = rest % a.shape[d]; rest = Math.floor(rest / a.shape[d]); if (shape[d] !== 1) at += k * step; step *= shape[d]; } to[at] = f(to[at], a.data[i]); }
  return to;
}
function makeEngine({ nodes: all, given, updates }) {
  const values = [], pinned = new Set();
  const unknown = [...new Set(all.op.filter((op, i) => !given.has(i) && !OPERATIONS[op]))];
  for (const [i, data] of given) values[i] = { shape: all.shape[i], dtype: all.dtype[i], data: data instanceof BigInt64Array ? Float64Array.from(data, Number) : data.slice() };
  const node = (i) => ({ shape: all.shape[i], dtype: all.dtype[i], attributes: all.attributes[i] });
  const engine = {
    unknown, values,
    value: (i) => values[i],
    set(i, index, x) { values[i].data[index] = x; if (!given.has(i)) pinned.add(i); },
    load(i, data) { values[i].data.set(data instanceof BigInt64Array ? Float64Array.from(data, Number) : data); },
    free(i) { pinned.delete(i); },
    setOp(i, attributes) { all.attributes[i] = attributes; },
    run() { all.op.forEach((op, i) => { if (!given.has(i) && !pinned.has(i)) values[i] = { shape: all.shape[i], dtype: all.dtype[i], data: OPERATIONS[op](all.inputs[i].map((j) => values[j]), node(i)) }; }); },
    commit() { const next = updates.map(([, from]) => values[from].data.slice()); updates.forEach(([to], k) => values[to].data.set(next[k])); },
  };
  return engine;
}
