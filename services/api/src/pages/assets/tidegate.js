// Keeps a page as fresh as the log: it is fetched again whenever something moved, and every few seconds for what only the
// routers count. The server makes all markup; nothing that anybody wrote is put together here.
"use strict";

const PACE_MS = 150;
const LOOK_AGAIN_MS = 5000;
const connection = document.getElementById("connection");
let stream = null;
let waiting = null;

function live() {
  return document.getElementById("live");
}

async function refresh() {
  waiting = null;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    if (!next) return;
    const open = new Set([...document.querySelectorAll("details[open]")].map((details) => details.id));
    next.querySelectorAll("details").forEach((details) => { details.open = open.has(details.id); });
    live().replaceWith(document.adoptNode(next));
    connection.textContent = "live";
  } catch {
    connection.textContent = "no connection; what you see may be old";
  }
}

function soon() {
  waiting ??= setTimeout(refresh, PACE_MS);
}

// A hidden page holds no stream: a browser has few connections for one server.
function follow() {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else if (!stream || stream.readyState === EventSource.CLOSED) {
    stream = new EventSource(live().dataset.events);
    stream.addEventListener("rollout.moved", soon);
    stream.addEventListener("open", soon);
  }
}

document.addEventListener("visibilitychange", follow);
setInterval(() => {
  if (document.hidden) return;
  follow();
  soon();
}, LOOK_AGAIN_MS);
follow();
