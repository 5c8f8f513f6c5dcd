// What the visitor does, and what is shown of it. All state that matters lies on the server: `visit` is its last answer.

import { keep, kept, language, say, speak, switchLanguage } from "./words.js";
import { frame, Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const SOON = 250; // ms between two questions while something runs
const RETRY = 2_000; // ms while the server does not answer
const LATER = 60_000; // ms otherwise: the server keeps the files of pages that it hears of
const drafts = new Map(); // by a page's key: its sensitivity and strokes as they stand here, until they are asked for
const questions = new Map(); // by a page's key and version: boxes that were found or drawn, and whether they are chosen
const local = []; // problems that the server does not know
const chosen = new Map(); // by a file's name: the address of its picture here, shown until the server has one

let visit = { pages: [], documents: [], problems: [], run: null };
let key = null; // of the page that is shown
let sending = null; // share of the upload that is done
let unsent = []; // files that the server did not get, though it would take them
let earlier = null; // keys of the pages before some were chosen, until the first of those is shown erased or another is picked
let timer = 0;
let asked = 0; // how often the server was asked for `visit`
let scan = kept("scan") !== "off"; // of photos that are chosen from now on

const stage = new Stage({ drawn: () => change({ strokes: [...stage.strokes] }), touched: () => setMode("compare"), boxed });

// -- the server ---------------------------------------------------------------------------------------------

async function ask(method, path, body) {
  const headers = { "Accept-Language": language };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) }).catch(() => null);
  if (!answer) return complain(say("offline"));
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  return complain(told.error ?? say("wrong", { status: answer.status }));
}

function complain(problem) {
  if (!local.includes(problem)) local.push(problem);
  render();
}

async function poll() {
  clearTimeout(timer);
  const mine = (asked += 1);
  const answer = await ask("GET", "visit");
  if (mine !== asked) return; // a newer question is under way, and answers may overtake each other
  if (answer) {
    local.splice(0, local.length, ...local.filter((problem) => problem !== say("offline")));
    if (visit.pages.length && !answer.pages.length) complain(say("gone"));
    visit = answer;
    follow();
    render();
  }
  timer = setTimeout(poll, !answer ? RETRY : visit.run || sending !== null ? SOON : LATER);
}

/** Show the first page of those just chosen that does not fail; none takes the stage from the brush. */
function follow() {
  const first = earlier && visit.pages.find((page) => !earlier.has(page.key) && page.status !== "failed");
  if (first && stage.mode === "compare") {
    key = first.key;
    if (first.version) earlier = null;
  }
  if (!page()) key = visit.pages[0]?.key ?? null;
}

const startFollowing = () => { earlier = new Set(visit.pages.map((page) => page.key)); };

/** Send files one after the other; the server begins with the first while the next are on their way. */
async function send(files) {
  if (!files.length || sending !== null) return;
  await forget();
  const most = visit.max_megabytes * 1e6;
  const kept = files.filter((file) => file.size <= most);
  for (const { name } of files.filter((file) => file.size > most)) complain(say("large", { name, megabytes: visit.max_megabytes }));
  const total = kept.reduce((sum, file) => sum + file.size, 0) || 1;
  let sent = 0;
  startFollowing();
  unsent = [...kept];
  for (const file of kept) {
    if (/jpeg|png|webp/.test(file.type)) chosen.set(file.name, URL.createObjectURL(file));
    if (!await upload(file, (bytes) => { sending = (sent + bytes) / total; render(); })) break;
    unsent.shift();
    sent += file.size;
    poll();
  }
  sending = null;
  poll();
}

/** Send a file; whether that is over, and not to be tried again. */
function upload(file, progress) {
  progress(0);
  return new Promise((done) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of uploads
    request.open("PUT", `visit/files?scan=${scan}&name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Accept-Language", language);
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      if (request.status >= 300) complain(request.response?.error ?? say("wrong", { status: request.status }));
      done(request.status !== 503); // too many wait
    };
    request.onerror = () => { complain(say("offline")); done(false); };
    request.send(file);
  });
}

async function forget() {
  local.length = 0;
  if (visit.problems.length) await ask("DELETE", "visit/problems");
  visit.problems = [];
}

// -- the page that is shown, and what is asked of it ---------------------------------------------------------

const page = () => visit.pages.find((each) => each.key === key);
const draft = () => drafts.get(key) ?? page();
const file = () => visit.documents.find((each) => each.number === page()?.document);
const picture = (each, what) => (each?.version ? `visit/pages/${each.key}/${what}.jpg?v=${each.version}` : null);
const same = (one, other) => one.sensitivity === other.sensitivity && one.scan === other.scan && JSON.stringify(one.strokes) === JSON.stringify(other.strokes);
const isChanged = () => Boolean(page() && drafts.has(key) && !same(drafts.get(key), page()));

function change(changes) {
  const { sensitivity, strokes, scan } = draft();
  drafts.set(key, { sensitivity, strokes, scan, ...changes });
  render();
}

async function again() {
  const { sensitivity, strokes, scan } = draft();
  await forget();
  if (await ask("POST", `visit/pages/${key}`, { sensitivity, strokes, scan }) !== undefined) setMode("compare");
  if (scan !== page()?.scan) drafts.clear(); // strokes on pages that will be others
  poll();
}

async function every() {
  const { sensitivity } = draft();
  await forget();
  await ask("POST", "visit/pages", { sensitivity });
  drafts.clear();
  setMode("compare");
  poll();
}

async function clear() {
  await forget();
  await ask("DELETE", "visit");
  visit.pages = unsent = [];
  drafts.clear();
  setMode("compare");
  poll();
}

const TAP = 0.015; // share of the page's sides that a finger may move in a tap

function questionsOf(each) {
  if (each.status === "waiting") return []; // they are sought last
  const name = `${each.key} ${each.version}`;
  if (!questions.has(name)) questions.set(name, each.questions.map((box) => ({ box, chosen: false })));
  return questions.get(name);
}

/** A tap chooses a question, or leaves it out again; a box that is drawn is one. */
function boxed([left, top, right, bottom]) {
  const all = questionsOf(page());
  if (right - left > TAP && bottom - top > TAP) all.push({ box: [left, top, right, bottom], chosen: true });
  else for (const each of all.filter(({ box }) => box[0] <= left && left <= box[2] && box[1] <= top && top <= box[3]).slice(-1)) each.chosen = !each.chosen;
  render();
}

const collected = () => visit.pages.flatMap((each) => questionsOf(each).filter(({ chosen }) => chosen).sort((one, other) => one.box[1] - other.box[1]).map(({ box }) => ({ page: each.key, box })));

async function getQuestions() {
  await forget();
  if (await ask("POST", "visit/questions", { questions: collected() }) !== undefined) save("visit/questions.pdf");
}

function renderQuestions() {
  $("collect").textContent = stage.mode === "collect" ? say("done") : say("collect");
  $("collect").setAttribute("aria-pressed", stage.mode === "collect");
  const all = questionsOf(page());
  while ($("boxes").childElementCount > all.length) $("boxes").lastChild.remove();
  for (const [index, { box, chosen }] of all.entries()) { // marks stay where they are, and the keyboard with them
    const mark = $("boxes").children[index] ?? $("boxes").appendChild(Object.assign(element("button", ""), { type: "button" }));
    mark.setAttribute("aria-label", say("question", { number: index + 1 }));
    mark.setAttribute("aria-pressed", chosen);
    frame(mark, box);
  }
}

function undo() {
  const { strokes } = draft();
  if (strokes.length) change({ strokes: strokes.slice(0, -1) });
}

function save(address) {
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: "" });
  link.click();
}

// -- what is seen -------------------------------------------------------------------------------------------

function setMode(mode) {
  $("work").dataset.mode = mode;
  render();
}

function render() {
  const shown = page();
  $("empty").hidden = Boolean(shown);
  $("work").hidden = !shown;
  $("work").classList.toggle("bare", !shown?.version);
  renderProblems();
  renderFooter();
  if (!shown) return;
  const { sensitivity, strokes } = draft();
  const own = shown.status === "waiting" ? chosen.get(shown.file) ?? null : null;
  stage.show(picture(shown, "before") ?? own, picture(shown, "after") ?? own);
  $("before").alt = say("before", { name: nameOf(shown) });
  $("after").alt = say("after", { name: nameOf(shown) });
  if (!stage.line) { // else a stroke is being drawn
    stage.strokes = [...strokes];
    stage.paint();
  }
  document.querySelector("#more .scan").checked = draft().scan;
  $("sensitivity").value = sensitivity;
  $("level").textContent = sensitivity.toFixed(2);
  $("undo").disabled = !strokes.length;
  $("brush").textContent = say(stage.mode === "brush" ? "done" : "brush");
  $("brush").setAttribute("aria-pressed", stage.mode === "brush");
  for (const button of document.querySelectorAll("[data-says]")) {
    button.setAttribute("aria-pressed", Number(button.dataset.says) === stage.says);
  }
  renderSummary(shown);
  renderPages();
  renderQuestions();
  if (stage.mode === "brush" || stage.mode === "preview") previewMask(shown, sensitivity);
}

function renderProblems() {
  const all = [...local, ...visit.problems];
  $("problems").hidden = !all.length;
  $("problems").firstElementChild.replaceChildren(...all.map((problem) => element("li", problem)));
}

function renderFooter() {
  const { text, share, act } = big();
  $("big").lastElementChild.textContent = text;
  $("big").style.setProperty("--share", `${(share ?? 0) * 100}%`);
  $("big").disabled = !act;
  $("add").hidden = !visit.pages.length;
  $("download").hidden = !file()?.done || (act === getFile);
  $("pdf").hidden = !visit.documents.some(({ done }) => done);
  $("zip").hidden = !visit.zip;
}

/** The one big button: what it says, how far its work is, and what it does, if anything. */
function big() {
  const percent = (share) => Math.round(share * 100);
  if (visit.run?.share !== undefined) return { text: say("running", { ...visit.run, percent: percent(visit.run.share) }), share: visit.run.share };
  if (sending !== null) return { text: say("uploading", { percent: percent(sending) }), share: sending };
  if (visit.run) return { text: visit.run.ahead ? say("ahead", visit.run) : say("opening") };
  if (stage.mode === "collect") {
    const count = collected().length;
    return count ? { text: say("getQuestions", { count }), act: getQuestions } : { text: say("pick") };
  }
  if (unsent.length) return { text: say("resend", { count: unsent.length }), act: () => send(unsent) };
  if (isChanged()) return { text: say("again"), act: again };
  if (visit.zip) return { text: say("getAll"), act: getSheets };
  if (file()?.done) return { text: say("get"), act: getFile };
  return { text: say("choose"), act: choose };
}

const getFile = () => save(`visit/files/${file().number}`);
const getSheets = () => save("visit/sheets.pdf");
const choose = () => $("files").click();

const LONGEST = 40; // letters of a name; of longer ones the middle is left out

function nameOf({ file, count, number }) {
  const name = file.length > LONGEST ? `${file.slice(0, LONGEST / 2)}…${file.slice(-LONGEST / 4)}` : file;
  return count > 1 ? say("page", { file: name, number }) : name;
}

const figures = ({ share = 0, seconds = 0 }) => ({ share: (share * 100).toFixed(1), seconds: seconds.toFixed(1) });

function renderSummary(shown) {
  const name = nameOf(shown);
  const text = say(shown.status, { name, ...figures(shown) });
  const notes = shown.status === "failed" ? [] : shown.notes ?? [];
  if (stage.mode === "brush") $("summary").replaceChildren(say("brushing"));
  else $("summary").replaceChildren(text, ...notes.map((note) => element("span", note)));
}

/** Thumbnails; those that are there are kept, so that no picture flickers. */
function renderPages() {
  $("pages").hidden = visit.pages.length < 2;
  const buttons = new Map([...$("pages").children].map((button) => [button.dataset.key, button]));
  const wanted = visit.pages.map((each, index) => {
    const look = `${each.version} ${each.status} ${index} ${language}`;
    const old = buttons.get(each.key);
    const button = old?.dataset.look === look ? old : thumbnail(each, index, look);
    button.setAttribute("aria-pressed", each.key === key);
    return button;
  });
  if (wanted.some((button, index) => $("pages").children[index] !== button) || wanted.length !== buttons.size) {
    $("pages").replaceChildren(...wanted);
  }
  const current = $("pages").querySelector("[aria-pressed=true]");
  if (current?.dataset.key !== renderPages.last) current?.scrollIntoView({ block: "nearest", inline: "center" });
  renderPages.last = current?.dataset.key;
}

function thumbnail(each, index, look) {
  const button = element("button", "");
  const source = picture(each, "small");
  const image = source ? Object.assign(new Image(), { src: source, alt: "" }) : element("i", each.status === "failed" ? "⚠" : "…");
  button.append(image, element("span", index + 1));
  button.setAttribute("aria-label", say(each.status, { ...figures(each), name: nameOf(each) }));
  Object.assign(button, { type: "button", title: nameOf(each), className: each.status === "waiting" ? "wait" : "" });
  Object.assign(button.dataset, { key: each.key, look });
  return button;
}

function element(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}

let wantedMask = null; // address of the newest mask; older ones on their way are dropped
let isAsking = false;

async function previewMask(shown, sensitivity) {
  if (!shown.version) return;
  const address = `visit/pages/${shown.key}/mask.png?sensitivity=${sensitivity}`;
  if (address === wantedMask) return;
  wantedMask = address;
  if (isAsking) return;
  isAsking = true;
  for (let asked = null; asked !== wantedMask;) {
    asked = wantedMask;
    const next = Object.assign(new Image(), { src: asked });
    await next.decode().then(() => { $("mask").src = asked; }, () => {});
  }
  isAsking = false;
}

// -- what is clicked ----------------------------------------------------------------------------------------

$("big").onclick = () => big().act?.();
$("add").onclick = choose;
$("download").onclick = getFile;
$("files").onchange = () => { send([...$("files").files]); $("files").value = ""; };
$("sample").onclick = async () => { startFollowing(); await forget(); await ask("POST", `visit/sample?scan=${scan}`); poll(); };
$("pdf").onclick = getSheets;
$("more").ontoggle = () => $("more").scrollIntoView({ block: "nearest" });
$("zip").onclick = () => save("visit/files.zip");
$("every").onclick = every;
$("clear").onclick = clear;
$("forget").onclick = async () => { await forget(); render(); };
$("undo").onclick = undo;
$("brush").onclick = () => setMode(stage.mode === "brush" ? "compare" : "brush");
$("collect").onclick = () => setMode(stage.mode === "collect" ? "compare" : "collect");
$("width").oninput = () => { stage.width = Number($("width").value); };
$("sensitivity").oninput = () => {
  change({ sensitivity: Number($("sensitivity").value) });
  if (stage.mode === "compare") setMode("preview");
};
for (const box of document.querySelectorAll(".scan")) {
  box.checked = scan;
  box.onchange = () => {
    scan = box.checked;
    keep("scan", scan ? "on" : "off");
    if (page()) change({ scan });
  };
}
$("language").onclick = () => { switchLanguage(); speak(); poll(); };
$("boxes").onclick = ({ target }) => { // by the keyboard; fingers tap the stage
  const each = questionsOf(page())[[...$("boxes").children].indexOf(target)];
  if (each) each.chosen = !each.chosen;
  render();
};
$("pages").onclick = (event) => {
  const wanted = event.target.closest("button")?.dataset.key;
  if (!wanted) return;
  key = wanted;
  earlier = null;
  if (stage.mode === "preview") setMode("compare");
  render();
};
for (const button of document.querySelectorAll("[data-says]")) {
  button.onclick = () => { stage.says = Number(button.dataset.says); render(); };
}

const hold = (held) => $("work").classList.toggle("held", held);
$("hold").onpointerdown = (event) => { $("hold").setPointerCapture(event.pointerId); hold(true); };
$("hold").onpointerup = $("hold").onpointercancel = $("hold").onblur = () => hold(false);
$("hold").oncontextmenu = (event) => event.preventDefault();
$("hold").onkeydown = (event) => { if (event.key === " ") { event.preventDefault(); hold(true); } };
$("hold").onkeyup = () => hold(false);

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && stage.mode === "brush") { event.preventDefault(); undo(); }
});
document.addEventListener("paste", (event) => send([...event.clipboardData.files]));
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  send([...event.dataTransfer.files]);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });

speak();
setMode("compare");
poll();
