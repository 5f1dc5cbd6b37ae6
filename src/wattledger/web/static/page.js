// What every page does beside its links: the key "/" leads to the search, a link to a form opens it,
// and the connection state is said in words when the stream to the server breaks.
"use strict";

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    const find = document.getElementById("find");
    find.focus();
    find.select();
  }
});

// A link to a form (#refund, #mail) opens it, and the keyboard goes on from there.
function openAsked() {
  const section = location.hash && document.getElementById(location.hash.slice(1));
  const form = section && section.querySelector(":scope > .acts > details");
  if (!form) return;
  form.open = true;
  form.querySelector("summary").focus();
}

window.addEventListener("hashchange", openAsked);
openAsked();

function notLive() {
  const live = document.getElementById("live");
  if (!live || live.querySelector(".stale")) return;
  const since = live.querySelector("time");
  const words = document.createElement("span");
  words.className = "live stale";
  words.textContent = "Not live" + (since ? " since " + since.textContent : "");
  if (since) live.dataset.at = since.textContent;
  live.replaceChildren(words);
  const box = document.createElement("div");
  box.className = "error";
  box.setAttribute("role", "alert");
  const bold = document.createElement("b");
  bold.textContent = words.textContent + ".";
  box.append(bold, " The server does not answer. The figures below stood at that time; it is tried again every few seconds.");
  document.getElementById("trouble").replaceChildren(box);
}

document.addEventListener("htmx:sse:error", notLive);
document.addEventListener("htmx:sse:before:connection", (event) => {
  if (event.detail.connection.attempt > 1) notLive();
});
