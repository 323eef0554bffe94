// Sets the colour scheme before the first paint, so that no page flashes in the other one. A file of
// its own, because the page's policy allows no script inside of it.
(() => {
  const stored = localStorage.getItem("trinity.color-scheme");
  const isDark =
    stored === "dark" || (stored !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.setAttribute("data-mantine-color-scheme", isDark ? "dark" : "light");
})();
