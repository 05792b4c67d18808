// A replay page on a page of the documentation has the same theme, also where the reader has chosen it.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const wanted = () => {
    const chosen = document.body.dataset.theme;
    return chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light";
  };
  const tell = () => {
    for (const frame of document.querySelectorAll("iframe.replay")) {
      const page = frame.contentDocument; // null where files are read from a disk: the page then follows the system
      if (page?.getElementById("theme") && page.documentElement.dataset.theme !== wanted()) page.getElementById("theme").click();
    }
  };
  addEventListener("DOMContentLoaded", () => {
    new MutationObserver(tell).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
    for (const frame of document.querySelectorAll("iframe.replay")) frame.addEventListener("load", tell);
  });
  dark.addEventListener("change", tell);
})();
