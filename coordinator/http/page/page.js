// The page of a Millrace cluster. It talks to the same doors as every client (docs/api.md): POST /v1/completions with
// millrace.frames, GET /v1/models and GET /v1/millrace/status. No library, no build step.

const $ = (id) => document.getElementById(id);
const TOKEN_KEY = "millrace-token";
const HISTORY = 120; // seconds of throughput on the second tab

// ---- the wire ----

let askedForToken = null;

function askToken() {
  askedForToken ??= new Promise((resolve) => {
    $("ask-token").showModal();
    $("ask-token").addEventListener("close", () => {
      if ($("token").value) sessionStorage.setItem(TOKEN_KEY, $("token").value);
      $("token").value = "";
      askedForToken = null;
      resolve();
    }, { once: true });
  });
  return askedForToken;
}

// A call with the token of this tab. Asks for one where the cluster wants it.
async function call(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) {
    sessionStorage.removeItem(TOKEN_KEY);
    await askToken();
    if (sessionStorage.getItem(TOKEN_KEY)) return call(path, options);
  }
  if (!response.ok) throw new Error(await reason(response));
  return response;
}

async function reason(response) {
  const text = await response.text();
  try { return JSON.parse(text).error.message; } catch { return `${response.status} ${response.statusText}`; }
}

// The data lines of a stream of server-sent events.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts)
      for (const line of part.split("\n"))
        if (line.startsWith("data: ")) yield line.slice(6);
  }
}

// JSON has no 64-bit integers in JavaScript, and seeds are: they pass through as text.
const parse = (text) => JSON.parse(text.replace(/"seed":\s*(-?\d+)/g, '"seed":"$1"'));
const pack = (body) => JSON.stringify(body).replace(/"seed":"(-?\d+)"/, '"seed":$1');

// ---- a text and its steps ----

const encoder = new TextEncoder();

// What each token adds to the text. A token may end inside a character: the one that completes it shows it.
function decode(pieces) {
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(typeof piece === "string" ? encoder.encode(piece) : Uint8Array.from(piece), { stream: true }));
}

class Text {
  constructor(accepted) {
    Object.assign(this, accepted); // index, length, steps, seed, editable: [[from, to), ...]
    this.frames = [];
    this.given = new Array(this.length).fill(true);
    for (const [from, to] of this.editable) this.given.fill(false, from, to);
  }

  // The text after a step: ids, pieces, the step that last changed each position, and with which probability.
  at(step) {
    const state = { ids: [], pieces: [], changed: [], scores: [] };
    for (const frame of this.frames.slice(0, step + 1))
      frame.positions.forEach((position, i) => {
        state.ids[position] = frame.ids[i];
        state.pieces[position] = frame.pieces[i];
        state.changed[position] = frame.step;
        state.scores[position] = frame.log_probabilities?.[i];
      });
    return state;
  }

  // The steps in which a position changed.
  history(position) {
    return this.frames.filter((frame) => frame.step > 0 && frame.positions.includes(position)).map((frame) => frame.step);
  }
}

function entropyBits(ids) {
  const counts = new Map();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return [...counts.values()].reduce((sum, n) => sum - (n / ids.length) * Math.log2(n / ids.length), 0);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length; // NaN: of none

// ---- what is seen ----

let model = null;   // of GET /v1/models
let text = null;    // a Text
let shown = 0;      // its step on the page
let cursor = -1;    // the position that the keyboard stands on
let running = null; // an AbortController
let asked = null;   // the request, for the link
let playing = 0;    // a timer

const hueOf = (step, steps) => 250 - 200 * (steps > 1 ? Math.max(step - 1, 0) / (steps - 1) : 0);

function makeSpans() {
  $("text").replaceChildren(...Array.from({ length: text.length }, (_, position) => {
    const span = document.createElement("span");
    span.dataset.position = position;
    span.classList.toggle("given", text.given[position]);
    return span;
  }));
}

function show(step) {
  shown = step;
  const state = text.at(step), words = decode(state.pieces);
  [...$("text").children].forEach((span, position) => {
    const word = state.pieces[position]?.length ? words[position] : "▒"; // a masked position has no bytes yet
    if (span.textContent !== word) span.textContent = word;
    span.style.setProperty("--hue", hueOf(state.changed[position], text.steps));
    span.classList.toggle("fresh", step > 0 && state.changed[position] === step);
  });
  $("step").max = Math.max(text.frames.length - 1, 0);
  $("step").value = step;
  $("step-now").value = `step ${step} of ${text.steps}`;
  drawCurves();
}

function drawCurves() {
  const editable = text.given.filter((given) => !given).length;
  const changes = text.frames.slice(1).map((frame) => frame.positions.length);
  plot($("curve-changes"), changes, { from: 1, least: 0, most: editable, mark: shown, last: text.steps });
  plot($("curve-entropy"), text.frames.map((_, step) => entropyBits(text.at(step).ids)), { from: 0, mark: shown, last: text.steps });
  const scores = text.frames.slice(1).map((frame) => mean(frame.log_probabilities ?? []));
  plot($("curve-score"), scores, { from: 1, mark: shown, last: text.steps });
}

const SVG = "http://www.w3.org/2000/svg";
function svgNode(name, attributes, content) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (content !== undefined) node.textContent = content;
  return node;
}

// A line through values[i] at from + i, as wide as the picture; `mark` is where we are.
function plot(svg, values, { from = 0, last = from + values.length - 1, least, most, mark, format = short }) {
  const width = svg.clientWidth || 240, height = svg.clientHeight || 100, edge = 8, foot = 18;
  const finite = values.filter(Number.isFinite);
  const low = least ?? Math.min(...finite), high = Math.max(most ?? Math.max(...finite), low + 1e-9);
  const x = (place) => edge + ((place - from) / Math.max(last - from, 1)) * (width - 2 * edge);
  const y = (value) => height - foot - ((value - low) / (high - low)) * (height - foot - 2 * edge);
  const places = values.map((_, i) => i).filter((i) => Number.isFinite(values[i])); // a step may have no value
  const points = places.map((i) => `${x(from + i).toFixed(1)},${y(values[i]).toFixed(1)}`);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  if (!finite.length) return;
  const floor = height - foot;
  svg.append(
    svgNode("path", { class: "area", d: `M${x(from + places[0])},${floor}L${points.join("L")}L${x(from + places.at(-1))},${floor}Z` }),
    svgNode("path", { d: `M${points.join("L")}` }),
    svgNode("text", { x: edge, y: height - 5 }, from),
    svgNode("text", { x: width - edge, y: height - 5, "text-anchor": "end" }, last),
    svgNode("text", { x: width - edge, y: 14, "text-anchor": "end" }, format(finite.at(-1))));
  if (mark !== undefined && mark >= from) svg.append(svgNode("line", { x1: x(mark), x2: x(mark), y1: edge, y2: floor }));
}

const short = (value) => (Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(3)).toString());

// ---- one token ----

function describe(position) {
  const state = text.at(shown), history = text.history(position), word = decode(state.pieces)[position];
  const score = state.scores[position];
  return [
    `${JSON.stringify(word)}  token ${state.ids[position]}, position ${position}`,
    text.given[position] ? "given by you" : history.length ? `changed in step ${history.join(", ")}` : "as it stood at the start",
    ...(score === undefined || score === null ? [] : [`probability when it was drawn: ${short(100 * Math.exp(score))} %`]),
  ].join("\n");
}

function showTip(span) {
  const box = span.getBoundingClientRect(), tip = $("tip");
  tip.textContent = describe(Number(span.dataset.position));
  tip.hidden = false;
  tip.style.setProperty("left", `${Math.min(box.left, innerWidth - tip.offsetWidth - 12) + scrollX}px`);
  tip.style.setProperty("top", `${box.bottom + 6 + scrollY}px`);
}

function moveCursor(position) {
  const spans = $("text").children;
  spans[cursor]?.classList.remove("at");
  cursor = Math.min(Math.max(position, 0), spans.length - 1);
  spans[cursor].classList.add("at");
  spans[cursor].scrollIntoView({ block: "nearest" });
  showTip(spans[cursor]);
  $("announce").textContent = $("tip").textContent;
}

// The selected positions as [from, to); null: none of the text is selected.
function selected() {
  const selection = getSelection();
  if (!text || running || selection.isCollapsed || !selection.rangeCount) return null;
  const range = selection.getRangeAt(0);
  const hit = [...$("text").children].filter((span) => span.textContent && range.intersectsNode(span));
  const strict = hit.filter((span) => { // an edge that only touches a token does not count
    const inner = document.createRange();
    inner.selectNodeContents(span);
    return range.compareBoundaryPoints(Range.END_TO_START, inner) < 0 && range.compareBoundaryPoints(Range.START_TO_END, inner) > 0;
  });
  return strict.length ? [Number(strict[0].dataset.position), Number(strict.at(-1).dataset.position) + 1] : null;
}

// ---- asking ----

function say(sentence, wrong = false) {
  $("message").textContent = sentence;
  $("message").classList.toggle("wrong", wrong);
}

function options() {
  return {
    seed: $("seed").value.trim() || undefined,
    temperature: Number($("temperature").value),
    millrace: { steps: Number($("steps").value), solver: $("solver").value },
  };
}

function askedByForm() {
  return { ...options(), prompt: $("prompt").value, max_tokens: Number($("length").value) };
}

// The text with a gap where the selected words are.
function askedBySelection([from, to]) {
  const words = decode(text.at(shown).pieces);
  const segments = [{ text: words.slice(0, from).join("") }, { gap: to - from }, { text: words.slice(to).join("") }];
  const { millrace, ...rest } = options();
  return { ...rest, millrace: { ...millrace, segments: segments.filter((segment) => segment.gap || segment.text) } };
}

async function write(request) {
  running?.abort();
  stopPlaying();
  const mine = (running = new AbortController());
  asked = request;
  say("waiting for a place …");
  setBusy(true);
  try {
    const body = { ...request, model: model?.id, stream: true, millrace: { ...request.millrace, frames: true } };
    const response = await call("/v1/completions", { method: "POST", signal: mine.signal, headers: { "Content-Type": "application/json" }, body: pack(body) });
    for await (const data of events(response)) if (data !== "[DONE]") take(parse(data));
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
    else if (running === mine) say("stopped");
  }
  if (running === mine) {
    running = null;
    setBusy(false);
  }
}

function take(event) {
  if (event.error) throw new Error(event.error.message);
  const told = event.millrace ?? event.choices?.[0]?.millrace;
  if (told?.accepted) begin(told.accepted);
  else if (told?.frame) follow(told.frame);
  else if (told?.request_id) finish(told);
}

function begin(accepted) {
  text = new Text(accepted);
  cursor = -1;
  asked = { ...asked, seed: text.seed };
  $("hint").hidden = true;
  $("stage").hidden = false;
  $("link").hidden = true;
  $("about").textContent = "";
  makeSpans();
}

// The page shows the newest step, unless someone has gone back to look at another.
function follow(frame) {
  const follows = shown >= text.frames.length - 1 || frame.step === 0;
  text.frames.push(frame);
  if (follows) show(frame.step);
  else $("step").max = text.frames.length - 1;
  say(`step ${frame.step} of ${frame.steps}`);
}

function finish(ended) {
  const seconds = ended.seconds.total, words = `${ended.length - ended.pinned} tokens in ${ended.steps} steps, ${short(seconds)} s`;
  say(words);
  $("announce").textContent = `Written: ${words}.`;
  $("about").textContent = `seed ${ended.seed} · entropy ${short(ended.entropy_bits)} bits · replica ${ended.replica}, ${ended.ranks} rank${ended.ranks > 1 ? "s" : ""}`;
  $("link").hidden = false;
}

function setBusy(busy) {
  $("go").hidden = busy;
  $("stop").hidden = !busy;
  if (busy) $("rewrite").hidden = true;
  document.body.toggleAttribute("data-busy", busy);
}

// ---- the link ----

function linkOf(request) {
  const url = new URL(location.href);
  url.hash = encodeURIComponent(JSON.stringify(request));
  return url.href;
}

function readLink() {
  try { return JSON.parse(decodeURIComponent(location.hash.slice(1))); } catch { return null; }
}

function fillForm(request) {
  if (request.prompt !== undefined) $("prompt").value = request.prompt;
  if (request.max_tokens) $("length").value = request.max_tokens;
  if (request.millrace?.steps) $("steps").value = request.millrace.steps;
  if (request.millrace?.solver) $("solver").value = request.millrace.solver;
  if (request.temperature) $("temperature").value = request.temperature;
  $("seed").value = request.seed ?? "";
}

// ---- the slider ----

function stopPlaying() {
  clearInterval(playing);
  playing = 0;
  $("play").textContent = "▶";
}

function play() {
  if (playing) return stopPlaying();
  let step = shown >= text.frames.length - 1 ? 0 : shown;
  show(step);
  $("play").textContent = "❚❚";
  playing = setInterval(() => {
    if (++step >= text.frames.length) stopPlaying();
    else show(step);
  }, Math.max(120, 2400 / text.frames.length));
}

// ---- the cluster ----

const rates = [];

function card(name, value) {
  const box = document.createElement("div"), number = document.createElement("b"), label = document.createElement("span");
  number.textContent = value;
  label.textContent = name;
  box.append(number, label);
  return box;
}

function row(replica) {
  const line = document.createElement("tr");
  const fill = document.createElement("meter");
  fill.max = Math.max(replica.max_tokens, 1);
  fill.value = replica.tokens;
  fill.title = `${replica.tokens} of ${replica.max_tokens}`;
  const cells = [replica.name, replica.state, replica.ranks, replica.texts, replica.tokens.toLocaleString("en"), replica.steps.toLocaleString("en"), replica.restarts, replica.last_error];
  line.append(...cells.map((content) => { const cell = document.createElement("td"); cell.textContent = content; return cell; }));
  line.children[1].className = replica.state;
  line.children[4].append(fill);
  return line;
}

async function look() {
  const status = await (await call("/v1/millrace/status")).json(), recent = status.recent;
  rates.push(recent.tokens_per_second);
  if (rates.length > HISTORY) rates.shift();
  $("numbers").replaceChildren(
    card("texts running", status.running), card("texts waiting", status.queued), card("tokens a second", short(recent.tokens_per_second)),
    card("texts a second", short(recent.requests_per_second)), card("of the batch filled", `${Math.round(100 * status.batch_fill)} %`),
    card("written", status.finished.toLocaleString("en")), card("failed", status.failed.toLocaleString("en")),
    card("to the first frame, median", recent.first_frame_seconds.p50 === null ? "–" : `${short(1e3 * recent.first_frame_seconds.p50)} ms`));
  plot($("curve-rate"), rates, { from: -rates.length + 1, last: 0, least: 0 });
  $("replicas").replaceChildren(...status.replicas.map(row));
}

async function watch() {
  if (!$("cluster").hidden && document.visibilityState === "visible") {
    try { await look(); } catch (error) { $("numbers").replaceChildren(card("the cluster does not answer", error.message)); }
  }
  setTimeout(watch, 1000);
}

function openTab(name) {
  for (const other of ["write", "cluster"]) {
    const is = other === name, tab = $(`tab-${other}`);
    $(other).hidden = !is;
    tab.setAttribute("aria-selected", is);
    tab.tabIndex = is ? 0 : -1;
  }
  if (name === "cluster") look().catch(() => {});
}

// ---- the beginning ----

function listen() {
  $("form").addEventListener("submit", (event) => { event.preventDefault(); write(askedByForm()); });
  $("form").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit(); });
  $("stop").addEventListener("click", () => running?.abort());
  $("link").addEventListener("click", async () => {
    history.replaceState(null, "", linkOf(asked));
    try { await navigator.clipboard.writeText(location.href); say("The link is copied: it writes this very text again."); } catch { say("The link is in the address bar: it writes this very text again."); }
  });
  let wanted = null; // the selection goes when the button is pressed
  document.addEventListener("selectionchange", () => {
    const range = selected();
    if (range || !$("rewrite").matches(":focus, :active")) wanted = range;
    $("rewrite").hidden = !wanted;
  });
  $("rewrite").addEventListener("pointerdown", (event) => event.preventDefault());
  $("rewrite").addEventListener("click", () => wanted && write({ ...askedBySelection(wanted), seed: undefined }));
  $("step").addEventListener("input", () => { stopPlaying(); show(Number($("step").value)); });
  $("play").addEventListener("click", play);
  $("text").addEventListener("pointerover", (event) => { if (event.target.dataset.position) showTip(event.target); });
  $("text").addEventListener("pointerleave", () => { $("tip").hidden = true; });
  $("text").addEventListener("blur", () => { $("tip").hidden = true; });
  $("text").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined || !text || event.shiftKey) return;
    event.preventDefault();
    moveCursor(cursor + by);
  });
  for (const name of ["write", "cluster"]) $(`tab-${name}`).addEventListener("click", () => openTab(name));
  document.querySelector("nav").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const name = $("write").hidden ? "write" : "cluster";
    openTab(name);
    $(`tab-${name}`).focus();
  });
  addEventListener("resize", () => text?.frames.length && drawCurves());
}

async function start() {
  listen();
  try {
    model = parse(await (await call("/v1/models")).text()).data[0];
  } catch (error) {
    $("model").textContent = error.message;
    return;
  }
  const details = model.millrace;
  $("model").textContent = `${model.id} · ${(details.parameters / 1e6).toFixed(1)} M parameters · ${details.source} source`;
  $("length").max = details.max_length;
  $("length").value = Math.min(Math.round(0.75 * details.trained_length), 256);
  $("steps").max = details.max_steps;
  $("steps").value = details.default_steps;
  $("solver").replaceChildren(...details.solvers.map((name) => new Option(name)));
  $("solver").value = details.default_solver;
  watch();
  const request = readLink();
  if (request) {
    fillForm(request);
    write(request);
  }
}

start();
