// The picture of a page: before and after with a slider, the mask, the brush, and zoom by two fingers or the wheel.

const $ = (id) => document.getElementById(id);
const COLOURS = ["#000", "#00963c", "#2850ff"]; // by what a stroke says: rub out, keep, erase
const LONGEST = 5000; // points of a stroke that the server takes

/** The box of two corners: left, top, right, bottom. */
const boxOf = ([x0, y0], [x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];

/** Lay an element over a box of the page. */
export function frame(element, [left, top, right, bottom]) {
  const [x, y, width, height] = [left, top, right - left, bottom - top].map((share) => `${share * 100}%`);
  Object.assign(element.style, { left: x, top: y, width, height });
}

export class Stage {
  /** drawn: called when a stroke was finished. touched: called when a preview is clicked away.
      boxed: called with two corners of a box, in shares of the page's sides; those of a tap are equal, or nearly so. */
  constructor({ drawn, touched, boxed }) {
    Object.assign(this, { drawn, touched, boxed, strokes: [], says: 1, width: 0.02, view: { x: 0, y: 0, scale: 1 } });
    this.fingers = new Map();
    this.stage = $("stage");
    this.split(0.5);
    for (const [name, act] of [["down", this.down], ["move", this.move], ["up", this.up], ["cancel", this.up]]) {
      this.stage.addEventListener(`pointer${name}`, act.bind(this));
    }
    this.stage.addEventListener("wheel", this.wheel.bind(this), { passive: false });
    this.stage.addEventListener("dblclick", () => this.reset());
    this.stage.addEventListener("contextmenu", (event) => event.preventDefault());
    $("handle").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (step) this.split(this.at + step);
    });
    $("before").addEventListener("load", () => this.fit());
    new ResizeObserver(() => this.fit()).observe(this.stage);
  }

  get mode() { return $("work").dataset.mode; }

  /** Show the pictures at these addresses; null shows none. */
  show(before, after) {
    for (const [id, address] of [["before", before], ["after", after]]) {
      if ($(id).getAttribute("src") === address) continue;
      if (address) $(id).src = address;
      else $(id).removeAttribute("src");
    }
    $("sheet").hidden = !before;
    $("nothing").hidden = Boolean(before);
  }

  /** Fit the page into the stage, and forget the zoom. */
  fit() {
    const { naturalWidth: width, naturalHeight: height } = $("before");
    if (!width) return;
    const factor = Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
    Object.assign($("sheet").style, { width: `${width * factor}px`, height: `${height * factor}px` });
    Object.assign($("drawing"), { width, height });
    this.reset();
    this.paint();
  }

  reset() {
    const sheet = $("sheet");
    const x = (this.stage.clientWidth - sheet.offsetWidth) / 2;
    this.place({ x, y: (this.stage.clientHeight - sheet.offsetHeight) / 2, scale: 1 });
  }

  place(view) {
    this.view = view;
    $("sheet").style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  }

  split(share) {
    this.at = Math.min(1, Math.max(0, share));
    $("sheet").style.setProperty("--split", `${this.at * 100}%`);
    $("handle").setAttribute("aria-valuenow", Math.round(this.at * 100));
  }

  /** A pointer's place in shares of the page's width. */
  spot(event) {
    const box = $("sheet").getBoundingClientRect();
    const places = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.width];
    return places.map((place) => Math.round(place * 1e5) / 1e5);
  }

  /** A pointer's place in shares of the page's width and height, within the page. */
  share(event) {
    const box = $("sheet").getBoundingClientRect();
    const places = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return places.map((place) => Math.min(1, Math.max(0, place)));
  }

  down(event) {
    if (event.button > 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, event);
    if (this.fingers.size > 1) { // the second finger of a pinch: the first one has drawn nothing
      if (this.line) this.strokes.pop();
      this.line = this.corner = null;
      $("band").hidden = true;
      this.paint();
    } else if (this.mode === "collect") {
      this.corner = this.share(event);
    } else if (this.mode === "brush") {
      this.line = { says: this.says, width: this.width / this.view.scale, points: [this.spot(event)] };
      this.strokes.push(this.line);
      this.paint();
    } else if (this.mode === "preview") this.touched();
    else this.split(this.spot(event)[0]);
  }

  move(event) {
    if (!this.fingers.has(event.pointerId)) return;
    if (this.fingers.size > 1) this.pinch(event);
    else if (this.line && this.line.points.length < LONGEST) {
      for (const each of event.getCoalescedEvents?.() ?? []) this.line.points.push(this.spot(each));
      this.line.points.push(this.spot(event));
      this.line.points.length = Math.min(this.line.points.length, LONGEST);
      this.paint();
    } else if (this.corner) {
      $("band").hidden = false;
      frame($("band"), boxOf(this.corner, this.share(event)));
    } else if (this.mode === "compare") this.split(this.spot(event)[0]);
    this.fingers.set(event.pointerId, event);
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    if (this.line) this.drawn();
    if (this.corner) this.boxed(boxOf(this.corner, this.share(event)));
    this.line = this.corner = null;
    $("band").hidden = true;
  }

  pinch(event) {
    const [one, two] = [...this.fingers.values()];
    const [was, other] = one.pointerId === event.pointerId ? [one, two] : [two, one];
    const far = (from) => Math.hypot(from.clientX - other.clientX, from.clientY - other.clientY) || 1;
    this.zoom(far(event) / far(was), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
    const { x, y, scale } = this.view;
    this.place({ x: x + (event.clientX - was.clientX) / 2, y: y + (event.clientY - was.clientY) / 2, scale });
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
  }

  /** Zoom about a place of the window. */
  zoom(factor, left, top) {
    const box = this.stage.getBoundingClientRect();
    const scale = Math.min(8, Math.max(1, this.view.scale * factor));
    if (scale === 1) return this.reset();
    const grown = scale / this.view.scale;
    const [x, y] = [left - box.left, top - box.top];
    this.place({ x: x - (x - this.view.x) * grown, y: y - (y - this.view.y) * grown, scale });
  }

  /** Draw all strokes anew; the canvas as a whole is see-through, so that strokes over each other stay even. */
  paint() {
    const canvas = $("drawing");
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.lineCap = pen.lineJoin = "round";
    for (const { says, width, points } of this.strokes) {
      pen.globalCompositeOperation = says ? "source-over" : "destination-out";
      pen.strokeStyle = COLOURS[says];
      pen.lineWidth = width * canvas.width;
      pen.beginPath();
      pen.moveTo(points[0][0] * canvas.width, points[0][1] * canvas.width);
      for (const [x, y] of points) pen.lineTo(x * canvas.width, y * canvas.width);
      pen.stroke();
    }
  }
}
