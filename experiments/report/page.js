"use strict";
// Draws the gallery from the JSON islands of the page, or from what a server says (vt view).
// Texts become text nodes, never markup.
(async () => {
  const PER_PAGE = 24;
  const LABELS = {wrong: "wrong", helped: "helped", harmed: "harmed", needless: "asked needlessly", missed: "should have asked", unscored: "unscored"};
  const byId = id => document.getElementById(id);
  const ask = async path => {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? "the results have changed: load the page anew");
    return answer.json();
  };
  const live = byId("live-version");
  const version = live && JSON.parse(live.textContent);
  const data = live ? await ask("data") : null;
  const read = id => data ? data[id] : JSON.parse(byId(id).textContent);
  const once = make => { let made; return () => made ??= make(); };

  const meta = read("meta");
  const samples = once(() => read("samples"));
  const pictures = once(() => read("pictures"));
  const source = place => pictures()[place];
  const lists = meta.policies.map((_, i) => once(() => read("episodes-" + i)));
  const haystacks = meta.policies.map((_, i) => once(() => lists[i]().map(haystack)));
  const keys = meta.policies.map((_, i) => once(() => keysOf(i)));
  const state = {policy: 0, marks: new Set(), kind: "", source: "", words: [], page: 0, aim: -1,
                 beside: -1, differs: false};
  const places = meta.policies.map((_, i) => once(() => new Map(lists[i]().map((e, at) => [e.sample, at]))));
  let found = [];

  function haystack(episode) {
    const s = samples()[episode.sample];
    return [s.id, s.question, ...(s.references ?? []), ...(episode.turns ?? []).flat(), episode.answer, episode.reason,
            ...Object.values(s.more ?? {}), ...Object.values(episode.more ?? {})].filter(Boolean).join("\n").toLowerCase();
  }

  // Links: #ID for the first policy, #POLICY/ID for the others, with @STEP where there is one.
  function linkOf(policy, episode) {
    const id = encodeURIComponent(samples()[episode.sample].id) + (episode.step === undefined ? "" : "@" + episode.step);
    return policy ? encodeURIComponent(meta.policies[policy].name) + "/" + id : id;
  }
  function keysOf(policy) {
    const map = new Map();
    lists[policy]().forEach((episode, i) => {
      const key = linkOf(policy, episode);
      if (!map.has(key)) map.set(key, i);
    });
    return map;
  }

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "class") made.className = value;
      else if (value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter(child => child !== null && child !== undefined && child !== ""));
    return made;
  }
  const line = (style, label, text) =>
    element("p", {class: style, dir: "auto"}, label && element("span", {class: "label"}, label), text);
  const number = value => value === undefined ? "–" : String(Math.round(value * 1000) / 1000);

  // Views at their true relative size; the largest is as wide or as high as there is room for.
  // Parts of a picture are drawn as boxes on it, and stand after the turn that asked for them.
  function story(episode) {
    const s = samples()[episode.sample];
    const seen = episode.views ?? [], parts = episode.parts ?? [], turns = (episode.turns ?? []).map(turn);
    const full = s.size ?? null;
    const room = Math.min(230, (innerWidth - 90) / 1.6);
    const largest = [full, ...seen].filter(Boolean);
    if (!largest.length) return [line("meta", "", "no view is recorded" + (s.why ? "; " + s.why : "")), ...turns];
    const scale = room / Math.max(...largest.flat());
    const row = figures => figures.length ? element("div", {class: "views"}, ...figures) : null;
    const figures = seen.map((size, i) => parts[i] ? part(s, parts[i], size, i, room / Math.max(...size))
      : view(s, size, i, full, parts.length ? 1.2 * room / Math.max(...size) : scale, true,
        parts.map((p, j) => [p, j]).filter(([p]) => p && p[0] === i)));
    if (!parts.length || !episode.answered) {
      const sawFull = full && seen.some(size => size[0] === full[0] && size[1] === full[1]);
      if (full && !sawFull && !parts.length) figures.push(view(s, full, -1, full, scale, !seen.length, []));
      return [row(figures), ...turns];
    }
    let next = seen.length - episode.answered.reduce((sum, n) => sum + n, 0);
    const steps = [row(figures.slice(0, next))];
    turns.forEach((said, i) => {
      const n = episode.answered[i] ?? 0;
      steps.push(said, row(figures.slice(next, next + n)));
      next += n;
    });
    return steps;
  }
  function part(s, [picture, , edges, place], size, index, scale) {
    const width = Math.max(1, Math.round(size[0] * scale)), height = Math.max(1, Math.round(size[1] * scale));
    const name = "view " + (index + 1);
    const drawn = place === undefined || place === null ? hatched(width, height, true)
      : enlarged(element("img", {src: source(place), width, height, alt: name, class: scale > 1 ? "sharp" : ""}), size, []);
    return element("figure", {class: "part"}, drawn, element("figcaption", {}, name + ": " + size[0] + " × " + size[1],
      element("br"), "of " + edges + (picture ? " in picture " + (picture + 1) : "")));
  }
  function boxed(image, boxes) {
    if (!boxes.length) return image;
    return element("span", {class: "boxed"}, image, ...boxes.map(([[, ends], index]) => {
      const box = element("span", {class: "edges"}, element("span", {}, String(index + 1)));
      ["left", "top", "width", "height"].forEach((side, i) => { box.style[side] = 100 * ends[i] + "%"; });
      return box;
    }));
  }
  function view(s, size, index, full, scale, seen, boxes) {
    const isFull = full && size[0] === full[0] && size[1] === full[1];
    const place = isFull ? s.picture : index === 0 ? s.first ?? s.picture : (s.others ?? [])[index - 1];
    const width = Math.max(1, Math.round(size[0] * scale)), height = Math.max(1, Math.round(size[1] * scale));
    const name = index === 0 ? (isFull ? "the original" : "first view") : isFull ? "the original" : "view " + (index + 1);
    const style = (scale > 1 ? "sharp " : "") + (seen ? "" : "unseen");
    const drawn = place === undefined
      ? boxed(hatched(width, height, seen), boxes)
      : enlarged(element("img", {src: source(place), width, height, alt: name, class: style}), size, boxes);
    const caption = [name + " " + size[0] + " × " + size[1], element("br"),
      !seen ? "not looked at" : place === undefined ? (s.why ?? (live && !s.fetched ? "loading" : "made by a tool, not stored")) : ""];
    return element("figure", {}, drawn, element("figcaption", {}, ...caption));
  }
  // A press shows a picture as large as the window has room for; another one, or Escape, closes it.
  function enlarged(image, size, boxes) {
    const button = element("button", {class: "view", title: "enlarge"}, boxed(image, boxes));
    button.onclick = () => {
      const scale = Math.min(0.92 * innerWidth / size[0], 0.86 * innerHeight / size[1]);
      const large = element("img", {src: image.src, alt: image.alt, class: scale > 1 ? "sharp" : "",
        width: Math.round(size[0] * scale), height: Math.round(size[1] * scale)});
      const dialog = element("dialog", {"aria-label": image.alt}, boxed(large, boxes));
      dialog.onclick = () => dialog.close();
      dialog.onclose = () => dialog.remove();
      document.body.append(dialog);
      dialog.showModal();
    };
    return button;
  }
  function hatched(width, height, seen) {
    const box = element("div", {class: "box" + (seen ? "" : " unseen")});
    box.style.width = width + "px";
    box.style.height = height + "px";
    return box;
  }

  function turn([thought, does, text]) {
    if (does === "malformed") {
      return element("div", {class: "turn"}, line("bad", "not understood", text), thought && line("quiet", "said", thought));
    }
    return element("div", {class: "turn"}, thought && line("quiet", "thinks", thought), line("says", does, text));
  }

  function verdict(episode) {
    const [word, style] = episode.correct === true ? ["correct", "good"]
      : episode.correct === false ? ["wrong", "bad"] : ["unscored", "bad"];
    return element("p", {class: style, dir: "auto"}, element("b", {}, word), episode.reason ? ": " + episode.reason : "",
      episode.judge ? element("span", {class: "quiet"}, " (judge: " + episode.judge + ")") : "");
  }
  function reward(episode) {
    const terms = episode.reward;
    if (!terms) return null;
    if (terms.total === undefined || terms.total === null) return line("meta", "", "no reward: unscored");
    const signs = {accuracy: "", format: " + ", penalty: " − ", cost: " − "};
    const sum = Object.keys(signs).filter(k => typeof terms[k] === "number" && (k !== "cost" || terms[k]))
      .map(k => signs[k] + k + " " + number(terms[k])).join("");
    return line("meta", "", "reward " + number(terms.total) + (sum ? " = " + sum : ""));
  }
  function tokens(episode) {
    if (episode.tokens === undefined) return null;
    const share = episode.full ? ", " + number(episode.tokens / episode.full) + " of the original's " + number(episode.full) : "";
    return line("meta", "", number(episode.tokens) + " visual tokens" + share);
  }
  function asking(episode) {
    const known = episode.asking ?? [];
    return known.length ? line("meta", "", "probability of asking: " + known.map(number).join(", ")) : null;
  }
  function arms(episode, policy) {
    const word = value => value ? "right" : "wrong", known = meta.policies[policy];
    const parts = [];
    if (episode.low !== undefined) parts.push("without asking (" + known.low + "): " + word(episode.low));
    if (episode.high !== undefined) parts.push("with the original (" + known.high + "): " + word(episode.high));
    return parts.length ? line("meta", "", parts.join(" · ")) : null;
  }
  function tags(episode) {
    const marks = (episode.marks ?? []).filter(m => m !== "wrong" && m !== "unscored").map(m => [LABELS[m], "mark"]);
    const asked = episode.requested === undefined ? [] : [[episode.requested ? "asked" : "did not ask", "plain"]];
    if (episode.futile) asked.push(["gained nothing", "mark"]);
    const more = Object.entries({kind: samples()[episode.sample].kind, source: samples()[episode.sample].source, step: episode.step})
      .filter(([, value]) => value !== undefined).map(([name, value]) => [name === "step" ? "step " + value : value, "plain"]);
    return element("div", {class: "tags"}, ...[...marks, ...asked, ...more].map(([text, style]) =>
      element("span", {class: "tag " + style, dir: "auto"}, text)));
  }

  // What the other policy did with the same sample.
  const other = episode => state.beside < 0 ? undefined : lists[state.beside]()[places[state.beside]().get(episode.sample)];
  const differs = episode => {
    const theirs = other(episode);
    return theirs && (theirs.correct !== episode.correct || theirs.requested !== episode.requested);
  };
  function card(index) {
    const episode = lists[state.policy]()[index], s = samples()[episode.sample], link = linkOf(state.policy, episode);
    const theirs = other(episode);
    const head = element("h3", {dir: "auto"}, element("a", {href: "#" + link, title: "a link to this episode"}, s.question || s.id));
    const properties = {class: index === state.aim ? "aim" : "", "data-id": s.id};
    if (state.beside < 0) return element("article", properties, head, ...played(episode, state.policy, s));
    const column = (one, policy) => element("section", {}, element("h4", {dir: "auto"}, meta.policies[policy].name),
      ...(one ? played(one, policy, s) : [line("meta", "", "not played, or not in this report")]));
    return element("article", {...properties, class: "pair " + properties.class}, head,
      element("div", {class: "columns"}, column(episode, state.policy), column(theirs, state.beside)));
  }
  function played(episode, policy, s) {
    return [
      tags(episode),
      ...story(episode),
      episode.answer !== undefined ? line("says", "answer", episode.answer) : null,
      (s.references ?? []).length ? line("quiet", "accepted", s.references.join("  |  ")) : null,
      verdict(episode),
      (episode.flaws ?? []).length ? line("bad", "format", episode.flaws.join("; ")) : null,
      reward(episode), tokens(episode), asking(episode), arms(episode, policy),
      ...Object.entries({...s.more, ...episode.more}).map(([name, value]) => line("meta", name, value)),
      line("meta", "", s.id)];
  }

  function search() {
    const list = lists[state.policy](), hay = state.words.length ? haystacks[state.policy]() : null;
    const wanted = [...state.marks];
    found = [];
    for (let i = 0; i < list.length; i++) {
      const episode = list[i], s = samples()[episode.sample];
      if (state.kind && (s.kind ?? "") !== state.kind.slice(1)) continue;
      if (state.source && (s.source ?? "") !== state.source.slice(1)) continue;
      if (!wanted.every(mark => (episode.marks ?? []).includes(mark))) continue;
      if (state.differs && !differs(episode)) continue;
      if (hay && !state.words.every(word => hay[i].includes(word))) continue;
      found.push(i);
    }
  }

  function show() {
    search();
    turnTo(state.page);
  }
  function turnTo(page) {
    const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
    state.page = Math.min(Math.max(0, page), pages - 1);
    const start = state.page * PER_PAGE, some = found.slice(start, start + PER_PAGE);
    if (live) fetchCards(some).then(news => news && turnTo(state.page), error => { byId("live").textContent = error.message; });
    byId("cards").replaceChildren(...(some.length ? some.map(card)
      : [element("p", {class: "empty"}, "No episode fits all of these filters.")]));
    const total = lists[state.policy]().length.toLocaleString("en");
    byId("count").textContent = found.length.toLocaleString("en") + " of " + total + " episodes";
    for (const pager of document.querySelectorAll(".pager")) {
      pager.hidden = pages === 1;
      pager.querySelector("span").textContent = "page " + (state.page + 1) + " of " + pages.toLocaleString("en");
      pager.querySelector(".before").disabled = state.page === 0;
      pager.querySelector(".next").disabled = state.page === pages - 1;
    }
  }

  // Pictures of a page of cards, where a server has them; true where there is something new.
  const known = new Set();
  async function fetchCards(some) {
    const pairs = some.map(at => [state.policy, at]);
    if (state.beside >= 0) {
      const theirs = places[state.beside]();
      pairs.push(...some.map(at => [state.beside, theirs.get(lists[state.policy]()[at].sample)]).filter(pair => pair[1] !== undefined));
    }
    const fresh = pairs.filter(pair => !known.has(pair.join(":")));
    for (const policy of new Set(fresh.map(pair => pair[0]))) {
      const ats = fresh.filter(pair => pair[0] === policy).map(pair => pair[1]);
      const told = await ask("cards?" + version + ":" + policy + ":" + ats.join(","));
      for (const at of ats) known.add(policy + ":" + at);
      for (const sample of Object.values(told.samples)) sample.fetched = true;
      Object.assign(samples(), told.samples);
      Object.assign(lists[policy](), told.episodes);
      Object.assign(pictures(), told.pictures);
    }
    return fresh.length > 0;
  }
  // What a reader chose stays chosen when the page is loaded anew.
  const kept = () => ({...state, marks: [...state.marks], top: scrollY, follow: byId("follow").checked});
  function renew() {
    sessionStorage.setItem(location.pathname, JSON.stringify(kept()));
    location.reload();
  }
  function resume() {
    const before = JSON.parse(sessionStorage.getItem(location.pathname) ?? "null");
    byId("newer").onclick = renew;
    setInterval(async () => {
      try {
        const newer = (await ask("version")).version !== version;
        byId("newer").hidden = !newer;
        byId("live").textContent = newer ? "there is something new" : "up to date";
        if (newer && byId("follow").checked) renew();
      } catch (error) {
        byId("live").textContent = error instanceof TypeError ? "the server does not answer" : error.message;
      }
    }, 2000);
    if (!before) return;
    byId("follow").checked = before.follow;
    if (!lists[before.policy]) return;
    Object.assign(state, {...before, marks: new Set(before.marks), beside: lists[before.beside] ? before.beside : -1});
    byId("search").value = state.words.join(" ");
    describe();
    show();
    scrollTo(0, before.top);
  }

  function describe() {
    const policy = meta.policies[state.policy];
    for (const button of document.querySelectorAll("button[data-mark]")) {
      const {found, unknown} = policy.counts[button.dataset.mark];
      const open = unknown && button.dataset.mark in policy.why;
      button.textContent = LABELS[button.dataset.mark] + " (" + found.toLocaleString("en") + (open ? ", " + unknown.toLocaleString("en") + " unknown" : "") + ")";
      button.disabled = !found;
      button.setAttribute("aria-pressed", String(state.marks.has(button.dataset.mark)));
    }
    byId("arms").textContent = policy.told;
    options("kind", policy.kinds);
    options("source", policy.sources);
    byId("policy").value = String(state.policy);
    besides();
  }
  function besides() {
    if (!byId("beside")) return;
    byId("beside").value = state.beside < 0 ? "" : String(state.beside);
    byId("differs").hidden = state.beside < 0;
    byId("differs").setAttribute("aria-pressed", String(state.differs));
    byId("cards").classList.toggle("pairs", state.beside >= 0);
  }
  function options(name, values) {
    const select = byId(name);
    select.replaceChildren(element("option", {value: ""}, "all"),
      ...values.map(value => element("option", {value: "=" + value}, value || "(none)")));
    select.value = state[name];
    select.parentElement.hidden = values.length < 2;
  }

  function choose(policy) {
    Object.assign(state, {policy, marks: new Set(), kind: "", source: "", words: [], page: 0, aim: -1});
    byId("search").value = "";
    describe();
    show();
  }

  function follow() {
    const hash = location.hash.slice(1);
    if (!hash) return false;
    const typed = encodeURIComponent(decoded(hash));
    for (let policy = 0; policy < lists.length; policy++) {
      const index = keys[policy]().get(hash) ?? keys[policy]().get(typed);
      if (index === undefined) continue;
      choose(policy);
      state.aim = index;
      turnTo(Math.floor(found.indexOf(index) / PER_PAGE));
      document.querySelector("article.aim").scrollIntoView({block: "center"});
      return true;
    }
    if (!byId(hash)) {
      choose(0);
      byId("count").textContent = "The episode of this link is not in this report.";
      return true;
    }
    return false;
  }
  function decoded(text) {
    try { return decodeURIComponent(text); } catch { return text; }
  }

  function listen() {
    byId("policy").onchange = event => choose(Number(event.target.value));
    for (const name of ["kind", "source"]) {
      byId(name).onchange = event => { state[name] = event.target.value; state.page = 0; state.aim = -1; show(); };
    }
    for (const button of document.querySelectorAll("button[data-mark]")) {
      button.onclick = () => {
        const mark = button.dataset.mark;
        if (!state.marks.delete(mark)) state.marks.add(mark);
        button.setAttribute("aria-pressed", String(state.marks.has(mark)));
        state.page = 0; state.aim = -1;
        show();
      };
    }
    let timer;
    byId("search").oninput = event => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
        state.page = 0; state.aim = -1;
        show();
      }, 120);
    };
    for (const pager of document.querySelectorAll(".pager")) {
      const move = by => () => {
        turnTo(state.page + by);
        if (pager.id === "below") byId("episodes").scrollIntoView();
      };
      pager.querySelector(".before").onclick = move(-1);
      pager.querySelector(".next").onclick = move(1);
    }
    if (byId("beside")) {
      byId("beside").onchange = event => {
        Object.assign(state, {beside: event.target.value === "" ? -1 : Number(event.target.value), differs: false, page: 0});
        besides();
        show();
      };
      byId("differs").onclick = () => { state.differs = !state.differs; state.page = 0; besides(); show(); };
    }
    addEventListener("hashchange", follow);
  }

  function begin() {
    listen();
    if (meta.beside !== undefined) state.beside = meta.beside;
    if (!follow()) choose(0);
    if (live) resume();
    performance.mark("ready");
  }
  // After the first paint, so that the numbers and plots are there at once.
  if (meta.policies.length) requestAnimationFrame(() => setTimeout(begin));
  else {
    if (live) resume();
    performance.mark("ready");
  }
})();
