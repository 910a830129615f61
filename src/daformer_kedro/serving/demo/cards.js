// Cards: an image's name, then what the server says of it. Names come from files and
// models: they become text, never markup.

const IS_CALIBRATED = document.body.dataset.calibrated === "true";
const UNKNOWN = "This looks like nothing I have learnt";

const percent = share => {
  // 99.97 % is not certainty, and 0.03 % is not nothing.
  if (share > 0.999 && share < 1) return "> 99.9 %";
  if (share < 0.001 && share > 0) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
};
const distance = value =>
  (value > 0 && value < 0.001 ? value.toExponential(1) : value.toFixed(3));
const made = (tag, text = "", kind = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

export function newCard(name, onRemove) {
  const card = document.getElementById("card").content.firstElementChild.cloneNode(true);
  card.setAttribute("aria-label", name);
  card.querySelector(".name").textContent = name;
  const remove = card.querySelector(".remove");
  remove.querySelector(".unseen").textContent = `Remove ${name}`;
  remove.addEventListener("click", onRemove);
  return card;
}

export function showError(card, message) {
  card.querySelector(".waiting").hidden = true;
  card.querySelector(".error").textContent = message;
  card.querySelector(".error").hidden = false;
}

// Returns the answer in words, for those who hear the page.
export function showAnswer(card, answer) {
  const part = name => card.querySelector(name);
  const [best] = answer.classes;
  const likeliest = `${best.name}, ${percent(best.probability)}`;
  card.classList.toggle("is-unknown", answer.is_unknown === true);
  part(".waiting").hidden = true;
  showPicture(part(".main"), answer.photograph ?? answer.seen);
  part(".main").hidden = false;
  const [verdict, more] = part(".verdict").children;
  verdict.textContent = answer.is_unknown ? UNKNOWN : best.name;
  more.textContent = answer.is_unknown ? `If it were a known class: ${likeliest}` : percent(best.probability);
  part(".verdict").hidden = false;
  showTruth(part(".truth"), answer);
  showProbabilities(part(".probabilities"), answer);
  showLooks(part(".looks"), answer);
  showNearest(part(".near"), answer);
  part(".body").hidden = false;
  return answer.is_unknown ? `${UNKNOWN}. ${more.textContent}` : likeliest;
}

// Of few pixels, each is shown as a square.
function showPicture(image, address) {
  image.addEventListener("load", () => image.classList.toggle("few", image.naturalWidth < 200), { once: true });
  image.src = address;
}

function showTruth(line, answer) {
  if (answer.truth === null) return;
  const isRight = answer.truth === answer.classes[0].name;
  line.classList.add(isRight ? "right" : "wrong");
  line.textContent = isRight ? `✓ It is of class ${answer.truth}` : `✗ It is of class ${answer.truth}`;
  line.hidden = false;
}

function showProbabilities(box, answer) {
  const kind = IS_CALIBRATED ? "Calibrated probabilities" : "Probabilities, not calibrated";
  box.querySelector("h4").textContent = answer.is_unknown ? `${kind}, if it were a known class` : kind;
  box.querySelector("ol").replaceChildren(...answer.classes.map(found => {
    const row = made("li");
    const name = made("span", `${found.name} `, "class");
    name.append(made("small", `task ${found.task}`));
    const track = made("div", "", "track");
    const fill = made("div", "", "fill");
    fill.style.width = `${100 * found.probability}%`;
    track.append(fill);
    row.append(name, made("span", percent(found.probability)), track);
    return row;
  }));
}

function showNearest(box, answer) {
  if (!answer.nearest.length) return;
  const images = answer.nearest.filter(found => found.row !== null);
  const means = answer.nearest.filter(found => found.row === null);
  box.querySelector("h4").textContent = images.length ? "Nearest known images" : "Nearest classes";
  box.querySelector(".pictures").replaceChildren(...images.map(found =>
    picture(`exemplars/${found.row}.png`, found.name, distance(found.distance))));
  box.querySelector(".means").replaceChildren(...means.map(found => {
    const row = made("li");
    row.append(made("span", found.name, "class"), made("span", distance(found.distance)));
    return row;
  }));
  const gauge = box.querySelector(".gauge");
  if (answer.threshold === null) {
    gauge.hidden = true;
  } else {
    const place = Math.min(1, answer.distance / (2 * answer.threshold));
    gauge.querySelector(".dot").setAttribute("x", String(197 * place));
    gauge.lastElementChild.textContent =
      `Distance ${distance(answer.distance)}; above ${distance(answer.threshold)} counts as unknown.`;
  }
  box.hidden = false;
}

function showLooks(box, answer) {
  const found = answer.attention.map(map => {
    const isExternal = map.kind === "external";
    const keys = isExternal ? "keys from the image" : "learnt keys";
    return picture(
      map.picture,
      isExternal ? "External attention" : "Internal attention",
      map.task === null ? keys : `${keys}, task ${map.task}`);
  });
  box.querySelector("h4").textContent = found.length ? "What the model reads, and where it looks" : "What the model reads";
  box.querySelector(".pictures").replaceChildren(picture(answer.seen, "The image", "as it is read"), ...found);
}

function picture(address, caption, small = "") {
  const entry = made("li");
  const figure = made("figure");
  const image = made("img");
  image.alt = "";  // the caption says it
  image.draggable = false;
  showPicture(image, address);
  figure.title = caption;  // a long one is cut off
  const text = made("figcaption");
  text.append(made("span", caption, "short"));
  if (small) text.append(made("small", small));
  figure.append(image, text);
  entry.append(figure);
  return entry;
}
