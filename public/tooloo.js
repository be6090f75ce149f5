// What the chat's page lacks: a welcome, names on its buttons, answers announced to screen readers, the way back to a
// linked page after signing in, the time zone of this machine, and one connection at a time.
(() => {
  // A moment's date by the clock of whoever looks, as cards show it.
  window.tooLooDay = (iso) => new Date(iso).toLocaleDateString("en-CA");

  // What the parts of a score are called.
  window.tooLooParts = {
    correct: "Cases", attempts: "Attempts", hints: "Hints", time: "Time", length: "Length", branches: "Branches",
    repetition: "Repetition", linter: "Linter",
  };

  // Follow the system's light or dark until somebody chooses.
  if (!localStorage.getItem("vite-ui-theme")) localStorage.setItem("vite-ui-theme", "system");

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (change) => {
    if (localStorage.getItem("vite-ui-theme") !== "system") return;
    const page = document.documentElement;
    const scheme = change.matches ? "dark" : "light";
    page.classList.remove("light", "dark");
    page.classList.add(scheme);
    for (const [name, value] of Object.entries((window.theme || {})[scheme] || {})) page.style.setProperty(name, value);
  });

  // A linked thread's page connects twice, first for a new chat and then for the thread, each after asking for a cookie.
  // Whichever cookie comes last decides, and the thread stays empty when that is the first one's: so they come in order.
  const fetchAnything = window.fetch;
  let lastCookie = Promise.resolve();
  window.fetch = function (what, options) {
    const address = String((what && what.url) || what);
    if (!address.includes("/set-session-cookie")) return fetchAnything.call(window, what, options);
    const cookie = lastCookie.then(() => fetchAnything.call(window, what, options));
    lastCookie = cookie.catch(() => null);
    return cookie;
  };

  const announcer = document.createElement("div");
  announcer.setAttribute("role", "status");
  announcer.setAttribute("aria-live", "polite");
  announcer.className = "tl-sr";
  announcer.id = "tl-announcer";

  const NAMES = {
    "upload-button": "Attach files",
    "chat-submit": "Send message",
    "stop-button": "Stop the answer",
    "command-button": "Commands",
    "readme-button": "About TooLoo",
    "new-chat-button": "New chat",
    "theme-toggle": "Theme",
    "user-nav-button": "Your account",
    "search-chats-button": "Search chats",
    "sidebar-trigger-button": "Show or hide the sidebar",
    "edit-message": "Edit message",
    "positive-feedback": "Good answer",
    "negative-feedback": "Bad answer",
  };
  const ICON_NAMES = {
    "lucide-search": "Search chats",
    "lucide-panel-left": "Show or hide the sidebar",
    "lucide-panel-left-open": "Show the sidebar",
    "lucide-panel-left-close": "Hide the sidebar",
    "lucide-square-pen": "New chat",
    "lucide-copy": "Copy",
    "lucide-thumbs-up": "Good answer",
    "lucide-thumbs-down": "Bad answer",
    "lucide-pencil": "Edit",
    "lucide-ellipsis": "More",
    "lucide-paperclip": "Attach files",
    "lucide-arrow-up": "Send message",
    "lucide-arrow-down": "Scroll to the newest message",
    "lucide-sun": "Theme",
    "lucide-moon": "Theme",
    "lucide-settings": "Settings",
    "lucide-x": "Close",
  };

  const UNNAMED = "Button"; // until its icon is drawn

  function nameOf(button) {
    if (NAMES[button.id]) return NAMES[button.id];
    const icon = button.querySelector("svg");
    if (icon) for (const name of icon.classList) if (ICON_NAMES[name]) return ICON_NAMES[name];
    const picture = button.querySelector("img[alt]:not([alt=''])");
    return picture ? picture.alt : UNNAMED;
  }

  function nameButtons(root) {
    for (const button of root.querySelectorAll("button, [role=button]")) {
      const label = button.getAttribute("aria-label");
      if (!button.textContent.trim() && (!label || label === UNNAMED) && !button.getAttribute("aria-labelledby")) {
        const name = nameOf(button);
        if (name !== label) button.setAttribute("aria-label", name);
      }
    }
    // The sidebar's lists hold groups between list and items, which makes them no lists to a screen reader.
    for (const list of root.querySelectorAll("ul[data-sidebar=menu]:not([role])")) {
      if ([...list.children].some((child) => child.tagName !== "LI")) {
        list.setAttribute("role", "none");
        for (const item of list.querySelectorAll("li")) if (item.closest("ul") === list) item.setAttribute("role", "none");
      }
    }
    // A table that is wider than its place is scrolled, for which the keyboard must get there.
    for (const table of root.querySelectorAll(".ai-message table")) {
      const place = table.parentElement;
      if (place.scrollWidth > place.clientWidth && !place.hasAttribute("tabindex")) {
        place.tabIndex = 0;
        place.setAttribute("role", "region");
        place.setAttribute("aria-label", "Table");
      }
    }
    const input = document.getElementById("chat-input");
    if (input && !input.getAttribute("aria-label")) input.setAttribute("aria-label", "Your message");
  }

  let lastSaid = "";
  let waiting = 0;
  function announce() {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const answers = document.querySelectorAll(".ai-message");
      const text = answers.length ? answers[answers.length - 1].innerText.trim() : "";
      if (text && text !== lastSaid) {
        lastSaid = text;
        announcer.textContent = text.slice(0, 600);
      }
    }, 900);
  }

  let welcome = null;
  async function loadWelcome() {
    try {
      const answer = await fetch("/api/v1/welcome", { headers: { Accept: "application/json" } });
      if (answer.ok) welcome = (await answer.json()).lines;
    } catch {
      welcome = null; // the chat works without its welcome
    }
    showWelcome();
  }
  function showWelcome() {
    const starters = document.getElementById("starters");
    if (!welcome || !starters || document.querySelector(".tl-welcome")) return;
    const box = document.createElement("div");
    box.className = "tl-welcome";
    for (const line of welcome) {
      const paragraph = document.createElement("p");
      paragraph.textContent = line;
      box.append(paragraph);
    }
    const composer = document.getElementById("message-composer");
    (composer && composer.parentElement === starters.parentElement ? composer : starters).before(box);
  }

  // The thread somebody was at before the login page opens after it: the library itself lands on "/".
  function returnToThread() {
    const here = location.pathname;
    const thread = sessionStorage.getItem("tooloo.thread");
    const cameFromLogin = sessionStorage.getItem("tooloo.login");
    if (here === "/login") {
      sessionStorage.setItem("tooloo.login", "1");
      return;
    }
    sessionStorage.removeItem("tooloo.login");
    if (here.startsWith("/thread/")) sessionStorage.setItem("tooloo.thread", here);
    else if (here === "/") {
      sessionStorage.removeItem("tooloo.thread");
      if (thread && cameFromLogin) location.replace(thread);
    }
  }

  // Days and hours are counted by the clock of this machine until somebody chooses another.
  let toldTimezone = false;
  async function tellTimezone() {
    if (toldTimezone || location.pathname === "/login") return;
    toldTimezone = true;
    const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!timezone) return;
    try {
      await fetch("/api/v1/account/seen-timezone", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ timezone }),
      });
    } catch {
      toldTimezone = false; // the next change of the page tries again
    }
  }

  let frame = 0;
  const watcher = new MutationObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      nameButtons(document);
      showWelcome();
      announce();
      returnToThread();
      tellTimezone();
    });
  });
  function start() {
    document.body.append(announcer);
    document.documentElement.lang = "en";
    watcher.observe(document.getElementById("root"), { childList: true, subtree: true, characterData: true });
    returnToThread();
    loadWelcome();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
