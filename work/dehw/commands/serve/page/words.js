// What the page says, in the visitor's language. The server's own sentences come in the language that is asked for.

export const WORDS = {
  en: {
    slogan: "Erases handwriting from exam pages",
    other: "中文",
    step1: "Photograph or scan the pages",
    step2: "The handwriting is erased",
    step3: "Download, print, do it again",
    sample: "Try a sample page",
    privacy: "Pages go to the computer that serves this site, to no other one, and are removed an hour after you leave.",
    choose: "Choose or photograph pages",
    uploading: "Sending {percent} %",
    ahead: "Waiting: {ahead} before you",
    opening: "Opening…",
    running: "Page {page} of {pages}: {percent} %",
    again: "Erase again",
    get: "Download",
    getAll: "Download all (one PDF)",
    getSheets: "All pages as one PDF (A4)",
    getZip: "All files (zip)",
    resend: "Send again ({count})",
    download: "Download this file",
    add: "Add pages",
    hold: "Hold: before",
    brush: "Correct",
    collect: "Questions",
    pick: "Tap questions, or draw boxes",
    getQuestions: "Download {count} (PDF)",
    done: "Done",
    keep: "Keep",
    erase: "Erase",
    rub: "Rub out",
    width: "Width of the brush",
    undo: "Undo (Ctrl+Z)",
    slider: "Before and after",
    more: "Sensitivity and more",
    scan: "Turn photos into flat, white scans",
    sensitivity: "Sensitivity",
    measure: "More erases fainter traces, less spares more of the page. Red shows what would go.",
    every: "Erase all pages at this sensitivity",
    clear: "Remove all files",
    forget: "Close",
    brushing: "Red will go. Paint green what is to stay, blue what is to go too. Two fingers zoom.",
    before: "{name}, before",
    after: "{name}, erased",
    question: "Question {number}",
    erased: "{name}: {share} % of the page erased, in {seconds} s.",
    empty: "{name}: no handwriting found.",
    failed: "{name}: not erased.",
    waiting: "{name}: waiting for its turn.",
    nothing: "There is nothing to show of this page yet.",
    page: "{file}, page {number}",
    large: "{name} has more than {megabytes} megabytes, the most that is taken here.",
    gone: "The pages are not on the server any more. Choose them again.",
    offline: "The server does not answer. Trying again…",
    wrong: "This did not work ({status}). Load the page again.",
  },
  zh: {
    slogan: "擦除试卷上的手写笔迹",
    other: "English",
    step1: "给作业或试卷拍照、扫描",
    step2: "自动擦除手写笔迹",
    step3: "下载、打印，再做一遍",
    sample: "用示例页试一试",
    privacy: "页面只发送到提供本网页的电脑，不会发往别处；您离开一小时后即被删除。",
    choose: "选择或拍摄页面",
    uploading: "正在上传 {percent}%",
    ahead: "排队中：前面还有 {ahead} 位",
    opening: "正在打开…",
    running: "第 {page} 页，共 {pages} 页：{percent}%",
    again: "重新擦除",
    get: "下载",
    getAll: "全部下载（一个 PDF）",
    getSheets: "所有页合成一个 PDF（A4）",
    getZip: "所有文件（zip）",
    resend: "重新上传（{count} 个）",
    download: "下载此文件",
    add: "添加页面",
    hold: "按住看原图",
    brush: "画笔修正",
    collect: "收集错题",
    pick: "点选题目，或画框",
    getQuestions: "下载 {count} 道题重做（PDF）",
    done: "完成",
    keep: "保留",
    erase: "擦除",
    rub: "橡皮",
    width: "画笔粗细",
    undo: "撤销（Ctrl+Z）",
    slider: "前后对比",
    more: "灵敏度等设置",
    scan: "把照片变成平整洁白的扫描件",
    sensitivity: "灵敏度",
    measure: "越高擦得越多，越低保留越多。红色为将被擦除的部分。",
    every: "以此灵敏度重新擦除所有页",
    clear: "移除所有文件",
    forget: "关闭",
    brushing: "红色部分将被擦除。绿色画笔：保留；蓝色画笔：擦除。双指可缩放。",
    before: "{name}，擦除前",
    after: "{name}，擦除后",
    question: "第 {number} 题",
    erased: "{name}：擦除了页面的 {share}%，用时 {seconds} 秒。",
    empty: "{name}：没有发现手写笔迹。",
    failed: "{name}：未能擦除。",
    waiting: "{name}：等待处理。",
    nothing: "这一页暂时没有可显示的内容。",
    page: "{file} 第 {number} 页",
    large: "{name} 超过 {megabytes} MB，这里不接收更大的文件。",
    gone: "服务器上已没有这些页面，请重新选择。",
    offline: "服务器没有响应，正在重试……",
    wrong: "操作失败（{status}），请重新载入网页。",
  },
};

/** What this browser kept under a name; null where there is nothing, or where nothing may be kept, as in some frames. */
export function kept(name) {
  try { return localStorage.getItem(`dehw-${name}`); } catch { return null; }
}

export function keep(name, value) {
  try { localStorage.setItem(`dehw-${name}`, value); } catch { /* then for this visit alone */ }
}

export let language = WORDS[kept("language")] ? kept("language") : /^zh/i.test(navigator.language) ? "zh" : "en";

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  keep("language", language);
}

/** A sentence in the visitor's language, with values in its {places}. */
export function say(word, values = {}) {
  return WORDS[language][word].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Put words into every element that names one: data-word for its text, data-label for its title. */
export function speak() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = `dehw – ${say("slogan")}`;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.title = say(element.dataset.label);
    element.setAttribute("aria-label", element.title);
  }
  Object.assign(document.getElementById("language"), { textContent: say("other"), lang: language === "zh" ? "en" : "zh-CN" });
}
