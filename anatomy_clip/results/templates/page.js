"use strict";
// Closed parts would be missing on paper.
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
// The gallery's filters; their state is kept in the address, so that a view can be shared and gone back to.
(() => {
  const form = document.querySelector(".filters");
  if (!form) return;
  const selects = [...form.querySelectorAll("select")];
  const slices = [...document.querySelectorAll(".cards > li")];
  const status = document.getElementById("shown");
  const fits = (slice, key, value) => {
    const held = slice.dataset[key];
    return !value || (held.startsWith("|") ? held.includes(`|${value}|`) : held === value);
  };
  const show = () => {
    let count = 0;
    for (const slice of slices) {
      slice.hidden = !selects.every((select) => fits(slice, select.dataset.key, select.value));
      count += slice.hidden ? 0 : 1;
    }
    status.textContent = `${count} of ${slices.length} slices`;
  };
  const remember = () => {
    const chosen = selects.filter((select) => select.value).map((select) => [select.dataset.key, select.value]);
    history.replaceState(null, "", chosen.length ? `#gallery?${new URLSearchParams(chosen)}` : "#gallery");
  };
  const recall = () => {
    const given = new URLSearchParams(location.hash.split("?")[1] || "");
    for (const select of selects) {
      const value = given.get(select.dataset.key) || "";
      select.value = [...select.options].some((option) => option.value === value) ? value : "";
    }
    show();
  };
  form.addEventListener("change", () => { show(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { show(); remember(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", recall);
  recall();
})();
