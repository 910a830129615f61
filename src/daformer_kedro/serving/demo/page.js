// Sends images one by one, each with a card of its own, so that a file that cannot be
// read costs no other its answer.

import { newCard, showAnswer, showError } from "./cards.js";

const MOST_FILES = Number(document.body.dataset.mostFiles);
const MOST_MEBIBYTES = Number(document.body.dataset.mostMebibytes);
const AT_ONCE = 2;

const byId = id => document.getElementById(id);
/* Questions: an image's name, and how to ask the server about it. */

const questions = [];  // that wait for their turn
const open = new Set();  // whose cards are on the page
let numRunning = 0;

function askFiles(files) {
  say("");
  const taken = files.slice(0, MOST_FILES);
  const left = files.slice(MOST_FILES).map(file => file.name);
  if (left.length) {
    const names = left.slice(0, 3).join(", ") + (left.length > 3 ? ", …" : "");
    say(`${files.length} images were given and ${MOST_FILES} are taken at a time. Left out: ${names}`);
  }
  ask(taken.map(file => ({
    name: file.name,
    send: signal => sendFile(file, signal),
  })));
}

async function sendFile(file, signal) {
  if (file.size > MOST_MEBIBYTES * 2 ** 20) {
    throw new Error(`the file is larger than ${MOST_MEBIBYTES} MiB`);
  }
  let content;
  try {
    content = await file.arrayBuffer();
  } catch {
    throw new Error("cannot be read: is it a folder, or was it moved?");
  }
  return post(`classify?name=${encodeURIComponent(file.name)}`, content, signal);
}

async function post(address, body, signal) {
  let response;
  try {
    response = await fetch(address, { method: "POST", body, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error("the server does not answer: is it still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `the server answers with status ${response.status}`);
  return answer;
}

function ask(asked) {
  if (!asked.length) return;
  const cards = asked.map(question => {
    question.stop = new AbortController();
    question.card = newCard(question.name, () => remove(question));
    questions.push(question);
    open.add(question);
    return question.card;
  });
  byId("cards").prepend(...cards);
  showCount();
  // Beside the questions they are in view; below them, on a phone, they are not.
  const isBeside = matchMedia("(min-width: 60rem)").matches;
  byId("answers-title").scrollIntoView({ block: isBeside ? "nearest" : "start" });
  next();
}

async function next() {
  if (numRunning >= AT_ONCE || !questions.length) return;
  const question = questions.shift();
  numRunning += 1;
  next();
  try {
    if (!question.stop.signal.aborted) {
      const answer = await question.send(question.stop.signal);
      if (open.has(question)) tell(`${question.name}: ${showAnswer(question.card, answer)}`);
    }
  } catch (error) {
    if (open.has(question)) {
      showError(question.card, error.message);
      tell(`${question.name}: ${error.message}`);
    }
  }
  numRunning -= 1;
  next();
}

function remove(question) {
  const card = question.card;
  const beside = card.nextElementSibling ?? card.previousElementSibling;
  question.stop.abort();
  open.delete(question);
  card.remove();
  showCount();
  (beside?.querySelector(".remove") ?? byId("files")).focus();
}

/* Messages. */

function say(message) {
  byId("notice").textContent = message;
  byId("notice").hidden = !message;
}

function tell(message) {
  byId("status").textContent = message;
}

function showCount() {
  const isEmpty = !byId("cards").childElementCount;
  byId("empty").hidden = !isEmpty;
  byId("clear").hidden = isEmpty;
}

/* Ways to ask: the two file fields, the clipboard, dropping anywhere, images to try. */

for (const id of ["files", "camera"]) {
  byId(id).addEventListener("change", event => {
    askFiles([...event.target.files]);
    event.target.value = "";  // so that the same file may be chosen again
  });
}

document.addEventListener("paste", event => {
  const files = [...event.clipboardData.files];
  if (files.length) askFiles(files);
  else say("The clipboard holds no image.");
});

let depth = 0;  // of elements entered: each is left again
document.addEventListener("dragenter", event => {
  event.preventDefault();
  depth += 1;
  document.body.classList.add("over");
});
document.addEventListener("dragleave", () => {
  depth -= 1;
  if (!depth) document.body.classList.remove("over");
});
document.addEventListener("dragover", event => event.preventDefault());
document.addEventListener("drop", event => {
  event.preventDefault();
  depth = 0;
  document.body.classList.remove("over");
  const files = [...event.dataTransfer.files];
  if (files.length) askFiles(files);
  else say("What was dropped is no file: save the image first, or copy and paste it.");
});

for (const button of document.querySelectorAll(".try")) {
  const { try: address, name } = button.dataset;
  button.addEventListener("click", () => {
    ask([{ name, send: signal => post(address, undefined, signal) }]);
  });
}

byId("clear").addEventListener("click", () => {
  for (const question of open) question.stop.abort();
  open.clear();
  byId("cards").replaceChildren();
  showCount();
  byId("files").focus();
});
