// What the page's script has of the engine, which stands above it: `engine_script` in graphnn/pages/engine/__init__.py.
declare const makeEngine: typeof import("../../../graphnn/pages/engine/engine.js").makeEngine;
declare const readAttribute: typeof import("../../../graphnn/pages/engine/engine.js").readAttribute;
