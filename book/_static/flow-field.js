/* The flow field of a blurred denoiser. Arithmetic first (window.nearsightFlow, no document needed), then the page.
   y_delta(x, sigma) = (sigma^2 y*(x, s) + delta^2 x) / s^2, s^2 = sigma^2 + delta^2, y* the softmax mean of points. */
"use strict";

(function () {
  const RADIUS = 10, WINDOW = 15, LEVEL = 0.5, PIXELS = 61;

  // nearsight.quadrature.polar(8, 12, reach=5): radii, and the weight of each of the 12 angles on a radius.
  const RADII = [0.09927535875615956, 0.5083338064659332, 1.1861689752091775, 2.0414133937608754,
    2.958586606239124, 3.8138310247908223, 4.4916661935340665, 4.9007246412438406];
  const SHARES = [0.0020833609343545428, 0.020696427867845164, 0.03836233276976119, 0.019199357870513616,
    0.002809518317544301, 0.00017305018734837965, 8.655769567057634e-06, 6.296163990806156e-07];
  const noise = [], weights = [];
  RADII.forEach((radius, ring) => {
    for (let k = 0; k < 12; k++) {
      noise.push([radius * Math.cos(k * Math.PI / 6), radius * Math.sin(k * Math.PI / 6)]);
      weights.push(SHARES[ring]);
    }
  });

  const out = [0, 0];
  let squares = new Float64Array(32);

  // The posterior mean of `points` at (x, y), left in `out`: the inner loop of everything below.
  function posteriorMean(x, y, points, variance) {
    const n = points.length;
    if (n > squares.length) squares = new Float64Array(n);
    let nearest = Infinity, total = 0, meanX = 0, meanY = 0;
    for (let i = 0; i < n; i++) {
      const dx = x - points[i][0], dy = y - points[i][1];
      squares[i] = dx * dx + dy * dy;
      if (squares[i] < nearest) nearest = squares[i];
    }
    for (let i = 0; i < n; i++) {
      const behind = squares[i] - nearest;
      if (behind > 100 * variance) continue; // a weight below e^-50
      const weight = behind === 0 ? 1 : Math.exp(-behind / (2 * variance));
      total += weight;
      meanX += weight * points[i][0];
      meanY += weight * points[i][1];
    }
    out[0] = meanX / total;
    out[1] = meanY / total;
  }

  function blurred(x, y, points, sigma, delta) {
    const variance = sigma * sigma + delta * delta;
    const share = variance > 0 ? sigma * sigma / variance : 1;
    posteriorMean(x, y, points, variance);
    out[0] = share * out[0] + (1 - share) * x;
    out[1] = share * out[1] + (1 - share) * y;
  }

  function denoise(x, y, points, sigma, delta) {
    blurred(x, y, points, sigma, delta);
    return [out[0], out[1]];
  }

  // Mean over the noise of |y_delta(p + sigma eps, sigma) - p|.
  function pointError(px, py, points, sigma, delta) {
    let error = 0;
    for (let q = 0; q < noise.length; q++) {
      blurred(px + sigma * noise[q][0], py + sigma * noise[q][1], points, sigma, delta);
      error += weights[q] * Math.hypot(out[0] - px, out[1] - py);
    }
    return error;
  }

  function trainError(points, sigma, delta) {
    let error = 0;
    for (const point of points) error += pointError(point[0], point[1], points, sigma, delta);
    return error / points.length;
  }

  function relative(error, train) {
    return error === train ? 0 : error / train - 1;
  }

  function gap(px, py, points, sigma, delta) {
    return relative(pointError(px, py, points, sigma, delta), trainError(points, sigma, delta));
  }

  // Gaps on pixels x pixels places of the window, rows along y from below.
  function gapMap(points, sigma, delta, pixels = PIXELS) {
    const train = trainError(points, sigma, delta), step = 2 * WINDOW / (pixels - 1);
    const map = new Float64Array(pixels * pixels);
    for (let row = 0, k = 0; row < pixels; row++)
      for (let column = 0; column < pixels; column++, k++)
        map[k] = relative(pointError(column * step - WINDOW, row * step - WINDOW, points, sigma, delta), train);
    return map;
  }

  // Connected regions of the map below the level; neighbors share an edge.
  function regions(map, level) {
    const pixels = Math.round(Math.sqrt(map.length)), seen = new Uint8Array(map.length), stack = [];
    let count = 0;
    for (let start = 0; start < map.length; start++) {
      if (seen[start] || !(map[start] < level)) continue;
      count++;
      stack.push(start);
      seen[start] = 1;
      while (stack.length) {
        const k = stack.pop(), column = k % pixels;
        for (const [next, inside] of [[k - 1, column > 0], [k + 1, column < pixels - 1],
          [k - pixels, k >= pixels], [k + pixels, k < map.length - pixels]]) {
          if (inside && !seen[next] && map[next] < level) {
            seen[next] = 1;
            stack.push(next);
          }
        }
      }
    }
    return count;
  }

  function islands(points, sigma, delta, level = LEVEL) {
    return regions(gapMap(points, sigma, delta), level);
  }

  // I1(kappa)/I0(kappa): its continued fraction from below, and its asymptotic series where that would be long.
  function besselRatio(kappa) {
    if (kappa > 80) {
      const t = 1 / kappa;
      return 1 - t * (1 / 2 + t * (1 / 8 + t * (1 / 8 + t * (25 / 128 + t * (13 / 32 + t * 1073 / 1024)))));
    }
    let ratio = 0;
    for (let n = 120; n >= 1; n--) ratio = kappa / (2 * n + kappa * ratio);
    return ratio;
  }

  // Mean squared distance to the denoiser of the whole ring, over noised places of the ring.
  function excessRisk(points, sigma, delta, places = 120) {
    let risk = 0;
    for (let k = 0; k < places; k++) {
      const angle = 2 * Math.PI * k / places;
      for (let q = 0; q < noise.length; q++) {
        const x = RADIUS * Math.cos(angle) + sigma * noise[q][0], y = RADIUS * Math.sin(angle) + sigma * noise[q][1];
        const distance = Math.hypot(x, y);
        const pull = distance > 0 ? RADIUS * besselRatio(RADIUS * distance / (sigma * sigma)) / distance : 0;
        blurred(x, y, points, sigma, delta);
        risk += weights[q] * ((out[0] - pull * x) ** 2 + (out[1] - pull * y) ** 2);
      }
    }
    return risk / places;
  }

  function lattice(n, turn = 0.01) {
    return Array.from({length: n}, (_, k) => {
      const angle = 2 * Math.PI * (k / n + turn);
      return [RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)];
    });
  }

  window.nearsightFlow = {denoise, pointError, trainError, gap, gapMap, regions, islands, besselRatio, excessRisk,
    lattice, rule: {noise, weights}};
})();

if (document.getElementById("explorer")) (function () {
  const flow = window.nearsightFlow, element = id => document.getElementById(id);
  const RADIUS = 10, WINDOW = 15, LEVEL = 0.5, MOST = 24, LOWEST = 0.05, HIGHEST = 40;
  const PRESETS = [[27.84, 0], [2.818, 0], [0.6254, 0], [1.07, 2], [1.07, 1.6], [1.07, 1.2]];
  const canvas = element("field"), plane = element("plane"), brush = canvas.getContext("2d");
  const round = value => Math.round(value * 1e4) / 1e4;
  const place = point => point.map(value => round(Math.min(WINDOW, Math.max(-WINDOW, value))));
  const short = (value, digits) => value < 1e4 ? value.toFixed(digits) : value < Infinity ? value.toExponential(1) : "∞";
  const number = (value, digits) => short(value, digits).replace("-", "−");

  // Normal noise for the predictions: equal shares of the mass, turned by the golden angle.
  const CLOUD = Array.from({length: 60}, (_, k) => {
    const radius = Math.sqrt(-2 * Math.log(1 - (k + 0.5) / 60)), angle = k * 2.399963229728653;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });

  const state = {points: [], probe: [0, 0], sigma: 1.07, delta: 1.2, onRing: false};
  let before = null, editing = -1, dragging = false, frame = 0, timer = 0, refine = 0;

  // ---- state ----------------------------------------------------------------------------------------------------

  function middle() {
    const angle = 2 * Math.PI * (0.01 + 1 / (2 * state.points.length));
    return place([RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)]);
  }

  function setPoints(points) {
    state.points = points.map(place);
    state.probe = middle();
    before = null;
    editing = -1;
    handles();
  }

  function remember(index) {
    if (editing === index) return;
    before = state.points.map(point => [...point]);
    editing = index;
  }

  function move(index, x, y) {
    if (index >= 0 && state.onRing) {
      const length = Math.hypot(x, y) || 1;
      [x, y] = [RADIUS * x / length, RADIUS * y / length];
    }
    if (index < 0) state.probe = place([x, y]);
    else state.points[index] = place([x, y]);
    redraw();
  }

  // Along the ring an arrow turns the point toward its direction; a step straight outward or inward goes nowhere.
  function step(index, dx, dy) {
    const [x, y] = index < 0 ? state.probe : state.points[index];
    if (index < 0 || !state.onRing) return move(index, x + dx, y + dy);
    const along = (-y * dx + x * dy) / (RADIUS * RADIUS) || 0, angle = Math.atan2(y, x) + along;
    move(index, RADIUS * Math.cos(angle), RADIUS * Math.sin(angle));
  }

  function remove(index) {
    if (state.points.length < 2) return;
    remember(NaN);
    state.points.splice(index, 1);
    handles();
    plane.querySelectorAll("button.point")[Math.min(index, state.points.length - 1)].focus();
    redraw();
  }

  function add() {
    if (state.points.length >= MOST) return;
    remember(NaN);
    const angles = state.points.map(([x, y]) => Math.atan2(y, x)).sort((a, b) => a - b);
    let widest = -1, angle = 0;
    angles.forEach((from, k) => {
      const to = k + 1 < angles.length ? angles[k + 1] : angles[0] + 2 * Math.PI;
      if (to - from > widest) [widest, angle] = [to - from, (from + to) / 2];
    });
    state.points.push(place([RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)]));
    handles();
    redraw();
  }

  function restore() {
    if (!before) return;
    const focused = [...plane.querySelectorAll("button")].indexOf(document.activeElement);
    state.points = before;
    before = null;
    editing = -1;
    handles();
    if (focused >= 0) plane.querySelectorAll("button")[Math.min(focused, state.points.length)].focus();
    redraw();
  }

  function write() {
    const points = state.points.map(point => point.join(",")).join(";");
    const hash = `#s=${state.sigma}&d=${state.delta}&q=${state.probe.join(",")}&r=${+state.onRing}&p=${points}`;
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }

  // A fragment may name less than everything, as #s=1.07&d=1.6&n=12 does.
  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    const pairs = text => text.split(";").map(pair => pair.split(",").map(Number))
      .filter(pair => pair.length === 2 && pair.every(Number.isFinite)).slice(0, MOST);
    const within = (name, low, high, otherwise) => {
      const value = parseFloat(given.get(name));
      return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
    };
    state.sigma = within("s", LOWEST, HIGHEST, 1.07);
    state.delta = within("d", 0, 3.5, 1.2);
    state.onRing = within("r", 0, 1, 0) > 0;
    const points = pairs(given.get("p") || "");
    setPoints(points.length ? points : flow.lattice(Math.round(within("n", 1, MOST, 10))));
    const probe = pairs(given.get("q") || "");
    if (probe.length) state.probe = place(probe[0]);
  }

  // ---- what stands on the canvas as buttons ---------------------------------------------------------------------

  function handles() {
    const wanted = state.points.length + 1, have = plane.querySelectorAll("button");
    for (let k = have.length; k < wanted; k++) plane.append(handle(k - 1));
    for (let k = wanted; k < have.length; k++) have[k].remove();
  }

  function handle(index) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = index < 0 ? "probe" : "point";
    const at = event => {
      const box = canvas.getBoundingClientRect();
      const right = (event.clientX - box.left) / box.width, down = (event.clientY - box.top) / box.height;
      return [(2 * right - 1) * WINDOW, (1 - 2 * down) * WINDOW];
    };
    button.addEventListener("pointerdown", event => {
      button.setPointerCapture(event.pointerId);
      button.focus();
      editing = -1;
      if (index >= 0) remember(index);
      dragging = true;
    });
    button.addEventListener("pointermove", event => {
      if (button.hasPointerCapture(event.pointerId)) move(index, ...at(event));
    });
    button.addEventListener("lostpointercapture", () => { dragging = false; editing = -1; redraw(); });
    button.addEventListener("blur", () => { editing = -1; });
    button.addEventListener("keydown", event => {
      const arrow = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key];
      if (arrow) {
        const size = event.shiftKey ? 1 : 0.1;
        if (index >= 0) remember(index);
        step(index, arrow[0] * size, arrow[1] * size);
      } else if (event.key === "Delete" && index >= 0) remove(index);
      else return;
      event.preventDefault();
    });
    return button;
  }

  // ---- drawing --------------------------------------------------------------------------------------------------

  function redraw() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    const {points, probe, sigma, delta} = state;
    const pixels = dragging ? 31 : 61, map = flow.gapMap(points, sigma, delta, pixels);
    const count = flow.regions(map, LEVEL);
    const train = flow.trainError(points, sigma, delta), gap = flow.gap(...probe, points, sigma, delta);
    paint(map, pixels);

    plane.querySelectorAll("button").forEach((button, k) => {
      const [x, y] = k ? points[k - 1] : probe;
      button.style.left = `${50 + 50 * x / WINDOW}%`;
      button.style.top = `${50 - 50 * y / WINDOW}%`;
      const name = k ? `training point ${k} of ${points.length}` : "probe";
      button.setAttribute("aria-label", `${name}, x ${number(x, 1)}, y ${number(y, 1)}`);
    });
    const notch = 1000 * Math.log(sigma / LOWEST) / Math.log(HIGHEST / LOWEST);
    for (const [id, position, value] of [["sigma", notch, +sigma.toPrecision(4)], ["delta", delta, delta]]) {
      if (document.activeElement !== element(id)) element(id).value = position;
      element(id).setAttribute("aria-valuetext", `${id} ${value}`);
      element(`${id}-value`).textContent = value;
    }
    element("ring").setAttribute("aria-pressed", state.onRing);
    element("add").disabled = points.length >= MOST;
    document.querySelectorAll("[data-preset]").forEach(button => {
      const [presetSigma, presetDelta] = PRESETS[button.dataset.preset];
      button.setAttribute("aria-pressed", presetSigma === sigma && presetDelta === delta);
    });

    const found = count === 1 ? "1 region" : count ? `${count} islands` : "no region";
    element("islands").textContent = found;
    element("gap").textContent = number(gap, 3);
    element("train").textContent = number(train, 3);
    element("risk").textContent = number(flow.excessRisk(points, sigma, delta), 3);
    canvas.setAttribute("aria-label", `Field lines and predictions of ${points.length} training points at sigma ` +
      `${+sigma.toPrecision(4)} and delta ${delta}: the places with a gap below 0.5 form ${found}.`);
    clearTimeout(timer);
    timer = setTimeout(() => {
      element("live").textContent = `${found}, gap at the probe ${number(gap, 2)}`;
      write();
    }, 400);
  }

  function paint(map, pixels) {
    const {points, sigma, delta} = state, style = getComputedStyle(document.body);
    const color = name => style.getPropertyValue(`--${name}`).trim();
    const size = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(size * ratio);
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    const X = x => (x / WINDOW + 1) * size / 2, Y = y => (1 - y / WINDOW) * size / 2;

    // Below the level: hatched, so that the region shows without its color.
    const cell = size / (pixels - 1);
    const {region, border} = contour(map, pixels, (column, row) => [column * cell, size - row * cell]);
    brush.save();
    brush.clip(region);
    brush.fillStyle = color("region");
    brush.fillRect(0, 0, size, size);
    brush.strokeStyle = color("hatch");
    brush.lineWidth = 1;
    brush.beginPath();
    for (let x = -size; x < size; x += 7) { brush.moveTo(x, size); brush.lineTo(x + size, 0); }
    brush.stroke();
    brush.restore();

    streamlines(X, Y, color("line"));

    brush.setLineDash([3, 4]);
    brush.strokeStyle = color("text");
    brush.lineWidth = 1;
    brush.beginPath();
    brush.arc(size / 2, size / 2, size / 2 * RADIUS / WINDOW, 0, 2 * Math.PI);
    brush.stroke();
    brush.setLineDash([]);

    brush.strokeStyle = color("contour");
    brush.lineWidth = 2.5;
    brush.stroke(border);

    brush.fillStyle = color("dot");
    for (const [px, py] of points)
      for (const [ex, ey] of CLOUD) {
        const [x, y] = flow.denoise(px + sigma * ex, py + sigma * ey, points, sigma, delta);
        brush.beginPath();
        brush.arc(X(x), Y(y), 1.6, 0, 2 * Math.PI);
        brush.fill();
      }
  }

  // The region map < LEVEL and its border by marching squares: the corners of a cell that lie below the level and the
  // crossings of its edges, in turn, are a polygon; the crossings alone, in pairs, are the border.
  function contour(map, pixels, at) {
    const region = new Path2D(), border = new Path2D();
    for (let row = 0; row + 1 < pixels; row++)
      for (let column = 0; column + 1 < pixels; column++) {
        const corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
        const values = corners.map(([c, r]) => Math.min(map[r * pixels + c], 1e6)), crossings = [], polygon = [];
        for (let k = 0; k < 4; k++) {
          const next = (k + 1) % 4;
          if (values[k] < LEVEL) polygon.push(at(...corners[k]));
          if ((values[k] < LEVEL) === (values[next] < LEVEL)) continue;
          const t = (LEVEL - values[k]) / (values[next] - values[k]);
          const [[x, y], [u, v]] = [corners[k], corners[next]], crossing = at(x + t * (u - x), y + t * (v - y));
          crossings.push(crossing);
          polygon.push(crossing);
        }
        polygon.forEach((corner, k) => region[k ? "lineTo" : "moveTo"](...corner));
        crossings.forEach((crossing, k) => border[k % 2 ? "lineTo" : "moveTo"](...crossing));
      }
    return {region, border};
  }

  // Lines of y_delta - x from a lattice of seeds, downstream; a line ends where the field does or another line runs.
  function streamlines(X, Y, color) {
    const {points, sigma, delta} = state, taken = new Set(), stride = 0.25, arrows = [];
    const field = (x, y) => {
      const [u, v] = flow.denoise(x, y, points, sigma, delta);
      return [u - x, v - y, Math.hypot(u - x, v - y)];
    };
    brush.strokeStyle = brush.fillStyle = color;
    brush.lineWidth = 1;
    const seeds = [];
    for (let i = 0; i < 13; i++) for (let j = 0; j < 13; j++) seeds.push([-14.4 + 2.4 * i, -14.4 + 2.4 * j]);
    seeds.sort((a, b) => Math.hypot(...b) - Math.hypot(...a));
    for (let [x, y] of seeds) {
      const own = new Set(), path = [[X(x), Y(y)]];
      for (let k = 0; k < 90; k++) {
        let [u, v, length] = field(x, y);
        if (length < 0.06 * (k ? 1 : 2)) break;
        [u, v, length] = field(x + stride / 2 * u / length, y + stride / 2 * v / length);
        if (length < 0.06) break;
        const reach = Math.min(stride, length);
        [x, y] = [x + reach * u / length, y + reach * v / length];
        const cell = Math.round(x / 0.75) * 100 + Math.round(y / 0.75);
        if (taken.has(cell)) break;
        own.add(cell);
        path.push([X(x), Y(y)]);
        if (k === 4) arrows.push([X(x), Y(y), Math.atan2(-v, u)]);
      }
      if (path.length < 5) continue;
      own.forEach(cell => taken.add(cell));
      brush.beginPath();
      path.forEach(corner => brush.lineTo(...corner));
      brush.stroke();
    }
    for (const [x, y, angle] of arrows) {
      brush.beginPath();
      for (const turn of [0, 2.5, -2.5]) brush.lineTo(x + 4 * Math.cos(angle + turn), y + 4 * Math.sin(angle + turn));
      brush.fill();
    }
  }

  // ---- controls -------------------------------------------------------------------------------------------------

  element("sigma").addEventListener("input", event => {
    state.sigma = +(LOWEST * (HIGHEST / LOWEST) ** (event.target.value / 1000)).toPrecision(4);
    coarse();
  });
  element("delta").addEventListener("input", event => {
    state.delta = +event.target.value;
    coarse();
  });
  element("add").addEventListener("click", add);
  element("lattice").addEventListener("click", () => { setPoints(flow.lattice(state.points.length)); redraw(); });
  element("random").addEventListener("click", () => {
    setPoints(state.points.map(() => {
      const angle = 2 * Math.PI * Math.random();
      return [RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)];
    }));
    redraw();
  });
  element("ring").addEventListener("click", () => {
    state.onRing = !state.onRing;
    remember(NaN);
    if (state.onRing) state.points.forEach((point, k) => move(k, ...point));
    redraw();
  });
  document.querySelectorAll("[data-preset]").forEach(button => button.addEventListener("click", () => {
    [state.sigma, state.delta] = PRESETS[button.dataset.preset];
    setPoints(flow.lattice(10));
    redraw();
  }));
  addEventListener("keydown", event => { if (event.key === "Escape") restore(); });
  addEventListener("hashchange", () => { read(); redraw(); });
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  // While a slider moves the map is coarse; it is drawn fine once the slider rests.
  function coarse() {
    dragging = true;
    redraw();
    clearTimeout(refine);
    refine = setTimeout(() => { dragging = false; redraw(); }, 150);
  }

  element("explorer").hidden = false;
  read();
  redraw();
})();
