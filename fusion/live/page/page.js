"use strict";

const $ = (id) => document.getElementById(id);
const picture = $("picture"), frame = $("frame"), drawing = $("drawing");
let status = null, view = null, held = null;

// --- Requests ---------------------------------------------------------------

async function post(path, content) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

async function attempt(action) {
  try {
    await action();
    say("");
  } catch (error) {
    say(error.message);
  }
}

function say(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

function show(name) {
  view = name;
  picture.src = `stream?view=${encodeURIComponent(name)}&at=${Date.now()}`;
  for (const button of $("views").children)
    button.setAttribute("aria-pressed", String(button.textContent === name));
}

// A stream that ends, such as when the program is started again, is asked for anew.
picture.addEventListener("error", () => setTimeout(() => view && show(view), 1000));

// --- Status -----------------------------------------------------------------

const NAMES = { ir: "Infrared", vis: "Visible" };
const number = (value, digits = 0) => (value == null ? "–" : value.toFixed(digits));

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text != null) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function camera(state) {
  const card = element("div", null, `camera ${state.state}`);
  card.append(element("span", null, "dot"), element("b", NAMES[state.side]), ` ${state.state}`);
  card.append(element("p", state.name));
  const size = state.size ? `${state.size[0]} × ${state.size[1]}, ` : "";
  let text = `${size}${number(state.rate, 1)} frames/s, ${state.dropped} dropped`;
  if (state.connections > 1) text += `, reconnected ${state.connections - 1} ×`;
  card.append(element("p", text));
  if (state.message) card.append(element("p", state.message));
  return card;
}

function update() {
  const { picture: shown, pairing, recording } = status;
  $("summary").textContent = status.finished
    ? "ended"
    : `${number(shown.rate, 1)} pictures/s, latency ${number(shown.latency_ms.median)} ms`;
  $("cameras").replaceChildren(...status.cameras.map(camera));
  const figures = [
    ["Latency, median", `${number(shown.latency_ms.median)} ms`],
    ["Latency, 95 %", `${number(shown.latency_ms.p95)} ms`],
    ["Infrared after visible", `${number(pairing.offset_ms, 1)} ms`],
    ["Pairs are within", `${number(pairing.reach_ms, 1)} ms`],
    ["Pairs", pairing.paired],
    ["Frames without a partner", pairing.unpaired],
    ["Skipped, too slow", pairing.outdated],
  ];
  if (status.has_box)
    figures.push(["Score", shown.box ? number(shown.score, 2) : "–"]);
  if (recording)
    figures.push(
      ["Recording", `${number(recording.seconds)} s`],
      ["Frames recorded", `${recording.frames.ir} + ${recording.frames.vis}`],
      ["Not recorded", recording.lost],
    );
  $("figures").replaceChildren(
    ...figures.flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]),
  );
  $("events").replaceChildren(
    ...[...status.events].reverse().map((event) => {
      const item = element("li");
      item.append(element("time", event.at), event.text);
      return item;
    }),
  );
  $("record").classList.toggle("on", Boolean(recording));
  $("record-text").textContent = recording ? `Stop recording (${number(recording.seconds)} s)` : "Record";
  $("release").hidden = !shown.box;
  $("hint").hidden = !status.has_box || Boolean(shown.box);
  frame.classList.toggle("boxes", status.has_box);
  notice(status.error || (shown.missing ? `no ${shown.missing} picture` : ""));
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

async function poll() {
  try {
    status = await (await fetch("status")).json();
    if (!view) {
      document.title = $("title").textContent = status.title;
      for (const name of Object.keys(status.views)) {
        const button = element("button", name);
        button.type = "button";
        button.addEventListener("click", () => show(name));
        $("views").append(button);
      }
      show(Object.keys(status.views)[0]);
    }
    update();
  } catch {
    $("summary").textContent = "not reachable";
    notice("the program has ended");
  }
  setTimeout(poll, 1000);
}

$("record").addEventListener("click", () =>
  attempt(() => post("record", { on: !(status && status.recording) })),
);
$("release").addEventListener("click", () => attempt(() => post("release", {})));

// --- The box ----------------------------------------------------------------
// While the mouse is down, the picture stands still: the program holds it, and tracks from it on.

// Where the picture is within its element, which keeps its shape.
function area() {
  const width = picture.clientWidth, height = picture.clientHeight;
  const scale = Math.min(width / picture.naturalWidth, height / picture.naturalHeight);
  const shown = [picture.naturalWidth * scale, picture.naturalHeight * scale];
  return { left: (width - shown[0]) / 2, top: (height - shown[1]) / 2, width: shown[0], height: shown[1] };
}

function place(event) {
  const bounds = picture.getBoundingClientRect(), inside = area();
  const x = (event.clientX - bounds.left - inside.left) / inside.width;
  const y = (event.clientY - bounds.top - inside.top) / inside.height;
  return [Math.min(Math.max(x, 0), 1), Math.min(Math.max(y, 0), 1)];
}

// The box in shares of the panel in which it was begun.
function box() {
  const panels = status.views[view].length;
  const panel = Math.min(Math.floor(held.start[0] * panels), panels - 1);
  const inPanel = (x) => Math.min(Math.max(x * panels - panel, 0), 1);
  const xs = [inPanel(held.start[0]), inPanel(held.end[0])].sort((a, b) => a - b);
  const ys = [held.start[1], held.end[1]].sort((a, b) => a - b);
  return { panel, panels, box: [xs[0], ys[0], xs[1] - xs[0], ys[1] - ys[0]] };
}

function draw() {
  const inside = area();
  Object.assign(drawing, { width: inside.width, height: inside.height, hidden: false });
  drawing.style.left = `${inside.left}px`;
  drawing.style.top = `${inside.top}px`;
  const brush = drawing.getContext("2d");
  if (held.picture) brush.drawImage(held.picture, 0, 0, drawing.width, drawing.height);
  const { panel, panels, box: [x, y, w, h] } = box();
  const width = drawing.width / panels;
  for (const [color, line] of [["#000", 4], ["#ffb000", 2]]) {
    brush.strokeStyle = color;
    brush.lineWidth = line;
    brush.strokeRect((panel + x) * width, y * drawing.height, w * width, h * drawing.height);
  }
}

frame.addEventListener("pointerdown", (event) => {
  if (!status || !status.has_box || event.button || held) return;
  event.preventDefault();
  frame.setPointerCapture(event.pointerId);
  const start = place(event);
  const mine = (held = { start, end: start, pointer: event.pointerId });
  mine.ready = (async () => {
    const answer = await post("hold", { view });
    mine.number = Number(answer.headers.get("X-Number"));
    mine.picture = await createImageBitmap(await answer.blob());
    if (held === mine) draw();
  })();
  mine.ready.catch(() => {});
});

frame.addEventListener("pointermove", (event) => {
  if (!held || event.pointerId !== held.pointer) return;
  held.end = place(event);
  draw();
});

frame.addEventListener("pointerup", (event) => {
  if (!held || event.pointerId !== held.pointer) return;
  held.end = place(event);
  const done = held, drawn = box().box;
  attempt(async () => {
    await done.ready;
    if (Math.min(drawn[2], drawn[3]) >= 0.01) await post("box", { number: done.number, box: drawn });
  });
  drop();
});

frame.addEventListener("pointercancel", drop);
picture.addEventListener("dragstart", (event) => event.preventDefault());

function drop() {
  held = null;
  drawing.hidden = true;
}

poll();
