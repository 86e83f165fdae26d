// The reference's search, its copy buttons and the mark of where one is. Without this script all is there to read.
"use strict";
const said = document.body.dataset;
const operations = [...document.querySelectorAll(".op")];
const groups = [...document.querySelectorAll("main > section.group")];
const links = new Map([...document.querySelectorAll(".toc a")].map((link) => [link.hash.slice(1), link]));
const input = document.getElementById("find");
const found = document.querySelector(".found");
input.closest("search").hidden = false;

// What is in the examples only would match nearly everything.
const texts = new Map(operations.map((one) => [one, `${one.id} ${one.querySelector("h3").textContent} ${one.querySelector(".path").textContent} ${one.querySelector(".say-it").textContent}`.toLowerCase()]));
const search = () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const [one, text] of texts) {
    one.hidden = !words.every((word) => text.includes(word));
    if (!one.hidden) count += 1;
    const item = links.get(one.id)?.parentElement;
    if (item) item.hidden = one.hidden;
  }
  for (const group of groups) {
    const none = words.length > 0 && !group.querySelector(".op:not([hidden])");
    group.hidden = none;
    const link = links.get(group.id);
    if (link) link.hidden = none;
  }
  for (const link of document.querySelectorAll(".inside a")) link.parentElement.hidden = document.getElementById(link.hash.slice(1)).hidden;
  found.textContent = words.length === 0 ? "" : count === 0 ? said.none : `${count} / ${operations.length}`;
};
input.addEventListener("input", () => {
  search();
  if (input.value) scrollTo({ top: 0 });
});
input.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  input.value = "";
  search();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  input.focus();
});

// A link leads to what it names, also while the search hides it.
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (!target?.closest("[hidden]")) return;
  input.value = "";
  search();
  target.scrollIntoView();
});

for (const pre of document.querySelectorAll("pre.copied")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = said.copy;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(pre.textContent);
    button.textContent = said.copied;
    setTimeout(() => { button.textContent = said.copy; }, 2000);
  });
  pre.previousElementSibling.append(button);
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = links.get(entry.target.id);
    link?.setAttribute("aria-current", "true");
    // By hand: `scrollIntoView` would move the page, too.
    const toc = link?.closest(".toc");
    if (toc && link && toc.scrollHeight > toc.clientHeight) {
      const [inner, outer] = [link.getBoundingClientRect(), toc.getBoundingClientRect()];
      if (inner.top < outer.top || inner.bottom > outer.bottom) toc.scrollTop += inner.top - outer.top - outer.height / 3;
    }
  }
}, { rootMargin: "-80px 0px -80% 0px" });
for (const one of operations) seen.observe(one);
for (const group of groups) if (!group.querySelector(".op")) seen.observe(group);
