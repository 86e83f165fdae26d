// Deals are dragged from column to column. Without this script, or a mouse, each has a choice and a button.
"use strict";
const told = document.getElementById("told");
const board = () => document.getElementById("board");
// Choosing moves at once: the buttons are for whoever has no script.
document.documentElement.classList.add("moving");
let dragged = null;
let home = null;

const tellMove = (text, bad) => {
  told.textContent = text;
  told.hidden = false;
  told.classList.toggle("done", !bad);
};

document.addEventListener("dragstart", (event) => {
  const card = event.target.closest?.("#board .card");
  if (!card) return;
  dragged = card;
  home = { list: card.parentElement, next: card.nextElementSibling };
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", card.id);
  card.classList.add("dragged");
});
document.addEventListener("dragend", () => {
  dragged?.classList.remove("dragged");
  for (const column of document.querySelectorAll("#board .over")) column.classList.remove("over");
  dragged = null;
});
document.addEventListener("dragover", (event) => {
  const column = event.target.closest?.("#board .column");
  if (!dragged || !column) return;
  event.preventDefault();
  for (const other of document.querySelectorAll("#board .over")) other.classList.toggle("over", other === column);
  column.classList.add("over");
});
document.addEventListener("drop", (event) => {
  const column = event.target.closest?.("#board .column");
  if (!dragged || !column) return;
  event.preventDefault();
  move(dragged, column);
});
// Who chooses need not press the button, too.
document.addEventListener("change", (event) => {
  const card = event.target.closest?.("#board .card");
  if (!card || event.target.name !== "to") return;
  home = { list: card.parentElement, next: card.nextElementSibling };
  const to = event.target.value;
  move(card, [...document.querySelectorAll("#board .column")].find((column) => column.dataset.to === to));
});

const move = async (card, column) => {
  const from = home;
  const list = column.querySelector("ul");
  if (list === from.list) return;
  const title = card.querySelector("a").textContent;
  const form = card.querySelector("form");
  list.prepend(card);
  try {
    const body = new URLSearchParams({ to: column.dataset.to });
    const answer = await fetch(form.action, { method: "POST", body });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok) throw new Error(page.querySelector("h1")?.textContent ?? answer.statusText);
    const focused = document.activeElement?.id;
    board().innerHTML = page.getElementById("board").innerHTML;
    document.getElementById(focused)?.focus();
    tellMove(`${title}: ${board().dataset.moved} ${column.querySelector("h2 a").textContent}`, false);
  } catch (error) {
    // Back to where it was, with the reason.
    from.list.insertBefore(card, from.next);
    const select = card.querySelector("select");
    if (select) select.value = from.list.closest(".column").dataset.to;
    tellMove(`${title}: ${error.message}`, true);
  }
};
