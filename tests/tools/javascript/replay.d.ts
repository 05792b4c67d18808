// What the script of a replay page finds there: the engine, which stands above it (`engine_script` in
// graphnn/pages/engine/__init__.py), and elements of the template, of whose kinds tsc knows nothing.

declare const makeEngine: typeof import("../../../graphnn/pages/engine/engine.js").makeEngine;
declare const readAttribute: typeof import("../../../graphnn/pages/engine/engine.js").readAttribute;

interface EventTarget {
  id: any;
  value: any;
  files: any;
  closest: any;
}

interface Element {
  checked: any;
  hidden: any;
  readonly dataset: DOMStringMap;
  focus(options?: FocusOptions): void;
  offsetTop: number;
  setAttribute(name: string, value: number): void;
}

interface HTMLElement {
  close: any;
  disabled: any;
  height: any;
  max: any;
  open: any;
  options: any;
  select: any;
  showModal: any;
  width: any;
}
