// Times as people say them, and exact in their own zone on hover and for screen readers; without this
// script they are exact in UTC. Buttons that copy. Questions before what cannot be undone.
"use strict";
const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const language = document.documentElement.lang;
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long" });
const tell = () => {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const seconds = (at.getTime() - Date.now()) / 1000;
    const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
    const text = relative.format(Math.round(seconds / size), unit);
    if (time.textContent !== text) time.textContent = text;
    time.title = exact.format(at);
    time.setAttribute("aria-label", `${text}, ${time.title}`);
  }
  // Only pages of a safe origin may copy.
  for (const button of document.querySelectorAll("button.copy[hidden]")) button.hidden = !navigator.clipboard;
};
tell();
setInterval(tell, 30000);
document.addEventListener("htmx:after:swap", tell);
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
});
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.ask;
  if (question && !window.confirm(question)) event.preventDefault();
});
// What a kind of key needs is chosen with the kind.
document.addEventListener("change", (event) => {
  if (!event.target.matches("select.presets")) return;
  const wanted = event.target.selectedOptions[0].dataset.permissions.split(" ");
  for (const box of event.target.form.querySelectorAll("[name=permissions]")) box.checked = wanted.includes(box.value);
});
// Links to be handed on are whole addresses.
for (const code of document.querySelectorAll("[data-link]")) {
  code.textContent = new URL(code.textContent, location.href).href;
  const button = code.parentElement.querySelector("[data-copy-link]");
  if (button) button.dataset.copy = code.textContent;
}
