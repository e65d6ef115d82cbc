"use strict";
// The page of `watch`. Everything can be read without this script; it refreshes and takes verdicts.

const root = document.body.dataset.root;
const kind = document.body.dataset.page;
const notice = document.getElementById("notice");
const noAnswer = "The server does not answer.";

function say(text) {
  notice.textContent = text;
  notice.hidden = !text;
}

// A request whose connection was lost would wait for ever, and the page would look current.
async function ask(path, body, timeoutMs = 20000) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Violence-Detection": "1" },
    body: JSON.stringify(body),
  };
  options.signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(root + path, options);
  if (response.status === 401) {
    location.href = `${root}/login?next=${encodeURIComponent(location.pathname.slice(root.length))}`;
  }
  const answer = await response.json();
  if (!response.ok) {
    const detail = answer.detail;
    throw new Error(typeof detail === "string" ? detail : "The request was refused.");
  }
  return answer;
}

async function attempt(action) {
  try {
    say("");
    return await action();
  } catch (error) {
    say(errorText(error));
    return null;
  }
}

function errorText(error) {
  return error instanceof TypeError || error.name === "TimeoutError" ? noAnswer : error.message;
}

function showLocalTimes(parent) {
  const format = new Intl.DateTimeFormat(undefined, {
    dateStyle: "medium", timeStyle: "long",
  });
  for (const element of parent.querySelectorAll("time")) {
    element.textContent = format.format(new Date(element.dateTime));
  }
}

function durationText(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// -- cameras

// The warnings of the watch, as the server writes them into the page.
function showWarnings(status) {
  const texts = status.judge === "ready" ? [] : [`Nothing is judged now: the judge is ${status.judge}.`];
  texts.push(...status.warnings);
  for (const sink of status.sinks) {
    if (sink.state === "up") continue;
    // Who sees some cameras alone is not told of errors, which name the others.
    const details = sink.error === undefined ? "." : ` (${sink.waiting} wait): ${sink.error}`;
    texts.push(`Messages to ${sink.name} are not delivered${details}`);
  }
  const box = document.getElementById("warnings");
  if (texts.join("\n") === [...box.children].map((line) => line.textContent).join("\n")) return;
  box.replaceChildren(...texts.map((text) => {
    const line = document.createElement("p");
    line.className = "warning";
    line.textContent = text;
    return line;
  }));
}

// Seconds since the last frame came or, where pictures are asked for, since the last one that was shown.
function ageOf(tile, camera, nowMs, oldS) {
  if (camera.last_frame_ms === null) return null;
  const frameS = Math.max(0, (nowMs - camera.last_frame_ms) / 1000);
  const pictureS = tile.pictureMs ? (Date.now() - tile.pictureMs) / 1000 : 0;
  return pictureS > oldS ? Math.max(frameS, pictureS) : frameS;
}

function showTile(tile, camera, nowMs, oldS) {
  tile.classList.toggle("hot", Boolean(camera.event));
  tile.classList.toggle("down", camera.state !== "up");
  const ageS = ageOf(tile, camera, nowMs, oldS);
  const isOld = ageS === null || ageS > oldS;
  tile.classList.toggle("old", isOld);
  tile.querySelector("[data-age]").textContent =
    ageS === null ? "no picture yet" : `no picture for ${durationText(ageS)}`;
  tile.querySelector("[data-state]").textContent =
    camera.reason ? `${camera.state}: ${camera.reason}` : camera.state;
  tile.querySelector("[data-lag]").textContent = `${camera.lag_s.toFixed(1)} s behind`;
  tile.querySelector("[data-score]").value = camera.score ?? 0;
  tile.querySelector("[data-score-text]").textContent =
    camera.score === null ? "not judged" : camera.score.toFixed(2);
  tile.querySelector("[data-novel]").hidden = !(camera.novelty > 1);
  const link = tile.querySelector("[data-event]");
  link.hidden = !camera.event;
  if (camera.event) link.href = `${root}/events/${camera.event}`;
  const snoozed = tile.querySelector("[data-snoozed]");
  snoozed.hidden = !(camera.snoozed_until_ms > nowMs);
  if (!snoozed.hidden) {
    snoozed.textContent = `snoozed for ${durationText((camera.snoozed_until_ms - nowMs) / 1000)}`;
  }
  tile.querySelector("[data-observed]").hidden = !(camera.observed_until_ms > nowMs);
  return isOld;
}

function refreshPicture(tile) {
  const image = tile.querySelector("img[data-src]");
  if (image.dataset.loading) return;
  image.dataset.loading = "1";
  const next = new Image();
  const end = () => { delete image.dataset.loading; clearTimeout(timer); };
  const timer = setTimeout(() => { next.src = ""; end(); }, 5000);
  next.onload = () => { image.src = next.src; tile.pictureMs = Date.now(); end(); };
  next.onerror = end;
  next.src = `${image.dataset.src}?${Date.now()}`;
}

function watchCameras() {
  const wall = document.querySelector(".wall");
  const oldS = Number(wall.dataset.oldS);
  const visible = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) visible.add(entry.target);
      else visible.delete(entry.target);
    }
  });
  const tiles = new Map();
  for (const tile of wall.querySelectorAll(".tile")) {
    tiles.set(tile.dataset.camera, tile);
    observer.observe(tile);
  }
  let answeredMs = Date.now();
  let isAsking = false;
  let ownNotice = "";
  function tell(text) {
    if (!text && notice.textContent !== ownNotice) return;  // what an action has said stays
    ownNotice = text;
    say(text);
  }
  function checkAnswer(text) {
    if (Date.now() - answeredMs < 1000 * oldS) return;
    tell(text === noAnswer ? `${noAnswer.slice(0, -1)}: nothing here is current.` : text);
    for (const tile of tiles.values()) tile.classList.add("old");
  }
  async function refresh() {
    if (document.hidden) { answeredMs = Date.now(); return; }
    checkAnswer(noAnswer);
    if (isAsking) return;
    isAsking = true;
    try {
      const status = await ask("/api/status", undefined, 5000);
      answeredMs = Date.now();
      tell("");
      showWarnings(status);
      const names = status.cameras.map((camera) => camera.name);
      const isOther = kind === "wall" && (names.length !== tiles.size || names.some((name) => !tiles.has(name)));
      if (isOther) { location.reload(); return; }
      if (kind === "camera" && ![...tiles.keys()].every((name) => names.includes(name))) {
        tell("This camera is not watched any more.");
        for (const tile of tiles.values()) tile.classList.add("old");
      }
      for (const camera of status.cameras) {
        const tile = tiles.get(camera.name);
        if (tile) showTile(tile, camera, status.now_ms, oldS);
      }
      showUnreviewed(status.unreviewed);
      // Cameras with an open event stand first; the others keep their places.
      for (const camera of status.cameras.filter((row) => row.event).reverse()) {
        const tile = tiles.get(camera.name);
        const first = wall.querySelector(".tile");
        if (tile && !first.classList.contains("hot")) wall.prepend(tile);
      }
    } catch (error) {
      checkAnswer(errorText(error));
    } finally {
      isAsking = false;
    }
  }
  function refreshPictures() {
    for (const tile of tiles.values()) {
      const isAsked = !document.hidden && visible.has(tile) && !tile.classList.contains("down")
        && !tile.classList.contains("live");
      if (!isAsked) { tile.pictureMs = 0; continue; }
      tile.pictureMs = tile.pictureMs || Date.now();  // from when on a picture should have come
      refreshPicture(tile);
    }
  }
  refresh();
  setInterval(refresh, 1000);
  const image = wall.querySelector("img[data-interval-ms]");
  setInterval(refreshPictures, image ? Number(image.dataset.intervalMs) : 1000);
}

// Live video where the browser plays it; else, and until it plays, pictures.
function playLive() {
  const video = document.querySelector("video[data-live]");
  const tile = video.closest(".tile");
  let progressS = 0;
  let seenAt = 0;
  let isTried = false;
  function stop() {
    tile.classList.remove("live");
    video.hidden = true;
    video.removeAttribute("src");
    video.load();
    isTried = false;
  }
  function start() {
    isTried = true;
    progressS = -1;
    seenAt = Date.now();
    video.src = `${video.dataset.live}?${Date.now()}`;
    video.play().catch(() => {});
  }
  function look() {
    if (document.hidden || tile.classList.contains("down")) {
      if (isTried) stop();
      return;
    }
    if (!isTried) { start(); return; }
    if (video.currentTime !== progressS) {
      progressS = video.currentTime;
      seenAt = Date.now();
      if (video.videoWidth && progressS > 0) {
        video.hidden = false;
        tile.classList.add("live");
      }
    }
    const stalledMs = Date.now() - seenAt;
    // A stream that has ended, or a browser that plays none: pictures, and another try later.
    if (stalledMs > 4000) { tile.classList.remove("live"); video.hidden = true; }
    if (stalledMs > 20000) stop();
    const buffered = video.buffered;
    const behindS = buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : 0;
    video.playbackRate = behindS > 1.5 ? 1.15 : 1;
    if (behindS > 20) stop();
  }
  look();
  setInterval(look, 500);
}

function offerCameraActions() {
  const camera = document.body.dataset.camera;
  for (const button of document.querySelectorAll("[data-snooze]")) {
    button.addEventListener("click", () => attempt(() =>
      ask(`/api/cameras/${camera}/snooze`, { minutes: Number(button.dataset.snooze) })));
  }
  for (const button of document.querySelectorAll("[data-missed]")) {
    button.addEventListener("click", () => attempt(async () => {
      const answer = await ask(`/api/cameras/${camera}/missed`, { seconds_ago: Number(button.dataset.missed) });
      location.href = `${root}/events/${answer.event}`;
    }));
  }
}

// -- an event

function drawTimeline(svg, data, fromMs, toMs) {
  const x = (ms) => 1000 * (ms - fromMs) / (toMs - fromMs);
  const make = (name, values) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    svg.append(element);
    return element;
  };
  svg.replaceChildren();
  const endMs = data.event.end_ms ?? toMs;
  make("rect", { class: "event-span", x: x(data.event.start_ms), y: 0, height: 100,
    width: Math.max(0, x(endMs) - x(data.event.start_ms)) });
  const part = make("rect", { class: "part-span", x: 0, y: 0, width: 0, height: 100 });
  if (data.event.threshold !== null) {
    const y = 100 - 100 * data.event.threshold;
    make("line", { class: "threshold", x1: 0, x2: 1000, y1: y, y2: y });
  }
  const points = data.windows.map(([start, end, p]) => `${x((start + end) / 2)} ${100 - 100 * p}`);
  if (points.length) make("path", { d: `M${points.join("L")}` });
  const cursor = make("line", { class: "cursor", x1: 0, x2: 0, y1: 0, y2: 100 });
  return {
    moveCursor: (ms) => { cursor.setAttribute("x1", x(ms)); cursor.setAttribute("x2", x(ms)); },
    showPart: (startMs, endMs) => {
      part.setAttribute("x", x(startMs));
      part.setAttribute("width", Math.max(0, x(endMs) - x(startMs)));
    },
  };
}

function showRegion(video, data, fromMs) {
  const svg = document.getElementById("region");
  const box = svg.querySelector("rect");
  const nowMs = fromMs + video.currentTime * 1000;
  const shown = data.windows.find(([start, end, , region]) => region && start <= nowMs && nowMs < end);
  if (!shown || !video.videoWidth) { box.setAttribute("hidden", ""); return; }
  const scale = Math.min(video.clientWidth / video.videoWidth, video.clientHeight / video.videoHeight);
  const width = video.videoWidth * scale;
  const height = video.videoHeight * scale;
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  // CSSOM is allowed where style attributes are not.
  svg.style.left = `${(video.clientWidth - width) / 2}px`;
  svg.style.top = `${(video.clientHeight - height) / 2}px`;
  const [left, top, across, down] = shown[3];
  for (const [name, value] of [["x", left], ["y", top], ["width", across], ["height", down]]) {
    box.setAttribute(name, 100 * value);
  }
  box.removeAttribute("hidden");
}

function reviewEvent() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const event = document.body.dataset.event;
  const video = document.getElementById("clip");
  const svg = document.getElementById("timeline");
  const [startBox, endBox] = ["part-start", "part-end"].map((id) => document.getElementById(id));
  let isPartChosen = false;
  if (video && data.clip) {
    const { start_ms: fromMs, end_ms: toMs } = data.clip;
    const lengthS = (toMs - fromMs) / 1000;
    const eventStartS = Math.max(0, (data.event.start_ms - fromMs) / 1000);
    const eventEndS = Math.min(lengthS, ((data.event.end_ms ?? toMs) - fromMs) / 1000);
    const timeline = svg && drawTimeline(svg, data, fromMs, toMs);
    const showPart = () => {
      for (const box of [startBox, endBox]) {
        document.getElementById(`${box.id}-text`).textContent = `${Number(box.value).toFixed(1)} s`;
      }
      if (timeline) timeline.showPart(fromMs + startBox.value * 1000, fromMs + endBox.value * 1000);
    };
    if (startBox) {
      for (const box of [startBox, endBox]) box.max = lengthS.toFixed(1);
      startBox.value = eventStartS;
      endBox.value = eventEndS;
      startBox.addEventListener("input", () => {
        isPartChosen = true;
        if (Number(startBox.value) > endBox.value - 0.1) endBox.value = Number(startBox.value) + 0.1;
        video.currentTime = startBox.value;
        showPart();
      });
      endBox.addEventListener("input", () => {
        isPartChosen = true;
        if (Number(endBox.value) < Number(startBox.value) + 0.1) startBox.value = endBox.value - 0.1;
        video.currentTime = endBox.value;
        showPart();
      });
      showPart();
    }
    video.addEventListener("loadedmetadata", () => {
      video.currentTime = Math.max(0, eventStartS - 1);
    }, { once: true });
    video.addEventListener("error", () => say(
      `The browser cannot play this clip (${data.clip.codec}), or it was deleted.`));
    video.addEventListener("timeupdate", () => {
      if (timeline) timeline.moveCursor(fromMs + video.currentTime * 1000);
      showRegion(video, data, fromMs);
    });
    if (svg) {
      svg.addEventListener("click", (click) => {
        const box = svg.getBoundingClientRect();
        video.currentTime = lengthS * (click.clientX - box.left) / box.width;
      });
    }
  } else if (svg && data.windows.length) {
    drawTimeline(svg, data, data.windows[0][0], data.windows[data.windows.length - 1][1]);
  }

  let isBusy = false;
  async function judge(verdict) {
    if (isBusy) return;
    isBusy = true;
    const body = { verdict, note: document.getElementById("note")?.value ?? "" };
    if (isPartChosen) {
      body.start_s = Number(startBox.value);
      body.end_s = Number(endBox.value);
    }
    const answer = await attempt(() => ask(`/api/events/${event}/verdict`, body));
    isBusy = false;
    if (!answer) return;
    sessionStorage.setItem("judged", JSON.stringify({ event, verdict: answer.verdict }));
    location.href = answer.next ? `${root}/events/${answer.next}?queue=1` : `${root}/review`;
  }
  async function undo() {
    // Right after a verdict the next event is shown: undo means the verdict before it, then.
    const last = JSON.parse(sessionStorage.getItem("judged") ?? "null");
    const target = data.own_verdict ? { event, verdict: data.own_verdict } : last;
    if (!target) { say("There is no verdict of yours to undo."); return; }
    const answer = await attempt(() => ask(`/api/events/${target.event}/undo`, { verdict: target.verdict }));
    if (!answer) return;
    sessionStorage.removeItem("judged");
    location.href = `${root}/events/${target.event}`;
  }
  async function acknowledge() {
    if (await attempt(() => ask(`/api/events/${event}/acknowledge`, {}))) location.reload();
  }
  for (const button of document.querySelectorAll("[data-verdict]")) {
    button.addEventListener("click", () => judge(button.dataset.verdict));
  }
  document.querySelector("[data-undo]")?.addEventListener("click", undo);
  document.querySelector("[data-acknowledge]")?.addEventListener("click", acknowledge);
  document.addEventListener("keydown", (press) => {
    if (press.ctrlKey || press.metaKey || press.altKey || press.repeat) return;
    if (press.target.closest("input:not([type=range]), textarea, select")) return;
    const key = press.key.toLowerCase();
    const actions = {
      j: () => { if (data.older) location.href = `${root}/events/${data.older}`; },
      k: () => { if (data.newer) location.href = `${root}/events/${data.newer}`; },
    };
    if (data.may_judge) {
      Object.assign(actions, {
        v: () => judge("violent"), n: () => judge("not_violent"), u: () => judge("unsure"),
        a: acknowledge, z: undo,
      });
    }
    if (actions[key]) { press.preventDefault(); actions[key](); }
  });
}

// -- all pages

function showUnreviewed(count) {
  for (const element of document.querySelectorAll("[data-unreviewed]")) {
    element.textContent = count < 1000 ? count : "1000+";
    element.hidden = !count;
  }
}

showLocalTimes(document);
if (kind === "wall" || kind === "camera") watchCameras();
if (kind === "camera") playLive();
if (kind === "camera") offerCameraActions();
if (kind === "event") reviewEvent();
