() => {
  document.documentElement.lang = "en";
  const tell = (id, role) => {
    const found = document.getElementById(id);
    if (found) { found.setAttribute("role", role); found.setAttribute("aria-live", "polite"); }
  };
  const name = (id, words) => {
    const found = document.getElementById(id);
    if (found) { found.setAttribute("role", "region"); found.setAttribute("aria-label", words); }
  };
  const all = () => {
    ["mien-photo-status", "mien-clip-status"].forEach((id) => tell(id, "status"));
    name("mien-photo-view", "Your photo as it was read");
    name("mien-live-view", "Your camera as it is read");
    name("mien-clip-view", "Your clip as it was read");
    // On a phone its table is scrolled, also by keys.
    for (const found of document.querySelectorAll(".prose.mien-limits")) {
      found.tabIndex = 0;
      found.setAttribute("role", "region");
      found.setAttribute("aria-label", "Limits");
    }
  };
  // Browsers that do not know HEIC call it nothing, and Gradio would drop it without a word.
  document.addEventListener("change", ({ target }) => {
    if (target.type !== "file" || !target.closest("#mien-photo")) return;
    const named = new DataTransfer();
    for (const file of target.files) {
      const heic = file.type === "" && /\.hei[cf]$/i.test(file.name);
      named.items.add(heic ? new File([file], file.name, { type: "image/heic" }) : file);
    }
    target.files = named.files;
  }, true);
  all();
  // Tabs are built when they are first opened.
  document.addEventListener("click", () => setTimeout(all, 300));
}
